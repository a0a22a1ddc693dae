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

  /// The mode that cases run in from now on; 64-bit mode to begin with.
  void set_mode(Mode mode);
  /// Runs one instruction, `code`, at kCodeStart from `context` with `memory` at kDataBase, and leaves both
  /// as the CPU did.
  Result run(std::span<const u8> code, const Context& context);
  /// Runs whatever `code` is until it faults: at its end at an INT3, if nowhere else.
  Result run_to_fault(std::span<const u8> code, const Context& context);
  /// From now on code that runs for 20 ms of CPU time, or makes a system call, is stopped.
  void guard_host();
  u8* memory() { return writable_; }

  /// Whether the host's kernel gives this process its LDT: not every hypervisor lets it. Without, 32-bit
  /// mode's cases and far branches can't run.
  bool has_ldt() const;
  static constexpr const char* kNoLdt = "the host's kernel has no LDT for this process";
  /// An AMD processor of family 17h or later: undefined flags are compared, too.
  static bool is_zen();
  /// One of those before Zen 4: BSF and BSR change ZF alone, and FXRSTOR64 takes FIP and FDP as 48 bits.
  static bool is_before_zen4();
  /// Whether all that is undefined is as the profile has it.
  static bool has_profile() { return is_zen() && !is_before_zen4(); }
  /// The bits of MXCSR that the host has. [SDM1 11.6.6]
  static u32 mxcsr_mask();
  /// Whether the host has all that the vector forms of `row` need; `wide`: those with YMM operands.
  static bool has_vectors_of(const cpu::isa::Row& row, bool wide);

 private:
  u8* code_ = nullptr;      // an alias of the code page that can always be written
  u8* writable_ = nullptr;  // an alias of the data pages that can always be written
  size_t used_ = 0;
  Mode mode_ = Mode::k64;
};

}  // namespace orrery::silicon
