#include "devices/timer/acpi_pm.h"

#include "base/bits.h"
#include "devices/timer/cycles.h"

namespace orrery::devices {
namespace {

namespace pm1 {
constexpr u16 TMR_STS = 1 << 0, GBL_STS = 1 << 5, PWRBTN_STS = 1 << 8, RTC_STS = 1 << 10, WAK_STS = 1 << 15;
constexpr u16 kStatusBits = TMR_STS | GBL_STS | PWRBTN_STS | RTC_STS | WAK_STS;
constexpr u16 kEnableBits = TMR_STS | GBL_STS | PWRBTN_STS | RTC_STS;
constexpr u16 SCI_EN = 1 << 0, SLP_EN = 1 << 13;
constexpr u16 kControlBits = 0x1c06;  // BM_RLD, GBL_RLS, SLP_TYP
}  // namespace pm1
namespace smi {
constexpr u32 GBL_SMI_EN = 1 << 0, APMC_EN = 1 << 5;
constexpr u32 kEnableBits = 0x0a06687f;
constexpr u32 APM_STS = 1 << 5;
}  // namespace smi
namespace reset {
constexpr u8 SYS_RST = 0x02, RST_CPU = 0x04, FULL_RST = 0x08;
}

}  // namespace

AcpiPm::AcpiPm(Config config, EventQueue& events, IrqLine sci, MachineControl& control)
    : config_(config),
      events_(events),
      sci_(sci),
      control_(control),
      timer_(events, "acpi_pm.overflow", [this] { update(); }),
      ports_(
          [this](u64 offset, unsigned size) -> u64 {
            u64 v = 0;
            for (unsigned i = 0; i < size; ++i) v |= static_cast<u64>(read_byte(offset + i)) << (8 * i);
            return v;
          },
          [this](u64 offset, u64 v, unsigned size) {
            // The control register acts on SLP_EN, so its two bytes are taken together.
            if (offset == kControlOffset && size >= 2) return write_control(static_cast<u16>(v));
            for (unsigned i = 0; i < size; ++i) write_byte(offset + i, static_cast<u8>(v >> (8 * i)));
            update();
          }),
      smi_ports_([this](u64 offset,
                        unsigned) -> u64 { return offset == 0 ? state_.smi_command : state_.smi_status; },
                 [this](u64 offset, u64 v, unsigned) {
                   if (offset == 1) {
                     state_.smi_status = static_cast<u8>(v);
                     return;
                   }
                   state_.smi_command = static_cast<u8>(v);
                   if (state_.smi_enable & smi::APMC_EN) state_.smi_events |= smi::APM_STS;
                   if (v == kAcpiEnable) state_.control |= pm1::SCI_EN;
                   if (v == kAcpiDisable) state_.control &= static_cast<u16>(~pm1::SCI_EN);
                   update();
                 }),
      reset_port_([this](u64, unsigned) -> u64 { return state_.reset_control; },
                  [this](u64, u64 v, unsigned) {
                    const bool rises = (v & reset::RST_CPU) && !(state_.reset_control & reset::RST_CPU);
                    state_.reset_control = v & (reset::SYS_RST | reset::RST_CPU | reset::FULL_RST);
                    if (!rises) return;
                    if (v & reset::SYS_RST) return control_.request_reset();
                    control_.request_init();
                  }) {}

void AcpiPm::reset() {
  state_ = State{};
  state_.timer_acknowledged = timer_cycles();
  update();
}

void AcpiPm::enable_acpi_mode() {
  state_.control |= pm1::SCI_EN;
  update();
}

void AcpiPm::press_power_button() {
  state_.status |= pm1::PWRBTN_STS;
  update();
}

u64 AcpiPm::timer_cycles() const { return cycles_at(events_.clock().now(), kTimerHz); }

/// TMR_STS: the timer's highest bit has changed since it was last cleared [ACPI 4.8.3.1.1].
bool AcpiPm::timer_overflowed() const {
  return timer_cycles() >> (kTimerBits - 1) != state_.timer_acknowledged >> (kTimerBits - 1);
}

u16 AcpiPm::status() const {
  return static_cast<u16>(state_.status | (timer_overflowed() ? pm1::TMR_STS : 0));
}

bool AcpiPm::sci_level() const {
  return (state_.control & pm1::SCI_EN) &&
         ((status() & state_.enable) != 0 || (state_.gpe_status & state_.gpe_enable) != 0);
}

void AcpiPm::update() {
  sci_.set(sci_level());
  timer_.cancel();
  if (!(state_.enable & pm1::TMR_STS) || timer_overflowed()) return;
  const u64 next = ((timer_cycles() >> (kTimerBits - 1)) + 1) << (kTimerBits - 1);
  timer_.arm(time_of_cycle(next, kTimerHz));
}

u8 AcpiPm::read_byte(u64 offset) const {
  const auto byte_of = [offset](u64 v, u64 start) { return static_cast<u8>(v >> (8 * (offset - start))); };
  if (offset < 2) return byte_of(status(), 0);
  if (offset < 4) return byte_of(state_.enable, 2);
  if (offset >= kControlOffset && offset < kControlOffset + 2u)
    return byte_of(state_.control, kControlOffset);
  if (offset >= kTimerOffset && offset < kTimerOffset + 4u) {
    return byte_of(timer_cycles() & low_mask(kTimerBits), kTimerOffset);
  }
  const u64 half = config_.gpe0_bytes / 2u;
  if (offset >= kGpe0Offset && offset < kGpe0Offset + half) return byte_of(state_.gpe_status, kGpe0Offset);
  if (offset >= kGpe0Offset + half && offset < kGpe0Offset + 2 * half)
    return byte_of(state_.gpe_enable, kGpe0Offset + half);
  if (offset >= kSmiEnableOffset && offset < kSmiEnableOffset + 4u)
    return byte_of(state_.smi_enable, kSmiEnableOffset);
  if (offset >= kSmiStatusOffset && offset < kSmiStatusOffset + 4u)
    return byte_of(state_.smi_events, kSmiStatusOffset);
  return offset < kPortBytes ? 0 : 0xff;
}

void AcpiPm::write_byte(u64 offset, u8 value) {
  const auto replace = [value](u64 old, u64 at) {
    return (old & ~(u64{0xff} << (8 * at))) | (u64{value} << (8 * at));
  };
  const u64 half = config_.gpe0_bytes / 2u;
  if (offset < 2) {  // write 1 to clear
    state_.status &= static_cast<u16>(~(value << (8 * offset)));
    if (offset == 0 && (value & pm1::TMR_STS)) state_.timer_acknowledged = timer_cycles();
  } else if (offset < 4) {
    state_.enable = static_cast<u16>(replace(state_.enable, offset - 2)) & pm1::kEnableBits;
  } else if (offset < 6) {
    write_control(static_cast<u16>(replace(state_.control, offset - kControlOffset)));
  } else if (offset >= kGpe0Offset && offset < kGpe0Offset + half) {
    state_.gpe_status &= ~(u64{value} << (8 * (offset - kGpe0Offset)));
  } else if (offset >= kGpe0Offset + half && offset < kGpe0Offset + 2 * half) {
    state_.gpe_enable = replace(state_.gpe_enable, offset - kGpe0Offset - half);
  } else if (offset >= kSmiEnableOffset && offset < kSmiEnableOffset + 4u) {
    const u32 fixed = ~smi::kEnableBits | (state_.smi_enable_locked ? smi::GBL_SMI_EN : 0);
    const auto wanted = static_cast<u32>(replace(state_.smi_enable, offset - kSmiEnableOffset));
    state_.smi_enable = (state_.smi_enable & fixed) | (wanted & ~fixed);
  } else if (offset >= kSmiStatusOffset && offset < kSmiStatusOffset + 4u) {
    state_.smi_events &= ~(u32{value} << (8 * (offset - kSmiStatusOffset)));
  }
}

void AcpiPm::write_control(u16 value) {
  state_.control = static_cast<u16>((state_.control & pm1::SCI_EN) | (value & pm1::kControlBits & ~0x4));
  if ((value & pm1::SLP_EN) && bit(config_.soft_off_types, static_cast<unsigned>(bits(value, 12, 10))))
    control_.request_power_off();
  update();
}

void AcpiPm::visit_state(StateVisitor& v) {
  v.begin(name(), 2);
  v.field("status", state_.status);
  v.field("enable", state_.enable);
  v.field("control", state_.control);
  v.field("gpe_status", state_.gpe_status);
  v.field("gpe_enable", state_.gpe_enable);
  v.field("smi_enable", state_.smi_enable);
  v.field("smi_events", state_.smi_events);
  v.field("smi_enable_locked", state_.smi_enable_locked);
  v.field("timer_acknowledged", state_.timer_acknowledged);
  v.field("smi_command", state_.smi_command);
  v.field("smi_status", state_.smi_status);
  v.field("reset_control", state_.reset_control);
  v.end();
  if (v.loading()) sci_.restore_level(sci_level());
}

}  // namespace orrery::devices
