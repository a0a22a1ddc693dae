#include "machine/board_minimal.h"

#include "machine/acpi/acpi_tables.h"
#include "machine/address_map.h"

namespace orrery::machine {
namespace {

constexpr memory::AccessLimits kBytes{.min_bytes = 1, .max_bytes = 1};
constexpr memory::AccessLimits kUpToDwords{.min_bytes = 1, .max_bytes = 4};
constexpr unsigned kHostBridgeSlot = 0;
constexpr unsigned kIntxLines = 4;
constexpr u8 kSleepTypeS5 = 5;
constexpr u16 kGpe0Bytes = 4;
constexpr u8 kIntxIrqs[kIntxLines] = {10, 11, 10, 11};  // the INTx lines at the 8259 pair
constexpr u16 kLevelIrqs = 1 << address_map::kSciIrq | 1 << 10 | 1 << 11;

}  // namespace

void PciInterrupts::set_irq(unsigned line, bool level) {
  using Source = InterruptWires::Source;
  levels_ = static_cast<u8>(level ? levels_ | 1u << line : levels_ & ~(1u << line));
  wires_.ioapic(Source::kPci).set_irq(address_map::kFirstPciGsi + line, level);
  bool shared = false;
  for (unsigned other = 0; other < kIntxLines; ++other) {
    if (kIntxIrqs[other] == kIntxIrqs[line]) shared |= levels_ >> other & 1;
  }
  wires_.pic(Source::kPci).set_irq(kIntxIrqs[line], shared);
}

void PciInterrupts::visit_state(StateVisitor& v) {
  v.begin("pci_interrupts", 1);
  v.field("levels", levels_);
  v.require(levels_ < 16, "four lines");
  v.end();
}

BoardMinimal::BoardMinimal(BoardServices services, BoardBackends backends)
    : PcBoard(std::move(services), std::move(backends)),
      controllers_(services_),
      at_(services_, backends_,
          {.interrupts = controllers_.wires(),
           .pit = controllers_.wires().isa(address_map::kPitIrq),
           .rtc = controllers_.wires().isa(address_map::kRtcIrq)}),
      acpi_pm_({.soft_off_types = 1 << kSleepTypeS5, .gpe0_bytes = kGpe0Bytes}, services_.events,
               controllers_.wires().isa(address_map::kSciIrq), services_.control),
      pci_interrupts_(controllers_.wires()),
      pci_([](unsigned device) { return device % kIntxLines; }, pci_interrupts_, acpi_pm_.reset_port()),
      host_bridge_(pci_wiring(services_, pci_, kHostBridgeSlot)),
      virtio_(services_, backends_, pci_) {
  using namespace address_map;
  adopt(controllers_.devices());
  adopt(at_.devices());
  adopt({&acpi_pm_, &pci_, &host_bridge_});
  adopt(virtio_.devices());
  pci_.attach(kHostBridgeSlot, host_bridge_);
  open_serial_channel(at_.com1(), virtio_.console());

  memory::AddressSpace& memory = services_.memory;
  memory::AddressSpace& ports = services_.ports;
  memory.begin_update();
  ports.begin_update();
  map_ram(low_ram_bytes(kLowRamEnd), kLegacyRomStart);
  controllers_.map(services_);
  at_.map(services_);
  memory.add_io("pci ecam", kEcamStart, kEcamBytes, pci_.ecam(), kUpToDwords);
  ports.add_io("smi command", kSmiCommandPort, 2, acpi_pm_.smi_ports(), kBytes);
  ports.add_io("acpi pm", kAcpiPmPort, devices::AcpiPm::kPortBytes, acpi_pm_.ports(), kUpToDwords);
  ports.add_io("pci address", kPciConfigAddressPort, 4, pci_.address_port(), kUpToDwords);  // holds 0xcf9 too
  ports.add_io("pci data", kPciConfigDataPort, 4, pci_.data_port(), kUpToDwords);
  ports.end_update();
  memory.end_update();
  reset();
}

Result<PhysAddr> BoardMinimal::prepare_direct_boot() {
  using namespace address_map;
  acpi_pm_.enable_acpi_mode();
  pci_.assign_resources({.memory_start = kPciWindowStart,
                         .memory_end = kPciWindowEnd,
                         .io_start = kPciIoWindowStart,
                         .io_end = kPciIoWindowEnd,
                         .irqs = {kIntxIrqs[0], kIntxIrqs[1], kIntxIrqs[2], kIntxIrqs[3]}});
  controllers_.set_level_triggered(kLevelIrqs);
  return write_acpi_tables(services_.memory, {.board = BoardKind::kMinimal,
                                              .cpus = services_.config.cpus,
                                              .ecam_start = kEcamStart,
                                              .gpe0_bytes = kGpe0Bytes,
                                              .has_keyboard_controller = false,
                                              .has_hpet = false});
}

std::vector<Board::E820Entry> BoardMinimal::e820() const {
  using namespace address_map;
  return e820_of(low_ram_bytes(kLowRamEnd), {{kEcamStart, kEcamBytes, kE820Reserved},
                                             {kIoApicStart, kIoApicBytes, kE820Reserved},
                                             {kLocalApicStart, kLocalApicBytes, kE820Reserved}});
}

void BoardMinimal::visit_state(StateVisitor& v) {
  v.begin("board_minimal", 2);
  controllers_.wires().visit_state(v);
  pci_interrupts_.visit_state(v);
  visit_devices(v);
  v.end();
}

Result<> BoardMinimal::drain() {
  TRY(virtio_.drain());
  return flush_backends();
}

Result<std::unique_ptr<Board>> make_board_minimal(BoardServices services) {
  TRY_ASSIGN(BoardBackends backends, open_backends(services));
  return std::unique_ptr<Board>(std::make_unique<BoardMinimal>(std::move(services), std::move(backends)));
}

}  // namespace orrery::machine
