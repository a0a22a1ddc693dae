// Far pointers in memory: the operands of LDS, LES, LFS, LGS and LSS, and of far JMP and CALL. [SDM1 4.3.1]
#pragma once

#include <algorithm>

#include "cpu/vcpu.h"

namespace orrery::cpu::exec {

struct FarPointer {
  u64 offset = 0;
  u16 selector = 0;
};

/// The offset, and behind it the selector: two accesses, whose offsets wrap at the address size. AMD's
/// processors have no m16:64, whatever REX.W says [APM3 JMP (Far), LGS].
inline bool read_far_pointer(Vcpu& cpu, const Insn& insn, FarPointer& out) {
  const auto read_offset = [&]<class T>(T offset) {
    const u64 first = cpu.effective_address(insn);
    if (!cpu.read(insn.segment(), first, offset)) return false;
    out.offset = offset;
    return cpu.read(insn.segment(), (first + sizeof(T)) & insn.address_mask(), out.selector);
  };
  switch (std::min(insn.operand_bytes(), cpu.model().amd ? 4u : 8u)) {
    case 2:
      return read_offset(u16{});
    case 4:
      return read_offset(u32{});
    default:
      return read_offset(u64{});
  }
}

}  // namespace orrery::cpu::exec
