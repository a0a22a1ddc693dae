#include "machine/board_q35.h"

#include "machine/acpi/acpi_tables.h"
#include "machine/address_map.h"

namespace orrery::machine {
namespace {

constexpr memory::AccessLimits kBytes{.min_bytes = 1, .max_bytes = 1};
constexpr memory::AccessLimits kUpToDwords{.min_bytes = 1, .max_bytes = 4};
constexpr unsigned kMchSlot = 0;
constexpr unsigned kLpcSlot = 31;
constexpr u16 kGpe0Bytes = 16;
/// S5 is 7 [ICH9 13.8.3.3]; SeaBIOS and OVMF turn QEMU's q35 off with 0.
constexpr u8 kSoftOffTypes = 1 << 7 | 1 << 0;

// What firmware chooses: PIRQA to PIRQD, and PIRQE to PIRQH again, at the 8259 pair.
constexpr u8 kPirqIrqs[4] = {10, 10, 11, 11};
constexpr u16 kLevelIrqs = 1 << address_map::kSciIrq | 1 << 10 | 1 << 11;

unsigned pirq_of(unsigned device) {
  constexpr unsigned kPirqA = 0, kPirqE = 4, kFirstChipsetDevice = 25;
  return device < kFirstChipsetDevice ? kPirqE + device % 4 : kPirqA;
}

}  // namespace

BoardQ35::BoardQ35(BoardServices services, BoardBackends backends)
    : PcBoard(std::move(services), std::move(backends)),
      controllers_(services_),
      hpet_(services_.events, controllers_.wires().gsi(InterruptWires::Source::kHpet),
            controllers_.wires().isa(address_map::kPitIrq), controllers_.wires().isa(address_map::kRtcIrq)),
      at_(services_, backends_,
          {.interrupts = controllers_.wires(), .pit = hpet_.pit_input(), .rtc = hpet_.rtc_input()}),
      acpi_pm_({.soft_off_types = kSoftOffTypes, .gpe0_bytes = kGpe0Bytes}, services_.events,
               IrqLine(sci_, 0), services_.control),
      lpc_(bridge_wiring(), {.pic = controllers_.wires().pic(InterruptWires::Source::kPci),
                             .ioapic = controllers_.wires().ioapic(InterruptWires::Source::kPci),
                             .pm = acpi_pm_,
                             .hpet = hpet_}),
      pci_(pirq_of, lpc_, acpi_pm_.reset_port()),
      mch_({.low_ram_bytes = low_bytes()}, bridge_wiring(), services_.ram, pci_.ecam()),
      virtio_(services_, backends_, pci_) {
  using namespace address_map;
  sci_.connect(lpc_.sci_input());
  adopt(controllers_.devices());
  adopt({&hpet_});
  adopt(at_.devices());
  adopt({&acpi_pm_, &pci_, &mch_, &lpc_});
  adopt(virtio_.devices());
  pci_.attach(kMchSlot, mch_);
  pci_.attach(kLpcSlot, lpc_);
  open_serial_channel(at_.com1(), virtio_.console());

  memory::AddressSpace& ports = services_.ports;
  services_.memory.begin_update();
  ports.begin_update();
  map_ram(low_bytes(), kLegacyRomEnd);
  controllers_.map(services_);
  at_.map(services_);
  ports.add_io("smi command", kSmiCommandPort, 2, acpi_pm_.smi_ports(), kBytes);
  ports.add_io("pci address", kPciConfigAddressPort, 4, pci_.address_port(), kUpToDwords);  // holds 0xcf9 too
  ports.add_io("pci data", kPciConfigDataPort, 4, pci_.data_port(), kUpToDwords);
  ports.end_update();
  services_.memory.end_update();
  reset();
}

/// The bridges have no interrupt of their own.
devices::PciWiring BoardQ35::bridge_wiring() {
  return {.memory = services_.memory, .ports = services_.ports, .msi = services_.msi, .intx = {}};
}

u64 BoardQ35::pci_hole_start() const {
  using namespace address_map;
  return services_.ram.size_bytes() > kQ35EcamStart ? kQ35WideHoleStart : kQ35EcamStart;
}

u64 BoardQ35::low_bytes() const { return low_ram_bytes(pci_hole_start()); }

Result<PhysAddr> BoardQ35::prepare_direct_boot() {
  using namespace address_map;
  using devices::lpc::ACPI_CNTL, devices::lpc::ACPI_EN, devices::lpc::PIRQA_ROUT, devices::lpc::PIRQE_ROUT,
      devices::lpc::PMBASE, devices::lpc::RCBA, devices::lpc::RCBA_EN;
  using devices::mch::PAM0, devices::mch::PCIEXBAR, devices::mch::PCIEXBAR_ENABLE;
  // Memory: ECAM, and DRAM in all of C0000-FFFFF.
  mch_.write_config(PCIEXBAR + 4, 0, 4);
  mch_.write_config(PCIEXBAR, kQ35EcamStart | PCIEXBAR_ENABLE, 4);
  for (u16 i = 0; i < 7; ++i) mch_.write_config(static_cast<u16>(PAM0 + i), 0x33, 1);
  // The ICH9's registers, the HPET and ACPI mode.
  lpc_.write_config(PMBASE, kAcpiPmPort, 4);
  lpc_.write_config(ACPI_CNTL, ACPI_EN, 1);
  lpc_.write_config(RCBA, kQ35ChipsetStart | RCBA_EN, 4);
  services_.memory.write(kQ35ChipsetStart + devices::lpc::HPTC, devices::lpc::HPTC_ENABLE, 4);
  acpi_pm_.enable_acpi_mode();
  // Interrupts of PCI functions.
  devices::PciBus::Windows windows{.memory_start = kQ35PciWindowStart,
                                   .memory_end = kQ35PciWindowEnd,
                                   .io_start = kPciIoWindowStart,
                                   .io_end = kPciIoWindowEnd,
                                   .irqs = {}};
  for (unsigned i = 0; i < 8; ++i) {
    windows.irqs[i] = kPirqIrqs[i % 4];
    lpc_.write_config(static_cast<u16>(i < 4 ? PIRQA_ROUT + i : PIRQE_ROUT + i - 4), windows.irqs[i], 1);
  }
  controllers_.set_level_triggered(kLevelIrqs);
  pci_.assign_resources(windows);
  return write_acpi_tables(services_.memory, {.board = BoardKind::kQ35,
                                              .cpus = services_.config.cpus,
                                              .ecam_start = kQ35EcamStart,
                                              .gpe0_bytes = kGpe0Bytes,
                                              .has_keyboard_controller = true,
                                              .has_hpet = true});
}

std::vector<Board::E820Entry> BoardQ35::e820() const {
  using namespace address_map;
  return e820_of(low_bytes(), {{kQ35EcamStart, kEcamBytes, kE820Reserved},
                               {kIoApicStart, kIoApicBytes, kE820Reserved},
                               {kQ35ChipsetStart, devices::Ich9Lpc::kChipsetBytes, kE820Reserved},
                               {kLocalApicStart, kLocalApicBytes, kE820Reserved}});
}

void BoardQ35::visit_state(StateVisitor& v) {
  v.begin("board_q35", 1);
  controllers_.wires().visit_state(v);
  visit_devices(v);
  v.end();
}

Result<> BoardQ35::drain() {
  TRY(virtio_.drain());
  return flush_backends();
}

Result<std::unique_ptr<Board>> make_board_q35(BoardServices services) {
  TRY_ASSIGN(BoardBackends backends, open_backends(services));
  return std::unique_ptr<Board>(std::make_unique<BoardQ35>(std::move(services), std::move(backends)));
}

}  // namespace orrery::machine
