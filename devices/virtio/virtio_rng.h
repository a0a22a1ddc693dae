// virtio entropy device: bytes from the machine's one generator, so a run can be repeated.
//
// Documents: [virtio 1.1 5.4]. Not modelled: nothing is left out.
#pragma once

#include "base/entropy.h"
#include "devices/virtio/virtio_function.h"

namespace orrery::devices {

class VirtioRng final : public VirtioFunction {
 public:
  VirtioRng(PciWiring wiring, memory::DmaPort& dma, Entropy& entropy)
      : VirtioFunction({.name = "rng", .device_id = 4, .class_code = 0x00ff00, .queues = 1}, wiring, dma),
        entropy_(entropy) {}

 private:
  /// A long buffer is filled in part, which the driver must take [virtio 5.4.6.1].
  static constexpr u64 kMaxBytes = 4096;
  u8 read_device_config(u64) override { return 0; }
  void queue_notified(u16 queue) override;
  void reset_device() override {}
  void visit_device(StateVisitor&) override {}  // Entropy is the machine's state

  Entropy& entropy_;
};

}  // namespace orrery::devices
