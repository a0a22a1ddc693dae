// GFNI: arithmetic in GF(2^8) with the polynomial x^8 + x^4 + x^3 + x + 1, and affine maps over GF(2).
// [SDM2 GF2P8MULB, GF2P8AFFINEQB, GF2P8AFFINEINVQB]
//
// Not modelled: nothing.
#include <array>

#include "cpu/exec/simd_operands.h"

namespace orrery::cpu::exec {
namespace {

constexpr u8 multiply(u8 a, u8 b) {
  u8 r = 0;
  for (; b != 0; b = static_cast<u8>(b >> 1)) {
    if ((b & 1) != 0) r ^= a;
    a = static_cast<u8>((a << 1) ^ ((a & 0x80) != 0 ? 0x1b : 0));
  }
  return r;
}
/// x^254, which is 1 / x, and 0 of 0.
constexpr std::array<u8, 256> make_inverses() {
  std::array<u8, 256> out{};
  for (unsigned i = 1; i < 256; ++i) {
    const u8 x = static_cast<u8>(i);
    u8 power = x;
    for (int k = 0; k < 6; ++k) power = multiply(multiply(power, power), x);
    out[i] = multiply(power, power);
  }
  return out;
}
constexpr std::array<u8, 256> kInverse = make_inverses();

struct Multiply {
  static u8 lane(u8 a, u8 b) { return multiply(a, b); }
};
/// Bit i of a result is the parity of the byte and row 7 - i of the quadword's matrix, plus bit i of imm.
template <bool kInvert>
struct Affine {
  static Lanes<16> apply(const Lanes<16>& a, const Lanes<16>& matrix, u8 imm) {
    Lanes<16> out;
    for (unsigned n = 0; n < 16; ++n) {
      const u8 x = kInvert ? kInverse[a.b[n]] : a.b[n];
      u8 result = imm;
      for (unsigned i = 0; i < 8; ++i) {
        const u8 row = matrix.b[(n & 8) + 7 - i];
        result ^= static_cast<u8>((std::popcount(static_cast<u8>(row & x)) & 1) << i);
      }
      out.b[n] = result;
    }
    return out;
  }
};

}  // namespace

#define VECTOR(name, ...)                                             \
  Handler select_##name(const Insn& insn, const DecodedForm& f) {     \
    return vector_form<Sources::kTwo>(insn, f, kPacked<__VA_ARGS__>); \
  }
VECTOR(gf2p8mulb, LaneWise<u8, Multiply>)
VECTOR(gf2p8affineqb, Affine<false>)
VECTOR(gf2p8affineinvqb, Affine<true>)

}  // namespace orrery::cpu::exec
