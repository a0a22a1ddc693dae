#include "base/host_memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

namespace orrery {

Result<HostMemory> HostMemory::create(const std::string& name, u64 size_bytes) {
  CHECK(size_bytes > 0 && size_bytes % 4096 == 0);
  const int fd = memfd_create(name.c_str(), MFD_CLOEXEC);
  if (fd < 0) return make_errno_error(fmt::format("creating {} bytes of memory for '{}'", size_bytes, name));
  if (ftruncate(fd, static_cast<off_t>(size_bytes)) != 0) {
    auto error = make_errno_error(fmt::format("sizing the memory of '{}' to {} bytes", name, size_bytes));
    close(fd);
    return error;
  }
  void* data = mmap(nullptr, size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
  if (data == MAP_FAILED) {
    auto error = make_errno_error(fmt::format("mapping {} bytes of memory for '{}'", size_bytes, name));
    close(fd);
    return error;
  }
  // A guest's secrets stay out of core dumps of this process.
  madvise(data, size_bytes, MADV_DONTDUMP);
  return HostMemory(fd, static_cast<u8*>(data), size_bytes);
}

HostMemory::HostMemory(HostMemory&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      data_(std::exchange(other.data_, nullptr)),
      size_bytes_(other.size_bytes_) {}

HostMemory::~HostMemory() {
  if (data_ != nullptr) munmap(data_, size_bytes_);
  if (fd_ >= 0) close(fd_);
}

std::vector<std::pair<u64, u64>> HostMemory::populated_ranges() const {
  std::vector<std::pair<u64, u64>> ranges;
  off_t at = 0;
  while (true) {
    const off_t start = lseek(fd_, at, SEEK_DATA);
    if (start < 0) break;
    off_t end = lseek(fd_, start, SEEK_HOLE);
    if (end < 0) end = static_cast<off_t>(size_bytes_);
    ranges.emplace_back(static_cast<u64>(start), static_cast<u64>(end - start));
    at = end;
  }
  return ranges;
}

void HostMemory::discard(u64 offset, u64 size_bytes) {
  fallocate(fd_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset),
            static_cast<off_t>(size_bytes));
}

}  // namespace orrery
