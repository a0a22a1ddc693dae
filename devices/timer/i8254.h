// 8254 programmable interval timer and the PC's system control port B (0x61) beside it.
//
// Modelled: three counters, all six modes, binary and BCD, the three access modes, counter latch, read-back,
// status, gates (counter 2's is bit 0 of port 0x61, the others are high), the refresh toggle, OUT2 at bit 5.
// Everything is computed from virtual time; only counter 0's output edges take timers.
// Documents: [8254], [ICH9 13.7.1] for port 0x61.
// Not modelled: sound, NMI sources of port 0x61, counter 1's refresh DMA.
#pragma once

#include "base/event_queue.h"
#include "base/irq_line.h"
#include "devices/device.h"
#include "devices/io_window.h"

namespace orrery::devices {

class I8254 final : public Device {
 public:
  static constexpr u64 kHz = 1'193'182;
  /// `irq0`: counter 0's output.
  I8254(EventQueue& events, IrqLine irq0);

  std::string_view name() const override { return "pit"; }
  void reset() override;
  void visit_state(StateVisitor& v) override;

  /// Four byte-wide ports: counters 0, 1, 2 and the control word.
  memory::IoHandler& ports() { return ports_; }
  /// One byte-wide port: system control port B.
  memory::IoHandler& control_port() { return control_port_; }

 private:
  struct Counter {
    u8 mode = 3;
    u8 access = 3;  // 1 low byte, 2 high byte, 3 low then high
    bool bcd = false;
    bool gate = true;
    bool loaded = false;    // a count was written since the control word
    bool counting = false;  // `start` is valid; else `held` cycles have been counted
    bool half_written = false;
    u8 written_low = 0;
    bool high_next = false;  // of a two-byte read
    u8 latched_bytes = 0;    // bytes of `latched` still to be read
    u16 latched = 0;
    bool status_latched = false;
    u8 status = 0;
    u32 count = 0x10000;  // 1 .. modulus
    u32 next_count = 0;   // waits for `reload`; 0: none
    i64 reload = 0;       // the cycle at which `next_count` is loaded: the end of the period or half period
    i64 start = 0;        // the cycle at which the period began
    u64 held = 0;
  };
  struct State {
    Counter counters[3];
    u8 control_b = 0;     // bits 0..3 of port 0x61
    i64 armed_cycle = 0;  // counter 0's transition that the timer waits for
  };

  i64 cycle() const;
  static u32 modulus(const Counter& c) { return c.bcd ? 10'000 : 0x10000; }
  static bool repeats(const Counter& c) { return c.mode == 2 || c.mode == 3; }
  static u64 elapsed(const Counter& c, i64 now);
  static bool output(const Counter& c, i64 now);
  static u16 value(const Counter& c, i64 now);
  static i64 high_cycles(const Counter& c);
  static i64 next_transition(const Counter& c, i64 now);
  static void settle(Counter& c, i64 now);
  void set_gate(Counter& c, bool gate, i64 now);
  void write_control(u8 value);
  void write_count(Counter& c, u8 value);
  void load(Counter& c, u32 count, i64 now);
  u8 read_count(Counter& c);
  u8 status_of(Counter& c, i64 now) const;
  void latch(Counter& c, i64 now);
  void update();
  void transition_due();
  void visit_counter(StateVisitor& v, std::string_view counter_name, Counter& c);

  EventQueue& events_;
  IrqLine irq0_;
  Timer timer_;
  State state_;
  IoWindow ports_;
  IoWindow control_port_;
};

}  // namespace orrery::devices
