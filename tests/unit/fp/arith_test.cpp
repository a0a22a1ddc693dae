// Soft float against values worked out from the manuals; silicon tests do the bulk.
#include <gtest/gtest.h>

#include "cpu/fp/arith.h"
#include "cpu/fp/convert.h"

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

}  // namespace
}  // namespace orrery::cpu::fp
