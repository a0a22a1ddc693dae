// The PC's x87 error logic: FERR# of the processor becomes IRQ 13, and a write to port 0xf0 takes that
// interrupt back and keeps IGNNE# up for as long as FERR# is: the handler's own x87 instructions run.
//
// Documents: [SDM1 D.2.1.2, D.2.1.3], the coprocessor error register of PC chip sets.
// Not modelled: nothing is left out.
#pragma once

#include "base/irq_line.h"
#include "devices/device.h"
#include "memory/address_space.h"

namespace orrery::devices {

class FpuError final : public Device, public IrqSink, public memory::IoHandler {
 public:
  FpuError(IrqLine irq, IrqLine ignne) : irq_(irq), ignne_(ignne) {}

  std::string_view name() const override { return "fpu_error"; }
  void reset() override {
    state_ = {};
    drive();
  }
  void visit_state(StateVisitor& v) override {
    v.begin(name(), 1);
    v.field("ferr", state_.ferr);
    v.field("latched", state_.latched);
    v.field("ignored", state_.ignored);
    v.end();
    if (v.loading()) {
      irq_.restore_level(state_.latched);
      ignne_.restore_level(state_.ignored);
    }
  }

  /// FERR#.
  void set_irq(unsigned, bool level) override {
    state_.ferr = level;
    state_.latched = state_.latched || level;
    state_.ignored = state_.ignored && level;
    drive();
  }

  /// One port, bytes.
  u64 read(u64, unsigned) override { return 0xff; }
  void write(u64, u64, unsigned) override {
    state_.latched = false;
    state_.ignored = state_.ferr;
    drive();
  }

 private:
  struct State {
    bool ferr = false;
    bool latched = false;  // IRQ 13
    bool ignored = false;  // IGNNE#
  };
  void drive() {
    irq_.set(state_.latched);
    ignne_.set(state_.ignored);
  }
  IrqLine irq_;
  IrqLine ignne_;
  State state_;
};

}  // namespace orrery::devices
