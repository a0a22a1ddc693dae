// Where guest registers live in host registers while translated code runs.
//
//   guest  rax rcx rdx rbx rsp rbp rsi rdi r8 r12 r13   r9 r10 r11 r14 r15
//   host   rax rcx rdx rbx r12 rbp rsi rdi r8 r10 r9    in CpuState
//
// rax, rcx, rdx, rbx, rsi and rdi are their own, so that implicit operands and high bytes need no moves. Of
// the others compilers use r12 and r13 most: in cc1, python, perl and lua two to four times as often as r9
// and r10; short loops use r8. r15 points at CpuState; r11, r13 and r14 are temporaries; rsp is the host's
// stack. Vector registers are their own.
#pragma once

#include <asmjit/x86.h>

#include "base/types.h"

namespace orrery::jit::x64 {

using asmjit::x86::Gp;
using asmjit::x86::Mem;

inline constexpr u8 kNoHost = 0xff;
inline constexpr u8 kHostOf[16] = {0, 1,       2,       3,       12, 5, 6,       7,
                                   8, kNoHost, kNoHost, kNoHost, 10, 9, kNoHost, kNoHost};

inline constexpr u8 kAddressId = 11, kIndexId = 13, kScratchId = 14;
inline const Gp kState = asmjit::x86::r15;
inline const Gp kAddress = asmjit::x86::r11;  // a memory operand's host address, or its page's distance
inline const Gp kIndex = asmjit::x86::r13;    // where an entry is, or the operand's linear address
inline const Gp kScratch = asmjit::x86::r14;

/// Host register `id` as 1, 2, 4 or 8 bytes.
inline Gp gp(unsigned id, unsigned bytes) {
  switch (bytes) {
    case 1:
      return asmjit::x86::gpb_lo(id);
    case 2:
      return asmjit::x86::gpw(id);
    case 4:
      return asmjit::x86::gpd(id);
    default:
      return asmjit::x86::gpq(id);
  }
}

}  // namespace orrery::jit::x64
