// SYSCALL, SYSRET, SYSENTER, SYSEXIT with each vendor's behaviour. [SDM2], [SDM3 5.8.7, 5.8.8], [APM3]
#include "cpu/exec/common.h"
#include "cpu/system/descriptor.h"

namespace orrery::cpu::exec {
namespace {

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
  cpu.flags_loaded();
  return Outcome::kEndTrace;
}

Outcome sysret(Vcpu& cpu, const Insn& insn) {
  if ((cpu.state.efer & efer::SCE) == 0) return cpu.raise(kUD);
  if (!cpu.model().amd && !cpu.long64()) return cpu.raise(kUD);
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
  cpu.flags_loaded();
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

Handler select_syscall(const Insn&, const DecodedForm&) { return syscall; }
Handler select_sysret(const Insn&, const DecodedForm&) { return sysret; }
Handler select_sysenter(const Insn&, const DecodedForm&) { return sysenter; }
Handler select_sysexit(const Insn&, const DecodedForm&) { return sysexit; }

}  // namespace orrery::cpu::exec
