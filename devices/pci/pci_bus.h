// PciBus: bus 0 with its host bridge: configuration mechanism #1 (0xcf8, 0xcfc), ECAM, and INTx routing.
//
// Modelled: byte, word and dword configuration accesses, INTA# of every device on one of up to eight wired-or
// outputs, which the board chooses.
// Documents: [PCI 3.0 3.2.2.3.2], [PCIe 3.0 7.2.2], [PCI 3.0 2.2.6] for the usual swizzle.
// Not modelled: other buses, configuration mechanism #2, bus errors.
#pragma once

#include <memory>

#include "devices/io_window.h"
#include "devices/pci/pci_function.h"

namespace orrery::devices {

class PciBus final : public Device, public IrqSink {
 public:
  static constexpr unsigned kDevices = 32;
  static constexpr unsigned kFunctions = 8;
  static constexpr unsigned kLines = 8;
  /// The output, below kLines, that a device's INTA# pulls.
  using Router = unsigned (*)(unsigned device);
  /// The outputs are inputs 0 to 7 of `outputs`. `reset_port` answers byte accesses to 0xcf9.
  PciBus(Router router, IrqSink& outputs, memory::IoHandler& reset_port);

  std::string_view name() const override { return "pci"; }
  void reset() override;
  void visit_state(StateVisitor& v) override;

  /// The INTA# wire of the function that will sit at `device`.
  IrqLine intx_of(unsigned device) { return IrqLine(*this, device); }
  void attach(unsigned device, PciFunction& function, unsigned number = 0);
  /// A device's INTA#; what `intx_of` wires reach.
  void set_irq(unsigned device, bool level) override;

  /// 0xcf8: four ports, sizes 1 to 4. 0xcfc: the same.
  memory::IoHandler& address_port() { return address_port_; }
  memory::IoHandler& data_port() { return data_port_; }
  /// 256 MiB; sizes 1 to 4.
  memory::IoHandler& ecam() { return ecam_; }

  struct Windows {
    u64 memory_start, memory_end;
    u32 io_start, io_end;
    std::array<u8, kLines> irqs;  // Interrupt Line values, by output
  };
  /// What firmware does: assigns BARs, enables decoding and bus mastering, writes Interrupt Line.
  void assign_resources(const Windows& windows);

 private:
  struct State {
    u32 address = 0;
    u32 asserted[kLines] = {};  // by device
  };
  u32 read_config(unsigned bus, unsigned device_function, u16 offset, unsigned size);
  void write_config(unsigned bus, unsigned device_function, u16 offset, u32 value, unsigned size);

  PciFunction* function_at(unsigned bus, unsigned device_function) const;

  Router router_;
  IrqLine outputs_[kLines];
  PciFunction* functions_[kDevices * kFunctions] = {};  // by device and function, as addresses have it
  State state_;
  IoWindow address_port_;
  IoWindow data_port_;
  IoWindow ecam_;
};

/// The host bridge at device 0: identity only.
class PciHostBridge final : public PciFunction {
 public:
  explicit PciHostBridge(PciWiring wiring)
      : PciFunction({.name = "host_bridge",
                     .vendor = 0x8086,
                     .device = 0x29c0,
                     .class_code = 0x060000,
                     .has_interrupt = false},
                    wiring) {}
};

}  // namespace orrery::devices
