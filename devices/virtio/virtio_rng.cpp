#include "devices/virtio/virtio_rng.h"

#include "base/bits.h"

namespace orrery::devices {

void VirtioRng::queue_notified(u16 queue) {
  VirtioChain chain;
  while (pop(queue, chain)) {
    std::vector<u8> bytes(std::min(chain.writable_bytes, kMaxBytes));
    for (size_t i = 0; i < bytes.size(); i += 8) {
      store_le_n(&bytes[i], entropy_.next(), static_cast<unsigned>(std::min<size_t>(8, bytes.size() - i)));
    }
    write_chain(dma(), chain.writable, 0, bytes);
    push(queue, chain.head, static_cast<u32>(bytes.size()));
  }
}

}  // namespace orrery::devices
