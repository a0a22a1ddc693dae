#include "base/clock.h"

namespace orrery {

Tick Clock::tick_of(VirtualTime time) const {
  if (time <= base_time_) return base_tick_;
  // Smallest n with (n * rate + fraction) >> 32 >= time - base_time.
  const u128 wanted = (static_cast<u128>(time.ns - base_time_.ns) << 32) - base_fraction_;
  const u128 n = (wanted + rate_ - 1) / rate_;
  if (n >= static_cast<u128>(kNever - base_tick_)) return kNever;
  return base_tick_ + static_cast<u64>(n);
}

void Clock::set_rate(u64 rate_32_32) {
  CHECK(rate_32_32 > 0);
  const Tick tick = timeline_.now();
  const u128 scaled = static_cast<u128>(tick - base_tick_) * rate_ + base_fraction_;
  base_time_.ns += static_cast<u64>(scaled >> 32);
  base_fraction_ = static_cast<u64>(scaled & 0xffffffffu);
  base_tick_ = tick;
  rate_ = rate_32_32;
}

void Clock::visit_state(StateVisitor& v) {
  v.begin("clock", 1);
  v.field("base_tick", base_tick_);
  v.field("base_time", base_time_);
  v.field("base_fraction", base_fraction_);
  v.field("rate", rate_);
  v.require(rate_ > 0 && base_fraction_ < (u64{1} << 32), "rate is positive");
  if (v.loading() && rate_ == 0) rate_ = u64{1} << 32;
  v.end();
}

}  // namespace orrery
