// Device: the contract of everything on a board that is not a CPU or memory.
//
// A device file has one anatomy: an immutable `Config`, wiring given to the constructor (IRQ lines, the event
// queue, the DMA port, the input port, back ends), and one `State` struct that `visit_state` lists
// completely. Guest mistakes are not errors: reads give all-ones, writes vanish. A device is used on the
// machine's thread only.
#pragma once

#include <string_view>

#include "base/state_visitor.h"

namespace orrery::devices {

class Device {
 public:
  virtual ~Device() = default;
  /// Unique on the board; the name of its part in snapshots and dumps.
  virtual std::string_view name() const = 0;
  /// Back to the state after power-on; lowers its lines, cancels its timers. Back ends and media stay.
  virtual void reset() = 0;
  /// Lists every field of its state, between `v.begin(name(), version)` and `v.end()`; after loading it
  /// restores its derived state (line levels through IrqLine::restore_level, so that restoring makes no
  /// edge).
  virtual void visit_state(StateVisitor& v) = 0;
};

}  // namespace orrery::devices
