// What every instruction family uses: operand access by form, and the handlers for unavailable instructions.
#pragma once

#include "base/bits.h"
#include "cpu/vcpu.h"

namespace orrery::cpu::exec {

Outcome raise_ud(Vcpu& cpu, const Insn& insn);
Outcome raise_nm(Vcpu& cpu, const Insn& insn);

/// CR4.UMIP: outside ring 0 the stores of system registers raise #GP(0). [SDM3 2.5]
inline bool umip_allows(Vcpu& cpu) {
  if ((cpu.state.cr4 & cr4::UMIP) == 0 || cpu.cpl() == 0) return true;
  cpu.raise(kGP, 0);
  return false;
}

/// CR4.TSD: RDTSC and RDTSCP are for ring 0. [SDM3 18.17]
inline bool time_stamp_allowed(const Vcpu& cpu) {
  return (cpu.state.cr4 & cr4::TSD) == 0 || cpu.cpl() == 0 || cpu.real_mode();
}

/// How a two-operand form gets at its operands: destination then source.
enum class Form : u8 { kRegReg, kRegMem, kMemReg, kRegImm, kMemImm, kReg, kMem, kOther };

inline Form form_of(const DecodedForm& f) {
  const bool reg0 = f.kind[0] != OperandKind::kMem && f.kind[0] != OperandKind::kImm;
  if (f.operand_count <= 1 || f.kind[1] == OperandKind::kNone) return reg0 ? Form::kReg : Form::kMem;
  const bool mem1 = f.kind[1] == OperandKind::kMem;
  const bool imm1 = f.kind[1] == OperandKind::kImm;
  if (f.kind[0] == OperandKind::kImm) return Form::kOther;
  if (reg0) return imm1 ? Form::kRegImm : mem1 ? Form::kRegMem : Form::kRegReg;
  return imm1 ? Form::kMemImm : mem1 ? Form::kOther : Form::kMemReg;
}

/// Reads operand `n` whichever it is: register, memory or immediate.
template <class T>
inline bool read_operand(Vcpu& cpu, const Insn& insn, unsigned n, T& out) {
  if (insn.op[n] < 0xfd) {
    out = cpu.reg<T>(insn.op[n]);
    return true;
  }
  if (insn.op[n] == kImmOperand) {
    out = static_cast<T>(insn.imm);
    return true;
  }
  return cpu.read<T>(insn, out);
}

/// Writes operand `n`, a register or memory.
template <class T>
inline bool write_operand(Vcpu& cpu, const Insn& insn, unsigned n, T value) {
  if (insn.op[n] < 0xfd) {
    cpu.set_reg<T>(insn.op[n], value);
    return true;
  }
  return cpu.write<T>(insn, value);
}

/// Picks `H<u8>`, `H<u16>`, `H<u32>` or `H<u64>` by operand 0's (or another's) size.
#define ORRERY_BY_SIZE(bits, H) \
  ((bits) == 8 ? &H<u8> : (bits) == 16 ? &H<u16> : (bits) == 32 ? &H<u32> : (bits) == 64 ? &H<u64> : nullptr)
#define ORRERY_BY_SIZE_NO8(bits, H) \
  ((bits) == 16 ? &H<u16> : (bits) == 32 ? &H<u32> : (bits) == 64 ? &H<u64> : nullptr)

}  // namespace orrery::cpu::exec
