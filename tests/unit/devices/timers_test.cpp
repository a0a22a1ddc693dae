// [8254], [MC146818A], [ACPI 4.8.3]: modes, time and interrupts of the timers.
#include "devices/timer/acpi_pm.h"
#include "devices/timer/cmos_rtc.h"
#include "devices/timer/cycles.h"
#include "devices/timer/i8254.h"

#include <gtest/gtest.h>

#include "tests/contract/bench.h"

namespace orrery::devices {
namespace {

struct Pit : testing::Test {
  tests::Bench bench;
  I8254 pit{bench.events, bench.line(0)};
  void write(u64 port, u64 v) { pit.ports().write(port, v, 1); }
  u64 read(u64 port) { return pit.ports().read(port, 1); }
  void count(u64 port, unsigned v) { write(port, v & 0xff), write(port, v >> 8); }
  u64 latched(unsigned counter) {
    write(3, counter << 6);
    const u64 low = read(counter);
    return low | read(counter) << 8;
  }
  void run_to_cycle(u64 cycle) {
    const u64 target = time_of_cycle(cycle, I8254::kHz).ns;
    if (target > bench.timeline.now()) bench.advance(target - bench.timeline.now());
  }
  bool irq() const { return bench.sink.levels[0]; }
};

TEST_F(Pit, Mode0InterruptsOnceAfterTheCount) {
  write(3, 0x30), count(0, 1000);
  EXPECT_FALSE(irq());
  run_to_cycle(1000);
  EXPECT_FALSE(irq());
  run_to_cycle(1001);
  EXPECT_TRUE(irq());
  run_to_cycle(5000);
  EXPECT_TRUE(irq());
  EXPECT_EQ(latched(0), (1000 - (5000 - 1)) & 0xffffu) << "counts on below zero";
}

TEST_F(Pit, Mode2PulsesEveryPeriod) {
  write(3, 0x34), count(0, 100);
  EXPECT_TRUE(irq());
  const u64 before = bench.sink.changes;
  run_to_cycle(1 + 100 * 50 + 10);
  EXPECT_EQ(bench.sink.changes - before, 100u) << "50 low pulses";
  EXPECT_EQ(latched(0), 90u);
  count(0, 200);  // takes effect at the end of the period
  EXPECT_EQ(latched(0), 90u);
  run_to_cycle(1 + 100 * 51 + 10);
  EXPECT_EQ(latched(0), 190u);
}

TEST_F(Pit, Mode3IsASquareWave) {
  write(3, 0x36), count(0, 5);
  u64 high = 0;
  for (u64 cycle = 1; cycle <= 50; ++cycle) {
    run_to_cycle(cycle);
    high += irq();
  }
  EXPECT_EQ(high, 30u) << "odd counts are high for (N + 1) / 2";
}

TEST_F(Pit, Mode3TakesANewCountAtTheEndOfTheHalf) {
  write(3, 0x36), count(0, 100);
  run_to_cycle(1 + 200 + 20);
  EXPECT_TRUE(irq());
  count(0, 40);  // within the high half, which ends at 250
  run_to_cycle(1 + 249);
  EXPECT_TRUE(irq());
  run_to_cycle(1 + 250);
  EXPECT_FALSE(irq());
  run_to_cycle(1 + 269);
  EXPECT_FALSE(irq()) << "the low half is of the new count: 20";
  run_to_cycle(1 + 270);
  EXPECT_TRUE(irq());
  run_to_cycle(1 + 290 + 5);
  EXPECT_FALSE(irq());
  count(0, 11);  // within the low half, which ends at 310
  count(0, 9);   // the last one counts
  run_to_cycle(1 + 309);
  EXPECT_FALSE(irq());
  run_to_cycle(1 + 310);
  EXPECT_TRUE(irq());
  run_to_cycle(1 + 314);
  EXPECT_TRUE(irq()) << "odd: five high, four low";
  run_to_cycle(1 + 315);
  EXPECT_FALSE(irq());
  run_to_cycle(1 + 319);
  EXPECT_TRUE(irq());
}

TEST_F(Pit, Mode4StrobesForOneCycle) {
  write(3, 0x38), count(0, 10);
  u64 low = 0;
  for (u64 cycle = 1; cycle <= 40; ++cycle) {
    run_to_cycle(cycle);
    low += !irq();
  }
  EXPECT_EQ(low, 1u);
}

TEST_F(Pit, Counter2NeedsItsGate) {
  write(3, 0xb0), count(2, 100);
  run_to_cycle(1000);
  EXPECT_EQ(pit.control_port().read(0, 1) & 0x20, 0u);
  pit.control_port().write(0, 1, 1);
  run_to_cycle(1099);
  EXPECT_EQ(pit.control_port().read(0, 1) & 0x20, 0u);
  run_to_cycle(1102);
  EXPECT_EQ(pit.control_port().read(0, 1) & 0x21, 0x21u);
}

TEST_F(Pit, Mode1And5AreTriggeredByTheGate) {
  write(3, 0xb2), count(2, 50);
  EXPECT_EQ(pit.control_port().read(0, 1) & 0x20, 0x20u);
  pit.control_port().write(0, 1, 1);
  run_to_cycle(20);
  EXPECT_EQ(pit.control_port().read(0, 1) & 0x20, 0u);
  run_to_cycle(60);
  EXPECT_EQ(pit.control_port().read(0, 1) & 0x20, 0x20u);
}

TEST_F(Pit, LatchReadBackAndBcd) {
  write(3, 0x31), count(0, 0x1000);  // BCD 1000
  run_to_cycle(11);
  EXPECT_EQ(latched(0), 0x0990u);
  write(3, 0xe2);  // read-back: status of counter 0
  EXPECT_EQ(read(0), 0x31u);
  write(3, 0xc2);  // status and count
  EXPECT_EQ(read(0), 0x31u);
  const u64 low = read(0);
  EXPECT_EQ(low | read(0) << 8, 0x0990u);
}

TEST_F(Pit, RefreshBitToggles) {
  const u64 first = pit.control_port().read(0, 1) & 0x10;
  bench.advance(15'085);
  EXPECT_NE(pit.control_port().read(0, 1) & 0x10, first);
}

struct Rtc : testing::Test {
  tests::Bench bench;
  CmosRtc rtc{{.start_epoch = 951'782'399}, bench.events, bench.line(8)};  // 2000-02-28 23:59:59
  u64 read(u8 index) {
    rtc.write(0, index, 1);
    return rtc.read(1, 1);
  }
  void write(u8 index, u8 v) {
    rtc.write(0, index, 1);
    rtc.write(1, v, 1);
  }
  bool irq() const { return bench.sink.levels[8]; }
};

TEST_F(Rtc, KeepsTheCalendar) {
  EXPECT_EQ(read(0), 0x59u);
  EXPECT_EQ(read(2), 0x59u);
  EXPECT_EQ(read(4), 0x23u);
  EXPECT_EQ(read(7), 0x28u);
  EXPECT_EQ(read(8), 0x02u);
  EXPECT_EQ(read(9), 0x00u);
  EXPECT_EQ(read(0x32), 0x20u);
  EXPECT_EQ(read(6), 2u) << "a Monday";
  bench.advance(1'000'000'000);
  EXPECT_EQ(read(7), 0x29u) << "2000 is a leap year";
  EXPECT_EQ(read(4), 0u);
}

TEST_F(Rtc, TimeIsSetUnderSetAndKeptAcrossFormats) {
  write(11, 0x82);
  write(0, 0x10), write(2, 0x20), write(4, 0x15), write(7, 0x31), write(8, 0x12), write(9, 0x99),
      write(0x32, 0x19);
  bench.advance(5'000'000'000);
  EXPECT_EQ(read(0), 0x10u) << "held";
  write(11, 0x02);
  bench.advance(2'000'000'000);
  EXPECT_EQ(read(0), 0x12u);
  write(11, 0x04);  // binary, 12 hours
  EXPECT_EQ(read(0), 12u);
  EXPECT_EQ(read(4), 0x83u);
  EXPECT_EQ(read(9), 99u);
}

TEST_F(Rtc, UpdateInProgressPrecedesTheSecond) {
  EXPECT_EQ(read(10) & 0x80, 0u);
  bench.advance(999'000'000);
  EXPECT_EQ(read(10) & 0x80, 0x80u);
  bench.advance(1'000'000);
  EXPECT_EQ(read(10) & 0x80, 0u);
}

TEST_F(Rtc, PeriodicUpdateAndAlarmInterrupts) {
  write(11, 0x42);  // 1024 Hz
  bench.advance(970'000);
  EXPECT_FALSE(irq());
  bench.advance(10'000);
  EXPECT_TRUE(irq());
  EXPECT_EQ(read(12) & 0xc0, 0xc0u);
  EXPECT_FALSE(irq());
  write(11, 0x12);
  read(12);
  bench.advance(1'000'000'000);
  EXPECT_EQ(read(12) & 0x90, 0x90u);
  write(1, 0x05), write(3, 0xff), write(5, 0xff), write(11, 0x22);
  read(12);
  bench.advance(3'000'000'000);
  EXPECT_FALSE(irq());
  bench.advance(2'000'000'000);
  EXPECT_EQ(read(12) & 0xa0, 0xa0u);
}

struct Pm : testing::Test {
  tests::Bench bench;
  AcpiPm pm{{.soft_off_types = 1 << 5}, bench.events, bench.line(9), bench.control};
};

TEST_F(Pm, TimerCountsAndOverflowsIntoAnSci) {
  bench.advance(1'000'000'000);
  EXPECT_EQ(pm.ports().read(AcpiPm::kTimerOffset, 4), 3'579'545u);
  pm.enable_acpi_mode();
  pm.ports().write(2, 1, 2);
  EXPECT_FALSE(bench.sink.levels[9]);
  bench.advance(1'400'000'000);  // bit 23 changes after 2.34 s
  EXPECT_TRUE(bench.sink.levels[9]);
  EXPECT_EQ(pm.ports().read(0, 2), 1u);
  pm.ports().write(0, 1, 2);
  EXPECT_FALSE(bench.sink.levels[9]);
}

TEST_F(Pm, SwitchesOffAndResets) {
  EXPECT_EQ(pm.ports().read(AcpiPm::kControlOffset, 2) & 1, 0u);
  pm.smi_ports().write(0, AcpiPm::kAcpiEnable, 1);
  EXPECT_EQ(pm.ports().read(AcpiPm::kControlOffset, 2) & 1, 1u);
  pm.ports().write(AcpiPm::kControlOffset, 5 << 10, 2);
  EXPECT_EQ(bench.control.power_offs, 0u);
  pm.ports().write(AcpiPm::kControlOffset, 5 << 10 | 1 << 13, 2);
  EXPECT_EQ(bench.control.power_offs, 1u);
  pm.reset_port().write(0, 0x02, 1);
  pm.reset_port().write(0, 0x06, 1);
  EXPECT_EQ(bench.control.resets, 1u);
}

}  // namespace
}  // namespace orrery::devices
