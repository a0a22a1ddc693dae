#include "devices/timer/i8254.h"

#include "base/bits.h"
#include "devices/timer/cycles.h"

namespace orrery::devices {
namespace {

constexpr u64 kRefreshToggleNs = 15'085;  // a refresh request every 15.085 us toggles port 0x61 bit 4
constexpr i64 kNoTransition = -1;
constexpr i64 kMaxCycle = i64{1} << 60;

u32 from_bcd(u32 v) {
  return (v & 0xf) + 10 * ((v >> 4) & 0xf) + 100 * ((v >> 8) & 0xf) + 1000 * ((v >> 12) & 0xf);
}
u16 to_bcd(u32 v) {
  return static_cast<u16>((v % 10) | ((v / 10 % 10) << 4) | ((v / 100 % 10) << 8) | ((v / 1000 % 10) << 12));
}

}  // namespace

I8254::I8254(EventQueue& events, IrqLine irq0)
    : events_(events),
      irq0_(irq0),
      timer_(events, "pit.counter0", [this] { transition_due(); }),
      ports_([this](u64 offset,
                    unsigned) -> u64 { return offset < 3 ? read_count(state_.counters[offset]) : 0xff; },
             [this](u64 offset, u64 v, unsigned) {
               if (offset < 3) {
                 write_count(state_.counters[offset], static_cast<u8>(v));
               } else {
                 write_control(static_cast<u8>(v));
               }
               update();
             }),
      control_port_(
          [this](u64, unsigned) -> u64 {
            const u64 ns = events_.clock().now().ns;
            settle(state_.counters[2], cycle());
            u64 v = state_.control_b;
            if ((ns / kRefreshToggleNs) & 1) v |= 0x10;
            if (output(state_.counters[2], cycle())) v |= 0x20;
            return v;
          },
          [this](u64, u64 v, unsigned) {
            state_.control_b = v & 0xf;
            set_gate(state_.counters[2], v & 1, cycle());
          }) {
  reset();
}

void I8254::reset() {
  state_ = State{};
  state_.counters[2].gate = false;
  timer_.cancel();
  update();
}

i64 I8254::cycle() const { return static_cast<i64>(cycles_at(events_.clock().now(), kHz)); }

u64 I8254::elapsed(const Counter& c, i64 now) {
  if (!c.counting) return c.held;
  return now > c.start ? static_cast<u64>(now - c.start) : 0;
}

bool I8254::output(const Counter& c, i64 now) {
  const u64 e = elapsed(c, now);
  switch (c.mode) {
    case 0:
      return c.loaded && !c.half_written && e >= c.count;
    case 1:
      return !c.counting || e >= c.count;
    case 2:
      return !c.counting || e % c.count != c.count - 1;
    case 3:
      return !c.counting || e % c.count < (c.count + 1) / 2;
    default:
      return !c.counting || e != c.count;  // the strobes
  }
}

u16 I8254::value(const Counter& c, i64 now) {
  const u64 e = elapsed(c, now);
  const u32 m = modulus(c);
  u32 v = 0;
  if (c.mode == 2) {
    v = c.count - static_cast<u32>(e % c.count);
  } else if (c.mode == 3) {
    const u32 high = (c.count + 1) / 2;
    u32 in_half = static_cast<u32>(e % c.count);
    if (in_half >= high) in_half -= high;
    v = (c.count & ~1u) - 2 * in_half;
  } else {
    v = static_cast<u32>((c.count + m - e % m) % m);
  }
  v %= m;
  return c.bcd ? to_bcd(v) : static_cast<u16>(v);
}

/// Mode 3: the output is high for the longer half [8254 p.12].
i64 I8254::high_cycles(const Counter& c) { return (static_cast<i64>(c.count) + 1) / 2; }

/// The first cycle after `now` at which the output may change.
i64 I8254::next_transition(const Counter& c, i64 now) {
  if (!c.counting || c.start > kMaxCycle || now > kMaxCycle) return kNoTransition;
  const i64 from = std::max(now, c.start);
  const auto n = static_cast<i64>(c.count);
  const i64 position = from - c.start;
  switch (c.mode) {
    case 0:
    case 1:
      return position < n ? c.start + n : kNoTransition;
    case 2:
      return position % n < n - 1 ? from + (n - 1 - position % n) : from + 1;
    case 3: {
      const i64 high = high_cycles(c);
      return position % n < high ? from + (high - position % n) : from + (n - position % n);
    }
    default:
      if (position < n) return c.start + n;
      return position == n ? from + 1 : kNoTransition;
  }
}

/// Loads a waiting count whose time has come.
void I8254::settle(Counter& c, i64 now) {
  if (!c.counting || !repeats(c) || c.next_count == 0 || now < c.reload) return;
  const bool half = c.mode == 3 && (c.reload - c.start) % static_cast<i64>(c.count) != 0;
  c.count = c.next_count;
  c.next_count = 0;
  // Behind the high half comes the low half of the new period.
  c.start = half ? c.reload - high_cycles(c) : c.reload;
}

void I8254::set_gate(Counter& c, bool gate, i64 now) {
  if (gate == c.gate) return;
  settle(c, now);
  c.gate = gate;
  switch (c.mode) {
    case 0:
    case 4:  // the gate enables counting
      if (!c.loaded || c.half_written) return;
      if (gate) {
        c.start = now - static_cast<i64>(c.held);
        c.counting = true;
      } else {
        c.held = elapsed(c, now);
        c.counting = false;
      }
      return;
    case 2:
    case 3:
      if (!c.loaded) return;
      if (!gate) {
        c.counting = false;
        c.held = 0;
        return;
      }
      break;
    default:
      if (!gate || !c.loaded) return;
  }
  // A rising gate loads the count and starts [8254 p.9-13].
  if (c.next_count != 0) c.count = c.next_count;
  c.next_count = 0;
  c.start = now + 1;
  c.counting = true;
}

void I8254::load(Counter& c, u32 written, i64 now) {
  const u32 m = modulus(c);
  u32 count = c.bcd ? from_bcd(written) : written;
  if (count == 0) count = m;
  if (count > m) count = m;                 // BCD digits above 9
  if (repeats(c) && count == 1) count = 2;  // illegal [8254 p.10]
  const bool first = !c.loaded;
  c.loaded = true;
  switch (c.mode) {
    case 0:
    case 4:
      c.count = count;
      c.held = 0;
      c.counting = c.gate;
      c.start = now + 1;
      return;
    case 2:
    case 3:
      if (c.counting && !first && now >= c.start) {
        // The period goes on with the old count, in mode 3 its half does [8254 p.11-12].
        if (c.next_count == 0) {
          const auto n = static_cast<i64>(c.count);
          const i64 position = (now - c.start) % n;
          const i64 high = c.mode == 3 ? high_cycles(c) : n;
          c.reload = now - position + (position < high ? high : n);
          c.start = now - position;
        }
        c.next_count = count;
        return;
      }
      c.count = count;
      c.counting = c.gate;
      c.start = now + 1;
      return;
    default:  // waits for the next trigger
      if (c.counting) {
        c.next_count = count;
      } else {
        c.count = count;
      }
  }
}

void I8254::write_count(Counter& c, u8 byte) {
  const i64 now = cycle();
  settle(c, now);
  switch (c.access) {
    case 1:
      return load(c, byte, now);
    case 2:
      return load(c, static_cast<u32>(byte) << 8, now);
    default:
      break;
  }
  if (!c.half_written) {
    c.written_low = byte;
    c.half_written = true;
    if (c.mode == 0) {  // the first byte stops counting
      c.held = elapsed(c, now);
      c.counting = false;
    }
    return;
  }
  c.half_written = false;
  load(c, c.written_low | (static_cast<u32>(byte) << 8), now);
}

u8 I8254::status_of(Counter& c, i64 now) const {
  settle(c, now);
  const bool null_count = !c.loaded || c.half_written || c.next_count != 0 || (c.counting && now < c.start);
  return static_cast<u8>((output(c, now) ? 0x80 : 0) | (null_count ? 0x40 : 0) | (c.access << 4) |
                         (c.mode << 1) | (c.bcd ? 1 : 0));
}

void I8254::latch(Counter& c, i64 now) {
  if (c.latched_bytes != 0) return;  // the first latch stays until it is read
  settle(c, now);
  c.latched = value(c, now);
  c.latched_bytes = c.access == 3 ? 2 : 1;
  c.high_next = c.access == 2;
}

void I8254::write_control(u8 v) {
  const i64 now = cycle();
  const unsigned select = v >> 6;
  if (select == 3) {  // read-back
    for (unsigned i = 0; i < 3; ++i) {
      Counter& c = state_.counters[i];
      if (!bit(v, i + 1)) continue;
      if (!bit(v, 5)) latch(c, now);
      if (!bit(v, 4) && !c.status_latched) {
        c.status = status_of(c, now);
        c.status_latched = true;
      }
    }
    return;
  }
  Counter& c = state_.counters[select];
  const u8 access = (v >> 4) & 3;
  if (access == 0) return latch(c, now);
  const bool gate = c.gate;
  const u32 count = c.count;
  c = Counter{};
  c.gate = gate;
  c.count = count;
  c.access = access;
  c.mode = (v >> 1) & 7;
  if (c.mode > 5) c.mode -= 4;  // x10 and x11
  c.bcd = v & 1;
  if (c.count > modulus(c)) c.count = modulus(c);
  if (c.count < 2) c.count = 2;
}

u8 I8254::read_count(Counter& c) {
  if (c.status_latched) {
    c.status_latched = false;
    return c.status;
  }
  const i64 now = cycle();
  settle(c, now);
  const u16 v = c.latched_bytes != 0 ? c.latched : value(c, now);
  bool high = c.access == 2;
  if (c.access == 3) {
    high = c.high_next;
    c.high_next = !c.high_next;
  }
  if (c.latched_bytes != 0) --c.latched_bytes;
  return static_cast<u8>(high ? v >> 8 : v);
}

void I8254::update() {
  Counter& c = state_.counters[0];
  const i64 now = cycle();
  settle(c, now);
  irq0_.set(output(c, now));
  const i64 next = next_transition(c, now);
  state_.armed_cycle = next;
  if (next == kNoTransition) return timer_.cancel();
  timer_.arm(time_of_cycle(static_cast<u64>(next), kHz));
}

void I8254::transition_due() {
  // Virtual time may have stepped over a whole low pulse; both of its edges must still be made.
  Counter& c = state_.counters[0];
  settle(c, state_.armed_cycle);
  irq0_.set(output(c, state_.armed_cycle));
  update();
}

void I8254::visit_counter(StateVisitor& v, std::string_view counter_name, Counter& c) {
  v.begin(counter_name, 2);
  v.field("mode", c.mode);
  v.field("access", c.access);
  v.field("bcd", c.bcd);
  v.field("gate", c.gate);
  v.field("loaded", c.loaded);
  v.field("counting", c.counting);
  v.field("half_written", c.half_written);
  v.field("written_low", c.written_low);
  v.field("high_next", c.high_next);
  v.field("latched_bytes", c.latched_bytes);
  v.field("latched", c.latched);
  v.field("status_latched", c.status_latched);
  v.field("status", c.status);
  v.field("count", c.count);
  v.field("next_count", c.next_count);
  v.field("reload", c.reload);
  v.field("start", c.start);
  v.field("held", c.held);
  const bool holds = c.mode <= 5 && c.access >= 1 && c.access <= 3 && c.count >= 1 && c.count <= modulus(c) &&
                     c.next_count <= modulus(c) && c.start >= -kMaxCycle && c.start <= kMaxCycle &&
                     c.reload >= -kMaxCycle && c.reload <= kMaxCycle;
  v.require(holds, "counter registers in range");
  if (v.loading() && !holds) c = Counter{};
  v.end();
}

void I8254::visit_state(StateVisitor& v) {
  v.begin(name(), 1);
  visit_counter(v, "counter0", state_.counters[0]);
  visit_counter(v, "counter1", state_.counters[1]);
  visit_counter(v, "counter2", state_.counters[2]);
  v.field("control_b", state_.control_b);
  v.field("armed_cycle", state_.armed_cycle);
  v.end();
  if (v.loading()) irq0_.restore_level(output(state_.counters[0], cycle()));
}

}  // namespace orrery::devices
