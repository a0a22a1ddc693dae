// SSE4A: EXTRQ and INSERTQ, bit fields of the low quadword. MOVNTSS and MOVNTSD are in sse_move.cpp. [APM4]
//
// A length of 0 is 64. Undefined results (fields beyond bit 63, the upper quadword) are those of our profile.
// Not modelled: nothing.
#include "cpu/exec/simd_operands.h"

namespace orrery::cpu::exec {
namespace {

u64 field_mask(unsigned length) { return low_mask(length == 0 ? 64 : length); }

Outcome extract(Vcpu& cpu, const Insn& insn, u64 control) {
  const unsigned length = control & 63, index = (control >> 8) & 63;
  Vec& v = cpu.state.vec[insn.op[0]];
  v.q[0] = (v.q[0] >> index) & field_mask(length);
  v.q[1] = 0;
  return Outcome::kNext;
}
Outcome insert(Vcpu& cpu, const Insn& insn, u64 control) {
  const unsigned length = control & 63, index = (control >> 8) & 63;
  const u64 source = cpu.state.vec[insn.op[1]].q[0];
  Vec& v = cpu.state.vec[insn.op[0]];
  const u64 mask = field_mask(length) << index;
  v.q[0] = (v.q[0] & ~mask) | ((source << index) & mask);
  v.q[1] = 0;
  return Outcome::kNext;
}
u64 immediate_control(const Insn& insn) { return (insn.imm & 63) | ((insn.imm >> 32) & 63) << 8; }

Outcome extrq_immediate(Vcpu& cpu, const Insn& insn) { return extract(cpu, insn, immediate_control(insn)); }
Outcome extrq_register(Vcpu& cpu, const Insn& insn) {
  return extract(cpu, insn, cpu.state.vec[insn.op[1]].q[0]);
}
Outcome insertq_immediate(Vcpu& cpu, const Insn& insn) { return insert(cpu, insn, immediate_control(insn)); }
Outcome insertq_register(Vcpu& cpu, const Insn& insn) {
  return insert(cpu, insn, cpu.state.vec[insn.op[1]].q[1]);
}

}  // namespace

Handler select_extrq(const Insn&, const DecodedForm& f) {
  return f.kind[1] == OperandKind::kImm ? &extrq_immediate : &extrq_register;
}
Handler select_insertq(const Insn&, const DecodedForm& f) {
  return f.kind[2] == OperandKind::kImm ? &insertq_immediate : &insertq_register;
}

}  // namespace orrery::cpu::exec
