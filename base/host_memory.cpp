#include "base/host_memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>

#include "base/bits.h"

namespace orrery {

namespace {

constexpr u64 kPageBytes = 4096, kHugePageBytes = u64{2} << 20;

}  // namespace

// What is aligned to huge pages can have them: more is mapped, and the ends are given back.
u8* map_host_pages(u64 size_bytes) {
  const u64 size = align_up(size_bytes, kPageBytes);
  void* const mapping = mmap(nullptr, size + kHugePageBytes, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapping == MAP_FAILED) return nullptr;
  const u64 head = -reinterpret_cast<u64>(mapping) % kHugePageBytes;
  u8* const pages = static_cast<u8*>(mapping) + head;
  if (head != 0) munmap(mapping, head);
  munmap(pages + size, kHugePageBytes - head);
  madvise(pages, size, MADV_HUGEPAGE);
  return pages;
}

void unmap_host_pages(u8* pages, u64 size_bytes) { munmap(pages, align_up(size_bytes, kPageBytes)); }

Result<HostMemory> HostMemory::create(const std::string& name, u64 size_bytes) {
  CHECK(size_bytes > 0 && size_bytes % kPageBytes == 0);
  u8* const data = map_host_pages(size_bytes);
  if (data == nullptr)
    return make_errno_error(fmt::format("mapping {} bytes of memory for '{}'", size_bytes, name));
  // A guest's secrets stay out of core dumps of this process.
  madvise(data, size_bytes, MADV_DONTDUMP);
  return HostMemory(data, size_bytes);
}

HostMemory::HostMemory(HostMemory&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_bytes_(other.size_bytes_) {}

HostMemory::~HostMemory() {
  if (data_ != nullptr) unmap_host_pages(data_, size_bytes_);
}

// From the kernel's page table for this process; without it all counts as populated.
std::vector<std::pair<u64, u64>> HostMemory::populated_ranges() const {
  constexpr u64 kPresent = u64{1} << 63, kSwapped = u64{1} << 62;
  const int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
  if (pagemap < 0) return {{0, size_bytes_}};
  std::vector<std::pair<u64, u64>> ranges;
  std::vector<u64> entries(4096);
  for (u64 page = 0; page < size_bytes_ / kPageBytes; page += entries.size()) {
    const u64 count = std::min<u64>(entries.size(), size_bytes_ / kPageBytes - page);
    const u64 at = (reinterpret_cast<u64>(data_) / kPageBytes + page) * sizeof(u64);
    const auto wanted = static_cast<ssize_t>(count * sizeof(u64));
    const bool known =
        pread(pagemap, entries.data(), static_cast<size_t>(wanted), static_cast<off_t>(at)) == wanted;
    for (u64 i = 0; i < count; ++i) {
      if (known && (entries[i] & (kPresent | kSwapped)) == 0) continue;
      const u64 start = (page + i) * kPageBytes;
      if (!ranges.empty() && ranges.back().first + ranges.back().second == start) {
        ranges.back().second += kPageBytes;
      } else {
        ranges.emplace_back(start, kPageBytes);
      }
    }
  }
  close(pagemap);
  return ranges;
}

void HostMemory::discard(u64 offset, u64 size_bytes) { madvise(data_ + offset, size_bytes, MADV_DONTNEED); }

}  // namespace orrery
