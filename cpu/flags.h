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
