// DIV and IDIV run natively only where they cannot raise #DE; the rest is the handler's.
#include "jit/x64/block_emitter.h"

namespace orrery::jit::x64 {

using namespace asmjit;
using namespace asmjit::x86;

// Unsigned: the quotient fits exactly when the high half of the dividend is below the divisor. Signed: it
// fits when the dividend is the sign extension of its low half and the divisor is neither 0 nor -1.
void BlockEmitter::divide(const GuestInsn& g) {
  const cpu::OperandView& o = g.operands[0];
  const unsigned bytes = o.size / 8;
  save_plain_flags();
  const Label miss = site(true);
  Gp divisor = gp(kAddressId, bytes);
  if (o.type == ZYDIS_OPERAND_TYPE_MEMORY) {
    linear_address(o.mem, g.z.address_width, g, kAddress);
    check_access(bytes, false, 1, miss);
    a_.mov(divisor, ptr(kAddress, 0, bytes));
  } else {
    const u8 guest = guest_number(o.reg.value);
    if (kHostOf[guest] != kNoHost) {
      divisor = gp(kHostOf[guest], bytes);
    } else {
      load_guest(kAddress, guest);
    }
  }
  const Gp low = gp(0, bytes), high = gp(2, bytes);
  if (g.z.mnemonic == ZYDIS_MNEMONIC_DIV) {
    a_.cmp(high, divisor);
    a_.jae(miss);
  } else {
    const Gp scratch = gp(kScratchId, bytes);
    a_.mov(scratch, low);
    a_.sar(scratch, 8 * bytes - 1);
    a_.cmp(scratch, high);
    a_.jne(miss);
    a_.mov(scratch, divisor);
    a_.add(scratch, 1);
    a_.cmp(scratch, 1);
    a_.jbe(miss);
  }
  flags_ = Flags::kImage;
  // CF and OF stay; SF, ZF and PF become 0 and AF 1, but not on every host.
  const bool same = context_.host_profile.is_same(), live = g.flags_live_after != 0;
  if (same) {
    need_flags();
  } else if (live && image_ != kPlain) {
    need_flags();
    emit_save_flags();
    image_ = kPlain;
  }
  if (g.z.mnemonic == ZYDIS_MNEMONIC_DIV) {
    a_.div(divisor);
  } else {
    a_.idiv(divisor);
  }
  if (!same) {
    flags_ = Flags::kImage;
    if (!live) return;
    a_.and_(image_flags(), static_cast<u32>(cpu::rflags::CF));
    a_.or_(image_flags(), static_cast<u32>(cpu::rflags::AF));
    return;
  }
  flags_ = Flags::kHost;
  set_producer(kNoProducer);
}

}  // namespace orrery::jit::x64
