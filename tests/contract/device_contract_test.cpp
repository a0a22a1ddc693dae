// The contract of every device: any access is survived, a reset is a reset, state is complete, twins agree.
#include "devices/irq/i8259.h"
#include "devices/irq/ioapic.h"
#include "devices/legacy/debug_console.h"
#include "devices/legacy/debug_exit.h"
#include "devices/legacy/fpu_error.h"
#include "devices/legacy/i8042.h"
#include "devices/legacy/uart16550.h"
#include "devices/pci/ich9_lpc.h"
#include "devices/pci/pci_bus.h"
#include "devices/pci/q35_mch.h"
#include "devices/timer/acpi_pm.h"
#include "devices/timer/cmos_rtc.h"
#include "devices/timer/hpet.h"
#include "devices/timer/i8254.h"
#include "devices/virtio/virtio_blk.h"
#include "devices/virtio/virtio_console.h"
#include "devices/virtio/virtio_rng.h"
#include "tests/contract/bench.h"
#include "tests/contract/virtio_driver.h"

#include <gtest/gtest.h>

namespace orrery::tests {
namespace {

using namespace devices;
using Build = void (*)(Subject&);
struct Case {
  const char* name;
  Build build;
};

void build_pic(Subject& s) {
  auto& pic = s.make<I8259Pair>(s.bench.line(0));
  s.device = &pic;
  s.windows = {{&pic.master_ports(), 2, 1, 1}, {&pic.slave_ports(), 2, 1, 1}, {&pic.elcr_ports(), 2, 1, 1}};
  s.stimulate = [&pic](std::mt19937_64& random) {
    const u64 what = random();
    if (what % 3 == 0) {
      pic.acknowledge_interrupt();
    } else {
      pic.set_irq(what >> 8 & 15, what >> 16 & 1);
    }
  };
}
void build_ioapic(Subject& s) {
  auto& ioapic = s.make<IoApic>(IoApic::Config{.id = 1}, s.bench.sink);
  s.device = &ioapic;
  s.windows = {{&ioapic, 0x80, 4, 4}};
  s.stimulate = [&ioapic](std::mt19937_64& random) {
    const u64 what = random();
    if (what & 1) {
      ioapic.end_of_interrupt(static_cast<u8>(what >> 8));
    } else {
      ioapic.set_irq(what >> 8 & 31, what >> 16 & 1);
    }
  };
}
void build_pit(Subject& s) {
  auto& pit = s.make<I8254>(s.bench.events, s.bench.line(0));
  s.device = &pit;
  s.windows = {{&pit.ports(), 4, 1, 1}, {&pit.control_port(), 1, 1, 1}};
}
void build_rtc(Subject& s) {
  auto& rtc = s.make<CmosRtc>(CmosRtc::Config{.start_epoch = 1'000'000'000}, s.bench.events, s.bench.line(8));
  s.device = &rtc;
  s.windows = {{&rtc, 2, 1, 1}};
}
void build_acpi_pm(Subject& s) {
  auto& pm = s.make<AcpiPm>(AcpiPm::Config{.soft_off_types = 0x81, .gpe0_bytes = 16}, s.bench.events,
                            s.bench.line(9), s.bench.control);
  s.device = &pm;
  s.windows = {
      {&pm.ports(), AcpiPm::kPortBytes, 1, 4}, {&pm.smi_ports(), 2, 1, 1}, {&pm.reset_port(), 1, 1, 1}};
  s.stimulate = [&pm](std::mt19937_64&) { pm.press_power_button(); };
}
void build_hpet(Subject& s) {
  auto& hpet = s.make<Hpet>(s.bench.events, s.bench.sink, s.bench.line(24), s.bench.line(25));
  s.device = &hpet;
  // The registers twice, so that they are met often; the rest of the window once.
  s.windows = {{&hpet, 0x160, 4, 8}, {&hpet, 0x160, 4, 8}, {&hpet, Hpet::kWindowBytes, 4, 8}};
  s.stimulate = [&hpet](std::mt19937_64& random) {
    const u64 what = random();
    if (what % 4 == 0) hpet.legacy_inputs().set_irq(0, what >> 8 & 1);
    if (what % 4 == 1) hpet.legacy_inputs().set_irq(1, what >> 8 & 1);
    if (what % 4 == 2) hpet.write(0x10, what >> 8 & 3, 8);
    if (what % 4 == 3)
      hpet.write(0x108 + 0x20 * (what >> 8 & 1), hpet.read(0xf0, 8) + (what >> 16 & 0xfff), 8);
  };
}
void build_uart(Subject& s) {
  auto& uart =
      s.make<Uart16550>(Uart16550::Config{.name = "com1"}, s.bench.events, s.bench.line(4), s.bench.output);
  s.device = &uart;
  s.windows = {{&uart, 8, 1, 1}};
  s.stimulate = [&uart](std::mt19937_64& random) {
    std::vector<u8> bytes(random() % 40);
    for (u8& byte : bytes) byte = static_cast<u8>(random());
    uart.receive(bytes);
  };
}
void build_i8042(Subject& s) {
  auto& kbc = s.make<I8042>(s.bench.line(1), s.bench.line(12), s.bench.control);
  s.device = &kbc;
  s.windows = {{&kbc.data_port(), 1, 1, 1},
               {&kbc.command_port(), 1, 1, 1},
               {&kbc.system_control_a(), 1, 1, 1},
               {&kbc.post_code_port(), 1, 1, 1}};
}
void build_debug_console(Subject& s) {
  auto& console = s.make<DebugConsole>(s.bench.output);
  s.device = &console;
  s.windows = {{&console, 1, 1, 1}};
}
void build_debug_exit(Subject& s) {
  auto& exit = s.make<DebugExit>(s.bench.control);
  s.device = &exit;
  s.windows = {{&exit, 4, 1, 4}};
}

void build_fpu_error(Subject& s) {
  auto& logic = s.make<FpuError>(s.bench.line(13), s.bench.line(20));
  s.device = &logic;
  s.windows = {{&logic, 1, 1, 1}};
  s.stimulate = [&logic](std::mt19937_64& random) { logic.set_irq(0, (random() & 1) != 0); };
}

void build_pci(Subject& s) {
  auto& reset_port = s.make<IoWindow>([](u64, unsigned) { return u64{0}; }, [](u64, u64, unsigned) {});
  auto& bus = s.make<PciBus>([](unsigned device) { return device % 8; }, s.bench.sink, reset_port);
  auto& bridge = s.make<PciHostBridge>(wiring_of(s.bench));
  bus.attach(0, bridge);
  s.device = &bus;
  s.windows = {{&bus.address_port(), 4, 1, 4}, {&bus.data_port(), 4, 1, 4}};
  s.stimulate = [&bus](std::mt19937_64& random) { bus.set_irq(random() % 32, random() & 1); };
}
/// Configuration space of a chipset function, and whatever it maps.
void configure(Subject& s, PciFunction& function) {
  auto& config = s.make<IoWindow>(
      [&function](u64 offset, unsigned size) { return function.read_config(static_cast<u16>(offset), size); },
      [&function](u64 offset, u64 value, unsigned size) {
        function.write_config(static_cast<u16>(offset), static_cast<u32>(value), size);
      });
  auto& low_memory = s.make<IoWindow>(
      [&s](u64 offset, unsigned size) { return s.bench.memory.read(0xa0000 + offset, size); },
      [&s](u64 offset, u64 value, unsigned size) { s.bench.memory.write(0xa0000 + offset, value, size); });
  s.device = &function;
  s.windows = {{&config, 256, 1, 4}, {&config, 256, 1, 4}, {&low_memory, 0x60000, 1, 8}};
}
void build_mch(Subject& s) {
  auto& ecam = s.make<IoWindow>([](u64 offset, unsigned) { return offset; }, [](u64, u64, unsigned) {});
  configure(s, s.make<Q35Mch>(Q35Mch::Config{.low_ram_bytes = Bench::kRamBytes}, wiring_of(s.bench),
                              *s.bench.ram, ecam));
}
void build_lpc(Subject& s) {
  auto& hpet = s.make<IoWindow>([](u64 offset, unsigned) { return offset; }, [](u64, u64, unsigned) {});
  auto& pm = s.make<AcpiPm>(AcpiPm::Config{}, s.bench.events, IrqLine{}, s.bench.control);
  auto& lpc =
      s.make<Ich9Lpc>(wiring_of(s.bench),
                      Ich9Lpc::Wiring{.pic = s.bench.sink, .ioapic = s.bench.sink, .pm = pm, .hpet = hpet});
  configure(s, lpc);
  auto& chipset = s.make<IoWindow>(
      [&lpc](u64 offset, unsigned size) { return lpc.chipset().read(0x3000 + offset, size); },
      [&lpc](u64 offset, u64 value, unsigned size) { lpc.chipset().write(0x3000 + offset, value, size); });
  s.windows.push_back({&chipset, 0x1000, 1, 4});
  s.stimulate = [&lpc, sci = lpc.sci_input()](std::mt19937_64& random) mutable {
    const u64 what = random();
    if (what & 1) return lpc.set_irq(what >> 8 & 7, what >> 16 & 1);
    sci.set(what >> 16 & 1);
  };
}
void drive(Subject& s, PciFunction& function) {
  auto& driver = s.make<VirtioDriver>(s.bench, function);
  auto& config = s.make<IoWindow>(
      [&function](u64 offset, unsigned size) { return function.read_config(static_cast<u16>(offset), size); },
      [&function](u64 offset, u64 value, unsigned size) {
        function.write_config(static_cast<u16>(offset), static_cast<u32>(value), size);
      });
  auto& bars = s.make<IoWindow>(
      [&s](u64 offset, unsigned size) { return s.bench.memory.read(VirtioDriver::kBar + offset, size); },
      [&s](u64 offset, u64 value, unsigned size) {
        s.bench.memory.write(VirtioDriver::kBar + offset, value, size);
      });
  s.device = &function;
  s.windows = {{&config, 4096, 1, 4}, {&bars, 0x4000, 1, 8}, {&bars, 0x40, 1, 8}};
  s.stimulate = [&driver](std::mt19937_64& random) { driver.play(random); };
}
void build_blk(Subject& s) {
  auto& file = s.make<TemporaryFile>(64 << 10);
  auto image = DiskImage::open(file.path(), DiskImage::Mode::kSnapshot);
  drive(s, s.make<VirtioBlk>(VirtioBlk::Config{}, wiring_of(s.bench), s.bench.dma, s.bench.events,
                             s.bench.control, std::move(image).value()));
}
void build_rng(Subject& s) { drive(s, s.make<VirtioRng>(wiring_of(s.bench), s.bench.dma, s.bench.entropy)); }
void build_console(Subject& s) {
  auto& console = s.make<VirtioConsole>(wiring_of(s.bench), s.bench.dma, s.bench.output);
  drive(s, console);
  s.stimulate = [&console, play = s.stimulate](std::mt19937_64& random) {
    if (random() % 4 == 0) {
      const u8 bytes[] = {1, 2, 3, 4, 5};
      console.receive(bytes);
    } else {
      play(random);
    }
  };
}

class DeviceContract : public testing::TestWithParam<Case> {
 protected:
  std::unique_ptr<Subject> build() {
    auto subject = std::make_unique<Subject>();
    GetParam().build(*subject);
    subject->device->reset();
    return subject;
  }
  static void exercise(Subject& s, u64 seed, int steps) {
    std::mt19937_64 random(seed);
    for (int i = 0; i < steps; ++i) s.step(random);
  }
};

TEST_P(DeviceContract, ResetTwiceEqualsResetOnce) {
  const auto s = build();
  exercise(*s, 1, 2000);
  s->device->reset();
  StateWriter once;
  s->device->visit_state(once);
  s->device->reset();
  StateWriter twice;
  s->device->visit_state(twice);
  EXPECT_EQ(once.bytes(), twice.bytes());
}

TEST_P(DeviceContract, TwinsAgreeAndSaveLoadSaveIsIdentical) {
  for (u64 seed = 1; seed <= 10; ++seed) {
    const auto a = build();
    const auto b = build();
    exercise(*a, seed, 1500);
    exercise(*b, seed, 1500);
    ASSERT_EQ(a->hash(), b->hash()) << "seed " << seed;
    ASSERT_EQ(a->reads, b->reads) << "seed " << seed;

    const auto saved = a->save();
    const auto c = build();
    c->bench.timeline.skip_to(a->bench.timeline.now());
    std::memcpy(c->bench.ram->data(), a->bench.ram->data(), Bench::kRamBytes);
    const u64 edges = c->bench.sink.changes;
    const auto loaded = c->load(saved);
    ASSERT_TRUE(loaded) << loaded.error().message;
    EXPECT_EQ(c->bench.sink.changes, edges) << "restoring made an edge";
    ASSERT_EQ(saved, c->save()) << "seed " << seed;

    // The copy goes on as the original does.
    c->reads = a->reads;
    exercise(*a, seed + 100, 300);
    exercise(*c, seed + 100, 300);
    const auto original = a->save();
    StateDiffer differ(original);
    c->visit(differ);
    ASSERT_FALSE(differ.difference()) << "seed " << seed << ": " << *differ.difference();
    ASSERT_EQ(a->reads, c->reads) << "seed " << seed;
  }
}

TEST_P(DeviceContract, DamagedStateIsRejectedOrDifferent) {
  const auto s = build();
  exercise(*s, 7, 1500);
  const auto saved = s->save();
  const Tick now = s->bench.timeline.now();
  const u64 hash = s->hash();
  const auto victim = build();
  victim->bench.timeline.skip_to(now);
  std::memcpy(victim->bench.ram->data(), s->bench.ram->data(), Bench::kRamBytes);
  std::mt19937_64 random(3);
  const size_t stride = std::max<size_t>(1, saved.size() * 8 / 4000);
  for (size_t bit_index = 0; bit_index < saved.size() * 8; bit_index += stride) {
    auto damaged = saved;
    damaged[bit_index / 8] ^= static_cast<u8>(1u << (bit_index % 8));
    if (victim->load(damaged)) {
      EXPECT_NE(victim->hash(), hash) << "bit " << bit_index;
    }
  }
  for (size_t length = 0; length < saved.size(); length += std::max<size_t>(1, saved.size() / 200)) {
    EXPECT_FALSE(victim->load(std::span(saved).first(length)));
  }
  EXPECT_TRUE(victim->load(saved));
  EXPECT_EQ(victim->hash(), hash);
}

TEST_P(DeviceContract, DamagedStateRunsWithoutCrashing) {
  const auto s = build();
  exercise(*s, 9, 1500);
  const auto saved = s->save();
  std::mt19937_64 random(4);
  for (int round = 0; round < 40; ++round) {
    const auto victim = build();
    victim->bench.timeline.skip_to(s->bench.timeline.now());
    // Only the device's own part: timers and the clock are the event queue's to check.
    StateWriter device_part;
    s->device->visit_state(device_part);
    auto damaged = device_part.bytes();
    for (int i = 0; i < 4; ++i) damaged[random() % damaged.size()] ^= static_cast<u8>(1u << (random() % 8));
    StateReader reader(damaged);
    victim->device->visit_state(reader);
    if (reader.finish()) exercise(*victim, static_cast<u64>(round), 200);
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, DeviceContract,
    testing::Values(Case{"pic", build_pic}, Case{"ioapic", build_ioapic}, Case{"pit", build_pit},
                    Case{"rtc", build_rtc}, Case{"acpi_pm", build_acpi_pm}, Case{"uart", build_uart},
                    Case{"hpet", build_hpet}, Case{"fpu_error", build_fpu_error}, Case{"mch", build_mch},
                    Case{"lpc", build_lpc}, Case{"i8042", build_i8042},
                    Case{"debug_console", build_debug_console}, Case{"debug_exit", build_debug_exit},
                    Case{"pci", build_pci}, Case{"blk", build_blk}, Case{"rng", build_rng},
                    Case{"console", build_console}),
    [](const auto& tested) { return std::string(tested.param.name); });

}  // namespace
}  // namespace orrery::tests
