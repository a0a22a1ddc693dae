#include "devices/timer/hpet.h"

#include "base/bits.h"

namespace orrery::devices {
namespace {

constexpr u64 kGcapId = u64{Hpet::kPeriodFs} << 32 | Hpet::kIdentity;
constexpr u64 kFemtosecondsPerNanosecond = 1'000'000;
/// Matches further away than this, some 15 million years, never come.
constexpr u64 kFarthestMatch = u64{1} << 62;

namespace reg {
constexpr u64 GCAP_ID = 0x000, GEN_CONF = 0x010, GINTR_STA = 0x020, MAIN_CNT = 0x0f0;
constexpr u64 kComparators = 0x100, kComparatorBytes = 0x20;
constexpr u64 TIM_CONF = 0x00, TIM_COMP = 0x08;  // within a comparator's part
}  // namespace reg
namespace gen_conf {
constexpr u64 ENABLE_CNF = 1, LEG_RT_CNF = 2;
}
namespace tim_conf {
constexpr u64 INT_TYPE = 1 << 1, INT_ENB = 1 << 2, TYPE = 1 << 3, PER_INT_CAP = 1 << 4, SIZE_CAP = 1 << 5,
              VAL_SET = 1 << 6, MODE32 = 1 << 8, INT_ROUT = 0x1f << 9;
}  // namespace tim_conf

/// TIMn_CONF's read-only bits: abilities, and the I/O APIC inputs that may be chosen [ICH9 20.1.5].
constexpr u64 kAbilities[Hpet::kTimers] = {u64{0x00f00000} << 32 | tim_conf::PER_INT_CAP | tim_conf::SIZE_CAP,
                                           u64{0x00f00000} << 32, u64{0x00f00800} << 32};

u64 writable(unsigned n) {
  u64 bits = tim_conf::INT_TYPE | tim_conf::INT_ENB | tim_conf::INT_ROUT;
  if (kAbilities[n] & tim_conf::PER_INT_CAP) bits |= tim_conf::TYPE | tim_conf::VAL_SET;
  if (kAbilities[n] & tim_conf::SIZE_CAP) bits |= tim_conf::MODE32;
  return bits;
}

unsigned route_of(u64 config) { return static_cast<unsigned>(bits(config, 13, 9)); }
bool can_route(unsigned n, unsigned gsi) { return bit(kAbilities[n], 32 + gsi); }

u64 replace(u64 old, u64 value, u64 mask) { return (old & ~mask) | (value & mask); }

VirtualTime time_of(u64 cycle) {
  const u128 ns = (static_cast<u128>(cycle) * Hpet::kPeriodFs + kFemtosecondsPerNanosecond - 1) /
                  kFemtosecondsPerNanosecond;
  return ns >= kEndOfTime.ns ? kEndOfTime : VirtualTime{static_cast<u64>(ns)};
}

}  // namespace

void Hpet::LegacyInputs::set_irq(unsigned input, bool level) {
  hpet_.state_.legacy_levels[input] = level;
  hpet_.drive();
}

Hpet::Hpet(EventQueue& events, IrqSink& gsi, IrqLine irq0, IrqLine irq8)
    : events_(events),
      legacy_{irq0, irq8},
      timers_{{events, "hpet.timer0", [this] { fire(0); }},
              {events, "hpet.timer1", [this] { fire(1); }},
              {events, "hpet.timer2", [this] { fire(2); }}} {
  for (unsigned i = 0; i < kGsis; ++i) gsis_[i] = IrqLine(gsi, i);
  reset();
}

void Hpet::reset() {
  // The wires from the 8254 and the RTC keep their levels: what drives them is reset by itself.
  const bool pit = state_.legacy_levels[0];
  const bool rtc = state_.legacy_levels[1];
  state_ = State{};
  state_.legacy_levels[0] = pit;
  state_.legacy_levels[1] = rtc;
  for (unsigned n = 0; n < kTimers; ++n) state_.comparators[n].value = width_mask(n);
  schedule_all();
  drive();
}

u64 Hpet::cycle() const {
  return static_cast<u64>(static_cast<u128>(events_.clock().now().ns) * kFemtosecondsPerNanosecond /
                          kPeriodFs);
}
bool Hpet::running() const { return state_.config & gen_conf::ENABLE_CNF; }
bool Hpet::legacy_replacement() const { return state_.config & gen_conf::LEG_RT_CNF; }
u64 Hpet::counter() const {
  return running() ? state_.counter + (cycle() - state_.start_cycle) : state_.counter;
}

u64 Hpet::width_mask(unsigned n) const {
  const bool wide =
      (kAbilities[n] & tim_conf::SIZE_CAP) && !(state_.comparators[n].config & tim_conf::MODE32);
  return low_mask(wide ? 64 : 32);
}

bool Hpet::interrupts(unsigned n) const {
  return running() && (state_.comparators[n].config & tim_conf::INT_ENB);
}

bool Hpet::settle(unsigned n) {
  Comparator& c = state_.comparators[n];
  const u64 now = cycle();
  if (c.match_cycle > now) return false;
  const u64 mask = width_mask(n);
  if ((c.config & tim_conf::TYPE) && c.period != 0) {
    const u64 matches = (now - c.match_cycle) / c.period + 1;
    c.value = (c.value + matches * c.period) & mask;
    c.match_cycle += matches * c.period;
  } else {
    // The counter comes round to the same value.
    const u64 matches = mask == low_mask(32) ? (now - c.match_cycle) / (mask + 1) + 1 : 0;
    c.match_cycle = matches == 0 ? kNoMatch : c.match_cycle + matches * (mask + 1);
  }
  if (c.match_cycle > kFarthestMatch) c.match_cycle = kNoMatch;
  return true;
}

void Hpet::schedule(unsigned n, bool at_once) {
  Comparator& c = state_.comparators[n];
  timers_[n].cancel();
  c.match_cycle = kNoMatch;
  if (!running()) return;
  const u64 mask = width_mask(n);
  u64 distance = (c.value - counter()) & mask;
  if (distance == 0 && !at_once) distance = mask == low_mask(32) ? mask + 1 : kNoMatch;
  if (distance > kFarthestMatch) return;
  c.match_cycle = cycle() + distance;
  // A periodic comparator that may not interrupt moves on when it is read.
  if (interrupts(n)) timers_[n].arm(time_of(c.match_cycle));
}

void Hpet::schedule_all() {
  for (unsigned n = 0; n < kTimers; ++n) schedule(n, false);
}

void Hpet::fire(unsigned n) {
  Comparator& c = state_.comparators[n];
  if (!settle(n)) return;
  if (c.match_cycle != kNoMatch) timers_[n].arm(time_of(c.match_cycle));
  if (!(c.config & tim_conf::INT_TYPE) && c.line) {
    c.line = false;  // every match makes an edge
    drive();
  }
  c.line = true;
  drive();
}

bool Hpet::gsi_level(unsigned gsi) const {
  bool level = false;
  for (unsigned n = 0; n < kTimers; ++n) {
    if (legacy_replacement() && n < 2) continue;
    const unsigned route = route_of(state_.comparators[n].config);
    level |= route == gsi && can_route(n, gsi) && state_.comparators[n].line && interrupts(n);
  }
  return level;
}

bool Hpet::legacy_level(unsigned which) const {
  if (!legacy_replacement()) return state_.legacy_levels[which];
  return state_.comparators[which].line && interrupts(which);
}

void Hpet::drive() {
  for (unsigned which = 0; which < 2; ++which) legacy_[which].set(legacy_level(which));
  for (unsigned gsi = 0; gsi < kGsis; ++gsi) gsis_[gsi].set(gsi_level(gsi));
}

u64 Hpet::read_register(u64 offset) {
  switch (offset) {
    case reg::GCAP_ID:
      return kGcapId;
    case reg::GEN_CONF:
      return state_.config;
    case reg::GINTR_STA: {
      u64 status = 0;
      for (unsigned n = 0; n < kTimers; ++n) {
        const Comparator& c = state_.comparators[n];
        if ((c.config & tim_conf::INT_TYPE) && c.line) status |= u64{1} << n;
      }
      return status;
    }
    case reg::MAIN_CNT:
      return counter();
    default:
      break;
  }
  const auto n = static_cast<unsigned>((offset - reg::kComparators) / reg::kComparatorBytes);
  if (offset < reg::kComparators || n >= kTimers) return 0;
  Comparator& c = state_.comparators[n];
  const u64 at = offset % reg::kComparatorBytes;
  if (at == reg::TIM_CONF) return c.config | kAbilities[n];
  if (at != reg::TIM_COMP) return 0;
  if (!timers_[n].armed()) settle(n);
  return c.value & width_mask(n);
}

void Hpet::write_register(u64 offset, u64 value, u64 mask) {
  switch (offset) {
    case reg::GEN_CONF:
      return write_config(replace(state_.config, value, mask));
    case reg::GINTR_STA:
      return clear_status(value & mask);
    case reg::MAIN_CNT:  // only while halted [HPET 2.3.7]
      if (!running()) state_.counter = replace(state_.counter, value, mask);
      return;
    default:
      break;
  }
  const auto n = static_cast<unsigned>((offset - reg::kComparators) / reg::kComparatorBytes);
  if (offset < reg::kComparators || n >= kTimers) return;
  const u64 at = offset % reg::kComparatorBytes;
  if (at == reg::TIM_CONF) write_comparator_config(n, replace(state_.comparators[n].config, value, mask));
  if (at == reg::TIM_COMP) write_comparator(n, value, mask);
}

void Hpet::write_config(u64 value) {
  value &= gen_conf::ENABLE_CNF | gen_conf::LEG_RT_CNF;
  const bool starts = (value & gen_conf::ENABLE_CNF) && !running();
  const bool halts = !(value & gen_conf::ENABLE_CNF) && running();
  if (halts) {
    for (unsigned n = 0; n < kTimers; ++n) settle(n);
    state_.counter = counter();
  }
  if (starts) state_.start_cycle = cycle();
  state_.config = value;
  if (starts || halts) schedule_all();
  drive();
}

void Hpet::write_comparator_config(unsigned n, u64 value) {
  Comparator& c = state_.comparators[n];
  settle(n);
  value &= writable(n);
  // A route that the comparator does not have is not taken, which reading back shows [HPET 2.3.8.2].
  if (!can_route(n, route_of(value))) value = replace(value, c.config, tim_conf::INT_ROUT);
  const bool was_level = c.config & tim_conf::INT_TYPE;
  c.config = value;
  c.value &= width_mask(n);
  c.period &= width_mask(n);
  if (was_level != static_cast<bool>(value & tim_conf::INT_TYPE) || !(value & tim_conf::INT_ENB))
    c.line = false;
  schedule(n, false);
  drive();
}

void Hpet::write_comparator(unsigned n, u64 value, u64 mask) {
  Comparator& c = state_.comparators[n];
  settle(n);
  const bool periodic = c.config & tim_conf::TYPE;
  // In periodic mode a write sets the period, and with VAL_SET the next match too [HPET 2.3.9.2.2].
  if (periodic) c.period = replace(c.period, value, mask) & width_mask(n);
  if (!periodic || (c.config & tim_conf::VAL_SET)) {
    c.value = replace(c.value, value, mask) & width_mask(n);
    c.config &= ~tim_conf::VAL_SET;
    schedule(n, true);
  }
}

void Hpet::clear_status(u64 value) {
  for (unsigned n = 0; n < kTimers; ++n) {
    Comparator& c = state_.comparators[n];
    if (bit(value, n) && (c.config & tim_conf::INT_TYPE)) c.line = false;
  }
  drive();
}

u64 Hpet::read(u64 offset, unsigned size) {
  const u64 value = read_register(offset & ~u64{7});
  if (size == 8) return value;
  return offset & 4 ? value >> 32 : value & 0xffffffff;
}

void Hpet::write(u64 offset, u64 value, unsigned size) {
  const u64 mask = size == 8 ? ~u64{0} : offset & 4 ? u64{0xffffffff} << 32 : u64{0xffffffff};
  write_register(offset & ~u64{7}, size == 4 && (offset & 4) ? value << 32 : value, mask);
}

void Hpet::visit_state(StateVisitor& v) {
  v.begin(name(), 1);
  v.field("config", state_.config);
  v.field("counter", state_.counter);
  v.field("start_cycle", state_.start_cycle);
  v.field("pit_level", state_.legacy_levels[0]);
  v.field("rtc_level", state_.legacy_levels[1]);
  for (unsigned n = 0; n < kTimers; ++n) {
    Comparator& c = state_.comparators[n];
    v.begin(fmt::format("comparator{}", n), 1);
    v.field("config", c.config);
    v.field("value", c.value);
    v.field("period", c.period);
    v.field("match_cycle", c.match_cycle);
    v.field("line", c.line);
    const bool holds = (c.config & ~writable(n)) == 0 &&
                       (c.match_cycle == kNoMatch || c.match_cycle <= 2 * kFarthestMatch) &&
                       c.period <= width_mask(n) && c.value <= width_mask(n);
    v.require(holds, "comparator registers in range");
    if (v.loading() && !holds) c = Comparator{};
    v.end();
  }
  v.require((state_.config & ~u64{3}) == 0, "two configuration bits");
  v.end();
  if (!v.loading()) return;
  state_.config &= 3;
  for (unsigned which = 0; which < 2; ++which) legacy_[which].restore_level(legacy_level(which));
  for (unsigned gsi = 0; gsi < kGsis; ++gsi) gsis_[gsi].restore_level(gsi_level(gsi));
}

}  // namespace orrery::devices
