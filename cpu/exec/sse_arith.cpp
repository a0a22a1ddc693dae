// SSE and AVX floating-point arithmetic: add, subtract, multiply, divide, square root, minimum, maximum,
// horizontal forms and dot products. [SDM2 ADDPS, SQRTPS, MINPS, HADDPS, ADDSUBPS, DPPS ...]
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

/// dst[i] = Op(first[i], last[i]) for the low kLanes lanes; the others are the first source's.
template <class X, class F, class Op, unsigned kLanes>
Outcome arithmetic(Vcpu& cpu, const Insn& insn) {
  using S = typename F::Storage;
  typename X::Value b;
  if (!float_source<X, F, kLanes>(cpu, insn, b)) return Outcome::kFault;
  typename X::Value a = X::first(cpu, insn);
  SseFloat fpu(cpu);
  for (unsigned i = 0; i < kLanes; ++i) {
    a.template at<S>(i) = Op::template lane<F>(fpu.env, a.template at<S>(i), b.template at<S>(i));
  }
  if (!fpu.finish(cpu)) return Outcome::kFault;
  X::set(cpu, insn, a);
  return Outcome::kNext;
}

/// HADD, HSUB: in each 128 bits, pairs of the first source, then of the last.
template <class X, class F, class Op>
Outcome horizontal(Vcpu& cpu, const Insn& insn) {
  using S = typename F::Storage;
  constexpr unsigned kHalf = 8 / sizeof(S), kAll = X::kBytes / sizeof(S);
  typename X::Value b, out;
  if (!float_source<X, F, kAll>(cpu, insn, b)) return Outcome::kFault;
  const typename X::Value a = X::first(cpu, insn);
  SseFloat fpu(cpu);
  for (unsigned i = 0; i < kAll; ++i) {
    const unsigned within = i % (2 * kHalf), group = i - within;
    const typename X::Value& from = within < kHalf ? a : b;
    const unsigned pair = group + 2 * (within % kHalf);
    out.template at<S>(i) =
        Op::template lane<F>(fpu.env, from.template at<S>(pair), from.template at<S>(pair + 1));
  }
  if (!fpu.finish(cpu)) return Outcome::kFault;
  X::set(cpu, insn, out);
  return Outcome::kNext;
}
/// ADDSUB: even lanes subtract, odd lanes add.
template <class X, class F>
Outcome add_subtract(Vcpu& cpu, const Insn& insn) {
  using S = typename F::Storage;
  constexpr unsigned kCount = X::kBytes / sizeof(S);
  typename X::Value b;
  if (!float_source<X, F, kCount>(cpu, insn, b)) return Outcome::kFault;
  typename X::Value a = X::first(cpu, insn);
  SseFloat fpu(cpu);
  for (unsigned i = 0; i < kCount; ++i) {
    const S x = a.template at<S>(i), y = b.template at<S>(i);
    a.template at<S>(i) = (i & 1) != 0 ? Add::lane<F>(fpu.env, x, y) : Sub::lane<F>(fpu.env, x, y);
  }
  if (!fpu.finish(cpu)) return Outcome::kFault;
  X::set(cpu, insn, a);
  return Outcome::kNext;
}

/// DPPS, DPPD: in each 128 bits, products chosen by imm[7:4], added in pairs, stored where imm[3:0] says.
/// Each step rounds, and an unmasked exception of a step stops the instruction before the next. [SDM2 DPPS]
template <class X, class F>
Outcome dot_product(Vcpu& cpu, const Insn& insn) {
  using S = typename F::Storage;
  constexpr unsigned kCount = 16 / sizeof(S), kGroups = X::kBytes / 16;
  typename X::Value b, out{};
  if (!float_source<X, F, kCount * kGroups>(cpu, insn, b)) return Outcome::kFault;
  const typename X::Value a = X::first(cpu, insn);
  const u8 imm = static_cast<u8>(insn.imm);
  SseFloat fpu(cpu);
  S terms[kCount * kGroups] = {};
  for (unsigned i = 0; i < kCount * kGroups; ++i) {
    if ((imm >> (4 + i % kCount)) & 1)
      terms[i] = Mul::lane<F>(fpu.env, a.template at<S>(i), b.template at<S>(i));
  }
  if (!fpu.finish(cpu)) return Outcome::kFault;
  for (unsigned count = kCount; count > 1; count /= 2) {
    for (unsigned i = 0; i < kGroups * count / 2; ++i)
      terms[i] = Add::lane<F>(fpu.env, terms[2 * i], terms[2 * i + 1]);
    if (!fpu.finish(cpu)) return Outcome::kFault;
  }
  for (unsigned i = 0; i < kCount * kGroups; ++i) {
    if ((imm >> (i % kCount)) & 1) out.template at<S>(i) = terms[i / kCount];
  }
  X::set(cpu, insn, out);
  return Outcome::kNext;
}

template <class F, class Op>
inline constexpr auto kArithmeticPacked =
    []<class X>() -> Handler { return &arithmetic<X, F, Op, X::kBytes / sizeof(typename F::Storage)>; };
template <class F, class Op>
inline constexpr auto kArithmeticScalar = []<class X>() -> Handler { return &arithmetic<X, F, Op, 1>; };

}  // namespace

#define ARITH(name, Op, sources)                                               \
  Handler select_##name##ps(const Insn& insn, const DecodedForm& f) {          \
    return vector_form<Sources::sources>(insn, f, kArithmeticPacked<F32, Op>); \
  }                                                                            \
  Handler select_##name##pd(const Insn& insn, const DecodedForm& f) {          \
    return vector_form<Sources::sources>(insn, f, kArithmeticPacked<F64, Op>); \
  }                                                                            \
  Handler select_##name##ss(const Insn& insn, const DecodedForm& f) {          \
    return xmm_form<Sources::kTwo>(insn, f, kArithmeticScalar<F32, Op>);       \
  }                                                                            \
  Handler select_##name##sd(const Insn& insn, const DecodedForm& f) {          \
    return xmm_form<Sources::kTwo>(insn, f, kArithmeticScalar<F64, Op>);       \
  }
ARITH(add, Add, kTwo)
ARITH(sub, Sub, kTwo)
ARITH(mul, Mul, kTwo)
ARITH(div, Div, kTwo)
ARITH(sqrt, Sqrt, kOne)
ARITH(min, Min, kTwo)
ARITH(max, Max, kTwo)

#define VECTOR(name, handler, ...)                                                                    \
  Handler select_##name(const Insn& insn, const DecodedForm& f) {                                     \
    return vector_form<Sources::kTwo>(insn, f,                                                        \
                                      []<class X>() -> Handler { return &handler<X, __VA_ARGS__>; }); \
  }
VECTOR(haddps, horizontal, F32, Add)
VECTOR(haddpd, horizontal, F64, Add)
VECTOR(hsubps, horizontal, F32, Sub)
VECTOR(hsubpd, horizontal, F64, Sub)
VECTOR(addsubps, add_subtract, F32)
VECTOR(addsubpd, add_subtract, F64)
VECTOR(dpps, dot_product, F32)
VECTOR(dppd, dot_product, F64)

}  // namespace orrery::cpu::exec
