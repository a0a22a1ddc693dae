// The MSRs as one table. What it does not list does not exist: #GP(0). CPUID must say the same.
//
// Not modelled: performance counters (nor MPERF and APERF), SPEC_CTRL and its kin, machine-check banks (none
// exist), microcode updates (accepted, without effect).
#include "cpu/msr/msr.h"

#include <algorithm>
#include <iterator>

#include "cpu/apic/local_apic.h"
#include "cpu/msr/kvm_clock.h"
#include "cpu/system/mode.h"

namespace orrery::cpu {
namespace {

/// One MSR, or `count` consecutive ones of a kind. `n` is the number within the row.
struct Msr {
  u32 index;
  u32 count;
  bool (*exists)(const CpuModel&);
  u64 (*read)(const Vcpu&, u32 n);
  bool (*write)(Vcpu&, u32 n, u64 value);  // false: #GP(0)
};

// ---- Who has it ----
bool always(const CpuModel&) { return true; }
bool amd(const CpuModel& m) { return m.amd; }
bool intel(const CpuModel& m) { return !m.amd; }
bool kvm(const CpuModel& m) { return m.kvm_signature; }
template <isa::Feature kFeature>
bool with(const CpuModel& m) {
  return m.has(kFeature);
}

// ---- Reading ----
template <u64 CpuState::*kField>
u64 field(const Vcpu& cpu, u32) {
  return cpu.state.*kField;
}
template <u64 kValue>
u64 constant(const Vcpu&, u32) {
  return kValue;
}
u64 tsc(const Vcpu& cpu, u32) { return cpu.read_tsc(); }
template <SegmentIndex kSegment>
u64 base_of(const Vcpu& cpu, u32) {
  return cpu.state.seg[kSegment].base;
}

// ---- Writing ----
bool read_only(Vcpu&, u32, u64) { return false; }
bool ignored(Vcpu&, u32, u64) { return true; }
/// Nothing in it can be switched: the value that it has is the only one that it takes.
template <u64 kValue>
bool only(Vcpu&, u32, u64 value) {
  return value == kValue;
}
template <u64 CpuState::*kField>
bool any(Vcpu& cpu, u32, u64 value) {
  cpu.state.*kField = value;
  return true;
}
/// Bits outside `kMask` are reserved.
template <u64 CpuState::*kField, u64 kMask>
bool within(Vcpu& cpu, u32, u64 value) {
  if ((value & ~kMask) != 0) return false;
  cpu.state.*kField = value;
  return true;
}
/// Bits outside `kMask` are not kept.
template <u64 CpuState::*kField, u64 kMask>
bool keeping(Vcpu& cpu, u32, u64 value) {
  cpu.state.*kField = value & kMask;
  return true;
}
template <u64 CpuState::*kField>
bool canonical(Vcpu& cpu, u32, u64 value) {
  if (!cpu.canonical_base(value)) return false;
  cpu.state.*kField = value;
  return true;
}
/// AMD's processors have 32 bits of the SYSENTER pointers.
template <u64 CpuState::*kField>
bool sysenter_pointer(Vcpu& cpu, u32 n, u64 value) {
  return cpu.model().amd ? keeping<kField, 0xffffffff>(cpu, n, value) : canonical<kField>(cpu, n, value);
}
template <SegmentIndex kSegment>
bool set_base(Vcpu& cpu, u32, u64 value) {
  if (!cpu.canonical_base(value)) return false;
  cpu.state.seg[kSegment].base = value;
  cpu.mode_changed();
  return true;
}

bool write_tsc(Vcpu& cpu, u32, u64 value) {
  CpuState& s = cpu.state;
  s.tsc_offset += value - cpu.read_tsc();
  cpu.apic().set_tsc_deadline(cpu.apic().tsc_deadline());
  if ((s.kvm_system_time & 1) != 0) write_kvm_system_time(cpu, s.kvm_system_time);
  return true;
}

bool write_debugctl(Vcpu& cpu, u32, u64 value) {
  if ((value & ~u64{0x3f}) != 0) return false;
  cpu.state.debugctl = value;
  cpu.set_attention();
  return true;
}

// ---- Memory types [SDM3 11.11, 11.12], [APM2 7.7, 7.8] ----
bool valid_memory_type(u64 type) { return type <= 6 && type != 2 && type != 3; }
bool write_pat(Vcpu& cpu, u32, u64 value) {
  for (unsigned i = 0; i < 8; ++i) {
    const u64 type = bits(value, 8 * i + 7, 8 * i);
    if (type > 7 || type == 2 || type == 3) return false;
  }
  cpu.state.pat = value;
  return true;
}
u64 read_variable_mtrr(const Vcpu& cpu, u32 n) {
  return (n & 1) == 0 ? cpu.state.mtrr_base[n / 2] : cpu.state.mtrr_mask[n / 2];
}
bool write_variable_mtrr(Vcpu& cpu, u32 n, u64 value) {
  const u64 address = low_mask(cpu.model().physical_address_bits) & ~u64{0xfff};
  if ((n & 1) == 0) {
    if ((value & ~(address | 0xff)) != 0 || !valid_memory_type(value & 0xff)) return false;
    cpu.state.mtrr_base[n / 2] = value;
  } else {
    if ((value & ~(address | 0x800)) != 0) return false;
    cpu.state.mtrr_mask[n / 2] = value;
  }
  return true;
}
/// `kFirst`: the row's place in CpuState::mtrr_fixed.
template <u32 kFirst>
u64 read_fixed_mtrr(const Vcpu& cpu, u32 n) {
  return cpu.state.mtrr_fixed[kFirst + n];
}
template <u32 kFirst>
bool write_fixed_mtrr(Vcpu& cpu, u32 n, u64 value) {
  for (unsigned i = 0; i < 8; ++i) {
    // On AMD's processors bits 3 and 4 of each byte are RdMem and WrMem, when SYSCFG allows [APM2 7.9.1].
    if (!valid_memory_type(bits(value, 8 * i + 7, 8 * i) & ~u64{cpu.model().amd ? 0x18u : 0u})) return false;
  }
  cpu.state.mtrr_fixed[kFirst + n] = value;
  return true;
}
bool write_mtrr_def_type(Vcpu& cpu, u32, u64 value) {
  if ((value & ~u64{0xcff}) != 0 || !valid_memory_type(value & 0xff)) return false;
  cpu.state.mtrr_def_type = value;
  return true;
}
u64 read_top_mem(const Vcpu& cpu, u32 n) { return cpu.state.top_mem[n / 3]; }
bool write_top_mem(Vcpu& cpu, u32 n, u64 value) {
  if ((value & ~low_mask(cpu.model().physical_address_bits)) != 0) return false;
  cpu.state.top_mem[n / 3] = value & ~u64{0x7fffff};
  return true;
}
u64 read_iorr(const Vcpu& cpu, u32 n) { return cpu.state.iorr[n]; }
bool write_iorr(Vcpu& cpu, u32 n, u64 value) {
  const u64 address = low_mask(cpu.model().physical_address_bits) & ~u64{0xfff};
  if ((value & ~(address | ((n & 1) == 0 ? 0x18 : 0x800))) != 0) return false;
  cpu.state.iorr[n] = value;
  return true;
}

// ---- Others ----
u64 read_apic_base(const Vcpu& cpu, u32) { return cpu.apic().base_msr(); }
bool write_apic_base(Vcpu& cpu, u32, u64 value) { return cpu.apic().set_base_msr(value); }
u64 read_tsc_deadline(const Vcpu& cpu, u32) { return cpu.apic().tsc_deadline(); }
bool write_tsc_deadline(Vcpu& cpu, u32, u64 value) {
  cpu.apic().set_tsc_deadline(value);
  return true;
}
bool write_efer_msr(Vcpu& cpu, u32, u64 value) { return write_efer(cpu, value); }
bool write_vm_hsave(Vcpu& cpu, u32, u64 value) {
  if ((value & 0xfff) != 0 || (value & ~low_mask(cpu.model().physical_address_bits)) != 0) return false;
  cpu.state.vm_hsave_pa = value;
  return true;
}
/// P-state 0 runs at the TSC's frequency: multiples of 5 MHz in family 1Ah.
u64 read_pstate_definition(const Vcpu& cpu, u32 n) {
  return n == 0 ? (u64{1} << 63) | (cpu.services().tsc_hz / 5'000'000 & 0xfff) : 0;
}
bool write_kvm_wall(Vcpu& cpu, u32, u64 value) {
  write_kvm_wall_clock(cpu, value);
  return true;
}
bool write_kvm_time(Vcpu& cpu, u32, u64 value) {
  write_kvm_system_time(cpu, value);
  return true;
}

/// Fast strings and MONITOR are on; no branch trace store, no precise events. [SDM4 2.1]
constexpr u64 kMiscEnable = 1u << 0 | 1u << 11 | 1u << 12 | 1u << 18;

using S = CpuState;
using isa::Feature;

// Sorted by index.
constexpr Msr kTable[] = {
    {0x10, 1, always, tsc, write_tsc},                                           // TSC
    {kMsrKvmWallClockOld, 1, kvm, field<&S::kvm_wall_clock>, write_kvm_wall},    //
    {kMsrKvmSystemTimeOld, 1, kvm, field<&S::kvm_system_time>, write_kvm_time},  //
    {0x1b, 1, always, read_apic_base, write_apic_base},                          // APIC_BASE
    {0x3a, 1, intel, constant<1>, read_only},                                    // FEATURE_CONTROL: locked
    {0x8b, 1, always, field<&S::microcode_revision>, ignored},                   // PATCH_LEVEL
    {0xfe, 1, always, constant<0x508>, read_only},                               // MTRRcap: 8, fixed, WC
    {0x174, 1, always, field<&S::sysenter_cs>, keeping<&S::sysenter_cs, 0xffffffff>},   // SYSENTER_CS
    {0x175, 1, always, field<&S::sysenter_esp>, sysenter_pointer<&S::sysenter_esp>},    // SYSENTER_ESP
    {0x176, 1, always, field<&S::sysenter_eip>, sysenter_pointer<&S::sysenter_eip>},    // SYSENTER_EIP
    {0x179, 1, always, constant<0>, read_only},                                         // MCG_CAP: no banks
    {0x17a, 1, always, field<&S::mcg_status>, keeping<&S::mcg_status, 7>},              // MCG_STATUS
    {0x1a0, 1, intel, constant<kMiscEnable>, only<kMiscEnable>},                        // MISC_ENABLE
    {0x1d9, 1, always, field<&S::debugctl>, write_debugctl},                            // DEBUGCTL
    {0x1db, 1, always, field<&S::last_branch_from>, read_only},                         //
    {0x1dc, 1, always, field<&S::last_branch_to>, read_only},                           //
    {0x1dd, 1, always, field<&S::last_exception_from>, read_only},                      //
    {0x1de, 1, always, field<&S::last_exception_to>, read_only},                        //
    {0x200, 16, always, read_variable_mtrr, write_variable_mtrr},                       // MTRRphysBase, Mask
    {0x250, 1, always, read_fixed_mtrr<0>, write_fixed_mtrr<0>},                        // MTRRfix64K
    {0x258, 2, always, read_fixed_mtrr<1>, write_fixed_mtrr<1>},                        // MTRRfix16K
    {0x268, 8, always, read_fixed_mtrr<3>, write_fixed_mtrr<3>},                        // MTRRfix4K
    {0x277, 1, always, field<&S::pat>, write_pat},                                      // PAT
    {0x2ff, 1, always, field<&S::mtrr_def_type>, write_mtrr_def_type},                  // MTRRdefType
    {0x6e0, 1, always, read_tsc_deadline, write_tsc_deadline},                          // TSC_DEADLINE
    {0xda0, 1, with<Feature::kXsaves>, field<&S::xss>, within<&S::xss, 0>},             // XSS
    {kMsrKvmWallClock, 1, kvm, field<&S::kvm_wall_clock>, write_kvm_wall},              //
    {kMsrKvmSystemTime, 1, kvm, field<&S::kvm_system_time>, write_kvm_time},            //
    {0xc0000080, 1, always, field<&S::efer>, write_efer_msr},                           // EFER
    {0xc0000081, 1, always, field<&S::star>, any<&S::star>},                            // STAR
    {0xc0000082, 1, always, field<&S::lstar>, canonical<&S::lstar>},                    // LSTAR
    {0xc0000083, 1, always, field<&S::cstar>, canonical<&S::cstar>},                    // CSTAR
    {0xc0000084, 1, always, field<&S::sfmask>, keeping<&S::sfmask, 0xffffffff>},        // SFMASK
    {0xc0000100, 1, always, base_of<kFs>, set_base<kFs>},                               // FS.base
    {0xc0000101, 1, always, base_of<kGs>, set_base<kGs>},                               // GS.base
    {0xc0000102, 1, always, field<&S::kernel_gs_base>, canonical<&S::kernel_gs_base>},  // KernelGSbase
    {0xc0000103, 1, with<Feature::kRdtscp>, field<&S::tsc_aux>, within<&S::tsc_aux, 0xffffffff>},  // TSC_AUX
    {0xc0010010, 1, amd, field<&S::syscfg>, keeping<&S::syscfg, 0x00ffffff>},                      // SYSCFG
    {0xc0010015, 1, amd, field<&S::hwcr>, within<&S::hwcr, 0xfffffffff>},                          // HWCR
    {0xc0010016, 4, amd, read_iorr, write_iorr},        // IORRbase, mask
    {0xc001001a, 1, amd, read_top_mem, write_top_mem},  // TOP_MEM
    {0xc001001d, 1, amd, [](const Vcpu& c, u32) { return read_top_mem(c, 3); },
     [](Vcpu& c, u32, u64 v) { return write_top_mem(c, 3, v); }},  // TOP_MEM2
    {0xc001001f, 1, amd, constant<0>, ignored},                    // NB_CFG
    {0xc0010020, 1, amd, constant<0>, ignored},                    // PATCH_LOADER
    {0xc0010055, 1, amd, constant<0>, ignored},                    // INT_PENDING
    {0xc0010058, 1, amd, constant<0>, ignored},                    // MMIO_CFG_BASE: off
    {0xc0010061, 1, amd, constant<0>, read_only},                  // PStateCurLim
    {0xc0010062, 1, amd, constant<0>, ignored},                    // PStateCtl
    {0xc0010063, 1, amd, constant<0>, read_only},                  // PStateStat
    {0xc0010064, 8, amd, read_pstate_definition, ignored},         // PStateDef
    {0xc0010114, 1, amd, constant<0x10>, ignored},                 // VM_CR: SVM is disabled
    {0xc0010117, 1, amd, field<&S::vm_hsave_pa>, write_vm_hsave},  // VM_HSAVE_PA
    {0xc0010140, 2, amd, constant<0>, ignored},                    // OSVW
    {0xc0011020, 4, amd, constant<0>, ignored},                    // LS, IC, DC, TW_CFG
    {0xc0011028, 1, amd, constant<0>, ignored},                    // FP_CFG
    {0xc0011029, 1, amd, constant<2>, ignored},                    // DE_CFG: LFENCE serialises
    {0xc001102a, 4, amd, constant<0>, ignored},                    // BU_CFG2 ... LS_CFG2
};

constexpr bool sorted() {
  for (size_t i = 1; i < std::size(kTable); ++i) {
    if (kTable[i].index < kTable[i - 1].index + kTable[i - 1].count) return false;
  }
  return true;
}
static_assert(sorted());

const Msr* find(const CpuModel& model, u32 index) {
  const Msr* const after = std::upper_bound(std::begin(kTable), std::end(kTable), index,
                                            [](u32 i, const Msr& m) { return i < m.index; });
  if (after == std::begin(kTable)) return nullptr;
  const Msr* const m = after - 1;
  return index - m->index < m->count && m->exists(model) ? m : nullptr;
}

constexpr bool is_x2apic(u32 index) { return index >= 0x800 && index <= 0x8ff; }

}  // namespace

bool read_msr(Vcpu& cpu, u32 index, u64& value) {
  value = 0;
  if (is_x2apic(index)) return cpu.apic().x2apic_read(index, value);
  const Msr* const m = find(cpu.model(), index);
  if (m == nullptr) return false;
  value = m->read(cpu, index - m->index);
  return true;
}

bool write_msr(Vcpu& cpu, u32 index, u64 value) {
  if (is_x2apic(index)) return cpu.apic().x2apic_write(index, value);
  const Msr* const m = find(cpu.model(), index);
  return m != nullptr && m->write(cpu, index - m->index, value);
}

}  // namespace orrery::cpu
