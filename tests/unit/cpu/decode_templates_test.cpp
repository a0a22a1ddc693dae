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
  ZydisDecodedInstruction z{};
  ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT]{};
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
    if (std::memcmp(&a.insn, &b.insn, sizeof a.insn) != 0 || std::memcmp(&a.z, &b.z, sizeof a.z) != 0)
      return false;
    for (unsigned i = 0; i < a.z.operand_count; ++i) {
      if (std::memcmp(&a.operands[i], &b.operands[i], sizeof a.operands[i]) != 0) return false;
    }
    return true;
  }

  std::mt19937 random_{20261127};
  const Decoder decoder_{*find_cpu_model("x86-64-v3")};
};

TEST_F(DecodeTemplatesTest, AgreeWithZydis) {
  unsigned found = 0, with_field = 0;
  for (unsigned n = 0; n < 60000; ++n) {
    const u32 key = (n % 2 == 0 ? decode_key::kBits64 : decode_key::kBits32) | decode_key::kOsfxsr |
                    decode_key::kAvxEnabled;
    Bytes bytes = random_bytes();
    Decoded learnt;
    learnt.status = decoder_.decode_anew(bytes, key, learnt.insn, learnt.z, learnt.operands, learnt.exact);
    if (learnt.status != Decoder::Status::kOk) continue;
    DecodeTemplates templates;
    templates.learn(bytes, key, learnt.insn, learnt.z, learnt.operands);
    const unsigned fields = (learnt.z.raw.disp.size + learnt.z.raw.imm[0].size) / 8u;
    for (unsigned i = learnt.z.length - fields; i < bytes.size(); ++i) bytes[i] = static_cast<u8>(random_());
    Decoded expected, other;
    expected.status =
        decoder_.decode_anew(bytes, key, expected.insn, expected.z, expected.operands, expected.exact);
    if (!templates.find(bytes, key, other.insn, other.z, other.operands)) continue;
    ++found;
    if (fields != 0) ++with_field;
    ASSERT_EQ(expected.status, Decoder::Status::kOk);
    ASSERT_TRUE(same(expected, other)) << Decoder::disassemble(bytes, n % 2 == 0 ? 64 : 32, 0);
    Insn insn;
    ASSERT_TRUE(templates.find(bytes, key, insn));
    ASSERT_EQ(std::memcmp(&insn, &expected.insn, sizeof insn), 0);
  }
  EXPECT_GT(found, 10000u);
  EXPECT_GT(with_field, 5000u);
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
