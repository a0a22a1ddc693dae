// The HPET against its specification.
#include <gtest/gtest.h>

#include "devices/timer/hpet.h"
#include "tests/contract/bench.h"

namespace orrery::devices {
namespace {

using tests::Bench;

struct HpetTest : testing::Test {
  Bench bench;
  Hpet hpet{bench.events, bench.sink, bench.line(24), bench.line(25)};
  static constexpr u64 kMillisecond = 14'318;  // cycles, just under

  void configure(unsigned n, u64 value) { hpet.write(0x100 + 0x20 * n, value, 4); }
  void compare(unsigned n, u64 value) { hpet.write(0x108 + 0x20 * n, value, 8); }
  void run(u64 bits = 1) { hpet.write(0x10, bits, 4); }
  u64 counter() { return hpet.read(0xf0, 8); }
  static u64 route(unsigned gsi) { return gsi << 9; }
};

TEST_F(HpetTest, IdentityAndAbilities) {
  EXPECT_EQ(hpet.read(0, 8), 0x0429b17f8086a201u);
  EXPECT_EQ(hpet.read(4, 4), 69'841'279u) << "femtoseconds";
  EXPECT_EQ(hpet.read(0x100, 8), 0x00f0000000000030u);
  EXPECT_EQ(hpet.read(0x120, 8), 0x00f0000000000000u);
  EXPECT_EQ(hpet.read(0x140, 8), 0x00f0080000000000u);
  EXPECT_EQ(hpet.read(0x108, 8), ~u64{0});
  EXPECT_EQ(hpet.read(0x128, 8), 0xffffffffu) << "32 bits wide";
  EXPECT_EQ(hpet.read(0x160, 8), 0u) << "there is no fourth";
}

TEST_F(HpetTest, CountsWhileEnabledAndKeepsItsValueWhileHalted) {
  bench.advance(1'000'000);
  EXPECT_EQ(counter(), 0u);
  run();
  bench.advance(1'000'000'000);
  EXPECT_NEAR(static_cast<double>(counter()), 14'318'180, 1);
  hpet.write(0xf0, 5, 8);
  EXPECT_GT(counter(), 5u) << "may be written only while halted";
  run(0);
  const u64 halted = counter();
  bench.advance(1'000'000);
  EXPECT_EQ(counter(), halted);
  hpet.write(0xf4, 1, 4);
  EXPECT_EQ(counter(), (u64{1} << 32) + halted);
  run();
  bench.advance(1'000'000);
  EXPECT_EQ(counter(), (u64{1} << 32) + halted + kMillisecond);
}

TEST_F(HpetTest, OneShotEdgeOnAnIoApicPin) {
  configure(1, route(21) | 4);
  compare(1, kMillisecond);
  run();
  bench.advance(999'000);
  EXPECT_FALSE(bench.sink.levels[21]);
  bench.advance(2'000);
  EXPECT_TRUE(bench.sink.levels[21]);
  EXPECT_EQ(hpet.read(0x20, 8), 0u) << "no status for edges";
  const u64 changes = bench.sink.changes;
  compare(1, 2 * kMillisecond);
  bench.advance(1'000'000);
  EXPECT_EQ(bench.sink.changes, changes + 2) << "a new edge";
  EXPECT_TRUE(bench.sink.levels[21]);
  configure(1, route(21));
  EXPECT_FALSE(bench.sink.levels[21]) << "disabled";
}

TEST_F(HpetTest, LevelStaysUntilItsStatusIsCleared) {
  configure(2, route(11) | 6);
  compare(2, kMillisecond);
  run();
  bench.advance(1'100'000);
  EXPECT_TRUE(bench.sink.levels[11]);
  EXPECT_EQ(hpet.read(0x20, 4), 4u);
  hpet.write(0x20, 3, 4);
  EXPECT_TRUE(bench.sink.levels[11]) << "other bits";
  hpet.write(0x20, 4, 4);
  EXPECT_FALSE(bench.sink.levels[11]);
  EXPECT_EQ(hpet.read(0x20, 4), 0u);
}

TEST_F(HpetTest, ARouteThatIsNotThereIsNotTaken) {
  configure(0, route(11) | 4);
  EXPECT_EQ(hpet.read(0x100, 4) >> 9 & 31, 0u);
  configure(0, route(23) | 4);
  EXPECT_EQ(hpet.read(0x100, 4) >> 9 & 31, 23u);
  configure(0, route(2) | 4);
  EXPECT_EQ(hpet.read(0x100, 4) >> 9 & 31, 23u);
  configure(1, route(20) | 0x14c);
  EXPECT_EQ(hpet.read(0x120, 4), route(20) | 4) << "neither periodic nor 64 bits wide";
}

// As Linux sets it up: VAL_SET, the first match, then the period.
TEST_F(HpetTest, PeriodicAddsThePeriodAfterEachMatch) {
  configure(0, route(20) | 0x14c);
  compare(0, 3 * kMillisecond);
  EXPECT_EQ(hpet.read(0x100, 4) & 0x40, 0u) << "VAL_SET clears itself";
  compare(0, kMillisecond);
  EXPECT_EQ(hpet.read(0x108, 8), 3 * kMillisecond);
  run();
  bench.advance(2'900'000);
  EXPECT_EQ(bench.sink.changes, 0u);
  bench.advance(200'000);
  EXPECT_EQ(bench.sink.changes, 1u);
  EXPECT_EQ(hpet.read(0x108, 8), 4 * kMillisecond);
  bench.advance(10'000'000);
  EXPECT_EQ(bench.sink.changes, 21u) << "ten more edges";
  EXPECT_EQ(hpet.read(0x108, 8), 14 * kMillisecond);
}

TEST_F(HpetTest, PeriodicMovesOnWithoutInterrupts) {
  configure(0, route(20) | 0x48);
  compare(0, 1000);
  run();
  bench.advance(1'000'000);
  EXPECT_EQ(hpet.read(0x108, 8), 15'000u);
  EXPECT_EQ(bench.sink.changes, 0u);
  EXPECT_EQ(bench.events.next_tick(), kNever) << "no timer runs for it";
}

TEST_F(HpetTest, ThirtyTwoBitsMatchAgainAfterAWrap) {
  configure(1, route(22) | 4);
  hpet.write(0xf0, 0xffffff00, 8);
  compare(1, 0x10);
  run();
  bench.advance(20'000);
  EXPECT_EQ(bench.sink.changes, 1u);
  EXPECT_GT(counter(), u64{1} << 32);
  bench.advance(301'000'000'000);
  EXPECT_EQ(bench.sink.changes, 3u);
}

TEST_F(HpetTest, LegacyReplacementTakesIrq0AndIrq8) {
  IrqLine pit = hpet.pit_input();
  IrqLine rtc = hpet.rtc_input();
  pit.raise();
  rtc.raise();
  EXPECT_TRUE(bench.sink.levels[24] && bench.sink.levels[25]);
  run(2);
  EXPECT_FALSE(bench.sink.levels[24] || bench.sink.levels[25]) << "cut off";
  configure(0, route(20) | 4);
  configure(1, route(20) | 4);
  compare(0, kMillisecond);
  compare(1, 2 * kMillisecond);
  run(3);
  bench.advance(1'500'000);
  EXPECT_TRUE(bench.sink.levels[24]);
  EXPECT_FALSE(bench.sink.levels[25]);
  bench.advance(1'000'000);
  EXPECT_TRUE(bench.sink.levels[25]);
  EXPECT_FALSE(bench.sink.levels[20]) << "their own routes mean nothing";
  run(1);
  EXPECT_TRUE(bench.sink.levels[24] && bench.sink.levels[25]) << "the 8254's and the RTC's again";
  EXPECT_TRUE(bench.sink.levels[20]);
}

TEST_F(HpetTest, AValueThatIsNowMatchesNow) {
  configure(1, route(20) | 4);
  run();
  bench.advance(1'000'000);
  compare(1, counter());
  bench.advance(1);
  EXPECT_EQ(bench.sink.changes, 1u);
  bench.advance(1'000'000);
  EXPECT_EQ(bench.sink.changes, 1u);
}

}  // namespace
}  // namespace orrery::devices
