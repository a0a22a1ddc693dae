// Shuffles, blends, packs, unpacks and lane widening; VEX.256 forms work on each half. [SDM2 PSHUFB,
// PACKSSWB, PUNPCK*, SHUFPS, PALIGNR, PMOVSX ...]
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
  static constexpr unsigned kImmediateBits = 2;
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
  // VPBLENDW uses the same bits for both halves.
  static constexpr unsigned kImmediateBits = sizeof(T) == 2 ? 0 : 16 / sizeof(T);
  static Lanes<16> apply(const Lanes<16>& a, const Lanes<16>& b, u8 imm) {
    Lanes<16> out = a;
    for (unsigned i = 0; i < 16 / sizeof(T); ++i) {
      if ((imm >> i) & 1) out.at<T>(i) = b.at<T>(i);
    }
    return out;
  }
};
/// BLENDVPS ...: the lanes whose sign is set in the mask come from the last source. The mask is XMM0, in VEX
/// forms the fourth operand.
template <class X, class T>
Outcome blend_variable(Vcpu& cpu, const Insn& insn) {
  using R = typename X::File;
  typename X::Value b;
  if (!X::last(cpu, insn, b)) return Outcome::kFault;
  const typename X::Value mask = R::get(cpu, std::is_same_v<R, Xmm> ? u8{0} : insn.op[3]);
  typename X::Value out = X::first(cpu, insn);
  for (unsigned i = 0; i < X::kBytes / sizeof(T); ++i) {
    if (mask.template at<std::make_signed_t<T>>(i) < 0) out.template at<T>(i) = b.template at<T>(i);
  }
  X::set(cpu, insn, out);
  return Outcome::kNext;
}

/// PMOVSX, PMOVZX: the low lanes of From, widened; the memory form reads just those and needs no alignment.
template <class X, class From, class To>
Outcome widen(Vcpu& cpu, const Insn& insn) {
  constexpr unsigned kLanes = X::kBytes / sizeof(To);
  typename X::Value in{}, out;
  if (!X::template last_low<kLanes * sizeof(From)>(cpu, insn, in)) return Outcome::kFault;
  for (unsigned i = 0; i < kLanes; ++i) out.template at<To>(i) = static_cast<To>(in.template at<From>(i));
  X::set(cpu, insn, out);
  return Outcome::kNext;
}

template <class X>
Outcome insertps(Vcpu& cpu, const Insn& insn) {
  const u8 imm = static_cast<u8>(insn.imm);
  u32 value = 0;
  if constexpr (X::kMem) {
    if (!cpu.read(insn, value)) return Outcome::kFault;
  } else {
    value = Xmm::get(cpu, insn.op[X::kLast]).d[imm >> 6];
  }
  Lanes<16> out = X::first(cpu, insn);
  out.d[(imm >> 4) & 3u] = value;
  for (unsigned i = 0; i < 4; ++i) {
    if ((imm >> i) & 1) out.d[i] = 0;
  }
  X::set(cpu, insn, out);
  return Outcome::kNext;
}

/// PINSRB/W/D/Q: a lane of T from a general register or memory.
template <class X, class T>
Outcome insert_lane(Vcpu& cpu, const Insn& insn) {
  if (!X::ready(cpu)) return Outcome::kFault;
  T value{};
  if constexpr (X::kMem) {
    if (!cpu.read(insn, value)) return Outcome::kFault;
  } else {
    value = static_cast<T>(cpu.reg<u64>(insn.op[X::kLast]));
  }
  typename X::Value v = X::first(cpu, insn);
  v.template at<T>(static_cast<u8>(insn.imm) & (X::kBytes / sizeof(T) - 1)) = value;
  X::set(cpu, insn, v);
  return Outcome::kNext;
}
template <class T>
inline constexpr auto kInsertLane = []<class X>() -> Handler { return &insert_lane<X, T>; };

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

#define PACKED(name, ...)                                                    \
  Handler select_##name(const Insn& insn, const DecodedForm& f) {            \
    return mmx_or_vector_form<Sources::kTwo>(insn, f, kPacked<__VA_ARGS__>); \
  }
#define PACKED_UNARY(name, ...)                                              \
  Handler select_##name(const Insn& insn, const DecodedForm& f) {            \
    return mmx_or_vector_form<Sources::kOne>(insn, f, kPacked<__VA_ARGS__>); \
  }
#define VECTOR(name, ...)                                             \
  Handler select_##name(const Insn& insn, const DecodedForm& f) {     \
    return vector_form<Sources::kTwo>(insn, f, kPacked<__VA_ARGS__>); \
  }
#define VECTOR_UNARY(name, ...)                                       \
  Handler select_##name(const Insn& insn, const DecodedForm& f) {     \
    return vector_form<Sources::kOne>(insn, f, kPacked<__VA_ARGS__>); \
  }
#define BLEND_VARIABLE(name, T)                                                                             \
  Handler select_##name(const Insn& insn, const DecodedForm& f) {                                           \
    return vector_form<Sources::kTwo>(insn, f, []<class X>() -> Handler { return &blend_variable<X, T>; }); \
  }
#define WIDEN(name, From, To)                                                                             \
  Handler select_##name(const Insn& insn, const DecodedForm& f) {                                         \
    return vector_form<Sources::kOne>(insn, f, []<class X>() -> Handler { return &widen<X, From, To>; }); \
  }
#define INSERT(name, T)                                           \
  Handler select_##name(const Insn& insn, const DecodedForm& f) { \
    return xmm_form<Sources::kTwo>(insn, f, kInsertLane<T>);      \
  }
#define EXTRACT(name, T)                                                                                \
  Handler select_##name(const Insn&, const DecodedForm& f) {                                            \
    return f.kind[0] == OperandKind::kMem ? &extract_lane<Xmm, T, true> : &extract_lane<Xmm, T, false>; \
  }

PACKED(pshufb, ShuffleBytes)
VECTOR_UNARY(pshufd, ShuffleImmediate<u32, 0>)
PACKED_UNARY(pshufw, ShuffleImmediate<u16, 0>)
VECTOR_UNARY(pshuflw, ShuffleImmediate<u16, 0>)
VECTOR_UNARY(pshufhw, ShuffleImmediate<u16, 4>)
VECTOR(shufps, Shufps)
VECTOR(shufpd, Shufpd)
PACKED(punpckhbw, Unpack<u8, true>)
PACKED(punpckhwd, Unpack<u16, true>)
PACKED(punpckhdq, Unpack<u32, true>)
VECTOR(punpckhqdq, Unpack<u64, true>)
PACKED(packsswb, Pack<i16, i8>)
PACKED(packuswb, Pack<i16, u8>)
PACKED(packssdw, Pack<i32, i16>)
VECTOR(packusdw, Pack<i32, u16>)
PACKED(palignr, AlignRight)
VECTOR(pblendw, BlendImmediate<u16>)
VECTOR(vpblendd, BlendImmediate<u32>)
VECTOR(blendps, BlendImmediate<u32>)
VECTOR(blendpd, BlendImmediate<u64>)
BLEND_VARIABLE(pblendvb, u8)
BLEND_VARIABLE(blendvps, u32)
BLEND_VARIABLE(blendvpd, u64)
WIDEN(pmovsxbw, i8, i16)
WIDEN(pmovsxbd, i8, i32)
WIDEN(pmovsxbq, i8, i64)
WIDEN(pmovsxwd, i16, i32)
WIDEN(pmovsxwq, i16, i64)
WIDEN(pmovsxdq, i32, i64)
WIDEN(pmovzxbw, u8, u16)
WIDEN(pmovzxbd, u8, u32)
WIDEN(pmovzxbq, u8, u64)
WIDEN(pmovzxwd, u16, u32)
WIDEN(pmovzxwq, u16, u64)
WIDEN(pmovzxdq, u32, u64)
INSERT(pinsrb, u8)
INSERT(pinsrd, u32)
INSERT(pinsrq, u64)
EXTRACT(pextrb, u8)
EXTRACT(pextrd, u32)
EXTRACT(pextrq, u64)

Handler select_insertps(const Insn& insn, const DecodedForm& f) {
  return xmm_form<Sources::kTwo>(insn, f, []<class X>() -> Handler { return &insertps<X>; });
}
Handler select_pinsrw(const Insn& insn, const DecodedForm& f) {
  return mmx_or_vector_form<Sources::kTwo>(insn, f, kInsertLane<u16>);
}
Handler select_pextrw(const Insn&, const DecodedForm& f) {
  if (f.kind[1] == OperandKind::kMmx) return &extract_lane<Mmx, u16, false>;
  return f.kind[0] == OperandKind::kMem ? &extract_lane<Xmm, u16, true> : &extract_lane<Xmm, u16, false>;
}

// Legacy low unpacks read only the half of a memory operand that they use: 4 bytes for MMX; 8 for XMM, under
// the alignment rule of all 16 (where MXCSR.MM lifts that, a zen reads no more, and the operand may end at a
// page that is not there). VEX forms read it whole.
namespace {
template <class X, class T>
Outcome unpack_low_mem(Vcpu& cpu, const Insn& insn) {
  typename X::Value b{};
  if (!X::ready(cpu)) return Outcome::kFault;
  if constexpr (X::kBytes == 8) {
    if (!cpu.read(insn, b.d[0])) return Outcome::kFault;
  } else {
    if (!Xmm::load_low(cpu, insn, b.q[0])) return Outcome::kFault;
  }
  X::set(cpu, insn, Unpack<T, false>::apply(X::first(cpu, insn), b, 0));
  return Outcome::kNext;
}
template <class T>
Handler unpack_low(const Insn& insn, const DecodedForm& f) {
  return mmx_or_vector_form<Sources::kTwo>(insn, f, []<class X>() -> Handler {
    if constexpr (X::kMem && (std::is_same_v<typename X::File, Xmm> || std::is_same_v<typename X::File, Mmx>))
      return &unpack_low_mem<X, T>;
    else
      return &packed<X, Unpack<T, false>>;
  });
}
}  // namespace
Handler select_punpcklbw(const Insn& insn, const DecodedForm& f) { return unpack_low<u8>(insn, f); }
Handler select_punpcklwd(const Insn& insn, const DecodedForm& f) { return unpack_low<u16>(insn, f); }
Handler select_punpckldq(const Insn& insn, const DecodedForm& f) { return unpack_low<u32>(insn, f); }
Handler select_punpcklqdq(const Insn& insn, const DecodedForm& f) { return unpack_low<u64>(insn, f); }

}  // namespace orrery::cpu::exec
