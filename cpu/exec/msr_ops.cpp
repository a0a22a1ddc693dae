// RDMSR WRMSR CPUID RDTSC RDTSCP RDPMC RDPID RDRAND RDSEED RDPKRU WRPKRU. [SDM2], [APM3]
#include "cpu/cpuid/model.h"
#include "cpu/exec/common.h"
#include "cpu/flags.h"
#include "cpu/msr/msr.h"

namespace orrery::cpu::exec {
namespace {

void set_edx_eax(Vcpu& cpu, u64 value) {
  cpu.set_reg<u32>(kRax, static_cast<u32>(value));
  cpu.set_reg<u32>(kRdx, static_cast<u32>(value >> 32));
}

Outcome rdmsr(Vcpu& cpu, const Insn&) {
  if (cpu.cpl() != 0) return cpu.raise(kGP, 0);
  u64 value = 0;
  if (!read_msr(cpu, cpu.reg<u32>(kRcx), value)) return cpu.raise(kGP, 0);
  set_edx_eax(cpu, value);
  return Outcome::kNext;
}
Outcome wrmsr(Vcpu& cpu, const Insn&) {
  if (cpu.cpl() != 0) return cpu.raise(kGP, 0);
  const u64 value = (u64{cpu.reg<u32>(kRdx)} << 32) | cpu.reg<u32>(kRax);
  if (!write_msr(cpu, cpu.reg<u32>(kRcx), value)) return cpu.raise(kGP, 0);
  return Outcome::kEndTrace;
}

Outcome cpuid_insn(Vcpu& cpu, const Insn&) {
  const CpuidResult r = cpuid(cpu, cpu.reg<u32>(kRax), cpu.reg<u32>(kRcx));
  cpu.set_reg<u32>(kRax, r.eax);
  cpu.set_reg<u32>(kRbx, r.ebx);
  cpu.set_reg<u32>(kRcx, r.ecx);
  cpu.set_reg<u32>(kRdx, r.edx);
  return Outcome::kNext;
}

Outcome rdtsc(Vcpu& cpu, const Insn&) {
  if (!time_stamp_allowed(cpu)) return cpu.raise(kGP, 0);
  set_edx_eax(cpu, cpu.read_tsc());
  return Outcome::kNext;
}
Outcome rdtscp(Vcpu& cpu, const Insn&) {
  if (!time_stamp_allowed(cpu)) return cpu.raise(kGP, 0);
  set_edx_eax(cpu, cpu.read_tsc());
  cpu.set_reg<u32>(kRcx, static_cast<u32>(cpu.state.tsc_aux));
  return Outcome::kNext;
}
Outcome rdpid(Vcpu& cpu, const Insn& insn) {
  cpu.state.gpr[insn.op[0]] = static_cast<u32>(cpu.state.tsc_aux);
  return Outcome::kNext;
}
// No counters exist: every index is out of range.
Outcome rdpmc(Vcpu& cpu, const Insn&) { return cpu.raise(kGP, 0); }

template <class T>
Outcome random(Vcpu& cpu, const Insn& insn) {
  cpu.set_reg<T>(insn.op[0], static_cast<T>(cpu.services().entropy.next()));
  set_arithmetic(cpu.state, rflags::CF);  // always ready
  return Outcome::kNext;
}

Outcome rdpkru(Vcpu& cpu, const Insn&) {
  if ((cpu.state.cr4 & cr4::PKE) == 0) return cpu.raise(kUD);
  if (cpu.reg<u32>(kRcx) != 0) return cpu.raise(kGP, 0);
  set_edx_eax(cpu, cpu.state.pkru);
  return Outcome::kNext;
}
Outcome wrpkru(Vcpu& cpu, const Insn&) {
  if ((cpu.state.cr4 & cr4::PKE) == 0) return cpu.raise(kUD);
  if (cpu.reg<u32>(kRcx) != 0 || cpu.reg<u32>(kRdx) != 0) return cpu.raise(kGP, 0);
  cpu.set_pkru(cpu.reg<u32>(kRax));
  return Outcome::kNext;
}

}  // namespace

Handler select_rdmsr(const Insn&, const DecodedForm&) { return rdmsr; }
Handler select_wrmsr(const Insn&, const DecodedForm&) { return wrmsr; }
Handler select_cpuid(const Insn&, const DecodedForm&) { return cpuid_insn; }
Handler select_rdtsc(const Insn&, const DecodedForm&) { return rdtsc; }
Handler select_rdtscp(const Insn&, const DecodedForm&) { return rdtscp; }
Handler select_rdpid(const Insn&, const DecodedForm&) { return rdpid; }
Handler select_rdpmc(const Insn&, const DecodedForm&) { return rdpmc; }
Handler select_random(const Insn&, const DecodedForm& f) {
  return ORRERY_BY_SIZE_NO8(f.size_bits[0], random);
}
Handler select_rdpkru(const Insn&, const DecodedForm&) { return rdpkru; }
Handler select_wrpkru(const Insn&, const DecodedForm&) { return wrpkru; }

}  // namespace orrery::cpu::exec
