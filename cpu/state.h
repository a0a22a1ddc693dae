// CpuState: everything architectural of one logical processor, and nothing else: standard layout, no host
// pointers. Its offsets are the translator's ABI and are asserted below.
//
// RFLAGS is always materialised here: the interpreter computes flags eagerly.
#pragma once

#include <cstddef>
#include <type_traits>

#include "base/state_visitor.h"
#include "cpu/registers.h"

namespace orrery::cpu {

/// A segment register with its hidden part. `limit` counts bytes (granularity applied).
struct Segment {
  u64 base = 0;
  u32 limit = 0xffff;
  u32 attributes = 0;  // seg_attr
  u16 selector = 0;
  u16 reserved_[3] = {};
  unsigned dpl() const { return (attributes & seg_attr::kDplMask) >> seg_attr::kDplShift; }
  unsigned type() const { return attributes & seg_attr::kTypeMask; }
  bool usable() const { return (attributes & seg_attr::kUnusable) == 0; }
};
static_assert(sizeof(Segment) == 24);

/// An x87 register: 64-bit significand, sign and 15-bit exponent.
struct Float80 {
  u64 significand = 0;
  u16 sign_exponent = 0;
  u16 reserved_[3] = {};
};
static_assert(sizeof(Float80) == 16);

/// A vector register. XMM is the low half.
union Vec {
  u8 b[32];
  u16 w[16];
  u32 d[8];
  u64 q[4];
};
static_assert(sizeof(Vec) == 32);

enum class Activity : u8 { kRunning, kHalted, kMwait, kWaitForSipi, kShutdown };
/// CPUID leaf 5.
inline constexpr u64 kMonitorBytes = 64;
enum class Shadow : u8 { kNone, kSti, kMovSs };

struct CpuState {
  // Hot: general registers, then the pseudo registers: gpr[kZeroRegister] is 0, gpr[kRip] is RIP. While a
  // handler runs RIP already points behind its instruction; a fault restores it.
  u64 gpr[18] = {};
  u64 rflags = rflags::kFixed;
  Segment seg[8];
  alignas(32) Vec vec[16] = {};
  u32 mxcsr = mxcsr::kDefault;

  // x87: physical registers (not relative to TOP); tags: one bit per physical register, 1 = valid (abridged
  // form).
  u16 fcw = 0x37f;
  u16 fsw = 0;
  u8 ftw = 0;
  u8 reserved0_ = 0;
  u16 fop = 0;
  u16 fcs = 0;
  u16 fds = 0;
  u64 fip = 0;
  u64 fdp = 0;
  Float80 fpr[8];

  u64 cr0 = cr0::ET | cr0::NW | cr0::CD;
  u64 cr2 = 0;
  u64 cr3 = 0;
  u64 cr4 = 0;
  u64 pdpte[4] = {};  // PAE: loaded by MOV to CR3 and the mode switches [SDM3 4.4.1]
  u64 xcr0 = xcr0::X87;
  u64 efer = 0;
  u64 dr[4] = {};
  u64 dr6 = dr6::kFixed;
  u64 dr7 = dr7::kFixed;
  u64 gdt_base = 0;
  u64 idt_base = 0;
  u32 gdt_limit = 0xffff;
  u32 idt_limit = 0xffff;
  u32 pkru = 0;

  u8 cpl = 0;
  Activity activity = Activity::kRunning;
  Shadow shadow = Shadow::kNone;
  bool nmi_blocked = false;
  bool ferr = false;   // FERR#: an x87 error waits, with CR0.NE clear
  bool ignne = false;  // IGNNE#: it is to be ignored
  bool nmi_pending = false;
  bool init_pending = false;
  bool sipi_pending = false;
  u8 sipi_vector = 0;
  /// DR6 bits of debug traps that await delivery at the next instruction boundary.
  u32 pending_db = 0;
  /// RIP stands on a repeated string instruction between two of its iterations.
  bool in_repeat = false;

  // MSRs
  u64 star = 0;
  u64 lstar = 0;
  u64 cstar = 0;
  u64 sfmask = 0;
  u64 kernel_gs_base = 0;
  u64 sysenter_cs = 0;
  u64 sysenter_esp = 0;
  u64 sysenter_eip = 0;
  u64 pat = 0x0007040600070406;
  u64 tsc_offset = 0;  // guest TSC = machine TSC + offset
  u64 tsc_aux = 0;
  u64 debugctl = 0;
  u64 last_branch_from = 0;
  u64 last_branch_to = 0;
  u64 last_exception_from = 0;
  u64 last_exception_to = 0;
  u64 xss = 0;
  u64 mtrr_def_type = 0;
  u64 mtrr_fixed[11] = {};
  u64 mtrr_base[8] = {};
  u64 mtrr_mask[8] = {};
  u64 kvm_system_time = 0;
  u64 kvm_wall_clock = 0;
  u64 kvm_system_time_version = 0;
  u64 syscfg = 0;
  u64 hwcr = u64{1} << 24;  // the TSC counts at the P0 frequency [APM2 A, HWCR]
  u64 vm_hsave_pa = 0;
  u64 top_mem[2] = {};  // TOP_MEM, TOP_MEM2
  u64 iorr[4] = {};     // IORRbase0, IORRmask0, IORRbase1, IORRmask1
  u64 mcg_status = 0;
  u64 microcode_revision = 0;

  // MONITOR's range, physical, of kMonitorBytes; a store to it, or an event, disarms it.
  u64 monitor_address = 0;
  bool monitor_armed = false;
  bool mwait_wakes_masked = false;  // MWAIT's ECX.0: interrupts wake it with IF clear, too

  u64 rip() const { return gpr[kRip]; }
};

static_assert(std::is_standard_layout_v<CpuState>);
static_assert(offsetof(CpuState, gpr) == 0 && offsetof(CpuState, rflags) == 18 * 8);
static_assert(offsetof(CpuState, seg) == 19 * 8);

/// Lists every field of `s`.
void visit_cpu_state(StateVisitor& v, CpuState& s);

}  // namespace orrery::cpu
