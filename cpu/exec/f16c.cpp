// F16C: conversions between binary16 and binary32. [SDM1 14.4], [SDM2 VCVTPH2PS, VCVTPS2PH]
//
// MXCSR.DAZ does not apply to binary16 sources, nor FZ to binary16 results. Not modelled: nothing.
#include "cpu/exec/sse_float.h"

namespace orrery::cpu::exec {
namespace {

using fp::F16;
using fp::F32;

template <class X>
Outcome from_half(Vcpu& cpu, const Insn& insn) {
  constexpr unsigned kLanes = X::kBytes / 4;
  typename X::Value in, out;
  if (!X::template last_low<2 * kLanes>(cpu, insn, in)) return Outcome::kFault;
  SseFloat fpu(cpu);
  fpu.env.daz = false;
  for (unsigned i = 0; i < kLanes; ++i) {
    fp::Unpacked u = fp::unpack<F16>(fpu.env, in.w[i]);
    u.denormal = false;  // reported neither
    out.d[i] = fp::convert<F32>(fpu.env, u);
  }
  if (!fpu.finish(cpu)) return Outcome::kFault;
  X::set(cpu, insn, out);
  return Outcome::kNext;
}

/// imm bits 0-1 RC, bit 2 takes MXCSR's instead.
template <class R, bool kToMemory>
Outcome to_half(Vcpu& cpu, const Insn& insn) {
  constexpr unsigned kLanes = R::kBytes / 4;
  const typename R::Value in = R::get(cpu, insn.op[1]);
  Lanes<16> out{};
  SseFloat fpu(cpu);
  fpu.env.ftz = false;
  if ((insn.imm & 4) == 0) fpu.env.rounding = static_cast<fp::Rounding>(insn.imm & 3);
  for (unsigned i = 0; i < kLanes; ++i)
    out.w[i] = fp::convert<F16>(fpu.env, fp::unpack<F32>(fpu.env, in.d[i]));
  if constexpr (kToMemory) {
    const u64 offset = cpu.effective_address(insn);
    if (!cpu.probe_write(insn.segment(), offset, 2 * kLanes) || !fpu.finish(cpu)) return Outcome::kFault;
    const bool written = kLanes == 8 ? cpu.write(insn, out) : cpu.write(insn, out.q[0]);
    return written ? Outcome::kNext : Outcome::kFault;
  } else {
    if (!fpu.finish(cpu)) return Outcome::kFault;
    Vex128::set(cpu, insn.op[0], out);
    return Outcome::kNext;
  }
}

}  // namespace

Handler select_vcvtph2ps(const Insn& insn, const DecodedForm& f) {
  return vector_form<Sources::kOne>(insn, f, []<class X>() -> Handler { return &from_half<X>; });
}
Handler select_vcvtps2ph(const Insn& insn, const DecodedForm& f) {
  if (f.kind[0] == OperandKind::kMem) return insn.vector_256() ? &to_half<Ymm, true> : &to_half<Vex128, true>;
  return insn.vector_256() ? &to_half<Ymm, false> : &to_half<Vex128, false>;
}

}  // namespace orrery::cpu::exec
