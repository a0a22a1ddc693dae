// The host's calling convention is the System V ABI's: rdi, rsi; rbx, rbp, r12 to r15 are kept.
#include "jit/x64/stubs.h"

namespace orrery::jit::x64 {
namespace {

using namespace asmjit;
using namespace asmjit::x86;

constexpr unsigned kVectors = 16;

void load_vectors(Assembler& a, const cpu::Vcpu::Layout& layout) {
  a.stmxcsr(dword_ptr(kState, ORRERY_SLOT(layout, host_mxcsr)));
  a.ldmxcsr(dword_ptr(kState, ORRERY_STATE(mxcsr)));
  for (unsigned i = 0; i < kVectors; ++i)
    a.vmovups(ymm(i), ymmword_ptr(kState, ORRERY_STATE(vec) + static_cast<i32>(i * sizeof(cpu::Vec))));
  a.mov(byte_ptr(kState, ORRERY_SLOT(layout, vectors_loaded)), 1);
}

void enter(Assembler& a, const cpu::Vcpu::Layout& layout, bool with_vectors) {
  for (const Gp& reg : {rbx, rbp, r12, r13, r14, r15}) a.push(reg);
  a.sub(rsp, 8);
  a.mov(kState, rdi);
  a.mov(qword_ptr(kState, ORRERY_SLOT(layout, entry)), rsi);
  if (with_vectors) load_vectors(a, layout);
  for (unsigned i = 0; i < 16; ++i) {
    if (kHostOf[i] != kNoHost) a.mov(gpq(kHostOf[i]), qword_ptr(kState, static_cast<i32>(8 * i)));
  }
  a.jmp(qword_ptr(kState, ORRERY_SLOT(layout, entry)));
}

}  // namespace

Stubs emit_stubs(CodeArena& arena, const cpu::Vcpu::Layout& layout) {
  Stubs stubs;
  stubs.exit = emit_stub(arena, [&](Assembler& a) {
    const Label save = a.newLabel();
    const Label done = a.newLabel();
    const Label save_fpu = a.newLabel();
    const Label fpu_done = a.newLabel();
    for (unsigned i = 0; i < 16; ++i) {
      if (kHostOf[i] != kNoHost) a.mov(qword_ptr(kState, static_cast<i32>(8 * i)), gpq(kHostOf[i]));
    }
    a.mov(rax, kAddress);
    a.cmp(byte_ptr(kState, ORRERY_SLOT(layout, vectors_loaded)), 0);
    a.jne(save);
    a.bind(done);
    a.cmp(byte_ptr(kState, ORRERY_SLOT(layout, x87_loaded)), 0);
    a.jne(save_fpu);
    a.bind(fpu_done);
    a.add(rsp, 8);
    for (const Gp& reg : {r15, r14, r13, r12, rbp, rbx}) a.pop(reg);
    a.ret();
    a.bind(save);
    for (unsigned i = 0; i < kVectors; ++i)
      a.vmovups(ymmword_ptr(kState, ORRERY_STATE(vec) + static_cast<i32>(i * sizeof(cpu::Vec))), ymm(i));
    a.vzeroupper();
    a.stmxcsr(dword_ptr(kState, ORRERY_STATE(mxcsr)));
    a.ldmxcsr(dword_ptr(kState, ORRERY_SLOT(layout, host_mxcsr)));
    a.mov(byte_ptr(kState, ORRERY_SLOT(layout, vectors_loaded)), 0);
    a.jmp(done);
    a.bind(save_fpu);
    save_x87(a, layout);
    a.jmp(fpu_done);
  });
  const u32 plain = emit_stub(arena, [&](Assembler& a) { enter(a, layout, false); });
  const u32 with_vectors = emit_stub(arena, [&](Assembler& a) { enter(a, layout, true); });
  stubs.load_vectors = emit_stub(arena, [&](Assembler& a) {
    load_vectors(a, layout);
    a.ret();
  });
  stubs.load_x87 = emit_stub(arena, [&](Assembler& a) {
    load_x87(a, layout);
    a.ret();
  });
  stubs.enter = reinterpret_cast<Enter>(reinterpret_cast<u64>(arena.executable(plain)));
  stubs.enter_with_vectors = reinterpret_cast<Enter>(reinterpret_cast<u64>(arena.executable(with_vectors)));
  return stubs;
}

u32 emit_indirect_stub(CodeArena& arena, const cpu::Vcpu::Layout& layout, u32 exit, u32 key) {
  const i32 bank = layout.code_banks[(key >> block_key::kViewShift) & 3];
  return emit_stub(arena, [&](Assembler& a) {
    const Label miss = a.newLabel();
    // The code page must be in the quick TLB ...
    a.mov(kScratch.r32(), kAddress.r32());
    a.shr(kScratch.r32(), 8);
    a.and_(kScratch.r32(), static_cast<u32>(cpu::FastBank::kCodeIndexMask << 4));
    a.mov(kIndex, kAddress);
    a.xor_(kIndex,
           qword_ptr(kState, kScratch, 0, bank + static_cast<i32>(offsetof(cpu::FastCodeEntry, tag))));
    a.cmp(kIndex, 4095);
    a.ja(miss);
    a.mov(kScratch,
          qword_ptr(kState, kScratch, 0, bank + static_cast<i32>(offsetof(cpu::FastCodeEntry, delta))));
    // ... and the table must know where its translation is.
    a.mov(kIndex, kAddress);
    a.shr(kIndex, 12);
    a.xor_(kIndex, kAddress);
    a.and_(kIndex.r32(), kJumpEntries - 1);
    a.shl(kIndex.r32(), 5);
    a.add(kIndex, qword_ptr(kState, ORRERY_SLOT(layout, jump_table)));
    a.cmp(qword_ptr(kIndex, offsetof(JumpEntry, rip)), kAddress);
    a.jne(miss);
    a.cmp(qword_ptr(kIndex, offsetof(JumpEntry, delta)), kScratch);
    a.jne(miss);
    a.cmp(dword_ptr(kIndex, offsetof(JumpEntry, key)), key);
    a.jne(miss);
    a.jmp(qword_ptr(kIndex, offsetof(JumpEntry, code)));
    a.bind(miss);
    a.mov(qword_ptr(kState, 8 * cpu::kRip), kAddress);
    a.mov(kAddress.r32(), static_cast<u32>(ExitKind::kIndirect));
    a.jmp(imm(reinterpret_cast<u64>(arena.executable(exit))));
  });
}

}  // namespace orrery::jit::x64
