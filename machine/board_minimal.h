// The `minimal` board: the fastest way to a shell by direct boot.
//
// Modelled: the parts of machine/pc_parts.h, ACPI power management, PCI with its INTx lines on I/O APIC pins
// 16 to 19 and two inputs of the 8259 pair. Documents: see each device; machine/address_map.h has the
// addresses. Not modelled: a chipset's registers (addresses are fixed), VGA, HPET, firmware ROM (direct boot
// only).
#pragma once

#include "devices/timer/acpi_pm.h"
#include "machine/address_map.h"
#include "machine/pc_parts.h"

namespace orrery::machine {

/// The four INTx lines of the root bus reach I/O APIC pins 16..19, and share two inputs of the 8259 pair.
class PciInterrupts final : public IrqSink {
 public:
  explicit PciInterrupts(InterruptWires& wires) : wires_(wires) {}
  void set_irq(unsigned line, bool level) override;
  void visit_state(StateVisitor& v);

 private:
  InterruptWires& wires_;
  u8 levels_ = 0;
};

class BoardMinimal final : public PcBoard {
 public:
  BoardMinimal(BoardServices services, BoardBackends backends);

  InterruptAcknowledge& interrupt_acknowledge() override { return controllers_.pic(); }
  EoiSink& eoi_sink() override { return controllers_.ioapic(); }
  IrqSink* ferr_input() override { return &at_.ferr_input(); }
  Result<PhysAddr> prepare_direct_boot() override;
  std::vector<E820Entry> e820() const override;
  u64 pci_hole_start() const override { return address_map::kLowRamEnd; }
  void visit_state(StateVisitor& v) override;
  Result<> drain() override;

 private:
  InterruptControllers controllers_;
  AtDevices at_;
  devices::AcpiPm acpi_pm_;
  PciInterrupts pci_interrupts_;
  devices::PciBus pci_;
  devices::PciHostBridge host_bridge_;
  VirtioDevices virtio_;
};

}  // namespace orrery::machine
