// Lookup, linking and dropping of translations.
#include "jit/code_cache.h"

#include "base/check.h"

namespace orrery::jit {
namespace {

constexpr u32 kLargestBlockBytes = 32 << 10;
constexpr size_t kMaxInsns = 4u << 20;

void store_rel32(u8* at, const u8* executable_at, const u8* target) {
  const auto distance = static_cast<i32>(target - (executable_at + 4));
  std::memcpy(at, &distance, sizeof distance);
}

}  // namespace

CodeCache::CodeCache(memory::Ram& ram, std::unique_ptr<CodeArena> arena)
    : ram_(ram), arena_(std::move(arena)), buckets_(kBuckets, kNone) {
  ram_.add_listener(*this);
}

CodeCache::~CodeCache() { ram_.remove_listener(*this); }

BlockId CodeCache::find(const u8* host, u64 rip, u32 key) const {
  for (BlockId id = buckets_[bucket_of(host, key)]; id != kNone; id = blocks_[id].next_in_bucket) {
    const Block& b = blocks_[id];
    if (b.host == host && b.rip == rip && b.key == key) return id;
  }
  return kNone;
}

bool CodeCache::has_room() const {
  return arena_->free_bytes() >= kLargestBlockBytes && insns_.size() < kMaxInsns;
}

BlockId CodeCache::add(const Block& block, std::vector<Site>& sites, std::vector<Link>& links,
                       const std::vector<cpu::Insn>& insns, const std::vector<u16>& offsets) {
  const BlockId id = next_block();
  Block& b = blocks_.emplace_back(block);
  b.first_insn = static_cast<u32>(insns_.size());
  insns_.insert(insns_.end(), insns.begin(), insns.end());
  offsets_.insert(offsets_.end(), offsets.begin(), offsets.end());
  for (Site& s : sites) {
    if (s.resume != kNone) s.resume += b.code;
    sites_.push_back(s);
  }
  b.first_link = next_link();
  b.links = static_cast<u16>(links.size());
  for (Link& l : links) {
    l.jump += b.code;
    l.exit += b.code;
    if (l.delta != kNone) l.delta += b.code;
    links_.push_back(l);
  }
  BlockId& bucket = buckets_[bucket_of(b.host, b.key)];
  b.next_in_bucket = bucket;
  bucket = id;
  list_in_frame(id, 0, b.host);
  if (b.host2 != nullptr) list_in_frame(id, 1, b.host2);
  return id;
}

void CodeCache::list_in_frame(BlockId id, unsigned which, const u8* host) {
  const memory::Frame frame = ram_.frame_of(host);
  FrameBlocks& blocks = frames_[frame];
  blocks_[id].next_in_frame[which] = blocks.head;
  blocks.head = id * 2 + which;
  blocks.misses = 0;
  if ((ram_.flags(frame) & memory::frame_flag::kTranslated) == 0)
    ram_.set_flag(frame, memory::frame_flag::kTranslated);
}

void CodeCache::connect(LinkId id, BlockId to, u64 delta) {
  Link& l = links_[id];
  if (l.to != kNone || blocks_[l.block].host == nullptr) return;
  Block& target = blocks_[to];
  l.to = to;
  l.next_incoming = target.incoming;
  target.incoming = id;
  if (l.delta != kNone) std::memcpy(arena_->writable(l.delta), &delta, sizeof delta);
  store_rel32(arena_->writable(l.jump), arena_->executable(l.jump), arena_->executable(target.code));
  ++links_patched;
}

void CodeCache::disconnect(LinkId id) {
  Link& l = links_[id];
  BlockId* at = &blocks_[l.to].incoming;
  while (*at != id) at = &links_[*at].next_incoming;
  *at = l.next_incoming;
  l.to = kNone;
  store_rel32(arena_->writable(l.jump), arena_->executable(l.jump), arena_->executable(l.exit));
}

void CodeCache::drop(BlockId id) {
  Block& b = blocks_[id];
  while (b.incoming != kNone) disconnect(b.incoming);
  for (LinkId l = b.first_link; l < b.first_link + b.links; ++l) {
    if (links_[l].to != kNone) disconnect(l);
  }
  BlockId* at = &buckets_[bucket_of(b.host, b.key)];
  while (*at != id) at = &blocks_[*at].next_in_bucket;
  *at = b.next_in_bucket;
  for (const auto& table : jump_tables_) {
    JumpEntry& e = table[jump_index(b.rip)];
    if (e.code == reinterpret_cast<u64>(arena_->executable(b.code))) e = {};
  }
  b.host = nullptr;
  ++blocks_dropped;
}

void CodeCache::code_written(memory::Frame frame, u64 offset, u64 size) {
  const auto found = frames_.find(frame);
  if (found == frames_.end()) {  // its blocks went with a flush
    ram_.clear_flag(frame, memory::frame_flag::kTranslated);
    return;
  }
  const u8* const page = ram_.data() + frame * memory::kPageBytes;
  const u8* const start = page + offset;
  const bool all = found->second.misses >= kMissesToDrop;
  bool hit = false;
  u32* at = &found->second.head;
  while (*at != kNone) {
    const BlockId id = *at / 2;
    const unsigned which = *at % 2;
    Block& b = blocks_[id];
    // As in the decode cache: an invalid instruction at the end may depend on bytes behind it.
    const u8* const first = which == 0 ? b.host : page;
    const u32 bytes = which == 0 ? b.bytes + 15u : 15u;
    const bool overlaps = start < first + bytes && start + size > first;
    hit = hit || overlaps;
    if (b.host != nullptr && (overlaps || all)) drop(id);
    if (b.host == nullptr) {  // here, or by its other page
      *at = b.next_in_frame[which];
    } else {
      at = &b.next_in_frame[which];
    }
  }
  found->second.misses = hit ? 0 : found->second.misses + 1;
  if (found->second.head != kNone) return;
  frames_.erase(found);
  ram_.clear_flag(frame, memory::frame_flag::kTranslated);
}

JumpEntry* CodeCache::new_jump_table() {
  return jump_tables_.emplace_back(std::make_unique<JumpEntry[]>(kJumpEntries)).get();
}

void CodeCache::flush() {
  blocks_.clear();
  sites_.clear();
  links_.clear();
  insns_.clear();
  offsets_.clear();
  std::fill(buckets_.begin(), buckets_.end(), kNone);
  frames_.clear();
  arena_->truncate(stubs_end_);
  for (const auto& table : jump_tables_) std::fill_n(table.get(), kJumpEntries, JumpEntry{});
  ++flushes;
}

}  // namespace orrery::jit
