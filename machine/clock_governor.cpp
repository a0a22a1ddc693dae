#include "machine/clock_governor.h"

#include <algorithm>

namespace orrery::machine {
namespace {

constexpr i64 kPeriodNs = 10'000'000;
/// A host gap over this (suspend, SIGSTOP) is dropped, not caught up.
constexpr i64 kGapNs = 1'000'000'000;
/// An error is worked off over about this long.
constexpr double kHorizonNs = 100e6;
constexpr double kMinSlew = 0.1, kMaxSlew = 10.0;
/// Rates from 2^-10 to 2^14 ns per tick.
constexpr double kMinRate = 1.0 / 1024, kMaxRate = 16384.0;
constexpr double kOne = 4294967296.0;

/// A sample of the engine's speed needs this many ticks, counts this much, and may differ by this factor.
constexpr Tick kMinSampleTicks = 20'000;
constexpr double kSampleWeight = 0.25, kMaxSampleFactor = 4.0;

i64 ns_between(HostClock::time_point from, HostClock::time_point to) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(to - from).count();
}

}  // namespace

void ClockGovernor::start(HostClock::time_point now, u64 cpu_ns) {
  base_host_ = now;
  base_guest_ = clock_.now();
  last_host_ = now;
  last_cpu_ns_ = cpu_ns;
}

std::optional<u64> ClockGovernor::correction(HostClock::time_point now, Tick ticks_run, u64 cpu_ns) {
  if (policy_ != ClockPolicy::kFollow) return std::nullopt;
  const i64 passed = ns_between(last_host_, now);
  if (passed < kPeriodNs) return std::nullopt;
  const double spent = static_cast<double>(cpu_ns - last_cpu_ns_);
  const Tick ticks = ticks_run - last_ticks_run_;
  last_host_ = now;
  last_cpu_ns_ = cpu_ns;
  last_ticks_run_ = ticks_run;
  if (passed > kGapNs) {
    base_host_ += std::chrono::nanoseconds(passed);
    return std::nullopt;
  }
  if (ticks >= kMinSampleTicks) {
    const double sample = spent / static_cast<double>(ticks);
    even_rate_ = even_rate_ == 0 ? sample
                                 : even_rate_ * (1 - kSampleWeight) +
                                       kSampleWeight * std::clamp(sample, even_rate_ / kMaxSampleFactor,
                                                                  even_rate_ * kMaxSampleFactor);
  }
  if (even_rate_ == 0) return std::nullopt;
  const double behind = static_cast<double>(ns_between(base_host_, now)) -
                        static_cast<double>(clock_.now().ns - base_guest_.ns);
  const double slew = std::clamp(1.0 + behind / kHorizonNs, kMinSlew, kMaxSlew);
  const double rate = std::clamp(even_rate_ * slew, kMinRate, kMaxRate);
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

void ClockGovernor::end_idle(HostClock::time_point now, HostClock::time_point wanted) {
  last_host_ = now;
  if (const i64 late = ns_between(wanted, now); late > kGapNs) base_host_ += std::chrono::nanoseconds(late);
}

}  // namespace orrery::machine
