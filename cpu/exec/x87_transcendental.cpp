// FSIN FCOS FSINCOS FPTAN FPATAN F2XM1 FYL2X FYL2XP1. [SDM1 8.3.8-10], [SDM2]
//
// Always computed by fp/transcendental, whatever the host.
// Not modelled: results outside the documented ranges of F2XM1 and FYL2XP1 are ours.
#include "cpu/exec/fp_stack.h"
#include "cpu/fp/transcendental.h"

namespace orrery::cpu::exec {
namespace {

using fp::Environment;
using fp::F80;
using fp::Unpacked;
using fp::Wide;

/// NaNs and unsupported encodings of one operand.
bool special(Environment& e, const Unpacked& a, Float80& out) {
  return fp::special_operands<F80>(e, a, a, out);
}
Float80 one() { return fp::assemble<F80>(false, fp::kBias<F80>, fp::kIntegerBit); }
Float80 angle(Environment& e, Wide w, bool sign) {
  w.sign = sign;
  return fp::from_wide(e, w);
}

enum class Circular : u8 { kSine, kCosine, kBoth, kTangent };

template <Circular kKind>
Outcome circular(Vcpu& cpu, const Insn& insn) {
  if (x87_pending(cpu)) return cpu.raise(kMF);
  constexpr bool kPushes = kKind == Circular::kBoth || kKind == Circular::kTangent;
  X87 f(cpu, insn);
  f.clear(fsw::C2);
  if (f.empty(0) || (kPushes && !f.empty(7))) {
    if (f.empty(0) ? f.underflow() : f.overflow()) {
      f.set(0, fp::indefinite<F80>());
      if (kPushes) f.push(fp::indefinite<F80>());
    }
    return Outcome::kNext;
  }
  const Unpacked a = f.get(0);
  Float80 first, second = one();
  if (special(f.env, a, first)) {
    second = first;
  } else if (a.is_infinity()) {
    first = second = fp::invalid<F80>(f.env);
  } else if (a.is_zero()) {
    first = kKind == Circular::kCosine ? one() : fp::zero<F80>(a.sign);
  } else if (a.exponent >= 63) {
    f.assign(fsw::C2, true);  // out of range: left as it is
    return Outcome::kNext;
  } else {
    if (a.denormal) f.env.raise(fp::flag::DE);
    const fp::SineCosine sc = fp::sine_cosine(a);
    if (kKind == Circular::kCosine)
      first = fp::from_wide(f.env, sc.cosine);
    else if (kKind == Circular::kTangent)
      first = fp::from_wide(f.env, sc.sine / sc.cosine);
    else
      first = fp::from_wide(f.env, sc.sine);
    if (kKind == Circular::kBoth) second = fp::from_wide(f.env, sc.cosine);
  }
  if (!f.report()) return Outcome::kNext;
  f.set(0, first);
  if (kPushes) f.push(second);
  return Outcome::kNext;
}

Outcome f2xm1(Vcpu& cpu, const Insn& insn) {
  if (x87_pending(cpu)) return cpu.raise(kMF);
  X87 f(cpu, insn);
  if (f.empty(0)) {
    if (f.underflow()) f.set(0, fp::indefinite<F80>());
    return Outcome::kNext;
  }
  const Unpacked a = f.get(0);
  Float80 out;
  if (special(f.env, a, out)) {
  } else if (a.is_zero()) {
    out = fp::zero<F80>(a.sign);
  } else if (a.is_infinity() || a.exponent > 0 || (a.exponent == 0 && a.significand != fp::kIntegerBit)) {
    out = !a.is_infinity() ? f.raw(0)
          : a.sign         ? fp::assemble<F80>(true, fp::kBias<F80>, fp::kIntegerBit)
                           : f.raw(0);
  } else if (a.exponent == 0) {  // exactly +-1
    out = a.sign ? fp::assemble<F80>(true, fp::kBias<F80> - 1, fp::kIntegerBit) : one();
  } else {
    if (a.denormal) f.env.raise(fp::flag::DE);
    out = fp::from_wide(f.env, fp::exp2_minus_1(a));
  }
  if (f.report()) f.set(0, out);
  return Outcome::kNext;
}

/// Whether finite x, larger than zero, lies above 1, is 1 or lies below.
int against_one(const Unpacked& x) {
  if (x.exponent != 0) return x.exponent > 0 ? 1 : -1;
  return x.significand == fp::kIntegerBit ? 0 : 1;
}

Float80 y_log2_x(Environment& e, const Unpacked& x, const Unpacked& y) {
  Float80 out;
  if (fp::special_operands<F80>(e, x, y, out)) return out;
  if (x.sign && !x.is_zero()) return fp::invalid<F80>(e);
  if (x.is_zero()) {
    if (y.is_zero()) return fp::invalid<F80>(e);
    if (!y.is_infinity()) e.raise(fp::flag::ZE);
    return fp::infinity<F80>(!y.sign);
  }
  if (x.is_infinity()) {
    if (y.is_zero()) return fp::invalid<F80>(e);
    fp::note_denormals(e, x, y);
    return fp::infinity<F80>(y.sign);
  }
  const int side = against_one(x);
  if (y.is_infinity()) {
    if (side == 0) return fp::invalid<F80>(e);
    fp::note_denormals(e, x, y);
    return fp::infinity<F80>(y.sign != (side < 0));
  }
  fp::note_denormals(e, x, y);
  if (y.is_zero() || side == 0) return fp::zero<F80>(y.sign != (side < 0));
  const Wide log = fp::log2(x);
  if (x.significand == fp::kIntegerBit) {  // a power of two: the product may be exact, but PE is raised
    e.raise(fp::flag::PE);
    const Float80 product = fp::mul<F80>(e, fp::from_i64(x.exponent), y);
    // A result that counts as inexact and is tiny has underflowed.
    if ((product.sign_exponent & 0x7fff) == 0 && product.significand != 0) e.raise(fp::flag::UE);
    return product;
  }
  return fp::from_wide(e, log * fp::to_wide(y));
}
Float80 y_log2_x_plus_1(Environment& e, const Unpacked& x, const Unpacked& y) {
  Float80 out;
  if (fp::special_operands<F80>(e, x, y, out)) return out;
  if (x.is_zero()) {
    if (y.is_infinity()) return fp::invalid<F80>(e);
    fp::note_denormals(e, x, y);
    return fp::zero<F80>(x.sign != y.sign);
  }
  if (x.is_infinity()) {
    if (x.sign || y.is_zero()) return fp::invalid<F80>(e);
    fp::note_denormals(e, x, y);
    return fp::infinity<F80>(y.sign);
  }
  if (x.sign && x.exponent >= 0) return fp::invalid<F80>(e);
  fp::note_denormals(e, x, y);
  if (y.is_infinity()) return fp::infinity<F80>(x.sign != y.sign);
  if (y.is_zero()) return fp::zero<F80>(x.sign != y.sign);
  return fp::from_wide(e, fp::log2_plus_1(x) * fp::to_wide(y));
}
/// The angle of (x, y).
Float80 angle_of(Environment& e, const Unpacked& x, const Unpacked& y) {
  Float80 out;
  if (fp::special_operands<F80>(e, x, y, out)) return out;
  fp::note_denormals(e, x, y);
  if (y.is_zero()) return x.sign ? angle(e, fp::kPi, y.sign) : fp::zero<F80>(y.sign);
  if (y.is_infinity()) {
    return angle(e, !x.is_infinity() ? fp::kHalfPi : x.sign ? fp::kThreeQuarterPi : fp::kQuarterPi, y.sign);
  }
  if (x.is_infinity()) return x.sign ? angle(e, fp::kPi, y.sign) : fp::zero<F80>(y.sign);
  if (x.is_zero()) return angle(e, fp::kHalfPi, y.sign);
  if (!x.sign && x.significand == fp::kIntegerBit && y.exponent - x.exponent < -80) {
    // So small that the angle is y / x, but for what rounding sees below it.
    Wide ratio = fp::to_wide(y);
    ratio.exponent -= x.exponent;
    ratio.significand -= 1;
    if ((ratio.significand >> 127) == 0)
      ratio = fp::normalized(ratio.sign, ratio.exponent, ratio.significand);
    return fp::from_wide(e, ratio);
  }
  Wide w = fp::arc_tangent(y, x);
  if (x.sign) w = fp::kPi - w;
  return angle(e, w, y.sign);
}

/// ST(1) = Body(ST(0), ST(1)), pop.
template <Float80 (*Body)(Environment&, const Unpacked&, const Unpacked&)>
Outcome binary(Vcpu& cpu, const Insn& insn) {
  if (x87_pending(cpu)) return cpu.raise(kMF);
  X87 f(cpu, insn);
  Float80 out = fp::indefinite<F80>();
  if (f.empty(0) || f.empty(1)) {
    if (!f.underflow()) return Outcome::kNext;
  } else {
    out = Body(f.env, f.get(0), f.get(1));
    if (!f.report()) return Outcome::kNext;
  }
  f.set(1, out);
  f.pop();
  return Outcome::kNext;
}

}  // namespace

Handler select_fsin(const Insn&, const DecodedForm&) { return &circular<Circular::kSine>; }
Handler select_fcos(const Insn&, const DecodedForm&) { return &circular<Circular::kCosine>; }
Handler select_fsincos(const Insn&, const DecodedForm&) { return &circular<Circular::kBoth>; }
Handler select_fptan(const Insn&, const DecodedForm&) { return &circular<Circular::kTangent>; }
Handler select_f2xm1(const Insn&, const DecodedForm&) { return &f2xm1; }
Handler select_fyl2x(const Insn&, const DecodedForm&) { return &binary<&y_log2_x>; }
Handler select_fyl2xp1(const Insn&, const DecodedForm&) { return &binary<&y_log2_x_plus_1>; }
Handler select_fpatan(const Insn&, const DecodedForm&) { return &binary<&angle_of>; }

}  // namespace orrery::cpu::exec
