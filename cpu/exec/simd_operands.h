// Register files and operand access of the SIMD families: MMX (64 bits, aliased on the x87 registers) and
// XMM.
//
// A handler is a template over a register file R and an operation on whole `Lanes`, so that VEX forms need
// only another register file. [SDM1 9, 10], [APM1 4, 5] Not modelled: VEX forms (a later family).
#pragma once

#include <algorithm>
#include <type_traits>

#include "cpu/exec/common.h"

namespace orrery::cpu::exec {

/// A vector of `N` bytes, seen as lanes of any integer type.
template <unsigned N>
union alignas(N) Lanes {
  u64 q[N / 8];
  u32 d[N / 4];
  u16 w[N / 2];
  u8 b[N];

  template <class T>
  T& at(unsigned i) {
    return reinterpret_cast<T*>(b)[i];
  }
  template <class T>
  const T& at(unsigned i) const {
    return reinterpret_cast<const T*>(b)[i];
  }
};

/// An x87 exception is pending: FSW.ES, reported by the next waiting x87 or MMX instruction.
/// Without CR0.NE a PC reports it by IRQ 13 (Vcpu::report_ferr), unless IGNNE# says to ignore it.
inline bool x87_pending(const Vcpu& cpu) {
  if ((cpu.state.fsw & fsw::ES) == 0) [[likely]]
    return false;
  return !cpu.state.ignne || (cpu.state.cr0 & cr0::NE) != 0;
}

/// XMM registers in legacy encodings: 16 bytes, memory aligned unless MXCSR.MM, the upper half of YMM kept.
struct Xmm {
  static constexpr unsigned kBytes = 16;
  using Value = Lanes<16>;
  static constexpr OperandKind kKind = OperandKind::kVector;
  static bool ready(Vcpu&) { return true; }
  static Value get(const Vcpu& cpu, u8 n) {
    Value v;
    __builtin_memcpy(&v, &cpu.state.vec[n], 16);
    return v;
  }
  static void set(Vcpu& cpu, u8 n, const Value& v) { __builtin_memcpy(&cpu.state.vec[n], &v, 16); }
  /// The alignment that a legacy 16-byte operand must have, unless MXCSR.MM lifts it [APM1 4.2.2].
  static bool aligned(Vcpu& cpu, const Insn& insn) {
    return (cpu.state.mxcsr & mxcsr::MM) != 0 || cpu.check_aligned(insn, 16);
  }
  static bool load(Vcpu& cpu, const Insn& insn, Value& out) {
    return aligned(cpu, insn) && cpu.read(insn, out);
  }
};

/// MMX registers: the significands of the physical x87 registers. A write sets the exponent to ones, and
/// every MMX instruction makes TOP 0 and all tags valid. [SDM1 9.5]
struct Mmx {
  static constexpr unsigned kBytes = 8;
  using Value = Lanes<8>;
  static constexpr OperandKind kKind = OperandKind::kMmx;
  static bool ready(Vcpu& cpu) {
    if (!x87_pending(cpu)) [[likely]]
      return true;
    cpu.raise(kMF);
    return false;
  }
  /// Enters MMX state; when nothing can fault any more.
  static void enter(Vcpu& cpu) {
    cpu.state.fsw &= static_cast<u16>(~fsw::TOP);
    cpu.state.ftw = 0xff;
  }
  static Value get(const Vcpu& cpu, u8 n) {
    Value v;
    v.q[0] = cpu.state.fpr[n & 7].significand;
    return v;
  }
  static void set(Vcpu& cpu, u8 n, const Value& v) {
    enter(cpu);
    cpu.state.fpr[n & 7].significand = v.q[0];
    cpu.state.fpr[n & 7].sign_exponent = 0xffff;
  }
  static bool load(Vcpu& cpu, const Insn& insn, Value& out) { return cpu.read(insn, out.q[0]); }
};

/// Reads operand `n`, a register of R or memory.
template <class R, bool kMem>
inline bool source(Vcpu& cpu, const Insn& insn, unsigned n, typename R::Value& out) {
  if constexpr (kMem) {
    return R::load(cpu, insn, out);
  } else {
    out = R::get(cpu, insn.op[n]);
    return true;
  }
}

/// dst = Op(dst, src, imm).
template <class R, class Op, bool kMem>
Outcome packed_binary(Vcpu& cpu, const Insn& insn) {
  typename R::Value b;
  if (!R::ready(cpu) || !source<R, kMem>(cpu, insn, 1, b)) return Outcome::kFault;
  const typename R::Value a = R::get(cpu, insn.op[0]);
  R::set(cpu, insn.op[0], Op::apply(a, b, static_cast<u8>(insn.imm)));
  return Outcome::kNext;
}

/// Chooses the register file and the source's kind for `dst = Op(dst, src, imm)`.
template <class Op>
Handler packed_form(const DecodedForm& f) {
  const bool mem = f.kind[1] == OperandKind::kMem;
  if (f.kind[0] == OperandKind::kMmx) {
    return mem ? &packed_binary<Mmx, Op, true> : &packed_binary<Mmx, Op, false>;
  }
  return mem ? &packed_binary<Xmm, Op, true> : &packed_binary<Xmm, Op, false>;
}
template <class Op>
Handler xmm_form(const DecodedForm& f) {
  return f.kind[1] == OperandKind::kMem ? &packed_binary<Xmm, Op, true> : &packed_binary<Xmm, Op, false>;
}

/// Makes a whole-vector operation of a function on lanes of T.
template <class T, class F>
struct LaneWise {
  template <class V>
  static V apply(const V& a, const V& b, u8) {
    V out;
    for (unsigned i = 0; i < sizeof(V) / sizeof(T); ++i) {
      out.template at<T>(i) = static_cast<T>(F::lane(a.template at<T>(i), b.template at<T>(i)));
    }
    return out;
  }
};

}  // namespace orrery::cpu::exec
