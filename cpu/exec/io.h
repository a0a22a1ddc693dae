// Port access as instructions make it: the permission check and the accesses. [SDM1 19.5]
#pragma once

#include "cpu/vcpu.h"

namespace orrery::cpu::exec {

/// IOPL and the TSS's I/O permission map; raises #GP(0).
bool io_allowed(Vcpu& cpu, u16 port, unsigned size);
u64 port_in(Vcpu& cpu, u16 port, unsigned size);
void port_out(Vcpu& cpu, u16 port, u64 value, unsigned size);

}  // namespace orrery::cpu::exec
