// The x87's transcendental functions in software, the same on every host: arguments reduced with 256 bits of
// 2/pi, power series in 128-bit arithmetic, one rounding. Errors are under 0.51 units in the last place.
// [SDM1 8.3.10]
//
// Arguments here are finite and not zero; callers deal with the rest.
// Not modelled: the 66-bit pi of other processors.
#pragma once

#include "cpu/fp/format.h"
#include "cpu/fp/wide.h"

namespace orrery::cpu::fp {

struct SineCosine {
  Wide sine, cosine;
};
/// |x| < 2^63.
SineCosine sine_cosine(const Unpacked& x);
/// 2^x - 1 for -1 <= x <= 1.
Wide exp2_minus_1(const Unpacked& x);
/// log2(x) for x > 0; zero for 1.
Wide log2(const Unpacked& x);
/// log2(1 + x) for x > -1.
Wide log2_plus_1(const Unpacked& x);
/// The angle of the point (|x|, |y|): 0 to pi / 2.
Wide arc_tangent(const Unpacked& y, const Unpacked& x);

}  // namespace orrery::cpu::fp
