// Which constants are read when they are needed, which stores a block survives, and when it comes back.
#if defined(ORRERY_JIT)
#include "jit/patched_blocks.h"

#include <gtest/gtest.h>

#include "cpu/cpuid/model.h"

namespace orrery::jit {
namespace {

constexpr u64 kPlace = 42;
using Kind = PatchedBlocks::Revival::Kind;

struct PatchedBlocksTest : testing::Test {
  cpu::Decoder decoder{*cpu::find_cpu_model("x86-64-v3")};
  BlockScanner scanner{decoder};
  std::array<u8, 4096> page{};
  std::vector<GuestInsn> insns;
  PatchedBlocks blocks;

  void scan(std::initializer_list<u8> code) {
    std::copy(code.begin(), code.end(), page.data());
    scanner.scan(page.data(), page.data() + page.size(), cpu::decode_key::kBits64, kMaxBlockInsns, insns);
    for (GuestInsn& g : insns) {
      g.plan = Plan::kRewrite;
      g.live_constant = live_constant_bytes(g, page.data() + g.offset);
    }
  }
  unsigned constant_of(std::initializer_list<u8> code) {
    scan(code);
    return live_constant_bytes(insns[0], page.data());
  }
  /// XOR EAX, ..; ADD EDI, ..; RET as block 7.
  void add() {
    scan({0x35, 1, 2, 3, 4, 0x81, 0xc7, 5, 6, 7, 8, 0xc3});
    blocks.add(kPlace, 7, page.data(), insns);
  }
};

TEST_F(PatchedBlocksTest, ConstantsAreTheLastBytes) {
  EXPECT_EQ(constant_of({0xb8, 1, 0, 0, 0, 0xc3}), 4u);                          // MOV EAX
  EXPECT_EQ(constant_of({0x49, 0xbb, 1, 0, 0, 0, 0, 0, 0, 0, 0xc3}), 8u);        // MOV R11, 64 bits
  EXPECT_EQ(constant_of({0x48, 0xc7, 0xc0, 1, 0, 0, 0, 0xc3}), 4u);              // MOV RAX, sign-extended
  EXPECT_EQ(constant_of({0x48, 0x81, 0xf9, 1, 0, 0, 0, 0xc3}), 4u);              // CMP RCX
  EXPECT_EQ(constant_of({0xf7, 0xc1, 1, 0, 0, 0, 0xc3}), 4u);                    // TEST ECX
  EXPECT_EQ(constant_of({0x67, 0x48, 0x8d, 0x84, 0x3e, 1, 0, 0, 0, 0xc3}), 4u);  // LEA RAX, [ESI+EDI+1]
}

TEST_F(PatchedBlocksTest, OthersAreNotLive) {
  EXPECT_EQ(constant_of({0x83, 0xc0, 1, 0xc3}), 0u);                 // ADD EAX, a byte
  EXPECT_EQ(constant_of({0x66, 0x05, 1, 0, 0xc3}), 0u);              // ADD AX
  EXPECT_EQ(constant_of({0x81, 0x00, 1, 0, 0, 0, 0xc3}), 0u);        // ADD [RAX]
  EXPECT_EQ(constant_of({0x8b, 0x80, 1, 0, 0, 0, 0xc3}), 0u);        // MOV EAX, [RAX+1]
  EXPECT_EQ(constant_of({0x48, 0x8d, 0x05, 1, 0, 0, 0, 0xc3}), 0u);  // LEA RAX, [RIP+1]
  EXPECT_EQ(constant_of({0x48, 0x8d, 0x40, 1, 0xc3}), 0u);           // LEA RAX, [RAX+1]
  EXPECT_EQ(constant_of({0x69, 0xc1, 1, 0, 0, 0, 0xc3}), 0u);        // IMUL EAX, ECX
  EXPECT_EQ(constant_of({0xe8, 1, 0, 0, 0}), 0u);                    // CALL
}

TEST_F(PatchedBlocksTest, StoresOfConstantsOnlyLeaveABlock) {
  add();
  EXPECT_TRUE(blocks.may_stay(kPlace, 1, 4));
  EXPECT_TRUE(blocks.may_stay(kPlace, 4, 1));
  EXPECT_TRUE(blocks.may_stay(kPlace, 7, 4));
  EXPECT_FALSE(blocks.may_stay(kPlace, 0, 4));   // an opcode
  EXPECT_FALSE(blocks.may_stay(kPlace, 4, 2));   // the next one's
  EXPECT_FALSE(blocks.may_stay(kPlace, 8, 4));   // the last's
  EXPECT_FALSE(blocks.may_stay(kPlace, 12, 4));  // what follows
  EXPECT_FALSE(blocks.may_stay(kPlace, -2, 4));
  EXPECT_FALSE(blocks.may_stay(kPlace + 1, 1, 4));
}

TEST_F(PatchedBlocksTest, TooManyStoresAtATimeDropABlock) {
  add();
  unsigned stays = 0;
  while (stays < 1000 && blocks.may_stay(kPlace, 1, 4)) ++stays;
  EXPECT_GT(stays, 1u);
  EXPECT_LT(stays, 1000u);
}

TEST_F(PatchedBlocksTest, ComesBackWithOtherConstants) {
  add();
  EXPECT_EQ(blocks.revive(kPlace, page.data()).kind, Kind::kUnknown) << "it has not been dropped";
  blocks.note_drop(kPlace, {{1, 2, 3, 4, 5}});
  page[1] = 0x99;
  page[10] = 0x88;
  const PatchedBlocks::Revival revival = blocks.revive(kPlace, page.data());
  EXPECT_EQ(revival.kind, Kind::kSame);
  EXPECT_EQ(revival.id, 7u);
  EXPECT_EQ(revival.entry.bytes[4], 5);
  EXPECT_EQ(blocks.revive(kPlace, page.data()).kind, Kind::kUnknown) << "it is back";
}

TEST_F(PatchedBlocksTest, DoesNotComeBackAsSomethingElse) {
  for (const size_t at : {size_t{0}, size_t{5}, size_t{6}, size_t{11}}) {
    add();
    blocks.note_drop(kPlace, {});
    page[at] ^= 1;
    EXPECT_EQ(blocks.revive(kPlace, page.data()).kind, Kind::kReshaped) << at;
    page[at] ^= 1;
    EXPECT_EQ(blocks.revive(kPlace, page.data()).kind, Kind::kUnknown) << "it is forgotten";
  }
}

TEST_F(PatchedBlocksTest, ForgetsWhatIsEvicted) {
  add();
  blocks.note_drop(kPlace, {});
  blocks.forget(0, 7);
  blocks.forget(8, 100);
  EXPECT_EQ(blocks.revive(kPlace, page.data()).kind, Kind::kSame);
  blocks.note_drop(kPlace, {});
  blocks.forget(7, 1);
  EXPECT_EQ(blocks.revive(kPlace, page.data()).kind, Kind::kUnknown);
}

}  // namespace
}  // namespace orrery::jit
#endif
