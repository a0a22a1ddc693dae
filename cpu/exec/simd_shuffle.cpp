// Shuffles, blends, packs, unpacks and lane widening. [SDM2 PSHUFB, PACKSSWB, PUNPCK*, SHUFPS, PALIGNR,
// PMOVSX ...]
//
// Not modelled: nothing.
#include <limits>

#include "cpu/exec/simd_operands.h"

namespace orrery::cpu::exec {
namespace {

struct ShuffleBytes {
  template <class V>
  static V apply(const V& a, const V& b, u8) {
    V out;
    for (unsigned i = 0; i < sizeof(V); ++i) {
      out.b[i] = (b.b[i] & 0x80) != 0 ? u8{0} : a.b[b.b[i] & (sizeof(V) - 1)];
    }
    return out;
  }
};
// PSHUFD, PSHUFW: four lanes of T of the source chosen by the immediate; kFirst: the group's first lane.
template <class T, unsigned kFirst>
struct ShuffleImmediate {
  template <class V>
  static V apply(const V&, const V& b, u8 imm) {
    V out = b;
    for (unsigned i = 0; i < 4; ++i) {
      out.template at<T>(kFirst + i) = b.template at<T>(kFirst + ((imm >> (2 * i)) & 3u));
    }
    return out;
  }
};
struct Shufps {
  static Lanes<16> apply(const Lanes<16>& a, const Lanes<16>& b, u8 imm) {
    Lanes<16> out;
    out.d[0] = a.d[imm & 3u];
    out.d[1] = a.d[(imm >> 2) & 3u];
    out.d[2] = b.d[(imm >> 4) & 3u];
    out.d[3] = b.d[(imm >> 6) & 3u];
    return out;
  }
};
struct Shufpd {
  static Lanes<16> apply(const Lanes<16>& a, const Lanes<16>& b, u8 imm) {
    Lanes<16> out;
    out.q[0] = a.q[imm & 1u];
    out.q[1] = b.q[(imm >> 1) & 1u];
    return out;
  }
};
template <class T, bool kHigh>
struct Unpack {
  template <class V>
  static V apply(const V& a, const V& b, u8) {
    constexpr unsigned kHalf = sizeof(V) / sizeof(T) / 2;
    V out{};
    for (unsigned i = 0; i < kHalf; ++i) {
      out.template at<T>(2 * i) = a.template at<T>(i + (kHigh ? kHalf : 0));
      out.template at<T>(2 * i + 1) = b.template at<T>(i + (kHigh ? kHalf : 0));
    }
    return out;
  }
};
template <class From, class To>
struct Pack {
  template <class V>
  static V apply(const V& a, const V& b, u8) {
    constexpr unsigned kHalf = sizeof(V) / sizeof(From);
    const auto narrow = [](From v) {
      return static_cast<To>(
          std::clamp<i32>(v, std::numeric_limits<To>::min(), std::numeric_limits<To>::max()));
    };
    V out;
    for (unsigned i = 0; i < kHalf; ++i) {
      out.template at<To>(i) = narrow(a.template at<From>(i));
      out.template at<To>(kHalf + i) = narrow(b.template at<From>(i));
    }
    return out;
  }
};
struct AlignRight {
  template <class V>
  static V apply(const V& a, const V& b, u8 imm) {
    V out{};
    for (unsigned i = 0; i < sizeof(V); ++i) {
      const unsigned from = i + imm;
      out.b[i] = from < sizeof(V) ? b.b[from] : from < 2 * sizeof(V) ? a.b[from - sizeof(V)] : u8{0};
    }
    return out;
  }
};
template <class T>
struct BlendImmediate {
  static Lanes<16> apply(const Lanes<16>& a, const Lanes<16>& b, u8 imm) {
    Lanes<16> out = a;
    for (unsigned i = 0; i < 16 / sizeof(T); ++i) {
      if ((imm >> i) & 1) out.at<T>(i) = b.at<T>(i);
    }
    return out;
  }
};
/// BLENDVPS ...: the lanes whose sign is set in XMM0 come from the source.
template <class T, bool kMem>
Outcome blend_variable(Vcpu& cpu, const Insn& insn) {
  Lanes<16> b;
  if (!source<Xmm, kMem>(cpu, insn, 1, b)) return Outcome::kFault;
  const Lanes<16> mask = Xmm::get(cpu, 0);
  Lanes<16> out = Xmm::get(cpu, insn.op[0]);
  for (unsigned i = 0; i < 16 / sizeof(T); ++i) {
    if (mask.at<std::make_signed_t<T>>(i) < 0) out.at<T>(i) = b.at<T>(i);
  }
  Xmm::set(cpu, insn.op[0], out);
  return Outcome::kNext;
}

/// PMOVSX, PMOVZX: the low lanes of From, widened; the memory form reads just those and needs no alignment.
template <class From, class To, bool kMem>
Outcome widen(Vcpu& cpu, const Insn& insn) {
  constexpr unsigned kLanes = 16 / sizeof(To);
  using Packed = std::conditional_t<kLanes * sizeof(From) == 8, u64,
                                    std::conditional_t<kLanes * sizeof(From) == 4, u32, u16>>;
  Lanes<16> in{}, out;
  if constexpr (kMem) {
    if (!cpu.read(insn, in.at<Packed>(0))) return Outcome::kFault;
  } else {
    in = Xmm::get(cpu, insn.op[1]);
  }
  for (unsigned i = 0; i < kLanes; ++i) out.at<To>(i) = static_cast<To>(in.at<From>(i));
  Xmm::set(cpu, insn.op[0], out);
  return Outcome::kNext;
}

template <bool kMem>
Outcome insertps(Vcpu& cpu, const Insn& insn) {
  const u8 imm = static_cast<u8>(insn.imm);
  u32 value = 0;
  if constexpr (kMem) {
    if (!cpu.read(insn, value)) return Outcome::kFault;
  } else {
    value = Xmm::get(cpu, insn.op[1]).d[imm >> 6];
  }
  Lanes<16> out = Xmm::get(cpu, insn.op[0]);
  out.d[(imm >> 4) & 3u] = value;
  for (unsigned i = 0; i < 4; ++i) {
    if ((imm >> i) & 1) out.d[i] = 0;
  }
  Xmm::set(cpu, insn.op[0], out);
  return Outcome::kNext;
}

/// PINSRB/W/D/Q: a lane of T from a general register or memory.
template <class R, class T, bool kMem>
Outcome insert_lane(Vcpu& cpu, const Insn& insn) {
  if (!R::ready(cpu)) return Outcome::kFault;
  T value{};
  if constexpr (kMem) {
    if (!cpu.read(insn, value)) return Outcome::kFault;
  } else {
    value = static_cast<T>(cpu.reg<u64>(insn.op[1]));
  }
  typename R::Value v = R::get(cpu, insn.op[0]);
  v.template at<T>(static_cast<u8>(insn.imm) & (R::kBytes / sizeof(T) - 1)) = value;
  R::set(cpu, insn.op[0], v);
  return Outcome::kNext;
}
/// PEXTRB/W/D/Q, EXTRACTPS: a lane of T to memory, or zero-extended to a general register.
template <class R, class T, bool kMem>
Outcome extract_lane(Vcpu& cpu, const Insn& insn) {
  if (!R::ready(cpu)) return Outcome::kFault;
  const T value =
      R::get(cpu, insn.op[1]).template at<T>(static_cast<u8>(insn.imm) & (R::kBytes / sizeof(T) - 1));
  if constexpr (kMem) {
    if (!cpu.write(insn, value)) return Outcome::kFault;
  } else {
    cpu.set_reg<u64>(insn.op[0], value);
  }
  if constexpr (std::is_same_v<R, Mmx>) Mmx::enter(cpu);
  return Outcome::kNext;
}

}  // namespace

#define PACKED(name, ...) \
  Handler select_##name(const Insn&, const DecodedForm& f) { return packed_form<__VA_ARGS__>(f); }
#define XMM_ONLY(name, ...) \
  Handler select_##name(const Insn&, const DecodedForm& f) { return xmm_form<__VA_ARGS__>(f); }
#define BY_SOURCE(name, handler, ...)                                                                   \
  Handler select_##name(const Insn&, const DecodedForm& f) {                                            \
    return f.kind[1] == OperandKind::kMem ? &handler<__VA_ARGS__, true> : &handler<__VA_ARGS__, false>; \
  }
#define BY_DESTINATION(name, handler, ...)                                                              \
  Handler select_##name(const Insn&, const DecodedForm& f) {                                            \
    return f.kind[0] == OperandKind::kMem ? &handler<__VA_ARGS__, true> : &handler<__VA_ARGS__, false>; \
  }

PACKED(pshufb, ShuffleBytes)
XMM_ONLY(pshufd, ShuffleImmediate<u32, 0>)
PACKED(pshufw, ShuffleImmediate<u16, 0>)
XMM_ONLY(pshuflw, ShuffleImmediate<u16, 0>)
XMM_ONLY(pshufhw, ShuffleImmediate<u16, 4>)
XMM_ONLY(shufps, Shufps)
XMM_ONLY(shufpd, Shufpd)
PACKED(punpckhbw, Unpack<u8, true>)
PACKED(punpckhwd, Unpack<u16, true>)
PACKED(punpckhdq, Unpack<u32, true>)
XMM_ONLY(punpckhqdq, Unpack<u64, true>)
PACKED(packsswb, Pack<i16, i8>)
PACKED(packuswb, Pack<i16, u8>)
PACKED(packssdw, Pack<i32, i16>)
XMM_ONLY(packusdw, Pack<i32, u16>)
PACKED(palignr, AlignRight)
XMM_ONLY(pblendw, BlendImmediate<u16>)
XMM_ONLY(blendps, BlendImmediate<u32>)
XMM_ONLY(blendpd, BlendImmediate<u64>)
BY_SOURCE(pblendvb, blend_variable, u8)
BY_SOURCE(blendvps, blend_variable, u32)
BY_SOURCE(blendvpd, blend_variable, u64)
BY_SOURCE(pmovsxbw, widen, i8, i16)
BY_SOURCE(pmovsxbd, widen, i8, i32)
BY_SOURCE(pmovsxbq, widen, i8, i64)
BY_SOURCE(pmovsxwd, widen, i16, i32)
BY_SOURCE(pmovsxwq, widen, i16, i64)
BY_SOURCE(pmovsxdq, widen, i32, i64)
BY_SOURCE(pmovzxbw, widen, u8, u16)
BY_SOURCE(pmovzxbd, widen, u8, u32)
BY_SOURCE(pmovzxbq, widen, u8, u64)
BY_SOURCE(pmovzxwd, widen, u16, u32)
BY_SOURCE(pmovzxwq, widen, u16, u64)
BY_SOURCE(pmovzxdq, widen, u32, u64)
BY_SOURCE(pinsrb, insert_lane, Xmm, u8)
BY_SOURCE(pinsrd, insert_lane, Xmm, u32)
BY_SOURCE(pinsrq, insert_lane, Xmm, u64)
BY_DESTINATION(pextrb, extract_lane, Xmm, u8)
BY_DESTINATION(pextrd, extract_lane, Xmm, u32)
BY_DESTINATION(pextrq, extract_lane, Xmm, u64)

Handler select_insertps(const Insn&, const DecodedForm& f) {
  return f.kind[1] == OperandKind::kMem ? &insertps<true> : &insertps<false>;
}
Handler select_pinsrw(const Insn&, const DecodedForm& f) {
  const bool mem = f.kind[1] == OperandKind::kMem;
  if (f.kind[0] == OperandKind::kMmx)
    return mem ? &insert_lane<Mmx, u16, true> : &insert_lane<Mmx, u16, false>;
  return mem ? &insert_lane<Xmm, u16, true> : &insert_lane<Xmm, u16, false>;
}
Handler select_pextrw(const Insn&, const DecodedForm& f) {
  if (f.kind[1] == OperandKind::kMmx) return &extract_lane<Mmx, u16, false>;
  return f.kind[0] == OperandKind::kMem ? &extract_lane<Xmm, u16, true> : &extract_lane<Xmm, u16, false>;
}

// The low unpacks read only the half of a memory operand that they use: 4 bytes for MMX; 8 for XMM, under the
// alignment rule of all 16 (where MXCSR.MM lifts that, a zen reads no more, and the operand may end at a page
// that is not there).
namespace {
template <class T, class R>
Outcome unpack_low_mem(Vcpu& cpu, const Insn& insn) {
  typename R::Value b{};
  if (!R::ready(cpu)) return Outcome::kFault;
  if constexpr (std::is_same_v<R, Mmx>) {
    if (!cpu.read(insn, b.d[0])) return Outcome::kFault;
  } else {
    if (!Xmm::aligned(cpu, insn) || !cpu.read(insn, b.q[0])) return Outcome::kFault;
  }
  R::set(cpu, insn.op[0], Unpack<T, false>::apply(R::get(cpu, insn.op[0]), b, 0));
  return Outcome::kNext;
}
template <class T>
Handler unpack_low(const DecodedForm& f) {
  if (f.kind[1] != OperandKind::kMem) return packed_form<Unpack<T, false>>(f);
  return f.kind[0] == OperandKind::kMmx ? &unpack_low_mem<T, Mmx> : &unpack_low_mem<T, Xmm>;
}
}  // namespace
Handler select_punpcklbw(const Insn&, const DecodedForm& f) { return unpack_low<u8>(f); }
Handler select_punpcklwd(const Insn&, const DecodedForm& f) { return unpack_low<u16>(f); }
Handler select_punpckldq(const Insn&, const DecodedForm& f) { return unpack_low<u32>(f); }
Handler select_punpcklqdq(const Insn&, const DecodedForm& f) { return unpack_low<u64>(f); }

}  // namespace orrery::cpu::exec
