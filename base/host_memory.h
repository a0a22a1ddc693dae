// HostMemory: memory of this process' own, in huge pages where the host has them (of a memfd it gives none by
// default), given back on destruction.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/types.h"

namespace orrery {

/// `size_bytes` of zeroed memory, aligned to 2 MiB, which the host gives when it is first touched; null if
/// the host refuses, with errno set.
u8* map_host_pages(u64 size_bytes);
/// Gives back what `map_host_pages` of the same size has returned.
void unmap_host_pages(u8* pages, u64 size_bytes);

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
  HostMemory(u8* data, u64 size_bytes) : data_(data), size_bytes_(size_bytes) {}
  u8* data_;
  u64 size_bytes_;
};

}  // namespace orrery
