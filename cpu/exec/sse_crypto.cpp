// AES-NI, VAES, PCLMULQDQ, VPCLMULQDQ and the SHA extensions. [SDM1 12.13, 14], [SDM2], [FIPS 197], [FIPS
// 180-4]
//
// Not modelled: Key Locker.
#include <array>

#include "cpu/exec/simd_operands.h"

namespace orrery::cpu::exec {
namespace {

constexpr u8 times2(u8 v) { return static_cast<u8>((v << 1) ^ ((v & 0x80) != 0 ? 0x1b : 0)); }
constexpr u8 multiply(u8 a, u8 b) {
  u8 r = 0;
  for (; b != 0; b = static_cast<u8>(b >> 1), a = times2(a)) {
    if ((b & 1) != 0) r ^= a;
  }
  return r;
}

struct Boxes {
  std::array<u8, 256> forward{}, inverse{};
};
/// Multiplicative inverses by powers of the generator 3, then the affine map. [FIPS 197 5.1.1]
constexpr Boxes make_boxes() {
  std::array<u8, 256> power{}, log{};
  u8 v = 1;
  for (unsigned i = 0; i < 255; ++i) {
    power[i] = v;
    log[v] = static_cast<u8>(i);
    v = static_cast<u8>(v ^ times2(v));
  }
  Boxes boxes;
  for (unsigned i = 0; i < 256; ++i) {
    const u8 b = i == 0 ? u8{0} : power[(255u - log[i]) % 255u];
    u8 s = 0x63;
    for (int k = 0; k < 5; ++k) s ^= std::rotl(b, k);
    boxes.forward[i] = s;
    boxes.inverse[s] = static_cast<u8>(i);
  }
  return boxes;
}
constexpr Boxes kBoxes = make_boxes();

/// ShiftRows and SubBytes: column c, row r comes from column c + r (or c - r).
Lanes<16> shift_and_substitute(const Lanes<16>& in, bool inverse) {
  Lanes<16> out;
  for (unsigned c = 0; c < 4; ++c) {
    for (unsigned r = 0; r < 4; ++r) {
      const unsigned from = (inverse ? c + 4 - r : c + r) & 3;
      const u8 v = in.b[4 * from + r];
      out.b[4 * c + r] = inverse ? kBoxes.inverse[v] : kBoxes.forward[v];
    }
  }
  return out;
}
Lanes<16> mix_columns(const Lanes<16>& in, bool inverse) {
  constexpr u8 kForward[4] = {2, 3, 1, 1}, kInverse[4] = {14, 11, 13, 9};
  const u8* coefficient = inverse ? kInverse : kForward;
  Lanes<16> out{};
  for (unsigned c = 0; c < 4; ++c) {
    for (unsigned r = 0; r < 4; ++r) {
      for (unsigned k = 0; k < 4; ++k)
        out.b[4 * c + r] ^= multiply(in.b[4 * c + k], coefficient[(k + 4 - r) & 3]);
    }
  }
  return out;
}
Lanes<16> xor_with(Lanes<16> a, const Lanes<16>& b) {
  a.q[0] ^= b.q[0];
  a.q[1] ^= b.q[1];
  return a;
}
u32 substitute_word(u32 v) {
  u32 out = 0;
  for (unsigned i = 0; i < 32; i += 8) out |= u32{kBoxes.forward[(v >> i) & 0xff]} << i;
  return out;
}

template <bool kInverse, bool kLast>
struct AesRound {
  static Lanes<16> apply(const Lanes<16>& state, const Lanes<16>& key, u8) {
    const Lanes<16> s = shift_and_substitute(state, kInverse);
    return xor_with(kLast ? s : mix_columns(s, kInverse), key);
  }
};
struct AesInverseMix {
  static Lanes<16> apply(const Lanes<16>&, const Lanes<16>& b, u8) { return mix_columns(b, true); }
};
struct AesKeyAssist {
  static Lanes<16> apply(const Lanes<16>&, const Lanes<16>& b, u8 imm) {
    Lanes<16> out;
    out.d[0] = substitute_word(b.d[1]);
    out.d[1] = std::rotr(out.d[0], 8) ^ imm;
    out.d[2] = substitute_word(b.d[3]);
    out.d[3] = std::rotr(out.d[2], 8) ^ imm;
    return out;
  }
};
struct CarrylessMultiply {
  static Lanes<16> apply(const Lanes<16>& a, const Lanes<16>& b, u8 imm) {
    const u64 x = a.q[imm & 1], y = b.q[(imm >> 4) & 1];
    u128 r = 0;
    for (unsigned i = 0; i < 64; ++i) {
      if ((y >> i) & 1) r ^= u128{x} << i;
    }
    Lanes<16> out;
    out.q[0] = static_cast<u64>(r);
    out.q[1] = static_cast<u64>(r >> 64);
    return out;
  }
};

// ---- SHA ----
struct Sha1Msg1 {
  static Lanes<16> apply(const Lanes<16>& a, const Lanes<16>& b, u8) {
    Lanes<16> out;
    out.d[3] = a.d[3] ^ a.d[1];
    out.d[2] = a.d[2] ^ a.d[0];
    out.d[1] = a.d[1] ^ b.d[3];
    out.d[0] = a.d[0] ^ b.d[2];
    return out;
  }
};
struct Sha1Msg2 {
  static Lanes<16> apply(const Lanes<16>& a, const Lanes<16>& b, u8) {
    Lanes<16> out;
    out.d[3] = std::rotl(a.d[3] ^ b.d[2], 1);
    out.d[2] = std::rotl(a.d[2] ^ b.d[1], 1);
    out.d[1] = std::rotl(a.d[1] ^ b.d[0], 1);
    out.d[0] = std::rotl(a.d[0] ^ out.d[3], 1);
    return out;
  }
};
struct Sha1NextE {
  static Lanes<16> apply(const Lanes<16>& a, const Lanes<16>& b, u8) {
    Lanes<16> out = b;
    out.d[3] = b.d[3] + std::rotl(a.d[3], 30);
    return out;
  }
};
struct Sha1Rounds {
  static Lanes<16> apply(const Lanes<16>& state, const Lanes<16>& words, u8 imm) {
    constexpr u32 kConstant[4] = {0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6};
    const unsigned which = imm & 3u;
    u32 a = state.d[3], b = state.d[2], c = state.d[1], d = state.d[0], e = 0;
    for (unsigned i = 0; i < 4; ++i) {
      const u32 f = which == 0 ? (b & c) ^ (~b & d) : which == 2 ? (b & c) ^ (b & d) ^ (c & d) : b ^ c ^ d;
      const u32 next = f + std::rotl(a, 5) + words.d[3 - i] + e + kConstant[which];
      e = d;
      d = c;
      c = std::rotl(b, 30);
      b = a;
      a = next;
    }
    Lanes<16> out;
    out.d[3] = a;
    out.d[2] = b;
    out.d[1] = c;
    out.d[0] = d;
    return out;
  }
};
u32 small_sigma0(u32 v) { return std::rotr(v, 7) ^ std::rotr(v, 18) ^ (v >> 3); }
u32 small_sigma1(u32 v) { return std::rotr(v, 17) ^ std::rotr(v, 19) ^ (v >> 10); }
struct Sha256Msg1 {
  static Lanes<16> apply(const Lanes<16>& a, const Lanes<16>& b, u8) {
    Lanes<16> out;
    for (unsigned i = 0; i < 4; ++i) out.d[i] = a.d[i] + small_sigma0(i < 3 ? a.d[i + 1] : b.d[0]);
    return out;
  }
};
struct Sha256Msg2 {
  static Lanes<16> apply(const Lanes<16>& a, const Lanes<16>& b, u8) {
    Lanes<16> out;
    out.d[0] = a.d[0] + small_sigma1(b.d[2]);
    out.d[1] = a.d[1] + small_sigma1(b.d[3]);
    out.d[2] = a.d[2] + small_sigma1(out.d[0]);
    out.d[3] = a.d[3] + small_sigma1(out.d[1]);
    return out;
  }
};
/// SHA256RNDS2: destination holds C D G H (high to low), source A B E F, XMM0 the two words plus constants.
template <bool kMem>
Outcome sha256_rounds(Vcpu& cpu, const Insn& insn) {
  Lanes<16> abef;
  if (kMem) {
    if (!cpu.read(insn, abef)) return Outcome::kFault;
  } else {
    abef = Xmm::get(cpu, insn.op[1]);
  }
  const Lanes<16> cdgh = Xmm::get(cpu, insn.op[0]), words = Xmm::get(cpu, 0);
  u32 a = abef.d[3], b = abef.d[2], c = cdgh.d[3], d = cdgh.d[2];
  u32 e = abef.d[1], f = abef.d[0], g = cdgh.d[1], h = cdgh.d[0];
  for (unsigned i = 0; i < 2; ++i) {
    const u32 sum1 = std::rotr(e, 6) ^ std::rotr(e, 11) ^ std::rotr(e, 25);
    const u32 sum0 = std::rotr(a, 2) ^ std::rotr(a, 13) ^ std::rotr(a, 22);
    const u32 t = ((e & f) ^ (~e & g)) + sum1 + words.d[i] + h;
    const u32 majority = (a & b) ^ (a & c) ^ (b & c);
    h = g;
    g = f;
    f = e;
    e = t + d;
    d = c;
    c = b;
    b = a;
    a = t + majority + sum0;
  }
  Lanes<16> out;
  out.d[3] = a;
  out.d[2] = b;
  out.d[1] = e;
  out.d[0] = f;
  Xmm::set(cpu, insn.op[0], out);
  return Outcome::kNext;
}

}  // namespace

#define VECTOR(name, sources, ...)                                       \
  Handler select_##name(const Insn& insn, const DecodedForm& f) {        \
    return vector_form<Sources::sources>(insn, f, kPacked<__VA_ARGS__>); \
  }
VECTOR(aesenc, kTwo, AesRound<false, false>)
VECTOR(aesenclast, kTwo, AesRound<false, true>)
VECTOR(aesdec, kTwo, AesRound<true, false>)
VECTOR(aesdeclast, kTwo, AesRound<true, true>)
VECTOR(aesimc, kOne, AesInverseMix)
VECTOR(aeskeygenassist, kOne, AesKeyAssist)
VECTOR(pclmulqdq, kTwo, CarrylessMultiply)

// The SHA extensions do not check alignment on our profile's silicon.
template <class Op>
Outcome sha_memory(Vcpu& cpu, const Insn& insn) {
  Lanes<16> b;
  if (!cpu.read(insn, b)) return Outcome::kFault;
  Xmm::set(cpu, insn.op[0], Op::apply(Xmm::get(cpu, insn.op[0]), b, static_cast<u8>(insn.imm)));
  return Outcome::kNext;
}
#define SHA(name, ...)                                                                     \
  Handler select_##name(const Insn&, const DecodedForm& f) {                               \
    return f.kind[1] == OperandKind::kMem ? &sha_memory<__VA_ARGS__>                       \
                                          : &packed<Operands<Xmm, 1, false>, __VA_ARGS__>; \
  }
SHA(sha1msg1, Sha1Msg1)
SHA(sha1msg2, Sha1Msg2)
SHA(sha1nexte, Sha1NextE)
SHA(sha1rnds4, Sha1Rounds)
SHA(sha256msg1, Sha256Msg1)
SHA(sha256msg2, Sha256Msg2)
Handler select_sha256rnds2(const Insn&, const DecodedForm& f) {
  return f.kind[1] == OperandKind::kMem ? &sha256_rounds<true> : &sha256_rounds<false>;
}

}  // namespace orrery::cpu::exec
