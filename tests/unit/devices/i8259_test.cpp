// [8259A]: priorities, modes and commands of the pair.
#include "devices/irq/i8259.h"

#include <gtest/gtest.h>

#include "tests/contract/bench.h"

namespace orrery::devices {
namespace {

struct Pic : testing::Test {
  tests::Bench bench;
  I8259Pair pic{bench.line(0)};
  void master(u64 offset, u64 v) { pic.master_ports().write(offset, v, 1); }
  void slave(u64 offset, u64 v) { pic.slave_ports().write(offset, v, 1); }
  bool intr() const { return bench.sink.levels[0]; }
  void initialise(u8 icw4 = 1) {
    master(0, 0x11), master(1, 0x20), master(1, 4), master(1, icw4);
    slave(0, 0x11), slave(1, 0x28), slave(1, 2), slave(1, icw4);
  }
  u64 isr(memory::IoHandler& ports) {
    ports.write(0, 0x0b, 1);
    return ports.read(0, 1);
  }
};

TEST_F(Pic, NothingBeforeInitialisation) {
  pic.set_irq(1, true);
  EXPECT_FALSE(intr());
}

TEST_F(Pic, FixedPriorityNests) {
  initialise();
  pic.set_irq(4, true);
  EXPECT_TRUE(intr());
  EXPECT_EQ(pic.acknowledge_interrupt(), 0x24);
  pic.set_irq(5, true);
  EXPECT_FALSE(intr()) << "lower priority waits";
  pic.set_irq(1, true);
  EXPECT_TRUE(intr()) << "higher priority interrupts";
  EXPECT_EQ(pic.acknowledge_interrupt(), 0x21);
  EXPECT_EQ(isr(pic.master_ports()), 0x12u);
  master(0, 0x20);  // non-specific EOI ends the highest
  EXPECT_EQ(isr(pic.master_ports()), 0x10u);
  master(0, 0x64);  // specific
  EXPECT_EQ(isr(pic.master_ports()), 0u);
  EXPECT_EQ(pic.acknowledge_interrupt(), 0x25);
}

TEST_F(Pic, SlaveCascadesAndOneEdgeIsOneInterrupt) {
  initialise();
  pic.set_irq(8, true);
  EXPECT_EQ(pic.acknowledge_interrupt(), 0x28);
  EXPECT_EQ(isr(pic.master_ports()), 4u);
  EXPECT_EQ(isr(pic.slave_ports()), 1u);
  slave(0, 0x20), master(0, 0x20);
  EXPECT_FALSE(intr()) << "the line is high but makes no new edge";
  pic.set_irq(8, false), pic.set_irq(8, true);
  EXPECT_TRUE(intr());
}

TEST_F(Pic, LostRequestsAreSpurious) {
  initialise();
  EXPECT_EQ(pic.acknowledge_interrupt(), 0x27);
  EXPECT_EQ(isr(pic.master_ports()), 0u);
}

TEST_F(Pic, LevelInputsAskAgainAfterEoi) {
  initialise();
  pic.elcr_ports().write(1, 0xff, 1);
  EXPECT_EQ(pic.elcr_ports().read(1, 1), 0xdeu) << "IRQ 8 and 13 stay edge";
  pic.set_irq(10, true);
  EXPECT_EQ(pic.acknowledge_interrupt(), 0x2a);
  slave(0, 0x20), master(0, 0x20);
  EXPECT_TRUE(intr());
  pic.set_irq(10, false);
  EXPECT_FALSE(intr());
}

TEST_F(Pic, AutomaticEoiRotationMaskAndPoll) {
  initialise(3);
  master(0, 0x80);  // rotate on AEOI
  pic.set_irq(3, true);
  EXPECT_EQ(pic.acknowledge_interrupt(), 0x23);
  EXPECT_EQ(isr(pic.master_ports()), 0u);
  pic.set_irq(4, true), pic.set_irq(0, true);
  EXPECT_EQ(pic.acknowledge_interrupt(), 0x24) << "3 is the lowest now, so 4 is the highest";
  master(1, 0x01);
  EXPECT_FALSE(intr());
  EXPECT_EQ(pic.master_ports().read(1, 1), 1u);
  master(1, 0);
  master(0, 0x0c);  // poll
  EXPECT_EQ(pic.master_ports().read(0, 1), 0x80u);
  EXPECT_FALSE(intr());
}

TEST_F(Pic, SpecialMaskLetsLowerPrioritiesThrough) {
  initialise();
  pic.set_irq(1, true);
  pic.acknowledge_interrupt();
  pic.set_irq(6, true);
  EXPECT_FALSE(intr());
  master(1, 0x02);
  master(0, 0x68);
  EXPECT_TRUE(intr());
  EXPECT_EQ(pic.acknowledge_interrupt(), 0x26);
}

}  // namespace
}  // namespace orrery::devices
