// [virtio 1.1], [PCI 3.0]: negotiation, disk requests and hostile rings.
#include <fstream>

#include <gtest/gtest.h>

#include "base/host_file.h"
#include "devices/pci/pci_bus.h"
#include "devices/virtio/virtio_blk.h"
#include "devices/virtio/virtio_rng.h"
#include "tests/contract/bench.h"
#include "tests/contract/virtio_driver.h"

namespace orrery::devices {
namespace {

using tests::Bench;
using tests::VirtioDriver;
constexpr u64 kModern = u64{1} << 32;

struct Blk : testing::Test {
  Bench bench;
  tests::TemporaryFile file{64 << 10};
  std::unique_ptr<VirtioBlk> blk;
  std::unique_ptr<VirtioDriver> driver;
  void open(DiskImage::Mode mode) {
    blk = std::make_unique<VirtioBlk>(VirtioBlk::Config{}, tests::wiring_of(bench), bench.dma, bench.events,
                                      bench.control, DiskImage::open(file.path(), mode).value());
    driver = std::make_unique<VirtioDriver>(bench, *blk);
  }
  static constexpr u64 kHeader = VirtioDriver::kBuffers, kData = kHeader + 0x1000, kStatus = kHeader + 0x8000;
  void request(u32 type, u64 sector, u32 bytes, bool device_writes) {
    bench.memory.write(kHeader, type, 4);
    bench.memory.write(kHeader + 8, sector, 8);
    bench.memory.write(kStatus, 0xff, 1);
    driver->descriptor(0, 0, kHeader, 16, VirtioDriver::kNext, bytes == 0 ? 2 : 1);
    driver->descriptor(0, 1, kData, bytes,
                       static_cast<u16>(VirtioDriver::kNext | (device_writes ? VirtioDriver::kWrite : 0)), 2);
    driver->descriptor(0, 2, kStatus, 1, VirtioDriver::kWrite, 0);
    driver->offer(0, 0);
    driver->notify(0);
  }
  u64 status() { return bench.memory.read(kStatus, 1); }
};

TEST_F(Blk, NegotiatesAndDescribesItself) {
  open(DiskImage::Mode::kSnapshot);
  EXPECT_EQ(blk->read_config(0, 4), 0x10421af4u);
  driver->start(kModern, 1);
  EXPECT_EQ(driver->common(0x14, 1), 15u);
  EXPECT_EQ(bench.memory.read(VirtioDriver::kBar + 0x2000, 8), 128u) << "capacity";
  driver->start(0, 1);
  EXPECT_EQ(driver->common(0x14, 1) & 12, 0u) << "VERSION_1 is not optional";
}

TEST_F(Blk, ReadsAfterTheLatencyAndInterrupts) {
  open(DiskImage::Mode::kSnapshot);
  driver->start(kModern, 1);
  request(0, 3, 1024, true);
  bench.advance(20'000);
  EXPECT_EQ(status(), 0xffu) << "20 us and the transfer have not passed";
  bench.advance(300);
  EXPECT_EQ(status(), 0u);
  EXPECT_EQ(bench.memory.read(kData, 1), (3 + 1536 % 251) & 0xffu);
  EXPECT_EQ(driver->used_index(0), 1u);
  EXPECT_EQ(bench.memory.read(driver->used(0) + 8, 4), 1025u);
  EXPECT_TRUE(bench.sink.levels[5]);
  EXPECT_EQ(bench.memory.read(VirtioDriver::kBar + 0x1000, 1), 1u);
  EXPECT_FALSE(bench.sink.levels[5]) << "reading ISR takes it back";
}

TEST_F(Blk, SnapshotKeepsWritesOutOfTheFile) {
  const u64 before = identify_host_file(file.path())->hash;
  open(DiskImage::Mode::kSnapshot);
  driver->start(kModern, 1);
  StateHasher clean;
  blk->visit_state(clean);
  bench.memory.write(kData, 0x1122334455667788, 8);
  request(1, 5, 512, false);
  bench.memory.write(kData, 0, 8);  // taken at submission
  bench.advance(100'000);
  ASSERT_EQ(status(), 0u);
  request(0, 5, 512, true);
  bench.advance(100'000);
  EXPECT_EQ(bench.memory.read(kData, 8), 0x1122334455667788u);
  EXPECT_EQ(identify_host_file(file.path())->hash, before);
}

TEST_F(Blk, DirectWritesReachTheFileAndLockIt) {
  open(DiskImage::Mode::kDirect);
  EXPECT_FALSE(DiskImage::open(file.path(), DiskImage::Mode::kReadOnly));
  driver->start(kModern, 1);
  bench.memory.write(kData, 0x77, 1);
  request(1, 0, 512, false);
  bench.advance(100'000);
  ASSERT_EQ(status(), 0u);
  request(4, 0, 0, false);
  bench.advance(300'000);
  ASSERT_EQ(status(), 0u);
  EXPECT_EQ(std::ifstream(file.path(), std::ios::binary).get(), 0x77);
}

TEST_F(Blk, RefusesWhatIsOutOfRange) {
  open(DiskImage::Mode::kReadOnly);
  driver->start(kModern, 1);
  const auto answer = [this](u32 type, u64 sector, u32 bytes, bool device_writes) {
    request(type, sector, bytes, device_writes);
    bench.advance(300'000);
    return status();
  };
  EXPECT_EQ(answer(0, 128, 512, true), 1u);
  EXPECT_EQ(answer(0, ~u64{0}, 512, true), 1u);
  EXPECT_EQ(answer(0, 0, 100, true), 1u);
  EXPECT_EQ(answer(1, 0, 512, false), 1u) << "read-only";
  EXPECT_EQ(answer(99, 0, 512, true), 2u);
  EXPECT_EQ(answer(8, 0, 20, true), 0u);
  EXPECT_EQ(bench.memory.read(kData, 5), 0x306b736964u) << "disk0";
}

TEST_F(Blk, BrokenRingsAskForAReset) {
  open(DiskImage::Mode::kSnapshot);
  const auto breaks = [this](auto arrange) {
    driver->start(kModern | virtio::F_INDIRECT_DESC, 1);
    arrange();
    driver->notify(0);
    return (driver->common(0x14, 1) & 64) != 0;
  };
  EXPECT_TRUE(breaks([&] { driver->offer(0, 999); })) << "head out of range";
  EXPECT_TRUE(breaks([&] { bench.memory.write(driver->available(0) + 2, 1000, 2); })) << "index jumps";
  EXPECT_TRUE(breaks([&] {
    driver->descriptor(0, 0, kHeader, 16, VirtioDriver::kNext, 0);
    driver->offer(0, 0);
  })) << "loop";
  EXPECT_TRUE(breaks([&] {
    driver->descriptor(0, 0, kHeader, 40, VirtioDriver::kIndirect, 0);
    driver->offer(0, 0);
  })) << "indirect table of a broken size";
  EXPECT_TRUE(breaks([&] {
    driver->descriptor(0, 0, kData, 16, VirtioDriver::kNext | VirtioDriver::kWrite, 1);
    driver->descriptor(0, 1, kHeader, 16, 0, 0);
    driver->offer(0, 0);
  })) << "readable after writable";
  EXPECT_FALSE(breaks([] {}));
}

TEST_F(Blk, MsixMasksAndSends) {
  open(DiskImage::Mode::kSnapshot);
  driver->start(kModern, 1);
  driver->common(0x14, 0, 1);
  driver->start(kModern, 1);
  blk->write_config(0x42, 0x8000, 2);
  bench.memory.write(VirtioDriver::kMsixBar + 16, 0xfee01000, 4);
  bench.memory.write(VirtioDriver::kMsixBar + 24, 0x55, 4);
  driver->common(0x1a, 1, 2);
  request(0, 0, 512, true);
  bench.advance(100'000);
  EXPECT_TRUE(bench.sink.messages.empty()) << "masked after reset";
  EXPECT_EQ(bench.memory.read(VirtioDriver::kMsixBar + 0x800, 4), 2u);
  bench.memory.write(VirtioDriver::kMsixBar + 28, 0, 4);
  ASSERT_EQ(bench.sink.messages.size(), 1u);
  EXPECT_EQ(bench.sink.messages[0].address, 0xfee01000u);
  EXPECT_EQ(bench.sink.messages[0].data, 0x55u);
}

TEST(DiskImages, BadFilesAreOneClearLine) {
  const auto missing = DiskImage::open("no/such/image", DiskImage::Mode::kDirect);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().message, "opening disk image 'no/such/image': No such file or directory");
  EXPECT_FALSE(DiskImage::open("/", DiskImage::Mode::kReadOnly));
  tests::TemporaryFile odd(1000);
  const auto size = DiskImage::open(odd.path(), DiskImage::Mode::kReadOnly);
  ASSERT_FALSE(size);
  EXPECT_NE(size.error().message.find("not a positive multiple of 512"), std::string::npos);
}

TEST(Pci, BarsAreSizedAndEcamAgreesWithPorts) {
  Bench bench;
  IoWindow none([](u64, unsigned) { return u64{0xab}; }, [](u64, u64, unsigned) {});
  PciBus bus([](unsigned device) { return device % 4; }, bench.sink, none);
  VirtioRng rng(tests::wiring_of(bench), bench.dma, bench.entropy);
  rng.reset();
  bus.attach(3, rng);
  const auto select = [&](u32 offset) { bus.address_port().write(0, 0x80000000 | 3 << 11 | offset, 4); };
  select(0);
  EXPECT_EQ(bus.data_port().read(0, 4), 0x10441af4u);
  EXPECT_EQ(bus.data_port().read(2, 2), 0x1044u);
  EXPECT_EQ(bus.ecam().read(3 << 15, 4), 0x10441af4u);
  EXPECT_EQ(bus.ecam().read(4 << 15, 4), 0xffffffffu);
  EXPECT_EQ(bus.address_port().read(1, 1), 0xabu) << "0xcf9 shines through";
  select(0x20);
  bus.data_port().write(0, 0xffffffff, 4);
  EXPECT_EQ(bus.data_port().read(0, 4), 0xffffc004u);
  bus.assign_resources({0xc0000000, 0xe0000000, 0xc000, 0x10000, {10, 11, 10, 11, 0, 0, 0, 0}});
  EXPECT_EQ(rng.read_config(pci::INTERRUPT_LINE, 1), 11u);
  EXPECT_EQ(rng.read_config(pci::COMMAND, 2) & 6, 6u);
  EXPECT_EQ(bench.memory.read(rng.read_config(0x20, 4) & ~15u, 4), 0u) << "the common structure answers";
}

}  // namespace
}  // namespace orrery::devices
