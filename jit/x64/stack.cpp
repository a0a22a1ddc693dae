// PUSH, POP and LEAVE with operands of the mode's width.
#include "jit/x64/block_emitter.h"

namespace orrery::jit::x64 {

using namespace asmjit;
using namespace asmjit::x86;

void BlockEmitter::emit_stack(const GuestInsn& g) {
  switch (g.z.mnemonic) {
    case ZYDIS_MNEMONIC_PUSH:
      push(g);
      break;
    case ZYDIS_MNEMONIC_POP:
      pop(g);
      break;
    default:
      leave();
      break;
  }
}

bool BlockEmitter::is_grouped_push_or_pop(const GuestInsn& g) const {
  if (g.plan != Plan::kStack || groups_.accesses[current_].group == GroupedAccess::kNoGroup) return false;
  if (g.z.mnemonic != ZYDIS_MNEMONIC_PUSH && g.z.mnemonic != ZYDIS_MNEMONIC_POP) return false;
  const cpu::OperandView& o = g.operands[0];
  return o.type == ZYDIS_OPERAND_TYPE_IMMEDIATE ||
         (o.type == ZYDIS_OPERAND_TYPE_REGISTER && guest_number(o.reg.value) != cpu::kRsp);
}

bool BlockEmitter::leaves_stack_alone(const GuestInsn& g) const {
  if (has_hoisted_check(current_)) return false;
  switch (g.plan) {
    case Plan::kNothing:
      return true;
    case Plan::kStack:
      return is_grouped_push_or_pop(g) && groups_.is_member(current_);
    case Plan::kBranch:
      if (is_call_or_return(g)) return groups_.is_member(current_);
      return is_jcc(g) && current_ + 1 < insns_.size();
    case Plan::kRewrite:
      break;
    default:
      return false;
  }
  if (needs_x87(g) || uses_flags_up(g)) return false;
  constexpr i64 kFarthest = 1 << 30;  // from where RSP has still to go
  const cpu::OperandView* const accessed = memory_operand(g);
  if (accessed != nullptr && std::abs(accessed->mem.disp.value) > kFarthest) return false;
  for (unsigned i = 0; i < g.z.operand_count; ++i) {
    const cpu::OperandView& o = g.operands[i];
    if (o.type == ZYDIS_OPERAND_TYPE_REGISTER && register_bit(o.reg.value) == 1u << cpu::kRsp) return false;
    if (o.type != ZYDIS_OPERAND_TYPE_MEMORY || &o == accessed) continue;
    if (((register_bit(o.mem.base) | register_bit(o.mem.index)) >> cpu::kRsp & 1) != 0) return false;
  }
  return true;
}

std::optional<i32> BlockEmitter::mere_stack_move(const GuestInsn& g) const {
  constexpr i64 kMost = 1 << 20;
  if (has_hoisted_check(current_) || g.flags_live_after != 0) return {};
  const auto by = constant_move(g);
  if (!by || guest_number(g.operands[0].reg.value) != cpu::kRsp) return {};
  return std::abs(*by) <= kMost ? std::optional(static_cast<i32>(*by)) : std::nullopt;
}

void BlockEmitter::push(const GuestInsn& g) {
  const cpu::OperandView& o = g.operands[0];
  if (o.type == ZYDIS_OPERAND_TYPE_IMMEDIATE) {
    push_constant(g.insn.imm);
    return;
  }
  if (o.type == ZYDIS_OPERAND_TYPE_MEMORY) {
    // The value waits in the state while the stack is checked.
    held_group_ = GroupedAccess::kNoGroup;
    const Mem value = qword_ptr(kState, 8 * cpu::kRip);
    before_check();
    linear_address(o.mem, g.z.address_width, g, kAddress);
    check_access(word_, false, 1, site(true));
    after_check();
    a_.mov(word(kAddress), ptr(kAddress, 0, word_));
    a_.mov(value, kAddress);
    const HostPlace slot = access(word_, true, 1, [&](const Gp& to) { slot_below(to); });
    a_.mov(kScratch, value);
    a_.mov(slot.of(word_), word(kScratch));
    move_stack(-static_cast<i32>(word_));
    return;
  }
  const u8 guest = guest_number(o.reg.value);
  const HostPlace slot = access(word_, true, 1, [&](const Gp& to) { slot_below(to); });
  a_.mov(slot.of(word_), word(value_of(guest, kScratch)));
  move_stack(-static_cast<i32>(word_));
}

void BlockEmitter::pop(const GuestInsn& g) {
  const Gp sp = gpq(kHostOf[cpu::kRsp]);
  const u8 guest = guest_number(g.operands[0].reg.value);
  const HostPlace slot = access(word_, false, 1, [&](const Gp& to) { a_.mov(word(to), word(sp)); });
  if (host_of(guest) != kNoHost) {
    a_.mov(gp(host_of(guest), word_), slot.of(word_));
  } else {
    a_.mov(word(kScratch), slot.of(word_));
    store_guest(guest, kScratch);
  }
  // POP RSP has moved it elsewhere.
  if (guest != cpu::kRsp) move_stack(static_cast<i32>(word_));
}

void BlockEmitter::leave() {
  const Gp sp = gpq(kHostOf[cpu::kRsp]);
  const Gp bp = gpq(kHostOf[cpu::kRbp]);
  const HostPlace slot = access(word_, false, 1, [&](const Gp& to) { a_.mov(word(to), word(bp)); });
  a_.lea(word(sp), ptr(bp, static_cast<i32>(word_)));
  a_.mov(word(bp), slot.of(word_));
}

}  // namespace orrery::jit::x64
