// x87 comparisons: FCOM FUCOM FICOM with pops, FCOMI FUCOMI, FTST, FXAM. [SDM1 8.3.6-7]
//
// Not modelled: nothing.
#include "cpu/exec/fp_stack.h"
#include "cpu/fp/compare.h"

namespace orrery::cpu::exec {
namespace {

using fp::F32;
using fp::F64;
using fp::NanCompare;
using fp::Relation;
using fp::Unpacked;

void set_relation(X87& f, Relation r) {
  const bool unordered = r == Relation::kUnordered;
  f.set_condition(unordered || r == Relation::kEqual, unordered, unordered || r == Relation::kLess);
}

/// Compares ST(0) with `b`; `b_empty`: it is an empty register.
Outcome compare_with(X87& f, bool b_empty, const Unpacked& b, NanCompare kind, unsigned pops) {
  if (f.empty(0) || b_empty) {
    const bool masked = f.underflow();
    set_relation(f, Relation::kUnordered);
    if (!masked) return Outcome::kNext;
  } else {
    set_relation(f, fp::compare(f.env, f.get(0), b, kind));  // even if an exception is not masked
    if (!f.report()) return Outcome::kNext;
  }
  for (unsigned i = 0; i < pops; ++i) f.pop();
  return Outcome::kNext;
}

template <NanCompare kKind, unsigned kPops>
Outcome compare_register(Vcpu& cpu, const Insn& insn) {
  if (x87_pending(cpu)) return cpu.raise(kMF);
  X87 f(cpu, insn);
  // FUCOMP names ST(0) too; FCOMPP and FUCOMPP name nothing and mean ST(1).
  const unsigned i = kPops == 2 ? 1u : insn.op[1] < 8 ? insn.op[1] : insn.op[0];
  return compare_with(f, f.empty(i), f.get(i), kKind, kPops);
}
template <class Memory, unsigned kPops>
Outcome compare_memory(Vcpu& cpu, const Insn& insn) {
  if (x87_pending(cpu)) return cpu.raise(kMF);
  Unpacked b;
  if (!read_x87<Memory>(cpu, insn, b)) return Outcome::kFault;
  X87 f(cpu, insn);
  return compare_with(f, false, b, NanCompare::kSignalling, kPops);
}
Outcome ftst(Vcpu& cpu, const Insn& insn) {
  if (x87_pending(cpu)) return cpu.raise(kMF);
  X87 f(cpu, insn);
  return compare_with(f, false, Unpacked{}, NanCompare::kSignalling, 0);
}

/// FCOMI, FUCOMI: to RFLAGS; OF, SF and AF become 0. C1 stays but for stack faults.
template <NanCompare kKind, bool kPop>
Outcome compare_to_flags(Vcpu& cpu, const Insn& insn) {
  if (x87_pending(cpu)) return cpu.raise(kMF);
  const bool c1 = (cpu.state.fsw & fsw::C1) != 0;
  X87 f(cpu, insn);
  Relation r = Relation::kUnordered;
  const unsigned i = insn.op[1];
  bool good = true;
  if (f.empty(0) || f.empty(i)) {
    good = f.underflow();
  } else {
    r = fp::compare(f.env, f.get(0), f.get(i), kKind);
    good = f.report();
    f.assign(fsw::C1, c1);
  }
  u64 flags = cpu.state.rflags & ~rflags::kArithmetic;
  if (r == Relation::kUnordered) flags |= rflags::ZF | rflags::PF | rflags::CF;
  if (r == Relation::kLess) flags |= rflags::CF;
  if (r == Relation::kEqual) flags |= rflags::ZF;
  cpu.state.rflags = flags;
  if (kPop && good) f.pop();
  return Outcome::kNext;
}

Outcome fxam(Vcpu& cpu, const Insn& insn) {
  if (x87_pending(cpu)) return cpu.raise(kMF);
  X87 f(cpu, insn);
  f.assign(fsw::C1, (f.raw(0).sign_exponent & 0x8000) != 0);
  if (f.empty(0)) {
    f.set_condition(true, false, true);
    return Outcome::kNext;
  }
  const Unpacked a = f.get(0);
  switch (a.cls) {
    case fp::Class::kZero:
      f.set_condition(true, false, false);
      break;
    case fp::Class::kFinite:
      f.set_condition(a.denormal, true, false);
      break;
    case fp::Class::kInfinity:
      f.set_condition(false, true, true);
      break;
    case fp::Class::kUnsupported:
      f.set_condition(false, false, false);
      break;
    default:
      f.set_condition(false, false, true);
      break;
  }
  return Outcome::kNext;
}

template <unsigned kPops>
Handler compare_form(const DecodedForm& d) {
  if (d.kind[0] != OperandKind::kMem) return &compare_register<NanCompare::kSignalling, kPops>;
  return d.size_bits[0] == 32 ? &compare_memory<F32, kPops> : &compare_memory<F64, kPops>;
}

}  // namespace

Handler select_fcom(const Insn&, const DecodedForm& d) { return compare_form<0>(d); }
Handler select_fcomp(const Insn&, const DecodedForm& d) { return compare_form<1>(d); }
Handler select_fcompp(const Insn&, const DecodedForm&) {
  return &compare_register<NanCompare::kSignalling, 2>;
}
Handler select_fucom(const Insn&, const DecodedForm&) { return &compare_register<NanCompare::kQuiet, 0>; }
Handler select_fucomp(const Insn&, const DecodedForm&) { return &compare_register<NanCompare::kQuiet, 1>; }
Handler select_fucompp(const Insn&, const DecodedForm&) { return &compare_register<NanCompare::kQuiet, 2>; }
Handler select_ficom(const Insn&, const DecodedForm& d) {
  return d.size_bits[0] == 16 ? &compare_memory<i16, 0> : &compare_memory<i32, 0>;
}
Handler select_ficomp(const Insn&, const DecodedForm& d) {
  return d.size_bits[0] == 16 ? &compare_memory<i16, 1> : &compare_memory<i32, 1>;
}
Handler select_fcomi(const Insn&, const DecodedForm&) {
  return &compare_to_flags<NanCompare::kSignalling, false>;
}
Handler select_fcomip(const Insn&, const DecodedForm&) {
  return &compare_to_flags<NanCompare::kSignalling, true>;
}
Handler select_fucomi(const Insn&, const DecodedForm&) {
  return &compare_to_flags<NanCompare::kQuiet, false>;
}
Handler select_fucomip(const Insn&, const DecodedForm&) {
  return &compare_to_flags<NanCompare::kQuiet, true>;
}
Handler select_ftst(const Insn&, const DecodedForm&) { return &ftst; }
Handler select_fxam(const Insn&, const DecodedForm&) { return &fxam; }

}  // namespace orrery::cpu::exec
