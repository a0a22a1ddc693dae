// I/O APIC: 24 inputs, a redirection table, messages to the local APICs.
//
// Modelled: edge and level inputs, polarity as a bit (board lines are active-high, so it changes nothing),
// mask, remote IRR, all delivery modes, the EOI register of version 0x20. Documents: [82093AA], [ICH9 13.5]
// for the EOI register. Not modelled: the arbitration id (there is no APIC bus), interrupt remapping.
#pragma once

#include "base/irq_line.h"
#include "devices/device.h"
#include "memory/address_space.h"

namespace orrery::devices {

class IoApic final : public Device, public IrqSink, public EoiSink, public memory::IoHandler {
 public:
  static constexpr unsigned kPins = 24;
  struct Config {
    u8 id = 0;
  };
  IoApic(Config config, MsiSink& msi);

  std::string_view name() const override { return "ioapic"; }
  void reset() override;
  void visit_state(StateVisitor& v) override;

  void set_irq(unsigned pin, bool level) override;
  void end_of_interrupt(u8 vector) override;

  /// A 4 KiB window with IOREGSEL at 0x00, IOWIN at 0x10 and EOIR at 0x40; limits {4, 4}.
  u64 read(u64 offset, unsigned size) override;
  void write(u64 offset, u64 value, unsigned size) override;

 private:
  struct State {
    u8 select = 0;
    u8 id = 0;
    u32 lines = 0;
    u64 redirection[kPins] = {};
  };
  u32 read_register() const;
  void write_register(u32 value);
  void service(unsigned pin);
  void send(unsigned pin);

  Config config_;
  MsiSink& msi_;
  State state_;
};

}  // namespace orrery::devices
