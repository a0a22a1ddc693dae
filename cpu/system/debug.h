// The debug registers' breakpoints and last-branch records. [SDM3 17.2, 17.3, 17.4], [APM2 13.1]
//
// Not modelled: the LBR stack (CPUID says that there is none).
#pragma once

#include "cpu/vcpu.h"

namespace orrery::cpu {

/// DR6 bits of the enabled breakpoints that these accesses meet.
u32 code_breakpoints(const CpuState& s, u64 linear);
u32 data_breakpoints(const CpuState& s, u64 linear, u64 size, Access access);
/// I/O breakpoints exist with CR4.DE.
u32 port_breakpoints(const CpuState& s, u16 port, unsigned size);

inline bool breakpoints_enabled(const CpuState& s) { return (s.dr7 & dr7::kEnableMask) != 0; }

/// Whether instructions run one by one: single steps, RF, shadows, breakpoints, branch records, a pending
/// FERR#.
inline bool wants_steps(const CpuState& s) {
  return (s.rflags & (rflags::TF | rflags::RF)) != 0 || s.shadow != Shadow::kNone || breakpoints_enabled(s) ||
         (s.debugctl & debugctl::LBR) != 0 || s.ferr;
}

/// DEBUGCTL.LBR: a taken branch, interrupt or exception; `exception` keeps the branch before it.
inline void record_branch(CpuState& s, u64 from, u64 to) {
  s.last_branch_from = from;
  s.last_branch_to = to;
}
inline void record_exception(CpuState& s) {
  s.last_exception_from = s.last_branch_from;
  s.last_exception_to = s.last_branch_to;
}

}  // namespace orrery::cpu
