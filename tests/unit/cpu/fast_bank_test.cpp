// The quick TLB's code pages: when what was found by them may not be used any more.
#include <gtest/gtest.h>

#include <map>
#include <random>

#include "cpu/paging/tlb.h"

namespace orrery::cpu {
namespace {

constexpr u64 kPage = 0x7000'0000'0000, kOther = kPage + FastCode::kEntries * u64{4096};

struct FastBankCode : testing::Test {
  std::unique_ptr<FastBank> bank = std::make_unique<FastBank>();
  u64 frame_of(u64 page) { return bank->code().frame_of(page); }
};

TEST_F(FastBankCode, APageThatGoesMakesANewGeneration) {
  bank->fill_code(kPage, 5, false);
  const u64 before = bank->code_generation();
  bank->flush_page(kPage + 0x1000);
  EXPECT_EQ(bank->code_generation(), before);
  bank->flush_page(kPage);
  EXPECT_NE(bank->code_generation(), before);
  EXPECT_GE(frame_of(kPage), FastCode::kFrames);
}

// Its translation still holds: only the quick TLB has no room for both.
TEST_F(FastBankCode, APageThatIsDisplacedDoesNot) {
  bank->fill_code(kPage, 5, false);
  const u64 before = bank->code_generation();
  bank->fill_code(kOther, 6, false);
  EXPECT_EQ(bank->code_generation(), before);
  EXPECT_EQ(frame_of(kOther), 6u);
  EXPECT_GE(frame_of(kPage), FastCode::kFrames);
  // When it goes afterwards it does.
  bank->flush_page(kPage);
  EXPECT_NE(bank->code_generation(), before);
}

// Whatever an entry holds, it is the frame of its own page only: not of one that isn't canonical, either.
TEST_F(FastBankCode, NoOtherPageHasAFrame) {
  const auto nobody_has = [&](unsigned index) {
    for (const u64 high : {u64{0}, u64{1} << 25, u64{1} << 39, u64{1} << 62, u64{1} << 63, ~u64{0} << 25}) {
      if (frame_of(high + (u64{index} << 12)) < FastCode::kFrames) return false;
    }
    return true;
  };
  for (unsigned i = 0; i < FastCode::kEntries; ++i) ASSERT_TRUE(nobody_has(i)) << i;
  bank->fill_code(kPage, FastCode::kFrames - 1, false);
  EXPECT_EQ(frame_of(kPage), FastCode::kFrames - 1);
  EXPECT_TRUE(nobody_has(FastBank::code_index_of(kPage)));
  // A frame that can't be told: nobody has it, but the page that goes makes a generation.
  bank->fill_code(kOther, FastCode::kFrames, false);
  EXPECT_GE(frame_of(kOther), FastCode::kFrames);
  EXPECT_TRUE(nobody_has(FastBank::code_index_of(kOther)));
  const u64 before = bank->code_generation();
  bank->flush_page(kOther);
  EXPECT_NE(bank->code_generation(), before);
}

TEST_F(FastBankCode, AFlushMakesANewGenerationForDisplacedPages) {
  bank->fill_code(kPage, 5, false);
  const u64 before = bank->code_generation();
  bank->fill_code(kOther, 6, true);
  bank->flush_non_global();
  EXPECT_NE(bank->code_generation(), before);
}

// Fills, flushes and drops in any order, next to a plain list of what is there.
TEST(FastBank, DropsExactlyTheWritesToAPage) {
  const auto bank = std::make_unique<FastBank>();
  struct Entry {
    u64 page = 0, host = 0;
    bool write = false;
  };
  std::map<unsigned, Entry> model;
  std::mt19937_64 random(1);
  // Few pages and hosts, so that they meet; hosts of one hash among them.
  const auto some_page = [&] { return (random() % 40) << 12 | (random() % 2) << 40; };
  const auto some_host = [&] { return u64{1} << 32 | (random() % 6) << 12 | (random() % 3) << 27; };
  for (unsigned round = 0; round < 20000; ++round) {
    const u64 page = some_page(), host = some_host();
    switch (random() % 8) {
      case 0:
        bank->drop_writes_to(host);
        for (auto& [index, entry] : model) entry.write = entry.write && entry.host != host;
        break;
      case 1:
        bank->flush_page(page);
        model.erase(FastBank::index_of(page));
        break;
      case 2:
        if (random() % 50 == 0) {
          bank->flush();
          model.clear();
        }
        break;
      default: {
        const bool write = random() % 2 == 0;
        bank->fill(page, host, {.read = true, .write = write, .global = false});
        model[FastBank::index_of(page)] = {page, host, write};
        break;
      }
    }
    const unsigned index = FastBank::index_of(some_page());
    const FastView::Entry& there = bank->view().entries[index];
    const auto known = model.find(index);
    const bool is_there = known != model.end();
    ASSERT_EQ(there.read.page, is_there ? known->second.page : FastBank::invalid_page(index));
    ASSERT_EQ(there.write.page,
              is_there && known->second.write ? known->second.page : FastBank::invalid_page(index));
  }
}

// Who guesses which entry it is compares with any: one without a page must match no address that may be
// accessed, and none of its own index.
TEST(FastBank, EntriesWithoutAPageMatchNoAddress) {
  for (unsigned i = 0; i < FastView::kEntries; ++i) {
    const u64 page = FastBank::invalid_page(i);
    ASSERT_EQ(page % 4096, 0u);
    ASSERT_NE(FastBank::index_of(page), i);
    ASSERT_TRUE(page >> 56 != 0 && page >> 56 != 0xff) << "canonical, even with five levels";
  }
}

}  // namespace
}  // namespace orrery::cpu
