// Lookup, linking and dropping of translations.
#include "jit/code_cache.h"

#include <algorithm>

#include "base/check.h"
#include "jit/translator_config.h"

namespace orrery::jit {
namespace {

constexpr u32 kLargestBlockBytes = 32 << 10;
constexpr u32 kLargestStubsBytes = 4 << 10;
constexpr size_t kMaxUnitInsns = 512 << 10;
constexpr u32 kPageOfBlocks = 512;

}  // namespace

CodeCache::CodeCache(memory::Ram& ram, std::unique_ptr<CodeArena> arena)
    : ram_(ram), arena_(std::move(arena)), buckets_(kBuckets, kNone), beginnings_(kBeginnings / 64, 0) {
  ram_.add_listener(*this);
  CHECK(arena_->size_bytes() >= kMinCacheBytes);
  const auto unit_bytes =
      static_cast<u32>(align_down((arena_->size_bytes() - kStubBytes) / kUnits, CodeArena::kPieceAlignment));
  for (u32 i = 0; i < kUnits; ++i) {
    units_[i].begin = kStubBytes + i * unit_bytes;
    units_[i].end = units_[i].begin + unit_bytes;
  }
  arena_->select(0, kStubBytes);
}

CodeCache::~CodeCache() {
  ram_.remove_listener(*this);
  for (cpu::Vcpu::JumpTable* const table : jump_tables_) {
    table->place.fill(0);
    for (auto& targets : table->targets) targets.clear();
  }
}

BlockId CodeCache::find(const u8* host, u32 key) const {
  if (!may_begin(host)) return kNone;
  for (BlockId id = buckets_[bucket_of(host, key)]; id != kNone; id = block(id).next_in_bucket) {
    const Block& b = block(id);
    if (b.host == host && b.key == key) return id;
  }
  return kNone;
}

BlockId CodeCache::block_at(u32 at) const {
  const u32 number = (at - kStubBytes) / (units_[0].end - units_[0].begin);
  const Unit& unit = units_[number];
  const size_t page = (at - unit.begin) / kPageOfBlocks + 1;
  size_t found = page < unit.first_blocks.size() ? unit.first_blocks[page] : unit.blocks.size();
  do {
    CHECK(found != 0);
    --found;
  } while (unit.blocks[found].code > at);
  return number << kUnitShift | static_cast<u32>(found);
}

// All calls out of a site stand between the last one of the site before and its own last one; those of links
// that leave at a site stand behind.
SiteId CodeCache::site_at(u32 at) const {
  const Block& b = block(block_at(at - 1));
  const Site* const sites = &unit_of(b.first_site).sites[index_of(b.first_site)];
  u32 found = b.sites;
  for (u32 i = 0; i < b.sites; ++i) {
    if (sites[i].exit >= at && (found == b.sites || sites[i].exit < sites[found].exit)) found = i;
  }
  if (found == b.sites) {
    const LinkId link = link_at(at);
    for (found = 0; found < b.sites && sites[found].link != link; ++found) {
    }
  }
  CHECK(found < b.sites);
  return b.first_site + found;
}

LinkId CodeCache::link_at(u32 at) const {
  const Block& b = block(block_at(at - 1));
  const Link* const links = &unit_of(b.first_link).links[index_of(b.first_link)];
  const Link* const end = links + b.links;
  const Link* const found = std::find_if(links, end, [at](const Link& l) { return l.exit == at; });
  CHECK(found != end);
  return b.first_link + static_cast<u32>(found - links);
}

bool CodeCache::has_room() const {
  return arena_->free_bytes() >= kLargestBlockBytes && units_[current_].insns.size() < kMaxUnitInsns &&
         kStubBytes - stubs_used_ >= kLargestStubsBytes;
}

BlockId CodeCache::add(const Block& made, std::vector<Site>& sites, std::vector<Link>& links,
                       const std::vector<cpu::Insn>& insns, const std::vector<u16>& offsets) {
  const BlockId id = next_block();
  Unit& unit = units_[current_];
  const u32 page = (made.code - unit.begin) / kPageOfBlocks;
  unit.first_blocks.resize(page + 1, static_cast<u32>(unit.blocks.size()));
  Block& b = unit.blocks.emplace_back(made);
  b.first_insn = id_of(unit.insns.size());
  unit.insns.insert(unit.insns.end(), insns.begin(), insns.end());
  unit.offsets.insert(unit.offsets.end(), offsets.begin(), offsets.end());
  b.first_site = next_site();
  b.sites = static_cast<u16>(sites.size());
  for (Site& s : sites) {
    if (s.exit != 0) s.exit += b.code;
    if (s.resume != kNone) s.resume += b.code;
    unit.sites.push_back(s);
  }
  b.first_link = next_link();
  b.links = static_cast<u16>(links.size());
  for (Link& l : links) {
    l.jump += b.code;
    l.exit += b.code;
    if (l.frame != kNone) l.frame += b.code;
    unit.links.push_back(l);
  }
  list_in_bucket(id);
  list_in_frame(id, 0, b.host);
  if (b.host2 != nullptr) list_in_frame(id, 1, b.host2);
  return id;
}

void CodeCache::list_in_bucket(BlockId id) {
  Block& b = block(id);
  BlockId& bucket = buckets_[bucket_of(b.host, b.key)];
  b.next_in_bucket = bucket;
  bucket = id;
  note_beginning(b.host);
}

void CodeCache::add_patched(BlockId id, const std::vector<GuestInsn>& insns) {
  Block& b = block(id);
  b.patched = true;
  patched_.add(place_of(b.host, b.key), id, b.host, insns);
}

PatchedBlocks::Revival::Kind CodeCache::revive(const u8* host, u32 key) {
  const PatchedBlocks::Revival revival = patched_.revive(place_of(host, key), host);
  if (revival.kind != PatchedBlocks::Revival::Kind::kSame) return revival.kind;
  Block& b = block(revival.id);
  b.host = host;
  std::memcpy(arena_->writable(b.code), revival.entry.bytes, sizeof revival.entry.bytes);
  list_in_bucket(revival.id);
  list_in_frame(revival.id, 0, host);
  ++blocks_revived;
  return revival.kind;
}

void CodeCache::list_in_frame(BlockId id, unsigned which, const u8* host) {
  const memory::Frame frame = ram_.frame_of(host);
  FrameBlocks& blocks = frames_[frame];
  block(id).next_in_frame[which] = blocks.head;
  blocks.head = id * 2 + which;
  blocks.writes.note_code();
  if ((ram_.flags(frame) & memory::frame_flag::kTranslated) == 0)
    ram_.set_flag(frame, memory::frame_flag::kTranslated);
}

void CodeCache::unlist_in_frame(BlockId id, unsigned which, const u8* host) {
  const memory::Frame frame = ram_.frame_of(host);
  const auto found = frames_.find(frame);
  CHECK(found != frames_.end());
  u32* at = &found->second.head;
  while (*at != id * 2 + which) at = &block(*at / 2).next_in_frame[*at % 2];
  *at = block(id).next_in_frame[which];
  if (found->second.head != kNone) return;
  ram_.clear_flag(frame, memory::frame_flag::kTranslated);
}

void CodeCache::connect(LinkId id, BlockId to) {
  Link& l = link(id);
  const Block& from = block(l.block);
  if (l.to == to || from.host == nullptr) return;
  Block& target = block(to);
  const memory::Frame frame = ram_.frame_of(target.host);
  // Without a guard it leads to its own frame, or the page has been mapped elsewhere since.
  if (l.frame == kNone && frame != ram_.frame_of(from.host)) return;
  if (l.to != kNone) disconnect(id);
  l.to = to;
  l.previous_incoming = kNone;
  l.next_incoming = target.incoming;
  if (target.incoming != kNone) link(target.incoming).previous_incoming = id;
  target.incoming = id;
  if (l.frame != kNone) {
    const auto wanted = static_cast<u32>(frame);
    std::memcpy(arena_->writable(l.frame), &wanted, sizeof wanted);
  }
  u32 entry = target.code;
  if (pays_for(l, target)) {
    add_ticks_back(l, -i32{target.count});
    entry += kPayBytes;
  }
  if (l.leads_out()) {
    store_branch(l.jump - 1, kJumpOpcode, entry);
  } else {
    store_rel32(l.jump, entry);
  }
  ++links_patched;
}

// One addition for what the block does not run and what the target costs: its sign is what the target's jump
// looks at.
bool CodeCache::pays_for(const Link& l, const Block& target) const {
  return l.ticks_back != 0 && target.host2 == nullptr && target.count <= kMostPaidByByte;
}

void CodeCache::add_ticks_back(const Link& l, i32 ticks) {
  constexpr u32 kBehind = 2;  // the jump's opcode stands between
  i8 byte = 0;
  u8* const at = arena_->writable(l.jump - kBehind);
  std::memcpy(&byte, at, sizeof byte);
  byte = static_cast<i8>(byte + ticks);
  DCHECK(ticks < 0 || byte == l.ticks_back);
  std::memcpy(at, &byte, sizeof byte);
}

void CodeCache::disconnect(LinkId id) {
  Link& l = link(id);
  (l.previous_incoming == kNone ? block(l.to).incoming : link(l.previous_incoming).next_incoming) =
      l.next_incoming;
  if (l.next_incoming != kNone) link(l.next_incoming).previous_incoming = l.previous_incoming;
  if (pays_for(l, block(l.to))) add_ticks_back(l, block(l.to).count);
  l.to = kNone;
  if (l.frame != kNone) std::memcpy(arena_->writable(l.frame), &Link::kNoFrame, sizeof Link::kNoFrame);
  if (l.leads_out()) {
    store_branch(l.jump - 1, kCallOpcode, link_stub_);
  } else {
    store_rel32(l.jump, l.exit - kCallBytes);
  }
}

void CodeCache::drop(BlockId id) {
  Block& b = block(id);
  while (b.incoming != kNone) disconnect(b.incoming);
  for (LinkId l = b.first_link; l < b.first_link + b.links; ++l) {
    if (link(l).to != kNone) disconnect(l);
  }
  BlockId* at = &buckets_[bucket_of(b.host, b.key)];
  while (*at != id) at = &block(*at).next_in_bucket;
  *at = b.next_in_bucket;
  unlist_in_frame(id, 0, b.host);
  if (b.host2 != nullptr) unlist_in_frame(id, 1, b.host2);
  const u32 index = jump_index(place_of(b.host, b.key));
  for (cpu::Vcpu::JumpTable* const table : jump_tables_) {
    if (table->block[index] == id) table->place[index] = 0;
  }
  if (b.patched) {
    PatchedBlocks::Entry entry;
    std::memcpy(entry.bytes, arena_->writable(b.code), sizeof entry.bytes);
    patched_.note_drop(place_of(b.host, b.key), entry);
  }
  store_branch(b.code, kCallOpcode, gone_stub_);
  b.host = nullptr;
  ++blocks_dropped;
}

void CodeCache::code_written(memory::Frame frame, u64 offset, u64 size) {
  const auto found = frames_.find(frame);
  if (found == frames_.end()) return;
  const u8* const page = ram_.data() + frame * memory::kPageBytes;
  const u8* const start = page + offset;
  const bool all = found->second.writes.drops_all();
  // Dropping takes a block out of the list; it may be in it twice.
  dropping_.clear();
  bool hit = false, anew = false;
  for (u32 at = found->second.head; at != kNone; at = block(at / 2).next_in_frame[at % 2]) {
    const Block& b = block(at / 2);
    // As in the decode cache: an invalid instruction at the end may depend on bytes behind it. (A patched
    // block has none.)
    const u32 behind = b.patched ? 0 : 15;
    const bool is_first = at % 2 == 0;
    const u8* const first = is_first ? b.host : page;
    const u32 bytes = is_first ? b.bytes + behind : behind;
    const bool overlaps = start < first + bytes && start + size > first;
    hit = hit || overlaps;
    if (overlaps && !all && b.patched) {
      if (patched_.may_stay(place_of(b.host, b.key), start - b.host, size)) continue;
      anew = true;
    }
    if (overlaps || all) dropping_.push_back(at / 2);
  }
  // What is written anew is so in one go, most likely, and others like it come back as easily.
  for (u32 at = anew ? found->second.head : kNone; at != kNone; at = block(at / 2).next_in_frame[at % 2]) {
    if (block(at / 2).patched) dropping_.push_back(at / 2);
  }
  found->second.writes.note(hit);
  for (const BlockId id : dropping_) {
    if (block(id).host == nullptr) continue;
    if (!block(id).patched) overwritten.push_back(block(id).host);
    drop(id);
  }
}

void CodeCache::put_target(cpu::Vcpu::JumpTable& table, u64 place, BlockId id) const {
  const u32 index = jump_index(place);
  table.place[index] = place;
  table.code[index] = reinterpret_cast<u64>(arena_->executable(block(id).code));
  table.block[index] = id;
}

void CodeCache::keep_stubs(u32 link, u32 gone) {
  link_stub_ = link;
  gone_stub_ = gone;
  first_stubs_end_ = stubs_used_ = arena_->used();
  fill_current();
}

// Room for what a full unit has is reserved at once, which costs nothing before it is touched: growing would
// copy, and have the host map, everything several times.
void CodeCache::fill_current() {
  constexpr u32 kLeastBytesPerBlock = 64, kLeastBytesPerInsn = 8;
  Unit& unit = units_[current_];
  const u32 bytes = unit.end - unit.begin;
  const size_t most_insns = std::min<size_t>(kMaxUnitInsns, bytes / kLeastBytesPerInsn);
  unit.blocks.reserve(bytes / kLeastBytesPerBlock);
  unit.first_blocks.reserve(bytes / kPageOfBlocks + 1);
  unit.insns.reserve(most_insns);
  unit.offsets.reserve(most_insns);
  unit.sites.reserve(most_insns);
  unit.links.reserve(most_insns);
  arena_->select(unit.begin, unit.end);
}

void CodeCache::evict(Unit& unit) {
  if (unit.blocks.empty()) return;  // then it has no sites, links or instructions, either
  const auto first = static_cast<BlockId>(&unit - units_.data()) << kUnitShift;
  for (u32 i = 0; i < unit.blocks.size(); ++i) {
    if (unit.blocks[i].host != nullptr) drop(first + i);
  }
  for (cpu::Vcpu::JumpTable* const table : jump_tables_) {
    for (auto& targets : table->targets) targets.clear();
  }
  patched_.forget(first, static_cast<u32>(unit.blocks.size()));
  unit.blocks.clear();
  unit.first_blocks.clear();
  unit.sites.clear();
  unit.links.clear();
  unit.insns.clear();
  unit.offsets.clear();
  // A bit may be more than one place's.
  std::fill(beginnings_.begin(), beginnings_.end(), u64{0});
  for (const Unit& other : units_) {
    for (const Block& b : other.blocks) {
      if (b.host != nullptr) note_beginning(b.host);
    }
  }
}

CodeCache::Gone CodeCache::make_room() {
  if (kStubBytes - stubs_used_ < kLargestStubsBytes) {
    for (Unit& unit : units_) evict(unit);
    stubs_used_ = first_stubs_end_;
    current_ = 0;
    fill_current();
    ++flushes;
    return Gone::kEverything;
  }
  current_ = (current_ + 1) % kUnits;
  Unit& unit = units_[current_];
  if (!unit.blocks.empty()) ++units_evicted;
  evict(unit);
  fill_current();
  return Gone::kUnit;
}

}  // namespace orrery::jit
