#include "devices/irq/ioapic.h"

#include "base/bits.h"

namespace orrery::devices {
namespace {

constexpr u64 kIoRegSel = 0x00;
constexpr u64 kIoWin = 0x10;
constexpr u64 kEoir = 0x40;

constexpr u8 kIdRegister = 0x00;
constexpr u8 kVersionRegister = 0x01;
constexpr u8 kArbitrationRegister = 0x02;
constexpr u8 kFirstRedirection = 0x10;
constexpr u32 kVersion = 0x20;

// Redirection table entry [82093AA 3.2.4].
constexpr u64 kVector = 0xff;
constexpr unsigned kDeliveryModeShift = 8;
constexpr u64 kDestinationLogical = u64{1} << 11;
constexpr u64 kDeliveryStatus = u64{1} << 12;
constexpr u64 kRemoteIrr = u64{1} << 14;
constexpr u64 kLevel = u64{1} << 15;
constexpr u64 kMask = u64{1} << 16;
constexpr u64 kWritable = 0xff0000000001afff;
constexpr unsigned kLowestPriority = 1;

}  // namespace

IoApic::IoApic(Config config, MsiSink& msi) : config_(config), msi_(msi) { reset(); }

void IoApic::reset() {
  const u32 lines = state_.lines;
  state_ = State{};
  state_.lines = lines;
  state_.id = config_.id;
  for (u64& entry : state_.redirection) entry = kMask;
}

void IoApic::send(unsigned pin) {
  const u64 entry = state_.redirection[pin];
  const auto mode = static_cast<unsigned>(bits(entry, 10, 8));
  u64 address = 0xfee00000 | (bits(entry, 63, 56) << 12);
  if (entry & kDestinationLogical) address |= 1u << 2;
  if (mode == kLowestPriority) address |= 1u << 3;  // redirection hint [SDM3 11.11.1]
  u32 data = static_cast<u32>(entry & kVector) | (mode << kDeliveryModeShift) | (1u << 14);
  if (entry & kLevel) data |= 1u << 15;
  msi_.send_msi(PhysAddr(address), data);
}

/// Sends a level-triggered pin's interrupt if one is due.
void IoApic::service(unsigned pin) {
  u64& entry = state_.redirection[pin];
  if (!(entry & kLevel) || (entry & kMask) || (entry & kRemoteIrr) || !bit(state_.lines, pin)) return;
  // Only Fixed and Lowest Priority have an EOI; the others are sent once per assertion.
  if (bits(entry, 10, 8) <= kLowestPriority) entry |= kRemoteIrr;
  send(pin);
}

void IoApic::set_irq(unsigned pin, bool level) {
  if (pin >= kPins) return;
  const bool before = bit(state_.lines, pin);
  if (level == before) return;
  state_.lines ^= 1u << pin;
  if (!level) return;
  const u64 entry = state_.redirection[pin];
  if (entry & kLevel) return service(pin);
  if (!(entry & kMask)) send(pin);  // a masked edge is lost [82093AA 3.2.4]
}

void IoApic::end_of_interrupt(u8 vector) {
  for (unsigned pin = 0; pin < kPins; ++pin) {
    u64& entry = state_.redirection[pin];
    if (!(entry & kRemoteIrr) || (entry & kVector) != vector) continue;
    entry &= ~kRemoteIrr;
    service(pin);
  }
}

u32 IoApic::read_register() const {
  const u8 index = state_.select;
  if (index == kIdRegister || index == kArbitrationRegister) return static_cast<u32>(state_.id) << 24;
  if (index == kVersionRegister) return kVersion | ((kPins - 1) << 16);
  if (index >= kFirstRedirection && index < kFirstRedirection + 2 * kPins) {
    const u64 entry = state_.redirection[(index - kFirstRedirection) / 2];
    return static_cast<u32>(index & 1 ? entry >> 32 : entry);
  }
  return 0xffffffff;
}

void IoApic::write_register(u32 value) {
  const u8 index = state_.select;
  if (index == kIdRegister) state_.id = static_cast<u8>(value >> 24);
  if (index < kFirstRedirection || index >= kFirstRedirection + 2 * kPins) return;
  const unsigned pin = (index - kFirstRedirection) / 2;
  u64& entry = state_.redirection[pin];
  const u64 half = index & 1 ? u64{0xffffffff} << 32 : 0xffffffff;
  const u64 wide = index & 1 ? u64{value} << 32 : value;
  entry = (entry & ~(half & kWritable)) | (wide & half & kWritable);
  // Software's way to end a level interrupt on parts without EOIR: edge, then level again.
  if (!(entry & kLevel)) entry &= ~kRemoteIrr;
  entry &= ~kDeliveryStatus;
  service(pin);
}

u64 IoApic::read(u64 offset, unsigned) {
  if (offset == kIoRegSel) return state_.select;
  if (offset == kIoWin) return read_register();
  return offset == kEoir ? 0 : 0xffffffff;
}

void IoApic::write(u64 offset, u64 value, unsigned) {
  if (offset == kIoRegSel) state_.select = static_cast<u8>(value);
  if (offset == kIoWin) write_register(static_cast<u32>(value));
  if (offset == kEoir) end_of_interrupt(static_cast<u8>(value));
}

void IoApic::visit_state(StateVisitor& v) {
  v.begin(name(), 1);
  v.field("select", state_.select);
  v.field("id", state_.id);
  v.field("lines", state_.lines);
  v.array("redirection", state_.redirection);
  v.require(state_.lines < (1u << kPins), "lines are 24 bits");
  v.end();
  if (v.loading()) state_.lines &= (1u << kPins) - 1;
}

}  // namespace orrery::devices
