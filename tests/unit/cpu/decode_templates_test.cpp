// What templates make of an instruction is what Zydis makes of it, for random bytes in both modes, with
// displacements and immediates that the template has not seen.
#include <Zydis/Zydis.h>
#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "cpu/decode/decoder.h"
#include "cpu/decode/templates.h"

namespace orrery::cpu {
namespace {

struct Decoded {
  Decoder::Status status{};
  Insn insn{};
  InsnView z{};
  OperandView operands[kMaxOperands]{};
  bool exact = false;
};

class DecodeTemplatesTest : public testing::Test {
 protected:
  using Bytes = std::array<u8, 15>;
  Bytes random_bytes() {
    Bytes bytes;
    for (u8& b : bytes) b = static_cast<u8>(random_());
    // Prefixes and escapes more often than they are by chance.
    static constexpr u8 kFirst[] = {0x66, 0xf2, 0xf3, 0x48, 0x49, 0x0f, 0xc4, 0xc5, 0x67, 0x64};
    for (unsigned i = 0; i < 3; ++i) {
      if (random_() % 2 == 0) bytes[i] = kFirst[random_() % std::size(kFirst)];
      if (bytes[i] == 0x0f && random_() % 2 == 0) bytes[i + 1] = random_() % 2 == 0 ? 0x38 : 0x3a;
    }
    return bytes;
  }
  static bool same(const Decoded& a, const Decoded& b) {
    if (a.status != b.status || a.exact != b.exact || std::memcmp(&a.insn, &b.insn, sizeof a.insn) != 0)
      return false;
    if (!a.exact) return true;
    if (std::memcmp(&a.z, &b.z, sizeof a.z) != 0) return false;
    for (unsigned i = 0; i < a.z.operand_count; ++i) {
      if (std::memcmp(&a.operands[i], &b.operands[i], sizeof a.operands[i]) != 0) return false;
    }
    return true;
  }

  std::mt19937 random_{20261127};
  const Decoder decoder_{*find_cpu_model("x86-64-v3")};
};

// An instruction, then others that begin as it does: whatever has been kept, they are what Zydis says.
TEST_F(DecodeTemplatesTest, AgreeWithZydis) {
  for (unsigned n = 0; n < 60000; ++n) {
    const u32 key = (n % 2 == 0 ? decode_key::kBits64 : decode_key::kBits32) | decode_key::kOsfxsr |
                    decode_key::kAvxEnabled;
    Bytes bytes = random_bytes();
    Insn insn;
    if (decoder_.decode(bytes, key, insn) != Decoder::Status::kOk) continue;
    for (unsigned from = 1; from <= insn.length; ++from) {
      for (unsigned i = from; i < bytes.size(); ++i) bytes[i] = static_cast<u8>(random_());
      Decoded anew, now;
      anew.status = decoder_.decode_anew(bytes, key, anew.insn, anew.z, anew.operands, anew.exact);
      now.status = decoder_.decode(bytes, key, now.insn, now.z, now.operands, now.exact);
      ASSERT_TRUE(same(anew, now)) << Decoder::disassemble(bytes, n % 2 == 0 ? 64 : 32, 0);
      Insn alone;
      ASSERT_EQ(decoder_.decode(bytes, key, alone), anew.status);
      ASSERT_EQ(std::memcmp(&alone, &anew.insn, sizeof alone), 0);
    }
  }
}

TEST_F(DecodeTemplatesTest, OneServesForOtherFields) {
  const Bytes add = {0x81, 0x84, 0x88, 1, 2, 3, 4, 5, 6, 7, 8};  // add dword [rax+rcx*4+...], imm32
  const Bytes other = {0x81, 0x84, 0x88, 0xf0, 0xff, 0xff, 0xff, 9, 0, 0, 0x80};
  const Bytes another_base = {0x81, 0x84, 0x89, 1, 2, 3, 4, 5, 6, 7, 8};
  ZydisDecoder zydis;
  ZydisDecoderInit(&zydis, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
  ZydisDecodedInstruction z;
  ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
  ASSERT_TRUE(ZYAN_SUCCESS(ZydisDecoderDecodeFull(&zydis, add.data(), add.size(), &z, operands)));
  Insn insn;
  ASSERT_EQ(decoder_.decode(add, decode_key::kBits64, insn), Decoder::Status::kOk);
  DecodeTemplates templates;
  templates.learn(add, decode_key::kBits64, insn, z, operands);
  Insn found;
  ASSERT_TRUE(templates.find(other, decode_key::kBits64, found));
  EXPECT_EQ(found.disp, -16);
  EXPECT_EQ(found.imm, 0xffffffff80000009);
  EXPECT_FALSE(templates.find(another_base, decode_key::kBits64, found));
  EXPECT_FALSE(templates.find(other, decode_key::kBits32, found));
}

TEST_F(DecodeTemplatesTest, ModesAndBitsOfTheKeyAreKeptApart) {
  const Bytes inc_or_rex = {0x40, 0x01, 0xc8};  // inc eax; add eax, ecx, or both as one with REX
  Insn insn;
  for (unsigned i = 0; i < 2; ++i) {
    ASSERT_EQ(decoder_.decode(inc_or_rex, decode_key::kBits32, insn), Decoder::Status::kOk);
    EXPECT_EQ(insn.length, 1);
    ASSERT_EQ(decoder_.decode(inc_or_rex, decode_key::kBits64, insn), Decoder::Status::kOk);
    EXPECT_EQ(insn.length, 3);
  }
}

TEST_F(DecodeTemplatesTest, AnInstructionThatIsNotWholeIsNotFound) {
  const Bytes add = {0x81, 0x84, 0x88, 1, 2, 3, 4, 5, 6, 7, 8};  // add dword [rax+rcx*4+...], imm32
  Insn insn;
  ASSERT_EQ(decoder_.decode(add, decode_key::kBits64, insn), Decoder::Status::kOk);
  EXPECT_EQ(decoder_.decode(std::span(add).first(10), decode_key::kBits64, insn),
            Decoder::Status::kTruncated);
}

}  // namespace
}  // namespace orrery::cpu
