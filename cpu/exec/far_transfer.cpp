// Far control flow: JMP, CALL and RET far, IRET, INT n, INT3, INT1, INTO, SYSCALL, SYSRET, SYSENTER, SYSEXIT.
// [SDM2], [SDM3 5.8, 6.12], [APM2 4, 6, 8]
//
// Not modelled: call gates and task switches (a far transfer through a system descriptor raises #GP with its
// selector).
#include "cpu/exec/common.h"
#include "cpu/exec/selectors.h"
#include "cpu/exec/stack.h"
#include "cpu/system/descriptor.h"

namespace orrery::cpu::exec {
namespace {

/// Checks a code segment for a far JMP or CALL (no gate) [SDM3 5.8.1].
bool find_code_segment(Vcpu& cpu, u16 selector, Descriptor& d, unsigned& new_cpl) {
  if (is_null_selector(selector)) {
    cpu.raise(kGP, 0);
    return false;
  }
  if (!read_descriptor(cpu, selector, d, kGP)) return false;
  bool good = d.is_code();
  if (good && cpu.long_mode() && d.is_long() && d.is_default_big()) good = false;
  if (good) {
    good = d.is_conforming() ? d.dpl() <= cpu.cpl()
                             : d.dpl() == cpu.cpl() && (selector & kSelectorRplMask) <= cpu.cpl();
  }
  if (!good) {
    cpu.raise(kGP, selector_error(selector));
    return false;
  }
  if (!d.present()) {
    cpu.raise(kNP, selector_error(selector));
    return false;
  }
  new_cpl = cpu.cpl();
  return true;
}

bool check_offset(Vcpu& cpu, const Descriptor& d, u64 offset) {
  const bool to_long = cpu.long_mode() && d.is_long();
  if (to_long ? cpu.canonical(offset) : offset <= d.limit()) return true;
  cpu.raise(kGP, 0);
  return false;
}

struct FarPointer {
  u64 offset;
  u16 selector;
};

bool read_far_pointer(Vcpu& cpu, const Insn& insn, FarPointer& out) {
  if (!insn.mem_at(0)) {
    out = {insn.imm & 0xffffffffu, static_cast<u16>(insn.imm >> 32)};
    if (insn.operand_log2() == 1) out.offset &= 0xffff;
    return true;
  }
  u8 raw[10];
  // AMD's processors have no m16:64, whatever REX.W says [APM3 JMP (Far)].
  const unsigned bytes = std::min(insn.operand_bytes(), cpu.model().amd ? 4u : 8u);
  if (!cpu.read_bytes(insn.segment(), cpu.effective_address(insn), raw, bytes + 2)) return false;
  out = {load_le_n(raw, bytes), load_le<u16>(raw + bytes)};
  return true;
}

bool segmented(const Vcpu& cpu) { return cpu.protected_mode() && !cpu.vm86(); }

Outcome jmp_far(Vcpu& cpu, const Insn& insn) {
  FarPointer to;
  if (!read_far_pointer(cpu, insn, to)) return Outcome::kFault;
  if (!segmented(cpu)) {
    if (to.offset > cpu.state.seg[kCs].limit) return cpu.raise(kGP, 0);
    load_real_segment(cpu, kCs, to.selector);
    cpu.state.gpr[kRip] = to.offset;
    cpu.mode_changed();
    return Outcome::kEndTrace;
  }
  Descriptor d;
  unsigned cpl = 0;
  if (!find_code_segment(cpu, to.selector, d, cpl) || !check_offset(cpu, d, to.offset) ||
      !mark_accessed(cpu, d)) {
    return Outcome::kFault;
  }
  set_code_segment(cpu, d, to.selector, cpl);
  cpu.state.gpr[kRip] = to.offset;
  return Outcome::kEndTrace;
}

template <class T>
Outcome call_far(Vcpu& cpu, const Insn& insn) {
  FarPointer to;
  if (!read_far_pointer(cpu, insn, to)) return Outcome::kFault;
  Descriptor d;
  unsigned cpl = 0;
  if (segmented(cpu)) {
    if (!find_code_segment(cpu, to.selector, d, cpl) || !check_offset(cpu, d, to.offset))
      return Outcome::kFault;
  } else if (to.offset > cpu.state.seg[kCs].limit) {
    return cpu.raise(kGP, 0);
  }
  const u64 mask = stack_mask(cpu);
  const u64 sp = cpu.state.gpr[kRsp];
  if (!cpu.probe_write(kSs, (sp - 2 * sizeof(T)) & mask, sizeof(T)) ||
      !cpu.write<T>(kSs, (sp - sizeof(T)) & mask, static_cast<T>(cpu.state.seg[kCs].selector)) ||
      !cpu.write<T>(kSs, (sp - 2 * sizeof(T)) & mask, static_cast<T>(cpu.state.gpr[kRip]))) {
    return Outcome::kFault;
  }
  if (segmented(cpu)) {
    if (!mark_accessed(cpu, d)) return Outcome::kFault;
    set_code_segment(cpu, d, to.selector, cpl);
  } else {
    load_real_segment(cpu, kCs, to.selector);
    cpu.mode_changed();
  }
  set_stack_pointer(cpu, sp - 2 * sizeof(T), mask);
  cpu.state.gpr[kRip] = to.offset;
  return Outcome::kEndTrace;
}

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
  if (!find_return_segment(cpu, frame.cs, code)) return false;
  const unsigned rpl = frame.cs & kSelectorRplMask;
  const bool to_long = cpu.long_mode() && code.is_long();
  Descriptor stack;
  bool null_stack = false;
  if (has_stack && !find_return_stack(cpu, frame.ss, rpl, to_long, stack, null_stack)) return false;
  if (!check_offset(cpu, code, frame.rip) || !mark_accessed(cpu, code)) return false;
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

template <class T>
Outcome ret_far(Vcpu& cpu, const Insn& insn) {
  const u64 release = insn.op[0] == kImmOperand ? insn.imm & 0xffff : 0;
  T rip;
  T cs;
  if (!peek<T>(cpu, 0, rip) || !peek<T>(cpu, sizeof(T), cs)) return Outcome::kFault;
  if (!segmented(cpu)) {
    if (rip > cpu.state.seg[kCs].limit) return cpu.raise(kGP, 0);
    drop(cpu, 2 * sizeof(T) + release);
    load_real_segment(cpu, kCs, static_cast<u16>(cs));
    cpu.state.gpr[kRip] = rip;
    cpu.mode_changed();
    return Outcome::kEndTrace;
  }
  ReturnFrame frame{.rip = rip, .cs = static_cast<u16>(cs)};
  const bool outer = (frame.cs & kSelectorRplMask) > cpu.cpl();
  if (outer) {
    T rsp;
    T ss;
    if (!peek<T>(cpu, 2 * sizeof(T) + release, rsp) || !peek<T>(cpu, 3 * sizeof(T) + release, ss))
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
    if (sizeof(T) > 2) mask |= VIF | VIP;
  }
  return (cpu.state.rflags & ~mask) | (value & mask) | kFixed;
}

void finish_iret(Vcpu& cpu, u64 flags) {
  cpu.state.rflags = flags;
  cpu.state.nmi_blocked = false;
  cpu.mode_changed();
  cpu.set_attention();
}

template <class T>
Outcome iret(Vcpu& cpu, const Insn&) {
  using namespace rflags;
  if (cpu.vm86() && (cpu.state.rflags & IOPL) != IOPL) return cpu.raise(kGP, 0);
  if (segmented(cpu) && !cpu.long_mode() && (cpu.state.rflags & NT) != 0) {
    return cpu.raise(kTS, selector_error(cpu.state.seg[kTr].selector));  // a task return: not modelled
  }
  if (cpu.long_mode() && (cpu.state.rflags & NT) != 0) return cpu.raise(kGP, 0);
  T rip;
  T cs;
  T flags;
  if (!peek<T>(cpu, 0, rip) || !peek<T>(cpu, sizeof(T), cs) || !peek<T>(cpu, 2 * sizeof(T), flags))
    return Outcome::kFault;
  if (!segmented(cpu)) {
    if (rip > cpu.state.seg[kCs].limit) return cpu.raise(kGP, 0);
    drop(cpu, 3 * sizeof(T));
    load_real_segment(cpu, kCs, static_cast<u16>(cs));
    cpu.state.gpr[kRip] = rip;
    u64 value = iret_flags<T>(cpu, cpu.vm86() ? 3 : 0, flags);
    if (cpu.vm86()) value = (value & ~IOPL) | (cpu.state.rflags & IOPL);
    finish_iret(cpu, value);
    return Outcome::kEndTrace;
  }
  const unsigned old_cpl = cpu.cpl();
  if (!cpu.long_mode() && sizeof(T) == 4 && (flags & VM) != 0 && old_cpl == 0) {
    T frame[6];  // ESP SS ES DS FS GS
    for (unsigned i = 0; i < 6; ++i) {
      if (!peek<T>(cpu, (3 + i) * sizeof(T), frame[i])) return Outcome::kFault;
    }
    cpu.state.rflags = (static_cast<u32>(flags) & 0x3f7fd7u) | kFixed;
    cpu.state.cpl = 3;
    load_real_segment(cpu, kCs, static_cast<u16>(cs));
    static constexpr SegmentIndex kOrder[] = {kSs, kEs, kDs, kFs, kGs};
    for (unsigned i = 0; i < 5; ++i) load_real_segment(cpu, kOrder[i], static_cast<u16>(frame[1 + i]));
    cpu.state.gpr[kRsp] = static_cast<u32>(frame[0]);
    cpu.state.gpr[kRip] = rip & 0xffff;
    finish_iret(cpu, cpu.state.rflags);
    return Outcome::kEndTrace;
  }
  ReturnFrame frame{.rip = rip, .cs = static_cast<u16>(cs)};
  const bool with_stack = cpu.long64() || (frame.cs & kSelectorRplMask) > old_cpl;
  if (with_stack) {
    T rsp;
    T ss;
    if (!peek<T>(cpu, 3 * sizeof(T), rsp) || !peek<T>(cpu, 4 * sizeof(T), ss)) return Outcome::kFault;
    frame.rsp = rsp;
    frame.ss = static_cast<u16>(ss);
  }
  const u64 new_flags = iret_flags<T>(cpu, old_cpl, flags);
  if (!return_to(cpu, frame, with_stack, 3 * sizeof(T))) return Outcome::kFault;
  finish_iret(cpu, new_flags);
  return Outcome::kEndTrace;
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

// ---- Fast system calls ----
constexpr u32 kFlatCode =
    seg_attr::kP | seg_attr::kS | seg_attr::kCode | seg_attr::kReadable | seg_attr::kAccessed | seg_attr::kG;
constexpr u32 kFlatData =
    seg_attr::kP | seg_attr::kS | seg_attr::kWritable | seg_attr::kAccessed | seg_attr::kG | seg_attr::kDb;

void set_flat(Vcpu& cpu, SegmentIndex index, u16 selector, u32 attributes, unsigned dpl) {
  cpu.state.seg[index] = {.base = 0,
                          .limit = 0xffffffff,
                          .attributes = attributes | (dpl << seg_attr::kDplShift),
                          .selector = selector};
}

Outcome syscall(Vcpu& cpu, const Insn&) {
  if ((cpu.state.efer & efer::SCE) == 0) return cpu.raise(kUD);
  if (!cpu.model().amd && !cpu.long64()) return cpu.raise(kUD);
  CpuState& s = cpu.state;
  const u16 selector = static_cast<u16>((s.star >> 32) & 0xfffc);
  if (cpu.long_mode()) {
    s.gpr[kRcx] = s.gpr[kRip];
    s.gpr[kR11] = s.rflags & ~rflags::RF;
    s.gpr[kRip] = cpu.long64() ? s.lstar : s.cstar;
    s.rflags &= ~(s.sfmask | rflags::RF);
    s.rflags |= rflags::kFixed;
    set_flat(cpu, kCs, selector, kFlatCode | seg_attr::kL, 0);
  } else {
    s.gpr[kRcx] = static_cast<u32>(s.gpr[kRip]);
    s.gpr[kRip] = static_cast<u32>(s.star);
    s.rflags &= ~(rflags::VM | rflags::IF | rflags::RF);
    set_flat(cpu, kCs, selector, kFlatCode | seg_attr::kDb, 0);
  }
  set_flat(cpu, kSs, static_cast<u16>(selector + 8), kFlatData, 0);
  s.cpl = 0;
  cpu.mode_changed();
  if ((s.rflags & (rflags::TF | rflags::IF)) != 0) cpu.set_attention();
  return Outcome::kEndTrace;
}

Outcome sysret(Vcpu& cpu, const Insn& insn) {
  if ((cpu.state.efer & efer::SCE) == 0) return cpu.raise(kUD);
  if (cpu.cpl() != 0 || !cpu.protected_mode()) return cpu.raise(kGP, 0);
  CpuState& s = cpu.state;
  const bool to_64 = cpu.long64() && insn.has(insn_flag::kRexW);
  // Intel's processors fault here, in ring 0; AMD's at the first fetch in ring 3.
  if (to_64 && !cpu.model().amd && !cpu.canonical(s.gpr[kRcx])) return cpu.raise(kGP, 0);
  const auto base = static_cast<u16>(s.star >> 48);
  const bool from_long = cpu.long_mode();
  set_flat(cpu, kCs, static_cast<u16>((base + (to_64 ? 16 : 0)) | 3),
           kFlatCode | (to_64 ? seg_attr::kL : seg_attr::kDb), 3);
  // AMD's SYSRET leaves the hidden part of SS alone; the selector and DPL change [APM3 SYSRET].
  if (cpu.model().amd) {
    s.seg[kSs].selector = static_cast<u16>((base + 8) | 3);
    s.seg[kSs].attributes = (s.seg[kSs].attributes & ~seg_attr::kDplMask) | (3u << seg_attr::kDplShift);
  } else {
    set_flat(cpu, kSs, static_cast<u16>((base + 8) | 3), kFlatData, 3);
  }
  s.gpr[kRip] = to_64 ? s.gpr[kRcx] : static_cast<u32>(s.gpr[kRcx]);
  if (from_long) {
    s.rflags = (s.gpr[kR11] & ~(rflags::RF | rflags::VM) & 0x3f7fd7) | rflags::kFixed;
  } else {
    s.rflags |= rflags::IF;
  }
  // A TF that it loads traps at once, as if the SYSCALL had just completed.
  if ((s.rflags & rflags::TF) != 0) s.pending_db |= dr6::BS;
  s.cpl = 3;
  cpu.mode_changed();
  cpu.set_attention();
  return Outcome::kEndTrace;
}

Outcome sysenter(Vcpu& cpu, const Insn&) {
  // AMD's processors do not have it in long mode [APM3 SYSENTER].
  if (cpu.model().amd && cpu.long_mode()) return cpu.raise(kUD);
  CpuState& s = cpu.state;
  if (!cpu.protected_mode() || is_null_selector(static_cast<u16>(s.sysenter_cs))) return cpu.raise(kGP, 0);
  const bool long_mode = cpu.long_mode();
  const auto selector = static_cast<u16>(s.sysenter_cs & 0xfffc);
  s.rflags &= ~(rflags::VM | rflags::IF | rflags::RF);
  set_flat(cpu, kCs, selector, kFlatCode | (long_mode ? seg_attr::kL : seg_attr::kDb), 0);
  set_flat(cpu, kSs, static_cast<u16>(selector + 8), kFlatData, 0);
  s.gpr[kRsp] = long_mode ? s.sysenter_esp : static_cast<u32>(s.sysenter_esp);
  s.gpr[kRip] = long_mode ? s.sysenter_eip : static_cast<u32>(s.sysenter_eip);
  s.cpl = 0;
  cpu.mode_changed();
  return Outcome::kEndTrace;
}

Outcome sysexit(Vcpu& cpu, const Insn& insn) {
  if (cpu.model().amd && cpu.long_mode()) return cpu.raise(kUD);
  CpuState& s = cpu.state;
  if (!cpu.protected_mode() || cpu.cpl() != 0 || is_null_selector(static_cast<u16>(s.sysenter_cs)))
    return cpu.raise(kGP, 0);
  const bool to_64 = insn.has(insn_flag::kRexW);
  if (to_64 && (!cpu.canonical(s.gpr[kRdx]) || !cpu.canonical(s.gpr[kRcx]))) return cpu.raise(kGP, 0);
  const auto base = static_cast<u16>(s.sysenter_cs & 0xfffc);
  set_flat(cpu, kCs, static_cast<u16>((base + (to_64 ? 32 : 16)) | 3),
           kFlatCode | (to_64 ? seg_attr::kL : seg_attr::kDb), 3);
  set_flat(cpu, kSs, static_cast<u16>((base + (to_64 ? 40 : 24)) | 3), kFlatData, 3);
  s.gpr[kRsp] = to_64 ? s.gpr[kRcx] : static_cast<u32>(s.gpr[kRcx]);
  s.gpr[kRip] = to_64 ? s.gpr[kRdx] : static_cast<u32>(s.gpr[kRdx]);
  s.cpl = 3;
  cpu.mode_changed();
  cpu.set_attention();
  return Outcome::kEndTrace;
}

}  // namespace

Handler select_ret_near(const Insn& insn);

Handler select_jmp_far(const Insn&, const DecodedForm&) { return jmp_far; }
Handler select_call_far(const Insn& insn, const DecodedForm&) {
  return ORRERY_BY_SIZE_NO8(8u << insn.operand_log2(), call_far);
}
Handler select_ret(const Insn& insn, const DecodedForm& f) {
  if (f.opcode == 0xc2 || f.opcode == 0xc3) return select_ret_near(insn);
  return ORRERY_BY_SIZE_NO8(8u << insn.operand_log2(), ret_far);
}
Handler select_iret(const Insn&, const DecodedForm&) { return iret<u16>; }
Handler select_iretd(const Insn&, const DecodedForm&) { return iret<u32>; }
Handler select_iretq(const Insn&, const DecodedForm&) { return iret<u64>; }
Handler select_int(const Insn&, const DecodedForm&) { return int_n; }
Handler select_int3(const Insn&, const DecodedForm&) { return int3; }
Handler select_int1(const Insn&, const DecodedForm&) { return int1; }
Handler select_into(const Insn&, const DecodedForm&) { return into; }
Handler select_syscall(const Insn&, const DecodedForm&) { return syscall; }
Handler select_sysret(const Insn&, const DecodedForm&) { return sysret; }
Handler select_sysenter(const Insn&, const DecodedForm&) { return sysenter; }
Handler select_sysexit(const Insn&, const DecodedForm&) { return sysexit; }

}  // namespace orrery::cpu::exec
