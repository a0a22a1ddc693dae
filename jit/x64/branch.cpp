// Near control flow. A target that is not canonical is the handler's: the fault comes before anything
// changes.
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
      } else if (is_canonical(relative_target(g, next_rip(g)))) {
        leave_to(relative_target(g, next_rip(g)));
      } else {
        handler_site(g);
      }
      return;
    case ZYDIS_MNEMONIC_CALL:
      if (!relative) {
        jump_indirect(g, true);
      } else if (is_canonical(relative_target(g, next_rip(g)))) {
        save_flags();
        site(false);
        push_constant(next_rip(g));
        call_and_land(g, relative_target(g, next_rip(g)));
      } else {
        handler_site(g);
      }
      return;
    case ZYDIS_MNEMONIC_RET:
      ret(g);
      return;
    default:
      conditional_jump(g);
      return;
  }
}

void BlockEmitter::conditional_jump(const GuestInsn& g) {
  const u64 target = relative_target(g, next_rip(g));
  if (!is_canonical(target)) {
    handler_site(g);
    return;
  }
  need_flags();
  if (current_ + 1 == insns_.size() && page_of(target) == page_of(request_.rip)) {
    final_jump(g, target);
    return;
  }
  PendingLink& link = new_link(target);
  link.in_line = false;
  link.ticks_back = static_cast<u32>(insns_.size() - current_ - 1);
  if (a_.emit(host_instruction(g.z.mnemonic), link.entry) != kErrorOk) failed_ = true;
}

// The host's conditional jump is the link.
void BlockEmitter::final_jump(const GuestInsn& g, u64 target) {
  const u32 jump = host_instruction(g.z.mnemonic);
  if (is_loop()) {
    // Turns end alike: what the pointers are at the jump is the same in both versions.
    DCHECK(!in_loop_ || x87_pointers_ == loop_pointers_);
    loop_pointers_ = x87_pointers_;
    if (a_.emit(jump, in_loop_ ? loop_head_ : loop_entry_) != kErrorOk) failed_ = true;
    return;
  }
  save_flags();
  flush_x87_pointers();
  PendingLink& link = new_link(target);
  link.opcode_bytes = 2;
  a_.bind(link.jump);
  if (a_.long_().emit(jump, link.exit) != kErrorOk) failed_ = true;
}

void BlockEmitter::push_constant(u64 value) {
  const Gp sp = gpq(kHostOf[cpu::kRsp]);
  const i32 at = access(8, true, 1, [&] { a_.lea(kAddress, ptr(sp, -8)); });
  if (static_cast<u64>(static_cast<i64>(static_cast<i32>(value))) == value) {
    a_.mov(qword_ptr(kAddress, at), static_cast<i32>(value));
  } else {
    a_.mov(kScratch, value);
    a_.mov(qword_ptr(kAddress, at), kScratch);
  }
  a_.lea(sp, ptr(sp, -8));
}

void BlockEmitter::load_target(const GuestInsn& g, const Label& miss) {
  const ZydisDecodedOperand& o = g.operands[0];
  if (o.type == ZYDIS_OPERAND_TYPE_MEMORY) {
    linear_address(o.mem, g.z.address_width, g, kAddress);
    check_access(8, false, 1, miss);
    a_.mov(kAddress, qword_ptr(kAddress));
  } else {
    const u8 guest = guest_number(o.reg.value);
    if (kHostOf[guest] != kNoHost) {
      a_.mov(kAddress, gpq(kHostOf[guest]));
    } else {
      load_guest(kAddress, guest);
    }
  }
  emit_canonical_check(a_, kAddress, miss);
  flags_ = Flags::kImage;
}

void BlockEmitter::jump_indirect(const GuestInsn& g, bool call) {
  save_flags();
  const Label miss = site(false);
  load_target(g, miss);
  if (!call) {
    a_.jmp(address_of(request_.indirect.jump));
    ended_ = true;
    return;
  }
  // The target waits in the state while the stack is checked.
  a_.mov(qword_ptr(kState, 8 * cpu::kRip), kAddress);
  push_constant(next_rip(g));
  a_.mov(kAddress, qword_ptr(kState, 8 * cpu::kRip));
  call_and_land(g, std::nullopt);
}

void BlockEmitter::call_and_land(const GuestInsn& g, std::optional<u64> target) {
  save_flags();
  flags_ = Flags::kImage;
  ended_ = true;
  const u64 back = next_rip(g);
  overflow_ = a_.newLabel();
  has_room_ = a_.newLabel();
  a_.cmp(rsp, qword_ptr(kState, ORRERY_SLOT(context_.layout, stack_limit)));
  a_.jb(overflow_);
  a_.bind(has_room_);
  if (target) {
    PendingLink& link = new_link(*target);
    link.call = true;
    // A guard that fails must leave before it calls.
    emit_link(link);
  } else {
    a_.call(address_of(request_.indirect.jump));
  }
  // The return has its target in kAddress.
  if (static_cast<u64>(static_cast<i64>(static_cast<i32>(back))) == back) {
    a_.cmp(kAddress, static_cast<i32>(back));
  } else {
    a_.mov(kScratch, back);
    a_.cmp(kAddress, kScratch);
  }
  a_.jne(address_of(request_.indirect.mismatch));
  PendingLink& link = new_link(back);
  // What the block's own page was when it called it may not be any more.
  if (page_of(back) == page_of(request_.rip))
    emit_page_guard(page_of(back), request_.page_delta, a_.newLabel(), link.exit);
  emit_link(link);
}

void BlockEmitter::ret(const GuestInsn& g) {
  const Gp sp = gpq(kHostOf[cpu::kRsp]);
  save_flags();
  site(false);
  const i32 at = access(8, false, 1, [&] { a_.mov(kAddress, sp); });
  a_.mov(kAddress, qword_ptr(kAddress, at));
  flags_ = Flags::kImage;
  const auto extra = g.operands[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE &&
                             g.operands[0].visibility == ZYDIS_OPERAND_VISIBILITY_EXPLICIT
                         ? static_cast<i32>(g.operands[0].imm.value.u & 0xffff)
                         : 0;
  a_.lea(sp, ptr(sp, 8 + extra));
  const u32 id = request_.first_site + static_cast<u32>(sites_.size()) - 1;
  a_.mov(kIndex.r32(), (id << kExitKindBits) | static_cast<u32>(ExitKind::kBadReturn));
  a_.ret();
  ended_ = true;
}

}  // namespace orrery::jit::x64
