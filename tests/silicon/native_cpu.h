// The host CPU as a test oracle: runs one instruction natively and catches how it ends.
//
// The code page is all INT3, so every instruction ends in a signal whose frame holds the whole state.
// Not modelled: hosts but x86-64 Linux.
#pragma once

#include <span>

#include "cpu/isa/table.h"
#include "tests/silicon/context.h"

namespace orrery::silicon {

class NativeCpu {
 public:
  NativeCpu();
  ~NativeCpu();
  NativeCpu(const NativeCpu&) = delete;
  NativeCpu& operator=(const NativeCpu&) = delete;

  /// Runs `code` at kCodeStart from `context` with `memory` at kDataBase, and leaves both as the CPU did.
  Result run(std::span<const u8> code, const Context& context);
  u8* memory() { return writable_; }

  /// An AMD processor of family 17h or later: undefined flags are compared, too.
  static bool is_zen();
  /// Whether the host has all that the vector forms of `row` need; `wide`: those with YMM operands.
  static bool has_vectors_of(const cpu::isa::Row& row, bool wide);

 private:
  u8* code_ = nullptr;
  u8* writable_ = nullptr;  // an alias of the data pages that can always be written
  u8 used_ = 0;
};

}  // namespace orrery::silicon
