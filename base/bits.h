// Bit fields, sign extension and the little loads and stores that everything else is made of.
#pragma once

#include <bit>
#include <cstring>
#include <span>

#include "base/types.h"

namespace orrery {

/// Bit `n` of `v`.
constexpr bool bit(u64 v, unsigned n) { return (v >> n) & 1; }
/// Bits `hi`..`lo` of `v`, both inclusive.
constexpr u64 bits(u64 v, unsigned hi, unsigned lo) {
  return (v >> lo) & (hi - lo == 63 ? ~u64{0} : ((u64{1} << (hi - lo + 1)) - 1));
}
/// A mask of the `n` lowest bits, n in 0..64.
constexpr u64 low_mask(unsigned n) { return n >= 64 ? ~u64{0} : (u64{1} << n) - 1; }
/// `v`'s lowest `n` bits as a signed number, n in 1..64.
constexpr i64 sign_extend(u64 v, unsigned n) { return static_cast<i64>(v << (64 - n)) >> (64 - n); }
constexpr u64 align_down(u64 v, u64 alignment) { return v & ~(alignment - 1); }
constexpr u64 align_up(u64 v, u64 alignment) { return (v + alignment - 1) & ~(alignment - 1); }

/// A little-endian load of `T` from unaligned memory.
template <class T>
inline T load_le(const void* p) {
  T v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
template <class T>
inline void store_le(void* p, T v) {
  std::memcpy(p, &v, sizeof v);
}
/// A little-endian load of `n` bytes (1..8), zero-extended.
inline u64 load_le_n(const void* p, unsigned n) {
  u64 v = 0;
  std::memcpy(&v, p, n);
  return v;
}
inline void store_le_n(void* p, u64 v, unsigned n) { std::memcpy(p, &v, n); }

static_assert(std::endian::native == std::endian::little, "orrery runs on little-endian hosts");

}  // namespace orrery
