// virtio console with one port: hvc0 in Linux.
//
// Documents: [virtio 1.1 5.3].
// Not modelled: several ports and the control queues, window size, emergency write.
#pragma once

#include "devices/backend/character.h"
#include "devices/virtio/virtio_function.h"

namespace orrery::devices {

class VirtioConsole final : public VirtioFunction {
 public:
  VirtioConsole(PciWiring wiring, memory::DmaPort& dma, CharacterBackend& output)
      : VirtioFunction({.name = "console", .device_id = 3, .class_code = 0x078000, .queues = 2}, wiring, dma),
        output_(output) {}

  /// Bytes arrive: what the InputPort channel's receiver calls. What exceeds the backlog is dropped.
  void receive(std::span<const u8> bytes);

 private:
  static constexpr u16 kReceiveQueue = 0, kTransmitQueue = 1;
  static constexpr u64 kMaxBacklogBytes = 256 << 10;
  u8 read_device_config(u64) override { return 0; }
  void queue_notified(u16 queue) override;
  void reset_device() override { backlog_.clear(); }
  void visit_device(StateVisitor& v) override { v.vector("backlog", backlog_, kMaxBacklogBytes); }
  void fill_receive_queue();

  CharacterBackend& output_;
  std::vector<u8> backlog_;
};

}  // namespace orrery::devices
