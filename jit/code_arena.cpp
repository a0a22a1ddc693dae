// The two views of the translator's memfd.
#include "jit/code_arena.h"

#include <sys/mman.h>
#include <unistd.h>

#include "base/check.h"

namespace orrery::jit {

Result<std::unique_ptr<CodeArena>> CodeArena::create(u64 size_bytes) {
  CHECK(size_bytes % 4096 == 0 && size_bytes < u64{2} << 30);
  const int fd = memfd_create("orrery-code", MFD_CLOEXEC);
  if (fd < 0) return make_errno_error("creating memory for translated code");
  if (ftruncate(fd, static_cast<off_t>(size_bytes)) != 0) {
    auto error = make_errno_error("sizing the memory for translated code");
    close(fd);
    return error;
  }
  void* const writable = mmap(nullptr, size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  void* const executable = mmap(nullptr, size_bytes, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
  close(fd);
  if (writable == MAP_FAILED || executable == MAP_FAILED) {
    auto error = make_errno_error("mapping the memory for translated code");
    if (writable != MAP_FAILED) munmap(writable, size_bytes);
    if (executable != MAP_FAILED) munmap(executable, size_bytes);
    return error;
  }
  return std::unique_ptr<CodeArena>(new CodeArena(
      static_cast<u8*>(writable), static_cast<const u8*>(executable), static_cast<u32>(size_bytes)));
}

// Hosts before Linux 5.14 refuse, and map each page when it is touched.
void CodeArena::map_ahead() {
  const u32 begin = used_ / kMappedAtOnce * kMappedAtOnce;
  const u32 size = std::min(kMappedAtOnce, size_bytes_ - begin);
  madvise(writable_ + begin, size, MADV_POPULATE_WRITE);
  madvise(const_cast<u8*>(executable_) + begin, size, MADV_POPULATE_READ);
  mapped_ = begin + size;
}

CodeArena::~CodeArena() {
  munmap(writable_, size_bytes_);
  munmap(const_cast<u8*>(executable_), size_bytes_);
}

}  // namespace orrery::jit
