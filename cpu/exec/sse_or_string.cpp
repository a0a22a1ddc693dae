// MOVSD and CMPSD name both a string instruction and an SSE2 one; the opcode tells which.
#include "cpu/exec/common.h"

namespace orrery::cpu::exec {

Handler select_movsd_string(const Insn&, const DecodedForm&);
Handler select_cmpsd_string(const Insn&, const DecodedForm&);
Handler select_sse_movsd(const Insn&, const DecodedForm&);
Handler select_sse_cmpsd(const Insn&, const DecodedForm&);

Handler select_movsd(const Insn& insn, const DecodedForm& f) {
  return f.opcode == 0xa5 ? select_movsd_string(insn, f) : select_sse_movsd(insn, f);
}
Handler select_cmpsd(const Insn& insn, const DecodedForm& f) {
  return f.opcode == 0xa7 ? select_cmpsd_string(insn, f) : select_sse_cmpsd(insn, f);
}

}  // namespace orrery::cpu::exec
