// Packed shifts: by an immediate, by a register's low 64 bits, lane by lane, and of the whole register by
// bytes. [SDM2 PSLLW, VPSLLVW, PSLLDQ ...]
//
// Counts of the lane's width and more give zeros, or copies of the sign.
// Not modelled: nothing.
#include "cpu/exec/simd_operands.h"

namespace orrery::cpu::exec {
namespace {

enum class Shift : u8 { kLeft, kRight, kArithmetic };

template <class T, Shift kKind, class V>
V shifted(const V& a, u64 count) {
  V out;
  constexpr u64 kBits = sizeof(T) * 8;
  for (unsigned i = 0; i < sizeof(V) / sizeof(T); ++i) {
    const T lane = a.template at<T>(i);
    if constexpr (kKind == Shift::kArithmetic) {
      using S = std::make_signed_t<T>;
      out.template at<T>(i) = static_cast<T>(static_cast<S>(lane) >> std::min<u64>(count, kBits - 1));
    } else if (count >= kBits) {
      out.template at<T>(i) = 0;
    } else {
      out.template at<T>(i) = static_cast<T>(kKind == Shift::kLeft ? lane << count : lane >> count);
    }
  }
  return out;
}

/// By the low quadword of an MMX or XMM register or of memory, which has the alignment rule of a whole
/// operand. VEX forms, which have none, read all 16 bytes.
template <class X, class T, Shift kKind>
Outcome shift_by_source(Vcpu& cpu, const Insn& insn) {
  using R = typename X::File;
  u64 count = 0;
  if (!X::ready(cpu)) return Outcome::kFault;
  if constexpr (X::kMem) {
    if constexpr (std::is_same_v<R, Vex128> || std::is_same_v<R, Ymm>) {
      Lanes<16> whole;
      if (!cpu.read(insn, whole)) return Outcome::kFault;
      count = whole.q[0];
    } else if constexpr (std::is_same_v<R, Xmm>) {
      if (!Xmm::load_low(cpu, insn, count)) return Outcome::kFault;
    } else {
      if (!cpu.read(insn, count)) return Outcome::kFault;
    }
  } else {
    count = std::conditional_t<std::is_same_v<R, Mmx>, Mmx, Xmm>::get(cpu, insn.op[X::kLast]).q[0];
  }
  X::set(cpu, insn, shifted<T, kKind>(X::first(cpu, insn), count));
  return Outcome::kNext;
}
template <class X, class T, Shift kKind>
Outcome shift_by_immediate(Vcpu& cpu, const Insn& insn) {
  if (!X::ready(cpu)) return Outcome::kFault;
  X::set(cpu, insn, shifted<T, kKind>(X::first(cpu, insn), static_cast<u8>(insn.imm)));
  return Outcome::kNext;
}
template <class T, Shift kKind>
Handler shift_form(const Insn& insn, const DecodedForm& f) {
  return mmx_or_vector_form<Sources::kTwo>(insn, f, [&f]<class X>() -> Handler {
    return f.kind[X::kLast] == OperandKind::kImm ? &shift_by_immediate<X, T, kKind>
                                                 : &shift_by_source<X, T, kKind>;
  });
}

/// VPSLLVD ...: each lane by the last source's.
template <class T, Shift kKind>
struct ShiftByLane {
  static T lane(T a, T count) {
    constexpr T kBits = sizeof(T) * 8;
    if constexpr (kKind == Shift::kArithmetic) {
      return static_cast<T>(static_cast<std::make_signed_t<T>>(a) >> std::min<T>(count, kBits - 1));
    } else {
      if (count >= kBits) return 0;
      return kKind == Shift::kLeft ? a << count : a >> count;
    }
  }
};

template <bool kLeft>
struct ShiftBytes {
  static Lanes<16> apply(const Lanes<16>& a, const Lanes<16>&, u8 imm) {
    const unsigned count = std::min<unsigned>(imm, 16);
    Lanes<16> out{};
    for (unsigned i = count; i < 16; ++i) {
      if (kLeft)
        out.b[i] = a.b[i - count];
      else
        out.b[i - count] = a.b[i];
    }
    return out;
  }
};
template <class X, class Op>
Outcome shift_bytes(Vcpu& cpu, const Insn& insn) {
  const typename X::Value a = X::first(cpu, insn);
  X::set(cpu, insn, apply_operation<Op>(a, a, static_cast<u8>(insn.imm)));
  return Outcome::kNext;
}
template <class Op>
Handler shift_bytes_form(const Insn& insn, const DecodedForm& f) {
  return vector_form<Sources::kTwo>(insn, f, []<class X>() -> Handler { return &shift_bytes<X, Op>; });
}

}  // namespace

#define SHIFT(name, type, kind)                                   \
  Handler select_##name(const Insn& insn, const DecodedForm& f) { \
    return shift_form<type, Shift::kind>(insn, f);                \
  }
SHIFT(psllw, u16, kLeft)
SHIFT(pslld, u32, kLeft)
SHIFT(psllq, u64, kLeft)
SHIFT(psrlw, u16, kRight)
SHIFT(psrld, u32, kRight)
SHIFT(psrlq, u64, kRight)
SHIFT(psraw, u16, kArithmetic)
SHIFT(psrad, u32, kArithmetic)

#define SHIFT_BY_LANE(name, type, kind)                                                                  \
  Handler select_##name(const Insn& insn, const DecodedForm& f) {                                        \
    return vector_form<Sources::kTwo>(insn, f, kPacked<LaneWise<type, ShiftByLane<type, Shift::kind>>>); \
  }
SHIFT_BY_LANE(vpsllvd, u32, kLeft)
SHIFT_BY_LANE(vpsllvq, u64, kLeft)
SHIFT_BY_LANE(vpsrlvd, u32, kRight)
SHIFT_BY_LANE(vpsrlvq, u64, kRight)
SHIFT_BY_LANE(vpsravd, u32, kArithmetic)

Handler select_pslldq(const Insn& insn, const DecodedForm& f) {
  return shift_bytes_form<ShiftBytes<true>>(insn, f);
}
Handler select_psrldq(const Insn& insn, const DecodedForm& f) {
  return shift_bytes_form<ShiftBytes<false>>(insn, f);
}

}  // namespace orrery::cpu::exec
