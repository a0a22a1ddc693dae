// Which instructions run natively. Whatever is not known to be safe runs its handler.
#include <cctype>
#include <string>

#include "cpu/isa/table.h"
#include "jit/x64/block_emitter.h"

namespace orrery::jit::x64 {
namespace {

using cpu::isa::Row;
namespace trait = cpu::isa::trait;

bool is_branch(ZydisMnemonic m, const GuestInsn& g) {
  switch (m) {
    case ZYDIS_MNEMONIC_JMP:
    case ZYDIS_MNEMONIC_CALL:
    case ZYDIS_MNEMONIC_RET:
      // Near, with operands of the mode's width.
      return g.z.meta.branch_type != ZYDIS_BRANCH_TYPE_FAR && g.insn.operand_bytes() == word_bytes(g);
    case ZYDIS_MNEMONIC_JRCXZ:
    case ZYDIS_MNEMONIC_JECXZ:
    case ZYDIS_MNEMONIC_LOOP:
      return g.z.address_width == 8 * word_bytes(g) && g.insn.operand_bytes() == word_bytes(g);
    case ZYDIS_MNEMONIC_JO:
    case ZYDIS_MNEMONIC_JNO:
    case ZYDIS_MNEMONIC_JB:
    case ZYDIS_MNEMONIC_JNB:
    case ZYDIS_MNEMONIC_JZ:
    case ZYDIS_MNEMONIC_JNZ:
    case ZYDIS_MNEMONIC_JBE:
    case ZYDIS_MNEMONIC_JNBE:
    case ZYDIS_MNEMONIC_JS:
    case ZYDIS_MNEMONIC_JNS:
    case ZYDIS_MNEMONIC_JP:
    case ZYDIS_MNEMONIC_JNP:
    case ZYDIS_MNEMONIC_JL:
    case ZYDIS_MNEMONIC_JNL:
    case ZYDIS_MNEMONIC_JLE:
    case ZYDIS_MNEMONIC_JNLE:
      return g.insn.operand_bytes() == word_bytes(g);
    default:
      return false;
  }
}

bool is_stack(ZydisMnemonic m, const GuestInsn& g) {
  if (g.insn.operand_bytes() != word_bytes(g)) return false;
  const cpu::OperandView& o = g.operands[0];
  const ZydisRegisterClass general = word_bytes(g) == 8 ? ZYDIS_REGCLASS_GPR64 : ZYDIS_REGCLASS_GPR32;
  switch (m) {
    case ZYDIS_MNEMONIC_PUSH:
      return o.type == ZYDIS_OPERAND_TYPE_IMMEDIATE ||
             (o.type == ZYDIS_OPERAND_TYPE_MEMORY && o.mem.type == ZYDIS_MEMOP_TYPE_MEM) ||
             (o.type == ZYDIS_OPERAND_TYPE_REGISTER && register_class(o.reg.value) == general);
    case ZYDIS_MNEMONIC_POP:
      return o.type == ZYDIS_OPERAND_TYPE_REGISTER && register_class(o.reg.value) == general;
    case ZYDIS_MNEMONIC_LEAVE:
      return true;
    default:
      return false;
  }
}

bool reads_selector(const GuestInsn& g) {
  return g.operands[0].type == ZYDIS_OPERAND_TYPE_REGISTER &&
         g.operands[1].type == ZYDIS_OPERAND_TYPE_REGISTER &&
         register_class(g.operands[1].reg.value) == ZYDIS_REGCLASS_SEGMENT;
}

bool reads_control(const GuestInsn& g) {
  return g.operands[1].type == ZYDIS_OPERAND_TYPE_REGISTER &&
         control_register_at(g.operands[1].reg.value).has_value();
}

/// At CPL 0 nothing but the stack can stop these.
bool is_system(ZydisMnemonic m, u32 key, const GuestInsn& g) {
  const bool user = ((key >> block_key::kViewShift) & 3) == 0;
  switch (m) {
    case ZYDIS_MNEMONIC_CLI:
    case ZYDIS_MNEMONIC_STI:
    case ZYDIS_MNEMONIC_CLAC:
    case ZYDIS_MNEMONIC_STAC:
    case ZYDIS_MNEMONIC_SWAPGS:
      return !user;
    case ZYDIS_MNEMONIC_CLD:
    case ZYDIS_MNEMONIC_STD:
    case ZYDIS_MNEMONIC_RDPKRU:
    case ZYDIS_MNEMONIC_PUSHFQ:
    case ZYDIS_MNEMONIC_PUSHFD:
    case ZYDIS_MNEMONIC_RDTSC:
    case ZYDIS_MNEMONIC_RDTSCP:
      return true;
    case ZYDIS_MNEMONIC_MOV:
      return reads_selector(g) || (!user && reads_control(g));
    default:
      return false;
  }
}

bool is_nothing(ZydisMnemonic m, bool single_cpu) {
  switch (m) {
    case ZYDIS_MNEMONIC_PAUSE:
      return single_cpu;  // nobody else waits for the processor
    case ZYDIS_MNEMONIC_NOP:
    case ZYDIS_MNEMONIC_ENDBR64:
    case ZYDIS_MNEMONIC_ENDBR32:
    case ZYDIS_MNEMONIC_LFENCE:
    case ZYDIS_MNEMONIC_MFENCE:
    case ZYDIS_MNEMONIC_SFENCE:
    case ZYDIS_MNEMONIC_PREFETCH:
    case ZYDIS_MNEMONIC_PREFETCHW:
    case ZYDIS_MNEMONIC_PREFETCHNTA:
    case ZYDIS_MNEMONIC_PREFETCHT0:
    case ZYDIS_MNEMONIC_PREFETCHT1:
    case ZYDIS_MNEMONIC_PREFETCHT2:
      return true;
    default:
      return false;
  }
}

/// Accesses more, or other, memory than its operand says, or needs checks of its own.
bool is_irregular(ZydisMnemonic m, const GuestInsn& g) {
  switch (m) {
    case ZYDIS_MNEMONIC_XLAT:
    case ZYDIS_MNEMONIC_MASKMOVQ:
    case ZYDIS_MNEMONIC_MASKMOVDQU:
    case ZYDIS_MNEMONIC_VMASKMOVDQU:
    case ZYDIS_MNEMONIC_VMASKMOVPS:
    case ZYDIS_MNEMONIC_VMASKMOVPD:
    case ZYDIS_MNEMONIC_VPMASKMOVD:
    case ZYDIS_MNEMONIC_VPMASKMOVQ:
    case ZYDIS_MNEMONIC_RCPPS:
    case ZYDIS_MNEMONIC_RCPSS:
    case ZYDIS_MNEMONIC_RSQRTPS:
    case ZYDIS_MNEMONIC_RSQRTSS:
    case ZYDIS_MNEMONIC_VRCPPS:
    case ZYDIS_MNEMONIC_VRCPSS:
    case ZYDIS_MNEMONIC_VRSQRTPS:
    case ZYDIS_MNEMONIC_VRSQRTSS:
      return true;
    case ZYDIS_MNEMONIC_PCMPESTRI:
    case ZYDIS_MNEMONIC_PCMPESTRM:
    case ZYDIS_MNEMONIC_VPCMPESTRI:
    case ZYDIS_MNEMONIC_VPCMPESTRM:
      // The assembler has no form with 64-bit lengths.
      return g.insn.has(cpu::insn_flag::kRexW);
    default:
      return false;
  }
}

/// Registers that are renamed to their numbers, memory of a plain shape, and AH to BH where the host's
/// encoding needs no REX, or only for the memory operand: then they stand in as low bytes, but for CMPXCHG,
/// whose AL is not to be moved.
bool operands_can_be_renamed(const GuestInsn& g) {
  bool high = false, needs_rex = g.insn.operand_bytes() == 8;
  for (unsigned i = 0; i < g.z.operand_count; ++i) {
    const cpu::OperandView& o = g.operands[i];
    const bool hidden = o.visibility == ZYDIS_OPERAND_VISIBILITY_HIDDEN;
    if (o.type == ZYDIS_OPERAND_TYPE_MEMORY) {
      if (hidden || o.mem.type == ZYDIS_MEMOP_TYPE_VSIB || o.mem.type == ZYDIS_MEMOP_TYPE_MIB) return false;
      needs_rex = needs_rex || g.z.mnemonic == ZYDIS_MNEMONIC_CMPXCHG;  // its address is in kAddress
      continue;
    }
    if (o.type == ZYDIS_OPERAND_TYPE_POINTER) return false;
    if (o.type != ZYDIS_OPERAND_TYPE_REGISTER) continue;
    const ZydisRegister reg = o.reg.value;
    switch (register_class(reg)) {
      case ZYDIS_REGCLASS_GPR8:
        if (is_high_byte(reg)) {
          high = true;
          break;
        }
        [[fallthrough]];
      case ZYDIS_REGCLASS_GPR16:
      case ZYDIS_REGCLASS_GPR32:
      case ZYDIS_REGCLASS_GPR64: {
        const u8 guest = guest_number(reg);
        const u8 host = kHostOf[guest];
        if (hidden && host != guest) return false;
        if (host >= 8 || (register_class(reg) == ZYDIS_REGCLASS_GPR8 && guest >= 4)) needs_rex = true;
        break;
      }
      case ZYDIS_REGCLASS_MMX:
      case ZYDIS_REGCLASS_XMM:
      case ZYDIS_REGCLASS_YMM:
      case ZYDIS_REGCLASS_FLAGS:
        break;
      default:
        // MXCSR is a hidden operand of SSE; everything else is not ours to rename.
        if (reg == ZYDIS_REGISTER_MXCSR && hidden) break;
        return false;
    }
  }
  return !(high && needs_rex);
}

/// Whether 64-bit mode has an encoding for what `g`'s opcode does (for INC and DEC another one). [SDM2 A.3]
bool exists_in_long_mode(const GuestInsn& g) {
  if (g.z.encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY || g.z.opcode_map != ZYDIS_OPCODE_MAP_DEFAULT)
    return true;
  switch (g.z.opcode) {
    case 0x06:
    case 0x07:
    case 0x0e:
    case 0x16:
    case 0x17:
    case 0x1e:
    case 0x1f:
    case 0x27:
    case 0x2f:
    case 0x37:
    case 0x3f:
    case 0x60:
    case 0x61:
    case 0x62:
    case 0x63:  // ARPL
    case 0x82:
    case 0x9a:
    case 0xc4:
    case 0xc5:
    case 0xce:
    case 0xd4:
    case 0xd5:
    case 0xd6:
    case 0xea:
      return false;
    default:
      return true;
  }
}

/// Whether 32-bit code like `g` can be translated: it exists for the host, and its addresses are 32 bits wide
/// and lie in segments that the block's key lets through.
bool narrow_is_native(u32 key, const GuestInsn& g) {
  if (!exists_in_long_mode(g) || g.z.address_width != 32) return false;
  // These know of eight registers there.
  if (g.z.mnemonic == ZYDIS_MNEMONIC_VZEROALL || g.z.mnemonic == ZYDIS_MNEMONIC_VZEROUPPER) return false;
  for (unsigned i = 0; i < g.z.operand_count; ++i) {
    const cpu::OperandView& o = g.operands[i];
    if (o.type != ZYDIS_OPERAND_TYPE_MEMORY || o.visibility == ZYDIS_OPERAND_VISIBILITY_HIDDEN) continue;
    if (o.mem.segment == ZYDIS_REGISTER_CS) return false;
    if (o.mem.segment != ZYDIS_REGISTER_FS && o.mem.segment != ZYDIS_REGISTER_GS) continue;
    const bool fs = o.mem.segment == ZYDIS_REGISTER_FS;
    if ((key & (fs ? block_key::kOpenFs : block_key::kOpenGs)) == 0) return false;
    // Elsewhere than in whole pages, what reaches over the segment's end must be seen from here.
    if ((key & (fs ? block_key::kPagedFs : block_key::kPagedGs)) != 0) continue;
    const u64 last = u64{static_cast<u32>(o.mem.disp.value)} + o.size / 8u - 1;
    if (o.mem.base != ZYDIS_REGISTER_NONE || o.mem.index != ZYDIS_REGISTER_NONE || is_bit_string(g) ||
        last > 0xffffffff)
      return false;
  }
  return true;
}

/// Of several NaNs one comes out: which, is the processor's.
bool picks_nan(ZydisMnemonic m) {
  return m == ZYDIS_MNEMONIC_DPPS || m == ZYDIS_MNEMONIC_DPPD || m == ZYDIS_MNEMONIC_VDPPS ||
         m == ZYDIS_MNEMONIC_VDPPD;
}

bool is_bit_scan(const GuestInsn& g) {
  return g.z.mnemonic == ZYDIS_MNEMONIC_BSF || g.z.mnemonic == ZYDIS_MNEMONIC_BSR;
}

/// Whether what `g` leaves undefined is the profile's on the host, or can be made good.
bool host_knows(const HostProfile& host, const Row& row, const GuestInsn& g) {
  if (is_bit_scan(g)) return host.scans_are_exact || host.scans_differ_in_flags;
  switch (host.kind) {
    case HostProfile::Kind::kSame:
      return true;
    case HostProfile::Kind::kUnknown:
      return row.flags_undefined == 0 && (row.traits & trait::kUndefinedResult) == 0 &&
             !picks_nan(g.z.mnemonic);
    case HostProfile::Kind::kIntel:
      break;
  }
  switch (g.z.mnemonic) {
    case ZYDIS_MNEMONIC_SHLD:
    case ZYDIS_MNEMONIC_SHRD:
      return g.operands[0].size != 16;
    case ZYDIS_MNEMONIC_LAHF:
      return false;  // AF may be wrong (af_is_set_)
    default:
      return !picks_nan(g.z.mnemonic);
  }
}

}  // namespace

u64 flags_left_to_handler(const HostProfile& host, const GuestInsn& g) {
  using namespace cpu::rflags;
  if (is_bit_scan(g) && g.plan == Plan::kRewrite) return host.scans_are_exact ? 0 : kArithmetic & ~u64{ZF};
  if (host.kind != HostProfile::Kind::kIntel || g.plan != Plan::kRewrite) return 0;
  switch (g.z.mnemonic) {
    case ZYDIS_MNEMONIC_SHLD:
    case ZYDIS_MNEMONIC_SHRD:
      return AF | OF;
    case ZYDIS_MNEMONIC_SHL:
    case ZYDIS_MNEMONIC_SHR:
    case ZYDIS_MNEMONIC_SAR: {
      // By CL: what is shifted is copied, and the count is looked at afterwards.
      const cpu::OperandView& to = g.operands[0];
      if (g.operands[1].type != ZYDIS_OPERAND_TYPE_REGISTER || to.type != ZYDIS_OPERAND_TYPE_REGISTER)
        return 0;
      return is_high_byte(to.reg.value) || guest_number(to.reg.value) == cpu::kRcx ? AF | OF : 0;
    }
    case ZYDIS_MNEMONIC_ROL:
    case ZYDIS_MNEMONIC_ROR:
    case ZYDIS_MNEMONIC_RCL:
    case ZYDIS_MNEMONIC_RCR:
      return g.operands[1].type == ZYDIS_OPERAND_TYPE_IMMEDIATE || has_last_step(g) ? 0 : OF;
    default:
      return 0;
  }
}

Plan make_plan(const EmitterContext& context, u32 key, const GuestInsn& g) {
  if (g.followed) return Plan::kNothing;
  if (!g.valid || (word_bytes(g) == 4 && !narrow_is_native(key, g))) return Plan::kHandler;
  const ZydisMnemonic m = g.z.mnemonic;
  const Row& row = cpu::isa::rows()[g.insn.row];
  if (is_branch(m, g)) return Plan::kBranch;
  if (is_stack(m, g)) return Plan::kStack;
  if (is_nothing(m, context.single_cpu)) return Plan::kNothing;
  if (is_system(m, key, g)) return Plan::kSystem;
  if (string_is_native(g)) return Plan::kString;
  if (is_bit_string(g))
    return context.host_profile.is_known() && g.z.address_width == 8 * word_bytes(g) ? Plan::kBitString
                                                                                     : Plan::kHandler;
  if (x87_is_native(context, key, g)) return m == ZYDIS_MNEMONIC_FWAIT ? Plan::kNothing : Plan::kX87;
  const bool mmx = uses_mmx(g) || m == ZYDIS_MNEMONIC_EMMS;
  const bool vector = uses_vectors(g) || (!mmx && (row.traits & (trait::kSse | trait::kAvx)) != 0);
  const bool sse_form = (m == ZYDIS_MNEMONIC_MOVSD || m == ZYDIS_MNEMONIC_CMPSD) && vector;
  if (mmx && !mmx_is_native(context, key, g)) return Plan::kHandler;
  if (row.translate != cpu::isa::Translate::kRewrite && !sse_form && !mmx) return Plan::kHandler;
  if ((row.traits & (trait::kX87 | trait::kPrivileged)) != 0) return Plan::kHandler;
  if ((row.traits & trait::kEndsTrace) != 0 || is_irregular(m, g)) return Plan::kHandler;
  if (vector && (key & block_key::kNativeSimd) == 0) return Plan::kHandler;

  if (((context.host_features >> static_cast<unsigned>(row.feature)) & 1) == 0) return Plan::kHandler;
  if (!host_knows(context.host_profile, row, g)) return Plan::kHandler;
  if (!operands_can_be_renamed(g) || host_instruction(m) == 0) return Plan::kHandler;
  if (m != ZYDIS_MNEMONIC_DIV && m != ZYDIS_MNEMONIC_IDIV) return Plan::kRewrite;
  return g.operands[0].size >= 32 ? Plan::kDivide : Plan::kHandler;
}

const cpu::OperandView* memory_operand(const GuestInsn& g) {
  if (g.z.mnemonic == ZYDIS_MNEMONIC_LEA) return nullptr;
  for (unsigned i = 0; i < g.z.operand_count; ++i) {
    if (g.operands[i].type == ZYDIS_OPERAND_TYPE_MEMORY) return &g.operands[i];
  }
  return nullptr;
}

u32 host_instruction(ZydisMnemonic mnemonic) {
  static const std::vector<u32> table = [] {
    std::vector<u32> ids(ZYDIS_MNEMONIC_MAX_VALUE + 1);
    for (unsigned m = 1; m <= ZYDIS_MNEMONIC_MAX_VALUE; ++m) {
      const std::string_view name = ZydisMnemonicGetString(static_cast<ZydisMnemonic>(m));
      ids[m] = asmjit::InstAPI::stringToInstId(asmjit::Arch::kX64, name.data(), name.size());
    }
    return ids;
  }();
  return table[mnemonic];
}

}  // namespace orrery::jit::x64
