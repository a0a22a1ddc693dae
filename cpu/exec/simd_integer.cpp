// Packed integer arithmetic, comparison and logic of MMX, SSE2, SSSE3, SSE4.1, SSE4.2, AVX and AVX2. [SDM2
// P*], [APM4]
//
// The bitwise forms for floating-point data (ANDPS ...) are here too: they don't look at the type.
// Not modelled: nothing.
#include <limits>

#include "cpu/exec/simd_operands.h"

namespace orrery::cpu::exec {
namespace {

template <class T>
T saturate(i64 v) {
  return static_cast<T>(std::clamp<i64>(v, std::numeric_limits<T>::min(), std::numeric_limits<T>::max()));
}

struct Add {
  template <class T>
  static T lane(T a, T b) {
    return static_cast<T>(a + b);
  }
};
struct Sub {
  template <class T>
  static T lane(T a, T b) {
    return static_cast<T>(a - b);
  }
};
struct AddSaturate {
  template <class T>
  static T lane(T a, T b) {
    return saturate<T>(i64{a} + b);
  }
};
struct SubSaturate {
  template <class T>
  static T lane(T a, T b) {
    return saturate<T>(i64{a} - b);
  }
};
struct Average {
  template <class T>
  static T lane(T a, T b) {
    return static_cast<T>((u32{a} + b + 1) >> 1);
  }
};
struct Min {
  template <class T>
  static T lane(T a, T b) {
    return std::min(a, b);
  }
};
struct Max {
  template <class T>
  static T lane(T a, T b) {
    return std::max(a, b);
  }
};
struct Equal {
  template <class T>
  static T lane(T a, T b) {
    return static_cast<T>(a == b ? ~T{0} : T{0});
  }
};
struct Greater {
  template <class T>
  static T lane(T a, T b) {
    return static_cast<T>(a > b ? ~T{0} : T{0});
  }
};
struct And {
  static u64 lane(u64 a, u64 b) { return a & b; }
};
struct AndNot {
  static u64 lane(u64 a, u64 b) { return ~a & b; }
};
struct Or {
  static u64 lane(u64 a, u64 b) { return a | b; }
};
struct Xor {
  static u64 lane(u64 a, u64 b) { return a ^ b; }
};
struct MulLow {
  template <class T>
  static T lane(T a, T b) {
    return static_cast<T>(u64{a} * b);
  }
};
struct MulHigh {
  template <class T>
  static T lane(T a, T b) {
    return static_cast<T>((i32{a} * i32{b}) >> 16);
  }
};
struct MulHighUnsigned {
  static u16 lane(u16 a, u16 b) { return static_cast<u16>((u32{a} * b) >> 16); }
};
struct MulHighRound {
  static i16 lane(i16 a, i16 b) { return static_cast<i16>((((i32{a} * b) >> 14) + 1) >> 1); }
};
struct MulLowUnsigned {
  static u64 lane(u64 a, u64 b) { return (a & 0xffffffff) * (b & 0xffffffff); }
};
struct MulLowSigned {
  static u64 lane(u64 a, u64 b) { return static_cast<u64>(i64{static_cast<i32>(a)} * static_cast<i32>(b)); }
};
struct Sign {
  template <class T>
  static T lane(T a, T b) {
    return static_cast<T>(b < 0 ? -i64{a} : b == 0 ? i64{0} : i64{a});
  }
};
struct Absolute {
  template <class T>
  static T lane(T, T b) {
    return static_cast<T>(b < 0 ? -i64{b} : i64{b});
  }
};

// PMADDWD: sums of two products.
struct MultiplyAdd {
  template <class V>
  static V apply(const V& a, const V& b, u8) {
    V out;
    for (unsigned i = 0; i < sizeof(V) / 4; ++i) {
      const i32 low = i32{a.template at<i16>(2 * i)} * b.template at<i16>(2 * i);
      const i32 high = i32{a.template at<i16>(2 * i + 1)} * b.template at<i16>(2 * i + 1);
      out.d[i] = static_cast<u32>(low) + static_cast<u32>(high);
    }
    return out;
  }
};
// PMADDUBSW: unsigned times signed bytes, the sum saturated.
struct MultiplyAddBytes {
  template <class V>
  static V apply(const V& a, const V& b, u8) {
    V out;
    for (unsigned i = 0; i < sizeof(V) / 2; ++i) {
      const i32 low = i32{a.b[2 * i]} * b.template at<i8>(2 * i);
      const i32 high = i32{a.b[2 * i + 1]} * b.template at<i8>(2 * i + 1);
      out.template at<i16>(i) = saturate<i16>(i64{low} + high);
    }
    return out;
  }
};
struct SumAbsoluteDifferences {
  template <class V>
  static V apply(const V& a, const V& b, u8) {
    V out;
    for (unsigned i = 0; i < sizeof(V) / 8; ++i) {
      u64 sum = 0;
      for (unsigned j = 8 * i; j < 8 * i + 8; ++j) {
        sum += static_cast<u64>(a.b[j] > b.b[j] ? a.b[j] - b.b[j] : b.b[j] - a.b[j]);
      }
      out.q[i] = sum;
    }
    return out;
  }
};
// MPSADBW: eight sums over four bytes; imm bits 0-1 choose the source's block, bit 2 the destination's.
struct MultipleSumAbsoluteDifferences {
  static constexpr unsigned kImmediateBits = 3;
  static Lanes<16> apply(const Lanes<16>& a, const Lanes<16>& b, u8 imm) {
    Lanes<16> out;
    const unsigned from_b = (imm & 3u) * 4, from_a = ((imm >> 2) & 1u) * 4;
    for (unsigned i = 0; i < 8; ++i) {
      unsigned sum = 0;
      for (unsigned j = 0; j < 4; ++j) {
        const int difference = int{a.b[from_a + i + j]} - int{b.b[from_b + j]};
        sum += static_cast<unsigned>(difference < 0 ? -difference : difference);
      }
      out.w[i] = static_cast<u16>(sum);
    }
    return out;
  }
};
struct HorizontalMinimum {
  static Lanes<16> apply(const Lanes<16>&, const Lanes<16>& b, u8) {
    Lanes<16> out{};
    unsigned best = 0;
    for (unsigned i = 1; i < 8; ++i) {
      if (b.w[i] < b.w[best]) best = i;
    }
    out.w[0] = b.w[best];
    out.w[1] = static_cast<u16>(best);
    return out;
  }
};
// PHADD and PHSUB: pairs of the destination, then pairs of the source.
template <class T, class F>
struct Horizontal {
  template <class V>
  static V apply(const V& a, const V& b, u8) {
    constexpr unsigned kHalf = sizeof(V) / sizeof(T) / 2;
    V out;
    for (unsigned i = 0; i < kHalf; ++i) {
      out.template at<T>(i) = F::template lane<T>(a.template at<T>(2 * i), a.template at<T>(2 * i + 1));
      out.template at<T>(kHalf + i) =
          F::template lane<T>(b.template at<T>(2 * i), b.template at<T>(2 * i + 1));
    }
    return out;
  }
};

/// PTEST, VTESTPS, VTESTPD: ZF = (dst & src) == 0, CF = (src & ~dst) == 0, of the bits in `kMask` of each
/// quadword; the other flags become 0.
template <class X, u64 kMask>
Outcome test_bits(Vcpu& cpu, const Insn& insn) {
  typename X::Value b;
  if (!X::last(cpu, insn, b)) return Outcome::kFault;
  const typename X::Value a = X::first(cpu, insn);
  u64 both = 0, only_b = 0;
  for (unsigned i = 0; i < X::kBytes / 8; ++i) {
    both |= a.q[i] & b.q[i];
    only_b |= ~a.q[i] & b.q[i];
  }
  u64 flags = cpu.state.rflags & ~rflags::kArithmetic;
  if ((both & kMask) == 0) flags |= rflags::ZF;
  if ((only_b & kMask) == 0) flags |= rflags::CF;
  cpu.state.rflags = flags;
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

PACKED(paddb, LaneWise<u8, Add>)
PACKED(paddw, LaneWise<u16, Add>)
PACKED(paddd, LaneWise<u32, Add>)
PACKED(paddq, LaneWise<u64, Add>)
PACKED(psubb, LaneWise<u8, Sub>)
PACKED(psubw, LaneWise<u16, Sub>)
PACKED(psubd, LaneWise<u32, Sub>)
PACKED(psubq, LaneWise<u64, Sub>)
PACKED(paddsb, LaneWise<i8, AddSaturate>)
PACKED(paddsw, LaneWise<i16, AddSaturate>)
PACKED(paddusb, LaneWise<u8, AddSaturate>)
PACKED(paddusw, LaneWise<u16, AddSaturate>)
PACKED(psubsb, LaneWise<i8, SubSaturate>)
PACKED(psubsw, LaneWise<i16, SubSaturate>)
PACKED(psubusb, LaneWise<u8, SubSaturate>)
PACKED(psubusw, LaneWise<u16, SubSaturate>)
PACKED(pavgb, LaneWise<u8, Average>)
PACKED(pavgw, LaneWise<u16, Average>)
PACKED(pminub, LaneWise<u8, Min>)
PACKED(pminsw, LaneWise<i16, Min>)
PACKED(pmaxub, LaneWise<u8, Max>)
PACKED(pmaxsw, LaneWise<i16, Max>)
VECTOR(pminsb, LaneWise<i8, Min>)
VECTOR(pminsd, LaneWise<i32, Min>)
VECTOR(pminuw, LaneWise<u16, Min>)
VECTOR(pminud, LaneWise<u32, Min>)
VECTOR(pmaxsb, LaneWise<i8, Max>)
VECTOR(pmaxsd, LaneWise<i32, Max>)
VECTOR(pmaxuw, LaneWise<u16, Max>)
VECTOR(pmaxud, LaneWise<u32, Max>)
PACKED(pcmpeqb, LaneWise<u8, Equal>)
PACKED(pcmpeqw, LaneWise<u16, Equal>)
PACKED(pcmpeqd, LaneWise<u32, Equal>)
VECTOR(pcmpeqq, LaneWise<u64, Equal>)
PACKED(pcmpgtb, LaneWise<i8, Greater>)
PACKED(pcmpgtw, LaneWise<i16, Greater>)
PACKED(pcmpgtd, LaneWise<i32, Greater>)
VECTOR(pcmpgtq, LaneWise<i64, Greater>)
PACKED(pand, LaneWise<u64, And>)
PACKED(pandn, LaneWise<u64, AndNot>)
PACKED(por, LaneWise<u64, Or>)
PACKED(pxor, LaneWise<u64, Xor>)
PACKED(pmullw, LaneWise<u16, MulLow>)
VECTOR(pmulld, LaneWise<u32, MulLow>)
PACKED(pmulhw, LaneWise<i16, MulHigh>)
PACKED(pmulhuw, LaneWise<u16, MulHighUnsigned>)
PACKED(pmulhrsw, LaneWise<i16, MulHighRound>)
PACKED(pmuludq, LaneWise<u64, MulLowUnsigned>)
VECTOR(pmuldq, LaneWise<u64, MulLowSigned>)
PACKED(pmaddwd, MultiplyAdd)
PACKED(pmaddubsw, MultiplyAddBytes)
PACKED(psadbw, SumAbsoluteDifferences)
VECTOR(mpsadbw, MultipleSumAbsoluteDifferences)
PACKED(psignb, LaneWise<i8, Sign>)
PACKED(psignw, LaneWise<i16, Sign>)
PACKED(psignd, LaneWise<i32, Sign>)
PACKED_UNARY(pabsb, LaneWise<i8, Absolute>)
PACKED_UNARY(pabsw, LaneWise<i16, Absolute>)
PACKED_UNARY(pabsd, LaneWise<i32, Absolute>)
PACKED(phaddw, Horizontal<u16, Add>)
PACKED(phaddd, Horizontal<u32, Add>)
PACKED(phaddsw, Horizontal<i16, AddSaturate>)
PACKED(phsubw, Horizontal<u16, Sub>)
PACKED(phsubd, Horizontal<u32, Sub>)
PACKED(phsubsw, Horizontal<i16, SubSaturate>)

Handler select_phminposuw(const Insn& insn, const DecodedForm& f) {
  return xmm_form<Sources::kOne>(insn, f, kPacked<HorizontalMinimum>);
}

Handler select_ptest(const Insn& insn, const DecodedForm& f) {
  return vector_form<Sources::kOne>(insn, f, []<class X>() -> Handler { return &test_bits<X, ~u64{0}>; });
}
Handler select_vtestps(const Insn& insn, const DecodedForm& f) {
  return vector_form<Sources::kOne>(insn, f,
                                    []<class X>() -> Handler { return &test_bits<X, 0x8000000080000000>; });
}
Handler select_vtestpd(const Insn& insn, const DecodedForm& f) {
  return vector_form<Sources::kOne>(insn, f,
                                    []<class X>() -> Handler { return &test_bits<X, 0x8000000000000000>; });
}

}  // namespace orrery::cpu::exec
