// SSE conversions between formats and integers, and ROUNDPS and its kin. [SDM2 CVT*, ROUND*]
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

/// Packed conversions between XMM registers: the low kLanes lanes; what they don't fill of 16 bytes becomes
/// zero.
template <class To, class From, unsigned kLanes, bool kTruncate, bool kMem>
Outcome convert_packed(Vcpu& cpu, const Insn& insn) {
  Lanes<16> in, out{};
  if constexpr (kMem) {
    if constexpr (kLanes * sizeof(Storage<From>) == 16) {
      if (!Xmm::load(cpu, insn, in)) return Outcome::kFault;
    } else {
      if (!cpu.read(insn, in.q[0])) return Outcome::kFault;
    }
  } else {
    in = Xmm::get(cpu, insn.op[1]);
  }
  SseFloat fpu(cpu);
  for (unsigned i = 0; i < kLanes; ++i) {
    out.at<Storage<To>>(i) = convert_lane<To, From, kTruncate>(fpu.env, in.at<Storage<From>>(i));
  }
  if (!fpu.finish(cpu)) return Outcome::kFault;
  Xmm::set(cpu, insn.op[0], out);
  return Outcome::kNext;
}

/// CVTSS2SD, CVTSD2SS: the rest of the destination stays.
template <class To, class From, bool kMem>
Outcome convert_scalar(Vcpu& cpu, const Insn& insn) {
  Lanes<16> in;
  if (!float_source<From, 1, kMem>(cpu, insn, 1, in)) return Outcome::kFault;
  SseFloat fpu(cpu);
  Lanes<16> out = Xmm::get(cpu, insn.op[0]);
  out.at<Storage<To>>(0) = convert_lane<To, From, false>(fpu.env, in.at<Storage<From>>(0));
  if (!fpu.finish(cpu)) return Outcome::kFault;
  Xmm::set(cpu, insn.op[0], out);
  return Outcome::kNext;
}

/// CVTSI2SS, CVTSI2SD: from a general register or memory.
template <class To, class From>
Outcome convert_from_gpr(Vcpu& cpu, const Insn& insn) {
  std::make_unsigned_t<From> value{};
  if (!read_operand(cpu, insn, 1, value)) return Outcome::kFault;
  SseFloat fpu(cpu);
  Lanes<16> out = Xmm::get(cpu, insn.op[0]);
  out.at<Storage<To>>(0) = convert_lane<To, From, false>(fpu.env, value);
  if (!fpu.finish(cpu)) return Outcome::kFault;
  Xmm::set(cpu, insn.op[0], out);
  return Outcome::kNext;
}
/// CVT(T)SS2SI, CVT(T)SD2SI.
template <class To, class From, bool kTruncate, bool kMem>
Outcome convert_to_gpr(Vcpu& cpu, const Insn& insn) {
  Lanes<16> in;
  if (!float_source<From, 1, kMem>(cpu, insn, 1, in)) return Outcome::kFault;
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
  if (!source<Mmx, kMem>(cpu, insn, 1, in)) return Outcome::kFault;
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
  if (!float_source<From, 2, kMem>(cpu, insn, 1, in)) return Outcome::kFault;
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
template <class F, unsigned kLanes, bool kMem>
Outcome round_lanes(Vcpu& cpu, const Insn& insn) {
  using S = typename F::Storage;
  Lanes<16> b;
  if (!float_source<F, kLanes, kMem>(cpu, insn, 1, b)) return Outcome::kFault;
  Lanes<16> a = Xmm::get(cpu, insn.op[0]);
  SseFloat fpu(cpu);
  const fp::Rounding rounding =
      (insn.imm & 4) != 0 ? fpu.env.rounding : static_cast<fp::Rounding>(insn.imm & 3);
  for (unsigned i = 0; i < kLanes; ++i) {
    a.at<S>(i) =
        fp::round_to_integral<F>(fpu.env, fp::unpack<F>(fpu.env, b.at<S>(i)), rounding, (insn.imm & 8) == 0);
  }
  if (!fpu.finish(cpu)) return Outcome::kFault;
  Xmm::set(cpu, insn.op[0], a);
  return Outcome::kNext;
}

template <class From, bool kTruncate>
Handler to_gpr_form(const DecodedForm& f) {
  const bool mem = f.kind[1] == OperandKind::kMem;
  if (f.size_bits[0] == 64) {
    return mem ? &convert_to_gpr<i64, From, kTruncate, true> : &convert_to_gpr<i64, From, kTruncate, false>;
  }
  return mem ? &convert_to_gpr<i32, From, kTruncate, true> : &convert_to_gpr<i32, From, kTruncate, false>;
}

}  // namespace

#define BY_SOURCE(name, handler, ...)                                                                   \
  Handler select_##name(const Insn&, const DecodedForm& f) {                                            \
    return f.kind[1] == OperandKind::kMem ? &handler<__VA_ARGS__, true> : &handler<__VA_ARGS__, false>; \
  }
BY_SOURCE(cvtps2pd, convert_packed, F64, F32, 2, false)
BY_SOURCE(cvtpd2ps, convert_packed, F32, F64, 2, false)
BY_SOURCE(cvtdq2ps, convert_packed, F32, i32, 4, false)
BY_SOURCE(cvtdq2pd, convert_packed, F64, i32, 2, false)
BY_SOURCE(cvtps2dq, convert_packed, i32, F32, 4, false)
BY_SOURCE(cvttps2dq, convert_packed, i32, F32, 4, true)
BY_SOURCE(cvtpd2dq, convert_packed, i32, F64, 2, false)
BY_SOURCE(cvttpd2dq, convert_packed, i32, F64, 2, true)
BY_SOURCE(cvtss2sd, convert_scalar, F64, F32)
BY_SOURCE(cvtsd2ss, convert_scalar, F32, F64)
BY_SOURCE(cvtpi2ps, convert_from_mmx, F32)
BY_SOURCE(cvtpi2pd, convert_from_mmx, F64)
BY_SOURCE(cvtps2pi, convert_to_mmx, F32, false)
BY_SOURCE(cvttps2pi, convert_to_mmx, F32, true)
BY_SOURCE(cvtpd2pi, convert_to_mmx, F64, false)
BY_SOURCE(cvttpd2pi, convert_to_mmx, F64, true)
BY_SOURCE(roundps, round_lanes, F32, 4)
BY_SOURCE(roundpd, round_lanes, F64, 2)
BY_SOURCE(roundss, round_lanes, F32, 1)
BY_SOURCE(roundsd, round_lanes, F64, 1)

Handler select_cvtsi2ss(const Insn&, const DecodedForm& f) {
  return f.size_bits[1] == 64 ? &convert_from_gpr<F32, i64> : &convert_from_gpr<F32, i32>;
}
Handler select_cvtsi2sd(const Insn&, const DecodedForm& f) {
  return f.size_bits[1] == 64 ? &convert_from_gpr<F64, i64> : &convert_from_gpr<F64, i32>;
}
Handler select_cvtss2si(const Insn&, const DecodedForm& f) { return to_gpr_form<F32, false>(f); }
Handler select_cvttss2si(const Insn&, const DecodedForm& f) { return to_gpr_form<F32, true>(f); }
Handler select_cvtsd2si(const Insn&, const DecodedForm& f) { return to_gpr_form<F64, false>(f); }
Handler select_cvttsd2si(const Insn&, const DecodedForm& f) { return to_gpr_form<F64, true>(f); }

}  // namespace orrery::cpu::exec
