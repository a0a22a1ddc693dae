// CodeArena: the host code of all translations: one memfd mapped twice, writable and executable, so that no
// page is ever both.
#pragma once

#include <algorithm>
#include <memory>

#include "base/bits.h"
#include "base/check.h"
#include "base/result.h"
#include "base/types.h"

namespace orrery::jit {

class CodeArena {
 public:
  /// As much as a host fetches at once: pieces at multiples of 16 take longer (docs/performance.md).
  static constexpr u32 kPieceAlignment = 32;
  /// `size_bytes`: a multiple of 4096, below 2 GiB.
  static Result<std::unique_ptr<CodeArena>> create(u64 size_bytes);
  ~CodeArena();
  CodeArena(const CodeArena&) = delete;
  CodeArena& operator=(const CodeArena&) = delete;

  u32 size_bytes() const { return size_bytes_; }
  /// Offsets: where the next piece goes, and what it must not reach beyond.
  u32 used() const { return used_; }
  u32 end() const { return end_; }
  u32 free_bytes() const { return end_ - used_; }
  /// The next pieces go from `used` on, up to `end`: another part of the arena.
  void select(u32 used, u32 end) {
    CHECK(used <= end && end <= size_bytes_);
    used_ = used;
    end_ = end;
  }
  /// The same offset in the two views.
  u8* writable(u32 offset) const { return writable_ + offset; }
  const u8* executable(u32 offset) const { return executable_ + offset; }
  /// Takes `bytes` from the front of what is free.
  u32 take(u32 bytes) {
    CHECK(bytes <= free_bytes());
    const u32 at = used_;
    used_ = std::min(static_cast<u32>(align_up(used_ + bytes, kPieceAlignment)), end_);
    if (used_ > mapped_) map_ahead();
    return at;
  }

 private:
  CodeArena(u8* writable, const u8* executable, u32 size_bytes)
      : writable_(writable), executable_(executable), size_bytes_(size_bytes), end_(size_bytes) {}
  static constexpr u32 kMappedAtOnce = 256 << 10;
  /// Has the host map what comes next in both views, which costs a fraction of a fault for each page.
  void map_ahead();
  u8* writable_;
  const u8* executable_;
  u32 size_bytes_;
  u32 used_ = 0;
  u32 end_;
  u32 mapped_ = 0;  // up to here
};

}  // namespace orrery::jit
