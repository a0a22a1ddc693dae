// CodeArena: the host code of all translations: one memfd mapped twice, writable and executable, so that no
// page is ever both.
#pragma once

#include <memory>

#include "base/result.h"
#include "base/types.h"

namespace orrery::jit {

class CodeArena {
 public:
  /// `size_bytes`: a multiple of 4096, below 2 GiB.
  static Result<std::unique_ptr<CodeArena>> create(u64 size_bytes);
  ~CodeArena();
  CodeArena(const CodeArena&) = delete;
  CodeArena& operator=(const CodeArena&) = delete;

  u32 size_bytes() const { return size_bytes_; }
  u32 used() const { return used_; }
  u32 free_bytes() const { return size_bytes_ - used_; }
  /// The same offset in the two views.
  u8* writable(u32 offset) const { return writable_ + offset; }
  const u8* executable(u32 offset) const { return executable_ + offset; }
  /// Takes `bytes` from the front of what is free.
  u32 take(u32 bytes) {
    const u32 at = used_;
    used_ = align16(used_ + bytes);
    return at;
  }
  /// Gives back everything from `offset` on.
  void truncate(u32 offset) { used_ = offset; }

 private:
  CodeArena(u8* writable, const u8* executable, u32 size_bytes)
      : writable_(writable), executable_(executable), size_bytes_(size_bytes) {}
  static u32 align16(u32 n) { return (n + 15) & ~15u; }
  u8* writable_;
  const u8* executable_;
  u32 size_bytes_;
  u32 used_ = 0;
};

}  // namespace orrery::jit
