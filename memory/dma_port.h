// DmaPort: the bounds-checked way in which a device reaches guest memory.
//
// Addresses come from the guest and may be anything: what lies outside RAM reads as all-ones and swallows
// writes, and device registers are never reached (no device can make another one act by DMA).
#pragma once

#include <span>

#include "base/bits.h"
#include "memory/address_space.h"

namespace orrery::memory {

class DmaPort {
 public:
  explicit DmaPort(AddressSpace& space) : space_(space) {}

  /// Whether all of the range is RAM.
  bool is_ram(u64 address, u64 size_bytes) const;
  /// False if any byte was not RAM or ROM; those bytes are all-ones.
  bool read(u64 address, std::span<u8> out) const;
  /// False if any byte was not RAM; those bytes are dropped.
  bool write(u64 address, std::span<const u8> data);

  template <class T>
  T load(u64 address) const {
    u8 bytes[sizeof(T)];
    read(address, bytes);
    return load_le<T>(bytes);
  }
  template <class T>
  void store(u64 address, T value) {
    u8 bytes[sizeof(T)];
    store_le(bytes, value);
    write(address, bytes);
  }

 private:
  AddressSpace& space_;
};

}  // namespace orrery::memory
