// `follow`: the guest's clock keeps near the host's, also after the host was late.

#include "machine/clock_governor.h"

#include <gtest/gtest.h>

namespace orrery::machine {
namespace {

using namespace std::chrono_literals;

struct Follower {
  Timeline timeline;
  Clock clock{timeline};
  ClockGovernor governor{ClockPolicy::kFollow, clock};
  HostClock::time_point host{};

  Follower() { governor.start(host); }
  /// The host's clock moves on while the guest retires `ticks`.
  void pass(std::chrono::nanoseconds time, Tick ticks) {
    host += time;
    timeline.skip_to(timeline.now() + ticks);
    if (const auto rate = governor.correction(host)) clock.set_rate(*rate);
  }
  double ahead_ms() const {
    return (static_cast<double>(clock.now().ns) - static_cast<double>(std::chrono::nanoseconds(host.time_since_epoch()).count())) / 1e6;
  }
};

TEST(ClockGovernor, SteadySpeedKeepsTheClocksTogether) {
  Follower f;
  for (int i = 0; i < 2000; ++i) f.pass(1ms, 200'000);
  EXPECT_LT(std::abs(f.ahead_ms()), 20);
}

TEST(ClockGovernor, AHostThatWasLateDoesNotSendTheGuestAhead) {
  Follower f;
  for (int i = 0; i < 1000; ++i) f.pass(1ms, 200'000);
  for (int stall = 0; stall < 5; ++stall) {
    // A flush that takes half a second while the guest retires next to nothing; then full speed.
    f.pass(500ms, 1000);
    for (int i = 0; i < 1000; ++i) {
      f.pass(1ms, 200'000);
      ASSERT_LT(f.ahead_ms(), 200) << "stall " << stall << ", millisecond " << i;
    }
    EXPECT_LT(std::abs(f.ahead_ms()), 60) << "stall " << stall;
  }
}

}  // namespace
}  // namespace orrery::machine
