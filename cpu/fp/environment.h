// The surroundings of one floating-point operation: rounding, masks, the flags that it raises.
//
// Flags have the bit positions that MXCSR and the x87 status word share. [SDM1 4.9, 8.1.3, 10.2.3]
// Not modelled: host floating point is never used, so nothing here depends on the host.
#pragma once

#include "base/types.h"

namespace orrery::cpu::fp {

/// RC's encoding in MXCSR, the x87 control word and rounding immediates.
enum class Rounding : u8 { kNearest, kDown, kUp, kZero };

namespace flag {
inline constexpr u8 IE = 1, DE = 2, ZE = 4, OE = 8, UE = 16, PE = 32;
/// Found before the operation is done; an unmasked one suppresses the others. [SDM1 4.9.2]
inline constexpr u8 kBefore = IE | DE | ZE;
}  // namespace flag

struct Environment {
  Rounding rounding = Rounding::kNearest;
  u8 precision = 64;        // significand bits of F80 results: 24, 53 or 64 (x87 PC)
  bool daz = false;         // denormal operands count as zeros
  bool ftz = false;         // masked underflow gives zero
  u8 unmasked = 0;          // flags whose exceptions are not masked
  u8 flags = 0;             // raised so far
  bool rounded_up = false;  // the last rounding increased the magnitude (x87 C1)

  void raise(u8 f) { flags |= f; }
  bool stops() const { return (flags & unmasked) != 0; }
};

}  // namespace orrery::cpu::fp
