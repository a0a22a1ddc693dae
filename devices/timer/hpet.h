// High precision event timer: one 64-bit up-counter, three comparators.
//
// Modelled: as the ICH9 has it: 14.31818 MHz, comparator 0 64 bits wide and periodic, 1 and 2 one-shot and 32
// bits; edge and level interrupts, routing to I/O APIC inputs, legacy replacement of the 8254's and the RTC's
// lines, halting, setting the counter and the comparators. Everything is computed from virtual time; timers
// run only for matches that can interrupt. Documents: [HPET], [ICH9 20].
// Not modelled: FSB (message) interrupts, which the ICH9 does not have either. An edge interrupt's line stays
// high until the next match.
#pragma once

#include "base/event_queue.h"
#include "base/irq_line.h"
#include "devices/device.h"
#include "memory/address_space.h"

namespace orrery::devices {

class Hpet final : public Device, public memory::IoHandler {
 public:
  static constexpr unsigned kTimers = 3;
  static constexpr u64 kWindowBytes = 0x400;
  static constexpr u32 kPeriodFs = 69'841'279;
  static constexpr u32 kIdentity = 0x8086a201;  // the low half of GCAP_ID; the ACPI table repeats it
  static constexpr u16 kMinimumTick = 128;

  /// `gsi`: I/O APIC inputs by number; those below 16 are ISA interrupts and reach the 8259 pair too. `irq0`
  /// and `irq8`: where `pit_input` and `rtc_input` go on to, and timers 0 and 1 with legacy replacement.
  Hpet(EventQueue& events, IrqSink& gsi, IrqLine irq0, IrqLine irq8);

  std::string_view name() const override { return "hpet"; }
  void reset() override;
  void visit_state(StateVisitor& v) override;

  /// The registers; sizes 4 and 8.
  u64 read(u64 offset, unsigned size) override;
  void write(u64 offset, u64 value, unsigned size) override;

  /// Where the wires of the 8254's counter 0 (input 0) and of the RTC (1) end.
  IrqSink& legacy_inputs() { return legacy_inputs_; }
  IrqLine pit_input() { return IrqLine(legacy_inputs_, 0); }
  IrqLine rtc_input() { return IrqLine(legacy_inputs_, 1); }

 private:
  static constexpr u64 kNoMatch = ~u64{0};
  struct Comparator {
    u64 config = 0;              // the writable bits
    u64 value = 0;               // the next match
    u64 period = 0;              // added after a match in periodic mode
    u64 match_cycle = kNoMatch;  // the oscillator's cycle of the next match
    bool line = false;           // edge: raised by the last match; level: the status bit
  };
  struct State {
    u64 config = 0;
    u64 counter = 0;      // its value at start_cycle; while halted its value
    u64 start_cycle = 0;  // the oscillator's cycle at which it was started
    Comparator comparators[kTimers];
    bool legacy_levels[2] = {};  // the 8254's and the RTC's lines
  };
  class LegacyInputs final : public IrqSink {
   public:
    explicit LegacyInputs(Hpet& hpet) : hpet_(hpet) {}
    void set_irq(unsigned input, bool level) override;

   private:
    Hpet& hpet_;
  };

  u64 cycle() const;
  bool running() const;
  bool legacy_replacement() const;
  u64 counter() const;
  u64 width_mask(unsigned n) const;
  bool interrupts(unsigned n) const;
  /// Brings a comparator's value past the matches that lie behind; true if there were any.
  bool settle(unsigned n);
  /// Finds the next match; `at_once`: a comparator that equals the counter matches now.
  void schedule(unsigned n, bool at_once);
  void schedule_all();
  void fire(unsigned n);
  /// The level of an output, from the state alone.
  bool gsi_level(unsigned gsi) const;
  bool legacy_level(unsigned which) const;
  void drive();

  u64 read_register(u64 offset);
  void write_register(u64 offset, u64 value, u64 mask);
  void write_config(u64 value);
  void write_comparator_config(unsigned n, u64 value);
  void write_comparator(unsigned n, u64 value, u64 mask);
  void clear_status(u64 value);

  static constexpr unsigned kGsis = 24;
  EventQueue& events_;
  IrqLine gsis_[kGsis];
  IrqLine legacy_[2];
  LegacyInputs legacy_inputs_{*this};
  Timer timers_[kTimers];
  State state_;
};

}  // namespace orrery::devices
