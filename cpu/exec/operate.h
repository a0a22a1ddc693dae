// The shapes of integer instructions: an operation applied to (destination, source), to one destination, or
// to two sources for flags only, in every operand form and size. An operation is a struct with `template
// <class T> static T apply(CpuState&, T a, T b)`.
#pragma once

#include "cpu/exec/common.h"

namespace orrery::cpu::exec {

template <class Op, class T, Form kForm>
Outcome binary_form(Vcpu& cpu, const Insn& insn) {
  if constexpr (kForm == Form::kRegReg) {
    cpu.set_reg<T>(insn.op[0],
                   Op::template apply<T>(cpu.state, cpu.reg<T>(insn.op[0]), cpu.reg<T>(insn.op[1])));
  } else if constexpr (kForm == Form::kRegImm) {
    cpu.set_reg<T>(insn.op[0],
                   Op::template apply<T>(cpu.state, cpu.reg<T>(insn.op[0]), static_cast<T>(insn.imm)));
  } else if constexpr (kForm == Form::kRegMem) {
    T source;
    if (!cpu.read<T>(insn, source)) return Outcome::kFault;
    cpu.set_reg<T>(insn.op[0], Op::template apply<T>(cpu.state, cpu.reg<T>(insn.op[0]), source));
  } else {
    T old;
    WriteTarget target;
    if (!cpu.read_for_write<T>(insn, old, target)) return Outcome::kFault;
    const T source = kForm == Form::kMemReg ? cpu.reg<T>(insn.op[1]) : static_cast<T>(insn.imm);
    cpu.commit<T>(target, Op::template apply<T>(cpu.state, old, source));
  }
  return Outcome::kNext;
}

template <class Op, class T, Form kForm>
Outcome compare_form(Vcpu& cpu, const Insn& insn) {
  T a;
  T b;
  if constexpr (kForm == Form::kMemReg || kForm == Form::kMemImm) {
    if (!cpu.read<T>(insn, a)) return Outcome::kFault;
  } else {
    a = cpu.reg<T>(insn.op[0]);
  }
  if constexpr (kForm == Form::kRegMem) {
    if (!cpu.read<T>(insn, b)) return Outcome::kFault;
  } else if constexpr (kForm == Form::kRegImm || kForm == Form::kMemImm) {
    b = static_cast<T>(insn.imm);
  } else {
    b = cpu.reg<T>(insn.op[1]);
  }
  static_cast<void>(Op::template apply<T>(cpu.state, a, b));
  return Outcome::kNext;
}

template <class Op, class T, Form kForm>
Outcome unary_form(Vcpu& cpu, const Insn& insn) {
  if constexpr (kForm == Form::kReg) {
    cpu.set_reg<T>(insn.op[0], Op::template apply<T>(cpu.state, cpu.reg<T>(insn.op[0])));
  } else {
    T old;
    WriteTarget target;
    if (!cpu.read_for_write<T>(insn, old, target)) return Outcome::kFault;
    cpu.commit<T>(target, Op::template apply<T>(cpu.state, old));
  }
  return Outcome::kNext;
}

namespace detail {
template <template <class, class, Form> class Holder, class Op, Form kForm>
Handler by_size(unsigned bits) {
  switch (bits) {
    case 8:
      return Holder<Op, u8, kForm>::kHandler;
    case 16:
      return Holder<Op, u16, kForm>::kHandler;
    case 32:
      return Holder<Op, u32, kForm>::kHandler;
    case 64:
      return Holder<Op, u64, kForm>::kHandler;
    default:
      return nullptr;
  }
}
template <template <class, class, Form> class Holder, class Op>
Handler by_two_operand_form(const DecodedForm& f) {
  switch (form_of(f)) {
    case Form::kRegReg:
      return by_size<Holder, Op, Form::kRegReg>(f.size_bits[0]);
    case Form::kRegMem:
      return by_size<Holder, Op, Form::kRegMem>(f.size_bits[0]);
    case Form::kMemReg:
      return by_size<Holder, Op, Form::kMemReg>(f.size_bits[0]);
    case Form::kRegImm:
      return by_size<Holder, Op, Form::kRegImm>(f.size_bits[0]);
    case Form::kMemImm:
      return by_size<Holder, Op, Form::kMemImm>(f.size_bits[0]);
    default:
      return nullptr;
  }
}
template <class Op, class T, Form kForm>
struct BinaryHolder {
  static constexpr Handler kHandler = binary_form<Op, T, kForm>;
};
template <class Op, class T, Form kForm>
struct CompareHolder {
  static constexpr Handler kHandler = compare_form<Op, T, kForm>;
};
template <class Op, class T, Form kForm>
struct UnaryHolder {
  static constexpr Handler kHandler = unary_form<Op, T, kForm>;
};
}  // namespace detail

/// Destination op= source.
template <class Op>
Handler binary(const DecodedForm& f) {
  return detail::by_two_operand_form<detail::BinaryHolder, Op>(f);
}
/// Flags of (first op second).
template <class Op>
Handler compare(const DecodedForm& f) {
  return detail::by_two_operand_form<detail::CompareHolder, Op>(f);
}
/// Destination = op(destination).
template <class Op>
Handler unary(const DecodedForm& f) {
  return form_of(f) == Form::kReg ? detail::by_size<detail::UnaryHolder, Op, Form::kReg>(f.size_bits[0])
                                  : detail::by_size<detail::UnaryHolder, Op, Form::kMem>(f.size_bits[0]);
}

}  // namespace orrery::cpu::exec
