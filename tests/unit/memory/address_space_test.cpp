// Address spaces: priorities and the flat view, split and crossing accesses, ROM, holes, the top of the
// space; DMA bounds; RAM's frame flags and hash.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "memory/address_space.h"
#include "memory/dma_port.h"

namespace orrery::memory {
namespace {

class Registers final : public IoHandler {
 public:
  explicit Registers(u8 tag) : tag_(tag) {}
  u64 read(u64 offset, unsigned size) override {
    log += fmt::format("r{:x}/{} ", offset, size);
    u64 value = 0;
    for (unsigned i = 0; i < size; ++i) value |= u64{static_cast<u8>(tag_ + offset + i)} << (8 * i);
    return value;
  }
  void write(u64 offset, u64 value, unsigned size) override {
    log += fmt::format("w{:x}/{}={:x} ", offset, size, value);
  }
  std::string take() { return std::exchange(log, {}); }
  std::string log;

 private:
  u8 tag_;
};

class Listener final : public MapListener {
 public:
  void map_changed() override { ++changes; }
  int changes = 0;
};

class AddressSpaceTest : public testing::Test {
 protected:
  std::unique_ptr<Ram> ram = Ram::create("test", 0x10000).value();
  AddressSpace space{0};
  Registers low{0x10}, high{0x80};
};

TEST_F(AddressSpaceTest, TheHigherPriorityWinsAndTheLaterOfEquals) {
  space.add_ram("ram", 0, *ram, 0, 0x10000);
  const RegionId window = space.add_io("window", 0x2000, 0x1000, low);
  space.add_io("over", 0x2800, 0x100, high, {}, 2);
  EXPECT_EQ(space.name_at(0x1fff), "ram");
  EXPECT_EQ(space.name_at(0x2000), "window");
  EXPECT_EQ(space.name_at(0x2800), "over");
  EXPECT_EQ(space.name_at(0x2900), "window");
  EXPECT_EQ(space.find(0x2900).handler_offset + (0x2900 - space.find(0x2900).start), 0x900u);
  space.add_io("later", 0x2000, 0x10, high);
  EXPECT_EQ(space.name_at(0x2000), "later");
  space.set_enabled(window, false);
  EXPECT_EQ(space.name_at(0x2900), "ram");
  space.move(window, 0x20000);
  space.set_enabled(window, true);
  EXPECT_EQ(space.name_at(0x20fff), "window");
  space.remove(window);
  EXPECT_EQ(space.name_at(0x20fff), "nothing");
  // The flat view is disjoint, sorted and covers everything.
  u64 at = 0;
  for (const FlatRange& range : space.flat_view()) {
    EXPECT_EQ(range.start, at);
    EXPECT_GT(range.end, range.start);
    at = range.end;
  }
}

TEST_F(AddressSpaceTest, ListenersHearOnceOfAGroupOfChanges) {
  Listener listener;
  space.add_listener(listener);
  space.begin_update();
  const RegionId id = space.add_io("io", 0, 16, low);
  space.move(id, 32);
  EXPECT_EQ(listener.changes, 0);
  space.end_update();
  EXPECT_EQ(listener.changes, 1);
  space.move(id, 32);  // no change
  EXPECT_EQ(listener.changes, 1);
  space.remove_listener(listener);
}

TEST_F(AddressSpaceTest, AccessesAreSplitToWhatAHandlerTakes) {
  space.add_io("bytes", 0x100, 0x10, low, {.min_bytes = 1, .max_bytes = 1});
  EXPECT_EQ(space.read(0x100, 4), 0x13121110u);
  EXPECT_EQ(low.take(), "r0/1 r1/1 r2/1 r3/1 ");
  space.write(0x104, 0xaabb, 2);
  EXPECT_EQ(low.take(), "w4/1=bb w5/1=aa ");

  space.add_io("words", 0x200, 0x10, high, {.min_bytes = 4, .max_bytes = 4});
  EXPECT_EQ(space.read(0x205, 1), 0x85u) << "picked out of the dword";
  EXPECT_EQ(high.take(), "r4/4 ");
  space.write(0x205, 0xff, 1);
  EXPECT_EQ(high.take(), "") << "a narrower write vanishes";
  space.write(0x208, 0x1122334455667788, 8);
  EXPECT_EQ(high.take(), "w8/4=55667788 wc/4=11223344 ");
}

TEST_F(AddressSpaceTest, AnAccessMayCrossRanges) {
  space.add_ram("ram", 0, *ram, 0, 0x1000);
  space.add_io("io", 0x1000, 0x10, low, {.min_bytes = 1, .max_bytes = 4});
  space.write(0xffe, 0x0102, 2);
  EXPECT_EQ(space.read(0xffe, 4), 0x11100102u);
  space.write(0xffe, 0xddccbbaa, 4);
  EXPECT_EQ(ram->data()[0xffe], 0xaa);
  EXPECT_EQ(ram->data()[0xfff], 0xbb);
  EXPECT_THAT(low.take(), testing::HasSubstr("=ddcc"));
  EXPECT_EQ(space.read(0x100e, 4) >> 16, 0xffffu) << "behind the region is nothing";
}

TEST_F(AddressSpaceTest, HolesReadOnesAndRomKeepsItsContent) {
  ram->data()[0x1000] = 0x5a;
  space.add_rom("rom", 0xf000, *ram, 0x1000, 0x1000);
  EXPECT_EQ(space.read(0xf000, 1), 0x5au);
  space.write(0xf000, 0, 1);
  const u8 zeros[4] = {};
  space.write_bytes(0xf000, zeros);
  EXPECT_EQ(space.read(0xf000, 1), 0x5au);
  EXPECT_EQ(space.read(0x5000, 8), ~u64{0});
  EXPECT_EQ(space.read(0x5000, 2), 0xffffu);
  space.write(0x5000, 1, 8);
}

TEST_F(AddressSpaceTest, TheTopOfTheSpace) {
  EXPECT_EQ(space.read(~u64{0}, 8), ~u64{0});
  space.write(~u64{0} - 3, 0, 8);
  u8 bytes[32] = {};
  space.read_bytes(~u64{0} - 7, bytes);
  EXPECT_EQ(bytes[0], 0xff);

  AddressSpace ports(0x10000);
  ports.add_io("last", 0xffff, 1, low, {.min_bytes = 1, .max_bytes = 1});
  EXPECT_EQ(ports.read(0xffff, 1), 0x10u);
  EXPECT_EQ(ports.read(0xffff, 2), 0xff10u);
  EXPECT_EQ(ports.read(0x10000, 1), 0xffu);
  ports.write(0xffff, 0x1234, 2);
  EXPECT_THAT(low.take(), testing::HasSubstr("w0/1=34"));
}

TEST_F(AddressSpaceTest, LongCopiesGoThroughHandlersInPieces) {
  space.add_ram("ram", 0, *ram, 0, 0x1000);
  space.add_io("io", 0x1000, 0x10, low, {.min_bytes = 1, .max_bytes = 2});
  u8 bytes[0x20];
  space.read_bytes(0xff8, bytes);
  EXPECT_EQ(bytes[8], 0x10);
  EXPECT_EQ(bytes[0x17], 0x1f);
  EXPECT_EQ(bytes[0x18], 0xff);
  EXPECT_THAT(low.take(), testing::StartsWith("r0/2 r2/2 "));
  space.write_bytes(0xff8, bytes);
  EXPECT_THAT(low.take(), testing::StartsWith("w0/2=1110 "));
}

TEST_F(AddressSpaceTest, DmaReachesRamOnly) {
  space.add_ram("ram", 0, *ram, 0, 0x2000);
  space.add_rom("rom", 0x2000, *ram, 0x2000, 0x1000);
  space.add_io("io", 0x3000, 0x1000, low);
  DmaPort dma(space);
  u8 data[16];
  std::fill(std::begin(data), std::end(data), u8{0x77});
  EXPECT_TRUE(dma.write(0x1ff0, data));
  EXPECT_FALSE(dma.write(0x1ff8, data)) << "half of it is ROM";
  EXPECT_EQ(ram->data()[0x1fff], 0x77);
  EXPECT_EQ(ram->data()[0x2000], 0);
  EXPECT_TRUE(dma.read(0x1ff8, data)) << "ROM may be read";
  EXPECT_FALSE(dma.read(0x3000, data));
  EXPECT_EQ(data[0], 0xff);
  EXPECT_FALSE(dma.write(0x3000, data));
  EXPECT_EQ(low.take(), "") << "a device never reaches another";
  EXPECT_FALSE(dma.read(~u64{0} - 3, data));
  EXPECT_TRUE(dma.is_ram(0, 0x2000));
  EXPECT_FALSE(dma.is_ram(0, 0x2001));
  EXPECT_FALSE(dma.is_ram(~u64{0}, 2));
  EXPECT_EQ(dma.load<u32>(0x8000), 0xffffffffu);
}

class CodeListener final : public FrameListener {
 public:
  void frame_guarded(Frame frame) override { log += fmt::format("g{} ", frame); }
  void code_written(Frame frame, u64 offset, u64 size) override {
    log += fmt::format("c{}:{:x}+{:x} ", frame, offset, size);
  }
  std::string log;
};

TEST_F(AddressSpaceTest, WritesToCodeFramesAreNoticed) {
  space.add_ram("ram", 0, *ram, 0, 0x10000);
  CodeListener listener;
  ram->add_listener(listener);
  ram->set_flag(1, frame_flag::kCode);
  ram->set_flag(1, frame_flag::kWatched);
  EXPECT_EQ(listener.log, "g1 ") << "only the first flag guards";
  listener.log.clear();
  space.write(0xffc, 0, 8);
  EXPECT_EQ(listener.log, "c1:0+4 ");
  listener.log.clear();
  const u8 data[0x1002] = {};
  DmaPort(space).write(0x1fff, data);
  EXPECT_EQ(listener.log, "c1:fff+1 ");
  listener.log.clear();
  ram->clear_flag(1, frame_flag::kCode);
  space.write(0x1000, 1, 1);
  EXPECT_EQ(listener.log, "");
}

TEST(RamTest, TheHashSeesContentNotPopulation) {
  const auto hash_of = [](const Ram& ram) {
    StateHasher hasher;
    ram.hash(hasher);
    return hasher.digest();
  };
  auto a = Ram::create("a", 0x100000).value();
  auto b = Ram::create("b", 0x100000).value();
  const u64 empty = hash_of(*a);
  a->data()[0x5000] = 0;  // touched, still zero
  EXPECT_EQ(hash_of(*a), empty);
  a->data()[0x5000] = 1;
  EXPECT_NE(hash_of(*a), empty);
  b->data()[0x6000] = 1;  // the same bytes elsewhere
  EXPECT_NE(hash_of(*a), hash_of(*b));
  a->clear();
  EXPECT_EQ(hash_of(*a), empty);
  EXPECT_EQ(a->data()[0x5000], 0);
}

}  // namespace
}  // namespace orrery::memory
