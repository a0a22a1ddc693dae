#include "devices/pci/pci_function.h"

#include <bit>

#include "base/bits.h"

namespace orrery::devices {
namespace {

constexpr u64 kPendingOffset = 0x800;
constexpr u64 kMsixBarBytes = 0x1000;
constexpr u16 kMsixEnable = 0x8000;
constexpr u16 kMsixFunctionMask = 0x4000;
constexpr u32 kVectorMask = 1;
/// RAM wins over a BAR that software puts on top of it, and chipset ports over I/O BARs.
constexpr int kMemoryBarPriority = -1;
constexpr int kIoBarPriority = 0;

}  // namespace

PciFunction::PciFunction(Identity identity, PciWiring wiring)
    : identity_(std::move(identity)),
      wiring_(wiring),
      msix_window_([this](u64 offset, unsigned) { return read_msix(offset); },
                   [this](u64 offset, u64 value, unsigned) { write_msix(offset, static_cast<u32>(value)); }) {
  store_le(&initial_[pci::VENDOR_ID], identity_.vendor);
  store_le(&initial_[pci::DEVICE_ID], identity_.device);
  initial_[pci::REVISION_ID] = identity_.revision;
  store_le_n(&initial_[pci::CLASS_CODE], identity_.class_code, 3);
  store_le(&initial_[pci::SUBSYSTEM_VENDOR_ID], identity_.subsystem_vendor);
  store_le(&initial_[pci::SUBSYSTEM_ID], identity_.subsystem);
  initial_[pci::HEADER_TYPE] = identity_.multifunction ? 0x80 : 0;
  initial_[pci::INTERRUPT_PIN] = identity_.has_interrupt ? 1 : 0;
  store_le<u16>(&writable_[pci::COMMAND],
                pci::COMMAND_IO | pci::COMMAND_MEMORY | pci::COMMAND_MASTER | pci::COMMAND_INTX_DISABLE);
  writable_[pci::INTERRUPT_LINE] = 0xff;
  state_.config = initial_;
}

PciFunction::~PciFunction() {
  for (const Bar& bar : bars_) {
    if (bar.kind == BarKind::kNone) continue;
    (bar.kind == BarKind::kIo ? wiring_.ports : wiring_.memory).remove(bar.region);
  }
}

void PciFunction::add_bar(unsigned index, BarKind kind, u64 size_bytes, memory::IoHandler& handler,
                          memory::AccessLimits limits) {
  CHECK(index < kBars && std::has_single_bit(size_bytes) && bars_[index].kind == BarKind::kNone);
  Bar& bar = bars_[index];
  bar.kind = kind;
  bar.size_bytes = size_bytes;
  bar.handler = &handler;
  const u16 offset = static_cast<u16>(pci::BAR0 + 4 * index);
  auto& space = kind == BarKind::kIo ? wiring_.ports : wiring_.memory;
  bar.region = space.add_io(fmt::format("{} BAR {}", identity_.name, index), 0, size_bytes, handler, limits,
                            kind == BarKind::kIo ? kIoBarPriority : kMemoryBarPriority);
  space.set_enabled(bar.region, false);
  const u32 flags = kind == BarKind::kIo ? 1 : kind == BarKind::kMemory64 ? 4 : 0;
  store_le<u32>(&initial_[offset], flags);
  store_le<u32>(&writable_[offset], static_cast<u32>(~(size_bytes - 1)));
  if (kind == BarKind::kMemory64)
    store_le<u32>(&writable_[offset + 4], static_cast<u32>(~(size_bytes - 1) >> 32));
  state_.config = initial_;
}

u16 PciFunction::add_capability(u8 id, std::span<const u8> body) {
  const u16 offset = capability_end_;
  CHECK(offset + 2 + body.size() <= kConfigBytes);
  initial_[offset] = id;
  initial_[offset + 1] = 0;
  std::copy(body.begin(), body.end(), initial_.begin() + offset + 2);
  initial_[last_capability_ == 0 ? pci::CAPABILITIES : last_capability_ + 1] = static_cast<u8>(offset);
  initial_[pci::STATUS] |= static_cast<u8>(pci::STATUS_CAPABILITIES);
  last_capability_ = offset;
  capability_end_ = static_cast<u16>(align_up(offset + 2 + body.size(), 4));
  state_.config = initial_;
  return offset;
}

void PciFunction::make_writable(u16 offset, unsigned bytes) {
  std::fill_n(writable_.begin() + offset, bytes, u8{0xff});
}

void PciFunction::add_register(u16 offset, unsigned bytes, u64 initial, u64 writable) {
  store_le_n(&initial_[offset], initial, bytes);
  store_le_n(&writable_[offset], writable, bytes);
  state_.config = initial_;
}

void PciFunction::add_msix(unsigned bar, u16 vectors) {
  CHECK(vectors >= 1 && vectors <= kMaxMsixVectors);
  u8 body[10];
  store_le<u16>(body, static_cast<u16>(vectors - 1));
  store_le<u32>(body + 2, bar);
  store_le<u32>(body + 6, static_cast<u32>(kPendingOffset | bar));
  msix_capability_ = add_capability(pci::CAPABILITY_MSIX, body);
  store_le<u16>(&writable_[msix_capability_ + 2], kMsixEnable | kMsixFunctionMask);
  msix_count_ = vectors;
  state_.msix_table.assign(4u * vectors, 0);
  mask_all_vectors();
  add_bar(bar, BarKind::kMemory32, kMsixBarBytes, msix_window_, {.min_bytes = 4, .max_bytes = 4});
}

/// The table as after reset.
void PciFunction::mask_all_vectors() {
  for (size_t i = 0; i < state_.msix_table.size(); ++i) state_.msix_table[i] = i % 4 == 3 ? kVectorMask : 0;
}

u16 PciFunction::config_word(u16 offset) const { return load_le<u16>(&state_.config[offset]); }
void PciFunction::set_config_word(u16 offset, u16 value) { store_le(&state_.config[offset], value); }

void PciFunction::reset() {
  state_.config = initial_;
  state_.msix_pending = 0;
  state_.intx = false;
  mask_all_vectors();
  reset_function();
  map_bars();
  update_intx();
}

u64 PciFunction::bar_base(unsigned index) const {
  const Bar& bar = bars_[index];
  const u8* at = &state_.config[pci::BAR0 + 4 * index];
  const u64 value = bar.kind == BarKind::kMemory64 ? load_le<u64>(at) : load_le<u32>(at);
  return value & ~(bar.size_bytes - 1) & (bar.kind == BarKind::kIo ? ~u64{3} : ~u64{15});
}

void PciFunction::set_bar(unsigned index, u64 base) {
  u8* at = &state_.config[pci::BAR0 + 4 * index];
  const u32 flags = load_le<u32>(&initial_[pci::BAR0 + 4 * index]);
  store_le<u32>(at, static_cast<u32>(base) | flags);
  if (bars_[index].kind == BarKind::kMemory64) store_le<u32>(at + 4, static_cast<u32>(base >> 32));
  map_bars();
}

/// Brings the address spaces in line with the BARs and the command register, touching only what differs.
void PciFunction::map_bars() {
  const u16 command = config_word(pci::COMMAND);
  for (unsigned i = 0; i < kBars; ++i) {
    Bar& bar = bars_[i];
    if (bar.kind == BarKind::kNone) continue;
    const bool io = bar.kind == BarKind::kIo;
    const u64 base = bar_base(i);
    const bool mapped = (command & (io ? pci::COMMAND_IO : pci::COMMAND_MEMORY)) && base != 0;
    if (mapped == bar.mapped && (!mapped || base == bar.base)) continue;
    auto& space = io ? wiring_.ports : wiring_.memory;
    space.begin_update();
    if (mapped) space.move(bar.region, base);
    space.set_enabled(bar.region, mapped);
    space.end_update();
    bar.mapped = mapped;
    bar.base = base;
  }
}

void PciFunction::set_intx(bool level) {
  state_.intx = level;
  update_intx();
}

void PciFunction::update_intx() {
  u16 status = config_word(pci::STATUS) & static_cast<u16>(~pci::STATUS_INTERRUPT);
  if (state_.intx) status |= pci::STATUS_INTERRUPT;
  set_config_word(pci::STATUS, status);
  wiring_.intx.set(state_.intx && !(config_word(pci::COMMAND) & pci::COMMAND_INTX_DISABLE) &&
                   !msix_enabled());
}

bool PciFunction::msix_enabled() const {
  return msix_capability_ != 0 && (config_word(static_cast<u16>(msix_capability_ + 2)) & kMsixEnable);
}

bool PciFunction::msix_masked(u16 vector) const {
  return (config_word(static_cast<u16>(msix_capability_ + 2)) & kMsixFunctionMask) ||
         (state_.msix_table[4u * vector + 3] & kVectorMask);
}

void PciFunction::deliver_msix(u16 vector) {
  const u32* entry = &state_.msix_table[4u * vector];
  if (!(config_word(pci::COMMAND) & pci::COMMAND_MASTER)) return;  // a message is a bus-master write
  wiring_.msi.send_msi(PhysAddr(entry[0] | u64{entry[1]} << 32), entry[2]);
}

void PciFunction::send_msix(u16 vector) {
  if (vector >= msix_count_ || !msix_enabled()) return;
  if (msix_masked(vector)) {
    state_.msix_pending |= u64{1} << vector;
    return;
  }
  deliver_msix(vector);
}

/// Sends what was pending and is no longer masked.
void PciFunction::update_msix() {
  if (!msix_enabled()) return;
  for (u16 vector = 0; vector < msix_count_; ++vector) {
    if (!bit(state_.msix_pending, vector) || msix_masked(vector)) continue;
    state_.msix_pending &= ~(u64{1} << vector);
    deliver_msix(vector);
  }
}

u64 PciFunction::read_msix(u64 offset) const {
  if (offset / 4 < state_.msix_table.size()) return state_.msix_table[offset / 4];
  if (offset == kPendingOffset) return state_.msix_pending & 0xffffffff;
  if (offset == kPendingOffset + 4) return state_.msix_pending >> 32;
  return 0;
}

void PciFunction::write_msix(u64 offset, u32 value) {
  if (offset / 4 >= state_.msix_table.size()) return;
  const u64 word = offset / 4;
  if (word % 4 == 0) value &= ~3u;
  if (word % 4 == 3) value &= kVectorMask;
  state_.msix_table[word] = value;
  update_msix();
}

u32 PciFunction::read_config(u16 offset, unsigned size) {
  u32 value = 0;
  if (read_config_hook(offset, size, value)) return value;
  if (offset + size > kConfigBytes) return 0;  // no extended capabilities
  return static_cast<u32>(load_le_n(&state_.config[offset], size));
}

void PciFunction::write_config(u16 offset, u32 value, unsigned size) {
  if (offset + size > kConfigBytes) return;
  for (unsigned i = 0; i < size; ++i) {
    const u8 mask = writable_bits(static_cast<u16>(offset + i));
    const auto byte = static_cast<u8>(value >> (8 * i));
    u8& stored = state_.config[offset + i];
    stored = static_cast<u8>((stored & ~mask) | (byte & mask));
  }
  map_bars();
  update_intx();
  if (msix_capability_ != 0) update_msix();
  config_written(offset, size);
}

void PciFunction::visit_state(StateVisitor& v) {
  v.begin(name(), 1);
  v.array("config", state_.config);
  v.field("msix_pending", state_.msix_pending);
  v.field("intx", state_.intx);
  const size_t words = state_.msix_table.size();
  v.vector("msix_table", state_.msix_table, words);
  if (v.loading()) {
    // Read-only bits must be this function's own, or BAR decoding would leave its frame.
    bool same = state_.msix_table.size() == words;
    for (unsigned i = 0; i < kConfigBytes; ++i) {
      const u8 fixed =
          static_cast<u8>(~writable_[i]) & static_cast<u8>(i == pci::STATUS ? ~pci::STATUS_INTERRUPT : 0xff);
      same &= ((state_.config[i] ^ initial_[i]) & fixed) == 0;
    }
    v.require(same, "configuration space is of this function");
    if (!same) {
      state_.config = initial_;
      state_.msix_table.assign(words, 0);
    }
  }
  visit_function(v);
  v.end();
  if (!v.loading()) return;
  map_bars();
  wiring_.intx.restore_level(state_.intx && !(config_word(pci::COMMAND) & pci::COMMAND_INTX_DISABLE) &&
                             !msix_enabled());
}

}  // namespace orrery::devices
