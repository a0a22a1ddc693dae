// Timeline and Clock: where the machine is on its one timeline, and the guest time that follows from it.
//
// Timeline knows the exact Tick at any moment, also in the middle of a slice that an engine is running: the
// engine counts `ticks_left` down and the timeline reads through it. Clock maps Tick to VirtualTime by a
// rate in nanoseconds per tick (32.32 fixed point); every change of rate is an input event, so that the map
// is a pure function of Tick and of the log.
#pragma once

#include "base/state_visitor.h"
#include "base/types.h"

namespace orrery {

/// The position on the timeline. One per machine; used on the machine's thread only.
class Timeline {
 public:
  Timeline() = default;
  Timeline(const Timeline&) = delete;
  Timeline& operator=(const Timeline&) = delete;

  /// The exact tick: the number of ticks retired before the instruction that is now executing.
  Tick now() const { return slice_end_ - static_cast<u64>(*ticks_left_); }

  /// Starts a slice that may run until `end`; `*counter` is set to the ticks until then and is counted down
  /// by the engine.
  void begin_slice(i64* counter, Tick end) {
    const Tick start = now();
    ticks_left_ = counter;
    *ticks_left_ = static_cast<i64>(end - start);
    slice_end_ = end;
  }
  /// Ends the slice wherever the engine has come to.
  void end_slice() {
    const Tick at = now();
    ticks_left_ = &idle_counter_;
    slice_end_ = at;
  }
  /// Makes the running slice end at `end` if that is sooner (a timer was armed, an interrupt raised).
  void shorten_slice(Tick end) {
    if (ticks_left_ == &idle_counter_) return;
    const Tick at = now();
    if (end < at) end = at;
    if (end >= slice_end_) return;
    *ticks_left_ -= static_cast<i64>(slice_end_ - end);
    slice_end_ = end;
  }
  /// Skips idle time; only between slices.
  void skip_to(Tick tick) { slice_end_ = tick; }

 private:
  i64 idle_counter_ = 0;
  i64* ticks_left_ = &idle_counter_;
  Tick slice_end_ = 0;
};

/// Guest time as a function of the tick.
class Clock {
 public:
  explicit Clock(const Timeline& timeline) : timeline_(timeline) {}

  Tick tick() const { return timeline_.now(); }
  VirtualTime now() const { return at(timeline_.now()); }
  VirtualTime at(Tick tick) const {
    const u128 scaled = static_cast<u128>(tick - base_tick_) * rate_ + base_fraction_;
    return VirtualTime{base_time_.ns + static_cast<u64>(scaled >> 32)};
  }
  /// The first tick at which `now() >= time`; never earlier than the last rate change. kNever if out of
  /// range.
  Tick tick_of(VirtualTime time) const;

  /// Nanoseconds per tick as 32.32 fixed point, at least 1.
  u64 rate() const { return rate_; }
  /// Changes the rate from this tick on; guest time never goes backwards. Comes only from an input event.
  void set_rate(u64 rate_32_32);

  void visit_state(StateVisitor& v);

 private:
  const Timeline& timeline_;
  Tick base_tick_ = 0;
  VirtualTime base_time_{};
  u64 base_fraction_ = 0;  // in 2^-32 ns, below 2^32
  u64 rate_ = u64{1} << 32;
};

}  // namespace orrery
