// Near control flow: JMP CALL RET Jcc LOOP JCXZ. Targets are checked before anything changes. [SDM2], [APM3
// 3]
#include "cpu/exec/common.h"
#include "cpu/exec/selectors.h"
#include "cpu/exec/stack.h"
#include "cpu/flags.h"

namespace orrery::cpu::exec {
namespace {

/// #GP(0) unless the target is canonical (64-bit code) or within the code segment.
inline bool check_target(Vcpu& cpu, u64 target) {
  if (cpu.long64() ? cpu.canonical(target) : target <= cpu.state.seg[kCs].limit) [[likely]]
    return true;
  cpu.raise(kGP, 0);
  return false;
}

inline u64 relative_target(const Vcpu& cpu, const Insn& insn) {
  return (cpu.state.gpr[kRip] + insn.imm) & low_mask(8u << insn.operand_log2());
}

Outcome jmp_relative(Vcpu& cpu, const Insn& insn) {
  const u64 target = relative_target(cpu, insn);
  if (!check_target(cpu, target)) return Outcome::kFault;
  cpu.state.gpr[kRip] = target;
  return Outcome::kEndTrace;
}
template <class T>
Outcome jmp_indirect(Vcpu& cpu, const Insn& insn) {
  T target;
  if (!read_operand<T>(cpu, insn, 0, target) || !check_target(cpu, target)) return Outcome::kFault;
  cpu.state.gpr[kRip] = target;
  return Outcome::kEndTrace;
}

/// A stack that cannot be written comes before a target that cannot be reached, as on AMD's processors.
template <class T>
bool call_to(Vcpu& cpu, u64 target) {
  const u64 mask = stack_mask(cpu);
  const bool reachable = cpu.long64() ? cpu.canonical(target) : target <= cpu.state.seg[kCs].limit;
  if (!reachable) [[unlikely]] {
    if (cpu.probe_write(kSs, (cpu.state.gpr[kRsp] - sizeof(T)) & mask, sizeof(T))) cpu.raise(kGP, 0);
    return false;
  }
  if (!push<T>(cpu, static_cast<T>(cpu.state.gpr[kRip]))) return false;
  cpu.state.gpr[kRip] = target;
  return true;
}

template <class T>
Outcome call_relative(Vcpu& cpu, const Insn& insn) {
  return call_to<T>(cpu, relative_target(cpu, insn)) ? Outcome::kEndTrace : Outcome::kFault;
}
template <class T>
Outcome call_indirect(Vcpu& cpu, const Insn& insn) {
  T target;
  return read_operand<T>(cpu, insn, 0, target) && call_to<T>(cpu, target) ? Outcome::kEndTrace
                                                                          : Outcome::kFault;
}

template <class T>
Outcome ret(Vcpu& cpu, const Insn& insn) {
  T target;
  if (!peek<T>(cpu, 0, target) || !check_target(cpu, target)) return Outcome::kFault;
  drop(cpu, sizeof(T) + (insn.op[0] == kImmOperand ? insn.imm & 0xffff : 0));
  cpu.state.gpr[kRip] = target;
  return Outcome::kEndTrace;
}

template <unsigned kCc>
Outcome jcc(Vcpu& cpu, const Insn& insn) {
  if (!condition<kCc>(cpu.state.rflags)) return Outcome::kNext;
  return jmp_relative(cpu, insn);
}

/// The counter register of LOOP and JCXZ has the address size.
inline u64 counter(const Vcpu& cpu, const Insn& insn) { return cpu.state.gpr[kRcx] & insn.address_mask(); }

enum class LoopKind : u8 { kLoop, kLoope, kLoopne };
template <LoopKind kKind>
Outcome loop(Vcpu& cpu, const Insn& insn) {
  const u64 mask = insn.address_mask();
  const u64 left = (cpu.state.gpr[kRcx] - 1) & mask;
  const bool zf = (cpu.state.rflags & rflags::ZF) != 0;
  const bool taken = left != 0 && (kKind == LoopKind::kLoop || zf == (kKind == LoopKind::kLoope));
  const u64 target = relative_target(cpu, insn);
  if (taken && !check_target(cpu, target)) return Outcome::kFault;
  if (mask == 0xffff) {
    cpu.set_reg<u16>(kRcx, static_cast<u16>(left));
  } else {
    cpu.state.gpr[kRcx] = left;
  }
  if (!taken) return Outcome::kNext;
  cpu.state.gpr[kRip] = target;
  return Outcome::kEndTrace;
}
Outcome jcxz(Vcpu& cpu, const Insn& insn) {
  return counter(cpu, insn) == 0 ? jmp_relative(cpu, insn) : Outcome::kNext;
}

}  // namespace

Handler select_jmp(const Insn& insn, const DecodedForm& f) {
  if (f.kind[0] == OperandKind::kFarPointer || (f.opcode == 0xff && ((f.modrm >> 3) & 7) == 5)) {
    return select_jmp_far(insn, f);
  }
  if (f.kind[0] == OperandKind::kImm) return jmp_relative;
  return ORRERY_BY_SIZE_NO8(f.size_bits[0], jmp_indirect);
}
Handler select_call(const Insn& insn, const DecodedForm& f) {
  if (f.kind[0] == OperandKind::kFarPointer || (f.opcode == 0xff && ((f.modrm >> 3) & 7) == 3)) {
    return select_call_far(insn, f);
  }
  if (f.kind[0] == OperandKind::kImm) return ORRERY_BY_SIZE_NO8(8u << insn.operand_log2(), call_relative);
  return ORRERY_BY_SIZE_NO8(f.size_bits[0], call_indirect);
}
Handler select_ret_near(const Insn& insn) { return ORRERY_BY_SIZE_NO8(8u << insn.operand_log2(), ret); }
Handler select_loop(const Insn&, const DecodedForm&) { return loop<LoopKind::kLoop>; }
Handler select_loope(const Insn&, const DecodedForm&) { return loop<LoopKind::kLoope>; }
Handler select_loopne(const Insn&, const DecodedForm&) { return loop<LoopKind::kLoopne>; }
Handler select_jcxz(const Insn&, const DecodedForm&) { return jcxz; }

#define ORRERY_CONDITION(name, cc) \
  Handler select_j##name(const Insn&, const DecodedForm&) { return jcc<cc>; }
#include "cpu/exec/conditions.inc"
#undef ORRERY_CONDITION

}  // namespace orrery::cpu::exec
