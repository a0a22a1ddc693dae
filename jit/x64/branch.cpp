// Near control flow. A target that is not canonical is the handler's: the fault comes before anything
// changes.
#include "jit/analysis/flag_liveness.h"
#include "jit/x64/block_emitter.h"

namespace orrery::jit::x64 {

using namespace asmjit;
using namespace asmjit::x86;

namespace {

u64 relative_target(const GuestInsn& g, u64 next) { return next + g.insn.imm; }

}  // namespace

void BlockEmitter::emit_branch(const GuestInsn& g) {
  const bool relative = g.operands[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE;
  switch (g.z.mnemonic) {
    case ZYDIS_MNEMONIC_JMP:
      if (!relative) {
        jump_indirect(g, false);
      } else {
        save_flags();
        leave_to(relative_target(g, end_of(g)));
        leave_by_handler(links_.back());
      }
      return;
    case ZYDIS_MNEMONIC_CALL:
      if (!relative) {
        jump_indirect(g, true);
      } else {
        call_relative(g, relative_target(g, end_of(g)));
      }
      return;
    case ZYDIS_MNEMONIC_RET:
      ret(g);
      return;
    case ZYDIS_MNEMONIC_JRCXZ:
    case ZYDIS_MNEMONIC_JECXZ:
    case ZYDIS_MNEMONIC_LOOP:
      jump_by_count(g);
      return;
    default:
      conditional_jump(g);
      return;
  }
}

// A jump to another page may fault, if only because its target is not canonical: the handler knows.
void BlockEmitter::leave_by_handler(PendingLink& link) {
  if (in_page(link.target)) return;
  if (!has_site()) {
    new_site(false);
    sites_.back().in_line = true;
  }
  link.site = sites_.size() - 1;
}

void BlockEmitter::conditional_jump(const GuestInsn& g) {
  const u64 target = relative_target(g, end_of(g));
  need_flags(flags_read(g));
  if (current_ + 1 == insns_.size() && in_page(target)) {
    final_jump(g, target);
    return;
  }
  PendingLink& link = new_link(target, LinkPath::kCold);
  link.ticks_back = static_cast<u32>(insns_.size() - current_ - 1) + paid_ahead(turn_);
  leave_by_handler(link);
  const bool zero_there = knows_zero(g) && g.z.mnemonic == ZYDIS_MNEMONIC_JZ;
  if (zero_there && flags_ == Flags::kHost) link.recipe = current_;
  if (a_.emit(host_instruction(g.z.mnemonic), link.entry) != kErrorOk) failed_ = true;
  if (knows_zero(g) && !zero_there) set_producer(current_);
}

// JRCXZ, JECXZ and LOOP, which leave the flags alone. The host's reach 127 bytes.
void BlockEmitter::jump_by_count(const GuestInsn& g) {
  const u64 target = relative_target(g, end_of(g));
  // A handler that does the jump must not count once more.
  if (g.z.mnemonic == ZYDIS_MNEMONIC_LOOP && !in_page(target)) {
    handler_site(g);
    return;
  }
  // A recipe for the flags may need what is counted.
  if (g.z.mnemonic == ZYDIS_MNEMONIC_LOOP) save_flags();
  PendingLink& link = new_link(target, LinkPath::kCold);
  link.ticks_back = static_cast<u32>(insns_.size() - current_ - 1) + paid_ahead(turn_);
  const Label to = link.entry;
  leave_by_handler(link);
  const Gp count = word(rcx);
  const Label zero = a_.newLabel(), behind = a_.newLabel();
  if (g.z.mnemonic == ZYDIS_MNEMONIC_LOOP) {
    a_.lea(count, ptr(rcx, -1));
    a_.short_().jecxz(count, behind);
    a_.jmp(to);
  } else {
    a_.short_().jecxz(count, zero);
    a_.short_().jmp(behind);
    a_.bind(zero);
    a_.jmp(to);
  }
  a_.bind(behind);
}

// The host's conditional jump is the link.
void BlockEmitter::final_jump(const GuestInsn& g, u64 target) {
  const u32 jump = host_instruction(g.z.mnemonic);
  if (is_loop()) {
    // Turns end alike: what the pointers are at the jump is the same in both versions.
    DCHECK(turn_ == 0 || x87_pointers_ == loop_pointers_);
    loop_pointers_ = x87_pointers_;
    if (a_.emit(jump, turn_ == 0 ? loop_entry_ : turn_ == turns_ ? loop_head_ : next_turn_) != kErrorOk)
      failed_ = true;
    return;
  }
  save_flags();
  flush_x87_pointers();
  PendingLink& link = new_link(target);
  link.opcode_bytes = 2;
  link.jump = static_cast<u32>(a_.offset());
  if (a_.long_().emit(jump, exit_of(link)) != kErrorOk) failed_ = true;
}

void BlockEmitter::push_constant(u64 value) {
  const HostPlace slot = access(word_, true, 1, [&](const Gp& to) { slot_below(to); });
  if (word_ == 4 || static_cast<u64>(static_cast<i64>(static_cast<i32>(value))) == value) {
    a_.mov(slot.of(word_), static_cast<i32>(value));
  } else {
    a_.mov(kScratch, value);
    a_.mov(slot.of(8), kScratch);
  }
  move_stack(-static_cast<i32>(word_));
}

void BlockEmitter::push_for_call(const Mem& slot, const Gp& back) {
  a_.mov(slot, word(back));
  if (in_page(end_of(insns_.back()))) a_.push(back);
  move_stack(-static_cast<i32>(word_));
  settle_stack();
}

// By distance where that is possible: whoever jumps waits for what is read.
BlockEmitter::HostPlace BlockEmitter::target_in_memory(const GuestInsn& g, const Label& miss) {
  const cpu::OperandView::Memory& mem = g.operands[0].mem;
  const bool is_general = is_general_base(mem.base) && word_ == 8 && g.z.address_width == 64 &&
                          mem.segment != ZYDIS_REGISTER_FS && mem.segment != ZYDIS_REGISTER_GS;
  if (is_general && mem.index == ZYDIS_REGISTER_NONE && host_of(guest_number(mem.base)) != kNoHost) {
    const Gp base = gpq(host_of(guest_number(mem.base)));
    const auto displacement = static_cast<i32>(mem.disp.value);
    check_by_distance(current_, base, displacement, word_, false, 1, miss);
    return {.offset = displacement, .base = base};
  }
  if (is_general) {
    linear_address(mem, g.z.address_width, g, kIndex);
    check_at_index(word_, false, 1, miss);
    return {.base = kIndex};
  }
  linear_address(mem, g.z.address_width, g, kAddress);
  check_access(word_, false, 1, miss);
  return {};
}

void BlockEmitter::load_target(const GuestInsn& g, const Label& miss) {
  const cpu::OperandView& o = g.operands[0];
  if (o.type == ZYDIS_OPERAND_TYPE_MEMORY) {
    const HostPlace place = target_in_memory(g, miss);
    a_.mov(word(kAddress), place.of(word_));
  } else {
    const u8 guest = guest_number(o.reg.value);
    if (kHostOf[guest] != kNoHost) {
      a_.mov(word(kAddress), gp(kHostOf[guest], word_));
    } else {
      load_guest(kAddress, guest);
    }
  }
  flags_ = Flags::kImage;
}

void BlockEmitter::set_bad_target(ExitKind kind) {
  const u32 id = request_.first_site + static_cast<u32>(sites_.size()) - 1;
  a_.mov(kIndex.r32(), (id << kExitKindBits) | static_cast<u32>(kind));
}

void BlockEmitter::jump_indirect(const GuestInsn& g, bool call) {
  save_flags();
  const Label miss = site(false);
  CallSlot slot;
  if (call) {
    // The stack is checked first, so that nothing has changed if the call can't go on. Its address waits in
    // the state.
    const HostPlace place = access(word_, true, 1, [&](const Gp& to) { slot_below(to); });
    DCHECK(!place.base.isValid());
    slot.offset = place.offset;
    slot.miss = miss;
    a_.mov(call_slot(), kAddress);
  }
  load_target(g, miss);
  // What the table has is canonical. The jump is one of its own here: the host's predictor knows it from
  // others.
  unknown_ = a_.newLabel();
  const Mem code = emit_find_target(a_, context_.layout, request_.key, unknown_);
  if (!call) {
    emit_move_to_page(a_, context_.layout);
    a_.jmp(code);
    ended_ = true;
    return;
  }
  code_address(kScratch, end_of(g));
  emit_move_to_page(a_, context_.layout);
  a_.mov(kAddress, call_slot());
  push_for_call(ptr(kAddress, slot.offset, word_), kScratch);
  a_.call(code);
  unknown_call_ = slot;
  land(g, false);
}

// A call that cannot go to its target's page must not have pushed anything.
void BlockEmitter::call_relative(const GuestInsn& g, u64 target) {
  save_flags();
  const Label miss = site(false);
  const size_t link = links_.size();
  new_link(target).call = true;
  const u64 page = align_down(target, memory::kPageBytes);
  if (page != 0) leave_by_handler(links_[link]);
  const Mem slot = access(word_, true, 1, [&](const Gp& to) { slot_below(to); }).of(word_);
  if (page == 0) {
    code_address(kScratch, end_of(g));
    push_for_call(slot, kScratch);
  } else {
    code_address(kScratch, page);
    links_[link].frame = check_frame(Link::kNoFrame, miss);
    if (const auto distance = static_cast<i64>(end_of(g) - page); distance == static_cast<i32>(distance)) {
      a_.lea(word(kIndex), ptr(kScratch, static_cast<i32>(distance)));
    } else {
      code_address(kIndex, end_of(g));
    }
    push_for_call(slot, kIndex);
    a_.mov(code_page(), kScratch);
  }
  emit_link(links_[link]);
  land(g, page == 0);
}

void BlockEmitter::land(const GuestInsn& g, bool from_this_page) {
  ended_ = true;
  flags_ = Flags::kImage;
  const u64 back = end_of(g);
  found_return_ = a_.newLabel();
  a_.bind(found_return_);
  // The return has its target in kAddress, and in kIndex how it leaves if that is not canonical. It is right
  // here if the target is what the call has pushed: when a page of code leaves the TLB, the host's stack is
  // emptied.
  if (!in_page(back)) {
    a_.jmp(address_of(request_.indirect.jump));
    return;
  }
  lost_ = a_.newLabel();
  a_.pop(kScratch);
  a_.cmp(kScratch, kAddress);
  a_.jne(lost_);
  a_.lea(word(kScratch), ptr(kScratch, -static_cast<i32>(back)));
  if (from_this_page) {
    // Most likely nothing has to be stored, so that what the next call pushes does not wait for this return.
    moved_ = a_.newLabel();
    returned_ = a_.newLabel();
    a_.cmp(code_page(), kScratch);
    a_.jne(moved_);
    a_.bind(returned_);
  } else {
    a_.mov(code_page(), kScratch);
  }
  emit_link(new_link(back));
}

void BlockEmitter::ret(const GuestInsn& g) {
  const Gp sp = gpq(kHostOf[cpu::kRsp]);
  save_flags();
  site(false);
  const HostPlace slot = access(word_, false, 1, [&](const Gp& to) { a_.mov(word(to), word(sp)); });
  a_.mov(word(kAddress), slot.of(word_));
  flags_ = Flags::kImage;
  const auto extra = g.operands[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE &&
                             g.operands[0].visibility == ZYDIS_OPERAND_VISIBILITY_EXPLICIT
                         ? static_cast<i32>(g.operands[0].imm.value.u & 0xffff)
                         : 0;
  move_stack(static_cast<i32>(word_) + extra);
  settle_stack();
  set_bad_target(ExitKind::kBadReturn);
  a_.ret();
  ended_ = true;
}

}  // namespace orrery::jit::x64
