#include "devices/virtio/virtio_function.h"

#include <bit>

#include "base/bits.h"

namespace orrery::devices {
namespace {

constexpr u16 kVendor = 0x1af4;
constexpr u16 kModernDeviceBase = 0x1040;
constexpr unsigned kMsixBar = 1;
constexpr unsigned kBar = 4;
constexpr u64 kBarBytes = 0x4000;
constexpr u64 kCommonOffset = 0x0000, kIsrOffset = 0x1000, kDeviceOffset = 0x2000, kNotifyOffset = 0x3000;
constexpr u64 kPartBytes = 0x1000;
constexpr u64 kCommonBytes = 0x38;
constexpr u32 kNotifyMultiplier = 4;
constexpr u16 kNoVector = 0xffff;

namespace cfg_type {
constexpr u8 COMMON = 1, NOTIFY = 2, ISR = 3, DEVICE = 4, PCI = 5;
}
namespace status {
constexpr u8 DRIVER_OK = 4, FEATURES_OK = 8, NEEDS_RESET = 64;
}
constexpr u8 kIsrQueue = 1, kIsrConfig = 2;

/// struct virtio_pci_cap without its first two bytes [virtio 4.1.4].
std::vector<u8> capability(u8 type, u64 offset, u64 length, unsigned extra) {
  std::vector<u8> body(14 + extra, 0);
  body[0] = static_cast<u8>(body.size() + 2);
  body[1] = type;
  body[2] = kBar;
  store_le(&body[6], static_cast<u32>(offset));
  store_le(&body[10], static_cast<u32>(length));
  return body;
}

}  // namespace

VirtioFunction::VirtioFunction(Type type, PciWiring wiring, memory::DmaPort& dma)
    : PciFunction({.name = type.name,
                   .vendor = kVendor,
                   .device = static_cast<u16>(kModernDeviceBase + type.device_id),
                   .class_code = type.class_code,
                   .revision = 1,
                   .subsystem_vendor = kVendor,
                   .subsystem = static_cast<u16>(0x40 + type.device_id)},
                  wiring),
      type_(std::move(type)),
      dma_(dma),
      features_(type_.features | virtio::F_INDIRECT_DESC | virtio::F_EVENT_IDX | virtio::F_VERSION_1),
      queues_(type_.queues),
      bar_([this](u64 offset, unsigned size) { return read_bar(offset, size); },
           [this](u64 offset, u64 value, unsigned size) { write_bar(offset, value, size); }) {
  add_msix(kMsixBar, static_cast<u16>(type_.queues + 1));
  add_bar(kBar, BarKind::kMemory64, kBarBytes, bar_, {.min_bytes = 1, .max_bytes = 4});
  add_capability(pci::CAPABILITY_VENDOR, capability(cfg_type::COMMON, kCommonOffset, kPartBytes, 0));
  add_capability(pci::CAPABILITY_VENDOR, capability(cfg_type::ISR, kIsrOffset, kPartBytes, 0));
  add_capability(pci::CAPABILITY_VENDOR, capability(cfg_type::DEVICE, kDeviceOffset, kPartBytes, 0));
  auto notify = capability(cfg_type::NOTIFY, kNotifyOffset, kPartBytes, 4);
  store_le<u32>(&notify[14], kNotifyMultiplier);
  add_capability(pci::CAPABILITY_VENDOR, notify);
  access_capability_ = add_capability(pci::CAPABILITY_VENDOR, capability(cfg_type::PCI, 0, 0, 4));
  make_writable(static_cast<u16>(access_capability_ + 4), 1);   // bar
  make_writable(static_cast<u16>(access_capability_ + 8), 12);  // offset, length, data
}

Virtqueue* VirtioFunction::selected() {
  return state_.queue_select < queues_.size() ? &queues_[state_.queue_select] : nullptr;
}

bool VirtioFunction::driver_ok() const {
  return (state_.status & status::DRIVER_OK) && !(state_.status & status::NEEDS_RESET);
}

void VirtioFunction::reset_transport() {
  state_ = State{};
  for (Virtqueue& queue : queues_) queue.reset();
  reset_device();
  set_intx(false);
}

void VirtioFunction::reset_function() { reset_transport(); }

void VirtioFunction::interrupt(u8 isr_bit, u16 vector) {
  if (msix_enabled()) return send_msix(vector);  // kNoVector is out of range
  state_.isr |= isr_bit;
  set_intx(true);
}

void VirtioFunction::needs_reset() {
  if (state_.status & status::NEEDS_RESET) return;
  state_.status |= status::NEEDS_RESET;
  interrupt(kIsrConfig, state_.config_vector);
}

bool VirtioFunction::pop(u16 queue, VirtioChain& chain) {
  if (!driver_ok()) return false;
  if (queues_[queue].pop(dma_, has_feature(virtio::F_EVENT_IDX), chain)) return true;
  if (queues_[queue].state().broken) needs_reset();
  return false;
}

void VirtioFunction::push(u16 queue, u16 head, u32 written) {
  if (!driver_ok()) return;
  Virtqueue& q = queues_[queue];
  q.push(dma_, head, written);
  if (q.should_interrupt(dma_, has_feature(virtio::F_EVENT_IDX))) interrupt(kIsrQueue, q.state().msix_vector);
}

u64 VirtioFunction::read_bar(u64 offset, unsigned size) {
  const u64 at = offset % kPartBytes;
  switch (offset - at) {
    case kCommonOffset:
      return read_common(at, size);
    case kIsrOffset: {
      if (at != 0) return 0;
      const u8 isr = state_.isr;  // reading takes the interrupt back [virtio 4.1.4.5]
      state_.isr = 0;
      set_intx(false);
      return isr;
    }
    case kDeviceOffset: {
      u64 value = 0;
      for (unsigned i = 0; i < size; ++i) value |= static_cast<u64>(read_device_config(at + i)) << (8 * i);
      return value;
    }
    default:
      return 0;
  }
}

void VirtioFunction::write_bar(u64 offset, u64 value, unsigned size) {
  const u64 at = offset % kPartBytes;
  switch (offset - at) {
    case kCommonOffset:
      return write_common(at, value, size);
    case kDeviceOffset:
      for (unsigned i = 0; i < size; ++i) write_device_config(at + i, static_cast<u8>(value >> (8 * i)));
      return;
    case kNotifyOffset:
      if (at / kNotifyMultiplier < queues_.size() && driver_ok()) {
        queue_notified(static_cast<u16>(at / kNotifyMultiplier));
      }
      return;
    default:
      return;
  }
}

u64 VirtioFunction::read_common(u64 offset, unsigned size) const {
  if (offset + size > kCommonBytes) return 0;
  u8 image[kCommonBytes] = {};
  store_le(image, state_.device_feature_select);
  if (state_.device_feature_select < 2) {
    store_le(image + 0x04, static_cast<u32>(features_ >> (32 * state_.device_feature_select)));
  }
  store_le(image + 0x08, state_.driver_feature_select);
  if (state_.driver_feature_select < 2) {
    store_le(image + 0x0c, static_cast<u32>(state_.driver_features >> (32 * state_.driver_feature_select)));
  }
  store_le(image + 0x10, state_.config_vector);
  store_le(image + 0x12, static_cast<u16>(queues_.size()));
  image[0x14] = state_.status;
  image[0x15] = state_.config_generation;
  store_le(image + 0x16, state_.queue_select);
  if (state_.queue_select < queues_.size()) {
    const Virtqueue::State& q = queues_[state_.queue_select].state();
    store_le(image + 0x18, q.size);
    store_le(image + 0x1a, q.msix_vector);
    store_le(image + 0x1c, static_cast<u16>(q.enabled));
    store_le(image + 0x1e, state_.queue_select);
    store_le(image + 0x20, q.descriptors);
    store_le(image + 0x28, q.driver);
    store_le(image + 0x30, q.device);
  }
  return load_le_n(image + offset, size);
}

void VirtioFunction::write_common(u64 offset, u64 value, unsigned size) {
  const auto word = static_cast<u16>(value);
  const auto vector = word < msix_vectors() ? word : kNoVector;
  Virtqueue* queue = selected();
  const auto half = [value, size](u64& field, bool high) {
    if (size != 4) return;
    field = high ? (field & 0xffffffff) | (value << 32) : (field & ~u64{0xffffffff}) | value;
  };
  switch (offset) {
    case 0x00:
      if (size == 4) state_.device_feature_select = static_cast<u32>(value);
      return;
    case 0x08:
      if (size == 4) state_.driver_feature_select = static_cast<u32>(value);
      return;
    case 0x0c:
      if (size != 4 || state_.driver_feature_select > 1 || (state_.status & status::FEATURES_OK)) return;
      half(state_.driver_features, state_.driver_feature_select == 1);
      return;
    case 0x10:
      if (size == 2) state_.config_vector = vector;
      return;
    case 0x14:
      if (size == 1) write_status(static_cast<u8>(value));
      return;
    case 0x16:
      if (size == 2) state_.queue_select = word;
      return;
    default:
      break;
  }
  if (queue == nullptr) return;
  Virtqueue::State& q = queue->state();
  if (offset == 0x1a && size == 2) q.msix_vector = vector;
  if (offset == 0x1c && size == 2 && word == 1) q.enabled = true;
  if (q.enabled) return;  // the rest is fixed from here on
  switch (offset) {
    case 0x18:
      if (size == 2 && word != 0 && word <= Virtqueue::kMaxSize && std::has_single_bit(word)) q.size = word;
      return;
    case 0x20:
      return half(q.descriptors, false);
    case 0x24:
      return half(q.descriptors, true);
    case 0x28:
      return half(q.driver, false);
    case 0x2c:
      return half(q.driver, true);
    case 0x30:
      return half(q.device, false);
    case 0x34:
      return half(q.device, true);
    default:
      return;
  }
}

void VirtioFunction::write_status(u8 value) {
  if (value == 0) return reset_transport();
  const u8 added = value & static_cast<u8>(~state_.status);
  if (added & status::FEATURES_OK) {
    const bool acceptable = (state_.driver_features & ~features_) == 0 && has_feature(virtio::F_VERSION_1);
    if (!acceptable) value &= static_cast<u8>(~status::FEATURES_OK);
  }
  // Bits are only ever set; DRIVER_OK needs FEATURES_OK [virtio 2.1.1].
  value |= state_.status;
  if (!(value & status::FEATURES_OK)) value &= static_cast<u8>(~status::DRIVER_OK);
  state_.status = value;
  // Buffers made available before DRIVER_OK are looked at now.
  if (added & status::DRIVER_OK && driver_ok()) {
    for (u16 i = 0; i < queues_.size(); ++i) queue_notified(i);
  }
}

/// VIRTIO_PCI_CAP_PCI_CFG: a window into the BAR through configuration space [virtio 4.1.4.8].
bool VirtioFunction::read_config_hook(u16 offset, unsigned size, u32& value) {
  if (access_capability_ == 0 || offset != access_capability_ + 16) return false;
  const u8* cap = config() + access_capability_;
  const u32 at = load_le<u32>(cap + 8);
  const u32 length = load_le<u32>(cap + 12);
  if (cap[4] != kBar || length != size || at % size != 0 || at > kBarBytes - size) return false;
  value = static_cast<u32>(read_bar(at, size));
  return true;
}

void VirtioFunction::config_written(u16 offset, unsigned size) {
  if (access_capability_ == 0 || offset != access_capability_ + 16) return;
  const u8* cap = config() + access_capability_;
  const u32 at = load_le<u32>(cap + 8);
  const u32 length = load_le<u32>(cap + 12);
  if (cap[4] != kBar || length != size || at % size != 0 || at > kBarBytes - size) return;
  write_bar(at, load_le_n(cap + 16, size), size);
}

void VirtioFunction::visit_function(StateVisitor& v) {
  v.field("device_feature_select", state_.device_feature_select);
  v.field("driver_feature_select", state_.driver_feature_select);
  v.field("driver_features", state_.driver_features);
  v.field("config_vector", state_.config_vector);
  v.field("status", state_.status);
  v.field("config_generation", state_.config_generation);
  v.field("queue_select", state_.queue_select);
  v.field("isr", state_.isr);
  for (size_t i = 0; i < queues_.size(); ++i) queues_[i].visit_state(v, fmt::format("queue{}", i));
  visit_device(v);
}

}  // namespace orrery::devices
