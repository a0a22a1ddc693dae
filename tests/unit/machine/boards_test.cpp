// The boards as wholes: what is mapped where, interrupts, direct boot, state.
#include <gtest/gtest.h>

#include "machine/address_map.h"
#include "machine/board.h"
#include "tests/contract/bench.h"
#include "tests/contract/virtio_driver.h"

namespace orrery::machine {
namespace {

namespace map = address_map;

struct Whole {
  Config config;
  Timeline timeline;
  Clock clock{timeline};
  EventQueue events{timeline, clock};
  InputPort inputs{timeline};
  Entropy entropy;
  tests::RecordingSink sink;
  tests::RecordingControl control;
  memory::AddressSpace memory{0};
  memory::AddressSpace ports{0x10000};
  std::unique_ptr<memory::Ram> ram;
  std::string text;
  std::unique_ptr<Board> board;

  explicit Whole(Config wanted) : config(std::move(wanted)) {
    ram = std::move(memory::Ram::create("test", config.memory_bytes)).value();
    auto made =
        make_board({.config = config,
                    .ram = *ram,
                    .memory = memory,
                    .ports = ports,
                    .events = events,
                    .inputs = inputs,
                    .entropy = entropy,
                    .msi = sink,
                    .intr = IrqLine(sink, 31),
                    .ignne = IrqLine(sink, 30),
                    .control = control,
                    .serial_output = [this](std::span<const u8> b) { text.append(b.begin(), b.end()); }});
    board = std::move(made).value();
  }
  std::vector<u8> save() {
    StateWriter writer;
    clock.visit_state(writer);
    events.visit_state(writer);
    board->visit_state(writer);
    return writer.bytes();
  }
};

u64 ecam_of(BoardKind board) { return board == BoardKind::kQ35 ? map::kQ35EcamStart : map::kEcamStart; }
u64 window_of(BoardKind board) {
  return board == BoardKind::kQ35 ? map::kQ35PciWindowStart : map::kPciWindowStart;
}

struct Boards : testing::TestWithParam<BoardKind> {
  tests::TemporaryFile file{1 << 20};
  u64 ecam() const { return ecam_of(GetParam()); }
  Config config() const {
    Config c;
    c.board = GetParam();
    c.cpus = 2;
    c.memory_bytes = 16 << 20;
    c.virtio_console = true;
    c.disks = {{.file = file.path(), .snapshot = true}};
    return c;
  }
};

TEST_P(Boards, MemoryIsWhereE820Says) {
  Whole machine(config());
  for (const auto& entry : machine.board->e820()) {
    if (entry.type != 1) continue;
    machine.memory.write(entry.start, 0x1234, 8);
    machine.memory.write(entry.start + entry.size_bytes - 8, 0x5678, 8);
    EXPECT_EQ(machine.memory.read(entry.start, 8), 0x1234u);
    EXPECT_EQ(machine.memory.read(entry.start + entry.size_bytes - 8, 8), 0x5678u);
  }
  EXPECT_EQ(machine.memory.read(0xa0000, 4), 0xffffffffu);
}

TEST_P(Boards, SerialResetAndPciAnswerAtTheirPorts) {
  Whole machine(config());
  machine.ports.write(map::kCom1Port, 'A', 1);
  EXPECT_EQ(machine.text, "A");
  machine.ports.write(map::kPciConfigAddressPort, 0x80000000, 4);
  EXPECT_EQ(machine.ports.read(map::kPciConfigDataPort, 4), 0x29c08086u);
  machine.ports.write(map::kResetControlPort, 6, 1);
  EXPECT_EQ(machine.control.resets, 1u);
  machine.ports.write(map::kI8042CommandPort, 0xfe, 1);
  EXPECT_EQ(machine.control.inits, 1u);
  machine.ports.write(map::kDebugExitPort, 0x21, 4);
  EXPECT_EQ(machine.control.exits, std::vector<u32>{0x21});
}

TEST_P(Boards, DirectBootLeavesTablesAndBars) {
  Whole machine(config());
  const auto rsdp = machine.board->prepare_direct_boot();
  ASSERT_TRUE(rsdp);
  EXPECT_EQ(machine.memory.read(rsdp.value().value, 8), 0x2052545020445352u);  // "RSD PTR "
  EXPECT_EQ(machine.memory.read(ecam(), 4), 0x29c08086u);
  const u64 disk = ecam() + (4 << 15);
  EXPECT_EQ(machine.memory.read(disk, 4), 0x10421af4u);
  const u64 bar = machine.memory.read(disk + 0x20, 4) & ~u64{15};
  EXPECT_GE(bar, window_of(GetParam()));
  EXPECT_EQ(machine.memory.read(bar + 0x2000, 8), 2048u) << "capacity in sectors";
  EXPECT_EQ(machine.memory.read(disk + 0x3c, 2), 0x010au) << "INTA# at IRQ 10";
  EXPECT_EQ(machine.ports.read(map::kAcpiPmPort + 4, 2) & 1, 1u);
}

TEST_P(Boards, PitReachesBothControllers) {
  Whole machine(config());
  for (const auto& [port, value] :
       {std::pair{0x20, 0x11}, {0x21, 0x20}, {0x21, 4}, {0x21, 1}, {0x43, 0x30}}) {
    machine.ports.write(port, value, 1);
  }
  machine.memory.write(map::kIoApicStart, 0x14, 4);
  machine.memory.write(map::kIoApicStart + 0x10, 0x31, 4);  // pin 2
  machine.ports.write(0x40, 10, 1);
  machine.ports.write(0x40, 0, 1);
  machine.timeline.skip_to(machine.events.next_tick());
  machine.events.fire_due();
  EXPECT_TRUE(machine.sink.levels[31]) << "INTR";
  EXPECT_EQ(machine.board->interrupt_acknowledge().acknowledge_interrupt(), 0x20);
  ASSERT_EQ(machine.sink.messages.size(), 1u);
  EXPECT_EQ(machine.sink.messages[0].data & 0xff, 0x31u);
}

TEST_P(Boards, FpuErrorIsIrq13UntilPortF0) {
  Whole machine(config());
  for (const auto& [port, value] : {std::pair{0x20, 0x11},
                                    {0x21, 0x20},
                                    {0x21, 4},
                                    {0x21, 1},
                                    {0xa0, 0x11},
                                    {0xa1, 0x28},
                                    {0xa1, 2},
                                    {0xa1, 1}}) {
    machine.ports.write(port, value, 1);
  }
  IrqLine ferr(*machine.board->ferr_input(), 0);
  ferr.raise();
  EXPECT_TRUE(machine.sink.levels[31]) << "INTR";
  EXPECT_EQ(machine.board->interrupt_acknowledge().acknowledge_interrupt(), 0x2d);
  EXPECT_FALSE(machine.sink.levels[30]);
  machine.ports.write(map::kFpuErrorPort, 0, 1);
  EXPECT_TRUE(machine.sink.levels[30]) << "IGNNE#";
  ferr.lower();
  EXPECT_FALSE(machine.sink.levels[30]);
  machine.ports.write(0xa0, 0x0a, 1);
  EXPECT_EQ(machine.ports.read(0xa0, 1) & 0x20, 0u) << "IRQ 13 has fallen";
}

TEST_P(Boards, ThePicReachesTheIoApicAtPin0) {
  Whole machine(config());
  for (const auto& [port, value] : {std::pair{0x20, 0x11}, {0x21, 0x20}, {0x21, 4}, {0x21, 1}}) {
    machine.ports.write(port, value, 1);
  }
  machine.memory.write(map::kIoApicStart, 0x10, 4);
  machine.memory.write(map::kIoApicStart + 0x10, 0x700, 4);  // ExtINT, unmasked
  machine.ports.write(0x43, 0x30, 1);
  machine.ports.write(0x40, 10, 1);
  machine.ports.write(0x40, 0, 1);
  machine.timeline.skip_to(machine.events.next_tick());
  machine.events.fire_due();
  ASSERT_EQ(machine.sink.messages.size(), 1u);
  EXPECT_EQ(machine.sink.messages[0].data & 0x700, 0x700u);
}

TEST_P(Boards, StateMovesToAnotherBoard) {
  Whole a(config());
  ASSERT_TRUE(a.board->prepare_direct_boot());
  a.ports.write(0x43, 0x34, 1);
  a.ports.write(0x40, 0, 1);
  a.ports.write(0x40, 0x10, 1);
  a.timeline.skip_to(123'456);
  a.events.fire_due();
  const auto saved = a.save();
  Whole b(config());
  b.timeline.skip_to(123'456);
  StateReader reader(saved);
  b.clock.visit_state(reader);
  b.events.visit_state(reader);
  b.board->visit_state(reader);
  const auto loaded = reader.finish();
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(b.save(), saved);
  EXPECT_EQ(b.memory.read(ecam() + (4 << 15) + 0x20, 4), a.memory.read(ecam() + (4 << 15) + 0x20, 4));
}

TEST_P(Boards, TypedBytesEnterThroughTheChannel) {
  Config c = config();
  c.virtio_console = false;
  Whole machine(c);
  const u8 typed[] = {'l', 's'};
  machine.inputs.post(machine.board->serial_channel(), typed);
  machine.inputs.deliver_due();
  EXPECT_EQ(machine.ports.read(map::kCom1Port + 5, 1) & 1, 0u) << "the other end waits for RTS";
  machine.ports.write(map::kCom1Port + 4, 2, 1);
  machine.timeline.skip_to(machine.events.next_tick());
  machine.events.fire_due();
  EXPECT_EQ(machine.ports.read(map::kCom1Port + 5, 1) & 1, 1u);
  EXPECT_EQ(machine.ports.read(map::kCom1Port, 1), u64{'l'});
  machine.timeline.skip_to(machine.events.next_tick());
  machine.events.fire_due();
  EXPECT_EQ(machine.ports.read(map::kCom1Port, 1), u64{'s'});
  EXPECT_TRUE(machine.board->drain());
}

TEST_P(Boards, BadDisksAreRefused) {
  Config c = config();
  c.disks[0].file = "missing.img";
  Whole good(config());
  const auto made = make_board({.config = c,
                                .ram = *good.ram,
                                .memory = good.memory,
                                .ports = good.ports,
                                .events = good.events,
                                .inputs = good.inputs,
                                .entropy = good.entropy,
                                .msi = good.sink,
                                .intr = {},
                                .control = good.control,
                                .serial_output = [](std::span<const u8>) {}});
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().message, "opening disk image 'missing.img': No such file or directory");
}

INSTANTIATE_TEST_SUITE_P(All, Boards, testing::Values(BoardKind::kMinimal, BoardKind::kQ35),
                         [](const auto& tested) {
                           return std::string(tested.param == BoardKind::kQ35 ? "q35" : "minimal");
                         });

// ---- q35's chipset ----

struct Q35 : testing::Test {
  Config config;
  Q35() {
    config.board = BoardKind::kQ35;
    config.memory_bytes = 16 << 20;
  }
};
struct Q35Machine : Whole {
  static constexpr u32 kMch = 0, kLpc = 31 << 11;
  using Whole::Whole;
  u64 config_read(u32 function, u32 offset, unsigned size) {
    ports.write(map::kPciConfigAddressPort, 0x80000000 | function | (offset & 0xfc), 4);
    return ports.read(map::kPciConfigDataPort + (offset & 3), size);
  }
  void config_write(u32 function, u32 offset, u64 value, unsigned size) {
    ports.write(map::kPciConfigAddressPort, 0x80000000 | function | (offset & 0xfc), 4);
    ports.write(map::kPciConfigDataPort + (offset & 3), value, size);
  }
};

TEST_F(Q35, PciexbarMovesTheEcamWindow) {
  Q35Machine machine(config);
  EXPECT_EQ(machine.config_read(0, 0x60, 4), 0xe0000000u) << "[Q35 5.1.15]";
  EXPECT_EQ(machine.memory.read(0xe0000000, 4), 0xffffffffu) << "not enabled";
  machine.config_write(0, 0x60, 0xb0000001, 4);
  EXPECT_EQ(machine.memory.read(0xb0000000, 4), 0x29c08086u);
  EXPECT_EQ(machine.memory.read(0xb0000000 + (31 << 15), 4), 0x29188086u);
  EXPECT_EQ(machine.memory.read(0xb0000000 + (31 << 15) + 0x0e, 1), 0x80u) << "multifunction";
  EXPECT_EQ(machine.memory.read(0xbff00000, 4), 0xffffffffu) << "bus 255 is empty, but there";
  machine.config_write(0, 0x60, 0x94000005, 4);  // 64 MiB
  EXPECT_EQ(machine.memory.read(0x94000000, 4), 0x29c08086u);
  EXPECT_EQ(machine.memory.read(0xb0000000, 4), 0xffffffffu);
}

TEST_F(Q35, PamChoosesDramForReadsAndWrites) {
  Q35Machine machine(config);
  EXPECT_EQ(machine.memory.read(0xf0000, 4), 0xffffffffu);
  machine.config_write(0, 0x90, 0x20, 1);  // F0000: writes to DRAM, reads from PCI
  machine.memory.write(0xf1234, 0xabcd, 2);
  EXPECT_EQ(machine.memory.read(0xf1234, 2), 0xffffu);
  machine.config_write(0, 0x90, 0x10, 1);  // reads from DRAM
  machine.memory.write(0xf1234, 0x1111, 2);
  EXPECT_EQ(machine.memory.read(0xf1234, 2), 0xabcdu);
  machine.config_write(0, 0x90, 0x30, 1);
  machine.memory.write(0xf1234, 0x2222, 2);
  EXPECT_EQ(machine.memory.read(0xf1234, 2), 0x2222u);
  // PAM1's low half is C0000, its high half C4000; PAM6's high half ends at EFFFF.
  machine.config_write(0, 0x91, 0x30, 1);
  machine.memory.write(0xc0000, 0x5a, 1);
  machine.memory.write(0xc4000, 0x5b, 1);
  EXPECT_EQ(machine.memory.read(0xc0000, 1), 0xffu);
  EXPECT_EQ(machine.memory.read(0xc4000, 1), 0x5bu);
  machine.config_write(0, 0x96, 0x30, 1);
  machine.memory.write(0xeffff, 0x5c, 1);
  EXPECT_EQ(machine.memory.read(0xeffff, 1), 0x5cu);
  EXPECT_EQ(machine.memory.read(0xebfff, 1), 0xffu);
}

TEST_F(Q35, SmramOpensAndLocks) {
  Q35Machine machine(config);
  machine.memory.write(0xa0000, 0x77, 1);
  EXPECT_EQ(machine.memory.read(0xa0000, 1), 0xffu);
  machine.config_write(0, 0x9d, 0x48, 1);  // G_SMRAME, D_OPEN
  machine.memory.write(0xa0000, 0x77, 1);
  EXPECT_EQ(machine.memory.read(0xa0000, 1), 0x77u);
  machine.memory.write(0xf00000, 0x66, 1);
  machine.config_write(0, 0x9e, 0x01, 1);  // TSEG of 1 MiB at the end of low RAM
  EXPECT_EQ(machine.memory.read(0xf00000, 1), 0xffu);
  EXPECT_EQ(machine.memory.read(0xeffff8, 8), 0u);
  machine.config_write(0, 0x9d, 0x58, 1);  // D_LCK
  EXPECT_EQ(machine.config_read(0, 0x9d, 1), 0x1au) << "the lock closes D_OPEN";
  EXPECT_EQ(machine.memory.read(0xa0000, 1), 0xffu);
  machine.config_write(0, 0x9d, 0x48, 1);
  machine.config_write(0, 0x9e, 0x00, 1);
  EXPECT_EQ(machine.config_read(0, 0x9d, 2), 0x391au);
  machine.board->reset();
  EXPECT_EQ(machine.config_read(0, 0x9d, 2), 0x3802u);
  EXPECT_EQ(machine.memory.read(0xf00000, 1), 0x66u);
}

TEST_F(Q35, PmbaseAndHptcPlaceTheirBlocks) {
  Q35Machine machine(config);
  EXPECT_EQ(machine.ports.read(0x608, 4), 0xffffffffu);
  machine.config_write(Q35Machine::kLpc, 0x40, 0x401, 4);
  machine.config_write(Q35Machine::kLpc, 0x44, 0x80, 1);
  machine.timeline.skip_to(1'000'000'000);
  EXPECT_EQ(machine.ports.read(0x408, 4), 3'579'545u);
  EXPECT_EQ(machine.memory.read(0xfed00000, 8), 0x0429b17f8086a201u);
  machine.config_write(Q35Machine::kLpc, 0xf0, 0xfed1c001, 4);
  machine.memory.write(0xfed1c000 + 0x3404, 0x82, 4);
  EXPECT_EQ(machine.memory.read(0xfed02000, 4), 0x8086a201u);
  EXPECT_EQ(machine.memory.read(0xfed00000, 4), 0xffffffffu);
  machine.memory.write(0xfed1c000 + 0x3404, 0x02, 1);
  EXPECT_EQ(machine.memory.read(0xfed02000, 4), 0xffffffffu) << "disabled";
}

TEST_F(Q35, SoftOffIsSleepType7AndQemusZero) {
  for (const u64 type : {0u, 1u, 5u, 7u}) {
    Q35Machine machine(config);
    ASSERT_TRUE(machine.board->prepare_direct_boot());
    machine.ports.write(map::kAcpiPmPort + 4, type << 10 | 1 << 13, 2);
    EXPECT_EQ(machine.control.power_offs, type == 0 || type == 7 ? 1u : 0u) << type;
  }
}

// The entropy device's INTA# (slot 1) is PIRQF: pin 21, and at the 8259 pair what PIRQF_ROUT says. A wire
// that is high because the device's interrupt is pending follows the routing register.
TEST_F(Q35, PirqsAreSteered) {
  Q35Machine machine(config);
  ASSERT_TRUE(machine.board->prepare_direct_boot());
  for (const auto& [port, value] : {std::pair{0x20, 0x11},
                                    {0x21, 0x20},
                                    {0x21, 4},
                                    {0x21, 1},
                                    {0xa0, 0x11},
                                    {0xa1, 0x28},
                                    {0xa1, 2},
                                    {0xa1, 1}}) {
    machine.ports.write(port, value, 1);
  }
  machine.memory.write(map::kIoApicStart, 0x10 + 2 * 21, 4);
  machine.memory.write(map::kIoApicStart + 0x10, 0x8041, 4);  // level
  const u64 rng = map::kQ35EcamStart + (1 << 15);
  EXPECT_EQ(machine.memory.read(rng + 0x3c, 2), 0x010au);
  // A queue of no memory breaks as soon as it is notified: the configuration interrupt is INTA#.
  const u64 bar = machine.memory.read(rng + 0x20, 4) & ~u64{15};
  const auto common = [&](u64 offset, u64 value, unsigned size) {
    machine.memory.write(bar + offset, value, size);
  };
  common(0x14, 3, 1);
  common(0x08, 1, 4);
  common(0x0c, 1, 4);
  common(0x14, 11, 1);
  common(0x20, 0x7ffff000, 8);
  common(0x28, 0x7fffe000, 8);
  common(0x30, 0x7fffd000, 8);
  common(0x1c, 1, 2);
  common(0x14, 15, 1);
  machine.memory.write(bar + 0x3000, 0, 2);
  ASSERT_EQ(machine.sink.messages.size(), 1u);
  EXPECT_EQ(machine.sink.messages[0].data & 0xff, 0x41u);
  EXPECT_EQ(machine.board->interrupt_acknowledge().acknowledge_interrupt(), 0x2a) << "IRQ 10";
  machine.ports.write(0xa0, 0x20, 1);
  machine.ports.write(0x20, 0x20, 1);
  machine.config_write(Q35Machine::kLpc, 0x69, 11, 1);
  EXPECT_EQ(machine.board->interrupt_acknowledge().acknowledge_interrupt(), 0x2b) << "IRQ 11";
  machine.ports.write(0xa0, 0x20, 1);
  machine.ports.write(0x20, 0x20, 1);
  machine.config_write(Q35Machine::kLpc, 0x69, 0x80, 1);
  EXPECT_FALSE(machine.sink.levels[31]) << "not steered";
}

// Legacy replacement takes IRQ 0 from the 8254 and gives it to comparator 0.
TEST_F(Q35, HpetReplacesThePit) {
  Q35Machine machine(config);
  for (const auto& [port, value] :
       {std::pair{0x20, 0x11}, {0x21, 0x20}, {0x21, 4}, {0x21, 1}, {0x43, 0x34}, {0x40, 100}, {0x40, 0}}) {
    machine.ports.write(port, value, 1);
  }
  const auto pass = [&](u64 ns) {
    const Tick end = machine.timeline.now() + ns;
    while (machine.events.next_tick() <= end) {
      machine.timeline.skip_to(std::max(machine.timeline.now() + 1, machine.events.next_tick()));
      machine.events.fire_due();
    }
    machine.timeline.skip_to(end);
  };
  pass(1'000'000);
  EXPECT_EQ(machine.board->interrupt_acknowledge().acknowledge_interrupt(), 0x20) << "the 8254's";
  machine.ports.write(0x20, 0x20, 1);
  machine.memory.write(0xfed00100, 0x04, 4);    // enabled, edge, one-shot
  machine.memory.write(0xfed00108, 14'318, 8);  // a millisecond
  machine.memory.write(0xfed00010, 3, 4);
  while (machine.sink.levels[31]) {  // one that was latched
    machine.board->interrupt_acknowledge().acknowledge_interrupt();
    machine.ports.write(0x20, 0x20, 1);
  }
  pass(900'000);
  EXPECT_FALSE(machine.sink.levels[31]) << "the 8254 is cut off";
  pass(200'000);
  EXPECT_EQ(machine.board->interrupt_acknowledge().acknowledge_interrupt(), 0x20) << "the HPET's";
}

TEST_F(Q35, MemoryBeyondTheHoleIsAbove4GiB) {
  config.memory_bytes = u64{3} << 30;
  Q35Machine machine(config);
  EXPECT_EQ(machine.board->pci_hole_start(), 0x80000000u);
  machine.memory.write(0x7ffffff8, 0x12345678, 8);
  machine.memory.write(0x13ffffff8, 0x9abcdef0, 8);
  EXPECT_EQ(machine.memory.read(0x7ffffff8, 8), 0x12345678u);
  EXPECT_EQ(machine.memory.read(0x13ffffff8, 8), 0x9abcdef0u);
  EXPECT_EQ(machine.memory.read(0x80000000, 8), ~u64{0});
  EXPECT_EQ(machine.memory.read(0x140000000, 8), ~u64{0});
}

}  // namespace
}  // namespace orrery::machine
