// Which accesses of a loop are expected in the page of the turn before.
#if defined(ORRERY_JIT)
#include "jit/analysis/loop_addresses.h"

#include <gtest/gtest.h>

#include "cpu/cpuid/model.h"

namespace orrery::jit {
namespace {

struct LoopAddressesTest : testing::Test {
  cpu::Decoder decoder{*cpu::find_cpu_model("x86-64-v3")};
  BlockScanner scanner{decoder};
  std::array<u8, 4096> page{};
  std::vector<GuestInsn> insns;

  std::vector<bool> steady(std::initializer_list<u8> code) {
    std::copy(code.begin(), code.end(), page.data());
    scanner.scan(page.data(), page.data() + page.size(), cpu::decode_key::kBits64, kMaxBlockInsns, insns);
    for (GuestInsn& g : insns) g.plan = g.z.mnemonic == ZYDIS_MNEMONIC_RET ? Plan::kBranch : Plan::kRewrite;
    std::vector<bool> found = find_steady_addresses(insns);
    found.pop_back();  // RET's
    return found;
  }
  using Steady = std::vector<bool>;
};

TEST_F(LoopAddressesTest, WhatIsMadeOfRegistersThatStepLittle) {
  EXPECT_EQ(steady({0x48, 0x8d, 0x34, 0x0f,          // LEA RSI, [RDI+RCX]
                    0x89, 0xd8,                      // MOV EAX, EBX
                    0x48, 0x8b, 0x14, 0xc6,          // MOV RDX, [RSI+RAX*8]
                    0x48, 0x83, 0xc3, 0x01, 0xc3}),  // ADD RBX, 1; RET
            (Steady{true, true, true, true}));
}

TEST_F(LoopAddressesTest, NotAChainOfPointersNorWhatDependsOnIt) {
  EXPECT_EQ(steady({0x48, 0x8b, 0x00,          // MOV RAX, [RAX]
                    0x48, 0x8d, 0x58, 0x08,    // LEA RBX, [RAX+8]
                    0x48, 0x8b, 0x0b,          // MOV RCX, [RBX]
                    0x48, 0x8b, 0x16,          // MOV RDX, [RSI]
                    0x48, 0x01, 0xd7,          // ADD RDI, RDX
                    0x48, 0x01, 0xcd,          // ADD RBP, RCX
                    0x48, 0x8b, 0x4d, 0x00,    // MOV RCX, [RBP]
                    0x48, 0x8b, 0x0f, 0xc3}),  // MOV RCX, [RDI]; RET
            (Steady{false, false, false, true, true, true, false, true}));
}

TEST_F(LoopAddressesTest, WhatIsReadFromTheFrameStaysUnlessItIsStoredThere) {
  EXPECT_EQ(steady({0x48, 0x8b, 0x45, 0x10,          // MOV RAX, [RBP+16]
                    0x8a, 0x08,                      // MOV CL, [RAX]
                    0x48, 0x8b, 0x5d, 0x18,          // MOV RBX, [RBP+24]
                    0x8a, 0x0b,                      // MOV CL, [RBX]
                    0x48, 0x89, 0x4d, 0x18, 0xc3}),  // MOV [RBP+24], RCX; RET
            (Steady{true, true, true, false, true}));
}

TEST_F(LoopAddressesTest, NotLongStepsNorAnythingElse) {
  EXPECT_EQ(steady({0x8a, 0x06,                                // MOV AL, [RSI]
                    0x48, 0x81, 0xc6, 0x00, 0x10, 0x00, 0x00,  // ADD RSI, 4096
                    0x8a, 0x07,                                // MOV AL, [RDI]
                    0x48, 0x0f, 0xaf, 0xfb,                    // IMUL RDI, RBX
                    0x8a, 0x01,                                // MOV AL, [RCX]
                    0x88, 0xc1, 0xc3}),                        // MOV CL, AL; RET
            (Steady{false, true, false, true, false, true}));
}

}  // namespace
}  // namespace orrery::jit
#endif
