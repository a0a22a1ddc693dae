// Fused multiply and add: a * b + c exactly, rounded once. [SDM1 14.5], [IEEE 754-2008 5.4.1]
//
// For binary32 and binary64, whose products are exact in 128 bits. Not modelled: binary80, which has none.
#pragma once

#include "cpu/fp/arith.h"

namespace orrery::cpu::fp {

/// What an FMA instruction negates. NaNs keep their sign.
struct FmaSigns {
  bool negate_product = false, negate_addend = false;
};

/// The NaN that is returned: the first of `a`, `b`, `c` in this order. [SDM1 table 14-17]
template <class F>
inline typename F::Storage propagate_fma_nan(Environment& env, const Unpacked& a, const Unpacked& b,
                                             const Unpacked& c) {
  for (const Unpacked* u : {&a, &b, &c}) {
    if (u->cls == Class::kSignallingNan) env.raise(flag::IE);
  }
  return quieted<F>(a.is_nan() ? a : b.is_nan() ? b : c);
}

template <class F>
inline typename F::Storage fma(Environment& env, const Unpacked& a, const Unpacked& b, Unpacked c,
                               FmaSigns signs) {
  static_assert(!kIsX87<F>);
  if (a.is_nan() || b.is_nan() || c.is_nan()) [[unlikely]]
    return propagate_fma_nan<F>(env, a, b, c);
  const bool sign = (a.sign != b.sign) != signs.negate_product;
  c.sign = c.sign != signs.negate_addend;
  if (a.is_infinity() || b.is_infinity()) {
    if (a.is_zero() || b.is_zero()) return invalid<F>(env);
    if (c.is_infinity() && c.sign != sign) return invalid<F>(env);
    note_denormals(env, a, b);
    note_denormals(env, c, c);
    return infinity<F>(sign);
  }
  note_denormals(env, a, b);
  note_denormals(env, c, c);
  if (c.is_infinity()) return infinity<F>(c.sign);
  if (a.is_zero() || b.is_zero()) {
    if (!c.is_zero()) return round_finite<F>(env, c);
    return zero<F>(sign == c.sign ? sign : env.rounding == Rounding::kDown);
  }
  // The product with its first bit at 126; at least 20 bits below it are zeros.
  u128 product = u128{a.significand} * b.significand;
  i32 exponent = a.exponent + b.exponent + 1;
  if ((product >> 127) == 0)
    --exponent;
  else
    product >>= 1;
  if (c.is_zero()) return normalize_and_round<F>(env, sign, exponent + 1, product);
  u128 addend = u128{c.significand} << 63;
  const i32 larger = std::max(exponent, c.exponent);
  product = shift_right_sticky(product, larger - exponent);
  addend = shift_right_sticky(addend, larger - c.exponent);
  if (sign == c.sign) return normalize_and_round<F>(env, sign, larger + 1, product + addend);
  if (product == addend) return zero<F>(env.rounding == Rounding::kDown);
  if (product > addend) return normalize_and_round<F>(env, sign, larger + 1, product - addend);
  return normalize_and_round<F>(env, c.sign, larger + 1, addend - product);
}

}  // namespace orrery::cpu::fp
