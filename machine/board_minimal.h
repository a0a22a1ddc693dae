// The `minimal` board: the fastest way to a shell by direct boot.
//
// Modelled: 8259 pair, I/O APIC, PIT, RTC, ACPI power management, COM1, debug console and exit ports, a
// keyboard controller with nothing plugged in, PCI with virtio disks, entropy and optionally a console.
// Documents: see each device; machine/address_map.h has the addresses.
// Not modelled: VGA, HPET, firmware ROM (direct boot only), DMA controllers, floppy, parallel port.
#pragma once

#include <array>
#include <vector>

#include "devices/backend/character.h"
#include "devices/irq/i8259.h"
#include "devices/irq/ioapic.h"
#include "devices/legacy/debug_console.h"
#include "devices/legacy/debug_exit.h"
#include "devices/legacy/fpu_error.h"
#include "devices/legacy/i8042.h"
#include "devices/legacy/uart16550.h"
#include "devices/pci/pci_bus.h"
#include "devices/timer/acpi_pm.h"
#include "devices/timer/cmos_rtc.h"
#include "devices/timer/i8254.h"
#include "devices/virtio/virtio_blk.h"
#include "devices/virtio/virtio_console.h"
#include "devices/virtio/virtio_rng.h"
#include "machine/board.h"

namespace orrery::machine {

/// ISA interrupt n reaches input n of the 8259 pair and a pin of the I/O APIC.
class IsaInterrupts final : public IrqSink {
 public:
  IsaInterrupts(IrqSink& pic, IrqSink& ioapic) : pic_(pic), ioapic_(ioapic) {}
  void set_irq(unsigned irq, bool level) override;
  IrqLine line(unsigned irq) { return IrqLine(*this, irq); }

 private:
  IrqSink& pic_;
  IrqSink& ioapic_;
};

/// The four INTx lines of the root bus reach I/O APIC pins 16..19, and share two inputs of the 8259 pair.
class PciInterrupts final : public IrqSink {
 public:
  PciInterrupts(IrqSink& pic, IrqSink& ioapic) : pic_(pic), ioapic_(ioapic) {}
  void set_irq(unsigned line, bool level) override;
  void visit_state(StateVisitor& v);

 private:
  IrqSink& pic_;
  IrqSink& ioapic_;
  u8 levels_ = 0;
};

class BoardMinimal final : public Board {
 public:
  struct Backends {
    std::unique_ptr<devices::CharacterBackend> serial;
    std::unique_ptr<devices::CharacterBackend> debug_console;
    std::vector<std::unique_ptr<devices::DiskImage>> disks;
  };
  BoardMinimal(BoardServices services, Backends backends);

  InterruptAcknowledge& interrupt_acknowledge() override { return pic_; }
  EoiSink& eoi_sink() override { return ioapic_; }
  IrqSink* ferr_input() override { return &fpu_error_; }
  InputPort::Channel serial_channel() override { return serial_channel_; }
  void reset() override;
  Result<PhysAddr> prepare_direct_boot() override;
  std::vector<E820Entry> e820() const override;
  void visit_state(StateVisitor& v) override;
  Result<> drain() override;

 private:
  void map_memory();
  void map_ports();
  devices::PciWiring pci_wiring(unsigned device);
  void add_pci_devices();
  u64 low_ram_bytes() const;
  u64 high_ram_bytes() const;

  BoardServices services_;
  Backends backends_;

  devices::I8259Pair pic_;
  devices::IoApic ioapic_;
  IsaInterrupts isa_;
  devices::I8254 pit_;
  devices::CmosRtc rtc_;
  devices::AcpiPm acpi_pm_;
  devices::I8042 i8042_;
  devices::Uart16550 com1_;
  devices::DebugConsole debug_console_;
  devices::DebugExit debug_exit_;
  devices::FpuError fpu_error_;
  PciInterrupts pci_interrupts_;
  devices::PciBus pci_;
  devices::PciHostBridge host_bridge_;
  memory::DmaPort dma_;
  devices::VirtioRng rng_;
  std::unique_ptr<devices::VirtioConsole> console_;
  std::vector<std::unique_ptr<devices::VirtioBlk>> disks_;
  std::vector<devices::Device*> devices_;  // in construction order
  InputPort::Channel serial_channel_;
};

}  // namespace orrery::machine
