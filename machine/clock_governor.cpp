#include "machine/clock_governor.h"

#include <algorithm>

namespace orrery::machine {
namespace {

constexpr i64 kPeriodNs = 10'000'000;
/// A guest that is further ahead of the host than `kAheadNs` is corrected sooner: what it is ahead, it sleeps when it idles.
constexpr i64 kEarlyPeriodNs = 1'000'000, kAheadNs = 20'000'000;
/// How fast the guest runs is the best of the last periods, each forgotten by this factor. One in which the host gave no
/// time, or was late with a disk, says nothing about the next: a rate made from it would take the guest's clock
/// half a minute ahead within one period.
constexpr double kForget = 0.9;
/// A host gap over this (suspend, SIGSTOP) is dropped, not caught up.
constexpr i64 kGapNs = 1'000'000'000;
/// An error is worked off over about this long.
constexpr double kHorizonNs = 100e6;
constexpr double kMinSlew = 0.1, kMaxSlew = 10.0;
/// Rates from 2^-10 to 2^14 ns per tick.
constexpr double kMinRate = 1.0 / 1024, kMaxRate = 16384.0;
constexpr double kOne = 4294967296.0;

i64 ns_between(HostClock::time_point from, HostClock::time_point to) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(to - from).count();
}

}  // namespace

void ClockGovernor::start(HostClock::time_point now) {
  base_host_ = now;
  base_guest_ = clock_.now();
  last_host_ = now;
  last_tick_ = clock_.tick();
}

std::optional<u64> ClockGovernor::correction(HostClock::time_point now) {
  if (policy_ != ClockPolicy::kFollow) return std::nullopt;
  const i64 passed = ns_between(last_host_, now);
  const double behind = static_cast<double>(ns_between(base_host_, now)) - static_cast<double>(clock_.now().ns - base_guest_.ns);
  const bool too_far_ahead = behind < -kAheadNs && passed >= kEarlyPeriodNs;
  if (passed < kPeriodNs && !too_far_ahead) return std::nullopt;
  const Tick ticks = clock_.tick() - last_tick_;
  last_host_ = now;
  last_tick_ = clock_.tick();
  if (passed > kGapNs) {
    base_host_ += std::chrono::nanoseconds(passed);
    return std::nullopt;
  }
  if (ticks == 0) return std::nullopt;
  ticks_per_ns_ = std::max(static_cast<double>(ticks) / static_cast<double>(passed), ticks_per_ns_ * kForget);
  const double even = 1 / ticks_per_ns_;
  const double slew = std::clamp(1.0 + behind / kHorizonNs, kMinSlew, kMaxSlew);
  const double rate = std::clamp(even * slew, kMinRate, kMaxRate);
  const auto fixed_point = static_cast<u64>(rate * kOne);
  if (fixed_point == clock_.rate()) return std::nullopt;
  return fixed_point;
}

HostClock::time_point ClockGovernor::host_time_of(VirtualTime time) const {
  const u64 ahead = time.ns > base_guest_.ns ? time.ns - base_guest_.ns : 0;
  // An hour at most: the caller looks again.
  constexpr u64 kLongest = u64{3600} * 1'000'000'000;
  const u64 from_now = clock_.now().ns + kLongest;
  const u64 bounded = std::min(ahead, from_now > base_guest_.ns ? from_now - base_guest_.ns : ahead);
  return base_host_ + std::chrono::nanoseconds(bounded);
}

VirtualTime ClockGovernor::guest_time_of(HostClock::time_point now) const {
  const i64 passed = ns_between(base_host_, now);
  return {base_guest_.ns + (passed > 0 ? static_cast<u64>(passed) : 0)};
}

void ClockGovernor::start_idle(HostClock::time_point now) {
  if (policy_ != ClockPolicy::kFixed) return;
  base_host_ = now;
  base_guest_ = clock_.now();
}

}  // namespace orrery::machine
