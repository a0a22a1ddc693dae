#include "cpu/fp/transcendental.h"

#include "cpu/fp/convert.h"

namespace orrery::cpu::fp {
namespace {

constexpr i32 kNegligible = 132;  // bits below which a term no longer counts
constexpr Wide kOne{false, 0, u128{1} << 127};

bool negligible(const Wide& term, const Wide& sum) {
  return term.is_zero() || term.exponent < sum.exponent - kNegligible;
}

/// first - first*s/(k*(k+1)) + ...: the series of sine (k = 2) and cosine (k = 1) in s = y^2.
Wide circular_series(const Wide& first, const Wide& s, u64 k) {
  Wide sum = first, term = first;
  for (; !negligible(term, sum); k += 2) {
    term = divided_by(term * s, k * (k + 1)).negated();
    sum = sum + term;
  }
  // A correction too small to see still makes the result less than `first`, which directed rounding must
  // notice.
  if (sum.significand == first.significand && sum.exponent == first.exponent) {
    sum = normalized(sum.sign, sum.exponent, sum.significand - 1);
  }
  return sum;
}
/// z + z^3/3 + z^5/5 ... (kAlternating: with changing signs): atanh and atan.
template <bool kAlternating>
Wide odd_series(const Wide& z) {
  const Wide s = z * z;
  Wide sum = z, power = z;
  for (u64 k = 3; !negligible(power, sum); k += 2) {
    power = power * s;
    if (kAlternating) power = power.negated();
    sum = sum + divided_by(power, k);
  }
  return sum;
}

}  // namespace

SineCosine sine_cosine(const Unpacked& x) {
  // x * 2/pi = quadrant + fraction; the product of 64 and 256 bits is exact but for 2/pi's own end.
  u64 product[5] = {};
  for (unsigned i = 0; i < 4; ++i) {
    const u128 p = u128{x.significand} * kTwoOverPi[i] + product[i];
    product[i] = static_cast<u64>(p);
    product[i + 1] = static_cast<u64>(p >> 64);
  }
  // value = product / 2^(256 + 63 - exponent)
  const int point = 256 + 63 - x.exponent;
  Wide y;
  u64 quadrant = 0;
  if (point > 320) {
    y = to_wide(x);
    y.sign = false;
  } else {
    const auto bits_from = [&](int bit) -> u64 {  // 64 bits of the product from `bit` upwards
      const int word = bit >> 6, offset = bit & 63;
      const auto at = [&](int w) -> u64 { return w >= 0 && w < 5 ? product[w] : 0; };
      return offset == 0 ? at(word) : (at(word) >> offset) | (at(word + 1) << (64 - offset));
    };
    quadrant = bits_from(point);
    u128 fraction[2] = {};  // 256 bits below the point, high half first
    fraction[0] = wide_bits(bits_from(point - 64), bits_from(point - 128));
    fraction[1] =
        point >= 192 ? wide_bits(bits_from(point - 192), point >= 256 ? bits_from(point - 256) : 0) : 0;
    bool negative = false;
    if ((fraction[0] >> 127) != 0) {  // nearest multiple of pi/2
      ++quadrant;
      negative = true;
      fraction[1] = ~fraction[1] + 1;
      fraction[0] = ~fraction[0] + (fraction[1] == 0 ? 1 : 0);
    }
    y = normalized(negative, -1, fraction[0]) + normalized(negative, -129, fraction[1]);
    y = y * kHalfPi;
  }
  const Wide s = y * y;
  const Wide sine = circular_series(y, s, 2), cosine = circular_series(kOne, s, 1);
  SineCosine out;
  switch (quadrant & 3) {
    case 0:
      out = {sine, cosine};
      break;
    case 1:
      out = {cosine, sine.negated()};
      break;
    case 2:
      out = {sine.negated(), cosine.negated()};
      break;
    default:
      out = {cosine.negated(), sine};
      break;
  }
  if (x.sign) out.sine = out.sine.negated();
  return out;
}

Wide exp2_minus_1(const Unpacked& x) {
  const Wide t = to_wide(x) * kLn2;
  Wide sum = t, term = t;
  for (u64 k = 2; !negligible(term, sum); ++k) {
    term = divided_by(term * t, k);
    sum = sum + term;
  }
  return sum;
}

Wide log2_of(Wide w) {
  // w in [0.75, 1.5), so that a result near zero comes from w near 1 alone.
  i32 whole = w.exponent;
  w.exponent = 0;
  if (w.significand >= (u128{3} << 126)) {
    w.exponent = -1;
    ++whole;
  }
  const Wide z = (w - kOne) / (w + kOne);
  Wide ln = z.is_zero() ? Wide{} : odd_series<false>(z);
  if (!ln.is_zero()) ++ln.exponent;
  Wide integer = wide_integer(static_cast<u64>(whole < 0 ? -whole : whole));
  integer.sign = whole < 0;
  return ln * kLog2E + integer;
}

Wide log2(const Unpacked& x) { return log2_of(to_wide(x)); }

Wide log2_plus_1(const Unpacked& x) {
  const Wide w = to_wide(x);
  if (w.exponent >= -2) return log2_of(kOne + w);  // far from zero nothing cancels
  const Wide two{false, 1, u128{1} << 127};
  Wide ln = odd_series<false>(w / (two + w));
  ++ln.exponent;
  return ln * kLog2E;
}

Wide arc_tangent(const Unpacked& y, const Unpacked& x) {
  Wide a = to_wide(y), b = to_wide(x);
  a.sign = b.sign = false;
  const bool steep = a.exponent > b.exponent || (a.exponent == b.exponent && a.significand > b.significand);
  if (steep) std::swap(a, b);
  Wide r = a / b;
  // The nearest i/16 is taken off: atan(r) = atan(c) + atan((r - c) / (1 + r c)).
  unsigned i = 0;
  if (r.exponent >= -5) i = static_cast<unsigned>(((r.significand >> (127 - 5 - r.exponent)) + 1) >> 1);
  Wide out;
  if (i == 0) {
    out = odd_series<true>(r);
  } else {
    Wide c = wide_integer(i);
    c.exponent -= 4;
    const Wide t = (r - c) / (kOne + r * c);
    out = kArcTangent[i] + (t.is_zero() ? Wide{} : odd_series<true>(t));
  }
  return steep ? kHalfPi - out : out;
}

}  // namespace orrery::cpu::fp
