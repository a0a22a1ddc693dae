#include "devices/virtio/virtqueue.h"

#include <bit>

#include "base/bits.h"

namespace orrery::devices {
namespace {

constexpr u64 kDescriptorBytes = 16;
constexpr u16 kNext = 1, kWrite = 2, kIndirect = 4;
constexpr u16 kNoInterrupt = 1;  // avail.flags

struct Descriptor {
  u64 address;
  u32 length;
  u16 flags;
  u16 next;
};

Descriptor read_descriptor(memory::DmaPort& dma, u64 table, u16 index) {
  u8 bytes[kDescriptorBytes];
  dma.read(table + kDescriptorBytes * index, bytes);
  return {load_le<u64>(bytes), load_le<u32>(bytes + 8), load_le<u16>(bytes + 12), load_le<u16>(bytes + 14)};
}

template <class Piece>
bool for_bytes(const std::vector<VirtioChain::Segment>& segments, u64 offset, u64 size_bytes, Piece piece) {
  u64 done = 0;
  for (const auto& segment : segments) {
    if (done == size_bytes) break;
    if (offset >= segment.length) {
      offset -= segment.length;
      continue;
    }
    const u64 bytes = std::min<u64>(segment.length - offset, size_bytes - done);
    piece(segment.address + offset, done, bytes);
    done += bytes;
    offset = 0;
  }
  return done == size_bytes;
}

}  // namespace

bool read_chain(memory::DmaPort& dma, const std::vector<VirtioChain::Segment>& segments, u64 offset,
                std::span<u8> out) {
  return for_bytes(segments, offset, out.size(),
                   [&](u64 address, u64 done, u64 bytes) { dma.read(address, out.subspan(done, bytes)); });
}

bool write_chain(memory::DmaPort& dma, const std::vector<VirtioChain::Segment>& segments, u64 offset,
                 std::span<const u8> data) {
  return for_bytes(segments, offset, data.size(),
                   [&](u64 address, u64 done, u64 bytes) { dma.write(address, data.subspan(done, bytes)); });
}

bool Virtqueue::walk(memory::DmaPort& dma, VirtioChain& chain) {
  u64 table = state_.descriptors;
  u32 table_size = state_.size;
  u16 index = chain.head;
  bool in_indirect = false;
  for (unsigned steps = 0; steps < kMaxSegments; ++steps) {
    if (index >= table_size) return false;
    const Descriptor descriptor = read_descriptor(dma, table, index);
    if (descriptor.flags & kIndirect) {
      // Neither nested nor followed by more [virtio 2.6.5.3.1].
      if (in_indirect || (descriptor.flags & kNext) || descriptor.length % kDescriptorBytes != 0)
        return false;
      table = descriptor.address;
      table_size = std::min<u32>(descriptor.length / kDescriptorBytes, 0x10000);
      index = 0;
      in_indirect = true;
      continue;
    }
    if (descriptor.flags & kWrite) {
      chain.writable.push_back({descriptor.address, descriptor.length});
      chain.writable_bytes += descriptor.length;
    } else {
      if (!chain.writable.empty()) return false;  // readable ones come first [virtio 2.6.4.2]
      chain.readable.push_back({descriptor.address, descriptor.length});
      chain.readable_bytes += descriptor.length;
    }
    if (chain.readable_bytes + chain.writable_bytes > kMaxChainBytes) return false;
    if (!(descriptor.flags & kNext)) return true;
    index = descriptor.next;
  }
  return false;  // too long, or a loop
}

bool Virtqueue::pop(memory::DmaPort& dma, bool event_index, VirtioChain& chain) {
  State& s = state_;
  if (!s.enabled || s.broken) return false;
  const u16 available = dma.load<u16>(s.driver + 2);
  const auto waiting = static_cast<u16>(available - s.last_available);
  if (waiting > s.size) {
    s.broken = true;
    return false;
  }
  if (event_index)
    dma.store<u16>(s.device + 4 + 8u * s.size, static_cast<u16>(s.last_available + (waiting ? 1 : 0)));
  if (waiting == 0) return false;
  chain = VirtioChain{};
  chain.head = dma.load<u16>(s.driver + 4 + 2u * (s.last_available % s.size));
  ++s.last_available;
  if (!walk(dma, chain)) {
    s.broken = true;
    return false;
  }
  return true;
}

void Virtqueue::push(memory::DmaPort& dma, u16 head, u32 written) {
  State& s = state_;
  if (!s.enabled || s.broken) return;
  const u64 element = s.device + 4 + 8u * (s.used_index % s.size);
  dma.store<u32>(element, head);
  dma.store<u32>(element + 4, written);
  ++s.used_index;
  dma.store<u16>(s.device + 2, s.used_index);
}

bool Virtqueue::should_interrupt(memory::DmaPort& dma, bool event_index) {
  State& s = state_;
  if (!s.enabled || s.broken) return false;
  if (!event_index) return !(dma.load<u16>(s.driver) & kNoInterrupt);
  const u16 event = dma.load<u16>(s.driver + 4 + 2u * s.size);
  const u16 before = s.signalled_used;
  const bool wanted = !s.signalled_valid ||
                      static_cast<u16>(s.used_index - event - 1) < static_cast<u16>(s.used_index - before);
  s.signalled_used = s.used_index;
  s.signalled_valid = true;
  return wanted;
}

void Virtqueue::visit_state(StateVisitor& v, std::string_view name) {
  State& s = state_;
  v.begin(name, 1);
  v.field("size", s.size);
  v.field("enabled", s.enabled);
  v.field("broken", s.broken);
  v.field("msix_vector", s.msix_vector);
  v.field("descriptors", s.descriptors);
  v.field("driver", s.driver);
  v.field("device", s.device);
  v.field("last_available", s.last_available);
  v.field("used_index", s.used_index);
  v.field("signalled_used", s.signalled_used);
  v.field("signalled_valid", s.signalled_valid);
  const bool holds = s.size != 0 && s.size <= kMaxSize && std::has_single_bit(s.size);
  v.require(holds, "queue size is a power of two up to 256");
  if (v.loading() && !holds) s = State{};
  v.end();
}

}  // namespace orrery::devices
