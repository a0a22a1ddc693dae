// x87 arithmetic: FADD FMUL FSUB FSUBR FDIV FDIVR with their P and I forms, FSQRT, FABS, FCHS, FRNDINT,
// FSCALE, FXTRACT, FPREM, FPREM1. [SDM1 8.3.5], [SDM2]
//
// Not modelled: nothing.
#include "cpu/exec/fp_stack.h"
#include "cpu/fp/remainder.h"

namespace orrery::cpu::exec {
namespace {

using fp::Environment;
using fp::F32;
using fp::F64;
using fp::F80;
using fp::Unpacked;

struct Add {
  static Float80 apply(Environment& e, const Unpacked& a, const Unpacked& b) { return fp::add<F80>(e, a, b); }
};
struct Mul {
  static Float80 apply(Environment& e, const Unpacked& a, const Unpacked& b) { return fp::mul<F80>(e, a, b); }
};
struct Sub {
  static Float80 apply(Environment& e, const Unpacked& a, const Unpacked& b) { return fp::sub<F80>(e, a, b); }
};
struct SubReverse {
  static Float80 apply(Environment& e, const Unpacked& a, const Unpacked& b) { return fp::sub<F80>(e, b, a); }
};
struct Div {
  static Float80 apply(Environment& e, const Unpacked& a, const Unpacked& b) { return fp::div<F80>(e, a, b); }
};
struct DivReverse {
  static Float80 apply(Environment& e, const Unpacked& a, const Unpacked& b) { return fp::div<F80>(e, b, a); }
};

/// ST(dst) = Op(ST(dst), ST(src)).
template <class Op, bool kPop>
Outcome arith_register(Vcpu& cpu, const Insn& insn) {
  if (x87_pending(cpu)) return cpu.raise(kMF);
  X87 f(cpu, insn);
  const unsigned dst = insn.op[0], src = insn.op[1];
  f.use_precision_control();
  if (f.empty(dst) || f.empty(src)) {
    if (!f.underflow()) return Outcome::kNext;
    f.set(dst, fp::indefinite<F80>());
  } else {
    const Float80 result = Op::apply(f.env, f.get(dst), f.get(src));
    if (!f.report()) return Outcome::kNext;
    f.set(dst, result);
  }
  if (kPop) f.pop();
  return Outcome::kNext;
}
/// ST(0) = Op(ST(0), memory).
template <class Op, class Memory>
Outcome arith_memory(Vcpu& cpu, const Insn& insn) {
  if (x87_pending(cpu)) return cpu.raise(kMF);
  Unpacked b;
  if (!read_x87<Memory>(cpu, insn, b)) return Outcome::kFault;
  X87 f(cpu, insn);
  f.use_precision_control();
  if (f.empty(0)) {
    if (f.underflow()) f.set(0, fp::indefinite<F80>());
    return Outcome::kNext;
  }
  const Float80 result = Op::apply(f.env, f.get(0), b);
  if (f.report()) f.set(0, result);
  return Outcome::kNext;
}
template <class Op>
Handler arith_form(const DecodedForm& d) {
  if (d.kind[0] != OperandKind::kMem) return &arith_register<Op, false>;
  return d.size_bits[0] == 32 ? &arith_memory<Op, F32> : &arith_memory<Op, F64>;
}
template <class Op>
Handler arith_integer_form(const DecodedForm& d) {
  return d.size_bits[0] == 16 ? &arith_memory<Op, i16> : &arith_memory<Op, i32>;
}

/// ST(0) = Body(env, ST(0)).
template <Float80 (*Body)(Environment&, const Unpacked&), bool kPrecisionControl>
Outcome unary(Vcpu& cpu, const Insn& insn) {
  if (x87_pending(cpu)) return cpu.raise(kMF);
  X87 f(cpu, insn);
  if (kPrecisionControl) f.use_precision_control();
  if (f.empty(0)) {
    if (f.underflow()) f.set(0, fp::indefinite<F80>());
    return Outcome::kNext;
  }
  const Float80 result = Body(f.env, f.get(0));
  if (f.report()) f.set(0, result);
  return Outcome::kNext;
}
Float80 square_root(Environment& e, const Unpacked& a) { return fp::sqrt<F80>(e, a); }
Float80 round_integral(Environment& e, const Unpacked& a) {
  return fp::round_to_integral<F80>(e, a, e.rounding, true);
}

/// FABS, FCHS: the sign bit only; any encoding.
template <bool kChange>
Outcome sign_operation(Vcpu& cpu, const Insn& insn) {
  if (x87_pending(cpu)) return cpu.raise(kMF);
  X87 f(cpu, insn);
  if (f.empty(0)) {
    if (f.underflow()) f.set(0, fp::indefinite<F80>());
    return Outcome::kNext;
  }
  Float80 v = f.raw(0);
  v.sign_exponent = static_cast<u16>(kChange ? v.sign_exponent ^ 0x8000 : v.sign_exponent & 0x7fff);
  f.set(0, v);
  return Outcome::kNext;
}

Outcome fscale(Vcpu& cpu, const Insn& insn) {
  if (x87_pending(cpu)) return cpu.raise(kMF);
  X87 f(cpu, insn);
  if (f.empty(0) || f.empty(1)) {
    if (f.underflow()) f.set(0, fp::indefinite<F80>());
    return Outcome::kNext;
  }
  const Float80 result = fp::scale(f.env, f.get(0), f.get(1));
  if (f.report()) f.set(0, result);
  return Outcome::kNext;
}

template <fp::Quotient kKind>
Outcome partial_remainder(Vcpu& cpu, const Insn& insn) {
  if (x87_pending(cpu)) return cpu.raise(kMF);
  X87 f(cpu, insn);
  f.clear(fsw::C2);
  if (f.empty(0) || f.empty(1)) {
    if (f.underflow()) f.set(0, fp::indefinite<F80>());
    return Outcome::kNext;
  }
  const fp::Remainder r = fp::remainder(f.env, f.get(0), f.get(1), kKind);
  if (!f.report()) return Outcome::kNext;
  f.set(0, r.value);
  if (!r.valid) return Outcome::kNext;
  f.set_condition((r.quotient & 2) != 0, r.partial, (r.quotient & 4) != 0);
  f.assign(fsw::C1, (r.quotient & 1) != 0);
  return Outcome::kNext;
}

/// FXTRACT: the exponent replaces ST(0), the significand is pushed.
Outcome fxtract(Vcpu& cpu, const Insn& insn) {
  if (x87_pending(cpu)) return cpu.raise(kMF);
  X87 f(cpu, insn);
  if (f.empty(0) || !f.empty(7)) {
    if (f.empty(0) ? f.underflow() : f.overflow()) {
      f.set(0, fp::indefinite<F80>());
      f.push(fp::indefinite<F80>());
    }
    return Outcome::kNext;
  }
  const Unpacked a = f.get(0);
  Float80 exponent, significand;
  if (a.is_finite()) {
    if (a.denormal) f.env.raise(fp::flag::DE);
    exponent = fp::from_integer<F80>(f.env, a.exponent);
    significand = fp::assemble<F80>(a.sign, fp::kBias<F80>, a.significand);
  } else if (a.is_zero()) {
    f.env.raise(fp::flag::ZE);
    exponent = fp::infinity<F80>(true);
    significand = f.raw(0);
  } else if (a.is_infinity()) {
    exponent = fp::infinity<F80>(false);
    significand = f.raw(0);
  } else {
    exponent = significand = fp::convert<F80>(f.env, a);
  }
  if (!f.report()) return Outcome::kNext;
  f.set(0, exponent);
  f.push(significand);
  return Outcome::kNext;
}

}  // namespace

#define ARITH(name, Op)                                                                            \
  Handler select_f##name(const Insn&, const DecodedForm& d) { return arith_form<Op>(d); }          \
  Handler select_f##name##p(const Insn&, const DecodedForm&) { return &arith_register<Op, true>; } \
  Handler select_fi##name(const Insn&, const DecodedForm& d) { return arith_integer_form<Op>(d); }
ARITH(add, Add)
ARITH(mul, Mul)
ARITH(sub, Sub)
ARITH(subr, SubReverse)
ARITH(div, Div)
ARITH(divr, DivReverse)

Handler select_fsqrt(const Insn&, const DecodedForm&) { return &unary<&square_root, true>; }
Handler select_frndint(const Insn&, const DecodedForm&) { return &unary<&round_integral, false>; }
Handler select_fabs(const Insn&, const DecodedForm&) { return &sign_operation<false>; }
Handler select_fchs(const Insn&, const DecodedForm&) { return &sign_operation<true>; }
Handler select_fscale(const Insn&, const DecodedForm&) { return &fscale; }
Handler select_fprem(const Insn&, const DecodedForm&) { return &partial_remainder<fp::Quotient::kTruncated>; }
Handler select_fprem1(const Insn&, const DecodedForm&) { return &partial_remainder<fp::Quotient::kNearest>; }
Handler select_fxtract(const Insn&, const DecodedForm&) { return &fxtract; }

}  // namespace orrery::cpu::exec
