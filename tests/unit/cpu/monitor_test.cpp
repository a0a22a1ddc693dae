// MONITOR's line as memory sees it: which stores by DMA end MWAIT [SDM2 MONITOR].
#include <gtest/gtest.h>

#include "cpu/decode/decode_cache.h"
#include "cpu/vcpu.h"
#include "memory/dma_port.h"

namespace orrery::cpu {
namespace {

class MonitorTest : public testing::Test {
 protected:
  static constexpr u64 kLine = 0x12340;  // of 64 bytes

  void wait_for_store() {
    vcpu.arm_monitor(kLine + 5);  // anywhere in the line
    vcpu.state.activity = Activity::kMwait;
  }
  bool sleeps() const { return vcpu.state.activity == Activity::kMwait; }
  void dma(u64 address, u64 size_bytes) {
    const std::vector<u8> data(size_bytes, 0x5a);
    ASSERT_TRUE(port.write(address, data));
  }

  Timeline timeline;
  Clock clock{timeline};
  EventQueue events{timeline, clock};
  Entropy entropy;
  memory::AddressSpace space{0};
  memory::AddressSpace ports{0x10000};
  std::unique_ptr<memory::Ram> ram = memory::Ram::create("monitor-test", u64{1} << 20).value();
  CpuModel model = *find_cpu_model("x86-64-v3");
  DecodeCache cache{*ram, model};
  Vcpu vcpu{0, VcpuServices{.ram = *ram,
                            .memory = space,
                            .ports = ports,
                            .events = events,
                            .entropy = entropy,
                            .decode_cache = cache,
                            .model = model}};
  memory::DmaPort port{space};

  void SetUp() override {
    space.begin_update();
    space.add_ram("ram", 0, *ram, 0, ram->size_bytes());
    space.end_update();
  }
};

TEST_F(MonitorTest, DmaIntoTheLineWakes) {
  for (const auto& [address, bytes] : {std::pair<u64, u64>{kLine, 1},
                                       {kLine + 63, 1},
                                       {kLine - 10, 11},
                                       {kLine + 63, 64},
                                       {kLine - 0x1000, 0x4000}}) {
    wait_for_store();
    dma(address, bytes);
    EXPECT_FALSE(sleeps()) << address << " " << bytes;
    EXPECT_FALSE(vcpu.state.monitor_armed);
  }
}

TEST_F(MonitorTest, DmaBesideTheLineDoesNot) {
  wait_for_store();
  dma(kLine - 1, 1);
  dma(kLine + 64, 64);
  dma(kLine - 0x1000, 0x1000);
  dma(kLine + 0x1000, 64);
  EXPECT_TRUE(sleeps());
  EXPECT_TRUE(vcpu.state.monitor_armed);
  dma(kLine + 32, 1);
  EXPECT_FALSE(sleeps());
}

TEST_F(MonitorTest, TheFrameIsGuardedWhileTheLineIsArmed) {
  const memory::Frame frame = kLine / memory::kPageBytes;
  EXPECT_EQ(ram->flags(frame) & memory::frame_flag::kMonitored, 0);
  wait_for_store();
  EXPECT_NE(ram->flags(frame) & memory::frame_flag::kMonitored, 0);
  dma(kLine, 1);
  EXPECT_EQ(ram->flags(frame) & memory::frame_flag::kMonitored, 0);
}

}  // namespace
}  // namespace orrery::cpu
