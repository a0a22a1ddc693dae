#include "machine/board_minimal.h"

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

// Devices of PCI bus 0.
constexpr unsigned kHostBridgeSlot = 0;
constexpr unsigned kRngSlot = 1;
constexpr unsigned kConsoleSlot = 2;
constexpr unsigned kFirstDiskSlot = 4;

/// E820 types [ACPI 15].
enum E820Type : u32 { kE820Ram = 1, kE820Reserved = 2, kE820AcpiReclaimable = 3 };

Result<std::unique_ptr<devices::CharacterBackend>> open_serial(const BoardServices& services) {
  using Backend = std::unique_ptr<devices::CharacterBackend>;
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

void IsaInterrupts::set_irq(unsigned irq, bool level) {
  pic_.set_irq(irq, level);
  ioapic_.set_irq(irq == address_map::kPitIrq ? address_map::kPitIoApicPin : irq, level);
}

void PciInterrupts::set_irq(unsigned line, bool level) {
  using address_map::kPirqIrqs;
  levels_ = static_cast<u8>(level ? levels_ | 1u << line : levels_ & ~(1u << line));
  ioapic_.set_irq(address_map::kFirstPciGsi + line, level);
  bool shared = false;
  for (unsigned other = 0; other < devices::PciBus::kLines; ++other) {
    if (kPirqIrqs[other] == kPirqIrqs[line]) shared |= levels_ >> other & 1;
  }
  pic_.set_irq(kPirqIrqs[line], shared);
}

void PciInterrupts::visit_state(StateVisitor& v) {
  v.begin("pci_interrupts", 1);
  v.field("levels", levels_);
  v.require(levels_ < 16, "four lines");
  v.end();
}

BoardMinimal::BoardMinimal(BoardServices services, Backends backends)
    : services_(std::move(services)),
      backends_(std::move(backends)),
      pic_(services_.intr),
      ioapic_({.id = address_map::kIoApicId}, services_.msi),
      isa_(pic_, ioapic_),
      pit_(services_.events, isa_.line(address_map::kPitIrq)),
      rtc_({.start_epoch = services_.config.rtc_start != 0 ? services_.config.rtc_start : kDefaultEpoch},
           services_.events, isa_.line(address_map::kRtcIrq)),
      acpi_pm_(services_.events, isa_.line(address_map::kSciIrq), services_.control),
      i8042_(isa_.line(address_map::kKeyboardIrq), isa_.line(address_map::kMouseIrq), services_.control),
      com1_({.name = "com1"}, services_.events, isa_.line(address_map::kCom1Irq), *backends_.serial),
      debug_console_(*backends_.debug_console),
      debug_exit_(services_.control),
      fpu_error_(isa_.line(address_map::kFpuErrorIrq), services_.ignne),
      pci_interrupts_(pic_, ioapic_),
      pci_(pci_interrupts_, acpi_pm_.reset_port()),
      host_bridge_(pci_wiring(kHostBridgeSlot)),
      dma_(services_.memory),
      rng_(pci_wiring(kRngSlot), dma_, services_.entropy),
      devices_{&pic_,           &ioapic_,     &pit_,       &rtc_, &acpi_pm_,     &i8042_, &com1_,
               &debug_console_, &debug_exit_, &fpu_error_, &pci_, &host_bridge_, &rng_},
      serial_channel_(
          services_.inputs.open("com1", [this](std::span<const u8> bytes) { com1_.receive(bytes); })) {
  add_pci_devices();
  map_memory();
  map_ports();
  reset();
}

devices::PciWiring BoardMinimal::pci_wiring(unsigned device) {
  return {.memory = services_.memory,
          .ports = services_.ports,
          .msi = services_.msi,
          .intx = pci_.intx_of(device)};
}

void BoardMinimal::add_pci_devices() {
  pci_.attach(kHostBridgeSlot, host_bridge_);
  pci_.attach(kRngSlot, rng_);
  if (services_.config.virtio_console) {
    console_ = std::make_unique<devices::VirtioConsole>(pci_wiring(kConsoleSlot), dma_, *backends_.serial);
    serial_channel_ = services_.inputs.open("virtio console",
                                            [this](std::span<const u8> bytes) { console_->receive(bytes); });
    pci_.attach(kConsoleSlot, *console_);
    devices_.push_back(console_.get());
  }
  for (auto& image : backends_.disks) {
    const auto index = static_cast<unsigned>(disks_.size());
    const std::string name = fmt::format("disk{}", index);
    disks_.push_back(std::make_unique<devices::VirtioBlk>(
        devices::VirtioBlk::Config{.name = name, .serial = name}, pci_wiring(kFirstDiskSlot + index), dma_,
        services_.events, services_.control, std::move(image)));
    pci_.attach(kFirstDiskSlot + index, *disks_.back());
    devices_.push_back(disks_.back().get());
  }
}

u64 BoardMinimal::low_ram_bytes() const {
  return std::min(services_.ram.size_bytes(), address_map::kLowRamEnd);
}
u64 BoardMinimal::high_ram_bytes() const { return services_.ram.size_bytes() - low_ram_bytes(); }

void BoardMinimal::map_memory() {
  using namespace address_map;
  memory::AddressSpace& space = services_.memory;
  memory::Ram& ram = services_.ram;
  space.begin_update();
  space.add_ram("ram", 0, ram, 0, std::min(low_ram_bytes(), kLegacyVideoStart));
  if (low_ram_bytes() > kLegacyRomStart) {
    space.add_ram("ram", kLegacyRomStart, ram, kLegacyRomStart, low_ram_bytes() - kLegacyRomStart);
  }
  if (high_ram_bytes() != 0)
    space.add_ram("ram above 4 GiB", kHighRamStart, ram, kLowRamEnd, high_ram_bytes());
  space.add_io("ioapic", kIoApicStart, kIoApicBytes, ioapic_, kDwords);
  space.add_io("pci ecam", kEcamStart, kEcamBytes, pci_.ecam(), kUpToDwords);
  space.end_update();
}

void BoardMinimal::map_ports() {
  using namespace address_map;
  memory::AddressSpace& ports = services_.ports;
  ports.begin_update();
  ports.add_io("pic master", kPicMasterPort, 2, pic_.master_ports(), kBytes);
  ports.add_io("pic slave", kPicSlavePort, 2, pic_.slave_ports(), kBytes);
  ports.add_io("elcr", kElcrPort, 2, pic_.elcr_ports(), kBytes);
  ports.add_io("pit", kPitPort, 4, pit_.ports(), kBytes);
  ports.add_io("system control b", kSystemControlBPort, 1, pit_.control_port(), kBytes);
  ports.add_io("i8042 data", kI8042DataPort, 1, i8042_.data_port(), kBytes);
  ports.add_io("i8042 command", kI8042CommandPort, 1, i8042_.command_port(), kBytes);
  ports.add_io("system control a", kSystemControlAPort, 1, i8042_.system_control_a(), kBytes);
  ports.add_io("post code", kPostCodePort, 1, i8042_.post_code_port(), kBytes);
  ports.add_io("rtc", kRtcPort, 2, rtc_, kBytes);
  ports.add_io("smi command", kSmiCommandPort, 2, acpi_pm_.smi_ports(), kBytes);
  ports.add_io("acpi pm", kAcpiPmPort, devices::AcpiPm::kPortBytes, acpi_pm_.ports(), kUpToDwords);
  ports.add_io("pci address", kPciConfigAddressPort, 4, pci_.address_port(), kUpToDwords);  // holds 0xcf9 too
  ports.add_io("pci data", kPciConfigDataPort, 4, pci_.data_port(), kUpToDwords);
  ports.add_io("com1", kCom1Port, 8, com1_, kBytes);
  ports.add_io("fpu error", kFpuErrorPort, 1, fpu_error_, kBytes);
  ports.add_io("debug exit", kDebugExitPort, 4, debug_exit_, kUpToDwords);
  if (services_.config.debugcon) {
    ports.add_io("debug console", kDebugConsolePort, 1, debug_console_, kBytes);
    ports.add_io("debug console 2", kDebugConsole2Port, 1, debug_console_, kBytes);
  }
  ports.end_update();
}

void BoardMinimal::reset() {
  for (devices::Device* device : devices_) device->reset();
}

Result<PhysAddr> BoardMinimal::prepare_direct_boot() {
  using namespace address_map;
  acpi_pm_.enable_acpi_mode();
  pci_.assign_resources({.memory_start = kPciWindowStart,
                         .memory_end = kPciWindowEnd,
                         .io_start = kPciIoWindowStart,
                         .io_end = kPciIoWindowEnd,
                         .irqs = {kPirqIrqs[0], kPirqIrqs[1], kPirqIrqs[2], kPirqIrqs[3]}});
  // The PCI lines and the SCI are level-triggered at the 8259 pair.
  u8 slave_levels = 1u << (kSciIrq - 8);
  for (const unsigned irq : kPirqIrqs) slave_levels |= static_cast<u8>(1u << (irq - 8));
  pic_.elcr_ports().write(1, slave_levels, 1);
  const auto tables = build_acpi_tables(services_.config.cpus, kAcpiTablesStart);
  CHECK(tables.size() <= kAcpiTablesEnd - kAcpiTablesStart);
  services_.memory.write_bytes(kAcpiTablesStart, tables);
  return PhysAddr(kAcpiTablesStart);
}

std::vector<Board::E820Entry> BoardMinimal::e820() const {
  using namespace address_map;
  std::vector<E820Entry> entries;
  const u64 low = low_ram_bytes();
  entries.push_back({0, std::min(low, kLegacyVideoStart), kE820Ram});
  entries.push_back({kLegacyVideoStart, kAcpiTablesEnd - kLegacyVideoStart, kE820Reserved});
  if (low > kAcpiTablesEnd) entries.push_back({kAcpiTablesEnd, low - kAcpiTablesEnd, kE820Ram});
  entries.push_back({kEcamStart, kEcamBytes, kE820Reserved});
  entries.push_back({kIoApicStart, kIoApicBytes, kE820Reserved});
  entries.push_back({kLocalApicStart, kLocalApicBytes, kE820Reserved});
  if (high_ram_bytes() != 0) entries.push_back({kHighRamStart, high_ram_bytes(), kE820Ram});
  return entries;
}

void BoardMinimal::visit_state(StateVisitor& v) {
  v.begin("board_minimal", 1);
  pci_interrupts_.visit_state(v);
  for (devices::Device* device : devices_) device->visit_state(v);
  v.end();
}

Result<> BoardMinimal::drain() {
  for (auto& disk : disks_) TRY(disk->drain());
  TRY(backends_.serial->flush());
  TRY(backends_.debug_console->flush());
  return {};
}

Result<std::unique_ptr<Board>> make_board_minimal(BoardServices services) {
  BoardMinimal::Backends backends;
  TRY_ASSIGN(backends.serial, open_serial(services));
  if (services.config.debugcon) {
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
  return std::unique_ptr<Board>(std::make_unique<BoardMinimal>(std::move(services), std::move(backends)));
}

}  // namespace orrery::machine
