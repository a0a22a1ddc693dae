// Not modelled: topology beyond one package of single-threaded cores, cache parameters beyond a plausible
// hierarchy, AVX-512.
#include "cpu/cpuid/model.h"

#include <cstring>

#include "cpu/apic/local_apic.h"
#include "cpu/exec/fp_xsave.h"
#include "cpu/vcpu.h"

namespace orrery::cpu {
namespace {

using isa::Feature;

template <class... F>
constexpr u64 mask(F... f) {
  return ((u64{1} << static_cast<unsigned>(f)) | ...);
}

constexpr u64 kBaseline =
    mask(Feature::kBase, Feature::kFpu, Feature::kCx8, Feature::kCmov, Feature::kMmx, Feature::kFxsr,
         Feature::kSse, Feature::kSse2, Feature::kSyscall, Feature::kSep, Feature::kClflush, Feature::kTsc,
         Feature::kMsr, Feature::kMmxExt, Feature::kPrefetchw);
constexpr u64 kV2 = kBaseline | mask(Feature::kSse3, Feature::kSsse3, Feature::kSse41, Feature::kSse42,
                                     Feature::kPopcnt, Feature::kCx16, Feature::kLahf);
// What every system of the v2 era and later has besides its level.
constexpr u64 kPlatform =
    mask(Feature::kRdtscp, Feature::kXsave, Feature::kXsaveopt, Feature::kXsavec, Feature::kXsaves,
         Feature::kFsgsbase, Feature::kInvpcid, Feature::kSmap, Feature::kUmip, Feature::kRdrand,
         Feature::kRdseed, Feature::kClflushopt, Feature::kRdpid, Feature::kMonitor);
constexpr u64 kV3 =
    kV2 | mask(Feature::kAes, Feature::kPclmul, Feature::kSha, Feature::kSse4a, Feature::kMovbe,
               Feature::kBmi1, Feature::kBmi2, Feature::kLzcnt, Feature::kAdx, Feature::kClwb, Feature::kAvx,
               Feature::kAvx2, Feature::kFma, Feature::kF16c, Feature::kVaes, Feature::kVpclmul,
               Feature::kGfni, Feature::kAvxVnni, Feature::kPku);

constexpr CpuModel kModels[] = {
    {.name = "x86-64-v2",
     .features = kV2 | kPlatform,
     .physical_address_bits = 40,
     .linear_address_bits = 48,
     .amd = true,
     .family_model_stepping = 0x00b00f21,
     .brand = "Orrery x86-64-v2"},
    {.name = "x86-64-v3",
     .features = kV3 | kPlatform,
     .physical_address_bits = 40,
     .linear_address_bits = 48,
     .amd = true,
     .family_model_stepping = 0x00b00f21,
     .brand = "Orrery x86-64-v3"},
    // The same with 57-bit linear and 52-bit physical addresses.
    {.name = "x86-64-v3-la57",
     .features = kV3 | kPlatform,
     .physical_address_bits = 52,
     .linear_address_bits = 57,
     .amd = true,
     .family_model_stepping = 0x00b00f21,
     .brand = "Orrery x86-64-v3 LA57"},
};

constexpr u32 feature_bit(bool has, unsigned n) { return has ? 1u << n : 0; }

bool has_monitor(const Vcpu& cpu) {
  return cpu.model().has(Feature::kMonitor) && (cpu.state.hwcr & hwcr::MonMwaitDis) == 0;
}

u32 leaf1_ecx(const Vcpu& cpu) {
  const CpuModel& m = cpu.model();
  return feature_bit(m.has(Feature::kSse3), 0) | feature_bit(m.has(Feature::kPclmul), 1) |
         feature_bit(has_monitor(cpu), 3) | feature_bit(m.has(Feature::kSsse3), 9) |
         feature_bit(m.has(Feature::kFma), 12) | feature_bit(m.has(Feature::kCx16), 13) |
         feature_bit(m.has(Feature::kInvpcid), 17) |  // PCID
         feature_bit(m.has(Feature::kSse41), 19) | feature_bit(m.has(Feature::kSse42), 20) |
         feature_bit(true, 21) |  // x2APIC
         feature_bit(m.has(Feature::kMovbe), 22) | feature_bit(m.has(Feature::kPopcnt), 23) |
         feature_bit(true, 24) |  // TSC-deadline
         feature_bit(m.has(Feature::kAes), 25) | feature_bit(m.has(Feature::kXsave), 26) |
         feature_bit((cpu.state.cr4 & cr4::OSXSAVE) != 0, 27) | feature_bit(m.has(Feature::kAvx), 28) |
         feature_bit(m.has(Feature::kF16c), 29) | feature_bit(m.has(Feature::kRdrand), 30) |
         feature_bit(m.kvm_signature, 31);  // a hypervisor is present
}
u32 leaf1_edx(const Vcpu& cpu) {
  // FPU VME DE PSE TSC MSR PAE MCE CX8 APIC SEP MTRR PGE MCA CMOV PAT PSE36 CLFSH MMX FXSR SSE SSE2
  u32 edx = 0x078bfbff;
  if (cpu.services().cpu_count > 1) edx |= 1u << 28;  // HTT: the package has several logical processors
  if (!cpu.apic().enabled()) edx &= ~(1u << 9);
  return edx;
}
u32 leaf7_ebx(const CpuModel& m) {
  return feature_bit(m.has(Feature::kFsgsbase), 0) | feature_bit(m.has(Feature::kBmi1), 3) |
         feature_bit(m.has(Feature::kAvx2), 5) | feature_bit(m.has(Feature::kSmap), 7) |  // SMEP
         feature_bit(m.has(Feature::kBmi2), 8) | feature_bit(true, 9) |                   // ERMS
         feature_bit(m.has(Feature::kInvpcid), 10) | feature_bit(m.has(Feature::kRdseed), 18) |
         feature_bit(m.has(Feature::kAdx), 19) | feature_bit(m.has(Feature::kSmap), 20) |
         feature_bit(m.has(Feature::kClflushopt), 23) | feature_bit(m.has(Feature::kClwb), 24) |
         feature_bit(m.has(Feature::kSha), 29);
}

u32 leaf7_ecx(const Vcpu& cpu) {
  const CpuModel& m = cpu.model();
  return feature_bit(m.has(Feature::kUmip), 2) | feature_bit(m.has(Feature::kPku), 3) |
         feature_bit((cpu.state.cr4 & cr4::PKE) != 0, 4) | feature_bit(m.has(Feature::kGfni), 8) |
         feature_bit(m.has(Feature::kVaes), 9) | feature_bit(m.has(Feature::kVpclmul), 10) |
         feature_bit(m.linear_address_bits == 57, 16) | feature_bit(m.has(Feature::kRdpid), 22);
}

CpuidResult leaf_xsave(const Vcpu& cpu, u32 subleaf) {
  namespace xsave = exec::xsave;
  const CpuModel& m = cpu.model();
  if (!m.has(Feature::kXsave)) return {};
  const u64 supported = xsave::supported(m);
  switch (subleaf) {
    case 0:
      return {static_cast<u32>(supported), xsave::standard_bytes(cpu.state.xcr0),
              xsave::standard_bytes(supported), 0};
    case 1:
      return {feature_bit(m.has(Feature::kXsaveopt), 0) | feature_bit(m.has(Feature::kXsavec), 1) |
                  feature_bit(m.has(Feature::kXsavec), 2) | feature_bit(m.has(Feature::kXsaves), 3),
              xsave::compacted_bytes(cpu.state.xcr0 | cpu.state.xss), 0, 0};
    case 2:
      return (supported & xcr0::AVX) != 0 ? CpuidResult{xsave::kAvxBytes, xsave::kAvxOffset, 0, 0}
                                          : CpuidResult{};
    case 9:
      return (supported & xcr0::PKRU) != 0 ? CpuidResult{xsave::kPkruBytes, xsave::kPkruOffset, 0, 0}
                                           : CpuidResult{};
    default:
      return {};
  }
}

CpuidResult text16(const char* text) {
  u32 words[4];
  std::memcpy(words, text, 16);
  return {words[0], words[1], words[2], words[3]};
}

CpuidResult hypervisor_leaf(const Vcpu& cpu, u32 leaf) {
  if (!cpu.model().kvm_signature) return {};
  switch (leaf) {
    case 0x40000000:
      return {0x40000010, 0x4b4d564b, 0x564b4d56, 0x0000004d};  // "KVMKVMKVM"
    // Both kvmclock interfaces, no I/O delays, and a clock that is stable across CPUs.
    case 0x40000001:
      return {(1u << 0) | (1u << 1) | (1u << 3) | (1u << 24), 0, 0, 0};
    case 0x40000010:
      return {static_cast<u32>(cpu.services().tsc_hz / 1000), static_cast<u32>(LocalApic::kTimerHz / 1000), 0,
              0};
    default:
      return {};
  }
}

CpuidResult extended_leaf(const Vcpu& cpu, u32 leaf) {
  const CpuModel& m = cpu.model();
  const u32 cpus = cpu.services().cpu_count;
  switch (leaf) {
    case 0x80000000:
      return {0x80000021, 0x68747541, 0x444d4163, 0x69746e65};
    case 0x80000001: {
      const u32 ecx = feature_bit(m.has(Feature::kLahf), 0) | feature_bit(cpus > 1, 1) |
                      feature_bit(true, 4) |  // CR8
                      feature_bit(m.has(Feature::kLzcnt), 5) | feature_bit(m.has(Feature::kSse4a), 6) |
                      feature_bit(true, 7) |                                               // misaligned SSE
                      feature_bit(m.has(Feature::kPrefetchw), 8) | feature_bit(true, 17);  // TCE
      u32 edx = leaf1_edx(cpu) & 0x0183f3ff;
      edx |= (1u << 11) | (1u << 20) | (1u << 22) | (1u << 25) | (1u << 26) | (1u << 27) |
             (1u << 29);  // SYSCALL NX MMXEXT FFXSR 1G RDTSCP LM
      return {m.family_model_stepping, 0, ecx, edx};
    }
    case 0x80000002:
    case 0x80000003:
    case 0x80000004: {
      char text[48] = {};
      std::memcpy(text, m.brand.data(), std::min<size_t>(m.brand.size(), sizeof text - 1));
      return text16(text + 16 * (leaf - 0x80000002));
    }
    case 0x80000005:
      return {0xff40ff40, 0xff40ff40, 0x20080140, 0x20080140};
    case 0x80000006:
      return {0x48002200, 0x68004200, 0x02006140, 0x00409140};
    case 0x80000007:
      return {0, 0, 0, 1u << 8};  // invariant TSC
    case 0x80000008:
      // EBX: XSAVE always writes FIP, FDP and FOP (2); SSB_NO (26), BTC_NO (29): see docs/limits.md.
      return {m.physical_address_bits | (u32{m.linear_address_bits} << 8),
              (1u << 2) | (1u << 26) | (1u << 29), cpus - 1, 0};
    case 0x80000021:
      // LFENCE serialises, null selectors clear bases, AutoIBRS, SRSO_NO; ECX: TSA_SQ_NO, TSA_L1_NO.
      return {(1u << 2) | (1u << 6) | (1u << 8) | (1u << 29), 0, (1u << 1) | (1u << 2), 0};
    default:
      return {};
  }
}

}  // namespace

std::span<const CpuModel> cpu_models() { return kModels; }

std::optional<CpuModel> find_cpu_model(std::string_view name) {
  for (const CpuModel& m : kModels) {
    if (m.name == name) return m;
  }
  return std::nullopt;
}

CpuidResult cpuid(const Vcpu& cpu, u32 leaf, u32 subleaf) {
  const CpuModel& m = cpu.model();
  constexpr u32 kMaxBasic = 0x0d;
  if (leaf >= 0x40000000 && leaf < 0x40000100) return hypervisor_leaf(cpu, leaf);
  if (leaf >= 0x80000000) return leaf <= 0x80000021 ? extended_leaf(cpu, leaf) : CpuidResult{};
  switch (leaf) {
    case 0:
      return {kMaxBasic, 0x68747541, 0x444d4163, 0x69746e65};  // "AuthenticAMD"
    case 1:
      return {m.family_model_stepping, (cpu.id() << 24) | (cpu.services().cpu_count << 16) | (8u << 8),
              leaf1_ecx(cpu), leaf1_edx(cpu)};
    case 5:
      return has_monitor(cpu) ? CpuidResult{kMonitorBytes, kMonitorBytes, 3, 0x11} : CpuidResult{};
    case 6:
      return {1u << 2, 0, 0, 0};  // ARAT: the APIC timer never stops
    case 7:
      if (subleaf == 1) return {feature_bit(m.has(Feature::kAvxVnni), 4), 0, 0, 0};
      if (subleaf != 0) return {};
      return {1, leaf7_ebx(m), leaf7_ecx(cpu), 1u << 4};  // fast short REP MOVSB
    case 0xb: {
      u32 shift = 0;
      while ((1u << shift) < cpu.services().cpu_count) ++shift;
      if (subleaf == 0) return {0, 1, 1u << 8, cpu.id()};
      if (subleaf == 1) return {shift, cpu.services().cpu_count, (2u << 8) | 1, cpu.id()};
      return {0, 0, subleaf & 0xff, cpu.id()};
    }
    case 0xd:
      return leaf_xsave(cpu, subleaf);
    default:
      return {};
  }
}

}  // namespace orrery::cpu
