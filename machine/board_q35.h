// The `q35` board: Intel's Q35 memory controller hub and ICH9, as QEMU, SeaBIOS, OVMF and libvirt know them.
//
// Modelled: the parts of machine/pc_parts.h, the MCH (ECAM, PAM, SMRAM), the ICH9 LPC bridge (PMBASE, PIRQ
// routing, RCBA) with its ACPI registers, the HPET. INTA# of the device in slot n is PIRQ E + n mod 4, for
// the slots from 25 on PIRQA; PIRQA to PIRQH are pins 16 to 23 of the I/O APIC. The addresses of what the
// chipset decodes are registers: firmware, or `prepare_direct_boot` in its place, sets them. Documents:
// [Q35], [ICH9]; machine/address_map.h has the addresses. Not modelled: firmware ROM (direct boot only), VGA,
// SATA, SMBus, USB, root ports.
#pragma once

#include "devices/pci/ich9_lpc.h"
#include "devices/pci/q35_mch.h"
#include "devices/timer/acpi_pm.h"
#include "devices/timer/hpet.h"
#include "machine/pc_parts.h"

namespace orrery::machine {

class BoardQ35 final : public PcBoard {
 public:
  BoardQ35(BoardServices services, BoardBackends backends);

  InterruptAcknowledge& interrupt_acknowledge() override { return controllers_.pic(); }
  EoiSink& eoi_sink() override { return controllers_.ioapic(); }
  IrqSink* ferr_input() override { return &at_.ferr_input(); }
  Result<PhysAddr> prepare_direct_boot() override;
  std::vector<E820Entry> e820() const override;
  u64 pci_hole_start() const override;
  void visit_state(StateVisitor& v) override;
  Result<> drain() override;

 private:
  devices::PciWiring bridge_wiring();
  u64 low_bytes() const;

  /// The SCI goes to the LPC bridge, which maps the ACPI registers and so is made after them.
  class SciWire final : public IrqSink {
   public:
    void connect(IrqLine end) { end_ = end; }
    void set_irq(unsigned, bool level) override { end_.set(level); }

   private:
    IrqLine end_;
  };

  InterruptControllers controllers_;
  devices::Hpet hpet_;
  AtDevices at_;
  SciWire sci_;
  devices::AcpiPm acpi_pm_;
  devices::Ich9Lpc lpc_;
  devices::PciBus pci_;
  devices::Q35Mch mch_;
  VirtioDevices virtio_;
};

}  // namespace orrery::machine
