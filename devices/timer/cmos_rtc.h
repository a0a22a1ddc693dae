// MC146818A real-time clock with 128 bytes of battery-backed RAM, as in a PC.
//
// Modelled: time of day from virtual time plus a start epoch, BCD and binary, 12 and 24 hours, the century
// byte at 0x32, SET and divider hold, UIP, periodic, alarm and update-ended interrupts, the NMI mask bit of
// the index port. Flags are computed when read; timers run only for enabled interrupts. Documents:
// [MC146818A], [ICH9 13.6]. Not modelled: daylight saving, the square-wave pin, time bases other than 32.768
// kHz.
#pragma once

#include "base/event_queue.h"
#include "base/irq_line.h"
#include "devices/device.h"
#include "memory/address_space.h"

namespace orrery::devices {

class CmosRtc final : public Device, public memory::IoHandler {
 public:
  struct Config {
    u64 start_epoch = 0;  // seconds since 1970 at virtual time 0
  };
  CmosRtc(Config config, EventQueue& events, IrqLine irq8);

  std::string_view name() const override { return "rtc"; }
  /// Time and RAM live through a reset, as with a battery; the interrupt enables do not.
  void reset() override;
  void visit_state(StateVisitor& v) override;

  /// Two byte-wide ports: index (with the NMI mask in bit 7) and data.
  u64 read(u64 offset, unsigned size) override;
  void write(u64 offset, u64 value, unsigned size) override;

  /// A byte of RAM as firmware would set it; `index` below 128.
  void set_nvram(u8 index, u8 value);

 private:
  struct State {
    u8 index = 0;
    u8 nvram[128] = {};       // time bytes are current only while the clock is held
    i64 base_seconds = 0;     // the time at base_ns
    u64 base_ns = 0;          // a boundary of two seconds
    u8 weekday_offset = 0;    // what the guest's weekday is ahead of the calendar's
    u64 acknowledged_ns = 0;  // register C was last read
  };

  u64 now_ns() const { return events_.clock().now().ns; }
  bool held() const;
  i64 seconds_at(u64 ns) const;
  u8 encode(i64 v) const;
  i64 decode(u8 v) const;
  u8 encode_hour(i64 hour) const;
  i64 decode_hour(u8 v) const;
  void store_time();
  void adopt_time();
  bool updating() const;
  u8 flags_at(u64 ns) const;
  u64 periodic_cycles() const;
  /// The first second after `second` that matches the alarm; the far future if none does.
  i64 next_alarm(i64 second) const;
  u8 read_register(u8 index);
  void write_register(u8 index, u8 value);
  void update();

  Config config_;
  EventQueue& events_;
  IrqLine irq_;
  Timer timer_;
  State state_;
};

}  // namespace orrery::devices
