// Conversions between formats and to and from integers, and rounding to an integral value.
// [SDM1 4.9.1.6, 8.3.4, 11.4.1.6], [SDM2 CVT*, FIST, FRNDINT, ROUNDPS]
//
// Not modelled: nothing.
#pragma once

#include "cpu/fp/arith.h"

namespace orrery::cpu::fp {

/// `u` in format F.
template <class F>
inline typename F::Storage convert(Environment& env, const Unpacked& u) {
  switch (u.cls) {
    case Class::kZero:
      return zero<F>(u.sign);
    case Class::kInfinity:
      return infinity<F>(u.sign);
    case Class::kUnsupported:
      return invalid<F>(env);
    case Class::kSignallingNan:
      env.raise(flag::IE);
      return quieted<F>(u);
    case Class::kQuietNan:
      return quieted<F>(u);
    case Class::kFinite:
      break;
  }
  if (u.denormal) env.raise(flag::DE);
  return round_finite<F>(env, u);
}

inline Unpacked from_u64(u64 v, bool sign = false) {
  Unpacked u;
  if (v == 0) return u;
  const int shift = std::countl_zero(v);
  u.cls = Class::kFinite;
  u.sign = sign;
  u.significand = v << shift;
  u.exponent = 63 - shift;
  return u;
}
inline Unpacked from_i64(i64 v) {
  return v < 0 ? from_u64(u64{0} - static_cast<u64>(v), true) : from_u64(static_cast<u64>(v));
}
template <class F>
inline typename F::Storage from_integer(Environment& env, i64 v) {
  return convert<F>(env, from_i64(v));
}

/// The magnitude of finite `u` rounded to an integer; exponents of 64 and more give false.
inline bool integral_magnitude(Rounding rounding, const Unpacked& u, u64& out, bool& inexact, bool& up) {
  inexact = up = false;
  out = 0;
  if (u.is_zero()) return true;
  if (u.exponent >= 64) return false;
  const u128 wide =
      shift_right_sticky(u128{u.significand} << 64, 63 - u.exponent);  // integer part in the upper half
  out = static_cast<u64>(wide >> 64);
  const u64 rest = static_cast<u64>(wide);
  inexact = rest != 0;
  up = rounds_up(rounding, u.sign, (out & 1) != 0, (rest & kIntegerBit) != 0, (rest & ~kIntegerBit) != 0);
  if (up && ++out == 0) return false;
  return true;
}

/// `u` as a signed integer of `width` bits; the integer indefinite (the most negative) with IE if it does not
/// fit.
inline i64 to_integer(Environment& env, const Unpacked& u, unsigned width, Rounding rounding) {
  const i64 indefinite_integer = static_cast<i64>(~u64{0} << (width - 1));
  u64 magnitude = 0;
  bool inexact = false, up = false;
  if ((!u.is_finite() && !u.is_zero()) || !integral_magnitude(rounding, u, magnitude, inexact, up) ||
      magnitude > (u64{1} << (width - 1)) - (u.sign ? 0 : 1)) {
    env.raise(flag::IE);
    return indefinite_integer;
  }
  if (inexact) env.raise(flag::PE);
  env.rounded_up = up;
  return static_cast<i64>(u.sign ? u64{0} - magnitude : magnitude);
}

/// `u` rounded to an integral value. `report_inexact`: whether PE is raised.
template <class F>
inline typename F::Storage round_to_integral(Environment& env, const Unpacked& u, Rounding rounding,
                                             bool report_inexact) {
  if (!u.is_finite()) return convert<F>(env, u);
  if (u.denormal && kIsX87<F>) env.raise(flag::DE);
  if (u.exponent >= 63) return assemble<F>(u.sign, u.exponent + kBias<F>, u.significand);
  u64 magnitude = 0;
  bool inexact = false, up = false;
  integral_magnitude(rounding, u, magnitude, inexact, up);
  if (inexact && report_inexact) env.raise(flag::PE);
  env.rounded_up = up;
  if (magnitude == 0) return zero<F>(u.sign);
  const int shift = std::countl_zero(magnitude);
  return assemble<F>(u.sign, 63 - shift + kBias<F>, magnitude << shift);
}

}  // namespace orrery::cpu::fp
