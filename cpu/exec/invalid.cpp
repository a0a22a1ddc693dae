// Undefined opcodes: #UD. Also what unavailable instructions decode to. [SDM2 UD]
#include "cpu/exec/common.h"

namespace orrery::cpu::exec {

Outcome raise_ud(Vcpu& cpu, const Insn&) { return cpu.raise(kUD); }
Outcome raise_nm(Vcpu& cpu, const Insn&) { return cpu.raise(kNM); }

Handler select_invalid(const Insn&, const DecodedForm&) { return raise_ud; }

}  // namespace orrery::cpu::exec
