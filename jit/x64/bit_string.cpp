// BT, BTS, BTR and BTC of a bit string in memory, by a register: the operand lies as far from the address as
// the bit does. [SDM2 BT], [SDM2 3.1.1.9 BitAddr]
#include <bit>

#include "jit/x64/block_emitter.h"

namespace orrery::jit::x64 {

using namespace asmjit;
using namespace asmjit::x86;

bool is_bit_string(const GuestInsn& g) {
  switch (g.z.mnemonic) {
    case ZYDIS_MNEMONIC_BT:
    case ZYDIS_MNEMONIC_BTS:
    case ZYDIS_MNEMONIC_BTR:
    case ZYDIS_MNEMONIC_BTC:
      return g.operands[0].type == ZYDIS_OPERAND_TYPE_MEMORY &&
             g.operands[1].type == ZYDIS_OPERAND_TYPE_REGISTER;
    default:
      return false;
  }
}

void BlockEmitter::bit_string(const GuestInsn& g) {
  const unsigned bytes = g.operands[0].size / 8;
  const auto log2_bytes = static_cast<u32>(std::countr_zero(bytes));
  const u8 guest = guest_number(g.operands[1].reg.value);
  const bool writes = g.z.mnemonic != ZYDIS_MNEMONIC_BT;
  save_plain_flags();
  linear_address(g.operands[0].mem, 8 * word_, g, kAddress);
  if (kHostOf[guest] == kNoHost) {
    load_guest(kScratch, guest);
  } else {
    a_.mov(kScratch, gpq(kHostOf[guest]));
  }
  if (bytes == 4) a_.movsxd(kScratch, kScratch.r32());
  if (bytes == 2) a_.movsx(kScratch, kScratch.r16());
  a_.sar(kScratch, log2_bytes + 3);
  a_.lea(word(kAddress), ptr(kAddress, kScratch, log2_bytes));
  check_access(bytes, writes, 1, site(true));
  // Of the six flags only CF changes.
  flags_ = Flags::kImage;
  need_flags();
  const Gp value = gp(kScratchId, bytes);
  Gp offset = gp(kIndexId, bytes);
  a_.mov(value, ptr(kAddress, 0, bytes));
  if (kHostOf[guest] == kNoHost) {
    load_guest(kIndex, guest);
  } else {
    offset = gp(kHostOf[guest], bytes);
  }
  if (a_.emit(host_instruction(g.z.mnemonic), value, offset) != kErrorOk) failed_ = true;
  if (writes) a_.mov(ptr(kAddress, 0, bytes), value);
  flags_ = Flags::kHost;
  set_producer(kNoProducer);
}

}  // namespace orrery::jit::x64
