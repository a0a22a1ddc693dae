// [82093AA]: messages, masks, level and EOI.
#include "devices/irq/ioapic.h"

#include <gtest/gtest.h>

#include "tests/contract/bench.h"

namespace orrery::devices {
namespace {

struct IoApicTest : testing::Test {
  tests::Bench bench;
  IoApic ioapic{{.id = 9}, bench.sink};
  void write(u8 index, u32 v) {
    ioapic.write(0, index, 4);
    ioapic.write(0x10, v, 4);
  }
  u64 read(u8 index) {
    ioapic.write(0, index, 4);
    return ioapic.read(0x10, 4);
  }
  size_t sent() const { return bench.sink.messages.size(); }
};

TEST_F(IoApicTest, IdentifiesItself) {
  EXPECT_EQ(read(0), 0x09000000u);
  EXPECT_EQ(read(1), 0x00170020u);
  EXPECT_EQ(read(0x10), 0x10000u) << "masked after reset";
}

TEST_F(IoApicTest, EdgesMakeMessages) {
  write(0x10 + 8, 0x0931);  // pin 4: vector 0x31, lowest priority, logical
  write(0x10 + 9, 0x03000000);
  ioapic.set_irq(4, true), ioapic.set_irq(4, true), ioapic.set_irq(4, false);
  ASSERT_EQ(sent(), 1u);
  EXPECT_EQ(bench.sink.messages[0].address, 0xfee0300cu);
  EXPECT_EQ(bench.sink.messages[0].data, 0x4131u);
  write(0x10 + 8, 0x10031);
  ioapic.set_irq(4, true);
  write(0x10 + 8, 0x31);
  EXPECT_EQ(sent(), 1u) << "an edge at a masked pin is lost";
}

TEST_F(IoApicTest, LevelWaitsForEoi) {
  write(0x10 + 2 * 16, 0x8041);
  ioapic.set_irq(16, true);
  ASSERT_EQ(sent(), 1u);
  EXPECT_EQ(bench.sink.messages[0].data, 0xc041u);
  EXPECT_EQ(read(0x10 + 2 * 16) & 0x4000, 0x4000u);
  ioapic.set_irq(16, false), ioapic.set_irq(16, true);
  EXPECT_EQ(sent(), 1u);
  ioapic.end_of_interrupt(0x40);
  EXPECT_EQ(sent(), 1u);
  ioapic.end_of_interrupt(0x41);
  EXPECT_EQ(sent(), 2u) << "still asserted";
  ioapic.set_irq(16, false);
  ioapic.write(0x40, 0x41, 4);
  EXPECT_EQ(sent(), 2u);
  EXPECT_EQ(read(0x10 + 2 * 16) & 0x4000, 0u);
}

TEST_F(IoApicTest, UnmaskingAnAssertedLevelSends) {
  ioapic.set_irq(20, true);
  write(0x10 + 2 * 20, 0x8042);
  EXPECT_EQ(sent(), 1u);
}

}  // namespace
}  // namespace orrery::devices
