// The partial remainders FPREM and FPREM1, FSCALE and FXTRACT: exact operations of the x87. [SDM2 FPREM,
// FSCALE]
//
// One FPREM reduces the exponent difference by up to 63; how far is the implementation's choice.
// Not modelled: nothing.
#pragma once

#include "cpu/fp/convert.h"

namespace orrery::cpu::fp {

struct Remainder {
  Float80 value;
  u64 quotient = 0;      // its three lowest bits go to C0, C3, C1
  bool partial = false;  // C2: reduce again
  bool valid = false;    // whether there is a quotient: not for NaNs and invalid operands
};

enum class Quotient : u8 { kTruncated, kNearest };  // FPREM, FPREM1

inline Remainder remainder(Environment& env, const Unpacked& a, const Unpacked& b, Quotient kind) {
  Remainder out;
  if (special_operands<F80>(env, a, b, out.value)) return out;
  if (a.is_infinity() || b.is_zero()) {
    out.value = invalid<F80>(env);
    return out;
  }
  note_denormals(env, a, b);
  out.valid = true;
  if (a.is_zero()) {
    out.value = zero<F80>(a.sign);
    return out;
  }
  if (b.is_infinity() || a.exponent < b.exponent - 1) {
    out.value = round_finite<F80>(env, a);
    return out;
  }
  const int difference = a.exponent - b.exponent;
  if (difference >= 64) {
    const int reduce = (difference & 31) | 32;
    const u64 rest = static_cast<u64>((u128{a.significand} << reduce) % b.significand);
    out.partial = true;
    out.value = normalize_and_round<F80>(env, a.sign, a.exponent - reduce, u128{rest} << 64);
    return out;
  }
  // In units of b's last place, halved when a is the smaller by exponent.
  u128 rest;
  u128 divisor = b.significand;
  i32 unit = b.exponent;
  if (difference < 0) {
    divisor <<= 1;
    unit -= 1;
    rest = a.significand;
  } else {
    const u128 wide = u128{a.significand} << difference;
    out.quotient = static_cast<u64>(wide / b.significand);
    rest = wide % b.significand;
  }
  bool sign = a.sign;
  if (kind == Quotient::kNearest &&
      (2 * rest > divisor || (2 * rest == divisor && (out.quotient & 1) != 0))) {
    rest = divisor - rest;
    sign = !sign;
    ++out.quotient;
  }
  // `rest` may need 65 bits, so one bit of room is left above it.
  out.value = rest == 0 ? zero<F80>(a.sign) : normalize_and_round<F80>(env, sign, unit + 1, rest << 63);
  return out;
}

/// a * 2^trunc(b).
inline Float80 scale(Environment& env, const Unpacked& a, const Unpacked& b) {
  Float80 out;
  if (special_operands<F80>(env, a, b, out)) return out;
  if (b.is_infinity()) {
    if (b.sign ? a.is_infinity() : a.is_zero()) return invalid<F80>(env);
    note_denormals(env, a, b);
    if (a.is_infinity() || (!b.sign && !a.is_zero())) return infinity<F80>(a.sign);
    return zero<F80>(a.sign);
  }
  note_denormals(env, a, b);
  if (a.is_infinity()) return infinity<F80>(a.sign);
  if (a.is_zero()) return zero<F80>(a.sign);
  u64 magnitude = 0;
  bool inexact = false, up = false;
  if (!integral_magnitude(Rounding::kZero, b, magnitude, inexact, up) || magnitude > 0x10000)
    magnitude = 0x10000;
  const i32 n = static_cast<i32>(magnitude);
  return round<F80>(env, a.sign, a.exponent + (b.sign ? -n : n), u128{a.significand} << 64);
}

}  // namespace orrery::cpu::fp
