// What the instruction table says of flags, as the host's own silicon has it.
#include "jit/analysis/flag_liveness.h"

#include "cpu/isa/table.h"

namespace orrery::jit {
namespace {

const cpu::isa::Row& row_of(const GuestInsn& g) { return cpu::isa::rows()[g.insn.row]; }

/// An undefined flag that silicon leaves alone keeps its old value; only the logic family is known to set AF.
bool defines_undefined_flags(const GuestInsn& g) {
  switch (g.z.mnemonic) {
    case ZYDIS_MNEMONIC_AND:
    case ZYDIS_MNEMONIC_OR:
    case ZYDIS_MNEMONIC_XOR:
    case ZYDIS_MNEMONIC_TEST:
      return true;
    default:
      return false;
  }
}

}  // namespace

u64 flags_defined(const GuestInsn& g) {
  const cpu::isa::Row& row = row_of(g);
  // A row that reads what it writes may leave it alone (shifts by zero).
  u64 defined = row.flags_written & ~row.flags_read;
  // ADC, SBB and the like read a flag and always replace it.
  switch (g.z.mnemonic) {
    case ZYDIS_MNEMONIC_ADC:
    case ZYDIS_MNEMONIC_SBB:
      defined = row.flags_written;
      break;
    case ZYDIS_MNEMONIC_SHL:
    case ZYDIS_MNEMONIC_SHR:
    case ZYDIS_MNEMONIC_SAR:
      // By an immediate other than zero, which sets AF.

      if (g.operands[1].type == ZYDIS_OPERAND_TYPE_IMMEDIATE &&
          (g.operands[1].imm.value.u & (g.insn.operand_bytes() == 8 ? 63 : 31)) != 0) {
        return cpu::rflags::kArithmetic;
      }
      break;
    default:
      break;
  }
  if (!defines_undefined_flags(g)) defined &= ~row.flags_undefined;
  return defined & cpu::rflags::kArithmetic;
}

u64 flags_read(const GuestInsn& g) {
  const cpu::isa::Row& row = row_of(g);
  switch (g.z.mnemonic) {
    case ZYDIS_MNEMONIC_SHL:
    case ZYDIS_MNEMONIC_SHR:
    case ZYDIS_MNEMONIC_SAR:
    case ZYDIS_MNEMONIC_SHLD:
    case ZYDIS_MNEMONIC_SHRD:
    case ZYDIS_MNEMONIC_ROL:
    case ZYDIS_MNEMONIC_ROR:
      return 0;  // what they may keep is not read
    default:
      return row.flags_read & cpu::rflags::kArithmetic;
  }
}

bool changes_flags(const GuestInsn& g) {
  const cpu::isa::Row& row = row_of(g);
  return ((row.flags_written | row.flags_undefined) & cpu::rflags::kArithmetic) != 0;
}

}  // namespace orrery::jit
