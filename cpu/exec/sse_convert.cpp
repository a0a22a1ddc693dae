// SSE and AVX conversions between formats and integers, and ROUNDPS and its kin. [SDM2 CVT*, ROUND*]
//
// Not modelled: nothing.
#include "cpu/exec/sse_float.h"

namespace orrery::cpu::exec {
namespace {

using fp::Environment;
using fp::F32;
using fp::F64;

/// One lane of From (a format, or i32 / i64) to To.
template <class To, class From, bool kTruncate, class In>
auto convert_lane(Environment& e, In v) {
  if constexpr (std::is_integral_v<From>) {
    return fp::from_integer<To>(e, static_cast<From>(v));
  } else if constexpr (std::is_integral_v<To>) {
    const fp::Rounding rounding = kTruncate ? fp::Rounding::kZero : e.rounding;
    return static_cast<std::make_unsigned_t<To>>(
        fp::to_integer(e, fp::unpack<From>(e, v), sizeof(To) * 8, rounding));
  } else {
    return fp::convert<To>(e, fp::unpack<From>(e, v));
  }
}

template <class T, bool kIsInteger>
struct StorageOf {
  using Type = typename T::Storage;
};
template <class T>
struct StorageOf<T, true> {
  using Type = std::make_unsigned_t<T>;
};
template <class T>
using Storage = typename StorageOf<T, std::is_integral_v<T>>::Type;

/// Packed conversions between vector registers: as many low lanes as the vector length has of the wider
/// format; what they don't fill of the destination becomes zero.
template <class X, class To, class From, bool kTruncate>
Outcome convert_packed(Vcpu& cpu, const Insn& insn) {
  constexpr unsigned kLanes = X::kBytes / std::max(sizeof(Storage<To>), sizeof(Storage<From>));
  typename X::Value in, out{};
  if (!X::template last_low<kLanes * sizeof(Storage<From>)>(cpu, insn, in)) return Outcome::kFault;
  SseFloat fpu(cpu);
  for (unsigned i = 0; i < kLanes; ++i) {
    out.template at<Storage<To>>(i) =
        convert_lane<To, From, kTruncate>(fpu.env, in.template at<Storage<From>>(i));
  }
  if (!fpu.finish(cpu)) return Outcome::kFault;
  X::set(cpu, insn, out);
  return Outcome::kNext;
}

/// CVTSS2SD, CVTSD2SS: the rest is the first source's.
template <class X, class To, class From>
Outcome convert_scalar(Vcpu& cpu, const Insn& insn) {
  Lanes<16> in;
  if (!float_source<X, From, 1>(cpu, insn, in)) return Outcome::kFault;
  SseFloat fpu(cpu);
  Lanes<16> out = X::first(cpu, insn);
  out.at<Storage<To>>(0) = convert_lane<To, From, false>(fpu.env, in.at<Storage<From>>(0));
  if (!fpu.finish(cpu)) return Outcome::kFault;
  X::set(cpu, insn, out);
  return Outcome::kNext;
}

/// CVTSI2SS, CVTSI2SD: from a general register or memory.
template <class X, class To, class From>
Outcome convert_from_gpr(Vcpu& cpu, const Insn& insn) {
  std::make_unsigned_t<From> value{};
  if (!read_operand(cpu, insn, X::kLast, value)) return Outcome::kFault;
  SseFloat fpu(cpu);
  Lanes<16> out = X::first(cpu, insn);
  out.at<Storage<To>>(0) = convert_lane<To, From, false>(fpu.env, value);
  if (!fpu.finish(cpu)) return Outcome::kFault;
  X::set(cpu, insn, out);
  return Outcome::kNext;
}
/// CVT(T)SS2SI, CVT(T)SD2SI.
template <class X, class To, class From, bool kTruncate>
Outcome convert_to_gpr(Vcpu& cpu, const Insn& insn) {
  Lanes<16> in;
  if (!float_source<X, From, 1>(cpu, insn, in)) return Outcome::kFault;
  SseFloat fpu(cpu);
  const auto value = convert_lane<To, From, kTruncate>(fpu.env, in.at<Storage<From>>(0));
  if (!fpu.finish(cpu)) return Outcome::kFault;
  cpu.set_reg<std::make_unsigned_t<To>>(insn.op[0], value);
  return Outcome::kNext;
}

/// CVTPI2PS, CVTPI2PD: two integers of an MMX register or memory. With memory they leave MMX state alone.
template <class To, bool kMem>
Outcome convert_from_mmx(Vcpu& cpu, const Insn& insn) {
  constexpr bool kEnters = !kMem;
  if (kEnters && !Mmx::ready(cpu)) return Outcome::kFault;
  Lanes<8> in;
  if (!Operands<Mmx, 1, kMem>::last(cpu, insn, in)) return Outcome::kFault;
  SseFloat fpu(cpu);
  Lanes<16> out = Xmm::get(cpu, insn.op[0]);
  for (unsigned i = 0; i < 2; ++i) out.at<Storage<To>>(i) = convert_lane<To, i32, false>(fpu.env, in.d[i]);
  if (kEnters) Mmx::enter(cpu);  // even if an exception follows
  if (!fpu.finish(cpu)) return Outcome::kFault;
  Xmm::set(cpu, insn.op[0], out);
  return Outcome::kNext;
}
/// CVT(T)PS2PI, CVT(T)PD2PI.
template <class From, bool kTruncate, bool kMem>
Outcome convert_to_mmx(Vcpu& cpu, const Insn& insn) {
  if (!Mmx::ready(cpu)) return Outcome::kFault;
  Lanes<16> in;
  if (!float_source<Operands<Xmm, 1, kMem>, From, 2>(cpu, insn, in)) return Outcome::kFault;
  SseFloat fpu(cpu);
  Lanes<8> out;
  for (unsigned i = 0; i < 2; ++i)
    out.d[i] = convert_lane<i32, From, kTruncate>(fpu.env, in.at<Storage<From>>(i));
  Mmx::enter(cpu);  // even if an exception follows
  if (!fpu.finish(cpu)) return Outcome::kFault;
  Mmx::set(cpu, insn.op[0], out);
  return Outcome::kNext;
}

/// ROUNDPS ...: imm bits 0-1 RC, bit 2 takes MXCSR's instead, bit 3 suppresses PE.
template <class X, class F, unsigned kLanes>
Outcome round_lanes(Vcpu& cpu, const Insn& insn) {
  using S = typename F::Storage;
  typename X::Value b;
  if (!float_source<X, F, kLanes>(cpu, insn, b)) return Outcome::kFault;
  typename X::Value a = X::first(cpu, insn);
  SseFloat fpu(cpu);
  const fp::Rounding rounding =
      (insn.imm & 4) != 0 ? fpu.env.rounding : static_cast<fp::Rounding>(insn.imm & 3);
  for (unsigned i = 0; i < kLanes; ++i) {
    a.template at<S>(i) = fp::round_to_integral<F>(fpu.env, fp::unpack<F>(fpu.env, b.template at<S>(i)),
                                                   rounding, (insn.imm & 8) == 0);
  }
  if (!fpu.finish(cpu)) return Outcome::kFault;
  X::set(cpu, insn, a);
  return Outcome::kNext;
}

template <class From, bool kTruncate>
Handler to_gpr_form(const Insn& insn, const DecodedForm& f) {
  return xmm_form<Sources::kOne>(insn, f, [&f]<class X>() -> Handler {
    return f.size_bits[0] == 64 ? &convert_to_gpr<X, i64, From, kTruncate>
                                : &convert_to_gpr<X, i32, From, kTruncate>;
  });
}
template <class To>
Handler from_gpr_form(const Insn& insn, const DecodedForm& f) {
  return xmm_form<Sources::kTwo>(insn, f, [&f]<class X>() -> Handler {
    return f.size_bits[X::kLast] == 64 ? &convert_from_gpr<X, To, i64> : &convert_from_gpr<X, To, i32>;
  });
}

}  // namespace

#define PACKED(name, To, From, truncate)                                                       \
  Handler select_##name(const Insn& insn, const DecodedForm& f) {                              \
    return vector_form<Sources::kOne>(                                                         \
        insn, f, []<class X>() -> Handler { return &convert_packed<X, To, From, truncate>; }); \
  }
PACKED(cvtps2pd, F64, F32, false)
PACKED(cvtpd2ps, F32, F64, false)
PACKED(cvtdq2ps, F32, i32, false)
PACKED(cvtdq2pd, F64, i32, false)
PACKED(cvtps2dq, i32, F32, false)
PACKED(cvttps2dq, i32, F32, true)
PACKED(cvtpd2dq, i32, F64, false)
PACKED(cvttpd2dq, i32, F64, true)

#define SCALAR(name, To, From)                                                                         \
  Handler select_##name(const Insn& insn, const DecodedForm& f) {                                      \
    return xmm_form<Sources::kTwo>(insn, f,                                                            \
                                   []<class X>() -> Handler { return &convert_scalar<X, To, From>; }); \
  }
SCALAR(cvtss2sd, F64, F32)
SCALAR(cvtsd2ss, F32, F64)

#define WITH_MMX(name, handler, ...)                                                                    \
  Handler select_##name(const Insn&, const DecodedForm& f) {                                            \
    return f.kind[1] == OperandKind::kMem ? &handler<__VA_ARGS__, true> : &handler<__VA_ARGS__, false>; \
  }
WITH_MMX(cvtpi2ps, convert_from_mmx, F32)
WITH_MMX(cvtpi2pd, convert_from_mmx, F64)
WITH_MMX(cvtps2pi, convert_to_mmx, F32, false)
WITH_MMX(cvttps2pi, convert_to_mmx, F32, true)
WITH_MMX(cvtpd2pi, convert_to_mmx, F64, false)
WITH_MMX(cvttpd2pi, convert_to_mmx, F64, true)

#define ROUND(size, F)                                                                                     \
  Handler select_roundp##size(const Insn& insn, const DecodedForm& f) {                                    \
    return vector_form<Sources::kOne>(                                                                     \
        insn, f, []<class X>() -> Handler { return &round_lanes<X, F, X::kBytes / sizeof(F::Storage)>; }); \
  }                                                                                                        \
  Handler select_rounds##size(const Insn& insn, const DecodedForm& f) {                                    \
    return xmm_form<Sources::kTwo>(insn, f, []<class X>() -> Handler { return &round_lanes<X, F, 1>; });   \
  }
ROUND(s, F32)
ROUND(d, F64)

Handler select_cvtsi2ss(const Insn& insn, const DecodedForm& f) { return from_gpr_form<F32>(insn, f); }
Handler select_cvtsi2sd(const Insn& insn, const DecodedForm& f) { return from_gpr_form<F64>(insn, f); }
Handler select_cvtss2si(const Insn& insn, const DecodedForm& f) { return to_gpr_form<F32, false>(insn, f); }
Handler select_cvttss2si(const Insn& insn, const DecodedForm& f) { return to_gpr_form<F32, true>(insn, f); }
Handler select_cvtsd2si(const Insn& insn, const DecodedForm& f) { return to_gpr_form<F64, false>(insn, f); }
Handler select_cvttsd2si(const Insn& insn, const DecodedForm& f) { return to_gpr_form<F64, true>(insn, f); }

}  // namespace orrery::cpu::exec
