// MOVS, STOS, CMPS, SCAS and a single LODS that stay in their pages and in the budget: the host's own
// instruction does them. Ticks as in cpu/exec/string.cpp: one for each started group of 64 bytes of MOVS and
// STOS, one for each iteration of CMPS and SCAS. Everything else is the handler's.
#include <bit>

#include "jit/x64/block_emitter.h"

namespace orrery::jit::x64 {

using namespace asmjit;
using namespace asmjit::x86;

namespace {

constexpr unsigned kGroupShift = 6;

struct StringForm {
  u8 opcode;  // of the byte form
  bool source, target, writes, compares;
  bool loads = false;  // LODS
};

std::optional<StringForm> form_of(const GuestInsn& g) {
  const u8 opcode = g.z.opcode & 0xfe;
  if (g.z.opcode_map != ZYDIS_OPCODE_MAP_DEFAULT) return std::nullopt;
  switch (opcode) {
    case 0xa4:
      return StringForm{opcode, true, true, true, false};
    case 0xa6:
      return StringForm{opcode, true, true, false, true};
    case 0xaa:
      return StringForm{opcode, false, true, true, false};
    case 0xac:
      return StringForm{opcode, true, false, false, false, true};
    case 0xae:
      return StringForm{opcode, false, true, false, true};
    default:
      return std::nullopt;
  }
}

}  // namespace

bool string_is_native(const GuestInsn& g) {
  const auto form = form_of(g);
  const bool repeated = g.insn.has(cpu::insn_flag::kRep) || g.insn.has(cpu::insn_flag::kRepne);
  const bool wide = word_bytes(g) == 8;
  return form && g.z.address_width == 8 * word_bytes(g) && g.insn.segment() != cpu::kFs &&
         g.insn.segment() != cpu::kGs && (wide || g.insn.segment() != cpu::kCs) && !(form->loads && repeated);
}

void BlockEmitter::check_string(bool write, unsigned bytes, bool repeated, const Gp& pointer,
                                const Label& miss) {
  a_.mov(word(kAddress), word(pointer));
  check_access(bytes, write, 1, miss);
  if (!repeated) return;
  // All of it must lie in the page of the first element.
  a_.mov(kScratch.r32(), ecx);
  if (bytes > 1) a_.shl(kScratch.r32(), static_cast<u32>(std::countr_zero(bytes)));
  a_.mov(kIndex.r32(), kAddress.r32());
  a_.and_(kIndex.r32(), 4095);
  a_.add(kIndex.r32(), kScratch.r32());
  a_.cmp(kIndex.r32(), 4096);
  a_.ja(miss);
}

void BlockEmitter::load_string(unsigned bytes, const Label& miss) {
  check_string(false, bytes, false, rsi, miss);
  a_.mov(gp(0, bytes), ptr(kAddress, 0, bytes));
  a_.lea(word(rsi), ptr(rsi, static_cast<i32>(bytes)));
  flags_ = Flags::kImage;
}

void BlockEmitter::string(const GuestInsn& g) {
  const StringForm form = *form_of(g);
  const unsigned bytes = (g.z.opcode & 1) == 0 ? 1 : g.insn.operand_bytes();
  const bool repeated = g.insn.has(cpu::insn_flag::kRep) || g.insn.has(cpu::insn_flag::kRepne);
  const Mem ticks = qword_ptr(kState, context_.layout.ticks_left);
  const Mem source = qword_ptr(kState, 8 * cpu::kRip);  // waits in the state
  const Mem before = qword_ptr(kState, ORRERY_SLOT(context_.layout, kept_operand));
  save_flags();
  const Label miss = site(true), done = a_.newLabel();
  a_.test(dword_ptr(kState, ORRERY_STATE(rflags)), static_cast<u32>(cpu::rflags::DF));
  a_.jnz(miss);
  if (form.loads) {
    load_string(bytes, miss);
    return;
  }
  if (repeated) {
    if (word_ == 4) {
      a_.mov(kScratch, rcx);  // the host counts in all of it
      a_.shr(kScratch, 32);
      a_.jnz(miss);
    }
    a_.mov(byte_ptr(kState, ORRERY_STATE(in_repeat)), 0);
    a_.test(rcx, rcx);
    a_.jz(form.compares ? miss : done);  // no iteration leaves the flags alone
    a_.cmp(rcx, 4096 / bytes);
    a_.ja(miss);
  }
  if (form.source) {
    check_string(false, bytes, repeated, rsi, miss);
    a_.mov(source, kAddress);
  }
  check_string(form.writes, bytes, repeated, rdi, miss);
  if (repeated && form.compares) {
    a_.lea(kIndex, ptr(rcx, -1));
    a_.cmp(ticks, kIndex);
    a_.jl(miss);
    a_.not_(kIndex);  // -rcx
    a_.mov(before, kIndex);
  } else if (repeated) {
    a_.sub(kScratch, 1);
    a_.shr(kScratch, kGroupShift);
    a_.cmp(ticks, kScratch);
    a_.jl(miss);
    a_.sub(ticks, kScratch);
  }
  // The pointers become the host's, and kIndex and kScratch what makes them the guest's again.
  a_.mov(kIndex, rdi);
  a_.sub(kIndex, kAddress);
  a_.mov(rdi, kAddress);
  if (form.source) {
    a_.mov(kAddress, source);
    a_.mov(kScratch, rsi);
    a_.sub(kScratch, kAddress);
    a_.mov(rsi, kAddress);
  }
  u8 code[4];
  size_t length = 0;
  if (bytes == 2) code[length++] = 0x66;
  if (repeated) code[length++] = form.compares && g.insn.has(cpu::insn_flag::kRepne) ? 0xf2 : 0xf3;
  if (bytes == 8) code[length++] = 0x48;
  code[length++] = static_cast<u8>(form.opcode | (bytes == 1 ? 0 : 1));
  a_.embed(code, length);
  a_.lea(word(rdi), ptr(rdi, kIndex));
  if (form.source) a_.lea(word(rsi), ptr(rsi, kScratch));
  if (repeated && form.compares) {
    // All iterations but one, whose tick the block has paid; EFLAGS stay.
    a_.mov(kAddress, before);
    a_.lea(kAddress, ptr(kAddress, rcx, 0, 1));
    a_.mov(kIndex, ticks);
    a_.lea(kIndex, ptr(kIndex, kAddress));
    a_.mov(ticks, kIndex);
  }
  a_.bind(done);
  flags_ = form.compares ? Flags::kHost : Flags::kImage;
  if (form.compares) af_is_set_ = false;
  set_producer(kNoProducer);
}

}  // namespace orrery::jit::x64
