// FMA: fused multiply-add in its 132, 213 and 231 forms. [SDM1 14.5], [SDM2 VFMADD132PS ...]
//
// The digits name the operands: multiplicand, multiplier, addend. Not modelled: nothing.
#include "cpu/fp/fma.h"

#include "cpu/exec/sse_float.h"

namespace orrery::cpu::exec {
namespace {

using fp::F32;
using fp::F64;
using fp::FmaSigns;

/// Signs of even and odd lanes differ in VFMADDSUB and VFMSUBADD only.
struct Add {
  static constexpr FmaSigns kEven{false, false}, kOdd{false, false};
};
struct Subtract {
  static constexpr FmaSigns kEven{false, true}, kOdd{false, true};
};
struct NegateAdd {
  static constexpr FmaSigns kEven{true, false}, kOdd{true, false};
};
struct NegateSubtract {
  static constexpr FmaSigns kEven{true, true}, kOdd{true, true};
};
struct AddSubtract {
  static constexpr FmaSigns kEven{false, true}, kOdd{false, false};
};
struct SubtractAdd {
  static constexpr FmaSigns kEven{false, false}, kOdd{false, true};
};

template <class X, class F, class Signs, unsigned kForm, unsigned kLanes>
Outcome fused(Vcpu& cpu, const Insn& insn) {
  using S = typename F::Storage;
  typename X::Value third;
  if (!float_source<X, F, kLanes>(cpu, insn, third)) return Outcome::kFault;
  const typename X::Value second = X::first(cpu, insn);
  typename X::Value out = X::File::get(cpu, insn.op[0]);
  SseFloat fpu(cpu);
  for (unsigned i = 0; i < kLanes; ++i) {
    const fp::Unpacked operand[4] = {{},
                                     fp::unpack<F>(fpu.env, out.template at<S>(i)),
                                     fp::unpack<F>(fpu.env, second.template at<S>(i)),
                                     fp::unpack<F>(fpu.env, third.template at<S>(i))};
    out.template at<S>(i) = fp::fma<F>(fpu.env, operand[kForm / 100], operand[kForm / 10 % 10],
                                       operand[kForm % 10], (i & 1) != 0 ? Signs::kOdd : Signs::kEven);
  }
  if (!fpu.finish(cpu)) return Outcome::kFault;
  X::set(cpu, insn, out);
  return Outcome::kNext;
}

template <class F, class Signs, unsigned kForm>
Handler fused_packed(const Insn& insn, const DecodedForm& f) {
  return vector_form<Sources::kTwo>(insn, f, []<class X>() -> Handler {
    return &fused<X, F, Signs, kForm, X::kBytes / sizeof(typename F::Storage)>;
  });
}
template <class F, class Signs, unsigned kForm>
Handler fused_scalar(const Insn& insn, const DecodedForm& f) {
  return xmm_form<Sources::kTwo>(insn, f, []<class X>() -> Handler { return &fused<X, F, Signs, kForm, 1>; });
}

}  // namespace

#define FUSED_PACKED(name, Signs, form)                                     \
  Handler select_##name##form##ps(const Insn& insn, const DecodedForm& f) { \
    return fused_packed<F32, Signs, form>(insn, f);                         \
  }                                                                         \
  Handler select_##name##form##pd(const Insn& insn, const DecodedForm& f) { \
    return fused_packed<F64, Signs, form>(insn, f);                         \
  }
#define FUSED(name, Signs, form)                                            \
  FUSED_PACKED(name, Signs, form)                                           \
  Handler select_##name##form##ss(const Insn& insn, const DecodedForm& f) { \
    return fused_scalar<F32, Signs, form>(insn, f);                         \
  }                                                                         \
  Handler select_##name##form##sd(const Insn& insn, const DecodedForm& f) { \
    return fused_scalar<F64, Signs, form>(insn, f);                         \
  }
#define EACH_FORM(SHAPE, name, Signs) SHAPE(name, Signs, 132) SHAPE(name, Signs, 213) SHAPE(name, Signs, 231)
EACH_FORM(FUSED, vfmadd, Add)
EACH_FORM(FUSED, vfmsub, Subtract)
EACH_FORM(FUSED, vfnmadd, NegateAdd)
EACH_FORM(FUSED, vfnmsub, NegateSubtract)
EACH_FORM(FUSED_PACKED, vfmaddsub, AddSubtract)
EACH_FORM(FUSED_PACKED, vfmsubadd, SubtractAdd)

}  // namespace orrery::cpu::exec
