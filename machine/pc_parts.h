// What every PC board is made of, in groups; a board joins the groups by wires and puts them into its address
// spaces.
//
// Modelled: the interrupt controllers with the 8259 pair's output at I/O APIC pin 0 too (virtual wire), the
// devices of the AT and their ports, virtio devices on the root bus. Documents: see each device;
// machine/address_map.h has the addresses. Not modelled: DMA controllers, floppy, parallel port.
#pragma once

#include <memory>
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
#include "devices/timer/cmos_rtc.h"
#include "devices/timer/i8254.h"
#include "devices/virtio/virtio_blk.h"
#include "devices/virtio/virtio_console.h"
#include "devices/virtio/virtio_rng.h"
#include "machine/board.h"
#include "machine/interrupt_wires.h"

namespace orrery::machine {

/// The host's side of a board's devices.
struct BoardBackends {
  std::unique_ptr<devices::CharacterBackend> serial;
  std::unique_ptr<devices::CharacterBackend> debug_console;
  std::vector<std::unique_ptr<devices::DiskImage>> disks;
};
/// Fails with a message when a disk or serial file is bad, or there are too many of something.
Result<BoardBackends> open_backends(const BoardServices& services);

/// The 8259 pair and the I/O APIC.
class InterruptControllers final {
 public:
  explicit InterruptControllers(BoardServices& services);
  void map(BoardServices& services);
  /// PCI interrupts and the SCI are level-triggered at the 8259 pair; `irqs` has a bit for each.
  void set_level_triggered(u16 irqs);
  std::vector<devices::Device*> devices() { return {&pic_, &ioapic_}; }

  devices::I8259Pair& pic() { return pic_; }
  devices::IoApic& ioapic() { return ioapic_; }
  InterruptWires& wires() { return wires_; }

 private:
  /// The 8259 pair's INTR: LINT0 of every CPU, and pin 0 of the I/O APIC [MP 1.4 3.6.2.2].
  class VirtualWire final : public IrqSink {
   public:
    VirtualWire(IrqLine lint0, IrqSink& ioapic) : lint0_(lint0), ioapic_(ioapic) {}
    void set_irq(unsigned, bool level) override;

   private:
    IrqLine lint0_;
    IrqSink& ioapic_;
  };

  devices::IoApic ioapic_;
  VirtualWire virtual_wire_;
  devices::I8259Pair pic_;
  InterruptWires wires_;
};

/// Timers, keyboard controller, serial port and the debugging ports of the AT and its successors.
class AtDevices final {
 public:
  struct Wiring {
    InterruptWires& interrupts;
    IrqLine pit;  // where the 8254's and the RTC's outputs go
    IrqLine rtc;
  };
  AtDevices(BoardServices& services, BoardBackends& backends, Wiring wiring);
  void map(BoardServices& services);
  std::vector<devices::Device*> devices();

  devices::Uart16550& com1() { return com1_; }
  IrqSink& ferr_input() { return fpu_error_; }

 private:
  devices::I8254 pit_;
  devices::CmosRtc rtc_;
  devices::I8042 i8042_;
  devices::Uart16550 com1_;
  devices::FpuError fpu_error_;
  devices::DebugConsole debug_console_;
  devices::DebugExit debug_exit_;
};

/// Virtio devices, as functions integrated into the root bus (no root ports, no PCI Express capability):
/// entropy, a console if the machine has one, disks.
class VirtioDevices final {
 public:
  VirtioDevices(BoardServices& services, BoardBackends& backends, devices::PciBus& bus);
  std::vector<devices::Device*> devices();

  devices::VirtioConsole* console() { return console_.get(); }
  Result<> drain();

 private:
  memory::DmaPort dma_;
  devices::VirtioRng rng_;
  std::unique_ptr<devices::VirtioConsole> console_;
  std::vector<std::unique_ptr<devices::VirtioBlk>> disks_;
};

/// What a function at `device` of the root bus is wired to.
devices::PciWiring pci_wiring(BoardServices& services, devices::PciBus& bus, unsigned device);

/// The part of a board that does not depend on its chipset. A board passes the devices of its groups to
/// `adopt`, in the order in which they reset and save.
class PcBoard : public Board {
 public:
  InputPort::Channel serial_channel() override { return serial_channel_; }
  void reset() override;

 protected:
  PcBoard(BoardServices services, BoardBackends backends)
      : services_(std::move(services)), backends_(std::move(backends)) {}
  void adopt(std::vector<devices::Device*> devices);
  void visit_devices(StateVisitor& v);
  /// Typed bytes go to the console if there is one, else to COM1.
  void open_serial_channel(devices::Uart16550& com1, devices::VirtioConsole* console);
  Result<> flush_backends();
  /// RAM without the legacy hole: what lies below the PCI hole, and what above 4 GiB.
  u64 low_ram_bytes(u64 limit) const { return std::min(services_.ram.size_bytes(), limit); }
  /// Low RAM below A0000 and from `above_hole` on, and the rest from 4 GiB on.
  void map_ram(u64 low_bytes, u64 above_hole);
  /// RAM and the ranges that every PC reserves, in order; `reserved` are the board's own.
  std::vector<E820Entry> e820_of(u64 low_bytes, std::vector<E820Entry> reserved) const;

  BoardServices services_;
  BoardBackends backends_;

 private:
  std::vector<devices::Device*> devices_;
  InputPort::Channel serial_channel_ = 0;
};

}  // namespace orrery::machine
