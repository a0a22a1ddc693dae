#include "machine/pc_parts.h"

#include <unistd.h>

#include "machine/acpi/acpi_tables.h"
#include "machine/address_map.h"

namespace orrery::machine {
namespace {

using devices::DescriptorCharacterBackend;
constexpr u64 kDefaultEpoch = 1'767'225'600;  // 2026-01-01 00:00:00 UTC
constexpr memory::AccessLimits kBytes{.min_bytes = 1, .max_bytes = 1};
constexpr memory::AccessLimits kUpToDwords{.min_bytes = 1, .max_bytes = 4};
constexpr memory::AccessLimits kDwords{.min_bytes = 4, .max_bytes = 4};

// Devices of PCI bus 0; the host bridge is 0.
constexpr unsigned kRngSlot = 1;
constexpr unsigned kConsoleSlot = 2;
constexpr unsigned kFirstDiskSlot = 4;

Result<std::unique_ptr<devices::CharacterBackend>> open_serial(const BoardServices& services) {
  using Backend = std::unique_ptr<devices::CharacterBackend>;
  if (services.silent) return Backend(std::make_unique<devices::NullCharacterBackend>());
  if (services.serial_output) {
    return Backend(std::make_unique<devices::CallbackCharacterBackend>(services.serial_output));
  }
  switch (services.config.serial.kind) {
    case SerialConfig::Kind::kStdio:
      return Backend(std::make_unique<DescriptorCharacterBackend>(
          STDOUT_FILENO, DescriptorCharacterBackend::Ownership::kBorrowed, "standard output"));
    case SerialConfig::Kind::kFile:
      return DescriptorCharacterBackend::create_file(services.config.serial.path);
    case SerialConfig::Kind::kNone:
      break;
  }
  return Backend(std::make_unique<devices::NullCharacterBackend>());
}

}  // namespace

Result<BoardBackends> open_backends(const BoardServices& services) {
  BoardBackends backends;
  TRY_ASSIGN(backends.serial, open_serial(services));
  if (services.config.debugcon && !services.silent) {
    backends.debug_console = std::make_unique<DescriptorCharacterBackend>(
        STDERR_FILENO, DescriptorCharacterBackend::Ownership::kBorrowed, "standard error");
  } else {
    backends.debug_console = std::make_unique<devices::NullCharacterBackend>();
  }
  if (services.config.cpus < 1 || services.config.cpus > kMaxAcpiCpus) {
    return make_error("{} CPUs are configured, the board takes 1 to {}", services.config.cpus, kMaxAcpiCpus);
  }
  if (services.config.disks.size() > kMaxConfigDisks) {
    return make_error("{} disks are configured, the board has room for {}", services.config.disks.size(),
                      kMaxConfigDisks);
  }
  for (const DiskConfig& disk : services.config.disks) {
    const auto mode = disk.snapshot    ? devices::DiskImage::Mode::kSnapshot
                      : disk.read_only ? devices::DiskImage::Mode::kReadOnly
                                       : devices::DiskImage::Mode::kDirect;
    TRY_ASSIGN(auto image, devices::DiskImage::open(disk.file, mode));
    backends.disks.push_back(std::move(image));
  }
  return backends;
}

// ---- Interrupt controllers ----

void InterruptControllers::VirtualWire::set_irq(unsigned, bool level) {
  lint0_.set(level);
  ioapic_.set_irq(address_map::kPicIoApicPin, level);
}

InterruptControllers::InterruptControllers(BoardServices& services)
    : ioapic_({.id = address_map::kIoApicId}, services.msi),
      virtual_wire_(services.intr, ioapic_),
      pic_(IrqLine(virtual_wire_, 0)),
      wires_(pic_, ioapic_) {}

void InterruptControllers::map(BoardServices& services) {
  using namespace address_map;
  services.memory.add_io("ioapic", kIoApicStart, kIoApicBytes, ioapic_, kDwords);
  services.ports.add_io("pic master", kPicMasterPort, 2, pic_.master_ports(), kBytes);
  services.ports.add_io("pic slave", kPicSlavePort, 2, pic_.slave_ports(), kBytes);
  services.ports.add_io("elcr", kElcrPort, 2, pic_.elcr_ports(), kBytes);
}

void InterruptControllers::set_level_triggered(u16 irqs) {
  pic_.elcr_ports().write(0, irqs & 0xff, 1);
  pic_.elcr_ports().write(1, irqs >> 8, 1);
}

// ---- AT devices ----

AtDevices::AtDevices(BoardServices& services, BoardBackends& backends, Wiring wiring)
    : pit_(services.events, wiring.pit),
      rtc_({.start_epoch = services.config.rtc_start != 0 ? services.config.rtc_start : kDefaultEpoch},
           services.events, wiring.rtc),
      i8042_(wiring.interrupts.isa(address_map::kKeyboardIrq), wiring.interrupts.isa(address_map::kMouseIrq),
             services.control),
      com1_({.name = "com1"}, services.events, wiring.interrupts.isa(address_map::kCom1Irq),
            *backends.serial),
      fpu_error_(wiring.interrupts.isa(address_map::kFpuErrorIrq), services.ignne),
      debug_console_(*backends.debug_console),
      debug_exit_(services.control) {}

std::vector<devices::Device*> AtDevices::devices() {
  return {&pit_, &rtc_, &i8042_, &com1_, &fpu_error_, &debug_console_, &debug_exit_};
}

void AtDevices::map(BoardServices& services) {
  using namespace address_map;
  memory::AddressSpace& ports = services.ports;
  ports.add_io("pit", kPitPort, 4, pit_.ports(), kBytes);
  ports.add_io("system control b", kSystemControlBPort, 1, pit_.control_port(), kBytes);
  ports.add_io("i8042 data", kI8042DataPort, 1, i8042_.data_port(), kBytes);
  ports.add_io("i8042 command", kI8042CommandPort, 1, i8042_.command_port(), kBytes);
  ports.add_io("system control a", kSystemControlAPort, 1, i8042_.system_control_a(), kBytes);
  ports.add_io("post code", kPostCodePort, 1, i8042_.post_code_port(), kBytes);
  ports.add_io("rtc", kRtcPort, 2, rtc_, kBytes);
  ports.add_io("fpu error", kFpuErrorPort, 1, fpu_error_, kBytes);
  ports.add_io("com1", kCom1Port, 8, com1_, kBytes);
  ports.add_io("debug exit", kDebugExitPort, 4, debug_exit_, kUpToDwords);
  if (services.config.debugcon) {
    ports.add_io("debug console", kDebugConsolePort, 1, debug_console_, kBytes);
    ports.add_io("debug console 2", kDebugConsole2Port, 1, debug_console_, kBytes);
  }
}

// ---- Virtio ----

devices::PciWiring pci_wiring(BoardServices& services, devices::PciBus& bus, unsigned device) {
  return {
      .memory = services.memory, .ports = services.ports, .msi = services.msi, .intx = bus.intx_of(device)};
}

VirtioDevices::VirtioDevices(BoardServices& services, BoardBackends& backends, devices::PciBus& bus)
    : dma_(services.memory), rng_(pci_wiring(services, bus, kRngSlot), dma_, services.entropy) {
  bus.attach(kRngSlot, rng_);
  if (services.config.virtio_console) {
    console_ = std::make_unique<devices::VirtioConsole>(pci_wiring(services, bus, kConsoleSlot), dma_,
                                                        *backends.serial);
    bus.attach(kConsoleSlot, *console_);
  }
  for (auto& image : backends.disks) {
    const auto index = static_cast<unsigned>(disks_.size());
    const std::string name = fmt::format("disk{}", index);
    disks_.push_back(
        std::make_unique<devices::VirtioBlk>(devices::VirtioBlk::Config{.name = name, .serial = name},
                                             pci_wiring(services, bus, kFirstDiskSlot + index), dma_,
                                             services.events, services.control, std::move(image)));
    bus.attach(kFirstDiskSlot + index, *disks_.back());
  }
}

std::vector<devices::Device*> VirtioDevices::devices() {
  std::vector<devices::Device*> all{&rng_};
  if (console_) all.push_back(console_.get());
  for (auto& disk : disks_) all.push_back(disk.get());
  return all;
}

Result<> VirtioDevices::drain() {
  for (auto& disk : disks_) TRY(disk->drain());
  return {};
}

// ---- The board ----

void PcBoard::adopt(std::vector<devices::Device*> devices) {
  devices_.insert(devices_.end(), devices.begin(), devices.end());
}

void PcBoard::open_serial_channel(devices::Uart16550& com1, devices::VirtioConsole* console) {
  serial_channel_ =
      services_.inputs.open("com1", [&com1](std::span<const u8> bytes) { com1.receive(bytes); });
  if (console == nullptr) return;
  serial_channel_ = services_.inputs.open("virtio console",
                                          [console](std::span<const u8> bytes) { console->receive(bytes); });
}

void PcBoard::reset() {
  for (devices::Device* device : devices_) device->reset();
}

void PcBoard::visit_devices(StateVisitor& v) {
  for (devices::Device* device : devices_) device->visit_state(v);
}

Result<> PcBoard::flush_backends() {
  TRY(backends_.serial->flush());
  return backends_.debug_console->flush();
}

void PcBoard::map_ram(u64 low_bytes, u64 above_hole) {
  using namespace address_map;
  memory::AddressSpace& space = services_.memory;
  memory::Ram& ram = services_.ram;
  space.add_ram("ram", 0, ram, 0, std::min(low_bytes, kLegacyVideoStart));
  if (low_bytes > above_hole) space.add_ram("ram", above_hole, ram, above_hole, low_bytes - above_hole);
  if (ram.size_bytes() > low_bytes) {
    space.add_ram("ram above 4 GiB", kHighRamStart, ram, low_bytes, ram.size_bytes() - low_bytes);
  }
}

std::vector<Board::E820Entry> PcBoard::e820_of(u64 low_bytes, std::vector<E820Entry> reserved) const {
  using namespace address_map;
  std::vector<E820Entry> entries;
  entries.push_back({0, std::min(low_bytes, kLegacyVideoStart), kE820Ram});
  entries.push_back({kLegacyVideoStart, kAcpiTablesEnd - kLegacyVideoStart, kE820Reserved});
  if (low_bytes > kAcpiTablesEnd) entries.push_back({kAcpiTablesEnd, low_bytes - kAcpiTablesEnd, kE820Ram});
  entries.insert(entries.end(), reserved.begin(), reserved.end());
  const u64 high_bytes = services_.ram.size_bytes() - low_bytes;
  if (high_bytes != 0) entries.push_back({kHighRamStart, high_bytes, kE820Ram});
  return entries;
}

Result<std::unique_ptr<Board>> make_board(BoardServices services) {
  switch (services.config.board) {
    case BoardKind::kQ35:
      return make_board_q35(std::move(services));
    case BoardKind::kMinimal:
      break;
  }
  return make_board_minimal(std::move(services));
}

}  // namespace orrery::machine
