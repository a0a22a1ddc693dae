// Register files and operand access of the SIMD families: MMX (64 bits, aliased on the x87 registers), XMM in
// legacy encodings, XMM and YMM in VEX encodings.
//
// A handler is a template over `Operands` (which register file, where the sources stand, whether the last one
// is memory) and an operation on `Lanes`; its selector asks for the form that was decoded.
// [SDM1 9, 10, 14], [SDM2 2.3], [APM1 4, 5] Not modelled: EVEX.
#pragma once

#include <algorithm>
#include <type_traits>

#include "cpu/exec/common.h"

namespace orrery::cpu::exec {

/// A vector of `N` bytes, seen as lanes of any integer type.
template <unsigned N>
union alignas(N < 16 ? N : 16) Lanes {
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
  Lanes<16> half(unsigned i) const requires(N == 32);
  void set_half(unsigned i, const Lanes<16>& v) requires(N == 32);
};
template <unsigned N>
Lanes<16> Lanes<N>::half(unsigned i) const requires(N == 32) {
  Lanes<16> v;
  v.q[0] = q[2 * i];
  v.q[1] = q[2 * i + 1];
  return v;
}
template <unsigned N>
void Lanes<N>::set_half(unsigned i, const Lanes<16>& v) requires(N == 32) {
  q[2 * i] = v.q[0];
  q[2 * i + 1] = v.q[1];
}

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
  /// The low quadword of an operand whose alignment counts as a whole one's, also for RFLAGS.AC, and which
  /// must lie in its segment as a whole.
  static bool load_low(Vcpu& cpu, const Insn& insn, u64& out) {
    u64 linear = 0;
    if (!cpu.long64() &&
        !cpu.segment_linear(insn.segment(), cpu.effective_address(insn), kBytes, Access::kRead, linear))
      return false;
    if (!aligned(cpu, insn)) return false;
    if (cpu.alignment_checked()) [[unlikely]] {
      Value v;
      if (!cpu.read(insn, v)) return false;
      out = v.q[0];
      return true;
    }
    return cpu.read(insn, out);
  }
};

/// XMM registers in VEX encodings: no alignment rule, and the upper half of YMM becomes zero. [SDM2 2.3.10]
struct Vex128 {
  static constexpr unsigned kBytes = 16;
  using Value = Lanes<16>;
  static bool ready(Vcpu&) { return true; }
  static Value get(const Vcpu& cpu, u8 n) { return Xmm::get(cpu, n); }
  static void set(Vcpu& cpu, u8 n, const Value& v) {
    Xmm::set(cpu, n, v);
    cpu.state.vec[n].q[2] = cpu.state.vec[n].q[3] = 0;
  }
  static bool aligned(Vcpu&, const Insn&) { return true; }
  static bool load(Vcpu& cpu, const Insn& insn, Value& out) { return cpu.read(insn, out); }
};

/// YMM registers, in VEX encodings.
struct Ymm {
  static constexpr unsigned kBytes = 32;
  using Value = Lanes<32>;
  static bool ready(Vcpu&) { return true; }
  static Value get(const Vcpu& cpu, u8 n) {
    Value v;
    __builtin_memcpy(&v, &cpu.state.vec[n], 32);
    return v;
  }
  static void set(Vcpu& cpu, u8 n, const Value& v) { __builtin_memcpy(&cpu.state.vec[n], &v, 32); }
  static bool aligned(Vcpu&, const Insn&) { return true; }
  static bool load(Vcpu& cpu, const Insn& insn, Value& out) { return cpu.read(insn, out); }
};

/// MMX registers: the significands of the physical x87 registers. A write sets the exponent to ones, and
/// every MMX instruction makes TOP 0 and all tags valid. [SDM1 9.5]
struct Mmx {
  static constexpr unsigned kBytes = 8;
  using Value = Lanes<8>;
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

/// Where an instruction's sources are: the last one is operand `kLastSource`, a register of R or memory; the
/// one before it, if the instruction has two, the operand before. In legacy encodings that is the
/// destination.
template <class R, unsigned kLastSource, bool kMemory>
struct Operands {
  using File = R;
  using Value = typename R::Value;
  static constexpr unsigned kBytes = R::kBytes;
  static constexpr unsigned kLast = kLastSource;
  static constexpr bool kMem = kMemory;
  static bool ready(Vcpu& cpu) { return R::ready(cpu); }
  static Value first(const Vcpu& cpu, const Insn& insn) { return R::get(cpu, insn.op[kLast - 1]); }
  static bool last(Vcpu& cpu, const Insn& insn, Value& out) {
    if constexpr (kMem) {
      return R::load(cpu, insn, out);
    } else {
      out = R::get(cpu, insn.op[kLast]);
      return true;
    }
  }
  /// Of a memory operand just the low `kCount` bytes, which need no alignment unless they are a whole
  /// register.
  template <unsigned kCount>
  static bool last_low(Vcpu& cpu, const Insn& insn, Value& out) {
    if constexpr (!kMem || kCount == kBytes) {
      return last(cpu, insn, out);
    } else if constexpr (kCount == 16) {
      Lanes<16> low;
      if (!cpu.read(insn, low)) return false;
      out.q[0] = low.q[0];
      out.q[1] = low.q[1];
      return true;
    } else if constexpr (kCount == 8) {
      return cpu.read(insn, out.q[0]);
    } else if constexpr (kCount == 4) {
      return cpu.read(insn, out.d[0]);
    } else if constexpr (kCount == 2) {
      return cpu.read(insn, out.w[0]);
    } else {
      return cpu.read(insn, out.b[0]);
    }
  }
  static void set(Vcpu& cpu, const Insn& insn, const Value& v) { R::set(cpu, insn.op[0], v); }
};

/// Sources of an instruction's VEX forms, of which legacy encodings have the first in the destination.
enum class Sources : u8 { kOne, kTwo };

namespace detail {
template <class R, unsigned kLast, class Make>
Handler by_last_source(const DecodedForm& f, Make make) {
  return f.kind[kLast] == OperandKind::kMem ? make.template operator()<Operands<R, kLast, true>>()
                                            : make.template operator()<Operands<R, kLast, false>>();
}
template <Sources kSources>
inline constexpr unsigned kVexLast = kSources == Sources::kTwo ? 2 : 1;
}  // namespace detail

/// `make` is a generic lambda `[]<class X>() -> Handler` over Operands: what it gives for the form's.
template <Sources kSources, class Make>
Handler vector_form(const Insn& insn, const DecodedForm& f, Make make) {
  constexpr unsigned kVexLast = detail::kVexLast<kSources>;
  if (!insn.has(insn_flag::kVex)) return detail::by_last_source<Xmm, 1>(f, make);
  return insn.vector_256() ? detail::by_last_source<Ymm, kVexLast>(f, make)
                           : detail::by_last_source<Vex128, kVexLast>(f, make);
}
/// For instructions of one lane or of 128 bits only: VEX.L does not matter, or has been found to be 0.
template <Sources kSources, class Make>
Handler xmm_form(const Insn& insn, const DecodedForm& f, Make make) {
  return insn.has(insn_flag::kVex) ? detail::by_last_source<Vex128, detail::kVexLast<kSources>>(f, make)
                                   : detail::by_last_source<Xmm, 1>(f, make);
}
/// For instructions that exist for MMX registers, too.
template <Sources kSources, class Make>
Handler mmx_or_vector_form(const Insn& insn, const DecodedForm& f, Make make) {
  if (f.kind[0] == OperandKind::kMmx) return detail::by_last_source<Mmx, 1>(f, make);
  return vector_form<kSources>(insn, f, make);
}

/// Op on vectors of up to 16 bytes; of 32 bytes, on each half by itself. An Op whose immediate has other bits
/// for the upper half says how many a half takes: `kImmediateBits`.
template <class Op, class V>
V apply_operation(const V& a, const V& b, u8 imm) {
  if constexpr (sizeof(V) <= 16) {
    return Op::apply(a, b, imm);
  } else {
    u8 upper_imm = imm;
    if constexpr (requires { Op::kImmediateBits; }) upper_imm = static_cast<u8>(imm >> Op::kImmediateBits);
    V out;
    out.set_half(0, Op::apply(a.half(0), b.half(0), imm));
    out.set_half(1, Op::apply(a.half(1), b.half(1), upper_imm));
    return out;
  }
}

/// dst = Op(first, last, imm).
template <class X, class Op>
Outcome packed(Vcpu& cpu, const Insn& insn) {
  typename X::Value b;
  if (!X::ready(cpu) || !X::last(cpu, insn, b)) return Outcome::kFault;
  X::set(cpu, insn, apply_operation<Op>(X::first(cpu, insn), b, static_cast<u8>(insn.imm)));
  return Outcome::kNext;
}
/// Makes `packed` of Op, whatever the operands.
template <class Op>
inline constexpr auto kPacked = []<class X>() -> Handler { return &packed<X, Op>; };

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
