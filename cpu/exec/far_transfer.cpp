// Far JMP and CALL: to code segments, through call gates (16, 32 and 64 bits) and to tasks; INT n, INT3,
// INT1, INTO. [SDM2 JMP, CALL, INT n], [SDM3 5.8, 7.3], [APM2 4.10, 12.3]
#include "cpu/exec/far_transfer.h"

#include "cpu/exec/common.h"
#include "cpu/exec/far_pointer.h"
#include "cpu/exec/selectors.h"
#include "cpu/exec/stack.h"
#include "cpu/system/exception.h"
#include "cpu/system/inner_stack.h"

namespace orrery::cpu::exec {
namespace {

constexpr unsigned kTss16 = 1, kCallGate16 = 4, kTaskGate = 5, kTss32 = 9, kCallGate32 = 12;

enum class Via : u8 { kJmp, kCall };

/// Memory's, or the instruction's own.
bool read_target(Vcpu& cpu, const Insn& insn, FarPointer& out) {
  if (insn.mem_at(0)) return read_far_pointer(cpu, insn, out);
  out = {insn.imm & 0xffffffffu, static_cast<u16>(insn.imm >> 32)};
  if (insn.operand_log2() == 1) out.offset &= 0xffff;
  return true;
}

bool refuse(Vcpu& cpu, Vector vector, u16 selector) {
  cpu.raise(vector, selector_error(selector));
  return false;
}

bool fits_long_mode(const Vcpu& cpu, const Descriptor& d) {
  return !cpu.long_mode() || !d.is_long() || !d.is_default_big();
}

/// Checks a code segment that is named without a gate [SDM3 5.8.1].
bool check_code_segment(Vcpu& cpu, u16 selector, const Descriptor& d) {
  const bool reachable = d.is_conforming()
                             ? d.dpl() <= cpu.cpl()
                             : d.dpl() == cpu.cpl() && (selector & kSelectorRplMask) <= cpu.cpl();
  if (!d.is_code() || !reachable || !fits_long_mode(cpu, d)) return refuse(cpu, kGP, selector);
  return d.present() || refuse(cpu, kNP, selector);
}

/// Writes CS and the return address (size T) where a call without a change of stack pushes them, and gives
/// the stack pointer that comes of it. One push after the other: a fault leaves what has been written.
template <class T>
bool push_return_address(Vcpu& cpu, u64& sp, u64 mask) {
  sp = cpu.state.gpr[kRsp] - 2 * sizeof(T);
  return cpu.write<T>(kSs, (sp + sizeof(T)) & mask, static_cast<T>(cpu.state.seg[kCs].selector)) &&
         cpu.write<T>(kSs, sp & mask, static_cast<T>(cpu.state.gpr[kRip]));
}

/// The stack counts before the target's limit. [APM3 CALL (Far)]; our profile's silicon has pushed when it
/// faults.
template <class T>
Outcome call_code(Vcpu& cpu, u16 selector, Descriptor& code, u64 offset) {
  const u64 mask = stack_mask(cpu);
  u64 sp = 0;
  if (!push_return_address<T>(cpu, sp, mask) || !check_offset(cpu, code, offset) || !mark_accessed(cpu, code))
    return Outcome::kFault;
  set_code_segment(cpu, code, selector, cpu.cpl());
  set_stack_pointer(cpu, sp, mask);
  cpu.state.gpr[kRip] = offset;
  return Outcome::kEndTrace;
}
Outcome jump_code(Vcpu& cpu, u16 selector, Descriptor& code, u64 offset) {
  if (!mark_accessed(cpu, code)) return Outcome::kFault;
  set_code_segment(cpu, code, selector, cpu.cpl());
  cpu.state.gpr[kRip] = offset;
  return Outcome::kEndTrace;
}

// ---- Call gates ----

/// The code segment behind a gate that may be used [SDM3 5.8.4].
bool find_gate_target(Vcpu& cpu, const Descriptor& gate, Via via, Descriptor& code) {
  const u16 selector = gate.gate_selector();
  if (is_null_selector(selector)) {
    cpu.raise(kGP, 0);
    return false;
  }
  if (!read_descriptor(cpu, selector, code, kGP)) return false;
  const bool same_ring_only = via == Via::kJmp && !code.is_conforming();
  const bool reachable = same_ring_only ? code.dpl() == cpu.cpl() : code.dpl() <= cpu.cpl();
  const bool wide = !cpu.long_mode() || (code.is_long() && !code.is_default_big());
  if (!code.is_code() || !reachable || !wide) return refuse(cpu, kGP, selector);
  return code.present() || refuse(cpu, kNP, selector);
}

void enter_inner_ring(Vcpu& cpu, const Descriptor& code, u16 selector, u64 offset) {
  set_code_segment(cpu, code, selector, code.dpl());
  cpu.state.gpr[kRip] = offset;
}

/// A call to a more privileged ring: the TSS's stack, with the caller's stack pointer, parameters and return
/// address. The new stack counts before the caller's, and both before the target's limit. [APM3 CALL (Far)]
template <class T>
Outcome call_inner_ring(Vcpu& cpu, const Descriptor& gate, Descriptor& code, u64 offset) {
  const unsigned ring = code.dpl();
  InnerStack stack;
  if (!read_inner_stack(cpu, ring, 0, stack)) return Outcome::kFault;
  const u32 stack_error = selector_error(stack.ss.selector);
  const auto parameters = static_cast<unsigned>(bits(gate.low, 36, 32));
  if (!check_room<T>(cpu, ring, 4 + parameters, stack_error, stack)) return Outcome::kFault;
  T frame[4 + 31];
  frame[0] = static_cast<T>(cpu.state.gpr[kRip]);
  frame[1] = cpu.state.seg[kCs].selector;
  for (unsigned i = 0; i < parameters; ++i) {
    if (!peek<T>(cpu, i * sizeof(T), frame[2 + i])) return Outcome::kFault;
  }
  frame[2 + parameters] = static_cast<T>(cpu.state.gpr[kRsp] & stack_mask(cpu));
  frame[3 + parameters] = cpu.state.seg[kSs].selector;
  if (!push_inner_frame<T>(cpu, ring, {frame, 4 + parameters}, stack_error, stack) ||
      !check_offset(cpu, code, offset) || !mark_accessed(cpu, code))
    return Outcome::kFault;
  cpu.state.seg[kSs] = stack.ss;
  cpu.state.gpr[kRsp] = stack.sp;
  enter_inner_ring(cpu, code, gate.gate_selector(), offset);
  return Outcome::kEndTrace;
}

/// Through a 64-bit gate: eight-byte words, no parameters, a null SS after a change of ring [SDM3 5.8.5.1].
Outcome call_gate_64(Vcpu& cpu, const Descriptor& gate, Descriptor& code) {
  const u64 offset = gate.gate_offset();
  const bool inner = !code.is_conforming() && code.dpl() < cpu.cpl();
  const unsigned ring = inner ? code.dpl() : cpu.cpl();
  u64 sp = cpu.long64() ? cpu.state.gpr[kRsp] : cpu.state.gpr[kRsp] & 0xffffffffu;
  if (inner && !read_inner_stack_64(cpu, ring, 0, 0, sp)) return Outcome::kFault;
  const u64 frame[4] = {cpu.state.gpr[kRip], cpu.state.seg[kCs].selector, cpu.state.gpr[kRsp],
                        cpu.state.seg[kSs].selector};
  const unsigned words = inner ? 4 : 2;
  if (!push_frame_64(cpu, ring, {frame, words}, 0, sp) || !check_offset(cpu, code, offset) ||
      !mark_accessed(cpu, code)) {
    return Outcome::kFault;
  }
  if (inner) set_null_stack_segment(cpu, ring);
  cpu.state.gpr[kRsp] = sp;
  set_code_segment(cpu, code, gate.gate_selector(), ring);
  cpu.state.gpr[kRip] = offset;
  return Outcome::kEndTrace;
}

template <class T>
Outcome call_gate(Vcpu& cpu, const Descriptor& gate, Descriptor& code) {
  const u64 offset = sizeof(T) == 2 ? gate.gate_offset() & 0xffff : gate.gate_offset();
  if (!code.is_conforming() && code.dpl() < cpu.cpl()) return call_inner_ring<T>(cpu, gate, code, offset);
  return call_code<T>(cpu, gate.gate_selector(), code, offset);
}

Outcome through_call_gate(Vcpu& cpu, u16 selector, Descriptor& gate, Via via) {
  Descriptor code;
  if (cpu.long_mode()) {
    if (!read_descriptor(cpu, selector, gate, kGP, true)) return Outcome::kFault;
    if (!gate.upper_half_is_plain()) return cpu.raise(kGP, selector_error(selector));
  }
  if (!gate.present()) return cpu.raise(kNP, selector_error(selector));
  if (!find_gate_target(cpu, gate, via, code)) return Outcome::kFault;
  const bool narrow = !cpu.long_mode() && gate.type() == kCallGate16;
  if (via == Via::kJmp) {
    const u64 offset = narrow ? gate.gate_offset() & 0xffff : gate.gate_offset();
    if (!check_offset(cpu, code, offset)) return Outcome::kFault;
    return jump_code(cpu, gate.gate_selector(), code, offset);
  }
  if (cpu.long_mode()) return call_gate_64(cpu, gate, code);
  return narrow ? call_gate<u16>(cpu, gate, code) : call_gate<u32>(cpu, gate, code);
}

/// JMP or CALL to what a system descriptor stands for.
Outcome through_system_descriptor(Vcpu& cpu, u16 selector, Descriptor& d, Via via) {
  const auto cause = via == Via::kJmp ? TaskSwitchCause::kJmp : TaskSwitchCause::kCall;
  const unsigned type = d.type();
  const bool gate = type == kCallGate32 || (!cpu.long_mode() && type == kCallGate16);
  const bool task = !cpu.long_mode() && (type == kTss16 || type == kTss32 || type == kTaskGate);
  const bool allowed = d.dpl() >= cpu.cpl() && d.dpl() >= (selector & kSelectorRplMask);
  if ((!gate && !task) || !allowed) return cpu.raise(kGP, selector_error(selector));
  if (gate) return through_call_gate(cpu, selector, d, via);
  Descriptor tss;
  if (type == kTaskGate) {
    if (!d.present()) return cpu.raise(kNP, selector_error(selector));
    selector = d.gate_selector();
  }
  if (!find_tss(cpu, selector, false, kGP, 0, tss)) return Outcome::kFault;
  return transfer_to_task(cpu, selector, tss, cause);
}

// ---- The instructions ----

/// Reads what `selector` names for a far JMP or CALL; a null selector is #GP(0).
bool find_target(Vcpu& cpu, u16 selector, Descriptor& d) {
  if (!is_null_selector(selector)) return read_descriptor(cpu, selector, d, kGP);
  cpu.raise(kGP, 0);
  return false;
}

Outcome jmp_far(Vcpu& cpu, const Insn& insn) {
  FarPointer to;
  if (!read_target(cpu, insn, to)) return Outcome::kFault;
  if (!segmented(cpu)) {
    if (to.offset > cpu.state.seg[kCs].limit) return cpu.raise(kGP, 0);
    load_real_segment(cpu, kCs, to.selector);
    cpu.state.gpr[kRip] = to.offset;
    cpu.mode_changed();
    return Outcome::kEndTrace;
  }
  Descriptor d;
  if (!find_target(cpu, to.selector, d)) return Outcome::kFault;
  if (d.is_system()) return through_system_descriptor(cpu, to.selector, d, Via::kJmp);
  if (!check_code_segment(cpu, to.selector, d) || !check_offset(cpu, d, to.offset)) return Outcome::kFault;
  return jump_code(cpu, to.selector, d, to.offset);
}

template <class T>
Outcome call_far(Vcpu& cpu, const Insn& insn) {
  FarPointer to;
  if (!read_target(cpu, insn, to)) return Outcome::kFault;
  if (!segmented(cpu)) {
    const u64 mask = stack_mask(cpu);
    u64 sp = 0;
    if (!push_return_address<T>(cpu, sp, mask)) return Outcome::kFault;
    if (to.offset > cpu.state.seg[kCs].limit) return cpu.raise(kGP, 0);
    load_real_segment(cpu, kCs, to.selector);
    cpu.mode_changed();
    set_stack_pointer(cpu, sp, mask);
    cpu.state.gpr[kRip] = to.offset;
    return Outcome::kEndTrace;
  }
  Descriptor d;
  if (!find_target(cpu, to.selector, d)) return Outcome::kFault;
  if (d.is_system()) return through_system_descriptor(cpu, to.selector, d, Via::kCall);
  if (!check_code_segment(cpu, to.selector, d)) return Outcome::kFault;
  return call_code<T>(cpu, to.selector, d, to.offset);
}

// ---- Software interrupts: the engine delivers them with RIP behind the instruction (Fault::Kind). ----
Outcome int_n(Vcpu& cpu, const Insn& insn) {
  return cpu.raise(Fault{.vector = static_cast<u8>(insn.imm), .kind = Fault::Kind::kSoftwareInterrupt});
}
Outcome int3(Vcpu& cpu, const Insn&) {
  return cpu.raise(Fault{.vector = kBP, .kind = Fault::Kind::kSoftwareException});
}
Outcome int1(Vcpu& cpu, const Insn&) {
  return cpu.raise(Fault{.vector = kDB, .kind = Fault::Kind::kPrivilegedSoftware});
}
Outcome into(Vcpu& cpu, const Insn&) {
  if ((cpu.state.rflags & rflags::OF) == 0) return Outcome::kNext;
  return cpu.raise(Fault{.vector = kOF, .kind = Fault::Kind::kSoftwareException});
}

}  // namespace

Outcome transfer_to_task(Vcpu& cpu, u16 selector, const Descriptor& tss, TaskSwitchCause cause) {
  switch (switch_task(cpu, selector, tss, cause, 0)) {
    case TaskSwitch::kFault:
      return Outcome::kFault;
    case TaskSwitch::kFaultInside:
      deliver(cpu, cpu.fault());
      break;
    case TaskSwitch::kDone:
      break;
  }
  return Outcome::kEndTrace;
}

Handler select_jmp_far(const Insn&, const DecodedForm&) { return jmp_far; }
Handler select_call_far(const Insn& insn, const DecodedForm&) {
  return ORRERY_BY_SIZE_NO8(8u << insn.operand_log2(), call_far);
}
Handler select_int(const Insn&, const DecodedForm&) { return int_n; }
Handler select_int3(const Insn&, const DecodedForm&) { return int3; }
Handler select_int1(const Insn&, const DecodedForm&) { return int1; }
Handler select_into(const Insn&, const DecodedForm&) { return into; }

}  // namespace orrery::cpu::exec
