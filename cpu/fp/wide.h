// Wide: a 128-bit floating-point number for the x87's transcendental functions, whose results need 64 bits.
// Truncating: each operation's relative error is a few units of 2^-127. And the constants that they need.
//
// Not modelled: infinities, NaNs, overflow; callers deal with those.
#pragma once

#include "cpu/fp/round.h"

namespace orrery::cpu::fp {

constexpr u128 wide_bits(u64 high, u64 low) { return u128{high} << 64 | low; }

/// (-1)^sign * significand / 2^127 * 2^exponent; significand 0 or with bit 127 set.
struct Wide {
  bool sign = false;
  i32 exponent = 0;
  u128 significand = 0;

  bool is_zero() const { return significand == 0; }
  Wide negated() const { return {!sign, exponent, significand}; }
};

inline Wide normalized(bool sign, i32 exponent, u128 significand) {
  if (significand == 0) return {};
  const u64 high = static_cast<u64>(significand >> 64);
  const int shift = high != 0 ? std::countl_zero(high) : 64 + std::countl_zero(static_cast<u64>(significand));
  return {sign, exponent - shift, significand << shift};
}
inline Wide to_wide(const Unpacked& u) {
  return u.is_finite() ? Wide{u.sign, u.exponent, u128{u.significand} << 64} : Wide{};
}
inline Wide wide_integer(u64 v) { return normalized(false, 127, v); }

/// The upper 128 bits of a product.
inline u128 multiply_high(u128 a, u128 b) {
  const u64 a1 = static_cast<u64>(a >> 64), a0 = static_cast<u64>(a), b1 = static_cast<u64>(b >> 64),
            b0 = static_cast<u64>(b);
  const u128 low = u128{a0} * b0, mid1 = u128{a1} * b0, mid2 = u128{a0} * b1;
  const u128 carry = (low >> 64) + static_cast<u64>(mid1) + static_cast<u64>(mid2);
  return u128{a1} * b1 + (mid1 >> 64) + (mid2 >> 64) + (carry >> 64);
}
inline Wide operator*(const Wide& a, const Wide& b) {
  if (a.is_zero() || b.is_zero()) return {};
  return normalized(a.sign != b.sign, a.exponent + b.exponent + 1,
                    multiply_high(a.significand, b.significand));
}
inline Wide operator+(Wide a, Wide b) {
  if (a.is_zero()) return b;
  if (b.is_zero()) return a;
  if (a.exponent < b.exponent) std::swap(a, b);
  const int shift = a.exponent - b.exponent;
  const u128 x = a.significand >> 1, y = shift >= 127 ? 0 : b.significand >> 1 >> shift;
  if (a.sign == b.sign) return normalized(a.sign, a.exponent + 1, x + y);
  return x >= y ? normalized(a.sign, a.exponent + 1, x - y) : normalized(b.sign, a.exponent + 1, y - x);
}
inline Wide operator-(const Wide& a, const Wide& b) { return a + b.negated(); }
inline Wide divided_by(const Wide& a, u64 n) {
  // Two steps, so that the quotient keeps 128 bits.
  const u128 quotient = a.significand / n;
  const u128 rest = a.significand % n;
  const Wide low = normalized(a.sign, a.exponent - 64, (rest << 64) / n);
  return normalized(a.sign, a.exponent, quotient) + low;
}
inline Wide operator/(const Wide& a, const Wide& b) {
  if (a.is_zero()) return {};
  u128 rest = a.significand, quotient = 0;
  i32 exponent = a.exponent - b.exponent;
  if (rest < b.significand) {
    --exponent;
  } else {
    rest -= b.significand;
    quotient = 1;
  }
  const int bits = quotient != 0 ? 127 : 128;
  for (int i = 0; i < bits; ++i) {
    const bool carry = (rest >> 127) != 0;
    rest <<= 1;
    quotient <<= 1;
    if (carry || rest >= b.significand) {
      rest -= b.significand;
      quotient |= 1;
    }
  }
  return {a.sign != b.sign, exponent, quotient};
}
/// Rounded once; never exact.
inline Float80 from_wide(Environment& env, const Wide& w) {
  return round<F80>(env, w.sign, w.exponent, w.significand | 1);
}

inline constexpr Wide kLn2 = {false, -1, wide_bits(0xb17217f7d1cf79ab, 0xc9e3b39803f2f6af)};
inline constexpr Wide kLog2E = {false, 0, wide_bits(0xb8aa3b295c17f0bb, 0xbe87fed0691d3e89)};
inline constexpr Wide kPi = {false, 1, wide_bits(0xc90fdaa22168c234, 0xc4c6628b80dc1cd1)};
inline constexpr Wide kHalfPi = {false, 0, wide_bits(0xc90fdaa22168c234, 0xc4c6628b80dc1cd1)};
inline constexpr Wide kQuarterPi = {false, -1, wide_bits(0xc90fdaa22168c234, 0xc4c6628b80dc1cd1)};
inline constexpr Wide kThreeQuarterPi = {false, 1, wide_bits(0x96cbe3f9990e91a7, 0x9394c9e8a0a5159d)};
/// 2 / pi as a binary fraction, lowest word first.
inline constexpr u64 kTwoOverPi[4] = {0xfe5163abdebbc561, 0xdb6295993c439041, 0xfc2757d1f534ddc0,
                                      0xa2f9836e4e441529};
/// atan(i / 16).
inline constexpr Wide kArcTangent[17] = {
    {},
    {false, -5, wide_bits(0xffaaddb967ef4e36, 0xcb2792dc0e2e0d51)},
    {false, -4, wide_bits(0xfeadd4d5617b6e32, 0xc897989f3e888ef8)},
    {false, -3, wide_bits(0xbdcbda5e72d81134, 0x7b0b4f881c9c7488)},
    {false, -3, wide_bits(0xfadbafc96406eb15, 0x6dc79ef5f7a217e6)},
    {false, -2, wide_bits(0x9b13b9b83f5e5e69, 0xc5abb498d27af328)},
    {false, -2, wide_bits(0xb7b0ca0f26f78473, 0x8aa32122dcfe4483)},
    {false, -2, wide_bits(0xd327761e611fe5b6, 0x427c95e9001e7136)},
    {false, -2, wide_bits(0xed63382b0dda7b45, 0x6fe445ecbc3a8d03)},
    {false, -1, wide_bits(0x832bf4a6d9867e2a, 0x4b6a09cb61a515c1)},
    {false, -1, wide_bits(0x8f005d5ef7f59f9b, 0x5c835e1665c43748)},
    {false, -1, wide_bits(0x9a2f80e671bdda20, 0x4226f8e2204ff3bd)},
    {false, -1, wide_bits(0xa4bc7d1934f70924, 0x19a87f2a457dac9f)},
    {false, -1, wide_bits(0xaeac4c38b4d8c080, 0x14725e2f3e52070a)},
    {false, -1, wide_bits(0xb8053e2bc2319e73, 0xcb2da55210a4443d)},
    {false, -1, wide_bits(0xc0ce85b8ac526640, 0x89dd62c46e92fa25)},
    {false, -1, wide_bits(0xc90fdaa22168c234, 0xc4c6628b80dc1cd1)},
};

}  // namespace orrery::cpu::fp
