// Virtqueue: the device's side of a split virtqueue.
//
// Everything in guest memory is untrusted: indices, lengths, links and addresses are bounded, and what breaks
// the rules marks the queue broken until the device is reset. Modelled: direct and indirect chains,
// EVENT_IDX, notification suppression. Documents: [virtio 1.1 2.6]. Not modelled: packed rings, in-order
// completion, queue reset.
#pragma once

#include <vector>

#include "base/state_visitor.h"
#include "memory/dma_port.h"

namespace orrery::devices {

/// One buffer that the driver has made available.
struct VirtioChain {
  struct Segment {
    u64 address;
    u32 length;
  };
  u16 head = 0;
  std::vector<Segment> readable;  // by the device
  std::vector<Segment> writable;
  u64 readable_bytes = 0;
  u64 writable_bytes = 0;
};

class Virtqueue {
 public:
  static constexpr u16 kMaxSize = 256;
  /// Longest chain, indirect ones included, and most bytes in one: bounds for the host's memory.
  static constexpr unsigned kMaxSegments = 1024;
  static constexpr u64 kMaxChainBytes = 64 << 20;

  struct State {
    u16 size = kMaxSize;
    bool enabled = false;
    bool broken = false;
    u16 msix_vector = 0xffff;
    u64 descriptors = 0;
    u64 driver = 0;
    u64 device = 0;
    u16 last_available = 0;
    u16 used_index = 0;
    u16 signalled_used = 0;  // used_index when the driver was last interrupted
    bool signalled_valid = false;
  };
  State& state() { return state_; }
  const State& state() const { return state_; }
  void reset() { state_ = State{}; }

  /// The next chain; false if there is none or the queue is broken.
  bool pop(memory::DmaPort& dma, bool event_index, VirtioChain& chain);
  /// Gives the chain back with `written` bytes in its writable part.
  void push(memory::DmaPort& dma, u16 head, u32 written);
  /// Whether the driver wants an interrupt for what was pushed since the last one.
  bool should_interrupt(memory::DmaPort& dma, bool event_index);

  void visit_state(StateVisitor& v, std::string_view name);

 private:
  bool walk(memory::DmaPort& dma, VirtioChain& chain);
  State state_;
};

/// Copies bytes out of the readable part from `offset`; false if they are not all there.
bool read_chain(memory::DmaPort& dma, const std::vector<VirtioChain::Segment>& segments, u64 offset,
                std::span<u8> out);
/// Copies bytes into the writable part at `offset`; false if they do not all fit.
bool write_chain(memory::DmaPort& dma, const std::vector<VirtioChain::Segment>& segments, u64 offset,
                 std::span<const u8> data);

}  // namespace orrery::devices
