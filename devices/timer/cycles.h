// Oscillators: whole cycles of a fixed frequency as a function of virtual time, and back.
#pragma once

#include "base/types.h"

namespace orrery::devices {

inline constexpr u64 kNanosecondsPerSecond = 1'000'000'000;

/// Whole cycles of `hz` that have passed at `time`.
constexpr u64 cycles_at(VirtualTime time, u64 hz) {
  return static_cast<u64>(static_cast<u128>(time.ns) * hz / kNanosecondsPerSecond);
}
/// The first moment at which `cycles_at` is `cycle`; the end of time if that is out of range.
constexpr VirtualTime time_of_cycle(u64 cycle, u64 hz) {
  const u128 ns = (static_cast<u128>(cycle) * kNanosecondsPerSecond + hz - 1) / hz;
  return ns >= kEndOfTime.ns ? kEndOfTime : VirtualTime{static_cast<u64>(ns)};
}

}  // namespace orrery::devices
