// The code cache by itself: blocks without meaning, their links, and what an eviction leaves behind.
#if defined(ORRERY_JIT)
#include "jit/code_cache.h"

#include <gtest/gtest.h>

#include "jit/translator_config.h"

namespace orrery::jit {
namespace {

constexpr u32 kCodeBytes = 8 << 10;
constexpr u32 kLinkStub = 16, kGoneStub = 32;

using Targets = cpu::Vcpu::JumpTable::Targets;

/// As translated code does.
void put(Targets& targets, u64 linear) {
  const u32 index = Targets::index_of(linear);
  targets.entries[index] = {.linear = linear, .code = 1};
  if (targets.note_count < Targets::kNoted) targets.noted[targets.note_count] = Targets::place_of(linear);
  ++targets.note_count;
}

struct CodeCacheTest : testing::Test {
  std::unique_ptr<cpu::Vcpu::JumpTable> table = std::make_unique<cpu::Vcpu::JumpTable>();
  std::unique_ptr<memory::Ram> ram = std::move(memory::Ram::create("test", 1 << 20)).value();
  CodeCache cache{*ram, std::move(CodeArena::create(kMinCacheBytes)).value()};

  CodeCacheTest() {
    cache.add_jump_table(*table);
    cache.arena().take(100);
    cache.keep_stubs(kLinkStub, kGoneStub);
  }

  /// A block for the guest bytes at `offset` of RAM. Its first link jumps at 8, to the call at 64 while it
  /// leads nowhere; its second is a call at 80 itself then. Calls lead out of its sites up to 40, never, and
  /// up to 50.
  BlockId add(u64 offset, u64 second_page = 0, u32 bytes = kCodeBytes) {
    if (!cache.has_room()) last_gone = cache.make_room();
    Block b;
    b.host = ram->data() + offset;
    if (second_page != 0) b.host2 = ram->data() + second_page;
    b.code = cache.arena().take(bytes);
    b.code_bytes = bytes;
    b.offset_in_page = offset % memory::kPageBytes;
    b.count = 1;
    b.bytes = 4;
    const BlockId id = cache.next_block();
    std::vector<Site> sites{{.block = id, .exit = 40, .resume = 32},
                            {.block = id, .resume = kNone, .link = cache.next_link()},
                            {.block = id, .exit = 50, .resume = 32}};
    std::vector<Link> links{{.block = id, .target = 0x1000, .jump = 9, .exit = 64 + kCallBytes, .frame = 32},
                            {.block = id, .target = 0x10, .jump = 81, .exit = 80 + kCallBytes}};
    return cache.add(b, sites, links, {cpu::Insn{}}, {0});
  }
  /// Where the jump of `id`'s link leads, as an arena offset.
  u32 leads_to(BlockId id, unsigned which = 0) {
    const Link& l = cache.link(cache.block(id).first_link + which);
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
  EXPECT_EQ(leads_to(last), cache.block(last).code + 64);
  EXPECT_EQ(leads_to(other), cache.block(other).code + 64);
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

TEST_F(CodeCacheTest, ADroppedBlockComesBackWithItsCodeAndItsPage) {
  using Kind = PatchedBlocks::Revival::Kind;
  const u8* const code = ram->data() + 0x1800;
  const BlockId id = add(0x1800), other = add(0x2800);
  std::vector<GuestInsn> insns(1);
  insns[0].offset = 0;
  insns[0].insn.length = 4;
  cache.add_patched(id, insns);
  u8* const entry = cache.arena().writable(cache.block(id).code);
  std::memcpy(entry, "entry", kCallBytes);
  cache.connect(cache.block(other).first_link, id);
  // What lies straight behind it is no part of it.
  ram->note_write(0x1804, 1);
  EXPECT_EQ(cache.find(code, 0), id);
  ram->note_write(0x1803, 1);
  EXPECT_EQ(cache.find(code, 0), kNone);
  EXPECT_FALSE(translated(0x1000));
  EXPECT_NE(std::memcmp(entry, "entry", kCallBytes), 0);
  EXPECT_TRUE(cache.overwritten.empty());

  EXPECT_EQ(cache.revive(code, 0), Kind::kSame);
  EXPECT_EQ(cache.find(code, 0), id);
  EXPECT_TRUE(translated(0x1000));
  EXPECT_EQ(std::memcmp(entry, "entry", kCallBytes), 0);
  EXPECT_EQ(leads_to(other), cache.block(other).code + 64) << "whoever led there has to find it again";
  cache.connect(cache.block(other).first_link, id);
  EXPECT_EQ(leads_to(other), cache.block(id).code);

  ram->note_write(0x1800, 1);
  ram->data()[0x1800] = 1;
  EXPECT_EQ(cache.revive(code, 0), Kind::kReshaped);
  EXPECT_EQ(cache.find(code, 0), kNone);
}

TEST_F(CodeCacheTest, ADroppedBlockGoesWithItsUnit) {
  const BlockId id = add(0x1800);
  std::vector<GuestInsn> insns(1);
  insns[0].offset = 0;
  insns[0].insn.length = 4;
  cache.add_patched(id, insns);
  ram->note_write(0x1800, 1);
  while (cache.units_evicted == 0) add(0x9000);
  EXPECT_EQ(cache.revive(ram->data() + 0x1800, 0), PatchedBlocks::Revival::Kind::kUnknown);
}

TEST_F(CodeCacheTest, WhoEntersADroppedBlockLeaves) {
  const BlockId one = add(0x1800), two = add(0x2800);
  const auto leads_out = [&](BlockId id) {
    const Block& b = cache.block(id);
    const u8* const at = cache.arena().executable(b.code);
    i32 distance = 0;
    std::memcpy(&distance, at + 1, sizeof distance);
    return at[0] == kCallOpcode && b.code + kCallBytes + static_cast<u32>(distance) == kGoneStub;
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

TEST_F(CodeCacheTest, ALinkWithoutACodeOfItsOwnIsACallUntilItLeadsSomewhere) {
  const BlockId one = add(0x1800), two = add(0x1900);
  const LinkId link = cache.block(one).first_link + 1;
  const auto opcode = [&] { return *cache.arena().executable(cache.link(link).jump - 1); };
  cache.connect(link, two);
  EXPECT_EQ(opcode(), kJumpOpcode);
  EXPECT_EQ(leads_to(one, 1), cache.block(two).code);
  ram->note_write(0x1901, 1);
  EXPECT_EQ(opcode(), kCallOpcode);
  EXPECT_EQ(leads_to(one, 1), kLinkStub);
}

TEST_F(CodeCacheTest, WhatCalledIsFoundByWhereTheCallEnds) {
  std::vector<BlockId> blocks;
  while ((cache.next_block() >> kUnitShift) < 2) {
    const u64 n = blocks.size();
    blocks.push_back(add(0x1000 + 16 * (n % 64), 0, n % 8 == 0 ? kCodeBytes : 96));
  }
  ram->note_write(0x1000, 1);  // the code of those that are dropped stays
  for (const BlockId id : blocks) {
    const Block& b = cache.block(id);
    EXPECT_EQ(cache.block_at(b.code), id);
    EXPECT_EQ(cache.block_at(b.code + b.code_bytes - 1), id);
    EXPECT_EQ(cache.site_at(b.code + 36), b.first_site);
    EXPECT_EQ(cache.site_at(b.code + 40), b.first_site);
    EXPECT_EQ(cache.site_at(b.code + 41), b.first_site + 2);
    EXPECT_EQ(cache.site_at(b.code + 50), b.first_site + 2);
    EXPECT_EQ(cache.site_at(b.code + 64 + kCallBytes), b.first_site + 1);
    EXPECT_EQ(cache.link_at(b.code + 64 + kCallBytes), b.first_link);
    EXPECT_EQ(cache.link_at(b.code + 80 + kCallBytes), b.first_link + 1);
  }
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

// The link's jump stands behind an ADD, as that of a side exit does.
TEST_F(CodeCacheTest, ASideExitPaysForItsTargetAtOnce) {
  const BlockId from = add(0x1000), to = add(0x1100), large = add(0x1200);
  cache.block(to).count = 7;
  cache.block(large).count = 300;
  Link& link = cache.link(cache.block(from).first_link + 1);
  link.ticks_back = 12;
  const auto added = [&] { return static_cast<i8>(*cache.arena().executable(link.jump - 2)); };
  *cache.arena().writable(link.jump - 2) = 12;

  const LinkId id = cache.block(from).first_link + 1;
  cache.connect(id, to);
  EXPECT_EQ(added(), 12 - 7);
  EXPECT_EQ(leads_to(from, 1), cache.block(to).code + kPayBytes);
  cache.connect(id, large);  // it costs more than a byte can say
  EXPECT_EQ(added(), 12);
  EXPECT_EQ(leads_to(from, 1), cache.block(large).code);
  cache.connect(id, to);
  cache.code_written(ram->frame_of(ram->data() + 0x1100), 0x100, 1);
  EXPECT_EQ(added(), 12);
  EXPECT_EQ(leads_to(from, 1), kLinkStub);
}

}  // namespace
}  // namespace orrery::jit
#endif
