// Model-specific registers. [SDM4], [APM2 A]
#pragma once

#include "cpu/vcpu.h"

namespace orrery::cpu {

/// False when the register does not exist or `value` is refused: RDMSR and WRMSR raise #GP(0). Privilege has
/// been checked.
bool read_msr(Vcpu& cpu, u32 index, u64& value);
bool write_msr(Vcpu& cpu, u32 index, u64 value);

}  // namespace orrery::cpu
