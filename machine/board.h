// Board: the seam between the machine and its devices. A board owns every device, maps them, wires their
// interrupts, and is the firmware of a direct boot.
#pragma once

#include <functional>
#include <memory>
#include <span>

#include "base/entropy.h"
#include "base/event_queue.h"
#include "base/input_port.h"
#include "base/irq_line.h"
#include "devices/machine_control.h"
#include "machine/config.h"
#include "memory/address_space.h"

namespace orrery::machine {

/// What a board is given; all outlive it.
struct BoardServices {
  const Config& config;
  memory::Ram& ram;  // `config.memory_bytes`; the board maps it (below and above the PCI hole)
  memory::AddressSpace& memory;
  memory::AddressSpace& ports;
  EventQueue& events;
  InputPort& inputs;
  Entropy& entropy;
  MsiSink& msi;        // to the local APICs
  IrqLine intr;        // the 8259 pair's INTR, to LINT0 of every CPU
  IrqLine ignne = {};  // IGNNE# of the bootstrap processor
  devices::MachineControl& control;
  /// For tests: if set, serial output goes here on the machine's thread instead of to `config.serial`.
  std::function<void(std::span<const u8>)> serial_output = {};
  bool silent = false;  // nothing reaches the host's side of character devices
};

class Board {
 public:
  virtual ~Board() = default;
  virtual InterruptAcknowledge& interrupt_acknowledge() = 0;
  virtual EoiSink& eoi_sink() = 0;
  /// Where FERR# of the bootstrap processor goes (input 0); null: nowhere.
  virtual IrqSink* ferr_input() { return nullptr; }
  /// Where typed bytes are posted: the virtio console if the machine has one, else COM1.
  virtual InputPort::Channel serial_channel() = 0;
  /// All devices back to power-on; direct-boot resources (BARs, PM base, ACPI tables) are programmed again by
  /// `prepare_direct_boot`.
  virtual void reset() = 0;
  /// What firmware would leave behind: ECAM and BARs assigned, INTx lines routed, ACPI mode on, ACPI tables
  /// in RAM. Returns the physical address of the RSDP.
  virtual Result<PhysAddr> prepare_direct_boot() = 0;
  /// E820 entries {start, size, type} of this board's RAM and reserved ranges [ACPI 15].
  struct E820Entry {
    u64 start;
    u64 size_bytes;
    u32 type;  // 1 RAM, 2 reserved, 3 ACPI reclaimable, 4 ACPI NVS
  };
  virtual std::vector<E820Entry> e820() const = 0;
  /// From here to 4 GiB is no RAM: firmware makes it uncached.
  virtual u64 pci_hole_start() const = 0;
  /// All devices, disk overlays included, in construction order.
  virtual void visit_state(StateVisitor& v) = 0;
  /// Waits for the host I/O that is under way and flushes back ends (at a stop).
  virtual Result<> drain() = 0;
};

/// E820 types [ACPI 15].
enum E820Type : u32 { kE820Ram = 1, kE820Reserved = 2, kE820AcpiReclaimable = 3 };

/// The board that `services.config` names. Fails with a message when a disk or serial file is bad.
Result<std::unique_ptr<Board>> make_board(BoardServices services);
Result<std::unique_ptr<Board>> make_board_minimal(BoardServices services);
Result<std::unique_ptr<Board>> make_board_q35(BoardServices services);

}  // namespace orrery::machine
