// The guest's x87 state on its way into the host's and back. What C++ code runs with is an empty stack and
// the host's own control word [SysV ABI 3.2.1]; the pointers stay in CpuState. FXRSTOR would load XMM
// registers, too, and costs more.
#include "jit/x64/stubs.h"

namespace orrery::jit::x64 {

using namespace asmjit;
using namespace asmjit::x86;

namespace {

constexpr i32 kRegisterBytes = sizeof(cpu::Float80);
static_assert(kRegisterBytes == 16);  // as in FXSAVE's area

i32 register_at(unsigned i) { return ORRERY_STATE(fpr) + static_cast<i32>(i) * kRegisterBytes; }

}  // namespace

void load_x87(Assembler& a, const cpu::Vcpu::Layout& layout) {
  const i32 image = layout.x87_image;
  const Label top_is_0 = a.newLabel(), loaded = a.newLabel();
  a.cmp(byte_ptr(kState, ORRERY_SLOT(layout, x87_loaded)), 0);
  a.jne(loaded);
  a.fnstcw(word_ptr(kState, ORRERY_SLOT(layout, host_fcw)));
  // With TOP 0, eight loads put each register into its place, whatever its tag will be.
  a.fnstsw(word_ptr(kState, image));
  a.test(byte_ptr(kState, image + 1), cpu::fsw::TOP >> 8);
  a.jz(top_is_0);
  a.fninit();
  a.bind(top_is_0);
  for (unsigned i = 8; i-- > 0;) a.fld(tbyte_ptr(kState, register_at(i)));
  // The environment of 28 bytes; its tags have two bits each, 3 for an empty register. [SDM1 figure 8-9]
  const Gp word = kScratch.r32(), shifted = kIndex.r32();
  a.movzx(word, word_ptr(kState, ORRERY_STATE(fcw)));
  a.mov(dword_ptr(kState, image), word);
  a.movzx(word, word_ptr(kState, ORRERY_STATE(fsw)));
  a.mov(dword_ptr(kState, image + 4), word);
  a.movzx(word, byte_ptr(kState, ORRERY_STATE(ftw)));
  a.xor_(word, 0xff);
  for (const auto& [shift, mask] : {std::pair{4, 0x0f0f}, {2, 0x3333}, {1, 0x5555}}) {
    a.mov(shifted, word);
    a.shl(shifted, shift);
    a.or_(word, shifted);
    a.and_(word, mask);
  }
  a.lea(word, ptr(word, word, 1));
  a.mov(dword_ptr(kState, image + 8), word);
  a.xor_(word, word);
  a.mov(qword_ptr(kState, image + 12), kScratch);
  a.mov(qword_ptr(kState, image + 20), kScratch);
  a.fldenv(ptr(kState, image));
  a.mov(byte_ptr(kState, ORRERY_SLOT(layout, x87_loaded)), 1);
  a.bind(loaded);
}

void save_x87(Assembler& a, const cpu::Vcpu::Layout& layout) {
  const i32 image = layout.x87_image;
  constexpr i32 kRegisters = 32;  // [SDM1 table 10-2]
  a.fxsave64(ptr(kState, image));
  a.movzx(ecx, word_ptr(kState, image));
  a.mov(word_ptr(kState, ORRERY_STATE(fcw)), cx);
  a.movzx(edx, word_ptr(kState, image + 2));
  a.mov(word_ptr(kState, ORRERY_STATE(fsw)), dx);
  a.movzx(ecx, byte_ptr(kState, image + 4));
  a.mov(byte_ptr(kState, ORRERY_STATE(ftw)), cl);
  // ST(i) is physical register TOP + i.
  constexpr u32 kWrap = 8 * kRegisterBytes - 1;
  a.shr(edx, cpu::fsw::kTopShift - 4);
  a.and_(edx, kWrap & ~15u);
  for (i32 i = 0; i < 8; ++i) {
    a.mov(rcx, qword_ptr(kState, image + kRegisters + i * kRegisterBytes));
    a.mov(qword_ptr(kState, rdx, 0, register_at(0)), rcx);
    a.movzx(ecx, word_ptr(kState, image + kRegisters + i * kRegisterBytes + 8));
    a.mov(word_ptr(kState, rdx, 0, register_at(0) + 8), cx);
    a.add(edx, kRegisterBytes);
    a.and_(edx, kWrap);
  }
  a.emms();
  a.fldcw(word_ptr(kState, ORRERY_SLOT(layout, host_fcw)));
  a.mov(byte_ptr(kState, ORRERY_SLOT(layout, x87_loaded)), 0);
}

}  // namespace orrery::jit::x64
