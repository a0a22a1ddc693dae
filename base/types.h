// Fixed-width integers, the address types of the machine, and the two units of time.
//
// The three address types are distinct so that a linear address can never be used where a physical one is
// meant: conversions are always spelled out through `.value`.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>

namespace orrery {

using u8 = std::uint8_t;
using u16 = std::uint16_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;
using i8 = std::int8_t;
using i16 = std::int16_t;
using i32 = std::int32_t;
using i64 = std::int64_t;
// -Wpedantic-clean spelling of the compiler's 128-bit integers.
__extension__ typedef unsigned __int128 u128;
__extension__ typedef __int128 i128;

/// A 64-bit quantity that compares and steps but never converts implicitly.
template <class Tag>
struct Address {
  u64 value = 0;
  constexpr Address() = default;
  constexpr explicit Address(u64 v) : value(v) {}
  constexpr auto operator<=>(const Address&) const = default;
  constexpr Address operator+(u64 n) const { return Address(value + n); }
  constexpr Address operator-(u64 n) const { return Address(value - n); }
  constexpr u64 operator-(Address other) const { return value - other.value; }
};

/// Linear address: after segmentation, before paging.
using LinearAddr = Address<struct LinearTag>;
/// Physical address of the machine (the guest's, or the host's in the manuals' words for nested paging).
using PhysAddr = Address<struct PhysTag>;
/// Guest-physical address of a nested guest, before EPT or NPT.
using NestedAddr = Address<struct NestedTag>;

/// The one timeline: guest instructions retired by all vCPUs, plus one per delivered exception or interrupt,
/// plus idle ticks skipped while every vCPU halts.
using Tick = u64;
inline constexpr Tick kNever = ~Tick{0};

/// Guest time in nanoseconds since power-on; a pure function of Tick and of logged rate changes.
struct VirtualTime {
  u64 ns = 0;
  constexpr auto operator<=>(const VirtualTime&) const = default;
  constexpr VirtualTime operator+(VirtualTime d) const { return {ns + d.ns}; }
  constexpr VirtualTime operator-(VirtualTime d) const { return {ns - d.ns}; }
};
inline constexpr VirtualTime kEndOfTime{~u64{0}};

}  // namespace orrery
