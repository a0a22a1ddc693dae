// How guest time follows the host's: what counts as a gap, and where an idle machine wakes.
#include "machine/clock_governor.h"

#include <gtest/gtest.h>

namespace orrery::machine {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class ClockGovernorTest : public ::testing::Test {
 protected:
  Timeline timeline_;
  Clock clock_{timeline_};
  ClockGovernor governor_{ClockPolicy::kFollow, clock_};
  const HostClock::time_point start_ = HostClock::time_point(seconds(1000));
};

TEST_F(ClockGovernorTest, AHostGapIsDropped) {
  governor_.start(start_, 0);
  EXPECT_EQ(governor_.correction(start_ + seconds(5), 1'000'000, 5'000'000), std::nullopt);
  EXPECT_EQ(governor_.host_time_of(VirtualTime{1000}), start_ + seconds(5) + std::chrono::nanoseconds(1000));
}

TEST_F(ClockGovernorTest, ASleepIsNoGap) {
  governor_.start(start_, 0);
  governor_.end_idle(start_ + seconds(5), start_ + seconds(5));
  static_cast<void>(governor_.correction(start_ + seconds(5) + milliseconds(20), 1'000'000, 5'000'000));
  EXPECT_EQ(governor_.host_time_of(VirtualTime{1000}), start_ + std::chrono::nanoseconds(1000));
}

TEST_F(ClockGovernorTest, OversleepingIsAGap) {
  governor_.start(start_, 0);
  governor_.end_idle(start_ + seconds(9), start_ + seconds(2));
  EXPECT_EQ(governor_.host_time_of(VirtualTime{0}), start_ + seconds(7));
}

TEST_F(ClockGovernorTest, AGuestFarBehindGoesFasterThanOneAhead) {
  // The same speed sample; only how far guest time has come differs.
  ClockGovernor other(ClockPolicy::kFollow, clock_);
  governor_.start(start_, 0);
  other.start(start_, 0);
  timeline_.skip_to(500'000'000);  // half a second of guest time
  const auto ahead = governor_.correction(start_ + milliseconds(20), 1'000'000, 5'000'000);
  const auto behind = other.correction(start_ + milliseconds(900), 1'000'000, 5'000'000);
  ASSERT_TRUE(ahead && behind);
  EXPECT_LT(*ahead, *behind);
}

TEST_F(ClockGovernorTest, FixedNeverCorrects) {
  ClockGovernor fixed(ClockPolicy::kFixed, clock_);
  fixed.start(start_, 0);
  EXPECT_EQ(fixed.correction(start_ + milliseconds(50), 1'000'000, 5'000'000), std::nullopt);
}

}  // namespace
}  // namespace orrery::machine
