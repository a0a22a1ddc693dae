// HostMemory: a memfd mapped shared into this process, given back on destruction.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/types.h"

namespace orrery {

class HostMemory {
 public:
  /// Reserves `size_bytes` (a multiple of 4096, over 0) of zeroed memory; pages are taken from the host when
  /// first touched. Fails with a message when the host refuses.
  static Result<HostMemory> create(const std::string& name, u64 size_bytes);
  HostMemory(HostMemory&& other) noexcept;
  HostMemory& operator=(HostMemory&&) = delete;
  ~HostMemory();

  u8* data() const { return data_; }
  u64 size_bytes() const { return size_bytes_; }
  /// The ranges {start, size} that the host has given pages to; everything else reads as zero.
  std::vector<std::pair<u64, u64>> populated_ranges() const;
  /// Gives the pages of a range back to the host; they read as zero after.
  void discard(u64 offset, u64 size_bytes);

 private:
  HostMemory(int fd, u8* data, u64 size_bytes) : fd_(fd), data_(data), size_bytes_(size_bytes) {}
  int fd_;
  u8* data_;
  u64 size_bytes_;
};

}  // namespace orrery
