// The system instructions that a kernel runs all the time, at CPL 0 (blocks at CPL 1 and 2 are not
// translated; at CPL 3 the handlers run).
#include "jit/x64/block_emitter.h"

namespace orrery::jit::x64 {

using namespace asmjit;
using namespace asmjit::x86;

void BlockEmitter::emit_system(const GuestInsn& g) {
  save_flags();
  switch (g.z.mnemonic) {
    case ZYDIS_MNEMONIC_CLI:
      a_.and_(dword_ptr(kState, ORRERY_STATE(rflags)), ~static_cast<u32>(cpu::rflags::IF));
      break;
    case ZYDIS_MNEMONIC_SWAPGS: {
      const Mem base = qword_ptr(
          kState, ORRERY_STATE(seg) +
                      static_cast<i32>(cpu::kGs * sizeof(cpu::Segment) + offsetof(cpu::Segment, base)));
      const Mem other = qword_ptr(kState, ORRERY_STATE(kernel_gs_base));
      a_.mov(kIndex, base);
      a_.mov(kScratch, other);
      a_.mov(base, kScratch);
      a_.mov(qword_ptr(kState, context_.layout.flat_bases + 8 * cpu::kGs), kScratch);
      a_.mov(other, kIndex);
      break;
    }
    default:
      push_flags();
      break;
  }
  flags_ = Flags::kImage;
}

// PUSHFQ: the arithmetic flags come from the image, the others from the state, VM and RF are 0.
void BlockEmitter::push_flags() {
  using namespace cpu::rflags;
  const Gp sp = gpq(kHostOf[cpu::kRsp]);
  const i32 image = ORRERY_SLOT(context_.layout, flags_image);
  a_.lea(kAddress, ptr(sp, -8));
  check_access(8, true, 1, site(true));
  a_.mov(kScratch.r32(), dword_ptr(kState, ORRERY_STATE(rflags)));
  a_.and_(kScratch.r32(), static_cast<u32>(~(kArithmetic | VM | RF)));
  a_.movzx(kIndex.r32(), byte_ptr(kState, image + 1));
  a_.or_(kScratch.r32(), kIndex.r32());
  a_.movzx(kIndex.r32(), byte_ptr(kState, image));
  a_.shl(kIndex.r32(), 11);
  a_.or_(kScratch.r32(), kIndex.r32());
  a_.mov(qword_ptr(kAddress), kScratch);
  a_.lea(sp, ptr(sp, -8));
}

}  // namespace orrery::jit::x64
