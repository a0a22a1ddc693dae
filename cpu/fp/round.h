// From an exact result to a number of a format: rounding, overflow, underflow.
// [SDM1 4.8.4, 4.9.1.4-6, 8.5.4-6]
//
// Tininess is detected after rounding, as x86 does. Unmasked overflow and underflow of F80 results wrap the
// exponent by 24576, as the x87's handlers expect; the SSE formats' results are not used then. Not modelled:
// nothing.
#pragma once

#include "cpu/fp/format.h"

namespace orrery::cpu::fp {

/// Whether a significand with lowest kept bit `odd` goes up; `half`: first dropped bit, `rest`: any other.
inline bool rounds_up(Rounding rounding, bool sign, bool odd, bool half, bool rest) {
  switch (rounding) {
    case Rounding::kNearest:
      return half && (rest || odd);
    case Rounding::kDown:
      return sign && (half || rest);
    case Rounding::kUp:
      return !sign && (half || rest);
    case Rounding::kZero:
      break;
  }
  return false;
}

/// `v` shifted right; what falls out is or-ed into bit 0.
inline u128 shift_right_sticky(u128 v, int n) {
  if (n <= 0) return v;
  if (n >= 128) return v != 0 ? 1 : 0;
  const u128 out = v >> n;
  return (out << n) != v ? out | 1 : out;
}

struct RoundedSignificand {
  u128 value;
  bool inexact;
  bool up;
  bool carry;  // became 2^128: `value` holds 2^127
};

/// Rounds `v`, bit 127 the first, to `precision` bits.
inline RoundedSignificand round_significand(Rounding rounding, bool sign, u128 v, int precision) {
  const int drop = 128 - precision;
  const u128 unit = u128{1} << drop;
  const u128 rest = v & (unit - 1);
  RoundedSignificand r{v - rest, rest != 0, false, false};
  if (rest == 0) return r;
  const u128 half = unit >> 1;
  r.up = rounds_up(rounding, sign, (v & unit) != 0, (rest & half) != 0, (rest & (half - 1)) != 0);
  if (r.up) {
    r.value += unit;
    if (r.value < unit) {
      r.carry = true;
      r.value = u128{1} << 127;
    }
  }
  return r;
}

/// The number of F nearest to (-1)^sign * significand / 2^127 * 2^exponent under `env`. Bit 127 of
/// `significand` is set; its bit 0 stands for everything below.
template <class F>
inline typename F::Storage round(Environment& env, bool sign, i32 exponent, u128 significand) {
  constexpr i32 kMinExponent = 1 - kBias<F>, kMaxExponent = kBias<F>;
  constexpr i32 kWrap = 24576;
  const int precision = kIsX87<F> ? env.precision : F::kPrecision;
  RoundedSignificand r = round_significand(env.rounding, sign, significand, precision);
  i32 rounded_exponent = exponent + (r.carry ? 1 : 0);
  env.rounded_up = r.up;

  if (exponent < kMinExponent) [[unlikely]] {
    const bool tiny = rounded_exponent < kMinExponent;
    const bool wraps = kIsX87<F> && rounded_exponent + kWrap >= kMinExponent;  // FSCALE goes further down
    if (tiny && (env.unmasked & flag::UE) != 0 && (wraps || !kIsX87<F>)) {
      env.raise(flag::UE);
      if (r.inexact) env.raise(flag::PE);
      if (!wraps) return zero<F>(sign);
      rounded_exponent += kWrap;
    } else {
      if (tiny && (env.unmasked & flag::UE) != 0) {
        env.raise(flag::UE | flag::PE);
        env.rounded_up = false;
        return zero<F>(sign);
      }
      if (tiny && env.ftz) {
        env.raise(flag::UE | flag::PE);
        return zero<F>(sign);
      }
      // Denormalise, then round once at the format's fixed position.
      r = round_significand(env.rounding, sign, shift_right_sticky(significand, kMinExponent - exponent),
                            precision);
      env.rounded_up = r.up;
      if (r.inexact) env.raise(tiny ? flag::UE | flag::PE : flag::PE);
      const u64 top = static_cast<u64>(r.value >> 64);
      return assemble<F>(sign, (top & kIntegerBit) != 0 ? 1 : 0, top);
    }
  } else if (rounded_exponent > kMaxExponent) [[unlikely]] {
    env.raise(flag::OE);
    const bool wraps = kIsX87<F> && rounded_exponent - kWrap <= kMaxExponent;
    if (kIsX87<F> && !wraps && (env.unmasked & flag::OE) != 0) {  // only FSCALE gets here
      env.raise(flag::PE);
      env.rounded_up = true;
      return infinity<F>(sign);
    }
    if (wraps && (env.unmasked & flag::OE) != 0) {
      if (r.inexact) env.raise(flag::PE);
      rounded_exponent -= kWrap;
    } else {
      const bool to_infinity = env.rounding == Rounding::kNearest ||
                               (env.rounding == Rounding::kUp && !sign) ||
                               (env.rounding == Rounding::kDown && sign);
      if (r.inexact || kIsX87<F> || (env.unmasked & flag::OE) == 0) env.raise(flag::PE);
      env.rounded_up = to_infinity;
      return to_infinity ? infinity<F>(sign) : largest<F>(sign, precision);
    }
  } else if (r.inexact) {
    env.raise(flag::PE);
  }
  return assemble<F>(sign, rounded_exponent + kBias<F>, static_cast<u64>(r.value >> 64));
}

/// `round` of a significand that is not normalised (and may be zero: then a zero of `sign`).
template <class F>
inline typename F::Storage normalize_and_round(Environment& env, bool sign, i32 exponent, u128 significand) {
  if (significand == 0) return zero<F>(sign);
  const u64 high = static_cast<u64>(significand >> 64);
  const int shift = high != 0 ? std::countl_zero(high) : 64 + std::countl_zero(static_cast<u64>(significand));
  return round<F>(env, sign, exponent - shift, significand << shift);
}

template <class F>
inline typename F::Storage round_finite(Environment& env, const Unpacked& u) {
  return round<F>(env, u.sign, u.exponent, u128{u.significand} << 64);
}

}  // namespace orrery::cpu::fp
