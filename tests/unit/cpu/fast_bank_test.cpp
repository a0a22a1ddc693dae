// The quick TLB's code pages: when what was found by them may not be used any more.
#include <gtest/gtest.h>

#include "cpu/paging/tlb.h"

namespace orrery::cpu {
namespace {

constexpr u64 kPage = 0x7000'0000'0000, kOther = kPage + FastCode::kEntries * u64{4096};

struct FastBankCode : testing::Test {
  std::unique_ptr<FastBank> bank = std::make_unique<FastBank>();
  u64 page_at(u64 linear) { return bank->code().page[FastBank::code_index_of(linear)]; }
};

TEST_F(FastBankCode, APageThatGoesMakesANewGeneration) {
  bank->fill_code(kPage, 5, false);
  const u64 before = bank->code_generation();
  bank->flush_page(kPage + 0x1000);
  EXPECT_EQ(bank->code_generation(), before);
  bank->flush_page(kPage);
  EXPECT_NE(bank->code_generation(), before);
  EXPECT_NE(page_at(kPage), kPage);
}

// Its translation still holds: only the quick TLB has no room for both.
TEST_F(FastBankCode, APageThatIsDisplacedDoesNot) {
  bank->fill_code(kPage, 5, false);
  const u64 before = bank->code_generation();
  bank->fill_code(kOther, 6, false);
  EXPECT_EQ(bank->code_generation(), before);
  EXPECT_EQ(page_at(kPage), kOther);
  // When it goes afterwards it does.
  bank->flush_page(kPage);
  EXPECT_NE(bank->code_generation(), before);
}

TEST_F(FastBankCode, AFlushMakesANewGenerationForDisplacedPages) {
  bank->fill_code(kPage, 5, false);
  const u64 before = bank->code_generation();
  bank->fill_code(kOther, 6, true);
  bank->flush_non_global();
  EXPECT_NE(bank->code_generation(), before);
}

}  // namespace
}  // namespace orrery::cpu
