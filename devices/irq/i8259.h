// The 8259A pair of a PC: master at inputs 0..7, slave cascaded on input 2 as inputs 8..15.
//
// Modelled: ICW1-4, OCW1-3, fixed and rotating priority, specific and non-specific EOI, AEOI, special mask
// and special fully nested mode, polling, edge and level inputs by LTIM and the ELCR, spurious interrupts.
// Documents: [8259A], [82371SB 2.5] for the ELCR.
// Not modelled: MCS-80 mode (vectors are always 8086's), buffered mode's SP/EN pin, cascades other than
// input 2.
#pragma once

#include "base/irq_line.h"
#include "devices/device.h"
#include "devices/io_window.h"

namespace orrery::devices {

class I8259Pair final : public Device, public IrqSink, public InterruptAcknowledge {
 public:
  /// `intr`: the master's INT output.
  explicit I8259Pair(IrqLine intr);

  std::string_view name() const override { return "pic"; }
  void reset() override;
  void visit_state(StateVisitor& v) override;

  /// Input 0..15; input 2 is the cascade and ignored.
  void set_irq(unsigned input, bool level) override;
  u8 acknowledge_interrupt() override;

  /// Two byte-wide ports each; the ELCR window has the master's at offset 0.
  memory::IoHandler& master_ports() { return master_ports_; }
  memory::IoHandler& slave_ports() { return slave_ports_; }
  memory::IoHandler& elcr_ports() { return elcr_ports_; }

 private:
  static constexpr unsigned kCascade = 2;
  struct Chip {
    u8 irr = 0;  // edge inputs: latched; level inputs: the line
    u8 isr = 0;
    u8 imr = 0;
    u8 lines = 0;  // the levels at the inputs
    u8 elcr = 0;   // 1: level
    u8 icw1 = 0;
    u8 icw2 = 0;  // vector base
    u8 icw3 = 0;
    u8 icw4 = 0;
    u8 lowest = 7;    // the input with the lowest priority
    u8 next_icw = 1;  // which ICW a write to the data port is: 2, 3, 4; 1 is none
    bool initialised = false;
    bool read_isr = false;
    bool poll = false;
    bool special_mask = false;
    bool rotate_on_aeoi = false;
  };
  struct State {
    Chip master;
    Chip slave;
  };

  static constexpr int kNone = -1;
  static u8 level_inputs(const Chip& chip);
  static unsigned priority_of(const Chip& chip, unsigned input);
  int highest(const Chip& chip, u8 inputs) const;
  int request(const Chip& chip) const;
  void set_input(Chip& chip, unsigned input, bool level);
  u8 acknowledge(Chip& chip, unsigned input);
  void refresh_irr(Chip& chip);
  void update();

  u8 read(Chip& chip, u64 offset);
  void write(Chip& chip, u64 offset, u8 value);
  void write_icw1(Chip& chip, u8 value);
  void write_ocw2(Chip& chip, u8 value);
  void write_ocw3(Chip& chip, u8 value);
  void visit_chip(StateVisitor& v, std::string_view chip_name, Chip& chip);

  IrqLine intr_;
  State state_;
  IoWindow master_ports_;
  IoWindow slave_ports_;
  IoWindow elcr_ports_;
};

}  // namespace orrery::devices
