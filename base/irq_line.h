// Wires: level-triggered lines, message-signalled interrupts, and what an interrupt controller and a CPU ask
// of each other. A device raises lines and sends messages; what they reach is the board's business.
#pragma once

#include "base/types.h"

namespace orrery {

/// The receiving end of numbered interrupt inputs.
class IrqSink {
 public:
  virtual ~IrqSink() = default;
  /// Input `input` now has this level; called only when the level changes, except after a restore, when
  /// setting a level again must not make an edge.
  virtual void set_irq(unsigned input, bool level) = 0;
};

/// The sending end of one interrupt wire. Remembers its level so that only changes travel.
class IrqLine {
 public:
  IrqLine() = default;
  IrqLine(IrqSink& sink, unsigned input) : sink_(&sink), input_(input) {}
  void set(bool level) {
    if (level == level_) return;
    level_ = level;
    if (sink_ != nullptr) sink_->set_irq(input_, level);
  }
  void raise() { set(true); }
  void lower() { set(false); }
  void pulse() {
    set(true);
    set(false);
  }
  bool level() const { return level_; }
  /// After a restore: takes the level without telling the sink, which restores its own inputs.
  void restore_level(bool level) { level_ = level; }

 private:
  IrqSink* sink_ = nullptr;
  unsigned input_ = 0;
  bool level_ = false;
};

/// Where message-signalled interrupts go: a write of `data` to physical `address` 0xfeexxxxx [SDM3 11.11].
class MsiSink {
 public:
  virtual ~MsiSink() = default;
  virtual void send_msi(PhysAddr address, u32 data) = 0;
};

/// What a CPU asks of the 8259 pair when it takes an external interrupt: the two INTA cycles.
class InterruptAcknowledge {
 public:
  virtual ~InterruptAcknowledge() = default;
  /// The vector; a spurious one (IRQ 7 of the chip) if the request has gone.
  virtual u8 acknowledge_interrupt() = 0;
};

/// What a local APIC tells I/O APICs when a level-triggered interrupt ends [SDM3 11.8.5].
class EoiSink {
 public:
  virtual ~EoiSink() = default;
  virtual void end_of_interrupt(u8 vector) = 0;
};

}  // namespace orrery
