// Block scan: the run of guest instructions that a block translates, one behind the other but for jumps that
// are followed, decoded in full.
#pragma once

#include <Zydis/Zydis.h>

#include <vector>

#include "cpu/decode/decoder.h"
#include "cpu/decode/insn_view.h"
#include "jit/register_names.h"
#include "jit/translator_config.h"

namespace orrery::jit {

/// How an instruction is translated.
enum class Plan : u8 {
  kHandler,  // its handler runs
  kRewrite,  // as itself, with registers renamed and its memory operand replaced
  kNothing,  // no effect but the tick
  kDivide,   // rewritten behind a check that it cannot raise #DE
  kBranch,
  kStack,
  kSystem,
  kX87,        // as itself, on the host's x87 stack
  kBitString,  // BT and its like with an offset in a register, into memory
  kString,     // by the host's own, where it stays in its pages and in the budget
};

/// One guest instruction as the translator sees it.
struct GuestInsn {
  GuestInsn() {}  // NOLINT: leaves what is decoded into as it is
  cpu::Insn insn;
  cpu::InsnView z;
  cpu::OperandView operands[cpu::kMaxOperands];
  u16 offset = 0;         // of its first byte in the block
  bool valid = true;      // false: its handler raises a fault (#UD, #NM, #GP), whatever its bytes say
  bool followed = false;  // a jump forward within its page, behind which the block goes on at its target
  Plan plan = Plan::kHandler;
  u8 live_constant = 0;  // bytes of its constant that it reads from the guest's memory when it runs; 0: none
  u64 flags_live_after = 0;
};

/// The bytes of a pointer, a stack slot and a near branch target where nothing overrides them.
inline unsigned word_bytes(const GuestInsn& g) {
  return g.z.machine_mode == ZYDIS_MACHINE_MODE_LONG_64 ? 8 : 4;
}

/// Whether `g` has a vector register among its operands, or MXCSR. MOVSD and CMPSD name string instructions,
/// too, and MMX has rows with SSE, so their row does not tell.
inline bool uses_vectors(const GuestInsn& g) {
  switch (g.z.mnemonic) {
    case ZYDIS_MNEMONIC_CVTPS2PI:
    case ZYDIS_MNEMONIC_CVTTPS2PI:
    case ZYDIS_MNEMONIC_CVTPD2PI:
    case ZYDIS_MNEMONIC_CVTTPD2PI:
      return true;
    default:
      break;
  }
  for (unsigned i = 0; i < g.z.operand_count; ++i) {
    if (g.operands[i].type != ZYDIS_OPERAND_TYPE_REGISTER) continue;
    const ZydisRegisterClass kind = register_class(g.operands[i].reg.value);
    if (kind == ZYDIS_REGCLASS_XMM || kind == ZYDIS_REGCLASS_YMM) return true;
  }
  return false;
}

/// Whether `g` has an MMX register among its operands; its row may be one that XMM registers share.
inline bool uses_mmx(const GuestInsn& g) {
  for (unsigned i = 0; i < g.z.operand_count; ++i) {
    if (g.operands[i].type == ZYDIS_OPERAND_TYPE_REGISTER &&
        register_class(g.operands[i].reg.value) == ZYDIS_REGCLASS_MMX) {
      return true;
    }
  }
  return false;
}

/// Whether `g`, translated, needs the guest's x87 state in the host.
inline bool needs_x87(const GuestInsn& g) {
  return g.plan == Plan::kX87 ||
         (g.plan == Plan::kRewrite && (uses_mmx(g) || g.z.mnemonic == ZYDIS_MNEMONIC_EMMS));
}

/// The number 0 to 15 of a general register of any size; AH to BH give their registers'.
inline u8 guest_number(ZydisRegister reg) {
  const u8 id = register_id(reg);
  // Byte registers are counted with AH to BH between BL and SPL.
  return register_class(reg) == ZYDIS_REGCLASS_GPR8 && id >= 4 ? static_cast<u8>(id - 4) : id;
}

/// A general register of any size.
inline bool is_general_register(const cpu::OperandView& o) {
  if (o.type != ZYDIS_OPERAND_TYPE_REGISTER) return false;
  const ZydisRegisterClass kind = register_class(o.reg.value);
  return kind == ZYDIS_REGCLASS_GPR8 || kind == ZYDIS_REGCLASS_GPR16 || kind == ZYDIS_REGCLASS_GPR32 ||
         kind == ZYDIS_REGCLASS_GPR64;
}

/// Whether a base or index of a memory operand is a general register: not RIP, not none.
inline bool is_general_base(ZydisRegister reg) {
  return reg != ZYDIS_REGISTER_NONE && reg != ZYDIS_REGISTER_RIP && reg != ZYDIS_REGISTER_EIP;
}

/// Whether `g`, run natively, writes a general register, of at least 32 bits, first, from what it was
/// translated with.
inline bool writes_register(const GuestInsn& g) {
  return g.plan == Plan::kRewrite && g.live_constant == 0 && g.z.operand_count != 0 &&
         is_general_register(g.operands[0]) && g.operands[0].size >= 32;
}

/// Decodes from `host` to the first instruction that ends a trace, at most `host_end`, at most `max_insns`;
/// goes on behind jumps that lead a little forward. Empty if the first instruction is not whole.
class BlockScanner {
 public:
  explicit BlockScanner(const cpu::Decoder& decoder);
  void scan(const u8* host, const u8* host_end, u32 decode_key, unsigned max_insns,
            std::vector<GuestInsn>& out) const;
  /// One instruction from bytes that lie in two pages.
  void scan_one(std::span<const u8> bytes, u32 decode_key, std::vector<GuestInsn>& out) const;

 private:
  /// The same, but a jump may be followed by nothing.
  void scan_run(const u8* host, const u8* host_end, u32 decode_key, unsigned max_insns,
                std::vector<GuestInsn>& out) const;
  /// Decodes one instruction at the end of `out`; false if it is not whole.
  bool add(std::span<const u8> bytes, u16 offset, u32 decode_key, std::vector<GuestInsn>& out) const;
  const cpu::Decoder& decoder_;
};

}  // namespace orrery::jit
