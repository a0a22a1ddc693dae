// ClockGovernor: how guest time follows the host's. `fixed` never changes the rate; `follow` corrects it
// about every 10 ms of host time so that the guest's clock keeps up with the host's (docs/determinism.md).
//
// The engine's own speed (CPU time per tick run, smoothed) gives the even rate; how far guest time is behind
// the host's wall clock slews it. A host that starves this process for a moment thus never makes guest time
// jump ahead.
//
// It only decides: the correction itself enters through the InputPort, so that a recording holds it.
#pragma once

#include <chrono>
#include <optional>

#include "base/clock.h"
#include "machine/config.h"

namespace orrery::machine {

using HostClock = std::chrono::steady_clock;

class ClockGovernor {
 public:
  ClockGovernor(ClockPolicy policy, const Clock& clock) : policy_(policy), clock_(clock) {}

  /// The host moment from which guest time is followed: now. `cpu_ns`: CPU time of the machine's thread so
  /// far.
  void start(HostClock::time_point now, u64 cpu_ns);
  /// A new rate for Clock::set_rate, when it is time for one and it differs. `ticks_run`: all ticks but idle
  /// ones, and `cpu_ns` the CPU time of the machine's thread, both so far.
  std::optional<u64> correction(HostClock::time_point now, Tick ticks_run, u64 cpu_ns);
  /// The host moment at which guest time reaches `time`, if the guest idles until then.
  HostClock::time_point host_time_of(VirtualTime time) const;
  /// The guest time that belongs to a host moment.
  VirtualTime guest_time_of(HostClock::time_point now) const;
  /// `fixed`, pacing an idle machine to the host: idle time counts from now.
  void start_idle(HostClock::time_point now);
  /// The machine slept until `now` and had wanted to until `wanted` at most: a sleep is no host gap,
  /// oversleeping by more than a second is.
  void end_idle(HostClock::time_point now, HostClock::time_point wanted);

 private:
  ClockPolicy policy_;
  const Clock& clock_;
  HostClock::time_point base_host_{};
  VirtualTime base_guest_{};
  HostClock::time_point last_host_{};
  u64 last_cpu_ns_ = 0;
  Tick last_ticks_run_ = 0;
  double even_rate_ = 0;  // nanoseconds of CPU time per tick; 0: not known yet
};

}  // namespace orrery::machine
