// RET far and IRET in every mode: to the same and outer rings, to virtual-8086 mode, and back to the previous
// task. [SDM2 RET, IRET], [SDM3 5.8.6, 7.4, 20.2], [APM3 RET (Far), IRET]
#include "cpu/exec/common.h"
#include "cpu/exec/far_transfer.h"
#include "cpu/exec/stack.h"

namespace orrery::cpu::exec {
namespace {

/// The code segment that a far return or IRET names; `rpl` becomes CPL [SDM2 RET, IRET].
bool find_return_segment(Vcpu& cpu, u16 selector, Descriptor& d) {
  if (is_null_selector(selector)) {
    cpu.raise(kGP, 0);
    return false;
  }
  if (!read_descriptor(cpu, selector, d, kGP)) return false;
  const unsigned rpl = selector & kSelectorRplMask;
  bool good = d.is_code() && rpl >= cpu.cpl();
  if (good) good = d.is_conforming() ? d.dpl() <= rpl : d.dpl() == rpl;
  if (good && cpu.long_mode() && d.is_long() && d.is_default_big()) good = false;
  if (!good) {
    cpu.raise(kGP, selector_error(selector));
    return false;
  }
  if (!d.present()) {
    cpu.raise(kNP, selector_error(selector));
    return false;
  }
  return true;
}

/// The stack segment of a return to an outer ring (or any IRET in 64-bit mode). `null_allowed`: a 64-bit
/// target below ring 3 may have a null one.
bool find_return_stack(Vcpu& cpu, u16 selector, unsigned rpl, bool null_allowed, Descriptor& d,
                       bool& is_null) {
  is_null = is_null_selector(selector);
  if (is_null) {
    if (null_allowed && rpl != 3 && (selector & kSelectorRplMask) == rpl) return true;
    cpu.raise(kGP, 0);
    return false;
  }
  if (!read_descriptor(cpu, selector, d, kGP)) return false;
  if ((selector & kSelectorRplMask) != rpl || d.is_system() || d.is_code() || !d.is_readable_or_writable() ||
      d.dpl() != rpl) {
    cpu.raise(kGP, selector_error(selector));
    return false;
  }
  if (!d.present()) {
    cpu.raise(kSS_, selector_error(selector));
    return false;
  }
  return true;
}

/// Data segments that the outer ring may not use become null [SDM3 5.8.6].
void drop_inner_data_segments(Vcpu& cpu) {
  for (const SegmentIndex index : {kEs, kDs, kFs, kGs}) {
    Segment& s = cpu.state.seg[index];
    const bool conforming =
        (s.attributes & seg_attr::kCode) != 0 && (s.attributes & seg_attr::kConforming) != 0;
    if (s.usable() && s.dpl() < cpu.cpl() && !conforming) {
      s = {.base = 0, .limit = 0, .attributes = seg_attr::kUnusable, .selector = 0};
    } else if (!s.usable() && is_null_selector(s.selector)) {
      s.selector = 0;
    }
  }
}

struct ReturnFrame {
  u64 rip = 0;
  u16 cs = 0;
  u64 flags = 0;
  u64 rsp = 0;
  u16 ss = 0;
};

/// Goes to `frame` with everything checked; `popped` bytes leave the old stack when it is kept.
bool return_to(Vcpu& cpu, const ReturnFrame& frame, bool has_stack, u64 popped) {
  Descriptor code;
  // The target counts before the stack, as our profile's silicon has it; Intel's manual has it the other way
  // round.
  if (!find_return_segment(cpu, frame.cs, code) || !check_offset(cpu, code, frame.rip)) return false;
  const unsigned rpl = frame.cs & kSelectorRplMask;
  const bool to_long = cpu.long_mode() && code.is_long();
  Descriptor stack;
  bool null_stack = false;
  if (has_stack && !find_return_stack(cpu, frame.ss, rpl, to_long, stack, null_stack)) return false;
  if (!mark_accessed(cpu, code)) return false;
  const bool outer = rpl > cpu.cpl();
  if (has_stack) {
    if (!null_stack && !mark_accessed(cpu, stack)) return false;
  } else {
    drop(cpu, popped);
  }
  set_code_segment(cpu, code, frame.cs, rpl);
  if (has_stack) {
    if (null_stack) {
      set_null_stack_segment(cpu, rpl);
    } else {
      cpu.state.seg[kSs] = stack.to_segment(frame.ss);
    }
    set_stack_pointer(cpu, frame.rsp, stack_mask(cpu));
  }
  cpu.state.gpr[kRip] = frame.rip;
  if (outer) drop_inner_data_segments(cpu);
  cpu.mode_changed();
  return true;
}

// The frames are read from CS and EFLAGS down, the outer stack from SS down, and that as soon as CS is of
// another ring, be it an inner one: so our profile's silicon does, and the order shows in CR2.
template <class T>
Outcome ret_far(Vcpu& cpu, const Insn& insn) {
  const u64 release = insn.op[0] == kImmOperand ? insn.imm & 0xffff : 0;
  T rip;
  T cs;
  if (!peek<T>(cpu, sizeof(T), cs) || !peek<T>(cpu, 0, rip)) return Outcome::kFault;
  if (!segmented(cpu)) {
    if (rip > cpu.state.seg[kCs].limit) return cpu.raise(kGP, 0);
    drop(cpu, 2 * sizeof(T) + release);
    load_real_segment(cpu, kCs, static_cast<u16>(cs));
    cpu.state.gpr[kRip] = rip;
    cpu.mode_changed();
    return Outcome::kEndTrace;
  }
  ReturnFrame frame{.rip = rip, .cs = static_cast<u16>(cs)};
  const bool outer = (frame.cs & kSelectorRplMask) != cpu.cpl();
  if (outer) {
    T rsp;
    T ss;
    if (!peek<T>(cpu, 3 * sizeof(T) + release, ss) || !peek<T>(cpu, 2 * sizeof(T) + release, rsp))
      return Outcome::kFault;
    frame.rsp = rsp + release;
    frame.ss = static_cast<u16>(ss);
  }
  return return_to(cpu, frame, outer, 2 * sizeof(T) + release) ? Outcome::kEndTrace : Outcome::kFault;
}

/// The flags that IRET may change at this privilege [SDM2 IRET].
template <class T>
u64 iret_flags(const Vcpu& cpu, unsigned old_cpl, u64 value) {
  using namespace rflags;
  u64 mask = kArithmetic | TF | DF | NT;
  if (sizeof(T) > 2) mask |= RF | AC | ID;
  if (old_cpl <= cpu.iopl()) mask |= IF;
  if (old_cpl == 0) {
    mask |= IOPL;
    if (sizeof(T) > 2 && cpu.protected_mode()) mask |= VIF | VIP;
  }
  return (cpu.state.rflags & ~mask) | (value & mask) | kFixed;
}

void finish_iret(Vcpu& cpu, u64 flags) {
  cpu.state.rflags = flags;
  cpu.state.nmi_blocked = false;
  cpu.mode_changed();
  cpu.flags_loaded();
}

/// IRET with NT: the task that the current TSS links to goes on [SDM3 7.4].
Outcome return_to_previous_task(Vcpu& cpu) {
  u16 link;
  Descriptor tss;
  if (!cpu.read_linear<u16>(cpu.state.seg[kTr].base, link, Privilege::kImplicit) ||
      !find_tss(cpu, link, true, kTS, 0, tss)) {
    return Outcome::kFault;
  }
  const Outcome outcome = transfer_to_task(cpu, link, tss, TaskSwitchCause::kIret);
  if (outcome != Outcome::kFault) cpu.state.nmi_blocked = false;
  return outcome;
}

template <class T>
Outcome iret(Vcpu& cpu, const Insn&) {
  using namespace rflags;
  const bool virtual_if = cpu.vm86() && (cpu.state.rflags & IOPL) != IOPL;
  if (virtual_if && (sizeof(T) != 2 || (cpu.state.cr4 & cr4::VME) == 0)) return cpu.raise(kGP, 0);
  if (cpu.long_mode() && (cpu.state.rflags & NT) != 0) return cpu.raise(kGP, 0);
  if (segmented(cpu) && (cpu.state.rflags & NT) != 0) return return_to_previous_task(cpu);
  T rip;
  T cs;
  T flags;
  if (!peek<T>(cpu, 2 * sizeof(T), flags) || !peek<T>(cpu, sizeof(T), cs) || !peek<T>(cpu, 0, rip))
    return Outcome::kFault;
  if (!segmented(cpu)) {
    if (rip > cpu.state.seg[kCs].limit) return cpu.raise(kGP, 0);
    if (virtual_if && !virtual_interrupt_flag_allowed(cpu, flags)) return Outcome::kFault;
    const u64 new_flags = virtual_if ? with_virtual_interrupt_flag(cpu.state.rflags, flags)
                                     : iret_flags<T>(cpu, cpu.vm86() ? 3 : 0, flags);
    drop(cpu, 3 * sizeof(T));
    load_real_segment(cpu, kCs, static_cast<u16>(cs));
    cpu.state.gpr[kRip] = rip;
    finish_iret(cpu, new_flags);
    return Outcome::kEndTrace;
  }
  const unsigned old_cpl = cpu.cpl();
  if (!cpu.long_mode() && sizeof(T) == 4 && (flags & VM) != 0 && old_cpl == 0) {
    T frame[6];  // ESP SS ES DS FS GS
    for (unsigned i = 0; i < 6; ++i) {
      if (!peek<T>(cpu, (3 + i) * sizeof(T), frame[i])) return Outcome::kFault;
    }
    if (rip > 0xffff) return cpu.raise(kGP, 0);
    cpu.state.rflags = (static_cast<u32>(flags) & 0x3f7fd7u) | kFixed;
    cpu.state.cpl = 3;
    load_real_segment(cpu, kCs, static_cast<u16>(cs));
    static constexpr SegmentIndex kOrder[] = {kSs, kEs, kDs, kFs, kGs};
    for (unsigned i = 0; i < 5; ++i) load_real_segment(cpu, kOrder[i], static_cast<u16>(frame[1 + i]));
    cpu.state.gpr[kRsp] = static_cast<u32>(frame[0]);
    cpu.state.gpr[kRip] = rip;
    finish_iret(cpu, cpu.state.rflags);
    return Outcome::kEndTrace;
  }
  ReturnFrame frame{.rip = rip, .cs = static_cast<u16>(cs)};
  const bool with_stack = cpu.long64() || (frame.cs & kSelectorRplMask) != old_cpl;
  if (with_stack) {
    T rsp;
    T ss;
    if (!peek<T>(cpu, 4 * sizeof(T), ss) || !peek<T>(cpu, 3 * sizeof(T), rsp)) return Outcome::kFault;
    frame.rsp = rsp;
    frame.ss = static_cast<u16>(ss);
  }
  const u64 new_flags = iret_flags<T>(cpu, old_cpl, flags);
  if (!return_to(cpu, frame, with_stack, 3 * sizeof(T))) return Outcome::kFault;
  finish_iret(cpu, new_flags);
  return Outcome::kEndTrace;
}

}  // namespace

Handler select_ret_near(const Insn& insn);

Handler select_ret(const Insn& insn, const DecodedForm& f) {
  if (f.opcode == 0xc2 || f.opcode == 0xc3) return select_ret_near(insn);
  return ORRERY_BY_SIZE_NO8(8u << insn.operand_log2(), ret_far);
}
Handler select_iret(const Insn&, const DecodedForm&) { return iret<u16>; }
Handler select_iretd(const Insn&, const DecodedForm&) { return iret<u32>; }
Handler select_iretq(const Insn&, const DecodedForm&) { return iret<u64>; }

}  // namespace orrery::cpu::exec
