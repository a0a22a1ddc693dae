// InsnView and OperandView: what Zydis says of an instruction, as far as the translator asks, by Zydis'
// names.
#pragma once

#include <Zydis/Zydis.h>

#include "base/types.h"

namespace orrery::cpu {

struct OperandView {
  struct Register {
    ZydisRegister value;
  };
  struct Memory {
    ZydisRegister segment, base, index;
    u8 type;  // ZydisMemoryOperandType
    u8 scale;
    struct {
      i64 value;
    } disp;
  };
  struct Immediate {
    bool is_signed;
    union {
      u64 u;
      i64 s;
    } value;
  };
  u8 type;        // ZydisOperandType
  u8 visibility;  // ZydisOperandVisibility
  u8 actions;     // ZydisOperandActions
  u16 size;       // bits
  union {
    Register reg;
    Memory mem;
    Immediate imm;
  };
};
static_assert(sizeof(OperandView) == 32);

struct InsnView {
  ZydisMnemonic mnemonic;
  u8 machine_mode;  // ZydisMachineMode
  u8 encoding;      // ZydisInstructionEncoding
  u8 opcode_map;    // ZydisOpcodeMap
  u8 opcode;
  u8 address_width;  // bits
  u8 operand_count, operand_count_visible;
  struct {
    u8 branch_type;  // ZydisBranchType
  } meta;
  struct {
    struct {
      u8 reg, rm;
    } modrm;
  } raw;
};

inline constexpr unsigned kMaxOperands = ZYDIS_MAX_OPERAND_COUNT;

}  // namespace orrery::cpu
