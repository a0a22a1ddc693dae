// The binary formats of x86 and their unpacked form: binary32, binary64 [IEEE 754-2008 3.4] and the x87's
// 80-bit double extended, with its unsupported encodings. [SDM1 4.2.2, 8.2.2]
//
// Not modelled: nothing; binary16 is here for its conversions only.
#pragma once

#include <bit>
#include <type_traits>

#include "cpu/fp/environment.h"
#include "cpu/state.h"

namespace orrery::cpu::fp {

struct F16 {
  using Storage = u16;
  static constexpr int kExponentBits = 5, kPrecision = 11;
};
struct F32 {
  using Storage = u32;
  static constexpr int kExponentBits = 8, kPrecision = 24;
};
struct F64 {
  using Storage = u64;
  static constexpr int kExponentBits = 11, kPrecision = 53;
};
struct F80 {
  using Storage = Float80;
  static constexpr int kExponentBits = 15, kPrecision = 64;
};
template <class F>
inline constexpr int kBias = (1 << (F::kExponentBits - 1)) - 1;
template <class F>
inline constexpr int kMaxField = (1 << F::kExponentBits) - 1;
template <class F>
inline constexpr bool kIsX87 = std::is_same_v<F, F80>;

enum class Class : u8 { kZero, kFinite, kInfinity, kQuietNan, kSignallingNan, kUnsupported };

/// A number of any format. Finite: significand / 2^63 * 2^exponent with bit 63 set. NaN: the payload
/// left-aligned, quiet bit at 62, bit 63 set.
struct Unpacked {
  u64 significand = 0;
  i32 exponent = 0;
  Class cls = Class::kZero;
  bool sign = false;
  bool denormal = false;  // was one in its format (for F80 also a pseudo-denormal)

  bool is_nan() const { return cls == Class::kQuietNan || cls == Class::kSignallingNan; }
  bool is_zero() const { return cls == Class::kZero; }
  bool is_infinity() const { return cls == Class::kInfinity; }
  bool is_finite() const { return cls == Class::kFinite; }
};

inline constexpr u64 kIntegerBit = u64{1} << 63;
inline constexpr u64 kQuietBit = u64{1} << 62;

template <class F>
inline Unpacked unpack(const Environment& env, typename F::Storage v) {
  Unpacked u;
  if constexpr (kIsX87<F>) {
    u.sign = (v.sign_exponent & 0x8000) != 0;
    const int field = v.sign_exponent & 0x7fff;
    u.significand = v.significand;
    const bool integer = (v.significand & kIntegerBit) != 0;
    if (field == 0) {
      if (v.significand == 0) return u;
      const int shift = std::countl_zero(v.significand);
      u.cls = Class::kFinite;
      u.denormal = true;
      u.significand <<= shift;
      u.exponent = 1 - kBias<F> - shift;
    } else if (!integer) {
      u.cls = Class::kUnsupported;
    } else if (field == kMaxField<F>) {
      u.cls = v.significand == kIntegerBit  ? Class::kInfinity
              : (v.significand & kQuietBit) ? Class::kQuietNan
                                            : Class::kSignallingNan;
    } else {
      u.cls = Class::kFinite;
      u.exponent = field - kBias<F>;
    }
  } else {
    constexpr int kFractionBits = F::kPrecision - 1;
    u.sign = ((v >> (F::kPrecision + F::kExponentBits - 1)) & 1) != 0;
    const int field = static_cast<int>((v >> kFractionBits) & static_cast<unsigned>(kMaxField<F>));
    const u64 fraction = u64{v} << (64 - kFractionBits) >> 1;  // bit 62 is the first fraction bit
    if (field == kMaxField<F>) {
      u.significand = fraction | kIntegerBit;
      u.cls = fraction == 0            ? Class::kInfinity
              : (fraction & kQuietBit) ? Class::kQuietNan
                                       : Class::kSignallingNan;
    } else if (field != 0) {
      u.significand = fraction | kIntegerBit;
      u.cls = Class::kFinite;
      u.exponent = field - kBias<F>;
    } else if (fraction != 0 && !env.daz) {
      const int shift = std::countl_zero(fraction);
      u.cls = Class::kFinite;
      u.denormal = true;
      u.significand = fraction << shift;
      u.exponent = 1 - kBias<F> - shift;
    }
  }
  return u;
}

/// Puts sign, exponent field (0: as denormal) and left-aligned significand with integer bit together.
template <class F>
inline typename F::Storage assemble(bool sign, int field, u64 significand) {
  if constexpr (kIsX87<F>) {
    Float80 v;
    v.significand = significand;
    v.sign_exponent = static_cast<u16>((sign ? 0x8000 : 0) | field);
    return v;
  } else {
    using S = typename F::Storage;
    const u64 fraction = (significand & ~kIntegerBit) >> (64 - F::kPrecision);
    return static_cast<S>((u64{sign} << (F::kPrecision + F::kExponentBits - 1)) |
                          (static_cast<u64>(field) << (F::kPrecision - 1)) | fraction);
  }
}

template <class F>
inline typename F::Storage zero(bool sign) {
  return assemble<F>(sign, 0, 0);
}
template <class F>
inline typename F::Storage infinity(bool sign) {
  return assemble<F>(sign, kMaxField<F>, kIntegerBit);
}
template <class F>
inline typename F::Storage largest(bool sign, int precision = F::kPrecision) {
  return assemble<F>(sign, kMaxField<F> - 1, ~u64{0} << (64 - precision));
}
/// The real indefinite: a negative quiet NaN without payload. [SDM1 4.8.3.7]
template <class F>
inline typename F::Storage indefinite() {
  return assemble<F>(true, kMaxField<F>, kIntegerBit | kQuietBit);
}
/// `nan`, quieted, in format F.
template <class F>
inline typename F::Storage quieted(const Unpacked& nan) {
  return assemble<F>(nan.sign, kMaxField<F>, nan.significand | kQuietBit);
}

}  // namespace orrery::cpu::fp
