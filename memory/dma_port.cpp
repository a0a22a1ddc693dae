#include "memory/dma_port.h"

#include <algorithm>
#include <cstring>

namespace orrery::memory {
namespace {

/// Calls `each(range, address, done, bytes)` for the pieces of [address, address + size) that lie in one
/// range.
template <class Each>
void for_pieces(const AddressSpace& space, u64 address, u64 size_bytes, Each each) {
  for (u64 done = 0; done < size_bytes;) {
    const FlatRange& range = space.find(address + done);
    const u64 left = size_bytes - done;
    const u64 bytes = range.end == 0 ? left : std::min<u64>(left, range.end - (address + done));
    each(range, address + done, done, bytes);
    done += bytes;
  }
}

}  // namespace

bool DmaPort::is_ram(u64 address, u64 size_bytes) const {
  bool all = true;
  for_pieces(space_, address, size_bytes,
             [&](const FlatRange& range, u64, u64, u64) { all &= range.kind == FlatRange::Kind::kRam; });
  return all;
}

bool DmaPort::read(u64 address, std::span<u8> out) const {
  bool all = true;
  for_pieces(space_, address, out.size(), [&](const FlatRange& range, u64 at, u64 done, u64 bytes) {
    if (range.host != nullptr) {
      std::memcpy(out.data() + done, range.host + (at - range.start), bytes);
    } else {
      std::memset(out.data() + done, 0xff, bytes);
      all = false;
    }
  });
  return all;
}

bool DmaPort::write(u64 address, std::span<const u8> data) {
  bool all = true;
  for_pieces(space_, address, data.size(), [&](const FlatRange& range, u64 at, u64 done, u64 bytes) {
    if (range.kind != FlatRange::Kind::kRam) {
      all = false;
      return;
    }
    u8* host = range.host + (at - range.start);
    range.ram->note_write(static_cast<u64>(host - range.ram->data()), bytes);
    std::memcpy(host, data.data() + done, bytes);
  });
  return all;
}

}  // namespace orrery::memory
