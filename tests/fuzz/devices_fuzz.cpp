// needs: machine/board_q35.cpp
// Fuzzes the boards as a guest would: port and memory accesses of any size to every device, time passing,
// input typed. No access may crash, stop the machine for a host error, or keep it from being saved, loaded
// and saved again.

#include "base/bits.h"
#include "base/check.h"
#include "machine/board.h"

namespace {

using namespace orrery;

struct QuietMachine final : devices::MachineControl, MsiSink, IrqSink {
  void request_power_off() override {}
  void request_reset() override { reset_requested = true; }
  void request_init() override { reset_requested = true; }
  void request_exit(u32) override {}
  void report_host_error(std::string message) override { CHECK(false, message); }
  void send_msi(PhysAddr, u32) override {}
  void set_irq(unsigned, bool) override {}
  bool reset_requested = false;
};

struct World {
  static constexpr u64 kRamBytes = 8 << 20;
  machine::Config config;
  std::unique_ptr<memory::Ram> ram = memory::Ram::create("fuzz", kRamBytes).value();
  memory::AddressSpace memory{0};
  memory::AddressSpace ports{0x10000};
  Timeline timeline;
  Clock clock{timeline};
  EventQueue events{timeline, clock};
  InputPort inputs{timeline};
  Entropy entropy;
  QuietMachine control;
  std::unique_ptr<machine::Board> board;

  explicit World(machine::BoardKind kind) : config(make_config(kind)) {
    board = machine::make_board({.config = config,
                                 .ram = *ram,
                                 .memory = memory,
                                 .ports = ports,
                                 .events = events,
                                 .inputs = inputs,
                                 .entropy = entropy,
                                 .msi = control,
                                 .intr = IrqLine(control, 0),
                                 .ignne = IrqLine(control, 1),
                                 .control = control})
                .value();
  }
  static machine::Config make_config(machine::BoardKind kind) {
    machine::Config config;
    config.board = kind;
    config.memory_bytes = kRamBytes;
    config.clock = machine::ClockPolicy::kFixed;
    config.serial.kind = machine::SerialConfig::Kind::kNone;
    config.virtio_console = true;
    return config;
  }
  std::vector<u8> save() {
    StateWriter writer;
    board->visit_state(writer);
    events.visit_state(writer);
    return writer.bytes();
  }
};

/// One access as the input says, at some I/O range of `space` or anywhere.
void access(memory::AddressSpace& space, const u8* op) {
  std::vector<const memory::FlatRange*> io;
  for (const auto& range : space.flat_view()) {
    if (range.kind == memory::FlatRange::Kind::kIo) io.push_back(&range);
  }
  const u64 value = load_le<u64>(op + 4);
  const unsigned size = 1u << (op[1] & 3);
  u64 address = load_le<u16>(op + 2);
  if (!io.empty() && !bit(op[1], 7)) {
    const auto& range = *io[op[12] % io.size()];
    address = range.start + address % (range.end - range.start);
  }
  if (bit(op[1], 6)) {
    space.write(address, value, size);
  } else {
    space.read(address, size);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const u8* data, size_t size) {
  // The first byte chooses the board.
  if (size == 0) return 0;
  World world(bit(data[0], 0) ? machine::BoardKind::kQ35 : machine::BoardKind::kMinimal);
  ++data;
  --size;
  CHECK(world.board->prepare_direct_boot().ok());
  constexpr size_t kOpBytes = 13;
  for (; size >= kOpBytes; data += kOpBytes, size -= kOpBytes) {
    switch (data[0] % 8) {
      case 0: {
        const u64 passed = load_le<u32>(data + 1) % 100'000'000;
        world.timeline.skip_to(world.timeline.now() + passed);
        world.events.fire_due();
        break;
      }
      case 1:
        world.inputs.post(0, {data + 2, 8});  // the serial port's, the only channel that a board opens
        world.inputs.deliver_due();
        break;
      case 2: {
        // What the guest puts in memory, for rings and descriptors.
        const u64 offset = load_le<u32>(data + 1) % (World::kRamBytes - 8);
        store_le(world.ram->data() + offset, load_le<u64>(data + 5));
        break;
      }
      case 3:
      case 4:
        access(world.memory, data);
        break;
      default:
        access(world.ports, data);
        break;
    }
    if (world.control.reset_requested) {
      world.control.reset_requested = false;
      world.board->reset();
      CHECK(world.board->prepare_direct_boot().ok());
    }
  }
  CHECK(world.board->drain().ok());
  const std::vector<u8> saved = world.save();
  StateReader reader(saved);
  world.board->visit_state(reader);
  world.events.visit_state(reader);
  const auto loaded = reader.finish();
  CHECK(loaded.ok(), loaded.ok() ? "" : loaded.error().message);
  CHECK(world.save() == saved, "saved, loaded and saved again is something else");
  return 0;
}
