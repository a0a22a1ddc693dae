// InterruptWires: what lies between the board's interrupt sources and its two controllers.
//
// An ISA interrupt reaches an input of the 8259 pair and a pin of the I/O APIC. Several sources may pull one
// input, which is high while any of them does; each source has its own level for it.
#pragma once

#include <array>

#include "base/irq_line.h"
#include "base/state_visitor.h"

namespace orrery::machine {

class InterruptWires final {
 public:
  /// Who pulls; one source never has two drivers of one input.
  enum class Source : u8 { kIsa, kPci, kHpet };
  static constexpr unsigned kSources = 3;

  InterruptWires(IrqSink& pic, IrqSink& ioapic);

  /// ISA interrupt `irq`, 0 to 15.
  IrqLine isa(unsigned irq) { return IrqLine(gsi(Source::kIsa), irq); }
  /// Inputs by global system interrupt: below 16 as ISA interrupts, from 16 on pins of the I/O APIC alone.
  IrqSink& gsi(Source source) { return ends(source).gsi; }
  /// Inputs of one controller alone.
  IrqSink& pic(Source source) { return ends(source).pic; }
  IrqSink& ioapic(Source source) { return ends(source).ioapic; }

  void visit_state(StateVisitor& v);

 private:
  /// One controller's inputs.
  struct Controller {
    IrqSink& inputs;
    u32 levels[kSources] = {};
    void set(Source source, unsigned input, bool level);
  };
  /// Where a source's wires end.
  class End final : public IrqSink {
   public:
    End(Source source, Controller* pic, Controller* ioapic) : source_(source), pic_(pic), ioapic_(ioapic) {}
    void set_irq(unsigned input, bool level) override;

   private:
    Source source_;
    Controller* pic_;  // null: does not reach it
    Controller* ioapic_;
  };
  struct Ends {
    End gsi;
    End pic;
    End ioapic;
  };
  Ends make_ends(Source source);
  Ends& ends(Source source) { return ends_[static_cast<size_t>(source)]; }

  Controller pic_;
  Controller ioapic_;
  std::array<Ends, kSources> ends_;
};

}  // namespace orrery::machine
