// Where a block ends: at which jumps, and that it goes on behind those that lead a little forward.
#if defined(ORRERY_JIT)
#include "jit/block_scan.h"

#include <gtest/gtest.h>

#include "cpu/cpuid/model.h"

namespace orrery::jit {
namespace {

struct BlockScan : testing::Test {
  cpu::Decoder decoder{*cpu::find_cpu_model("x86-64-v3")};
  BlockScanner scanner{decoder};
  std::array<u8, 4096> page{};  // ADD [RAX], AL all over, of two bytes each
  std::vector<GuestInsn> insns;

  void put(size_t at, std::initializer_list<u8> bytes) { std::copy(bytes.begin(), bytes.end(), &page[at]); }
  void scan(size_t at, unsigned most = kMaxBlockInsns) {
    scanner.scan(&page[at], page.data() + page.size(), cpu::decode_key::kBits64, most, insns);
  }
};

TEST_F(BlockScan, GoesOnBehindAJumpForward) {
  put(100, {0xeb, 0x20});                    // to 134
  put(134, {0xe9, 0x00, 0x01, 0x00, 0x00});  // to 395
  put(395, {0x90, 0xc3});
  scan(100);
  ASSERT_EQ(insns.size(), 4u);
  EXPECT_TRUE(insns[0].followed && insns[1].followed);
  EXPECT_EQ(insns[1].offset, 34u);
  EXPECT_EQ(insns[2].offset, 295u);
  EXPECT_EQ(insns[3].z.mnemonic, ZYDIS_MNEMONIC_RET);
}

TEST_F(BlockScan, EndsAtOtherJumps) {
  put(100, {0xe9, 0x10, 0x02, 0x00, 0x00});  // far
  scan(100);
  ASSERT_EQ(insns.size(), 1u);
  EXPECT_FALSE(insns[0].followed);
  put(100, {0xeb, 0xf0});  // back
  scan(100);
  ASSERT_EQ(insns.size(), 1u);
  EXPECT_FALSE(insns[0].followed);
  put(100, {0xff, 0xe0});  // JMP RAX
  scan(100);
  ASSERT_EQ(insns.size(), 1u);
  put(4000, {0xe9, 0x80, 0x00, 0x00, 0x00});  // into the next page
  scan(4000);
  ASSERT_EQ(insns.size(), 1u);
  EXPECT_FALSE(insns[0].followed);
}

TEST_F(BlockScan, AJumpThatEndsTheBlockIsNotFollowed) {
  put(100, {0x90, 0xeb, 0x20});
  scan(100, 2);
  ASSERT_EQ(insns.size(), 2u);
  EXPECT_FALSE(insns[1].followed);
  // What it leads to goes on in the next page.
  put(4000, {0xeb, 0x5d});  // to 4095
  put(4095, {0xe9});
  scan(4000);
  ASSERT_EQ(insns.size(), 1u);
  EXPECT_FALSE(insns[0].followed);
}

TEST_F(BlockScan, EndsAtAConditionalJumpALittleBack) {
  put(2000, {0x75, 0x80});
  scan(2000);
  EXPECT_EQ(insns.size(), 1u);
  put(2000, {0x0f, 0x85, 0x00, 0xfc, 0xff, 0xff});  // 1024 bytes
  scan(2000);
  EXPECT_EQ(insns.size(), kMaxBlockInsns);
  put(2000, {0x0f, 0x85, 0x00, 0x01, 0x00, 0x00});  // forward
  scan(2000);
  EXPECT_EQ(insns.size(), kMaxBlockInsns);
}

}  // namespace
}  // namespace orrery::jit
#endif
