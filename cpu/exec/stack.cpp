// PUSH POP PUSHA POPA PUSHF POPF ENTER LEAVE. [SDM2], [APM3 3]
#include "cpu/exec/stack.h"

#include "cpu/exec/common.h"
#include "cpu/exec/selectors.h"
#include "cpu/flags.h"

namespace orrery::cpu::exec {
namespace {

template <class T>
Outcome push_operand(Vcpu& cpu, const Insn& insn) {
  T value;
  if (!read_operand<T>(cpu, insn, 0, value)) return Outcome::kFault;
  return push<T>(cpu, value) ? Outcome::kNext : Outcome::kFault;
}
template <class T>
Outcome push_reg(Vcpu& cpu, const Insn& insn) {
  return push<T>(cpu, cpu.reg<T>(insn.op[0])) ? Outcome::kNext : Outcome::kFault;
}

template <class T>
Outcome pop_reg(Vcpu& cpu, const Insn& insn) {
  T value;
  if (!peek<T>(cpu, 0, value)) return Outcome::kFault;
  drop(cpu, sizeof(T));
  cpu.set_reg<T>(insn.op[0], value);  // POP RSP: the popped value wins
  return Outcome::kNext;
}
template <class T>
Outcome pop_mem(Vcpu& cpu, const Insn& insn) {
  T value;
  if (!peek<T>(cpu, 0, value)) return Outcome::kFault;
  // An address based on RSP is computed after RSP was raised [SDM2 POP].
  const u64 old = cpu.state.gpr[kRsp];
  drop(cpu, sizeof(T));
  if (!cpu.write<T>(insn, value)) {
    cpu.state.gpr[kRsp] = old;
    return Outcome::kFault;
  }
  return Outcome::kNext;
}

template <class T>
Outcome pusha(Vcpu& cpu, const Insn&) {
  const u64 mask = stack_mask(cpu);
  const u64 sp = cpu.state.gpr[kRsp];
  // One push after the other: a fault leaves what has been written, and the stack pointer as it was.
  for (unsigned i = 0; i < 8; ++i) {
    if (!cpu.write<T>(kSs, (sp - (i + 1) * sizeof(T)) & mask, static_cast<T>(cpu.state.gpr[i])))
      return Outcome::kFault;
  }
  set_stack_pointer(cpu, sp - 8 * sizeof(T), mask);
  return Outcome::kNext;
}
template <class T>
Outcome popa(Vcpu& cpu, const Insn&) {
  // A fault leaves what has been popped in its registers, and the stack pointer as it was: a zen does so.
  for (u8 i = 8; i-- > 0;) {
    T value;
    if (!peek<T>(cpu, (7u - i) * sizeof(T), value)) return Outcome::kFault;
    if (i != kRsp) cpu.set_reg<T>(i, value);
  }
  drop(cpu, 8 * sizeof(T));
  return Outcome::kNext;
}

template <class T>
Outcome pushf(Vcpu& cpu, const Insn&) {
  using namespace rflags;
  u64 image = cpu.state.rflags & ~(VM | RF);
  if (cpu.vm86() && (image & IOPL) != IOPL) {
    if (sizeof(T) != 2 || (cpu.state.cr4 & cr4::VME) == 0) return cpu.raise(kGP, 0);
    image = virtual_flags_image(image);
  }
  const T value = static_cast<T>(image);
  return push<T>(cpu, value) ? Outcome::kNext : Outcome::kFault;
}
template <class T>
Outcome popf(Vcpu& cpu, const Insn&) {
  using namespace rflags;
  const bool virtual_if = cpu.vm86() && (cpu.state.rflags & IOPL) != IOPL;
  if (virtual_if && (sizeof(T) != 2 || (cpu.state.cr4 & cr4::VME) == 0)) return cpu.raise(kGP, 0);
  T value;
  if (!peek<T>(cpu, 0, value)) return Outcome::kFault;
  if (virtual_if) [[unlikely]] {
    if (!virtual_interrupt_flag_allowed(cpu, value)) return Outcome::kFault;
    drop(cpu, sizeof(T));
    cpu.state.rflags = with_virtual_interrupt_flag(cpu.state.rflags, value) & ~RF;
    return Outcome::kNext;
  }
  drop(cpu, sizeof(T));
  u64 mask = kArithmetic | TF | DF | NT;
  if (sizeof(T) > 2) mask |= AC | ID;
  if (cpu.cpl() <= cpu.iopl()) mask |= IF;
  if (cpu.cpl() == 0) mask |= IOPL;
  // Intel's processors clear VIF and VIP; AMD's leave them [APM3 POPF].
  if (sizeof(T) > 2 && !cpu.vm86() && !cpu.model().amd) cpu.state.rflags &= ~(VIF | VIP);
  const u64 before = cpu.state.rflags;
  cpu.state.rflags = (before & ~(mask | RF)) | (value & mask) | kFixed;
  const u64 changed = before ^ cpu.state.rflags;
  if ((changed & AC) != 0) cpu.mode_changed();
  if ((cpu.state.rflags & (TF | IF)) == 0 && (changed & (TF | IF | AC)) == 0) return Outcome::kNext;
  cpu.flags_loaded();
  return Outcome::kEndTrace;
}

template <class T>
Outcome enter(Vcpu& cpu, const Insn& insn) {
  const u64 mask = stack_mask(cpu);
  const u64 size = insn.imm & 0xffff;
  const unsigned level = static_cast<unsigned>(insn.imm >> 32) & 31;
  const u64 rsp = cpu.state.gpr[kRsp];
  const u64 rbp = cpu.state.gpr[kRbp];
  u64 sp = rsp - sizeof(T);
  if (!cpu.write<T>(kSs, sp & mask, static_cast<T>(rbp))) return Outcome::kFault;
  const u64 frame = sp;
  for (unsigned i = 1; i < level; ++i) {
    T link;
    if (!cpu.read<T>(kSs, (rbp - i * sizeof(T)) & mask, link)) return Outcome::kFault;
    sp -= sizeof(T);
    if (!cpu.write<T>(kSs, sp & mask, link)) return Outcome::kFault;
  }
  if (level > 0) {
    sp -= sizeof(T);
    if (!cpu.write<T>(kSs, sp & mask, static_cast<T>(frame))) return Outcome::kFault;
  }
  sp -= size;
  // The new top must be writable, or the instruction faults with nothing changed [SDM2 ENTER].
  // With alignment checks it must be aligned, too.
  if (!cpu.probe_write(kSs, sp & mask, cpu.alignment_checked() ? sizeof(T) : 1)) return Outcome::kFault;
  set_stack_pointer(cpu, sp, mask);
  cpu.set_reg<T>(kRbp, static_cast<T>(frame & mask));
  return Outcome::kNext;
}
template <class T>
Outcome leave(Vcpu& cpu, const Insn&) {
  const u64 mask = stack_mask(cpu);
  const u64 frame = cpu.state.gpr[kRbp] & mask;
  T value;
  if (!cpu.read<T>(kSs, frame, value)) return Outcome::kFault;
  set_stack_pointer(cpu, frame + sizeof(T), mask);
  cpu.set_reg<T>(kRbp, value);
  return Outcome::kNext;
}

}  // namespace

Handler select_push(const Insn& insn, const DecodedForm& f) {
  if (f.kind[0] == OperandKind::kSegment) return select_push_segment(insn, f);
  const unsigned bits = 8u << insn.operand_log2();
  if (f.kind[0] == OperandKind::kGpr) return ORRERY_BY_SIZE_NO8(bits, push_reg);
  return ORRERY_BY_SIZE_NO8(bits, push_operand);
}
Handler select_pop(const Insn& insn, const DecodedForm& f) {
  if (f.kind[0] == OperandKind::kSegment) return select_pop_segment(insn, f);
  const unsigned bits = 8u << insn.operand_log2();
  if (f.kind[0] == OperandKind::kGpr) return ORRERY_BY_SIZE_NO8(bits, pop_reg);
  return ORRERY_BY_SIZE_NO8(bits, pop_mem);
}
Handler select_pusha(const Insn&, const DecodedForm&) { return pusha<u16>; }
Handler select_pushad(const Insn&, const DecodedForm&) { return pusha<u32>; }
Handler select_popa(const Insn&, const DecodedForm&) { return popa<u16>; }
Handler select_popad(const Insn&, const DecodedForm&) { return popa<u32>; }
Handler select_pushf(const Insn&, const DecodedForm&) { return pushf<u16>; }
Handler select_pushfd(const Insn&, const DecodedForm&) { return pushf<u32>; }
Handler select_pushfq(const Insn&, const DecodedForm&) { return pushf<u64>; }
Handler select_popf(const Insn&, const DecodedForm&) { return popf<u16>; }
Handler select_popfd(const Insn&, const DecodedForm&) { return popf<u32>; }
Handler select_popfq(const Insn&, const DecodedForm&) { return popf<u64>; }
Handler select_enter(const Insn& insn, const DecodedForm&) {
  return ORRERY_BY_SIZE_NO8(8u << insn.operand_log2(), enter);
}
Handler select_leave(const Insn& insn, const DecodedForm&) {
  return ORRERY_BY_SIZE_NO8(8u << insn.operand_log2(), leave);
}

}  // namespace orrery::cpu::exec
