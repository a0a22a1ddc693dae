// Not modelled: performance counters, machine-check banks (none exist), last-branch records; unknown MSRs are
// refused.
#include "cpu/msr/msr.h"

#include <bit>

#include "cpu/apic/local_apic.h"
#include "cpu/msr/kvm_clock.h"
#include "cpu/system/mode.h"

namespace orrery::cpu {
namespace {

constexpr u32 kTsc = 0x10, kApicBase = 0x1b, kPatchLevel = 0x8b, kMtrrCap = 0xfe, kSysenterCs = 0x174,
              kSysenterEsp = 0x175, kSysenterEip = 0x176, kMcgCap = 0x179, kMcgStatus = 0x17a,
              kMiscEnable = 0x1a0, kDebugCtl = 0x1d9, kMtrrPhysBase0 = 0x200, kPat = 0x277,
              kMtrrDefType = 0x2ff, kTscDeadline = 0x6e0, kXss = 0xda0, kEfer = 0xc0000080,
              kStar = 0xc0000081, kLstar = 0xc0000082, kCstar = 0xc0000083, kSfmask = 0xc0000084,
              kFsBase = 0xc0000100, kGsBase = 0xc0000101, kKernelGsBase = 0xc0000102, kTscAux = 0xc0000103,
              kSyscfg = 0xc0010010, kHwcr = 0xc0010015, kVmCr = 0xc0010114, kOsvwIdLength = 0xc0010140,
              kOsvwStatus = 0xc0010141, kMperf = 0xe7, kAperf = 0xe8, kPstateLimit = 0xc0010061,
              kPstateControl = 0xc0010062, kPstateStatus = 0xc0010063, kDeCfg = 0xc0011029,
              kLsCfg = 0xc0011020, kBuCfg2 = 0xc001102a, kIntPending = 0xc0010055, kNbCfg = 0xc001001f,
              kTopMem = 0xc001001a, kTopMem2 = 0xc001001d, kIorrBase0 = 0xc0010016;

/// Fixed-range MTRRs in the order of state.mtrr_fixed [SDM3 11.11.2.2].
constexpr u32 kMtrrFixed[11] = {0x250, 0x258, 0x259, 0x268, 0x269, 0x26a, 0x26b, 0x26c, 0x26d, 0x26e, 0x26f};
int fixed_mtrr_index(u32 msr) {
  for (int i = 0; i < 11; ++i) {
    if (kMtrrFixed[i] == msr) return i;
  }
  return -1;
}

bool valid_memory_type(u64 type) { return type <= 6 && type != 2 && type != 3; }
bool valid_pat(u64 value) {
  for (unsigned i = 0; i < 8; ++i) {
    const u64 type = bits(value, 8 * i + 7, 8 * i);
    if (type > 7 || type == 2 || type == 3) return false;
  }
  return true;
}

bool canonical_only(const Vcpu& cpu, u64 value, u64& target) {
  if (!cpu.canonical(value)) return false;
  target = value;
  return true;
}

}  // namespace

bool read_msr(Vcpu& cpu, u32 index, u64& value) {
  const CpuState& s = cpu.state;
  value = 0;
  if (index >= 0x800 && index <= 0x8ff) return cpu.apic().x2apic_read(index, value);
  if (index >= kMtrrPhysBase0 && index < kMtrrPhysBase0 + 16) {
    const unsigned n = (index - kMtrrPhysBase0) / 2;
    value = (index & 1) == 0 ? s.mtrr_base[n] : s.mtrr_mask[n];
    return true;
  }
  if (const int fixed = fixed_mtrr_index(index); fixed >= 0) {
    value = s.mtrr_fixed[fixed];
    return true;
  }
  switch (index) {
    case kTsc:
      value = cpu.read_tsc();
      return true;
    case kApicBase:
      value = cpu.apic().base_msr();
      return true;
    case kPatchLevel:
      value = s.microcode_revision;
      return true;
    case kMtrrCap:
      value = 0x508;
      return true;  // 8 variable, fixed, write-combining
    case kSysenterCs:
      value = s.sysenter_cs;
      return true;
    case kSysenterEsp:
      value = s.sysenter_esp;
      return true;
    case kSysenterEip:
      value = s.sysenter_eip;
      return true;
    case kMcgCap:
      return true;  // no banks
    case kMcgStatus:
      value = s.mcg_status;
      return true;
    case kMiscEnable:
      value = s.misc_enable;
      return !cpu.model().amd;
    case kDebugCtl:
      value = s.debugctl;
      return true;
    case kPat:
      value = s.pat;
      return true;
    case kMtrrDefType:
      value = s.mtrr_def_type;
      return true;
    case kTscDeadline:
      value = cpu.apic().tsc_deadline();
      return true;
    case kXss:
      value = s.xss;
      return cpu.model().has(isa::Feature::kXsaves);
    case kEfer:
      value = s.efer;
      return true;
    case kStar:
      value = s.star;
      return true;
    case kLstar:
      value = s.lstar;
      return true;
    case kCstar:
      value = s.cstar;
      return true;
    case kSfmask:
      value = s.sfmask;
      return true;
    case kFsBase:
      value = s.seg[kFs].base;
      return true;
    case kGsBase:
      value = s.seg[kGs].base;
      return true;
    case kKernelGsBase:
      value = s.kernel_gs_base;
      return true;
    case kTscAux:
      value = s.tsc_aux;
      return cpu.model().has(isa::Feature::kRdtscp);
    case kMperf:
    case kAperf:
      value = cpu.read_tsc();
      return true;
    case kMsrKvmWallClock:
    case kMsrKvmWallClockOld:
      value = s.kvm_wall_clock;
      return cpu.model().kvm_signature;
    case kMsrKvmSystemTime:
    case kMsrKvmSystemTimeOld:
      value = s.kvm_system_time;
      return cpu.model().kvm_signature;
    default:
      break;
  }
  if (!cpu.model().amd) return false;
  switch (index) {
    case kSyscfg:
      value = s.syscfg;
      return true;
    case kHwcr:
      value = s.hwcr;
      return true;
    case kTopMem:
    case kTopMem2:
      return true;
    case kIorrBase0:
    case kIorrBase0 + 1:
    case kIorrBase0 + 2:
    case kIorrBase0 + 3:
      return true;
    case kVmCr:
      value = 0x10;
      return true;  // SVM is disabled
    case kOsvwIdLength:
    case kOsvwStatus:
      return true;
    case kPstateLimit:
    case kPstateControl:
    case kPstateStatus:
      return true;
    case kDeCfg:
      value = 2;
      return true;  // LFENCE serialises
    case kLsCfg:
    case kBuCfg2:
    case kIntPending:
    case kNbCfg:
      return true;
    default:
      return false;
  }
}

bool write_msr(Vcpu& cpu, u32 index, u64 value) {
  CpuState& s = cpu.state;
  if (index >= 0x800 && index <= 0x8ff) return cpu.apic().x2apic_write(index, value);
  if (index >= kMtrrPhysBase0 && index < kMtrrPhysBase0 + 16) {
    const unsigned n = (index - kMtrrPhysBase0) / 2;
    const u64 address = low_mask(cpu.model().physical_address_bits) & ~u64{0xfff};
    if ((index & 1) == 0) {
      if ((value & ~(address | 0xff)) != 0 || !valid_memory_type(value & 0xff)) return false;
      s.mtrr_base[n] = value;
    } else {
      if ((value & ~(address | 0x800)) != 0) return false;
      s.mtrr_mask[n] = value;
    }
    return true;
  }
  if (const int fixed = fixed_mtrr_index(index); fixed >= 0) {
    for (unsigned i = 0; i < 8; ++i) {
      // On AMD's processors bits 3 and 4 of each byte are RdMem and WrMem, when SYSCFG allows [APM2 7.9.1].
      if (!valid_memory_type(bits(value, 8 * i + 7, 8 * i) & ~u64{cpu.model().amd ? 0x18u : 0u}))
        return false;
    }
    s.mtrr_fixed[fixed] = value;
    return true;
  }
  switch (index) {
    case kTsc:
      s.tsc_offset += value - cpu.read_tsc();
      cpu.apic().set_tsc_deadline(cpu.apic().tsc_deadline());
      if ((s.kvm_system_time & 1) != 0) write_kvm_system_time(cpu, s.kvm_system_time);
      return true;
    case kApicBase:
      return cpu.apic().set_base_msr(value);
    case kPatchLevel:
      return true;  // ignored, as with no update loaded
    case kSysenterCs:
      s.sysenter_cs = value;
      return true;
    case kSysenterEsp:
      return canonical_only(cpu, value, s.sysenter_esp);
    case kSysenterEip:
      return canonical_only(cpu, value, s.sysenter_eip);
    case kMcgStatus:
      s.mcg_status = value & 7;
      return true;
    case kDebugCtl:
      s.debugctl = value & 0x3f;
      return (value & ~u64{0x3f}) == 0;
    case kPat:
      if (!valid_pat(value)) return false;
      s.pat = value;
      return true;
    case kMtrrDefType:
      if ((value & ~u64{0xcff}) != 0 || !valid_memory_type(value & 0xff)) return false;
      s.mtrr_def_type = value;
      return true;
    case kTscDeadline:
      cpu.apic().set_tsc_deadline(value);
      return true;
    case kXss:
      if (!cpu.model().has(isa::Feature::kXsaves) || value != 0) return false;
      return true;
    case kEfer:
      return write_efer(cpu, value);
    case kStar:
      s.star = value;
      return true;
    case kLstar:
      return canonical_only(cpu, value, s.lstar);
    case kCstar:
      return canonical_only(cpu, value, s.cstar);
    case kSfmask:
      s.sfmask = value & 0xffffffff;
      return true;
    case kFsBase:
      if (!canonical_only(cpu, value, s.seg[kFs].base)) return false;
      cpu.mode_changed();
      return true;
    case kGsBase:
      if (!canonical_only(cpu, value, s.seg[kGs].base)) return false;
      cpu.mode_changed();
      return true;
    case kKernelGsBase:
      return canonical_only(cpu, value, s.kernel_gs_base);
    case kTscAux:
      if (!cpu.model().has(isa::Feature::kRdtscp) || (value >> 32) != 0) return false;
      s.tsc_aux = value;
      return true;
    case kMperf:
    case kAperf:
      return true;
    case kMsrKvmWallClock:
    case kMsrKvmWallClockOld:
      if (!cpu.model().kvm_signature) return false;
      write_kvm_wall_clock(cpu, value);
      return true;
    case kMsrKvmSystemTime:
    case kMsrKvmSystemTimeOld:
      if (!cpu.model().kvm_signature) return false;
      write_kvm_system_time(cpu, value);
      return true;
    default:
      break;
  }
  if (!cpu.model().amd) return false;
  switch (index) {
    case kSyscfg:
      s.syscfg = value & 0x00ffffff;
      return true;
    case kHwcr:
      s.hwcr = value;
      return true;
    case kVmCr:
      return true;
    case kTopMem:
    case kTopMem2:
      return true;
    case kIorrBase0:
    case kIorrBase0 + 1:
    case kIorrBase0 + 2:
    case kIorrBase0 + 3:
      return true;
    case kPstateControl:
      return true;
    case kDeCfg:
    case kLsCfg:
    case kBuCfg2:
    case kIntPending:
    case kNbCfg:
      return true;
    case kOsvwIdLength:
    case kOsvwStatus:
      return true;
    default:
      return false;
  }
}

}  // namespace orrery::cpu
