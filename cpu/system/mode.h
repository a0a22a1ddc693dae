// Changes of operating mode: writes to CR0, CR3, CR4 and EFER with the manual's checks. Each raises #GP(0)
// and returns false on a violation. [SDM3 2.5, 9.8], [APM2 3.1]
#pragma once

#include "cpu/vcpu.h"

namespace orrery::cpu {

bool write_cr0(Vcpu& cpu, u64 value);
bool write_cr3(Vcpu& cpu, u64 value);
bool write_cr4(Vcpu& cpu, u64 value);
bool write_efer(Vcpu& cpu, u64 value);

/// Bits of CR4 and EFER that this CPU model has.
u64 valid_cr4(const CpuModel& model);
u64 valid_efer(const CpuModel& model);

}  // namespace orrery::cpu
