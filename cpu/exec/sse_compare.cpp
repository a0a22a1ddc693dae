// SSE and AVX comparisons: CMPPS and its kin (masks), COMIS and UCOMIS (flags). [SDM2 CMPPS, COMISS, UCOMISS]
//
// Not modelled: nothing.
#include "cpu/exec/sse_float.h"

namespace orrery::cpu::exec {
namespace {

using fp::F32;
using fp::F64;
using fp::Relation;

/// Predicates 0..7: EQ LT LE UNORD NEQ NLT NLE ORD; LT, LE and their negations signal on quiet NaNs. VEX
/// forms have 32: bit 4 swaps signalling and quiet, bit 3 adds EQ_UQ NGE NGT FALSE NEQ_OQ GE GT TRUE. [SDM2
/// table 3-1]
bool holds(fp::Environment& env, const fp::Unpacked& a, const fp::Unpacked& b, unsigned predicate) {
  const bool ordering = (predicate & 3) == 1 || (predicate & 3) == 2;
  const bool signalling = ordering != ((predicate & 16) != 0);
  const Relation r =
      fp::compare(env, a, b, signalling ? fp::NanCompare::kSignalling : fp::NanCompare::kQuiet);
  const bool less = r == Relation::kLess, equal = r == Relation::kEqual, greater = r == Relation::kGreater,
             unordered = r == Relation::kUnordered;
  bool result = false;
  switch (predicate & 11) {
    case 0:
      result = equal;
      break;
    case 1:
      result = less;
      break;
    case 2:
      result = less || equal;
      break;
    case 3:
      result = unordered;
      break;
    case 8:
      result = equal || unordered;
      break;
    case 9:
      result = less || unordered;  // NGE
      break;
    case 10:
      result = !greater;  // NGT
      break;
    default:
      break;  // FALSE
  }
  return result != ((predicate & 4) != 0);
}

template <class X, class F, unsigned kLanes>
Outcome compare_lanes(Vcpu& cpu, const Insn& insn) {
  using S = typename F::Storage;
  constexpr unsigned kPredicates = std::is_same_v<typename X::File, Xmm> ? 8 : 32;
  typename X::Value b;
  if (!float_source<X, F, kLanes>(cpu, insn, b)) return Outcome::kFault;
  typename X::Value a = X::first(cpu, insn);
  SseFloat fpu(cpu);
  for (unsigned i = 0; i < kLanes; ++i) {
    const bool set = holds(fpu.env, fp::unpack<F>(fpu.env, a.template at<S>(i)),
                           fp::unpack<F>(fpu.env, b.template at<S>(i)),
                           static_cast<unsigned>(insn.imm & (kPredicates - 1)));
    a.template at<S>(i) = set ? ~S{0} : S{0};
  }
  if (!fpu.finish(cpu)) return Outcome::kFault;
  X::set(cpu, insn, a);
  return Outcome::kNext;
}

/// The first source is operand 0 in VEX forms, too.
template <class X, class F, fp::NanCompare kKind>
Outcome compare_to_flags(Vcpu& cpu, const Insn& insn) {
  using S = typename F::Storage;
  Lanes<16> b;
  if (!float_source<X, F, 1>(cpu, insn, b)) return Outcome::kFault;
  const Lanes<16> a = X::first(cpu, insn);
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

template <class F>
inline constexpr auto kCompareScalar = []<class X>() -> Handler { return &compare_lanes<X, F, 1>; };

}  // namespace

#define COMPARE(name, F)                                                                                     \
  Handler select_##name(const Insn& insn, const DecodedForm& f) {                                            \
    return vector_form<Sources::kTwo>(                                                                       \
        insn, f, []<class X>() -> Handler { return &compare_lanes<X, F, X::kBytes / sizeof(F::Storage)>; }); \
  }
#define COMPARE_TO_FLAGS(name, F, kind)                                                               \
  Handler select_##name(const Insn& insn, const DecodedForm& f) {                                     \
    return xmm_form<Sources::kOne>(                                                                   \
        insn, f, []<class X>() -> Handler { return &compare_to_flags<X, F, fp::NanCompare::kind>; }); \
  }
COMPARE(cmpps, F32)
COMPARE(cmppd, F64)
COMPARE_TO_FLAGS(comiss, F32, kSignalling)
COMPARE_TO_FLAGS(comisd, F64, kSignalling)
COMPARE_TO_FLAGS(ucomiss, F32, kQuiet)
COMPARE_TO_FLAGS(ucomisd, F64, kQuiet)

Handler select_cmpss(const Insn& insn, const DecodedForm& f) {
  return xmm_form<Sources::kTwo>(insn, f, kCompareScalar<F32>);
}
Handler select_vcmpsd(const Insn& insn, const DecodedForm& f) {
  return xmm_form<Sources::kTwo>(insn, f, kCompareScalar<F64>);
}
Handler select_sse_cmpsd(const Insn& insn, const DecodedForm& f) {
  return xmm_form<Sources::kTwo>(insn, f, kCompareScalar<F64>);
}

}  // namespace orrery::cpu::exec
