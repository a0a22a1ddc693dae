// Arithmetic flags, computed eagerly, and the sixteen conditions. [SDM1 3.4.3], [SDM2 B]
#pragma once

#include <bit>
#include <type_traits>

#include "cpu/state.h"

namespace orrery::cpu {

template <class T>
inline constexpr unsigned kBitsOf = 8 * sizeof(T);
template <class T>
inline constexpr T kSignBit = static_cast<T>(T{1} << (kBitsOf<T> - 1));

/// PF of the low byte.
inline u64 parity_flag(u64 result) {
  return (std::popcount(static_cast<u8>(result)) & 1) == 0 ? rflags::PF : 0;
}

/// ZF, SF and PF of a result.
template <class T>
inline u64 zsp_flags(T result) {
  return parity_flag(static_cast<u64>(result)) | (result == 0 ? rflags::ZF : 0) |
         ((static_cast<u64>(result) >> (kBitsOf<T> - 8)) & rflags::SF);
}

/// CF, AF and OF from the vector of carries out of each bit.
template <class T>
inline u64 carry_flags(T carries) {
  const u64 c = static_cast<u64>(carries);
  const u64 cf = (c >> (kBitsOf<T> - 1)) & 1;
  const u64 of = (cf ^ (c >> (kBitsOf<T> - 2))) & 1;
  return cf | ((c << 1) & rflags::AF) | (of << 11);
}

/// All six flags of `result = a + b (+ carry)`.
template <class T>
inline u64 add_flags(T a, T b, T result) {
  return zsp_flags(result) | carry_flags(static_cast<T>((a & b) | ((a | b) & ~result)));
}
/// All six flags of `result = a - b (- borrow)`.
template <class T>
inline u64 sub_flags(T a, T b, T result) {
  return zsp_flags(result) | carry_flags(static_cast<T>((~a & b) | ((~a | b) & result)));
}

/// All six flags of a shift of `a` by `n`, 1 to 63, that gave `result`. Undefined ones follow AMD's Zen: AF
/// is set; OF for counts other than one is computed as for one from the last step.
template <class T>
inline u64 shl_flags(T a, unsigned n, T result) {
  const bool cf = n <= kBitsOf<T> && ((a >> (kBitsOf<T> - n)) & 1) != 0;
  const bool of = cf != ((result & kSignBit<T>) != 0);
  return rflags::AF | zsp_flags(result) | (cf ? rflags::CF : 0) | (of ? rflags::OF : 0);
}
template <class T>
inline u64 shr_flags(T a, unsigned n, T result) {
  const bool cf = n <= kBitsOf<T> && ((a >> (n - 1)) & 1) != 0;
  // OF is the bit that was the top one before the last step: bit n-1 below the sign.
  const bool of = ((result ^ static_cast<T>(result << 1)) & kSignBit<T>) != 0;
  return rflags::AF | zsp_flags(result) | (cf ? rflags::CF : 0) | (of ? rflags::OF : 0);
}
template <class T>
inline u64 sar_flags(T a, unsigned n, T result) {
  const auto wide = static_cast<i64>(static_cast<std::make_signed_t<T>>(a));
  const bool cf = ((wide >> (n - 1)) & 1) != 0;
  return rflags::AF | zsp_flags(result) | (cf ? rflags::CF : 0);
}
/// What SHL, SHR and SAR by `n`, 1 to 63, make of `a`.
template <class T>
inline T shl(T a, unsigned n) {
  return static_cast<T>(static_cast<u64>(a) << n);
}
template <class T>
inline T shr(T a, unsigned n) {
  return n < kBitsOf<T> ? static_cast<T>(a >> n) : T{0};
}
template <class T>
inline T sar(T a, unsigned n) {
  return static_cast<T>(static_cast<i64>(static_cast<std::make_signed_t<T>>(a)) >> n);
}
inline void set_flags(CpuState& s, u64 mask, u64 values) { s.rflags = (s.rflags & ~mask) | values; }
inline void set_arithmetic(CpuState& s, u64 values) { set_flags(s, rflags::kArithmetic, values); }

/// The condition of Jcc, SETcc and CMOVcc with these low opcode bits.
template <unsigned kCondition>
inline bool condition(u64 f) {
  using namespace rflags;
  bool result = false;
  constexpr unsigned base = kCondition >> 1;
  if constexpr (base == 0) result = (f & OF) != 0;
  if constexpr (base == 1) result = (f & CF) != 0;
  if constexpr (base == 2) result = (f & ZF) != 0;
  if constexpr (base == 3) result = (f & (CF | ZF)) != 0;
  if constexpr (base == 4) result = (f & SF) != 0;
  if constexpr (base == 5) result = (f & PF) != 0;
  if constexpr (base == 6) result = (((f >> 7) ^ (f >> 11)) & 1) != 0;
  if constexpr (base == 7) result = (((f >> 7) ^ (f >> 11)) & 1) != 0 || (f & ZF) != 0;
  return result != ((kCondition & 1) != 0);
}

}  // namespace orrery::cpu
