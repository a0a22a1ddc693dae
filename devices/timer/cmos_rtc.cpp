#include "devices/timer/cmos_rtc.h"

#include "base/bits.h"
#include "devices/timer/cycles.h"

namespace orrery::devices {
namespace {

constexpr u8 kSeconds = 0, kSecondsAlarm = 1, kMinutes = 2, kMinutesAlarm = 3, kHours = 4, kHoursAlarm = 5;
constexpr u8 kWeekday = 6, kDay = 7, kMonth = 8, kYear = 9;
constexpr u8 kRegisterA = 10, kRegisterB = 11, kRegisterC = 12, kRegisterD = 13;
constexpr u8 kCentury = 0x32;

namespace reg_a {
constexpr u8 UIP = 0x80;
}
namespace reg_b {
constexpr u8 SET = 0x80, PIE = 0x40, AIE = 0x20, UIE = 0x10, DM = 0x04, H24 = 0x02;
}
namespace reg_c {
constexpr u8 IRQF = 0x80, PF = 0x40, AF = 0x20, UF = 0x10;
}
constexpr u8 kValidRam = 0x80;

constexpr u64 kOscillatorHz = 32'768;
constexpr u64 kSecondNs = kNanosecondsPerSecond;
constexpr u64 kUpdateNs = 244'000 + 1'984'000;  // UIP before the update, and the update [MC146818A table 5]
constexpr i64 kFarFuture = i64{1} << 55;
constexpr i64 kDaySeconds = 86'400;

bool is_time_byte(u8 index) { return index <= kYear || index == kCentury; }
bool is_clock_byte(u8 index) {
  return is_time_byte(index) && index != kSecondsAlarm && index != kMinutesAlarm && index != kHoursAlarm;
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar; month and day may be out of range.
i64 days_from_civil(i64 year, i64 month, i64 day) {
  year += (month - 1) / 12;
  month = (month - 1) % 12 + 1;
  if (month <= 0) {
    month += 12;
    --year;
  }
  const i64 y = month <= 2 ? year - 1 : year;
  const i64 era = (y >= 0 ? y : y - 399) / 400;
  const i64 year_of_era = y - era * 400;
  const i64 day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  const i64 day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
  return era * 146'097 + day_of_era - 719'468;
}

i64 floor_div(i64 a, i64 b) { return a / b - (a % b < 0 ? 1 : 0); }

}  // namespace

CmosRtc::CmosRtc(Config config, EventQueue& events, IrqLine irq8)
    : config_(config), events_(events), irq_(irq8), timer_(events, "rtc", [this] { update(); }) {
  state_.nvram[kRegisterA] = 0x26;  // 32.768 kHz, periodic rate 1024 Hz, as PC firmware leaves it
  state_.nvram[kRegisterB] = reg_b::H24;
  state_.base_seconds = static_cast<i64>(std::min<u64>(config_.start_epoch, u64{1} << 40));
}

void CmosRtc::reset() {
  state_.index = 0;
  state_.nvram[kRegisterB] &= static_cast<u8>(~(reg_b::PIE | reg_b::AIE | reg_b::UIE));
  state_.acknowledged_ns = now_ns();
  update();
}

void CmosRtc::set_nvram(u8 index, u8 value) {
  if (index < 128 && !is_time_byte(index) && index > kRegisterD) state_.nvram[index] = value;
}

bool CmosRtc::held() const {
  const auto divider = static_cast<unsigned>(bits(state_.nvram[kRegisterA], 6, 4));
  return (state_.nvram[kRegisterB] & reg_b::SET) || divider >= 6;
}

i64 CmosRtc::seconds_at(u64 ns) const {
  return state_.base_seconds + static_cast<i64>((ns - std::min(ns, state_.base_ns)) / kSecondNs);
}

u8 CmosRtc::encode(i64 v) const {
  if (state_.nvram[kRegisterB] & reg_b::DM) return static_cast<u8>(v);
  return static_cast<u8>(((v / 10) << 4) | (v % 10));
}
i64 CmosRtc::decode(u8 v) const {
  return (state_.nvram[kRegisterB] & reg_b::DM) ? v : (v >> 4) * 10 + (v & 0xf);
}
u8 CmosRtc::encode_hour(i64 hour) const {
  if (state_.nvram[kRegisterB] & reg_b::H24) return encode(hour);
  const i64 twelve = hour % 12 == 0 ? 12 : hour % 12;
  return static_cast<u8>(encode(twelve) | (hour >= 12 ? 0x80 : 0));
}
i64 CmosRtc::decode_hour(u8 v) const {
  if (state_.nvram[kRegisterB] & reg_b::H24) return decode(v);
  return decode(v & 0x7f) % 12 + ((v & 0x80) ? 12 : 0);
}

/// Brings the time bytes up to date.
void CmosRtc::store_time() {
  if (held()) return;
  const i64 now = seconds_at(now_ns());
  const i64 days = floor_div(now, kDaySeconds);
  const i64 of_day = now - days * kDaySeconds;
  // Civil date from days: the inverse of days_from_civil.
  const i64 z = days + 719'468;
  const i64 era = floor_div(z, 146'097);
  const i64 day_of_era = z - era * 146'097;
  const i64 year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36'524 - day_of_era / 146'096) / 365;
  const i64 day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const i64 month_index = (5 * day_of_year + 2) / 153;
  const i64 month = month_index < 10 ? month_index + 3 : month_index - 9;
  const i64 year = year_of_era + era * 400 + (month <= 2 ? 1 : 0);
  u8* r = state_.nvram;
  r[kSeconds] = encode(of_day % 60);
  r[kMinutes] = encode(of_day / 60 % 60);
  r[kHours] = encode_hour(of_day / 3600);
  r[kDay] = encode(day_of_year - (153 * month_index + 2) / 5 + 1);
  r[kMonth] = encode(month);
  r[kYear] = encode((year % 100 + 100) % 100);
  r[kCentury] = encode(floor_div(year, 100) % 100);
  const i64 weekday = ((days + 4) % 7 + 7) % 7;  // 1970-01-01 was a Thursday
  r[kWeekday] = encode((weekday + state_.weekday_offset) % 7 + 1);
}

/// Takes the time bytes as the time now; the phase of the second stays.
void CmosRtc::adopt_time() {
  const u8* r = state_.nvram;
  const i64 days =
      days_from_civil(decode(r[kCentury]) * 100 + decode(r[kYear]), decode(r[kMonth]), decode(r[kDay]));
  const u64 now = now_ns();
  state_.base_ns = now - (now - std::min(now, state_.base_ns)) % kSecondNs;
  state_.base_seconds =
      days * kDaySeconds + decode_hour(r[kHours]) * 3600 + decode(r[kMinutes]) * 60 + decode(r[kSeconds]);
  const i64 weekday = ((days + 4) % 7 + 7) % 7;
  state_.weekday_offset = static_cast<u8>(((decode(r[kWeekday]) - 1 - weekday) % 7 + 7) % 7);
}

bool CmosRtc::updating() const {
  if (held()) return false;
  const u64 now = now_ns();
  return (now - std::min(now, state_.base_ns)) % kSecondNs >= kSecondNs - kUpdateNs;
}

u64 CmosRtc::periodic_cycles() const {
  const unsigned rate = state_.nvram[kRegisterA] & 0xf;
  if (rate == 0) return 0;
  return u64{1} << (rate < 3 ? rate + 6 : rate - 1);
}

i64 CmosRtc::next_alarm(i64 second) const {
  const u8* r = state_.nvram;
  const auto matches = [](u8 alarm, i64 wanted, i64 v) { return (alarm & 0xc0) == 0xc0 || wanted == v; };
  const i64 day = floor_div(second, kDaySeconds) * kDaySeconds;
  const i64 after = second - day;
  for (i64 hour = 0; hour < 48; ++hour) {
    if (hour * 3600 + 3599 <= after || !matches(r[kHoursAlarm], decode_hour(r[kHoursAlarm]), hour % 24))
      continue;
    for (i64 minute = 0; minute < 60; ++minute) {
      if (!matches(r[kMinutesAlarm], decode(r[kMinutesAlarm]), minute)) continue;
      for (i64 s = 0; s < 60; ++s) {
        if (!matches(r[kSecondsAlarm], decode(r[kSecondsAlarm]), s)) continue;
        const i64 at = hour * 3600 + minute * 60 + s;
        if (at > after) return day + at;
      }
    }
  }
  return kFarFuture;
}

/// PF, AF and UF as they stand at `ns`: what has come since register C was read.
u8 CmosRtc::flags_at(u64 ns) const {
  u8 flags = 0;
  const u64 since = std::min(state_.acknowledged_ns, ns);
  if (const u64 period = periodic_cycles(); period != 0) {
    const auto cycles = [](u64 t) { return cycles_at(VirtualTime{t}, kOscillatorHz); };
    if (cycles(ns) / period != cycles(since) / period) flags |= reg_c::PF;
  }
  if (held()) return flags;
  const i64 then = seconds_at(since);
  const i64 now = seconds_at(ns);
  if (now != then) {
    flags |= reg_c::UF;
    if (next_alarm(then) <= now) flags |= reg_c::AF;
  }
  return flags;
}

/// Sets the line and waits for whatever enabled interrupt comes next.
void CmosRtc::update() {
  const u64 now = now_ns();
  const u8 enabled = state_.nvram[kRegisterB] & (reg_b::PIE | reg_b::AIE | reg_b::UIE);
  const bool pending = flags_at(now) & enabled;
  irq_.set(pending);
  timer_.cancel();
  if (pending || enabled == 0) return;  // nothing more until register C is read
  VirtualTime next = kEndOfTime;
  if (const u64 period = periodic_cycles(); (enabled & reg_b::PIE) && period != 0) {
    const u64 cycle = cycles_at(VirtualTime{now}, kOscillatorHz);
    next = std::min(next, time_of_cycle((cycle / period + 1) * period, kOscillatorHz));
  }
  const auto time_of_second = [this](i64 second) {
    const u64 ahead = static_cast<u64>(std::max<i64>(second - state_.base_seconds, 0));
    const u128 ns = static_cast<u128>(ahead) * kSecondNs + state_.base_ns;
    return ns >= kEndOfTime.ns ? kEndOfTime : VirtualTime{static_cast<u64>(ns)};
  };
  if (!held()) {
    const i64 second = seconds_at(now);
    if (enabled & reg_b::UIE) next = std::min(next, time_of_second(second + 1));
    if (enabled & reg_b::AIE) next = std::min(next, time_of_second(next_alarm(second)));
  }
  if (next != kEndOfTime) timer_.arm(next);
}

u8 CmosRtc::read_register(u8 index) {
  switch (index) {
    case kRegisterA:
      return static_cast<u8>((state_.nvram[kRegisterA] & 0x7f) | (updating() ? reg_a::UIP : 0));
    case kRegisterC: {
      u8 flags = flags_at(now_ns());
      if (flags & state_.nvram[kRegisterB] & 0x70) flags |= reg_c::IRQF;
      state_.acknowledged_ns = now_ns();
      update();
      return flags;
    }
    case kRegisterD:
      return kValidRam;
    default:
      break;
  }
  if (is_clock_byte(index)) store_time();
  return state_.nvram[index];
}

void CmosRtc::write_register(u8 index, u8 value) {
  u8& stored = state_.nvram[index];
  switch (index) {
    case kRegisterA:
    case kRegisterB: {
      // The time goes on from the bytes when a hold ends, and keeps meaning the same when the format changes.
      store_time();
      const bool was_held = held();
      stored = index == kRegisterA ? value & 0x7f : value & 0xff;
      if (was_held && !held()) adopt_time();
      if (index == kRegisterB && !held()) store_time();
      update();
      return;
    }
    case kRegisterC:
    case kRegisterD:
      return;
    default:
      break;
  }
  if (!is_time_byte(index)) {
    stored = value;
    return;
  }
  if (is_clock_byte(index) && !held()) {
    store_time();
    stored = value;
    adopt_time();
  } else {
    stored = value;
  }
  update();
}

u64 CmosRtc::read(u64 offset, unsigned) {
  if (offset == 0) return 0xff;  // the index is write-only
  return read_register(state_.index & 0x7f);
}

void CmosRtc::write(u64 offset, u64 value, unsigned) {
  if (offset == 0) {
    state_.index = static_cast<u8>(value);
  } else {
    write_register(state_.index & 0x7f, static_cast<u8>(value));
  }
}

void CmosRtc::visit_state(StateVisitor& v) {
  v.begin(name(), 1);
  v.field("index", state_.index);
  v.array("nvram", state_.nvram);
  v.field("base_seconds", state_.base_seconds);
  v.field("base_ns", state_.base_ns);
  v.field("weekday_offset", state_.weekday_offset);
  v.field("acknowledged_ns", state_.acknowledged_ns);
  const i64 limit = i64{1} << 42;
  const bool holds = state_.base_seconds > -limit && state_.base_seconds < limit && state_.weekday_offset < 7;
  v.require(holds, "time in range");
  if (v.loading() && !holds) {
    state_.base_seconds = 0;
    state_.weekday_offset = 0;
  }
  v.end();
  if (v.loading()) irq_.restore_level(flags_at(now_ns()) & state_.nvram[kRegisterB] & 0x70);
}

}  // namespace orrery::devices
