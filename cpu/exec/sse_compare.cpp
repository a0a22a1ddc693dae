// SSE comparisons: CMPPS and its kin (masks), COMIS and UCOMIS (flags). [SDM2 CMPPS, COMISS, UCOMISS]
//
// Not modelled: the VEX predicates 8..31.
#include "cpu/exec/sse_float.h"

namespace orrery::cpu::exec {
namespace {

using fp::F32;
using fp::F64;
using fp::Relation;

/// Predicates 0..7: EQ LT LE UNORD NEQ NLT NLE ORD. LT, LE and their negations signal on quiet NaNs.
bool holds(fp::Environment& env, const fp::Unpacked& a, const fp::Unpacked& b, unsigned predicate) {
  const bool signalling = (predicate & 3) == 1 || (predicate & 3) == 2;
  const Relation r =
      fp::compare(env, a, b, signalling ? fp::NanCompare::kSignalling : fp::NanCompare::kQuiet);
  bool result = false;
  switch (predicate & 3) {
    case 0:
      result = r == Relation::kEqual;
      break;
    case 1:
      result = r == Relation::kLess;
      break;
    case 2:
      result = r == Relation::kLess || r == Relation::kEqual;
      break;
    default:
      result = r == Relation::kUnordered;
      break;
  }
  return result != ((predicate & 4) != 0);
}

template <class F, unsigned kLanes, bool kMem>
Outcome compare_lanes(Vcpu& cpu, const Insn& insn) {
  using S = typename F::Storage;
  Lanes<16> b;
  if (!float_source<F, kLanes, kMem>(cpu, insn, 1, b)) return Outcome::kFault;
  Lanes<16> a = Xmm::get(cpu, insn.op[0]);
  SseFloat fpu(cpu);
  for (unsigned i = 0; i < kLanes; ++i) {
    const bool set = holds(fpu.env, fp::unpack<F>(fpu.env, a.at<S>(i)), fp::unpack<F>(fpu.env, b.at<S>(i)),
                           static_cast<unsigned>(insn.imm & 7));
    a.at<S>(i) = set ? ~S{0} : S{0};
  }
  if (!fpu.finish(cpu)) return Outcome::kFault;
  Xmm::set(cpu, insn.op[0], a);
  return Outcome::kNext;
}

template <class F, fp::NanCompare kKind, bool kMem>
Outcome compare_to_flags(Vcpu& cpu, const Insn& insn) {
  using S = typename F::Storage;
  Lanes<16> b;
  if (!float_source<F, 1, kMem>(cpu, insn, 1, b)) return Outcome::kFault;
  const Lanes<16> a = Xmm::get(cpu, insn.op[0]);
  SseFloat fpu(cpu);
  const Relation r =
      fp::compare(fpu.env, fp::unpack<F>(fpu.env, a.at<S>(0)), fp::unpack<F>(fpu.env, b.at<S>(0)), kKind);
  if (!fpu.finish(cpu)) return Outcome::kFault;
  u64 flags = cpu.state.rflags & ~rflags::kArithmetic;
  if (r == Relation::kUnordered) flags |= rflags::ZF | rflags::PF | rflags::CF;
  if (r == Relation::kLess) flags |= rflags::CF;
  if (r == Relation::kEqual) flags |= rflags::ZF;
  cpu.state.rflags = flags;
  return Outcome::kNext;
}

// CMPSD shares its mnemonic with the string instruction, so its availability is checked here. [SDM3 13.5]
template <Handler H>
Outcome when_sse_available(Vcpu& cpu, const Insn& insn) {
  if ((cpu.state.cr0 & cr0::EM) != 0 || (cpu.state.cr4 & cr4::OSFXSR) == 0) return cpu.raise(kUD);
  if ((cpu.state.cr0 & cr0::TS) != 0) return cpu.raise(kNM);
  return H(cpu, insn);
}

}  // namespace

#define BY_SOURCE(name, handler, ...)                                                                   \
  Handler select_##name(const Insn&, const DecodedForm& f) {                                            \
    return f.kind[1] == OperandKind::kMem ? &handler<__VA_ARGS__, true> : &handler<__VA_ARGS__, false>; \
  }
BY_SOURCE(cmpps, compare_lanes, F32, 4)
BY_SOURCE(cmppd, compare_lanes, F64, 2)
BY_SOURCE(cmpss, compare_lanes, F32, 1)
BY_SOURCE(comiss, compare_to_flags, F32, fp::NanCompare::kSignalling)
BY_SOURCE(comisd, compare_to_flags, F64, fp::NanCompare::kSignalling)
BY_SOURCE(ucomiss, compare_to_flags, F32, fp::NanCompare::kQuiet)
BY_SOURCE(ucomisd, compare_to_flags, F64, fp::NanCompare::kQuiet)

Handler select_sse_cmpsd(const Insn&, const DecodedForm& f) {
  return f.kind[1] == OperandKind::kMem ? &when_sse_available<&compare_lanes<F64, 1, true>>
                                        : &when_sse_available<&compare_lanes<F64, 1, false>>;
}

}  // namespace orrery::cpu::exec
