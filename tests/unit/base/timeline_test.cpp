// Timeline, Clock and EventQueue: exact ticks inside a slice, tick_of as the inverse of time, the order of
// timers.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/event_queue.h"

namespace orrery {
namespace {

TEST(TimelineTest, TicksAreExactInsideASlice) {
  Timeline timeline;
  i64 counter = 0;
  timeline.begin_slice(&counter, 100);
  EXPECT_EQ(counter, 100);
  counter -= 30;
  EXPECT_EQ(timeline.now(), 30u);
  timeline.shorten_slice(50);
  EXPECT_EQ(counter, 20);
  EXPECT_EQ(timeline.now(), 30u);
  timeline.shorten_slice(10);  // in the past: at once
  EXPECT_EQ(counter, 0);
  EXPECT_EQ(timeline.now(), 30u);
  timeline.shorten_slice(90);  // later than now: nothing
  EXPECT_EQ(counter, 0);
  timeline.end_slice();
  EXPECT_EQ(timeline.now(), 30u);
  timeline.skip_to(1000);
  EXPECT_EQ(timeline.now(), 1000u);
}

TEST(TimelineTest, AnOverrunCountsOn) {
  Timeline timeline;
  i64 counter = 0;
  timeline.begin_slice(&counter, 10);
  counter -= 13;  // a rep instruction charged at its end
  EXPECT_EQ(timeline.now(), 13u);
  timeline.end_slice();
  EXPECT_EQ(timeline.now(), 13u);
}

TEST(ClockTest, TickOfIsTheFirstTickThatReachesATime) {
  u64 x = 0x9e3779b97f4a7c15;
  const auto random = [&x] { return x ^= x << 13, x ^= x >> 7, x ^= x << 17; };
  for (int i = 0; i < 3000; ++i) {
    Timeline timeline;
    Clock clock(timeline);
    for (int change = 0; change < 3; ++change) {
      timeline.skip_to(timeline.now() + random() % 1'000'000);
      clock.set_rate((random() >> (random() % 60)) % (u64{1} << 40) + 1);
    }
    const VirtualTime wanted = clock.now() + VirtualTime{random() % 10'000'000};
    const Tick tick = clock.tick_of(wanted);
    ASSERT_GE(clock.at(tick), wanted);
    if (tick > timeline.now()) {
      ASSERT_LT(clock.at(tick - 1), wanted);
    }
  }
}

TEST(ClockTest, TimeNeverGoesBackAndChangesOfRateLoseNothing) {
  Timeline timeline;
  Clock clock(timeline);
  clock.set_rate((u64{1} << 32) / 3);
  VirtualTime last{};
  for (Tick tick = 0; tick < 10'000; ++tick) {
    timeline.skip_to(tick);
    clock.set_rate((u64{1} << 32) / 3);  // fractions are carried over
    EXPECT_GE(clock.now(), last);
    last = clock.now();
  }
  EXPECT_NEAR(static_cast<double>(last.ns), 3333.0, 1.0);
}

TEST(ClockTest, TheEndOfTimeIsNever) {
  Timeline timeline;
  Clock clock(timeline);
  clock.set_rate(1);
  EXPECT_EQ(clock.tick_of(kEndOfTime), kNever);
}

class EventQueueTest : public testing::Test {
 protected:
  std::function<void()> note(char name) {
    return [this, name] { fired += name; };
  }
  Timeline timeline;
  Clock clock{timeline};
  EventQueue queue{timeline, clock};
  std::string fired;
};

TEST_F(EventQueueTest, FiresByDeadlineThenByOrderOfArming) {
  Timer a(queue, "a", note('a')), b(queue, "b", note('b')), c(queue, "c", note('c'));
  c.arm({20});
  b.arm({10});
  a.arm({10});
  EXPECT_EQ(queue.next_tick(), 10u);
  timeline.skip_to(9);
  queue.fire_due();
  EXPECT_EQ(fired, "");
  timeline.skip_to(30);
  queue.fire_due();
  EXPECT_EQ(fired, "bac");
  EXPECT_EQ(queue.next_tick(), kNever);
}

TEST_F(EventQueueTest, CancelRearmAndDestroy) {
  Timer a(queue, "a", note('a'));
  {
    Timer b(queue, "b", note('b'));
    b.arm({1});
    a.arm({5});
    EXPECT_EQ(queue.next_deadline(), VirtualTime{1});
  }
  EXPECT_EQ(queue.next_deadline(), VirtualTime{5});
  a.arm({7});
  EXPECT_EQ(queue.next_deadline(), VirtualTime{7});
  a.cancel();
  EXPECT_FALSE(a.armed());
  EXPECT_EQ(queue.next_tick(), kNever);
}

TEST_F(EventQueueTest, ATimerThatRearmsInThePastDoesNotHoldTheMachine) {
  Timer* self = nullptr;
  Timer a(queue, "a", [&] {
    fired += 'a';
    self->arm({0});
  });
  self = &a;
  a.arm({0});
  queue.fire_due();
  EXPECT_EQ(fired, "a");
  queue.fire_due();
  EXPECT_EQ(fired, "aa");
}

TEST_F(EventQueueTest, ArmingInsideASliceShortensIt) {
  Timer a(queue, "a", note('a'));
  i64 counter = 0;
  timeline.begin_slice(&counter, 1000);
  counter -= 100;
  a.arm({300});
  EXPECT_EQ(counter, 200);
  a.arm({0});  // already past: after the running instruction
  EXPECT_EQ(counter, 1);
}

TEST_F(EventQueueTest, StateRoundTrip) {
  Timer a(queue, "a", note('a')), b(queue, "b", note('b'));
  b.arm({3});
  a.arm({3});
  StateWriter writer;
  queue.visit_state(writer);
  a.cancel();
  b.arm({9});
  StateReader reader(writer.bytes());
  queue.visit_state(reader);
  ASSERT_TRUE(reader.finish().ok());
  timeline.skip_to(3);
  queue.fire_due();
  EXPECT_EQ(fired, "ba");
}

}  // namespace
}  // namespace orrery
