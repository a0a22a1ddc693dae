// System instructions: control and debug registers, descriptor-table registers, TLB and cache control, HLT,
// interrupt flag, MONITOR and MWAIT. MSRs, CPUID, time stamps and entropy: msr_ops.cpp. [SDM2], [SDM3 2.8],
// [APM2 3]
//
// Not modelled: caches (WBINVD, INVD, CLFLUSH only order), performance counters.
#include "cpu/apic/local_apic.h"
#include "cpu/exec/common.h"
#include "cpu/exec/selectors.h"
#include "cpu/flags.h"
#include "cpu/system/mode.h"

namespace orrery::cpu::exec {
namespace {

bool ring0(Vcpu& cpu) {
  if (cpu.cpl() == 0) return true;
  cpu.raise(kGP, 0);
  return false;
}

Outcome mov_from_control(Vcpu& cpu, const Insn& insn) {
  if (!ring0(cpu)) return Outcome::kFault;
  u64 value = 0;
  switch (insn.op[1]) {
    case 0:
      value = cpu.state.cr0;
      break;
    case 2:
      value = cpu.state.cr2;
      break;
    case 3:
      value = cpu.state.cr3;
      break;
    case 4:
      value = cpu.state.cr4;
      break;
    case 8:
      value = cpu.apic().cr8();
      break;
    default:
      return cpu.raise(kUD);
  }
  if (cpu.long64()) {
    cpu.state.gpr[insn.op[0]] = value;
  } else {
    cpu.set_reg<u32>(insn.op[0], static_cast<u32>(value));
  }
  return Outcome::kNext;
}
Outcome mov_to_control(Vcpu& cpu, const Insn& insn) {
  if (!ring0(cpu)) return Outcome::kFault;
  const u64 value = cpu.long64() ? cpu.state.gpr[insn.op[1]] : cpu.reg<u32>(insn.op[1]);
  bool done = false;
  switch (insn.op[0]) {
    case 0:
      done = write_cr0(cpu, value);
      break;
    case 2:
      cpu.state.cr2 = value;
      done = true;
      break;
    case 3:
      done = write_cr3(cpu, value);
      break;
    case 4:
      done = write_cr4(cpu, value);
      break;
    case 8:
      if ((value & ~u64{15}) != 0) return cpu.raise(kGP, 0);
      cpu.apic().set_cr8(static_cast<u8>(value));
      done = true;
      break;
    default:
      return cpu.raise(kUD);
  }
  return done ? Outcome::kEndTrace : Outcome::kFault;
}

// DR4 and DR5 are DR6 and DR7 unless CR4.DE [SDM3 17.2.2].
bool debug_number(Vcpu& cpu, u8 number, u8& out) {
  if (number >= 8 || ((number == 4 || number == 5) && (cpu.state.cr4 & cr4::DE) != 0)) {
    cpu.raise(kUD);
    return false;
  }
  out = number == 4 || number == 5 ? static_cast<u8>(number + 2) : number;
  return true;
}
bool debug_access(Vcpu& cpu, u8 number, u8& out) {
  if (!debug_number(cpu, number, out) || !ring0(cpu)) return false;
  if ((cpu.state.dr7 & dr7::GD) != 0) {
    cpu.raise(Fault{.vector = kDB, .dr6_bits = dr6::BD});
    return false;
  }
  return true;
}
Outcome mov_from_debug(Vcpu& cpu, const Insn& insn) {
  u8 number = 0;
  if (!debug_access(cpu, insn.op[1], number)) return Outcome::kFault;
  const u64 value = number == 6 ? cpu.state.dr6 : number == 7 ? cpu.state.dr7 : cpu.state.dr[number & 3];
  if (cpu.long64()) {
    cpu.state.gpr[insn.op[0]] = value;
  } else {
    cpu.set_reg<u32>(insn.op[0], static_cast<u32>(value));
  }
  return Outcome::kNext;
}
Outcome mov_to_debug(Vcpu& cpu, const Insn& insn) {
  u8 number = 0;
  if (!debug_access(cpu, insn.op[0], number)) return Outcome::kFault;
  const u64 value = cpu.long64() ? cpu.state.gpr[insn.op[1]] : cpu.reg<u32>(insn.op[1]);
  if (number >= 6 && (value >> 32) != 0) return cpu.raise(kGP, 0);
  if (number == 6) {
    cpu.state.dr6 = (value & 0xe00fu) | dr6::kFixed;
  } else if (number == 7) {
    cpu.state.dr7 = (value & ~u64{0xd800}) | dr7::kFixed;
    cpu.flush_fast();  // data breakpoints are seen on the slow path
    cpu.debug_points_changed();
  } else {
    cpu.state.dr[number] = value;
    cpu.debug_points_changed();
  }
  return Outcome::kEndTrace;
}

// ---- Descriptor-table registers ----
template <bool kIdt>
Outcome load_table(Vcpu& cpu, const Insn& insn) {
  if (!ring0(cpu)) return Outcome::kFault;
  u8 raw[10];
  const unsigned base_bytes = cpu.long64() ? 8 : 4;
  if (!cpu.read_bytes(insn.segment(), cpu.effective_address(insn), raw, 2 + base_bytes))
    return Outcome::kFault;
  u64 base = load_le_n(raw + 2, base_bytes);
  if (cpu.long64() && !cpu.canonical_base(base)) return cpu.raise(kGP, 0);
  if (!cpu.long64() && insn.operand_log2() == 1) base &= 0xffffff;
  (kIdt ? cpu.state.idt_base : cpu.state.gdt_base) = base;
  (kIdt ? cpu.state.idt_limit : cpu.state.gdt_limit) = load_le<u16>(raw);
  return Outcome::kEndTrace;
}
template <bool kIdt>
Outcome store_table(Vcpu& cpu, const Insn& insn) {
  if (!umip_allows(cpu)) return Outcome::kFault;
  u8 raw[10];
  const unsigned base_bytes = cpu.long64() ? 8 : 4;
  store_le<u16>(raw, static_cast<u16>(kIdt ? cpu.state.idt_limit : cpu.state.gdt_limit));
  store_le_n(raw + 2, kIdt ? cpu.state.idt_base : cpu.state.gdt_base, base_bytes);
  return cpu.write_bytes(insn.segment(), cpu.effective_address(insn), raw, 2 + base_bytes) ? Outcome::kNext
                                                                                           : Outcome::kFault;
}
Outcome lmsw(Vcpu& cpu, const Insn& insn) {
  u16 value;
  if (!ring0(cpu) || !read_operand<u16>(cpu, insn, 0, value)) return Outcome::kFault;
  // It can set PE but not clear it.
  const u64 cr0 = (cpu.state.cr0 & ~u64{0xe}) | (value & 0xf);
  return write_cr0(cpu, cr0) ? Outcome::kEndTrace : Outcome::kFault;
}
Outcome smsw(Vcpu& cpu, const Insn& insn) {
  if (!umip_allows(cpu)) return Outcome::kFault;
  if (insn.mem_at(0))
    return cpu.write<u16>(insn, static_cast<u16>(cpu.state.cr0)) ? Outcome::kNext : Outcome::kFault;
  switch (insn.operand_log2()) {
    case 1:
      cpu.set_reg<u16>(insn.op[0], static_cast<u16>(cpu.state.cr0));
      break;
    case 2:
      cpu.set_reg<u32>(insn.op[0], static_cast<u32>(cpu.state.cr0));
      break;
    default:
      cpu.state.gpr[insn.op[0]] = cpu.state.cr0;
      break;
  }
  return Outcome::kNext;
}
Outcome clts(Vcpu& cpu, const Insn&) {
  if (!ring0(cpu)) return Outcome::kFault;
  cpu.state.cr0 &= ~cr0::TS;
  cpu.mode_changed();
  return Outcome::kEndTrace;
}

// ---- TLB and caches ----
Outcome invlpg(Vcpu& cpu, const Insn& insn) {
  if (!ring0(cpu)) return Outcome::kFault;
  const u64 offset = cpu.effective_address(insn);
  const u64 base = cpu.segment_base(insn.segment());
  const u64 linear = cpu.long_mode() ? offset + base : (offset + base) & 0xffffffffu;
  if (!cpu.long_mode() || cpu.canonical(linear)) cpu.flush_tlb_page(linear);
  return Outcome::kEndTrace;
}
Outcome invpcid(Vcpu& cpu, const Insn& insn) {
  if (!ring0(cpu)) return Outcome::kFault;
  const u64 type = cpu.long64() ? cpu.state.gpr[insn.op[0]] : cpu.reg<u32>(insn.op[0]);
  struct {
    u64 pcid;
    u64 linear;
  } descriptor;
  if (!cpu.read(insn, descriptor)) return Outcome::kFault;
  if (type > 3 || (descriptor.pcid >> 12) != 0) return cpu.raise(kGP, 0);
  const auto pcid = static_cast<u16>(descriptor.pcid);
  if (type < 2 && pcid != 0 && (cpu.state.cr4 & cr4::PCIDE) == 0) return cpu.raise(kGP, 0);
  switch (type) {
    case 0:
      if (!cpu.canonical_base(descriptor.linear)) return cpu.raise(kGP, 0);
      cpu.flush_tlb_page_pcid(descriptor.linear, pcid);
      break;
    case 1:
      cpu.flush_tlb_pcid(pcid);
      break;
    case 2:
      cpu.flush_tlb_all();
      break;
    default:
      cpu.flush_tlb_non_global();
      break;
  }
  return Outcome::kEndTrace;
}
Outcome privileged_nop(Vcpu& cpu, const Insn&) { return ring0(cpu) ? Outcome::kNext : Outcome::kFault; }
Outcome nop(Vcpu&, const Insn&) { return Outcome::kNext; }
// CLFLUSH and relatives fault like a byte read, and do nothing else here.
Outcome flush_line(Vcpu& cpu, const Insn& insn) {
  u8 ignored;
  return cpu.read<u8>(insn, ignored) ? Outcome::kNext : Outcome::kFault;
}

// ---- Interrupt flag, halting ----
/// What CLI and STI act on: IF, VIF (CR4.VME in virtual-8086 mode, CR4.PVI in ring 3), or nothing: #GP(0).
/// [SDM2 CLI, STI], [SDM3 20.3, 20.4]
enum class InterruptFlag : u8 { kReal, kVirtual, kDenied };
InterruptFlag interrupt_flag(const Vcpu& cpu) {
  if (!cpu.protected_mode() || cpu.cpl() <= cpu.iopl()) return InterruptFlag::kReal;
  const u64 extension = cpu.vm86() ? cr4::VME : cr4::PVI;
  return cpu.cpl() == 3 && (cpu.state.cr4 & extension) != 0 ? InterruptFlag::kVirtual
                                                            : InterruptFlag::kDenied;
}
Outcome cli(Vcpu& cpu, const Insn&) {
  switch (interrupt_flag(cpu)) {
    case InterruptFlag::kReal:
      cpu.state.rflags &= ~rflags::IF;
      return Outcome::kNext;
    case InterruptFlag::kVirtual:
      cpu.state.rflags &= ~rflags::VIF;
      return Outcome::kNext;
    default:
      return cpu.raise(kGP, 0);
  }
}
Outcome sti(Vcpu& cpu, const Insn&) {
  const InterruptFlag flag = interrupt_flag(cpu);
  if (flag == InterruptFlag::kVirtual && (cpu.state.rflags & rflags::VIP) == 0) {
    cpu.state.rflags |= rflags::VIF;
    return Outcome::kEndTrace;
  }
  if (flag != InterruptFlag::kReal) return cpu.raise(kGP, 0);
  if ((cpu.state.rflags & rflags::IF) == 0) {
    cpu.state.rflags |= rflags::IF;
    cpu.state.shadow = Shadow::kSti;
  }
  cpu.set_attention();
  return Outcome::kEndTrace;
}
Outcome hlt(Vcpu& cpu, const Insn&) {
  if (!ring0(cpu)) return Outcome::kFault;
  cpu.state.activity = Activity::kHalted;
  cpu.set_attention();
  return Outcome::kEndTrace;
}
Outcome pause(Vcpu& cpu, const Insn&) {
  if (cpu.services().cpu_count == 1) return Outcome::kNext;
  cpu.yield_requested = true;
  cpu.set_attention();
  return Outcome::kEndTrace;
}
/// #UD outside ring 0 unless HWCR.MonMwaitUserEn, and everywhere with HWCR.MonMwaitDis [APM3 MONITOR].
bool monitor_allowed(const Vcpu& cpu) {
  if ((cpu.state.hwcr & hwcr::MonMwaitDis) != 0) return false;
  return cpu.cpl() == 0 || (cpu.state.hwcr & hwcr::MonMwaitUserEn) != 0;
}
/// The hints and extensions: ECX, but in 64-bit mode of Intel's processors all of RCX must be valid.
/// [SDM2 MONITOR], [APM3 MONITOR]
u64 monitor_extensions(const Vcpu& cpu) {
  const bool wide = cpu.long64() && !cpu.model().amd;
  return wide ? cpu.state.gpr[kRcx] : cpu.reg<u32>(kRcx);
}
Outcome monitor(Vcpu& cpu, const Insn& insn) {
  if (!monitor_allowed(cpu)) return cpu.raise(kUD);
  if (monitor_extensions(cpu) != 0) return cpu.raise(kGP, 0);
  u8 ignored;
  const u64 offset = cpu.state.gpr[kRax] & insn.address_mask();
  if (!cpu.read<u8>(insn.segment(), offset, ignored)) return Outcome::kFault;
  const u64 linear = offset + cpu.segment_base(insn.segment());
  u64 physical = 0;
  if (cpu.translate_quietly(cpu.long64() ? linear : linear & 0xffffffffu, physical))
    cpu.arm_monitor(physical);
  return Outcome::kNext;
}
Outcome mwait(Vcpu& cpu, const Insn&) {
  if (!monitor_allowed(cpu)) return cpu.raise(kUD);
  const u64 extensions = monitor_extensions(cpu);
  if ((extensions & ~u64{1}) != 0) return cpu.raise(kGP, 0);
  if (cpu.state.monitor_armed) {
    cpu.state.activity = Activity::kMwait;
    cpu.state.mwait_wakes_masked = (extensions & 1) != 0;
  } else {
    cpu.yield_requested = true;  // whoever waits in a loop lets the others run
  }
  cpu.set_attention();
  return Outcome::kEndTrace;
}

// ---- Flags ----
template <u64 kClear, u64 kSet, u64 kFlip>
Outcome change_flags(Vcpu& cpu, const Insn&) {
  cpu.state.rflags = ((cpu.state.rflags & ~kClear) | kSet) ^ kFlip;
  return Outcome::kNext;
}
template <bool kSet>
Outcome change_ac(Vcpu& cpu, const Insn&) {
  if (cpu.cpl() != 0) return cpu.raise(kUD);
  cpu.state.rflags = kSet ? cpu.state.rflags | rflags::AC : cpu.state.rflags & ~rflags::AC;
  cpu.mode_changed();
  return Outcome::kEndTrace;  // what follows accesses memory with other rights
}

template <class T>

Outcome bound(Vcpu& cpu, const Insn& insn) {
  T range[2];
  const u64 at = cpu.effective_address(insn);
  if (!cpu.read(insn.segment(), at, range[0]) ||
      !cpu.read(insn.segment(), (at + sizeof(T)) & insn.address_mask(), range[1]))
    return Outcome::kFault;
  const auto index = static_cast<std::make_signed_t<T>>(cpu.reg<T>(insn.op[0]));
  if (index < static_cast<std::make_signed_t<T>>(range[0]) ||
      index > static_cast<std::make_signed_t<T>>(range[1])) {
    return cpu.raise(kBR);
  }
  return Outcome::kNext;
}

Outcome ud(Vcpu& cpu, const Insn&) { return cpu.raise(kUD); }

}  // namespace

Handler select_mov_control(const Insn&, const DecodedForm& f) {
  return f.kind[0] == OperandKind::kControl ? mov_to_control : mov_from_control;
}
Handler select_mov_debug(const Insn&, const DecodedForm& f) {
  return f.kind[0] == OperandKind::kDebug ? mov_to_debug : mov_from_debug;
}
Handler select_lgdt(const Insn&, const DecodedForm&) { return load_table<false>; }
Handler select_lidt(const Insn&, const DecodedForm&) { return load_table<true>; }
Handler select_sgdt(const Insn&, const DecodedForm&) { return store_table<false>; }
Handler select_sidt(const Insn&, const DecodedForm&) { return store_table<true>; }
Handler select_lmsw(const Insn&, const DecodedForm&) { return lmsw; }
Handler select_smsw(const Insn&, const DecodedForm&) { return smsw; }
Handler select_clts(const Insn&, const DecodedForm&) { return clts; }
Handler select_invlpg(const Insn&, const DecodedForm&) { return invlpg; }
Handler select_invpcid(const Insn&, const DecodedForm&) { return invpcid; }
Handler select_wbinvd(const Insn&, const DecodedForm&) { return privileged_nop; }
// The prefetches of 0F 0D have memory forms only.
Handler select_nop(const Insn&, const DecodedForm& f) {
  return f.opcode == 0x0d && f.kind[0] == OperandKind::kGpr ? nullptr : nop;
}
Handler select_flush_line(const Insn&, const DecodedForm&) { return flush_line; }
Handler select_cli(const Insn&, const DecodedForm&) { return cli; }
Handler select_sti(const Insn&, const DecodedForm&) { return sti; }
Handler select_hlt(const Insn&, const DecodedForm&) { return hlt; }
Handler select_pause(const Insn&, const DecodedForm&) { return pause; }
Handler select_monitor(const Insn&, const DecodedForm&) { return monitor; }
Handler select_mwait(const Insn&, const DecodedForm&) { return mwait; }
Handler select_clc(const Insn&, const DecodedForm&) { return change_flags<rflags::CF, 0, 0>; }
Handler select_stc(const Insn&, const DecodedForm&) { return change_flags<0, rflags::CF, 0>; }
Handler select_cmc(const Insn&, const DecodedForm&) { return change_flags<0, 0, rflags::CF>; }
Handler select_cld(const Insn&, const DecodedForm&) { return change_flags<rflags::DF, 0, 0>; }
Handler select_std(const Insn&, const DecodedForm&) { return change_flags<0, rflags::DF, 0>; }
Handler select_clac(const Insn&, const DecodedForm&) { return change_ac<false>; }
Handler select_stac(const Insn&, const DecodedForm&) { return change_ac<true>; }
Handler select_bound(const Insn& insn, const DecodedForm&) {
  return insn.operand_log2() == 1 ? &bound<u16> : &bound<u32>;
}
Handler select_ud(const Insn&, const DecodedForm&) { return ud; }

}  // namespace orrery::cpu::exec
