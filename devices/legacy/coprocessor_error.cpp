#include "devices/legacy/coprocessor_error.h"

namespace orrery::devices {

CoprocessorError::CoprocessorError(IrqLine irq13, IrqLine ignne)
    : irq13_(irq13),
      ignne_(ignne),
      port_([](u64, unsigned) -> u64 { return 0xff; },
            [this](u64, u64, unsigned) {
              state_.irq = false;
              state_.ignne = state_.ferr;
              drive();
            }) {}

void CoprocessorError::reset() {
  const bool ferr = state_.ferr;  // the CPU's wire
  state_ = State{};
  state_.ferr = ferr;
  drive();
}

void CoprocessorError::set_irq(unsigned, bool level) {
  if (level && !state_.ferr) state_.irq = true;
  state_.ferr = level;
  if (!level) state_.ignne = false;
  drive();
}

void CoprocessorError::drive() {
  irq13_.set(state_.irq);
  ignne_.set(state_.ignne);
}

void CoprocessorError::visit_state(StateVisitor& v) {
  v.begin(name(), 1);
  v.field("ferr", state_.ferr);
  v.field("irq", state_.irq);
  v.field("ignne", state_.ignne);
  v.end();
  if (!v.loading()) return;
  irq13_.restore_level(state_.irq);
  ignne_.restore_level(state_.ignne);
}

}  // namespace orrery::devices
