// SSE floating-point arithmetic: add, subtract, multiply, divide, square root, minimum, maximum, horizontal
// forms and dot products. [SDM2 ADDPS, SQRTPS, MINPS, HADDPS, ADDSUBPS, DPPS ...]
//
// Not modelled: nothing.
#include "cpu/exec/sse_float.h"

namespace orrery::cpu::exec {
namespace {

using fp::Environment;
using fp::F32;
using fp::F64;

struct Add {
  template <class F, class S>
  static S lane(Environment& e, S a, S b) {
    return fp::add<F>(e, fp::unpack<F>(e, a), fp::unpack<F>(e, b));
  }
};
struct Sub {
  template <class F, class S>
  static S lane(Environment& e, S a, S b) {
    return fp::sub<F>(e, fp::unpack<F>(e, a), fp::unpack<F>(e, b));
  }
};
struct Mul {
  template <class F, class S>
  static S lane(Environment& e, S a, S b) {
    return fp::mul<F>(e, fp::unpack<F>(e, a), fp::unpack<F>(e, b));
  }
};
struct Div {
  template <class F, class S>
  static S lane(Environment& e, S a, S b) {
    return fp::div<F>(e, fp::unpack<F>(e, a), fp::unpack<F>(e, b));
  }
};
struct Sqrt {
  template <class F, class S>
  static S lane(Environment& e, S, S b) {
    return fp::sqrt<F>(e, fp::unpack<F>(e, b));
  }
};
struct Min {
  template <class F, class S>
  static S lane(Environment& e, S a, S b) {
    return fp::min_max<F, false>(e, a, b);
  }
};
struct Max {
  template <class F, class S>
  static S lane(Environment& e, S a, S b) {
    return fp::min_max<F, true>(e, a, b);
  }
};

/// dst[i] = Op(dst[i], src[i]) for the low kLanes lanes.
template <class F, class Op, unsigned kLanes, bool kMem>
Outcome arithmetic(Vcpu& cpu, const Insn& insn) {
  using S = typename F::Storage;
  Lanes<16> b;
  if (!float_source<F, kLanes, kMem>(cpu, insn, 1, b)) return Outcome::kFault;
  Lanes<16> a = Xmm::get(cpu, insn.op[0]);
  SseFloat fpu(cpu);
  for (unsigned i = 0; i < kLanes; ++i) {
    a.at<S>(i) = Op::template lane<F>(fpu.env, a.template at<S>(i), b.template at<S>(i));
  }
  if (!fpu.finish(cpu)) return Outcome::kFault;
  Xmm::set(cpu, insn.op[0], a);
  return Outcome::kNext;
}

/// HADD, HSUB: pairs of the destination, then of the source. ADDSUB: even lanes subtract, odd lanes add.
template <class F, class Op, bool kMem>
Outcome horizontal(Vcpu& cpu, const Insn& insn) {
  using S = typename F::Storage;
  constexpr unsigned kHalf = 8 / sizeof(S);
  Lanes<16> b, out;
  if (!float_source<F, 2 * kHalf, kMem>(cpu, insn, 1, b)) return Outcome::kFault;
  const Lanes<16> a = Xmm::get(cpu, insn.op[0]);
  SseFloat fpu(cpu);
  for (unsigned i = 0; i < kHalf; ++i) {
    out.at<S>(i) = Op::template lane<F>(fpu.env, a.at<S>(2 * i), a.at<S>(2 * i + 1));
    out.at<S>(kHalf + i) = Op::template lane<F>(fpu.env, b.at<S>(2 * i), b.at<S>(2 * i + 1));
  }
  if (!fpu.finish(cpu)) return Outcome::kFault;
  Xmm::set(cpu, insn.op[0], out);
  return Outcome::kNext;
}
template <class F, bool kMem>
Outcome add_subtract(Vcpu& cpu, const Insn& insn) {
  using S = typename F::Storage;
  constexpr unsigned kCount = 16 / sizeof(S);
  Lanes<16> b;
  if (!float_source<F, kCount, kMem>(cpu, insn, 1, b)) return Outcome::kFault;
  Lanes<16> a = Xmm::get(cpu, insn.op[0]);
  SseFloat fpu(cpu);
  for (unsigned i = 0; i < kCount; ++i) {
    a.at<S>(i) = (i & 1) != 0 ? Add::lane<F>(fpu.env, a.at<S>(i), b.at<S>(i))
                              : Sub::lane<F>(fpu.env, a.at<S>(i), b.at<S>(i));
  }
  if (!fpu.finish(cpu)) return Outcome::kFault;
  Xmm::set(cpu, insn.op[0], a);
  return Outcome::kNext;
}

/// DPPS, DPPD: products chosen by imm[7:4], added in pairs, stored where imm[3:0] says. Each step rounds, and
/// an unmasked exception of a step stops the instruction before the next. [SDM2 DPPS]
template <class F, bool kMem>
Outcome dot_product(Vcpu& cpu, const Insn& insn) {
  using S = typename F::Storage;
  constexpr unsigned kCount = 16 / sizeof(S);
  Lanes<16> b, out{};
  if (!float_source<F, kCount, kMem>(cpu, insn, 1, b)) return Outcome::kFault;
  const Lanes<16> a = Xmm::get(cpu, insn.op[0]);
  const u8 imm = static_cast<u8>(insn.imm);
  SseFloat fpu(cpu);
  S terms[4] = {};
  for (unsigned i = 0; i < kCount; ++i) {
    if ((imm >> (4 + i)) & 1) terms[i] = Mul::lane<F>(fpu.env, a.at<S>(i), b.at<S>(i));
  }
  if (!fpu.finish(cpu)) return Outcome::kFault;
  for (unsigned count = kCount; count > 1; count /= 2) {
    for (unsigned i = 0; i < count / 2; ++i) terms[i] = Add::lane<F>(fpu.env, terms[2 * i], terms[2 * i + 1]);
    if (!fpu.finish(cpu)) return Outcome::kFault;
  }
  for (unsigned i = 0; i < kCount; ++i) {
    if ((imm >> i) & 1) out.at<S>(i) = terms[0];
  }
  Xmm::set(cpu, insn.op[0], out);
  return Outcome::kNext;
}

template <class F, class Op, unsigned kLanes>
Handler arithmetic_form(const DecodedForm& f) {
  return f.kind[1] == OperandKind::kMem ? &arithmetic<F, Op, kLanes, true>
                                        : &arithmetic<F, Op, kLanes, false>;
}

}  // namespace

#define ARITH(name, Op)                                                                                   \
  Handler select_##name##ps(const Insn&, const DecodedForm& f) { return arithmetic_form<F32, Op, 4>(f); } \
  Handler select_##name##pd(const Insn&, const DecodedForm& f) { return arithmetic_form<F64, Op, 2>(f); } \
  Handler select_##name##ss(const Insn&, const DecodedForm& f) { return arithmetic_form<F32, Op, 1>(f); } \
  Handler select_##name##sd(const Insn&, const DecodedForm& f) { return arithmetic_form<F64, Op, 1>(f); }
ARITH(add, Add)
ARITH(sub, Sub)
ARITH(mul, Mul)
ARITH(div, Div)
ARITH(sqrt, Sqrt)
ARITH(min, Min)
ARITH(max, Max)

#define BY_SOURCE(name, handler, ...)                                                                   \
  Handler select_##name(const Insn&, const DecodedForm& f) {                                            \
    return f.kind[1] == OperandKind::kMem ? &handler<__VA_ARGS__, true> : &handler<__VA_ARGS__, false>; \
  }
BY_SOURCE(haddps, horizontal, F32, Add)
BY_SOURCE(haddpd, horizontal, F64, Add)
BY_SOURCE(hsubps, horizontal, F32, Sub)
BY_SOURCE(hsubpd, horizontal, F64, Sub)
BY_SOURCE(addsubps, add_subtract, F32)
BY_SOURCE(addsubpd, add_subtract, F64)
BY_SOURCE(dpps, dot_product, F32)
BY_SOURCE(dppd, dot_product, F64)

}  // namespace orrery::cpu::exec
