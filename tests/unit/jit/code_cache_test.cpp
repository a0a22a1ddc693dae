// The code cache by itself: blocks without meaning, their links, and what an eviction leaves behind.
#if defined(ORRERY_JIT)
#include "jit/code_cache.h"

#include <gtest/gtest.h>

#include "jit/translator_config.h"

namespace orrery::jit {
namespace {

constexpr u32 kCodeBytes = 8 << 10;

using Targets = cpu::Vcpu::JumpTable::Targets;

/// As translated code does.
void put(Targets& targets, u64 linear) {
  const u32 index = Targets::index_of(linear);
  targets.entries[index] = {.linear = linear, .code = 1};
  if (targets.note_count < Targets::kNoted)
    targets.noted[targets.note_count] = index * static_cast<u32>(sizeof(Targets::Target));
  ++targets.note_count;
}

struct CodeCacheTest : testing::Test {
  std::unique_ptr<cpu::Vcpu::JumpTable> table = std::make_unique<cpu::Vcpu::JumpTable>();
  std::unique_ptr<memory::Ram> ram = std::move(memory::Ram::create("test", 1 << 20)).value();
  CodeCache cache{*ram, std::move(CodeArena::create(kMinCacheBytes)).value()};

  CodeCacheTest() {
    cache.add_jump_table(*table);
    cache.arena().take(100);
    cache.keep_stubs();
  }

  /// A block for the guest bytes at `offset` of RAM with one link: its jump at 8, its exit at 64.
  BlockId add(u64 offset, u64 second_page = 0) {
    if (!cache.has_room()) last_gone = cache.make_room();
    Block b;
    b.host = ram->data() + offset;
    if (second_page != 0) b.host2 = ram->data() + second_page;
    b.code = cache.arena().take(kCodeBytes);
    b.leave = b.code + 128;
    b.code_bytes = kCodeBytes;
    b.offset_in_page = offset % memory::kPageBytes;
    b.count = 1;
    b.bytes = 4;
    std::vector<Site> sites{{.block = cache.next_block(), .resume = 32}};
    std::vector<Link> links{
        {.block = cache.next_block(), .target = 0x1000, .jump = 9, .exit = 64, .frame = 32}};
    return cache.add(b, sites, links, {cpu::Insn{}}, {0});
  }
  /// Where the jump of `id`'s link leads, as an arena offset.
  u32 leads_to(BlockId id) {
    const Link& l = cache.link(cache.block(id).first_link);
    i32 distance = 0;
    std::memcpy(&distance, cache.arena().executable(l.jump), sizeof distance);
    return l.jump + 4 + static_cast<u32>(distance);
  }
  bool translated(u64 offset) {
    return (ram->flags(offset / memory::kPageBytes) & memory::frame_flag::kTranslated) != 0;
  }
  std::optional<CodeCache::Gone> last_gone;
};

TEST_F(CodeCacheTest, TheOldestUnitGoesFirstAndTakesWhatLeadsIntoIt) {
  const BlockId oldest = add(0x1000, 0x2000);
  const u32 oldest_code = cache.block(oldest).code;
  const u64 oldest_place = cache.place_of(cache.block(oldest).host, 0);
  // Fill everything else; the last blocks lie in the last unit.
  BlockId last = oldest;
  while (cache.units_evicted == 0 && (last >> kUnitShift) != kUnits - 1) last = add(0x8000);
  ASSERT_EQ(last >> kUnitShift, kUnits - 1);
  const BlockId other = add(0x3000);
  cache.connect(cache.block(last).first_link, oldest);
  cache.connect(cache.block(other).first_link, oldest);
  cache.connect(cache.block(oldest).first_link, other);
  EXPECT_EQ(leads_to(last), oldest_code);
  cache.put_target(*table, oldest_place, oldest);
  EXPECT_TRUE(translated(0x1000) && translated(0x2000) && translated(0x3000));

  while (cache.units_evicted == 0) add(0x9000);
  EXPECT_EQ(last_gone, CodeCache::Gone::kUnit);
  EXPECT_EQ(cache.find(ram->data() + 0x1000, 0), kNone);
  EXPECT_EQ(leads_to(last), cache.link(cache.block(last).first_link).exit);
  EXPECT_EQ(leads_to(other), cache.link(cache.block(other).first_link).exit);
  EXPECT_EQ(cache.block(other).incoming, kNone);
  EXPECT_EQ(table->place[jump_index(oldest_place)], 0u);
  EXPECT_FALSE(translated(0x1000) || translated(0x2000));
  EXPECT_TRUE(translated(0x3000));
  EXPECT_EQ(cache.find(ram->data() + 0x3000, 0), other);
  // A block of the freed unit takes the place, and links again.
  const BlockId again = add(0x1000);
  EXPECT_EQ(again >> kUnitShift, 0u);
  cache.connect(cache.block(other).first_link, again);
  EXPECT_EQ(leads_to(other), cache.block(again).code);
}

TEST_F(CodeCacheTest, AStoreDropsWhatItOverlapsInEitherPage) {
  const BlockId one = add(0x1ffe, 0x2000), two = add(0x1800), twice = add(0x4ffe, 0x4000);
  ram->note_write(0x2001, 1);
  EXPECT_EQ(cache.block(one).host, nullptr);
  EXPECT_NE(cache.block(two).host, nullptr);
  EXPECT_FALSE(translated(0x2000));
  EXPECT_TRUE(translated(0x1000));
  // Both pages of a block may be one frame.
  ram->note_write(0x4001, 1);
  EXPECT_EQ(cache.block(twice).host, nullptr);
  EXPECT_FALSE(translated(0x4000));
  ram->note_write(0x1802, 1);
  EXPECT_FALSE(translated(0x1000));
}

TEST_F(CodeCacheTest, WhoEntersADroppedBlockLeaves) {
  const BlockId one = add(0x1800), two = add(0x2800);
  const auto leads_out = [&](BlockId id) {
    const Block& b = cache.block(id);
    const u8* const at = cache.arena().executable(b.code);
    i32 distance = 0;
    std::memcpy(&distance, at + 1, sizeof distance);
    return at[0] == 0xe9 && b.code + 5 + static_cast<u32>(distance) == b.leave;
  };
  ram->note_write(0x2801, 1);
  EXPECT_FALSE(leads_out(one));
  EXPECT_TRUE(leads_out(two));
  EXPECT_EQ(cache.block(two).offset_in_page, 0x800);
  // Its table forgets it when somebody has.
  constexpr u64 kTarget = 0x7000'1800;
  auto& entry = table->targets[0].entries[Targets::index_of(kTarget)];
  entry = {.linear = kTarget, .code = 1};
  CodeCache::forget_target(table->targets[0], kTarget);
  EXPECT_NE(entry.linear, kTarget);
}

TEST_F(CodeCacheTest, NoTargetLeadsIntoAnEvictedUnit) {
  add(0x1000);
  constexpr u64 kTarget = 0x7000'1800;
  put(table->targets[2], kTarget);
  while (cache.units_evicted == 0) add(0x9000);
  EXPECT_NE(table->targets[2].entries[Targets::index_of(kTarget)].linear, kTarget);
}

// What stands where nothing has been put, or what has been is gone, is no address that belongs there.
TEST_F(CodeCacheTest, NoAddressIsATargetThatWasNotPutIn) {
  Targets& targets = table->targets[1];
  const auto all_empty = [&] {
    for (u32 i = 0; i < Targets::kEntries; ++i) {
      if (Targets::index_of(targets.entries[i].linear) == i) return false;
    }
    return true;
  };
  EXPECT_TRUE(all_empty());
  for (const u64 linear : {u64{0}, u64{1}, u64{0x40'1000}, u64{0xffff'ffff'8100'0000}}) put(targets, linear);
  EXPECT_FALSE(all_empty());
  targets.clear();
  EXPECT_TRUE(all_empty());
  // More than are noted.
  for (u64 linear = 0; linear < 2 * Targets::kNoted; ++linear) put(targets, linear);
  targets.clear();
  EXPECT_TRUE(all_empty());
  EXPECT_EQ(targets.note_count, 0u);
}

TEST_F(CodeCacheTest, WithoutRoomForStubsEverythingGoes) {
  const BlockId id = add(0x1000);
  u32 first_stub = 0;
  cache.add_stubs([&] { first_stub = cache.arena().take(2048); });
  const u32 block_code = cache.block(id).code;
  EXPECT_LT(first_stub, block_code);
  while (cache.has_room()) cache.add_stubs([&] { cache.arena().take(2048); });
  EXPECT_EQ(cache.make_room(), CodeCache::Gone::kEverything);
  EXPECT_EQ(cache.find(ram->data() + 0x1000, 0), kNone);
  EXPECT_FALSE(translated(0x1000));
  u32 stub = 0;
  cache.add_stubs([&] { stub = cache.arena().take(2048); });
  EXPECT_EQ(stub, first_stub);
  EXPECT_EQ(cache.block(add(0x1000)).code, block_code);
}

}  // namespace
}  // namespace orrery::jit
#endif
