// The PC's coprocessor error logic: FERR# of the CPU becomes IRQ 13 until software writes port 0xf0, which
// also asserts IGNNE#, so that the handler's own x87 instructions run.
//
// Modelled: the latch of IRQ 13, IGNNE# from the write until FERR# falls. Documents: [ICH9 5.13.2, 13.7.3],
// [SDM1 D.2.1]. Not modelled: nothing is left out.
#pragma once

#include "base/irq_line.h"
#include "devices/device.h"
#include "devices/io_window.h"

namespace orrery::devices {

class CoprocessorError final : public Device, public IrqSink {
 public:
  /// `ignne`: to the CPU.
  CoprocessorError(IrqLine irq13, IrqLine ignne);

  std::string_view name() const override { return "coprocessor_error"; }
  void reset() override;
  void visit_state(StateVisitor& v) override;

  /// FERR# of the CPU; the input's number means nothing.
  void set_irq(unsigned, bool level) override;
  /// One byte-wide port: COPROC_ERR.
  memory::IoHandler& port() { return port_; }

 private:
  struct State {
    bool ferr = false;
    bool irq = false;
    bool ignne = false;
  };
  void drive();

  IrqLine irq13_;
  IrqLine ignne_;
  State state_;
  IoWindow port_;
};

}  // namespace orrery::devices
