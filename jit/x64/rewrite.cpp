// The generic path: the guest's instruction with its registers renamed and its memory operand replaced by the
// checked host address.
#include "cpu/isa/table.h"
#include "jit/analysis/flag_liveness.h"
#include "jit/flags_image.h"
#include "jit/x64/block_emitter.h"

namespace orrery::jit::x64 {

using namespace asmjit;
using namespace asmjit::x86;

// Legacy SSE operands of 16 bytes, and the aligned moves of VEX. What is not aligned goes to the handler,
// which knows the exceptions to this.
unsigned required_alignment(const GuestInsn& g, unsigned bytes) {
  if (g.z.mnemonic == ZYDIS_MNEMONIC_CMPXCHG16B) return 16;
  if ((cpu::isa::rows()[g.insn.row].traits & (cpu::isa::trait::kSse | cpu::isa::trait::kAvx)) == 0 ||
      bytes < 16)
    return 1;
  switch (g.z.mnemonic) {
    case ZYDIS_MNEMONIC_MOVUPS:
    case ZYDIS_MNEMONIC_MOVUPD:
    case ZYDIS_MNEMONIC_MOVDQU:
    case ZYDIS_MNEMONIC_LDDQU:
      return 1;
    case ZYDIS_MNEMONIC_VMOVAPS:
    case ZYDIS_MNEMONIC_VMOVAPD:
    case ZYDIS_MNEMONIC_VMOVDQA:
    case ZYDIS_MNEMONIC_VMOVNTPS:
    case ZYDIS_MNEMONIC_VMOVNTPD:
    case ZYDIS_MNEMONIC_VMOVNTDQ:
    case ZYDIS_MNEMONIC_VMOVNTDQA:
      return bytes;
    default:
      return g.z.encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY ? bytes : 1;
  }
}

namespace {

/// A source of zero leaves the destination as it was. [APM3 BSF]
bool keeps_destination(ZydisMnemonic m) { return m == ZYDIS_MNEMONIC_BSF || m == ZYDIS_MNEMONIC_BSR; }

/// The result does not depend on what the destination held.
bool clears_destination(const GuestInsn& g) {
  return (g.z.mnemonic == ZYDIS_MNEMONIC_XOR || g.z.mnemonic == ZYDIS_MNEMONIC_SUB) &&
         g.operands[0].type == ZYDIS_OPERAND_TYPE_REGISTER &&
         g.operands[1].type == ZYDIS_OPERAND_TYPE_REGISTER && g.operands[0].size >= 32 &&
         g.operands[0].reg.value == g.operands[1].reg.value;
}

/// Instructions whose source may stand in memory instead of a general register, with the same width.
bool source_may_be_memory(ZydisMnemonic m) {
  switch (m) {
    case ZYDIS_MNEMONIC_ADD:
    case ZYDIS_MNEMONIC_ADC:
    case ZYDIS_MNEMONIC_SUB:
    case ZYDIS_MNEMONIC_SBB:
    case ZYDIS_MNEMONIC_AND:
    case ZYDIS_MNEMONIC_OR:
    case ZYDIS_MNEMONIC_XOR:
    case ZYDIS_MNEMONIC_CMP:
    case ZYDIS_MNEMONIC_TEST:
    case ZYDIS_MNEMONIC_MOV:
    case ZYDIS_MNEMONIC_MOVZX:
    case ZYDIS_MNEMONIC_MOVSX:
    case ZYDIS_MNEMONIC_MOVSXD:
    case ZYDIS_MNEMONIC_IMUL:
    case ZYDIS_MNEMONIC_POPCNT:
    case ZYDIS_MNEMONIC_LZCNT:
    case ZYDIS_MNEMONIC_TZCNT:
    case ZYDIS_MNEMONIC_MOVD:
    case ZYDIS_MNEMONIC_MOVQ:
    case ZYDIS_MNEMONIC_CVTSI2SS:
    case ZYDIS_MNEMONIC_CVTSI2SD:
    case ZYDIS_MNEMONIC_CMOVB:
    case ZYDIS_MNEMONIC_CMOVBE:
    case ZYDIS_MNEMONIC_CMOVL:
    case ZYDIS_MNEMONIC_CMOVLE:
    case ZYDIS_MNEMONIC_CMOVNB:
    case ZYDIS_MNEMONIC_CMOVNBE:
    case ZYDIS_MNEMONIC_CMOVNL:
    case ZYDIS_MNEMONIC_CMOVNLE:
    case ZYDIS_MNEMONIC_CMOVNO:
    case ZYDIS_MNEMONIC_CMOVNP:
    case ZYDIS_MNEMONIC_CMOVNS:
    case ZYDIS_MNEMONIC_CMOVNZ:
    case ZYDIS_MNEMONIC_CMOVO:
    case ZYDIS_MNEMONIC_CMOVP:
    case ZYDIS_MNEMONIC_CMOVS:
    case ZYDIS_MNEMONIC_CMOVZ:
      return true;
    default:
      return false;
  }
}

}  // namespace

bool BlockEmitter::lives_in_state(const cpu::OperandView& o) const {
  if (o.type != ZYDIS_OPERAND_TYPE_REGISTER) return false;
  switch (register_class(o.reg.value)) {
    case ZYDIS_REGCLASS_GPR8:
    case ZYDIS_REGCLASS_GPR16:
    case ZYDIS_REGCLASS_GPR32:
    case ZYDIS_REGCLASS_GPR64:
      return host_of(guest_number(o.reg.value)) == kNoHost;
    default:
      return false;
  }
}

/// Which explicit operand of `g`, a register that lives in the state, may be the host's memory operand; none:
/// cpu::kMaxOperands.
unsigned BlockEmitter::operand_in_state(const GuestInsn& g) const {
  constexpr unsigned kNone = cpu::kMaxOperands;
  const cpu::OperandView& to = g.operands[0];
  const cpu::OperandView& from = g.operands[1];
  if (memory_operand(g) != nullptr || g.z.operand_count_visible < 2) return kNone;
  const bool same = to.type == ZYDIS_OPERAND_TYPE_REGISTER && from.type == ZYDIS_OPERAND_TYPE_REGISTER &&
                    lives_in_state(to) && guest_number(to.reg.value) == guest_number(from.reg.value);
  if (same) return kNone;
  const ZydisMnemonic m = g.z.mnemonic;
  if (lives_in_state(from)) return source_may_be_memory(m) ? 1 : kNone;
  if (!lives_in_state(to)) return kNone;
  if (m == ZYDIS_MNEMONIC_CMP || m == ZYDIS_MNEMONIC_TEST) return 0;
  if (m != ZYDIS_MNEMONIC_MOV) return kNone;
  if (from.type != ZYDIS_OPERAND_TYPE_IMMEDIATE)
    return from.type == ZYDIS_OPERAND_TYPE_REGISTER && to.size == 64 ? 0 : kNone;
  // Of what is moved, the lower half's sign fills the upper.
  const i64 value = to.size == 64 ? from.imm.value.s : static_cast<i64>(static_cast<u32>(from.imm.value.u));
  return to.size >= 32 && value == static_cast<i32>(value) ? 0 : kNone;
}

void BlockEmitter::read_constant(const GuestInsn& g, unsigned bytes) {
  a_.mov(kScratch, reinterpret_cast<u64>(request_.host) + g.offset + g.insn.length - g.live_constant);
  if (g.live_constant < bytes) {
    a_.movsxd(kScratch, dword_ptr(kScratch));
  } else {
    a_.mov(gp(kScratchId, bytes), ptr(kScratch, 0, bytes));
  }
}

void BlockEmitter::load_effective_address(const GuestInsn& g) {
  const u8 guest = guest_number(g.operands[0].reg.value);
  const unsigned bytes = g.operands[0].size / 8;
  const bool direct = host_of(guest) != kNoHost && bytes >= 4;
  const Gp to = direct ? gpq(host_of(guest)) : kAddress;
  linear_address(g.operands[1].mem, bytes == 4 ? 32 : g.z.address_width, g, to);
  if (bytes >= 4) {
    if (!direct) store_guest(guest, to);
  } else if (host_of(guest) != kNoHost) {
    a_.mov(gp(host_of(guest), 2), kAddress.r16());
  } else {
    a_.mov(word_ptr(kState, 8 * guest), kAddress.r16());
  }
}

// Behind its check, so that whoever leaves there still finds what the instruction before has kept.
bool BlockEmitter::keep_for_flags(const GuestInsn& g, const HostPlace& place) {
  if (recipe_of(g).kind == FlagRecipe::Kind::kStoreKept) return false;
  const Mem slot = qword_ptr(kState, flags_operand(static_cast<i32>(kept_operand(g))));
  kept_ |= u64{1} << current_;
  if (recipe_of(g).kind != FlagRecipe::Kind::kCompareKept) {
    a_.mov(slot, value_of(guest_number(g.operands[0].reg.value), kScratch));
    return false;
  }
  const unsigned bytes = memory_operand(g)->size / 8;
  const Mem from = place.of(bytes);
  const Gp value = gp(kScratchId, bytes);
  if (bytes < 4) {
    a_.movzx(kScratch.r32(), from);
  } else {
    a_.mov(value, from);
  }
  a_.mov(slot, kScratch);
  compare_kept(g, value);
  flags_ = Flags::kHost;
  af_is_set_ = false;
  set_producer(current_);
  return true;
}

void BlockEmitter::keep_what_was_stored(const GuestInsn& g, const HostPlace& place) {
  if (recipe_of(g).kind != FlagRecipe::Kind::kStoreKept || !keeps_for_flags(g)) return;
  kept_ |= u64{1} << current_;
  const unsigned bytes = memory_operand(g)->size / 8;
  const Mem stored = place.of(bytes);
  if (bytes < 4) {
    a_.movzx(kScratch.r32(), stored);
  } else {
    a_.mov(gp(kScratchId, bytes), stored);
  }
  a_.mov(qword_ptr(kState, flags_operand(0)), kScratch);
}

void BlockEmitter::rewrite(const GuestInsn& g) {
  const cpu::OperandView* const memory = memory_operand(g);
  if (g.z.mnemonic == ZYDIS_MNEMONIC_LEA) {
    load_effective_address(g);
    return;
  }
  if (needs_x87(g)) {
    held_group_ = GroupedAccess::kNoGroup;
    need_x87();
  }
  HostPlace found;
  if (memory != nullptr) {
    const unsigned bytes = memory->size / 8;
    const bool write = (memory->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) != 0;
    found = access(bytes, write, required_alignment(g, bytes),
                   [&](const Gp& to) { linear_address(memory->mem, g.z.address_width, g, to); });
  }
  if (keeps_operand(current_)) {
    const Gp value = gp(kScratchId, memory->size / 8);
    a_.mov(value, found.of(memory->size / 8));
    a_.mov(qword_ptr(kState, ORRERY_SLOT(context_.layout, kept_operand)), kScratch);
    compare_kept(g, value);
    flags_ = Flags::kHost;
    af_is_set_ = false;
    set_producer(current_);
    return;
  }
  if (keeps_for_flags(g) && keep_for_flags(g, found)) return;
  const u64 kept = cpu::rflags::kArithmetic & ~flags_defined(g);
  const bool changes = changes_flags(g);
  const bool keeps = changes && (g.flags_live_after & kept) != 0;
  const bool defers_shift = defers_shift_by_cl(g), keeps_of = keeps_overflow(g);
  // What changes CF and OF alone, to the same, need not wait for the others; on hosts where it changes those,
  // too, they have to be in the image.
  const bool others_change = !context_.host_profile.is_same();
  if (keeps && is_multiplication(g.z.mnemonic) && (flags_ == Flags::kRecipe || others_change)) {
    save_flags();
    if (flags_ == Flags::kBoth) flags_ = Flags::kImage;
  }
  const bool adds_overflow = flags_read(g) == 0 && keeps && is_multiplication(g.z.mnemonic) &&
                             (flags_ == Flags::kImage || flags_ == Flags::kOverflow);
  if (defers_shift) {
    save_flags();
  } else if (!adds_overflow && (flags_read(g) != 0 || keeps)) {
    need_flags(keeps ? cpu::rflags::kArithmetic : flags_read(g));
  }
  if (keeps_of) a_.seto(byte_ptr(kState, ORRERY_SLOT(context_.layout, kept)));

  // Guest registers that live in memory get the temporaries. (Nobody does who waits in kIndex:
  // may_keep_linear.)
  struct Placed {
    u8 guest;
    Gp host;
    bool loaded, store;
  };
  Placed placed[3];
  unsigned placed_count = 0;
  const auto place = [&](u8 guest, bool load, bool store) -> Gp {
    if (host_of(guest) != kNoHost) return gpq(host_of(guest));
    for (unsigned i = 0; i < placed_count; ++i) {
      if (placed[i].guest != guest) continue;
      placed[i].store |= store;
      if (load && !placed[i].loaded) load_guest(placed[i].host, guest);
      placed[i].loaded |= load;
      return placed[i].host;
    }
    static const Gp kTemporaries[] = {kIndex, kScratch, kAddress};
    if (placed_count == (memory != nullptr ? 2u : 3u)) {
      failed_ = true;
      return kIndex;
    }
    const Gp host = kTemporaries[placed_count];
    if (placed_count == 2) held_group_ = GroupedAccess::kNoGroup;
    if (load) load_guest(host, guest);
    placed[placed_count++] = {guest, host, load, store};
    return host;
  };

  const unsigned in_state = operand_in_state(g);
  std::optional<u8> swapped;  // whose bytes have changed places: beside memory, the host has no AH
  Operand operands[6];
  unsigned count = 0;
  for (unsigned i = 0; i < g.z.operand_count && count < 6; ++i) {
    const cpu::OperandView& o = g.operands[i];
    if (o.visibility == ZYDIS_OPERAND_VISIBILITY_HIDDEN) continue;
    if (i == in_state) {
      // A destination is written whole.
      const unsigned bytes = i == 0 && g.z.mnemonic == ZYDIS_MNEMONIC_MOV ? 8u : o.size / 8u;
      operands[count++] = ptr(kState, 8 * guest_number(o.reg.value), bytes);
      continue;
    }
    switch (o.type) {
      case ZYDIS_OPERAND_TYPE_REGISTER: {
        const ZydisRegisterClass kind = register_class(o.reg.value);
        const u32 id = register_id(o.reg.value);
        if (kind == ZYDIS_REGCLASS_XMM) {
          operands[count++] = xmm(id);
        } else if (kind == ZYDIS_REGCLASS_YMM) {
          operands[count++] = ymm(id);
        } else if (kind == ZYDIS_REGCLASS_MMX) {
          operands[count++] = mm(id);
        } else if (is_high_byte(o.reg.value)) {
          const auto number = static_cast<u8>(o.reg.value - ZYDIS_REGISTER_AH);
          if (memory == nullptr) {
            operands[count++] = gpb_hi(number);
          } else if ((o.actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) == 0 && context_.has_pext) {
            a_.rorx(kScratch, gpq(number), 8);
            operands[count++] = kScratch.r8();
          } else {
            swapped = number;
            a_.xchg(gpb_lo(number), gpb_hi(number));
            operands[count++] = gpb_lo(number);
          }
        } else {
          const unsigned bytes = o.size / 8;
          constexpr unsigned kReads = ZYDIS_OPERAND_ACTION_MASK_READ | ZYDIS_OPERAND_ACTION_CONDWRITE;
          const bool load = ((o.actions & kReads) != 0 && !clears_destination(g)) || bytes < 4 ||
                            keeps_destination(g.z.mnemonic);
          const bool store = (o.actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) != 0;
          operands[count++] = gp(place(guest_number(o.reg.value), load, store).id(), bytes);
        }
        break;
      }
      case ZYDIS_OPERAND_TYPE_MEMORY:
        operands[count++] = found.of(memory->size / 8);
        break;
      case ZYDIS_OPERAND_TYPE_IMMEDIATE:
        if (g.live_constant != 0) {
          read_constant(g, g.operands[0].size / 8);
          const bool whole = in_state == 0 && g.z.mnemonic == ZYDIS_MNEMONIC_MOV;
          operands[count++] = gp(kScratchId, whole ? 8 : g.operands[0].size / 8);
          break;
        }
        if (in_state == 0 && g.z.mnemonic == ZYDIS_MNEMONIC_MOV && g.operands[0].size == 32) {
          operands[count++] = imm(static_cast<u32>(o.imm.value.u));
          break;
        }
        operands[count++] = imm(o.imm.is_signed ? o.imm.value.s : static_cast<i64>(o.imm.value.u));
        break;
      default:
        failed_ = true;
        return;
    }
  }
  if (failed_) return;
  if (in_state == 1 && g.z.mnemonic == ZYDIS_MNEMONIC_TEST) std::swap(operands[0], operands[1]);
  if (defers_shift) {
    if (memory == nullptr) {
      a_.mov(kScratch, gpq(operands[0].id()));
    } else if (const unsigned bytes = memory->size / 8; bytes < 4) {
      a_.movzx(kScratch.r32(), found.of(bytes));
    } else {
      a_.mov(gp(kScratchId, bytes), found.of(bytes));
    }
  }
  if (is_stepped(g)) {
    shift_by(g, operands[0], shift_count(g));
  } else if (a_.emitOpArray(host_instruction(g.z.mnemonic), operands, count) != kErrorOk) {
    failed_ = true;
  }
  if (failed_) return;
  if (swapped) a_.xchg(gpb_lo(*swapped), gpb_hi(*swapped));
  keep_what_was_stored(g, found);
  if (repeats_last_step(g)) repeat_last_step(g, gp(operands[0].id(), g.operands[0].size / 8));
  for (unsigned i = 0; i < placed_count; ++i) {
    if (placed[i].store) store_guest(placed[i].guest, placed[i].host);
  }
  if (defers_shift) {
    defer_shift_by_cl(g);
  } else if (adds_overflow) {
    const i32 image = ORRERY_SLOT(context_.layout, flags_image);
    a_.seto(byte_ptr(kState, image + flags_image::kOverflow));
    a_.mov(byte_ptr(kState, image + flags_image::kHasOverflow), 1);
    flags_ = Flags::kOverflow;
    image_ = kNoProducer;
  } else if (changes) {
    flags_ = Flags::kHost;
    note_af(g);
    if (keeps_of) save_with_overflow();
    if (lacks_parity(g)) save_with_parity(g, gpq(operands[0].id()));
    set_producer(flags_defined(g) == cpu::rflags::kArithmetic ? current_ : kNoProducer);
  }
}

}  // namespace orrery::jit::x64
