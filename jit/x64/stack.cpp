// PUSH, POP and LEAVE with 64-bit operands.
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

void BlockEmitter::push(const GuestInsn& g) {
  const ZydisDecodedOperand& o = g.operands[0];
  if (o.type == ZYDIS_OPERAND_TYPE_IMMEDIATE) {
    push_constant(g.insn.imm);
    return;
  }
  const Gp sp = gpq(kHostOf[cpu::kRsp]);
  if (o.type == ZYDIS_OPERAND_TYPE_MEMORY) {
    // The value waits in the state while the stack is checked.
    held_group_ = GroupedAccess::kNoGroup;
    const Mem value = qword_ptr(kState, 8 * cpu::kRip);
    before_check();
    linear_address(o.mem, g.z.address_width, g, kAddress);
    check_access(8, false, 1, site(true));
    after_check();
    a_.mov(kAddress, qword_ptr(kAddress));
    a_.mov(value, kAddress);
    const i32 at = access(8, true, 1, [&] { a_.lea(kAddress, ptr(sp, -8)); });
    a_.mov(kScratch, value);
    a_.mov(qword_ptr(kAddress, at), kScratch);
    a_.lea(sp, ptr(sp, -8));
    return;
  }
  const u8 guest = guest_number(o.reg.value);
  const i32 at = access(8, true, 1, [&] { a_.lea(kAddress, ptr(sp, -8)); });
  Gp value = kScratch;
  if (kHostOf[guest] != kNoHost) {
    value = gpq(kHostOf[guest]);
  } else {
    load_guest(kScratch, guest);
  }
  a_.mov(qword_ptr(kAddress, at), value);
  a_.lea(sp, ptr(sp, -8));
}

void BlockEmitter::pop(const GuestInsn& g) {
  const Gp sp = gpq(kHostOf[cpu::kRsp]);
  const u8 guest = guest_number(g.operands[0].reg.value);
  const i32 at = access(8, false, 1, [&] { a_.mov(kAddress, sp); });
  // POP RSP reads the new value from where RSP points before.
  if (guest != cpu::kRsp) a_.lea(sp, ptr(sp, 8));
  if (kHostOf[guest] != kNoHost) {
    a_.mov(gpq(kHostOf[guest]), qword_ptr(kAddress, at));
  } else {
    a_.mov(kScratch, qword_ptr(kAddress, at));
    store_guest(guest, kScratch);
  }
}

void BlockEmitter::leave() {
  const Gp sp = gpq(kHostOf[cpu::kRsp]);
  const Gp bp = gpq(kHostOf[cpu::kRbp]);
  const i32 at = access(8, false, 1, [&] { a_.mov(kAddress, bp); });
  a_.lea(sp, ptr(bp, 8));
  a_.mov(bp, qword_ptr(kAddress, at));
}

}  // namespace orrery::jit::x64
