// Soft float against values worked out from the manuals; silicon tests do the bulk.
#include <gtest/gtest.h>

#include <cmath>

#include "cpu/fp/arith.h"
#include "cpu/fp/convert.h"
#include "cpu/fp/fma.h"

namespace orrery::cpu::fp {
namespace {

u32 add32(Environment& e, u32 a, u32 b) { return add<F32>(e, unpack<F32>(e, a), unpack<F32>(e, b)); }

TEST(SoftFloat, HalfwayRoundsToEven) {
  Environment e;
  EXPECT_EQ(add32(e, 0x3f800000, 0x33800000), 0x3f800000u);  // 1 + 2^-24
  EXPECT_EQ(e.flags, flag::PE);
}
TEST(SoftFloat, OverflowGivesInfinityOrTheLargestNumber) {
  Environment e;
  EXPECT_EQ(add32(e, 0x7f7fffff, 0x7f7fffff), 0x7f800000u);
  EXPECT_EQ(e.flags, flag::OE | flag::PE);
  e.rounding = Rounding::kZero;
  EXPECT_EQ(add32(e, 0x7f7fffff, 0x7f7fffff), 0x7f7fffffu);
}
TEST(SoftFloat, TininessIsDetectedAfterRounding) {
  Environment e;  // (1 + 2^-23) * (1 - 2^-24) * 2^-126 rounds up to the smallest normal number
  const u32 product = mul<F32>(e, unpack<F32>(e, 0x00800001), unpack<F32>(e, 0x3f7fffff));
  EXPECT_EQ(product, 0x00800000u);
  EXPECT_EQ(e.flags & flag::UE, 0);
}
TEST(SoftFloat, SignallingNanIsQuieted) {
  Environment e;
  EXPECT_EQ(add32(e, 0x7f800001, 0x3f800000), 0x7fc00001u);
  EXPECT_EQ(e.flags, flag::IE);
}
TEST(SoftFloat, IntegerConversionOverflowIsIndefinite) {
  Environment e;
  EXPECT_EQ(to_integer(e, unpack<F64>(e, 0x41e0000000000000), 32, Rounding::kNearest), INT32_MIN);
  EXPECT_EQ(e.flags, flag::IE);
}

u64 fma64(Environment& e, u64 a, u64 b, u64 c, FmaSigns signs = {}) {
  return fma<F64>(e, unpack<F64>(e, a), unpack<F64>(e, b), unpack<F64>(e, c), signs);
}

TEST(SoftFloat, FusedMultiplyAddKeepsTheProductsLowBits) {
  Environment e;  // (1 + 2^-52)^2 - (1 + 2^-51) is 2^-104
  EXPECT_EQ(fma64(e, 0x3ff0000000000001, 0x3ff0000000000001, 0xbff0000000000002), 0x3970000000000000u);
  EXPECT_EQ(e.flags, 0);
}
TEST(SoftFloat, FusedMultiplyAddAgreesWithTheHostsWherePartsCancel) {
  u64 state = 1;
  const auto next = [&state] { return state = state * 6364136223846793005u + 1442695040888963407u; };
  for (int i = 0; i < 20000; ++i) {
    const auto number = [&] { return (next() & 0x800fffffffffffff) | (0x380 + (next() >> 40) % 0x80) << 52; };
    const double a = std::bit_cast<double>(number()), b = std::bit_cast<double>(number());
    double c = -(a * b);
    if (i % 3 == 0) c = std::nextafter(c, 0.0);
    if (i % 5 == 0) c = std::ldexp(c, static_cast<int>((next() >> 40) % 120) - 60);
    Environment e;
    const u64 got = fma64(e, std::bit_cast<u64>(a), std::bit_cast<u64>(b), std::bit_cast<u64>(c));
    ASSERT_EQ(got, std::bit_cast<u64>(std::fma(a, b, c))) << a << " * " << b << " + " << c;
  }
}
TEST(SoftFloat, FusedMultiplyAddReturnsTheFirstNan) {
  Environment e;
  EXPECT_EQ(fma64(e, 0x3ff0000000000000, 0x7ff8000000000001, 0x7ff8000000000002, {true, true}),
            0x7ff8000000000001u);
  EXPECT_EQ(fma64(e, 0x7ff0000000000000, 0, 0x7ff8000000000002), 0x7ff8000000000002u);
  EXPECT_EQ(e.flags, 0);  // infinity times zero is no matter when a NaN is added
  EXPECT_EQ(fma64(e, 0x7ff0000000000000, 0, 0x3ff0000000000000), 0xfff8000000000000u);
  EXPECT_EQ(e.flags, flag::IE);
}

}  // namespace
}  // namespace orrery::cpu::fp
