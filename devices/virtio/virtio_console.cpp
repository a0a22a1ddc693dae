#include "devices/virtio/virtio_console.h"

namespace orrery::devices {

void VirtioConsole::receive(std::span<const u8> bytes) {
  bytes = bytes.first(std::min<size_t>(bytes.size(), kMaxBacklogBytes - backlog_.size()));
  backlog_.insert(backlog_.end(), bytes.begin(), bytes.end());
  fill_receive_queue();
}

void VirtioConsole::fill_receive_queue() {
  VirtioChain chain;
  while (!backlog_.empty() && pop(kReceiveQueue, chain)) {
    const u64 bytes = std::min<u64>(backlog_.size(), chain.writable_bytes);
    write_chain(dma(), chain.writable, 0, std::span<const u8>(backlog_).first(bytes));
    backlog_.erase(backlog_.begin(), backlog_.begin() + static_cast<i64>(bytes));
    push(kReceiveQueue, chain.head, static_cast<u32>(bytes));
  }
}

void VirtioConsole::queue_notified(u16 queue) {
  if (queue == kReceiveQueue) return fill_receive_queue();
  VirtioChain chain;
  while (pop(kTransmitQueue, chain)) {
    std::vector<u8> bytes(chain.readable_bytes);
    read_chain(dma(), chain.readable, 0, bytes);
    output_.write(bytes);
    push(kTransmitQueue, chain.head, 0);
  }
}

}  // namespace orrery::devices
