// PUSH, POP and LEAVE with 64-bit operands.
#include "jit/x64/block_emitter.h"

namespace orrery::jit::x64 {

using namespace asmjit;
using namespace asmjit::x86;

void BlockEmitter::emit_stack(const GuestInsn& g) {
  save_flags();
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
  flags_ = Flags::kImage;
}

void BlockEmitter::push(const GuestInsn& g) {
  const ZydisDecodedOperand& o = g.operands[0];
  if (o.type == ZYDIS_OPERAND_TYPE_IMMEDIATE) {
    push_constant(g.insn.imm, site(true));
    return;
  }
  const Gp sp = gpq(kHostOf[cpu::kRsp]);
  const u8 guest = guest_number(o.reg.value);
  a_.lea(kAddress, ptr(sp, -8));
  check_access(8, true, 1, site(true));
  Gp value = kScratch;
  if (kHostOf[guest] != kNoHost) {
    value = gpq(kHostOf[guest]);
  } else {
    load_guest(kScratch, guest);
  }
  a_.mov(qword_ptr(kAddress), value);
  a_.lea(sp, ptr(sp, -8));
}

void BlockEmitter::pop(const GuestInsn& g) {
  const Gp sp = gpq(kHostOf[cpu::kRsp]);
  const u8 guest = guest_number(g.operands[0].reg.value);
  a_.mov(kAddress, sp);
  check_access(8, false, 1, site(true));
  // The new value of RSP is what POP RSP reads.
  if (guest != cpu::kRsp) a_.lea(sp, ptr(sp, 8));
  if (kHostOf[guest] != kNoHost) {
    a_.mov(gpq(kHostOf[guest]), qword_ptr(kAddress));
  } else {
    a_.mov(kScratch, qword_ptr(kAddress));
    store_guest(guest, kScratch);
  }
}

void BlockEmitter::leave() {
  const Gp sp = gpq(kHostOf[cpu::kRsp]);
  const Gp bp = gpq(kHostOf[cpu::kRbp]);
  a_.mov(kAddress, bp);
  check_access(8, false, 1, site(true));
  a_.lea(sp, ptr(bp, 8));
  a_.mov(bp, qword_ptr(kAddress));
}

}  // namespace orrery::jit::x64
