// Which accesses of a block one check stands for.
#if defined(ORRERY_JIT)
#include "jit/analysis/memory_groups.h"

#include <gtest/gtest.h>

#include "cpu/cpuid/model.h"

namespace orrery::jit {
namespace {

struct MemoryGroupsTest : testing::Test {
  cpu::Decoder decoder{*cpu::find_cpu_model("x86-64-v3")};
  BlockScanner scanner{decoder};
  std::array<u8, 4096> page{};
  std::vector<GuestInsn> insns;
  static constexpr u32 kInterchangeable = 0xff;  // RAX to RDI

  MemoryGroups groups_of(std::initializer_list<u8> code) {
    std::copy(code.begin(), code.end(), page.data());
    scanner.scan(page.data(), page.data() + page.size(), cpu::decode_key::kBits64, kMaxBlockInsns, insns);
    for (GuestInsn& g : insns) g.plan = g.z.mnemonic == ZYDIS_MNEMONIC_JZ ? Plan::kBranch : Plan::kRewrite;
    return find_memory_groups(0, insns, kMaxGroups, kInterchangeable);
  }
};

TEST_F(MemoryGroupsTest, OneBaseIsOneGroup) {
  const MemoryGroups made = groups_of({0x48, 0x8b, 0x47, 0x10,    // MOV RAX, [RDI+16]
                                       0x48, 0x89, 0x47, 0x08,    // MOV [RDI+8], RAX
                                       0x48, 0x83, 0xc7, 0x20,    // ADD RDI, 32
                                       0x48, 0x8b, 0x0f,          // MOV RCX, [RDI]
                                       0x48, 0x8b, 0x3f, 0xc3});  // MOV RDI, [RDI]; RET
  ASSERT_EQ(made.groups.size(), 1u);
  EXPECT_EQ(made.groups[0].low, 8);
  EXPECT_EQ(made.groups[0].high, 40);
  EXPECT_TRUE(made.groups[0].write);
  EXPECT_EQ(made.groups[0].last, 4u);
}

TEST_F(MemoryGroupsTest, AReadBeforeAJumpDoesNotAskForAWriteBehindIt) {
  const MemoryGroups made = groups_of({0x48, 0x8b, 0x47, 0x10,    // MOV RAX, [RDI+16]
                                       0x48, 0x8b, 0x4f, 0x18,    // MOV RCX, [RDI+24]
                                       0x74, 0x40,                // JZ
                                       0x48, 0x89, 0x47, 0x08,    // MOV [RDI+8], RAX
                                       0x48, 0x89, 0x0f, 0xc3});  // MOV [RDI], RCX; RET
  ASSERT_EQ(made.groups.size(), 2u);
  EXPECT_FALSE(made.groups[0].write);
  EXPECT_EQ(made.groups[0].last, 1u);
  EXPECT_TRUE(made.groups[1].write);
  EXPECT_EQ(made.groups[1].first, 3u);
}

TEST_F(MemoryGroupsTest, TheStackIsTakenToBeWritable) {
  const MemoryGroups made = groups_of({0x48, 0x8b, 0x44, 0x24, 0x10,          // MOV RAX, [RSP+16]
                                       0x74, 0x40,                            // JZ
                                       0x48, 0x89, 0x44, 0x24, 0x08, 0xc3});  // MOV [RSP+8], RAX; RET
  ASSERT_EQ(made.groups.size(), 1u);
  EXPECT_TRUE(made.groups[0].write);
}

TEST_F(MemoryGroupsTest, ACopyIsTheSameBaseUntilEitherChanges) {
  const MemoryGroups made = groups_of({0x48, 0x89, 0xfb,                // MOV RBX, RDI
                                       0x48, 0x8b, 0x47, 0x10,          // MOV RAX, [RDI+16]
                                       0x48, 0x8d, 0x73, 0x20,          // LEA RSI, [RBX+32]
                                       0x48, 0x83, 0xc7, 0x08,          // ADD RDI, 8
                                       0x48, 0x8b, 0x4e, 0x08,          // MOV RCX, [RSI+8]
                                       0x48, 0x8b, 0x17,                // MOV RDX, [RDI]
                                       0x48, 0x8b, 0x1b,                // MOV RBX, [RBX]
                                       0x48, 0x8b, 0x0b,                // MOV RCX, [RBX]
                                       0x48, 0x8b, 0x53, 0x08, 0xc3});  // MOV RDX, [RBX+8]; RET
  ASSERT_EQ(made.groups.size(), 2u);
  EXPECT_EQ(made.groups[0].first, 1u);
  EXPECT_EQ(made.groups[0].last, 6u);
  EXPECT_EQ(made.groups[0].low, 0);
  EXPECT_EQ(made.groups[0].high, 48);
  EXPECT_EQ(made.accesses[4].displacement, 8);
  EXPECT_EQ(made.accesses[5].position, 8);
  EXPECT_EQ(made.groups[1].first, 7u);
}

TEST_F(MemoryGroupsTest, OnlyInterchangeableRegistersShareACheck) {
  const MemoryGroups made = groups_of({0x49, 0x89, 0xf9,          // MOV R9, RDI
                                       0x48, 0x8b, 0x07,          // MOV RAX, [RDI]
                                       0x49, 0x8b, 0x01, 0xc3});  // MOV RAX, [R9]; RET
  EXPECT_TRUE(made.groups.empty());
}

TEST_F(MemoryGroupsTest, ABaseWithAnIndexIsAnother) {
  const MemoryGroups made = groups_of({0x48, 0x8b, 0x04, 0xcf,          // MOV RAX, [RDI+RCX*8]
                                       0x48, 0x8b, 0x17,                // MOV RDX, [RDI]
                                       0x48, 0x8b, 0x14, 0x8f,          // MOV RDX, [RDI+RCX*4]
                                       0x48, 0x83, 0xc1, 0x02,          // ADD RCX, 2
                                       0x48, 0x89, 0x44, 0xcf, 0x08,    // MOV [RDI+RCX*8+8], RAX
                                       0x31, 0xc9,                      // XOR ECX, ECX
                                       0x48, 0x89, 0x04, 0xcf, 0xc3});  // MOV [RDI+RCX*8], RAX; RET
  ASSERT_EQ(made.groups.size(), 1u);
  EXPECT_EQ(made.groups[0].first, 0u);
  EXPECT_EQ(made.groups[0].last, 4u);
  EXPECT_TRUE(made.groups[0].write);
  EXPECT_EQ(made.groups[0].low, 0);
  EXPECT_EQ(made.groups[0].high, 32);
}

}  // namespace
}  // namespace orrery::jit
#endif
