// The minimal board as a whole: what is mapped where, interrupts, direct boot, state.
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
    auto made = make_board_minimal(
        {.config = config,
         .ram = *ram,
         .memory = memory,
         .ports = ports,
         .events = events,
         .inputs = inputs,
         .entropy = entropy,
         .msi = sink,
         .intr = IrqLine(sink, 31),
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

struct BoardMinimalTest : testing::Test {
  tests::TemporaryFile file{1 << 20};
  Config config() const {
    Config c;
    c.cpus = 2;
    c.memory_bytes = 16 << 20;
    c.virtio_console = true;
    c.disks = {{.file = file.path(), .snapshot = true}};
    return c;
  }
};

TEST_F(BoardMinimalTest, MemoryIsWhereE820Says) {
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

TEST_F(BoardMinimalTest, SerialResetAndPciAnswerAtTheirPorts) {
  Whole machine(config());
  machine.ports.write(map::kCom1Port, 'A', 1);
  EXPECT_EQ(machine.text, "A");
  machine.ports.write(map::kPciConfigAddressPort, 0x80000000, 4);
  EXPECT_EQ(machine.ports.read(map::kPciConfigDataPort, 4), 0x29c08086u);
  EXPECT_EQ(machine.memory.read(map::kEcamStart, 4), 0x29c08086u);
  machine.ports.write(map::kResetControlPort, 6, 1);
  EXPECT_EQ(machine.control.resets, 1u);
  machine.ports.write(map::kI8042CommandPort, 0xfe, 1);
  EXPECT_EQ(machine.control.resets, 2u);
  machine.ports.write(map::kDebugExitPort, 0x21, 4);
  EXPECT_EQ(machine.control.exits, std::vector<u32>{0x21});
}

TEST_F(BoardMinimalTest, DirectBootLeavesTablesAndBars) {
  Whole machine(config());
  const auto rsdp = machine.board->prepare_direct_boot();
  ASSERT_TRUE(rsdp);
  EXPECT_EQ(machine.memory.read(rsdp.value().value, 8), 0x2052545020445352u);  // "RSD PTR "
  const u64 disk = map::kEcamStart + (4 << 15);
  EXPECT_EQ(machine.memory.read(disk, 4), 0x10421af4u);
  const u64 bar = machine.memory.read(disk + 0x20, 4) & ~u64{15};
  EXPECT_GE(bar, map::kPciWindowStart);
  EXPECT_EQ(machine.memory.read(bar + 0x2000, 8), 2048u) << "capacity in sectors";
  EXPECT_EQ(machine.memory.read(disk + 0x3c, 2), 0x010au) << "INTA# at IRQ 10";
  EXPECT_EQ(machine.ports.read(map::kAcpiPmPort + 4, 2) & 1, 1u);
}

TEST_F(BoardMinimalTest, PitReachesBothControllers) {
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

TEST_F(BoardMinimalTest, StateMovesToAnotherBoard) {
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
  EXPECT_EQ(b.memory.read(map::kEcamStart + (4 << 15) + 0x20, 4),
            a.memory.read(map::kEcamStart + (4 << 15) + 0x20, 4));
}

TEST_F(BoardMinimalTest, TypedBytesEnterThroughTheChannel) {
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
  EXPECT_EQ(machine.ports.read(map::kCom1Port, 1), u64{'s'});
  EXPECT_TRUE(machine.board->drain());
}

TEST_F(BoardMinimalTest, BadDisksAreRefused) {
  Config c = config();
  c.disks[0].file = "missing.img";
  Whole good(config());
  const auto made = make_board_minimal({.config = c,
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

}  // namespace
}  // namespace orrery::machine
