// Comparison and the minimum and maximum of SSE. [SDM1 4.8, 8.3.6], [SDM2 CMPPS, MINPS]
//
// Not modelled: nothing.
#pragma once

#include "cpu/fp/arith.h"

namespace orrery::cpu::fp {

enum class Relation : u8 { kLess, kEqual, kGreater, kUnordered };

/// A quiet comparison raises IE for signalling NaNs only.
enum class NanCompare : u8 { kSignalling, kQuiet };

inline Relation compare(Environment& env, const Unpacked& a, const Unpacked& b, NanCompare kind) {
  const auto bad = [](const Unpacked& u) {
    return u.cls == Class::kSignallingNan || u.cls == Class::kUnsupported;
  };
  if (bad(a) || bad(b)) {
    env.raise(flag::IE);
    return Relation::kUnordered;
  }
  if (a.is_nan() || b.is_nan()) {
    if (kind == NanCompare::kSignalling) env.raise(flag::IE);
    return Relation::kUnordered;
  }
  note_denormals(env, a, b);
  if (a.is_zero() && b.is_zero()) return Relation::kEqual;
  if (a.is_zero()) return b.sign ? Relation::kGreater : Relation::kLess;
  if (b.is_zero()) return a.sign ? Relation::kLess : Relation::kGreater;
  if (a.sign != b.sign) return a.sign ? Relation::kLess : Relation::kGreater;
  const auto ordered = [&](bool less) { return less != a.sign ? Relation::kLess : Relation::kGreater; };
  if (a.is_infinity() || b.is_infinity()) {
    if (a.is_infinity() && b.is_infinity()) return Relation::kEqual;
    return ordered(b.is_infinity());
  }
  if (a.exponent != b.exponent) return ordered(a.exponent < b.exponent);
  if (a.significand != b.significand) return ordered(a.significand < b.significand);
  return Relation::kEqual;
}

/// MINPS and MAXPS: the second operand if they are equal or unordered.
template <class F, bool kMax>
inline typename F::Storage min_max(Environment& env, typename F::Storage first, typename F::Storage second) {
  const Unpacked a = unpack<F>(env, first), b = unpack<F>(env, second);
  const Relation r = compare(env, a, b, NanCompare::kSignalling);
  const bool take_first = r == (kMax ? Relation::kGreater : Relation::kLess);
  const Unpacked& taken = take_first ? a : b;
  // A denormal that DAZ turned into a zero comes out as one.
  if (env.daz && taken.is_zero()) return zero<F>(taken.sign);
  return take_first ? first : second;
}

}  // namespace orrery::cpu::fp
