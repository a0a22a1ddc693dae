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

  MemoryGroups groups_of(std::initializer_list<u8> code) {
    std::copy(code.begin(), code.end(), page.data());
    scanner.scan(page.data(), page.data() + page.size(), cpu::decode_key::kBits64, kMaxBlockInsns, insns);
    for (GuestInsn& g : insns) g.plan = g.z.mnemonic == ZYDIS_MNEMONIC_JZ ? Plan::kBranch : Plan::kRewrite;
    return find_memory_groups(0, insns, kMaxGroups);
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

}  // namespace
}  // namespace orrery::jit
#endif
