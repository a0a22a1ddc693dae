#include "machine/interrupt_wires.h"

#include "base/bits.h"
#include "machine/address_map.h"

namespace orrery::machine {

InterruptWires::InterruptWires(IrqSink& pic, IrqSink& ioapic)
    : pic_{pic},
      ioapic_{ioapic},
      ends_{make_ends(Source::kIsa), make_ends(Source::kPci), make_ends(Source::kHpet)} {}

InterruptWires::Ends InterruptWires::make_ends(Source source) {
  return {.gsi = End(source, &pic_, &ioapic_),
          .pic = End(source, &pic_, nullptr),
          .ioapic = End(source, nullptr, &ioapic_)};
}

void InterruptWires::Controller::set(Source source, unsigned input, bool level) {
  u32& own = levels[static_cast<size_t>(source)];
  own = level ? own | 1u << input : own & ~(1u << input);
  u32 all = 0;
  for (const u32 l : levels) all |= l;
  inputs.set_irq(input, bit(all, input));
}

void InterruptWires::End::set_irq(unsigned input, bool level) {
  if (pic_ != nullptr && input < 16) pic_->set(source_, input, level);
  if (ioapic_ == nullptr) return;
  // The timer's ISA interrupt is pin 2; pin 0 is the 8259 pair's own output.
  const bool moved = pic_ != nullptr && input == address_map::kPitIrq;
  ioapic_->set(source_, moved ? address_map::kPitIoApicPin : input, level);
}

void InterruptWires::visit_state(StateVisitor& v) {
  v.begin("interrupt_wires", 1);
  v.array("pic", pic_.levels);
  v.array("ioapic", ioapic_.levels);
  for (unsigned i = 0; i < kSources; ++i) {
    const bool holds = pic_.levels[i] < (1u << 16) && ioapic_.levels[i] < (1u << 24);
    v.require(holds, "16 and 24 inputs");
  }
  v.end();
}

}  // namespace orrery::machine
