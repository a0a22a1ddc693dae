#include "cpu/apic/local_apic.h"

#include <bit>
#include <cstring>

#include "base/bits.h"
#include "cpu/vcpu.h"

namespace orrery::cpu {
namespace {

// Register numbers: the xAPIC offset divided by 16 [SDM3 table 10-1].
enum : u32 {
  kId = 0x02,
  kVersion = 0x03,
  kTpr = 0x08,
  kApr = 0x09,
  kPpr = 0x0a,
  kEoi = 0x0b,
  kRemoteRead = 0x0c,
  kLdr = 0x0d,
  kDfr = 0x0e,
  kSvr = 0x0f,
  kIsr = 0x10,
  kTmr = 0x18,
  kIrr = 0x20,
  kEsr = 0x28,
  kCmci = 0x2f,
  kIcrLow = 0x30,
  kIcrHigh = 0x31,
  kTimer = 0x32,
  kThermal = 0x33,
  kPerformance = 0x34,
  kLint0 = 0x35,
  kLint1 = 0x36,
  kError = 0x37,
  kInitialCount = 0x38,
  kCurrentCount = 0x39,
  kDivide = 0x3e,
  kSelfIpi = 0x3f,
};
// Indices of lvt_.
enum : unsigned { kLvtCmci, kLvtTimer, kLvtThermal, kLvtPerformance, kLvtLint0, kLvtLint1, kLvtError };

constexpr u32 kMasked = 1u << 16;
constexpr u32 kSoftwareEnable = 1u << 8;
constexpr u32 kVersionValue = 0x00060014 | (1u << 24);  // 7 LVT entries, EOI-broadcast suppression
constexpr u32 kSuppressBroadcast = 1u << 12;
constexpr u32 kEsrSendIllegal = 1u << 5, kEsrReceiveIllegal = 1u << 6, kEsrIllegalRegister = 1u << 7;
constexpr u64 kDefaultBase = 0xfee00000;
constexpr u32 kTimerModeShift = 17;
enum : u32 { kOneShot = 0, kPeriodic = 1, kTscDeadline = 2 };

u32 timer_mode(u32 lvt) { return (lvt >> kTimerModeShift) & 3; }

void set_bit(u32 (&array)[8], u8 vector) { array[vector / 32] |= 1u << (vector % 32); }
void clear_bit(u32 (&array)[8], u8 vector) { array[vector / 32] &= ~(1u << (vector % 32)); }
bool test_bit(const u32 (&array)[8], u8 vector) { return (array[vector / 32] >> (vector % 32)) & 1; }
std::optional<u8> highest(const u32 (&array)[8]) {
  for (int i = 7; i >= 0; --i) {
    if (array[i] != 0) return static_cast<u8>(32 * i + 31 - std::countl_zero(array[i]));
  }
  return std::nullopt;
}

}  // namespace

LocalApic::LocalApic(Vcpu& cpu, EventQueue& events)
    : cpu_(cpu),
      timer_(events, fmt::format("lapic{}", cpu.id()), [this] { timer_fired(); }),
      id_(cpu.id()),
      base_(0) {
  reset(false);
}

void LocalApic::reset(bool init) {
  if (!init) base_ = kDefaultBase | apic_base_msr::EN | (id_ == 0 ? apic_base_msr::BSP : 0);
  timer_.cancel();
  tpr_ = 0;
  ldr_ = 0;
  dfr_ = 0xffffffff;
  svr_ = 0xff;
  std::memset(isr_, 0, sizeof isr_);
  std::memset(tmr_, 0, sizeof tmr_);
  std::memset(irr_, 0, sizeof irr_);
  esr_ = 0;
  esr_pending_ = 0;
  icr_ = 0;
  for (u32& lvt : lvt_) lvt = kMasked;
  initial_count_ = 0;
  divide_ = 0;
  timer_start_ns_ = 0;
  tsc_deadline_ = 0;
}

void LocalApic::enter_virtual_wire_mode() {
  svr_ = kSoftwareEnable | 0xff;
  if (cpu_.is_bsp()) lvt_[kLvtLint0] = 7u << 8;
  lvt_[kLvtLint1] = 4u << 8;
}

bool LocalApic::set_base_msr(u64 value) {
  using namespace apic_base_msr;
  const u64 reserved = ~(low_mask(cpu_.model().physical_address_bits) & ~u64{0xfff}) & ~(BSP | EXTD | EN);
  if ((value & reserved) != 0) return false;
  const u64 mode = value & (EN | EXTD);
  const u64 old_mode = base_ & (EN | EXTD);
  // Legal transitions [SDM3 figure 10-27]: x2APIC is entered from xAPIC and left to disabled only.
  if (mode == EXTD) return false;
  if (old_mode == (EN | EXTD) && mode == EN) return false;
  if (old_mode == 0 && mode == (EN | EXTD)) return false;
  base_ = (value & ~BSP) | (id_ == 0 ? BSP : 0);
  if (mode == 0 && old_mode != 0) reset(true);
  cpu_.flush_fast();
  cpu_.set_attention();
  return true;
}

u8 LocalApic::processor_priority() const {
  const u8 tpr = static_cast<u8>(tpr_);
  const u8 isrv = highest(isr_).value_or(0);
  return (tpr & 0xf0) >= (isrv & 0xf0) ? tpr : static_cast<u8>(isrv & 0xf0);
}

// [SDM3 10.6.2.4]
u8 LocalApic::arbitration_priority() const {
  const unsigned tpr = tpr_ & 0xf0;
  const unsigned others = std::max(highest(irr_).value_or(0) & 0xf0, highest(isr_).value_or(0) & 0xf0);
  return static_cast<u8>(tpr >= others ? tpr_ : others);
}

std::optional<u8> LocalApic::pending() const {
  if (!enabled() || (svr_ & kSoftwareEnable) == 0) return std::nullopt;
  const auto vector = highest(irr_);
  if (!vector || (*vector & 0xf0) <= (processor_priority() & 0xf0)) return std::nullopt;
  return vector;
}

u8 LocalApic::acknowledge() {
  const u8 vector = *pending();
  clear_bit(irr_, vector);
  set_bit(isr_, vector);
  return vector;
}

void LocalApic::changed() {
  if (pending()) {
    cpu_.set_attention();
    cpu_.end_slice_soon();
  }
}

void LocalApic::accept(u8 vector, bool level) {
  if (vector < 16) return set_error(kEsrReceiveIllegal);
  if (!enabled() || (svr_ & kSoftwareEnable) == 0) return;
  set_bit(irr_, vector);
  if (level) {
    set_bit(tmr_, vector);
  } else {
    clear_bit(tmr_, vector);
  }
  changed();
}

void LocalApic::set_error(u32 error_bits) {
  const u32 before = esr_pending_;
  esr_pending_ |= error_bits;
  if ((error_bits & ~before) != 0) local_interrupt(lvt_[kLvtError]);
}

void LocalApic::local_interrupt(u32 lvt) {
  if ((lvt & kMasked) != 0 || bus_ == nullptr) return;
  bus_->deliver_to(cpu_, static_cast<ApicBus::Delivery>((lvt >> 8) & 7), static_cast<u8>(lvt),
                   (lvt & (1u << 15)) != 0);
}

bool LocalApic::accepts_extint() const {
  if (!enabled()) return true;
  const u32 lvt = lvt_[kLvtLint0];
  return (lvt & kMasked) == 0 && ((lvt >> 8) & 7) == 7;
}
bool LocalApic::accepts_nmi_line() const {
  if (!enabled()) return true;
  const u32 lvt = lvt_[kLvtLint1];
  return (lvt & kMasked) == 0 && ((lvt >> 8) & 7) == 4;
}
void LocalApic::lint0(bool level) {
  if (!enabled() || !level) return;
  const u32 lvt = lvt_[kLvtLint0];
  if (((lvt >> 8) & 7) == 0) local_interrupt(lvt);
}

void LocalApic::set_cr8(u8 value) {
  tpr_ = static_cast<u32>(value) << 4;
  changed();
}

void LocalApic::end_of_interrupt() {
  const auto vector = highest(isr_);
  if (!vector) return;
  clear_bit(isr_, *vector);
  if (test_bit(tmr_, *vector) && bus_ != nullptr && (svr_ & kSuppressBroadcast) == 0)
    bus_->broadcast_eoi(*vector);
  changed();
}

bool LocalApic::matches(u32 destination, bool logical) const {
  if (x2apic()) {
    if (destination == 0xffffffff || (destination == 0xff && !logical)) return true;
    if (!logical) return destination == id_;
    return (destination >> 16) == (x2apic_ldr() >> 16) && (destination & x2apic_ldr() & 0xffff) != 0;
  }
  if (!enabled()) return !logical && destination == id_;
  if ((destination & 0xff) == 0xff) return true;
  if (!logical) return (destination & 0xff) == (id_ & 0xff);
  const u32 mine = ldr_ >> 24;
  if ((dfr_ >> 28) == 0xf) return (mine & destination & 0xff) != 0;
  return (mine >> 4) == ((destination >> 4) & 15) && (mine & destination & 15) != 0;  // cluster model
}

void LocalApic::send_ipi(u64 icr) {
  if (bus_ == nullptr) return;
  const u8 vector = static_cast<u8>(icr);
  const auto mode = static_cast<ApicBus::Delivery>((icr >> 8) & 7);
  const bool logical = bit(icr, 11);
  const bool level = bit(icr, 15);
  const bool assert_level = bit(icr, 14);
  if (mode == ApicBus::Delivery::kInit && level && !assert_level) return;  // INIT de-assert: nothing to do
  if ((mode == ApicBus::Delivery::kFixed || mode == ApicBus::Delivery::kLowest) && vector < 16) {
    return set_error(kEsrSendIllegal);
  }
  const auto shorthand = (icr >> 18) & 3;
  switch (shorthand) {
    case 0: {
      const u32 destination = x2apic() ? static_cast<u32>(icr >> 32) : static_cast<u32>(icr >> 56);
      bus_->deliver(destination, logical, mode, vector, false);
      break;
    }
    case 1:
      bus_->deliver_to(cpu_, mode, vector, false);
      break;
    case 2:
    case 3:
      for (Vcpu* other : bus_->cpus()) {
        if (shorthand == 3 && other == &cpu_) continue;
        bus_->deliver_to(*other, mode, vector, false);
      }
      break;
    default:
      break;
  }
}

// ---- Timer ----
u64 LocalApic::timer_divisor() const {
  const u32 code = (divide_ & 3) | ((divide_ >> 1) & 4);
  return code == 7 ? 1 : u64{2} << code;
}

u32 LocalApic::current_count() const {
  if (initial_count_ == 0 || timer_mode(lvt_[kLvtTimer]) == kTscDeadline) return 0;
  if (!timer_.armed()) return 0;
  const u64 elapsed = (cpu_.services().events.clock().now().ns - timer_start_ns_) / timer_divisor();
  if (timer_mode(lvt_[kLvtTimer]) == kPeriodic)
    return initial_count_ - static_cast<u32>(elapsed % initial_count_);
  return elapsed >= initial_count_ ? 0 : initial_count_ - static_cast<u32>(elapsed);
}

void LocalApic::start_timer() {
  timer_.cancel();
  const Clock& clock = cpu_.services().events.clock();
  if (timer_mode(lvt_[kLvtTimer]) == kTscDeadline) {
    if (tsc_deadline_ == 0) return;
    const u64 now = cpu_.read_tsc();
    if (tsc_deadline_ <= now) return timer_.arm(clock.now());
    // Counted from now: the offset may be negative.
    const u128 machine_tsc = u128{now - cpu_.state.tsc_offset} + (tsc_deadline_ - now);
    const u128 ahead = machine_tsc * 1'000'000'000 + cpu_.services().tsc_hz - 1;
    const u128 at = ahead / cpu_.services().tsc_hz;
    timer_.arm(VirtualTime{at > kEndOfTime.ns ? kEndOfTime.ns - 1 : static_cast<u64>(at)});
    return;
  }
  if (initial_count_ == 0) return;
  timer_.arm(VirtualTime{timer_start_ns_ + u64{initial_count_} * timer_divisor()});
}

void LocalApic::timer_fired() {
  const u32 lvt = lvt_[kLvtTimer];
  switch (timer_mode(lvt)) {
    case kTscDeadline:
      tsc_deadline_ = 0;
      break;
    case kPeriodic: {
      const u64 period = u64{initial_count_} * timer_divisor();
      const u64 now = cpu_.services().events.clock().now().ns;
      timer_start_ns_ += period * std::max<u64>(1, (now - timer_start_ns_) / period);
      timer_.arm(VirtualTime{timer_start_ns_ + period});
      break;
    }
    default:
      break;
  }
  if ((lvt & kMasked) == 0) accept(static_cast<u8>(lvt), false);
}

void LocalApic::set_tsc_deadline(u64 value) {
  if (timer_mode(lvt_[kLvtTimer]) != kTscDeadline) return;
  tsc_deadline_ = value;
  start_timer();
}

// ---- Registers ----
u32 LocalApic::read_register(u32 index) {
  if (index >= kIsr && index < kIsr + 8) return isr_[index - kIsr];
  if (index >= kTmr && index < kTmr + 8) return tmr_[index - kTmr];
  if (index >= kIrr && index < kIrr + 8) return irr_[index - kIrr];
  switch (index) {
    case kId:
      return x2apic() ? id_ : id_ << 24;
    case kVersion:
      return kVersionValue;
    case kTpr:
      return tpr_;
    case kApr:
      return arbitration_priority();
    case kPpr:
      return processor_priority();
    case kLdr:
      return x2apic() ? x2apic_ldr() : ldr_;
    case kDfr:
      return dfr_;
    case kSvr:
      return svr_;
    case kEsr:
      return esr_;
    case kCmci:
      return lvt_[kLvtCmci];
    case kIcrLow:
      return static_cast<u32>(icr_);
    case kIcrHigh:
      return static_cast<u32>(icr_ >> 32);
    case kTimer:
      return lvt_[kLvtTimer];
    case kThermal:
      return lvt_[kLvtThermal];
    case kPerformance:
      return lvt_[kLvtPerformance];
    case kLint0:
      return lvt_[kLvtLint0];
    case kLint1:
      return lvt_[kLvtLint1];
    case kError:
      return lvt_[kLvtError];
    case kInitialCount:
      return initial_count_;
    case kCurrentCount:
      return current_count();
    case kDivide:
      return divide_;
    default:
      break;
  }
  return 0;
}

bool LocalApic::write_register(u32 index, u32 value) {
  const auto write_lvt = [this](unsigned n, u32 v, u32 valid) {
    v &= valid;
    if ((svr_ & kSoftwareEnable) == 0) v |= kMasked;
    lvt_[n] = v;
  };
  constexpr u32 kLvtValid = 0xff | kMasked | (7u << 8);
  switch (index) {
    case kId:
      return !x2apic();  // read-only on current processors
    case kVersion:
    case kApr:
    case kPpr:
    case kRemoteRead:
    case kCurrentCount:
      return !x2apic();  // read-only: the write vanishes
    case kTpr:
      tpr_ = value & 0xff;
      changed();
      return true;
    case kEoi:
      end_of_interrupt();
      return true;
    case kLdr:
      if (!x2apic()) ldr_ = value & 0xff000000;
      return !x2apic();
    case kDfr:
      if (!x2apic()) dfr_ = value | 0x0fffffff;
      return !x2apic();
    case kSvr:
      svr_ = value & (0x3ff | kSuppressBroadcast);
      if ((svr_ & kSoftwareEnable) == 0) {
        for (u32& lvt : lvt_) lvt |= kMasked;
      }
      changed();
      return true;
    case kEsr:
      esr_ = esr_pending_;
      esr_pending_ = 0;
      return !x2apic() || value == 0;
    case kIcrLow:
      icr_ = (icr_ & 0xffffffff00000000u) | (value & 0x000ccfff);
      send_ipi(icr_);
      return true;
    case kIcrHigh:
      icr_ = (icr_ & 0xffffffffu) | (u64{value} << 32);
      return true;
    case kTimer: {
      const u32 old_mode = timer_mode(lvt_[kLvtTimer]);
      write_lvt(kLvtTimer, value, 0xff | kMasked | (3u << kTimerModeShift));
      if (timer_mode(lvt_[kLvtTimer]) != old_mode) {
        // A change to or from deadline mode disarms the timer [SDM3 10.5.4.1]; a count that has run out stays
        // so.
        if (old_mode == kTscDeadline || timer_mode(lvt_[kLvtTimer]) == kTscDeadline) {
          timer_.cancel();
          tsc_deadline_ = 0;
          initial_count_ = 0;
        } else if (timer_.armed()) {
          start_timer();
        }
      }
      return true;
    }
    case kCmci:
      write_lvt(kLvtCmci, value, kLvtValid);
      return true;
    case kThermal:
      write_lvt(kLvtThermal, value, kLvtValid);
      return true;
    case kPerformance:
      write_lvt(kLvtPerformance, value, kLvtValid);
      return true;
    case kLint0:
      write_lvt(kLvtLint0, value, kLvtValid | (5u << 13));
      cpu_.set_attention();
      cpu_.end_slice_soon();
      return true;
    case kLint1:
      write_lvt(kLvtLint1, value, kLvtValid | (5u << 13));
      return true;
    case kError:
      write_lvt(kLvtError, value, 0xff | kMasked);
      return true;
    case kInitialCount:
      if (timer_mode(lvt_[kLvtTimer]) == kTscDeadline) return true;
      initial_count_ = value;
      timer_start_ns_ = cpu_.services().events.clock().now().ns;
      start_timer();
      return true;
    case kDivide: {
      // The count goes on from where it is.
      const u32 counted = initial_count_ - current_count();
      divide_ = value & 0xb;
      if (initial_count_ != 0 && timer_.armed()) {
        timer_start_ns_ = cpu_.services().events.clock().now().ns - u64{counted} * timer_divisor();
        start_timer();
      }
      return true;
    }
    default:
      break;
  }
  return !x2apic() && index >= kIsr && index < kIrr + 8;
}

/// Registers that reads find, in both modes.
bool LocalApic::readable(u32 index) {
  return (index >= kId && index <= kVersion) || (index >= kTpr && index <= kPpr) ||
         (index >= kRemoteRead && index < kIrr + 8) || index == kEsr ||
         (index >= kCmci && index <= kCurrentCount) || index == kDivide;
}

/// The bits that x2APIC mode takes; others raise #GP(0) [SDM3 10.12.1.2, figures 10-28 on].
u64 LocalApic::x2apic_writable(u32 index) {
  constexpr u64 kStatus = 1u << 12;
  switch (index) {
    case kTpr:
    case kSelfIpi:
      return 0xff;
    case kSvr:
      return 0x3ff | kSuppressBroadcast;
    case kIcrLow:
      return 0xffffffff000ccfffu;
    case kTimer:
      return 0xff | kStatus | kMasked | (3u << kTimerModeShift);
    case kCmci:
    case kThermal:
    case kPerformance:
      return 0x7ff | kStatus | kMasked;
    case kLint0:
    case kLint1:
      return 0x7ff | kStatus | kMasked | (7u << 13);
    case kError:
      return 0xff | kStatus | kMasked;
    case kInitialCount:
      return 0xffffffff;
    case kDivide:
      return 0xb;
    default:
      return 0;  // EOI and ESR take zero
  }
}

void LocalApic::mmio_read(u32 offset, void* out, unsigned size) {
  // Registers are 32 bits at 16-byte steps; other accesses are undefined, and read as the bytes of the
  // register.
  if (!readable(offset >> 4)) set_error(kEsrIllegalRegister);
  u8 bytes[16] = {};
  store_le<u32>(bytes, read_register(offset >> 4));
  std::memset(out, 0, size);
  const unsigned at = offset & 15;
  std::memcpy(out, bytes + at, std::min(size, 16 - at));
}

void LocalApic::mmio_write(u32 offset, const void* data, unsigned size) {
  if ((offset & 15) != 0 || size < 4) return;
  if (!write_register(offset >> 4, load_le<u32>(data))) set_error(kEsrIllegalRegister);
}

bool LocalApic::x2apic_read(u32 msr, u64& value) {
  const u32 index = msr - 0x800;
  if (!x2apic() || index > 0x3f) return false;
  switch (index) {
    case kIcrLow:
      value = icr_;
      return true;
    case kEoi:
    case kIcrHigh:
    case kDfr:
    case kApr:
    case kRemoteRead:
    case kSelfIpi:
      return false;
    default:
      break;
  }
  if (!readable(index)) return false;
  value = read_register(index);
  return true;
}

bool LocalApic::x2apic_write(u32 msr, u64 value) {
  const u32 index = msr - 0x800;
  if (!x2apic() || index > 0x3f || (value & ~x2apic_writable(index)) != 0) return false;
  if (index == kIcrLow) {
    icr_ = value;
    send_ipi(icr_);
    return true;
  }
  if (index == kSelfIpi) {
    accept(static_cast<u8>(value), false);
    return true;
  }
  if (index == kIcrHigh) return false;
  return write_register(index, static_cast<u32>(value));
}

void LocalApic::visit_state(StateVisitor& v) {
  v.begin("lapic", 1);
  v.field("id", id_);
  v.field("base", base_);
  v.field("tpr", tpr_);
  v.field("ldr", ldr_);
  v.field("dfr", dfr_);
  v.field("svr", svr_);
  v.array("isr", isr_);
  v.array("tmr", tmr_);
  v.array("irr", irr_);
  v.field("esr", esr_);
  v.field("esr_pending", esr_pending_);
  v.field("icr", icr_);
  v.array("lvt", lvt_);
  v.field("initial_count", initial_count_);
  v.field("divide", divide_);
  v.field("timer_start", timer_start_ns_);
  v.field("tsc_deadline", tsc_deadline_);
  v.require(id_ == cpu_.id(), "APIC id is the CPU's");
  const bool periodic_stopped = timer_mode(lvt_[kLvtTimer]) == kPeriodic && initial_count_ == 0;
  v.require(!(periodic_stopped && timer_.armed()), "a running periodic timer has a count");
  if (v.loading() && periodic_stopped) timer_.cancel();
  v.end();
}

// ---- The bus ----
void ApicBus::deliver_to(Vcpu& cpu, Delivery mode, u8 vector, bool level) {
  if (!cpu.apic().enabled()) return;  // nothing reaches it
  switch (mode) {
    case Delivery::kFixed:
    case Delivery::kLowest:
      cpu.apic().accept(vector, level);
      break;
    case Delivery::kNmi:
      cpu.set_nmi();
      break;
    case Delivery::kInit:
      cpu.set_init();
      break;
    case Delivery::kStartup:
      cpu.set_sipi(vector);
      break;
    case Delivery::kExtInt:
      cpu.post_extint();
      break;
    case Delivery::kSmi:
      break;  // no SMM
  }
}

void ApicBus::deliver(u32 destination, bool logical, Delivery mode, u8 vector, bool level) {
  if (mode == Delivery::kLowest) {
    Vcpu* best = nullptr;
    for (Vcpu* cpu : cpus_) {
      // One that is disabled by software would drop it [SDM3 10.6.2.4].
      if (!cpu->apic().matches(destination, logical) || !cpu->apic().software_enabled()) continue;
      if (best == nullptr || cpu->apic().processor_priority() < best->apic().processor_priority()) best = cpu;
    }
    if (best != nullptr) deliver_to(*best, mode, vector, level);
    return;
  }
  for (Vcpu* cpu : cpus_) {
    if (cpu->apic().matches(destination, logical)) deliver_to(*cpu, mode, vector, level);
  }
}

void ApicBus::send_msi(PhysAddr address, u32 data) {
  const auto destination = static_cast<u32>(bits(address.value, 19, 12) | (bits(address.value, 11, 5) << 8));
  const bool logical = bit(address.value, 2);
  deliver(destination, logical, static_cast<Delivery>((data >> 8) & 7), static_cast<u8>(data), bit(data, 15));
}

}  // namespace orrery::cpu
