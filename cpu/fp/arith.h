// Addition, subtraction, multiplication, division, square root: exact results, rounded once. [SDM1 4.8, 8.5]
//
// Operands are unpacked from whatever format they came in; the result's format F decides the NaN rule: SSE's
// (the first operand that is a NaN) for binary32 and binary64, the x87's (larger significand) for F80.
// [SDM1 4.8.3.5] Not modelled: nothing.
#pragma once

#include "cpu/fp/round.h"

namespace orrery::cpu::fp {

template <class F>
inline typename F::Storage invalid(Environment& env) {
  env.raise(flag::IE);
  return indefinite<F>();
}

/// The NaN that an operation on `a` and `b`, one of them at least a NaN, returns. [SDM1 table 4-7]
template <class F>
inline typename F::Storage propagate_nan(Environment& env, const Unpacked& a, const Unpacked& b) {
  if (a.cls == Class::kSignallingNan || b.cls == Class::kSignallingNan) env.raise(flag::IE);
  if constexpr (kIsX87<F>) {
    if (!b.is_nan()) return quieted<F>(a);
    if (!a.is_nan()) return quieted<F>(b);
    if (a.cls != b.cls) return quieted<F>(a.cls == Class::kQuietNan ? a : b);
    if (a.significand != b.significand) return quieted<F>(a.significand > b.significand ? a : b);
    return quieted<F>(a.sign ? b : a);
  } else {
    return quieted<F>(a.is_nan() ? a : b);
  }
}

/// Deals with NaNs and unsupported encodings; true: `out` is the result. Raises DE otherwise.
template <class F>
inline bool special_operands(Environment& env, const Unpacked& a, const Unpacked& b,
                             typename F::Storage& out) {
  if (a.cls == Class::kUnsupported || b.cls == Class::kUnsupported) [[unlikely]] {
    out = invalid<F>(env);
    return true;
  }
  if (a.is_nan() || b.is_nan()) [[unlikely]] {
    out = propagate_nan<F>(env, a, b);
    return true;
  }
  return false;
}
inline void note_denormals(Environment& env, const Unpacked& a, const Unpacked& b) {
  if (a.denormal || b.denormal) env.raise(flag::DE);
}

/// a + b.
template <class F>
inline typename F::Storage add(Environment& env, Unpacked a, Unpacked b) {
  typename F::Storage out;
  if (special_operands<F>(env, a, b, out)) return out;
  if (a.is_infinity() || b.is_infinity()) {
    if (a.is_infinity() && b.is_infinity() && a.sign != b.sign) return invalid<F>(env);
    note_denormals(env, a, b);
    return infinity<F>(a.is_infinity() ? a.sign : b.sign);
  }
  note_denormals(env, a, b);
  if (a.is_zero() || b.is_zero()) {
    if (!a.is_zero()) return round_finite<F>(env, a);
    if (!b.is_zero()) return round_finite<F>(env, b);
    return zero<F>(a.sign == b.sign ? a.sign : env.rounding == Rounding::kDown);
  }
  if (a.exponent < b.exponent) std::swap(a, b);
  const u128 wide_a = u128{a.significand} << 63;
  const u128 wide_b = shift_right_sticky(u128{b.significand} << 63, a.exponent - b.exponent);
  if (a.sign == b.sign) return normalize_and_round<F>(env, a.sign, a.exponent + 1, wide_a + wide_b);
  if (wide_a == wide_b) return zero<F>(env.rounding == Rounding::kDown);
  if (wide_a > wide_b) return normalize_and_round<F>(env, a.sign, a.exponent + 1, wide_a - wide_b);
  return normalize_and_round<F>(env, b.sign, a.exponent + 1, wide_b - wide_a);
}

/// a - b. A NaN keeps its sign.
template <class F>
inline typename F::Storage sub(Environment& env, const Unpacked& a, Unpacked b) {
  if (!b.is_nan()) b.sign = !b.sign;
  return add<F>(env, a, b);
}

template <class F>
inline typename F::Storage mul(Environment& env, const Unpacked& a, const Unpacked& b) {
  typename F::Storage out;
  if (special_operands<F>(env, a, b, out)) return out;
  const bool sign = a.sign != b.sign;
  if (a.is_infinity() || b.is_infinity()) {
    if (a.is_zero() || b.is_zero()) return invalid<F>(env);
    note_denormals(env, a, b);
    return infinity<F>(sign);
  }
  note_denormals(env, a, b);
  if (a.is_zero() || b.is_zero()) return zero<F>(sign);
  const u128 product = u128{a.significand} * b.significand;
  return normalize_and_round<F>(env, sign, a.exponent + b.exponent + 1, product);
}

template <class F>
inline typename F::Storage div(Environment& env, const Unpacked& a, const Unpacked& b) {
  typename F::Storage out;
  if (special_operands<F>(env, a, b, out)) return out;
  const bool sign = a.sign != b.sign;
  if ((a.is_infinity() && b.is_infinity()) || (a.is_zero() && b.is_zero())) return invalid<F>(env);
  if (b.is_zero() && a.is_finite()) {  // ZE goes before DE
    env.raise(flag::ZE);
    return infinity<F>(sign);
  }
  note_denormals(env, a, b);
  if (a.is_infinity()) return infinity<F>(sign);
  if (b.is_infinity() || a.is_zero()) return zero<F>(sign);
  const bool smaller = a.significand < b.significand;
  const u128 numerator = u128{a.significand} << (smaller ? 64 : 63);
  const u64 quotient = static_cast<u64>(numerator / b.significand);
  const u64 rest = static_cast<u64>(numerator % b.significand);
  const u128 twice = u128{rest} << 1;
  const u64 low = twice > b.significand    ? kIntegerBit | 1
                  : twice == b.significand ? kIntegerBit
                  : rest != 0              ? 1
                                           : 0;
  return round<F>(env, sign, a.exponent - b.exponent - (smaller ? 1 : 0), (u128{quotient} << 64) | low);
}

/// floor(sqrt(v)) of v >= 2^126, and v minus its square. A Karatsuba step over a 64-bit root.
inline u64 integer_sqrt(u128 v, u128& remainder) {
  const u64 high = static_cast<u64>(v >> 64);
  u64 root = 0, rest = high;
  for (u64 step = u64{1} << 62; step != 0; step >>= 2) {
    if (rest >= root + step) {
      rest -= root + step;
      root = (root >> 1) + step;
    } else {
      root >>= 1;
    }
  }
  const u64 low = static_cast<u64>(v);
  const u128 middle = (u128{rest} << 32) | (low >> 32);
  const u128 quotient = middle / (u128{root} << 1);
  const u128 left = middle % (u128{root} << 1);
  u128 result = (u128{root} << 32) + quotient;
  i128 r = static_cast<i128>((left << 32) | (low & 0xffffffff)) - static_cast<i128>(quotient * quotient);
  while (r < 0) {
    r += static_cast<i128>(2 * result - 1);
    --result;
  }
  remainder = static_cast<u128>(r);
  return static_cast<u64>(result);
}

template <class F>
inline typename F::Storage sqrt(Environment& env, const Unpacked& a) {
  if (a.cls == Class::kUnsupported) return invalid<F>(env);
  if (a.is_nan()) return propagate_nan<F>(env, a, a);
  if (a.is_zero()) return zero<F>(a.sign);
  if (a.sign) return invalid<F>(env);
  if (a.is_infinity()) return infinity<F>(false);
  if (a.denormal) env.raise(flag::DE);
  const bool odd = (a.exponent & 1) != 0;
  u128 remainder = 0;
  const u64 root = integer_sqrt(u128{a.significand} << (odd ? 64 : 63), remainder);
  const u64 low = (remainder > root ? kIntegerBit : 0) | (remainder != 0 ? 1 : 0);
  return round<F>(env, false, (a.exponent - (odd ? 1 : 0)) / 2, (u128{root} << 64) | low);
}

}  // namespace orrery::cpu::fp
