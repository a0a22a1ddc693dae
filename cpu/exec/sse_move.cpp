// Moves of MMX, XMM and YMM data: whole, scalar, halves, between register files, non-temporal and masked.
// [SDM2 MOVAPS, MOVD, MOVQ, MOVHPS, MASKMOVDQU ...], [APM4]
//
// Non-temporal hints have no effect. Explicitly aligned moves ignore MXCSR.MM. [APM1 4.2.2]
// Not modelled: nothing.
#include "cpu/exec/simd_operands.h"

namespace orrery::cpu::exec {
namespace {

enum class Alignment : u8 { kAny, kNatural };

bool is_mem(const DecodedForm& f, unsigned n) { return f.kind[n] == OperandKind::kMem; }

// ---- Whole registers ----
template <class R>
Outcome move_register(Vcpu& cpu, const Insn& insn) {
  R::set(cpu, insn.op[0], R::get(cpu, insn.op[1]));
  return Outcome::kNext;
}
template <class R, Alignment kAlignment>
Outcome load_register(Vcpu& cpu, const Insn& insn) {
  typename R::Value v;
  if (kAlignment == Alignment::kNatural && !cpu.check_aligned(insn, R::kBytes)) return Outcome::kFault;
  if (!cpu.read(insn, v)) return Outcome::kFault;
  R::set(cpu, insn.op[0], v);
  return Outcome::kNext;
}
template <class R, Alignment kAlignment>
Outcome store_register(Vcpu& cpu, const Insn& insn) {
  if (kAlignment == Alignment::kNatural && !cpu.check_aligned(insn, R::kBytes)) return Outcome::kFault;
  return cpu.write(insn, R::get(cpu, insn.op[1])) ? Outcome::kNext : Outcome::kFault;
}
template <Alignment kAlignment>
Handler move_form(const Insn& insn, const DecodedForm& f) {
  return vector_form<Sources::kOne>(insn, f, [&f]<class X>() -> Handler {
    using R = typename X::File;
    if (is_mem(f, 0)) return &store_register<R, kAlignment>;
    return X::kMem ? &load_register<R, kAlignment> : &move_register<R>;
  });
}

// ---- Scalars: a register source merges, a memory source zeroes the rest ----
template <class X, class T>
Outcome scalar_move(Vcpu& cpu, const Insn& insn) {
  Lanes<16> v = X::first(cpu, insn);
  v.at<T>(0) = Xmm::get(cpu, insn.op[X::kLast]).template at<T>(0);
  X::set(cpu, insn, v);
  return Outcome::kNext;
}
template <class R, class T>
Outcome scalar_load(Vcpu& cpu, const Insn& insn) {
  Lanes<16> v{};
  if (!cpu.read(insn, v.at<T>(0))) return Outcome::kFault;
  R::set(cpu, insn.op[0], v);
  return Outcome::kNext;
}
/// Stores lane `kLane` of T.
template <class T, unsigned kLane>
Outcome store_lane(Vcpu& cpu, const Insn& insn) {
  return cpu.write(insn, Xmm::get(cpu, insn.op[1]).template at<T>(kLane)) ? Outcome::kNext : Outcome::kFault;
}
template <class T>
Handler scalar_form(const Insn& insn, const DecodedForm& f) {
  const bool vex = insn.has(insn_flag::kVex);
  if (is_mem(f, 0)) return &store_lane<T, 0>;
  if (is_mem(f, 1)) return vex ? &scalar_load<Vex128, T> : &scalar_load<Xmm, T>;
  return vex ? &scalar_move<Operands<Vex128, 2, false>, T> : &scalar_move<Operands<Xmm, 1, false>, T>;
}

// ---- Halves: the other half is the first source's ----
template <class X, unsigned kHalf>
Outcome load_half(Vcpu& cpu, const Insn& insn) {
  Lanes<16> v = X::first(cpu, insn);
  if (!cpu.read(insn, v.q[kHalf])) return Outcome::kFault;
  X::set(cpu, insn, v);
  return Outcome::kNext;
}
template <class X, unsigned kTo, unsigned kFrom>
Outcome half_to_half(Vcpu& cpu, const Insn& insn) {
  Lanes<16> v = X::first(cpu, insn);
  v.q[kTo] = cpu.state.vec[insn.op[X::kLast]].q[kFrom];
  X::set(cpu, insn, v);
  return Outcome::kNext;
}
template <unsigned kHalf>
Handler half_form(const Insn& insn, const DecodedForm& f) {
  if (is_mem(f, 0)) return &store_lane<u64, kHalf>;
  return xmm_form<Sources::kTwo>(insn, f, []<class X>() -> Handler { return &load_half<X, kHalf>; });
}

// ---- MOVD, MOVQ: between general registers or memory and vectors ----
template <class R, class T>
Outcome gpr_to_xmm(Vcpu& cpu, const Insn& insn) {
  Lanes<16> v{};
  v.at<T>(0) = cpu.reg<T>(insn.op[1]);
  R::set(cpu, insn.op[0], v);
  return Outcome::kNext;
}
template <class T>
Outcome xmm_to_gpr(Vcpu& cpu, const Insn& insn) {
  cpu.set_reg<T>(insn.op[0], Xmm::get(cpu, insn.op[1]).template at<T>(0));
  return Outcome::kNext;
}
/// MOVNTI.
template <class T>
Outcome store_gpr(Vcpu& cpu, const Insn& insn) {
  return cpu.write(insn, cpu.reg<T>(insn.op[1])) ? Outcome::kNext : Outcome::kFault;
}
/// Source: register or memory.
template <class T>
Outcome load_mmx(Vcpu& cpu, const Insn& insn) {
  T value{};
  if (!Mmx::ready(cpu) || !read_operand(cpu, insn, 1, value)) return Outcome::kFault;
  Lanes<8> v{};
  v.at<T>(0) = value;
  Mmx::set(cpu, insn.op[0], v);
  return Outcome::kNext;
}
template <class T>
Outcome store_mmx(Vcpu& cpu, const Insn& insn) {
  if (!Mmx::ready(cpu)) return Outcome::kFault;
  if (!write_operand(cpu, insn, 0, Mmx::get(cpu, insn.op[1]).template at<T>(0))) return Outcome::kFault;
  Mmx::enter(cpu);
  return Outcome::kNext;
}
Outcome mmx_to_mmx(Vcpu& cpu, const Insn& insn) {
  if (!Mmx::ready(cpu)) return Outcome::kFault;
  Mmx::set(cpu, insn.op[0], Mmx::get(cpu, insn.op[1]));
  return Outcome::kNext;
}
template <class R>
Outcome movq_xmm_xmm(Vcpu& cpu, const Insn& insn) {
  Lanes<16> v{};
  v.q[0] = cpu.state.vec[insn.op[1]].q[0];
  R::set(cpu, insn.op[0], v);
  return Outcome::kNext;
}
Outcome movdq2q(Vcpu& cpu, const Insn& insn) {
  if (!Mmx::ready(cpu)) return Outcome::kFault;
  Lanes<8> v;
  v.q[0] = cpu.state.vec[insn.op[1]].q[0];
  Mmx::set(cpu, insn.op[0], v);
  return Outcome::kNext;
}
Outcome movq2dq(Vcpu& cpu, const Insn& insn) {
  if (!Mmx::ready(cpu)) return Outcome::kFault;
  Lanes<16> v{};
  v.q[0] = Mmx::get(cpu, insn.op[1]).q[0];
  Mmx::enter(cpu);
  Xmm::set(cpu, insn.op[0], v);
  return Outcome::kNext;
}
template <class R, class T>
Handler word_to_xmm(const DecodedForm& f) {
  if (f.kind[1] == OperandKind::kVector) return &movq_xmm_xmm<R>;
  return is_mem(f, 1) ? &scalar_load<R, T> : &gpr_to_xmm<R, T>;
}
template <class T>
Handler word_form(const Insn& insn, const DecodedForm& f) {
  using enum OperandKind;
  if (f.kind[0] == kMmx) return f.kind[1] == kMmx ? &mmx_to_mmx : &load_mmx<T>;
  if (f.kind[1] == kMmx) return &store_mmx<T>;
  if (f.kind[0] == kVector)
    return insn.has(insn_flag::kVex) ? word_to_xmm<Vex128, T>(f) : word_to_xmm<Xmm, T>(f);
  return f.kind[0] == kMem ? &store_lane<T, 0> : &xmm_to_gpr<T>;
}

// ---- Duplicating moves ----
/// Of 16 bytes the memory form reads only the half that it uses.
template <class X>
Outcome movddup(Vcpu& cpu, const Insn& insn) {
  typename X::Value v;
  if (!X::template last_low < X::kBytes == 16 ? 8 : X::kBytes > (cpu, insn, v)) return Outcome::kFault;
  for (unsigned i = 0; i < X::kBytes / 8; i += 2) v.q[i + 1] = v.q[i];
  X::set(cpu, insn, v);
  return Outcome::kNext;
}
template <unsigned kLane>
struct DuplicatePairs {
  static Lanes<16> apply(const Lanes<16>&, const Lanes<16>& b, u8) {
    Lanes<16> out;
    out.d[0] = out.d[1] = b.d[kLane];
    out.d[2] = out.d[3] = b.d[2 + kLane];
    return out;
  }
};

// ---- Masks ----
template <class R, class T>
Outcome move_mask(Vcpu& cpu, const Insn& insn) {
  if (!R::ready(cpu)) return Outcome::kFault;
  const typename R::Value v = R::get(cpu, insn.op[1]);
  u64 mask = 0;
  for (unsigned i = 0; i < R::kBytes / sizeof(T); ++i) {
    mask |= u64{v.template at<std::make_signed_t<T>>(i) < 0} << i;
  }
  if constexpr (std::is_same_v<R, Mmx>) Mmx::enter(cpu);
  cpu.set_reg<u64>(insn.op[0], mask);
  return Outcome::kNext;
}

/// MASKMOVQ, MASKMOVDQU: the bytes whose mask byte is negative go to [rDI]. Which faults the other bytes
/// raise is left to the processor; our profile's silicon checks quadwords, one after the other, whatever the
/// mask. [SDM2 MASKMOVDQU]
template <class R>
Outcome masked_store(Vcpu& cpu, const Insn& insn) {
  if (!R::ready(cpu)) return Outcome::kFault;
  const typename R::Value data = R::get(cpu, insn.op[0]), mask = R::get(cpu, insn.op[1]);
  const SegmentIndex segment = (insn.mem & 0x80) != 0 ? insn.segment() : kDs;
  const u64 address_mask = insn.address_mask();
  for (unsigned i = 0; i < R::kBytes; i += 8) {
    if (cpu.probe_write(segment, (cpu.state.gpr[kRdi] + i) & address_mask, 8)) continue;
    if constexpr (std::is_same_v<R, Mmx>) Mmx::enter(cpu);  // all the same
    return Outcome::kFault;
  }
  for (unsigned i = 0; i < R::kBytes; ++i) {
    if ((mask.b[i] & 0x80) == 0) continue;
    if (!cpu.write(segment, (cpu.state.gpr[kRdi] + i) & address_mask, data.b[i])) return Outcome::kFault;
  }
  if constexpr (std::is_same_v<R, Mmx>) Mmx::enter(cpu);
  return Outcome::kNext;
}

}  // namespace

#define MOVE(name, alignment)                                     \
  Handler select_##name(const Insn& insn, const DecodedForm& f) { \
    return move_form<Alignment::alignment>(insn, f);              \
  }
MOVE(movaps, kNatural)
MOVE(movapd, kNatural)
MOVE(movdqa, kNatural)
MOVE(movntps, kNatural)
MOVE(movntpd, kNatural)
MOVE(movntdq, kNatural)
MOVE(movntdqa, kNatural)
MOVE(movups, kAny)
MOVE(movupd, kAny)
MOVE(movdqu, kAny)
MOVE(lddqu, kAny)

Handler select_movss(const Insn& insn, const DecodedForm& f) { return scalar_form<u32>(insn, f); }
Handler select_vmovsd(const Insn& insn, const DecodedForm& f) { return scalar_form<u64>(insn, f); }
Handler select_sse_movsd(const Insn& insn, const DecodedForm& f) { return scalar_form<u64>(insn, f); }
Handler select_movnti(const Insn&, const DecodedForm& f) {
  return f.size_bits[0] == 64 ? &store_gpr<u64> : &store_gpr<u32>;
}
Handler select_movntss(const Insn&, const DecodedForm&) { return &store_lane<u32, 0>; }
Handler select_movntsd(const Insn&, const DecodedForm&) { return &store_lane<u64, 0>; }

Handler select_movlps(const Insn& insn, const DecodedForm& f) { return half_form<0>(insn, f); }
Handler select_movhps(const Insn& insn, const DecodedForm& f) { return half_form<1>(insn, f); }
Handler select_movhlps(const Insn& insn, const DecodedForm& f) {
  return xmm_form<Sources::kTwo>(insn, f, []<class X>() -> Handler { return &half_to_half<X, 0, 1>; });
}
Handler select_movlhps(const Insn& insn, const DecodedForm& f) {
  return xmm_form<Sources::kTwo>(insn, f, []<class X>() -> Handler { return &half_to_half<X, 1, 0>; });
}

Handler select_movd(const Insn& insn, const DecodedForm& f) { return word_form<u32>(insn, f); }
Handler select_movq(const Insn& insn, const DecodedForm& f) { return word_form<u64>(insn, f); }
Handler select_movdq2q(const Insn&, const DecodedForm&) { return &movdq2q; }
Handler select_movq2dq(const Insn&, const DecodedForm&) { return &movq2dq; }
Handler select_movntq(const Insn&, const DecodedForm&) { return &store_mmx<u64>; }

Handler select_movddup(const Insn& insn, const DecodedForm& f) {
  return vector_form<Sources::kOne>(insn, f, []<class X>() -> Handler { return &movddup<X>; });
}
Handler select_movsldup(const Insn& insn, const DecodedForm& f) {
  return vector_form<Sources::kOne>(insn, f, kPacked<DuplicatePairs<0>>);
}
Handler select_movshdup(const Insn& insn, const DecodedForm& f) {
  return vector_form<Sources::kOne>(insn, f, kPacked<DuplicatePairs<1>>);
}

Handler select_pmovmskb(const Insn& insn, const DecodedForm& f) {
  if (f.kind[1] == OperandKind::kMmx) return &move_mask<Mmx, u8>;
  return insn.vector_256() ? &move_mask<Ymm, u8> : &move_mask<Xmm, u8>;
}
Handler select_movmskps(const Insn& insn, const DecodedForm&) {
  return insn.vector_256() ? &move_mask<Ymm, u32> : &move_mask<Xmm, u32>;
}
Handler select_movmskpd(const Insn& insn, const DecodedForm&) {
  return insn.vector_256() ? &move_mask<Ymm, u64> : &move_mask<Xmm, u64>;
}
Handler select_maskmovq(const Insn&, const DecodedForm&) { return &masked_store<Mmx>; }
Handler select_maskmovdqu(const Insn&, const DecodedForm&) { return &masked_store<Xmm>; }

}  // namespace orrery::cpu::exec
