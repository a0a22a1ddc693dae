// x87 instructions as themselves, by their own bytes: the host's stack is the guest's. [SDM1 8], [SDM2]
//
// FIP, FOP, FCS, FDP and FDS are never the host's. What they ought to be is known while a block is
// translated, so they are stored where it may be left, not by every instruction.
//
// Not native, so that their handlers run: what other processors may do otherwise (transcendentals, aliases),
// BCD, environments and FNINIT; everything while an exception is not masked, or one is pending.
#include "cpu/isa/table.h"
#include "jit/analysis/flag_liveness.h"
#include "jit/x64/block_emitter.h"

namespace orrery::jit::x64 {

using namespace asmjit;
using namespace asmjit::x86;
namespace trait = cpu::isa::trait;

namespace {

bool has_feature(const EmitterContext& context, const cpu::isa::Row& row) {
  return ((context.host_features >> static_cast<unsigned>(row.feature)) & 1) != 0;
}

/// These leave the pointers alone. [SDM1 8.1.8]
bool is_control(ZydisMnemonic m) {
  switch (m) {
    case ZYDIS_MNEMONIC_FLDCW:
    case ZYDIS_MNEMONIC_FNSTCW:
    case ZYDIS_MNEMONIC_FNSTSW:
    case ZYDIS_MNEMONIC_FNCLEX:
      return true;
    default:
      return false;
  }
}

/// That changes nothing but RIP.
bool is_conditional_jump(const GuestInsn& g) {
  return g.plan == Plan::kBranch && g.z.mnemonic != ZYDIS_MNEMONIC_LOOP &&
         g.z.mnemonic != ZYDIS_MNEMONIC_JMP && g.z.mnemonic != ZYDIS_MNEMONIC_CALL &&
         g.z.mnemonic != ZYDIS_MNEMONIC_RET;
}

/// How often the address of `mem` counts register `guest`.
i32 times_in_address(const cpu::OperandView::Memory& mem, u8 guest) {
  const bool rip = mem.base == ZYDIS_REGISTER_RIP || mem.base == ZYDIS_REGISTER_EIP;
  const bool base = !rip && mem.base != ZYDIS_REGISTER_NONE && guest_number(mem.base) == guest;
  const bool index = mem.index != ZYDIS_REGISTER_NONE && guest_number(mem.index) == guest;
  return (base ? 1 : 0) + (index ? mem.scale : 0);
}

/// Whether `g` changes a register that the address of `mem` is made of.
bool changes_address(const GuestInsn& g, const cpu::OperandView::Memory& mem) {
  for (unsigned i = 0; i < g.z.operand_count; ++i) {
    const cpu::OperandView& o = g.operands[i];
    if (o.type != ZYDIS_OPERAND_TYPE_REGISTER || (o.actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) == 0) continue;
    switch (register_class(o.reg.value)) {
      case ZYDIS_REGCLASS_GPR8:
      case ZYDIS_REGCLASS_GPR16:
      case ZYDIS_REGCLASS_GPR32:
      case ZYDIS_REGCLASS_GPR64:
        if (times_in_address(mem, guest_number(o.reg.value)) != 0) return true;
        break;
      default:
        break;
    }
  }
  return false;
}

/// What `g` adds to its 64-bit destination and nothing else, if that is a small constant; else 0.
i32 small_step(const GuestInsn& g) {
  const cpu::OperandView& to = g.operands[0];
  if (g.plan != Plan::kRewrite || to.type != ZYDIS_OPERAND_TYPE_REGISTER || to.size != 64 ||
      g.operands[1].type != ZYDIS_OPERAND_TYPE_IMMEDIATE) {
    return 0;
  }
  const i64 by = g.operands[1].imm.value.s;
  if (by < -0x1000 || by > 0x1000) return 0;
  if (g.z.mnemonic == ZYDIS_MNEMONIC_ADD) return static_cast<i32>(by);
  return g.z.mnemonic == ZYDIS_MNEMONIC_SUB ? static_cast<i32>(-by) : 0;
}

}  // namespace

// Condition codes that manuals leave undefined must be those of our profile; Intel's are.
bool x87_is_native(const EmitterContext& context, u32 key, const GuestInsn& g) {
  const cpu::isa::Row& row = cpu::isa::rows()[g.insn.row];
  if ((key & block_key::kNativeX87) == 0 || !context.host_profile.is_known()) return false;
  if (g.z.mnemonic == ZYDIS_MNEMONIC_FWAIT) return true;
  if ((row.traits & trait::kX87) == 0 || (row.traits & trait::kUndefinedResult) != 0) return false;
  switch (g.z.mnemonic) {
    case ZYDIS_MNEMONIC_FNSTCW:
    case ZYDIS_MNEMONIC_FNSTSW:
    case ZYDIS_MNEMONIC_FNCLEX:
      return true;
    case ZYDIS_MNEMONIC_FLDENV:
    case ZYDIS_MNEMONIC_FRSTOR:
    case ZYDIS_MNEMONIC_FBLD:
    case ZYDIS_MNEMONIC_FBSTP:
    case ZYDIS_MNEMONIC_FSTPNCE:
      return false;
    default:
      return (row.traits & trait::kX87NoWait) == 0 && has_feature(context, row);
  }
}

bool mmx_is_native(const EmitterContext& context, u32 key, const GuestInsn& g) {
  if ((key & block_key::kNativeX87) == 0) return false;
  return g.z.mnemonic != ZYDIS_MNEMONIC_EMMS || context.host_profile.is_known();
}

void BlockEmitter::need_x87() {
  if (x87_loaded_) return;
  save_flags();
  call_load_x87();
  flags_ = Flags::kImage;
  x87_loaded_ = true;
}

void BlockEmitter::keep_x87_pointers(const GuestInsn& g) {
  switch (g.plan) {
    case Plan::kRewrite:
    case Plan::kNothing:
    case Plan::kStack:
    case Plan::kX87:
      break;
    default:
      if (!is_conditional_jump(g)) flush_x87_pointers();
      return;
  }
  if (x87_pointers_.data == nullptr) return;
  const GuestInsn& data = *x87_pointers_.data;
  const cpu::OperandView::Memory& mem = memory_operand(data)->mem;
  if (!changes_address(g, mem)) return;
  if (const i32 step = small_step(g); step != 0 && data.z.address_width == 64) {
    x87_pointers_.moved -= step * times_in_address(mem, guest_number(g.operands[0].reg.value));
    return;
  }
  store_x87_pointers({.instruction = nullptr, .data = &data, .moved = x87_pointers_.moved});
  x87_pointers_.data = nullptr;
}

void BlockEmitter::store_x87_pointers(const X87Pointers& pointers) {
  const auto store_selector = [this](cpu::SegmentIndex segment, i32 to) {
    const auto at = static_cast<i32>(segment * sizeof(cpu::Segment) + offsetof(cpu::Segment, selector));
    a_.movzx(kScratch.r32(), word_ptr(kState, ORRERY_STATE(seg) + at));
    a_.mov(word_ptr(kState, to), kScratch.r16());
  };
  if (pointers.instruction != nullptr) {
    const GuestInsn& g = *pointers.instruction;
    code_address(kScratch, request_.start + g.offset);
    a_.mov(qword_ptr(kState, ORRERY_STATE(fip)), kScratch);
    a_.mov(word_ptr(kState, ORRERY_STATE(fop)), static_cast<u32>(g.insn.imm & 0x7ff));
    store_selector(cpu::kCs, ORRERY_STATE(fcs));
  }
  if (pointers.data != nullptr) {
    held_group_ = GroupedAccess::kNoGroup;
    const GuestInsn& g = *pointers.data;
    cpu::OperandView::Memory mem = memory_operand(g)->mem;
    mem.segment = ZYDIS_REGISTER_DS;  // FDP is the effective address
    linear_address(mem, g.z.address_width, g, kAddress);
    if (pointers.moved != 0) a_.lea(kAddress, ptr(kAddress, pointers.moved));
    a_.mov(qword_ptr(kState, ORRERY_STATE(fdp)), kAddress);
    store_selector(g.insn.segment(), ORRERY_STATE(fds));
  }
}

void BlockEmitter::x87(const GuestInsn& g) {
  need_x87();
  const cpu::OperandView* const memory = memory_operand(g);
  i32 displacement = 0;
  if (memory != nullptr) {
    const bool write = (memory->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) != 0;
    const HostPlace place = access(memory->size / 8, write, 1, [&](const Gp& to) {
      linear_address(memory->mem, g.z.address_width, g, to);
    });
    DCHECK(!place.base.isValid());
    displacement = place.offset;
  }
  if (g.z.mnemonic == ZYDIS_MNEMONIC_FLDCW) {
    // A control word that does not mask all exceptions is the handler's, and so is what follows.
    save_flags();
    a_.movzx(kIndex.r32(), word_ptr(kAddress, displacement));
    a_.not_(kIndex.r32());
    a_.test(kIndex.r32(), 0x3f);
    a_.jnz(site(true));
    flags_ = Flags::kImage;
  }
  if (flags_read(g) != 0) need_flags();

  const u8 reg = static_cast<u8>(g.z.raw.modrm.reg << 3);
  if (memory == nullptr) {
    const u8 bytes[] = {g.z.opcode, static_cast<u8>(0xc0 | reg | g.z.raw.modrm.rm)};
    a_.embed(bytes, sizeof bytes);
  } else {
    // REX.B, opcode, [kAddress + displacement].
    static_assert(kAddressId == 11);
    const u8 mod = displacement == 0                               ? u8{0}
                   : displacement == static_cast<i8>(displacement) ? u8{0x40}
                                                                   : u8{0x80};
    const u8 bytes[] = {0x41, g.z.opcode, static_cast<u8>(mod | reg | (kAddressId & 7))};
    a_.embed(bytes, sizeof bytes);
    a_.embed(&displacement, mod == 0 ? 0 : mod == 0x40 ? 1 : 4);
  }
  if (changes_flags(g)) {
    flags_ = Flags::kHost;
    af_is_set_ = false;
    set_producer(kNoProducer);
  }
  if (is_control(g.z.mnemonic)) return;
  x87_pointers_.instruction = &g;
  if (memory != nullptr) {
    x87_pointers_.data = &g;
    x87_pointers_.moved = 0;
  }
}

}  // namespace orrery::jit::x64
