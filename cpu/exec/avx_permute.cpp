// Permutations, broadcasts and 128-bit halves of AVX and AVX2, and VZEROALL, VZEROUPPER. [SDM2 VPERMILPS,
// VPERM2F128, VBROADCAST, VINSERTF128, VPERMD, VZEROALL ...]
//
// The shuffles that have legacy encodings are in simd_shuffle.cpp. Not modelled: nothing.
#include "cpu/exec/simd_operands.h"

namespace orrery::cpu::exec {
namespace {

/// VPERMILPS, VPERMILPD by the last source: each lane chooses within its 128 bits by bits kBit and up.
template <class T, unsigned kBit>
struct PermuteInLane {
  static Lanes<16> apply(const Lanes<16>& a, const Lanes<16>& control, u8) {
    Lanes<16> out;
    for (unsigned i = 0; i < 16 / sizeof(T); ++i)
      out.at<T>(i) = a.at<T>((control.at<T>(i) >> kBit) & (16 / sizeof(T) - 1));
    return out;
  }
};
/// By the immediate: 2 bits a lane for both halves alike, or one bit for each lane of both.
struct PermuteSingles {
  static Lanes<16> apply(const Lanes<16>&, const Lanes<16>& b, u8 imm) {
    Lanes<16> out;
    for (unsigned i = 0; i < 4; ++i) out.d[i] = b.d[(imm >> (2 * i)) & 3u];
    return out;
  }
};
struct PermuteDoubles {
  static constexpr unsigned kImmediateBits = 2;
  static Lanes<16> apply(const Lanes<16>&, const Lanes<16>& b, u8 imm) {
    Lanes<16> out;
    for (unsigned i = 0; i < 2; ++i) out.q[i] = b.q[(imm >> i) & 1u];
    return out;
  }
};

/// VPERM2F128, VPERM2I128: each half is one of four, or zero.
template <class X>
Outcome permute_halves(Vcpu& cpu, const Insn& insn) {
  Lanes<32> b, out{};
  if (!X::last(cpu, insn, b)) return Outcome::kFault;
  const Lanes<32> a = X::first(cpu, insn);
  for (unsigned i = 0; i < 2; ++i) {
    const unsigned control = (insn.imm >> (4 * i)) & 15u;
    if ((control & 8) == 0) out.set_half(i, (control & 2 ? b : a).half(control & 1));
  }
  X::set(cpu, insn, out);
  return Outcome::kNext;
}
/// VPERMD, VPERMPS: the first source chooses among all lanes of the last.
template <class X>
Outcome permute_doublewords(Vcpu& cpu, const Insn& insn) {
  Lanes<32> b, out;
  if (!X::last(cpu, insn, b)) return Outcome::kFault;
  const Lanes<32> control = X::first(cpu, insn);
  for (unsigned i = 0; i < 8; ++i) out.d[i] = b.d[control.d[i] & 7];
  X::set(cpu, insn, out);
  return Outcome::kNext;
}
/// VPERMQ, VPERMPD: the immediate chooses among all lanes.
template <class X>
Outcome permute_quadwords(Vcpu& cpu, const Insn& insn) {
  Lanes<32> b, out;
  if (!X::last(cpu, insn, b)) return Outcome::kFault;
  for (unsigned i = 0; i < 4; ++i) out.q[i] = b.q[(insn.imm >> (2 * i)) & 3u];
  X::set(cpu, insn, out);
  return Outcome::kNext;
}

/// VINSERTF128, VINSERTI128: the last source is an XMM register or 16 bytes of memory.
template <class X>
Outcome insert_half(Vcpu& cpu, const Insn& insn) {
  Lanes<32> b{};
  if (!X::template last_low<16>(cpu, insn, b)) return Outcome::kFault;
  Lanes<32> out = X::first(cpu, insn);
  out.set_half(insn.imm & 1, b.half(0));
  X::set(cpu, insn, out);
  return Outcome::kNext;
}
template <bool kToMemory>
Outcome extract_half(Vcpu& cpu, const Insn& insn) {
  const Lanes<16> half = Ymm::get(cpu, insn.op[1]).half(insn.imm & 1);
  if constexpr (kToMemory) {
    if (!cpu.write(insn, half)) return Outcome::kFault;
  } else {
    Vex128::set(cpu, insn.op[0], half);
  }
  return Outcome::kNext;
}

/// VBROADCASTSS, VPBROADCASTB ...: lane 0 of T everywhere. T may be 16 bytes.
template <class X, class T>
Outcome broadcast(Vcpu& cpu, const Insn& insn) {
  typename X::Value in{}, out;
  if (!X::template last_low<sizeof(T)>(cpu, insn, in)) return Outcome::kFault;
  for (unsigned i = 0; i < X::kBytes / sizeof(T); ++i) out.template at<T>(i) = in.template at<T>(0);
  X::set(cpu, insn, out);
  return Outcome::kNext;
}
template <class T>
inline constexpr auto kBroadcast = []<class X>() -> Handler { return &broadcast<X, T>; };

/// Outside 64-bit mode just registers 0 to 7. [SDM2 VZEROALL]
template <bool kAll>
Outcome zero_registers(Vcpu& cpu, const Insn&) {
  for (unsigned i = 0; i < (cpu.long64() ? 16u : 8u); ++i) {
    if (kAll) cpu.state.vec[i].q[0] = cpu.state.vec[i].q[1] = 0;
    cpu.state.vec[i].q[2] = cpu.state.vec[i].q[3] = 0;
  }
  return Outcome::kNext;
}

template <class ByVector, class ByImmediate>
Handler permute_in_lane(const Insn& insn, const DecodedForm& f) {
  return f.kind[2] == OperandKind::kImm ? vector_form<Sources::kOne>(insn, f, kPacked<ByImmediate>)
                                        : vector_form<Sources::kTwo>(insn, f, kPacked<ByVector>);
}

}  // namespace

#define YMM_ONLY(name, sources, handler)                                                            \
  Handler select_##name(const Insn&, const DecodedForm& f) {                                        \
    return f.kind[sources] == OperandKind::kMem ? Handler{&handler<Operands<Ymm, sources, true>>}   \
                                                : Handler{&handler<Operands<Ymm, sources, false>>}; \
  }
YMM_ONLY(vperm2f128, 2, permute_halves)
YMM_ONLY(vpermd, 2, permute_doublewords)
YMM_ONLY(vpermq, 1, permute_quadwords)
YMM_ONLY(vinsertf128, 2, insert_half)

Handler select_vpermilps(const Insn& insn, const DecodedForm& f) {
  return permute_in_lane<PermuteInLane<u32, 0>, PermuteSingles>(insn, f);
}
Handler select_vpermilpd(const Insn& insn, const DecodedForm& f) {
  return permute_in_lane<PermuteInLane<u64, 1>, PermuteDoubles>(insn, f);
}
Handler select_vextractf128(const Insn&, const DecodedForm& f) {
  return f.kind[0] == OperandKind::kMem ? &extract_half<true> : &extract_half<false>;
}

#define BROADCAST(name, T)                                        \
  Handler select_##name(const Insn& insn, const DecodedForm& f) { \
    return vector_form<Sources::kOne>(insn, f, kBroadcast<T>);    \
  }
BROADCAST(vpbroadcastb, u8)
BROADCAST(vpbroadcastw, u16)
BROADCAST(vpbroadcastd, u32)
BROADCAST(vpbroadcastq, u64)
Handler select_vbroadcastf128(const Insn&, const DecodedForm&) {
  return &broadcast<Operands<Ymm, 1, true>, Lanes<16>>;
}

Handler select_vzeroall(const Insn&, const DecodedForm&) { return &zero_registers<true>; }
Handler select_vzeroupper(const Insn&, const DecodedForm&) { return &zero_registers<false>; }

}  // namespace orrery::cpu::exec
