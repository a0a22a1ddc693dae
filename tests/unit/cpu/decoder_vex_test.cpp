// Which VEX encodings exist, by mode, CPU model and the bits of CR0, CR4 and XCR0. [SDM2 2.3, 2.6]
#include <gtest/gtest.h>

#include "cpu/decode/decoder.h"
#include "cpu/exec/common.h"
#include "cpu/isa/table.h"

namespace orrery::cpu {
namespace {

using namespace decode_key;

class DecoderVex : public testing::Test {
 protected:
  Insn decode(std::vector<u8> bytes, u32 key, std::string_view model = "x86-64-v3") {
    bytes.resize(15, 0);
    Insn insn;
    Decoder(*find_cpu_model(model)).decode(bytes, key, insn);
    return insn;
  }
  static std::string_view name(const Insn& insn) { return isa::rows()[insn.row].name; }
  static bool undefined(const Insn& insn) { return insn.handler == exec::raise_ud; }

  const std::vector<u8> vaddps_{0xc5, 0xe8, 0x58, 0xcb};      // xmm1, xmm2, xmm3
  const std::vector<u8> vaddps_256_{0xc5, 0xec, 0x58, 0xcb};  // ymm
  const std::vector<u8> shlx_{0xc4, 0xe2, 0x79, 0xf7, 0xc1};  // eax, ecx, eax
  static constexpr u32 kOn = kBits64 | kOsfxsr | kAvxEnabled;
};

TEST_F(DecoderVex, OperandsStandInTheManualsOrder) {
  const Insn insn = decode(vaddps_256_, kOn);
  EXPECT_EQ(name(insn), "VADDPS");
  EXPECT_TRUE(insn.vector_256());
  EXPECT_EQ(insn.op[0], 1);
  EXPECT_EQ(insn.op[1], 2);
  EXPECT_EQ(insn.op[2], 3);
  EXPECT_FALSE(undefined(insn));
}
TEST_F(DecoderVex, NeedsXcr0ButNotOsfxsr) {
  EXPECT_TRUE(undefined(decode(vaddps_, kBits64 | kOsfxsr)));
  EXPECT_FALSE(undefined(decode(vaddps_, kBits64 | kAvxEnabled)));
  EXPECT_FALSE(undefined(decode(vaddps_, kOn | kEm)));
  EXPECT_EQ(decode(vaddps_, kOn | kTs).handler, &exec::raise_nm);
}
TEST_F(DecoderVex, GeneralRegisterFormsNeedNoState) {
  EXPECT_FALSE(undefined(decode(shlx_, kBits64 | kTs)));
  EXPECT_TRUE(undefined(decode(shlx_, kBits16 | kRealOrVm86)));
}
TEST_F(DecoderVex, DoesNotExistInRealModeNorWithoutTheFeature) {
  EXPECT_TRUE(undefined(decode(vaddps_, kBits16 | kRealOrVm86 | kOsfxsr | kAvxEnabled)));
  EXPECT_TRUE(undefined(decode(vaddps_, kOn, "x86-64-v2")));
  EXPECT_FALSE(undefined(decode(vaddps_, kBits16 | kOsfxsr | kAvxEnabled)));  // 16-bit protected mode
}
TEST_F(DecoderVex, TakesNoPrefixes) {
  for (const int prefix : {0x66, 0xf2, 0xf3, 0xf0, 0x48}) {
    std::vector<u8> bytes = vaddps_;
    bytes.insert(bytes.begin(), static_cast<u8>(prefix));
    EXPECT_TRUE(undefined(decode(bytes, kOn))) << prefix;
  }
  EXPECT_FALSE(undefined(decode({0x65, 0xc5, 0xe8, 0x58, 0x0b}, kOn)));
}
TEST_F(DecoderVex, WithAMemoryOperandItIsLesOrLdsOutside64BitMode) {
  constexpr u32 k32 = kBits32 | kOsfxsr | kAvxEnabled;
  EXPECT_EQ(name(decode({0xc5, 0x08}, k32)), "LDS");
  EXPECT_EQ(name(decode({0xc4, 0x08}, k32)), "LES");
  EXPECT_EQ(name(decode(vaddps_, k32)), "VADDPS");
  // There are 8 registers: the upper bits of vvvv and of the fourth operand don't count.
  const Insn blend = decode({0xc4, 0xe3, 0x29, 0x4a, 0xcb, 0xc0}, k32);
  EXPECT_EQ(name(blend), "VBLENDVPS");
  EXPECT_EQ(blend.op[1], 2);
  EXPECT_EQ(blend.op[3], 4);
}
TEST_F(DecoderVex, UnusedVvvvMustBeOnes) {
  EXPECT_FALSE(undefined(decode({0xc5, 0xf8, 0x28, 0xcb}, kOn)));  // vmovaps
  EXPECT_TRUE(undefined(decode({0xc5, 0xe8, 0x28, 0xcb}, kOn)));
}
TEST_F(DecoderVex, GathersNeedThreeRegisters) {
  EXPECT_FALSE(undefined(decode({0xc4, 0xe2, 0x69, 0x90, 0x04, 0x0b}, kOn)));  // xmm0, [rbx+xmm1], xmm2
  EXPECT_TRUE(undefined(decode({0xc4, 0xe2, 0x69, 0x90, 0x0c, 0x0b}, kOn)));   // xmm1, [rbx+xmm1], xmm2
  EXPECT_TRUE(undefined(decode({0xc4, 0xe2, 0x69, 0x90, 0x14, 0x0b}, kOn)));   // xmm2, [rbx+xmm1], xmm2
  EXPECT_TRUE(undefined(decode({0xc4, 0xe2, 0x69, 0x90, 0x04, 0x13}, kOn)));   // xmm0, [rbx+xmm2], xmm2
}

}  // namespace
}  // namespace orrery::cpu
