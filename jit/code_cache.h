// CodeCache: all translations of a machine: blocks, their sites and links, and the arena with their code. One
// per machine, shared by its vCPUs.
//
// A frame that holds translated bytes carries frame_flag::kTranslated; a store to it drops just the blocks
// that it overlaps. A dropped block's code stays in the arena until the next flush, so a vCPU that is inside
// one can leave it in peace; nothing leads to it any more.
#pragma once

#include <unordered_map>
#include <vector>

#include "jit/block.h"
#include "jit/code_arena.h"
#include "memory/ram.h"

namespace orrery::jit {

class CodeCache final : public memory::FrameListener {
 public:
  CodeCache(memory::Ram& ram, std::unique_ptr<CodeArena> arena);
  ~CodeCache() override;

  CodeArena& arena() { return *arena_; }
  Block& block(BlockId id) { return blocks_[id]; }
  Site& site(SiteId id) { return sites_[id]; }
  Link& link(LinkId id) { return links_[id]; }
  cpu::Insn* insns_of(const Block& b) { return &insns_[b.first_insn]; }
  /// Where each instruction of `b` begins, in bytes from the block's start.
  u16* offsets_of(const Block& b) { return &offsets_[b.first_insn]; }

  BlockId find(const u8* host, u64 rip, u32 key) const;
  /// Nothing leads to `id` any more; its code stays until the next flush.
  void drop(BlockId id);
  /// The ids that the next block, its sites and links will get.
  BlockId next_block() const { return static_cast<BlockId>(blocks_.size()); }
  SiteId next_site() const { return static_cast<SiteId>(sites_.size()); }
  LinkId next_link() const { return static_cast<LinkId>(links_.size()); }
  /// Whether another block of the largest size fits; if not, `flush` makes room.
  bool has_room() const;
  BlockId add(const Block& block, std::vector<Site>& sites, std::vector<Link>& links,
              const std::vector<cpu::Insn>& insns, const std::vector<u16>& offsets);
  /// Patches `id` to lead to `to` directly; `delta`: what the guard of a link across pages compares.
  void connect(LinkId id, BlockId to, u64 delta);
  /// Drops everything; no vCPU may be inside translated code.
  void flush();
  /// A table of kJumpEntries that translated code reads: dropped blocks leave it. Lives until the cache goes.
  JumpEntry* new_jump_table();
  static u32 jump_index(u64 rip) { return static_cast<u32>((rip ^ (rip >> 12)) & (kJumpEntries - 1)); }
  /// The arena up to here is not touched by `flush` (stubs).
  void keep_stubs() { stubs_end_ = arena_->used(); }

  // memory::FrameListener
  void frame_guarded(memory::Frame) override {}
  void code_written(memory::Frame frame, u64 offset, u64 size) override;

  u64 blocks_dropped = 0, flushes = 0, links_patched = 0;

 private:
  static constexpr u32 kBuckets = 1u << 16;
  static u32 bucket_of(const u8* host, u32 key) {
    const u64 h = (reinterpret_cast<u64>(host) ^ (u64{key} << 40)) * 0x9e3779b97f4a7c15u;
    return static_cast<u32>(h >> 48);
  }
  void list_in_frame(BlockId id, unsigned which, const u8* host);
  void disconnect(LinkId id);

  memory::Ram& ram_;
  std::unique_ptr<CodeArena> arena_;
  u32 stubs_end_ = 0;
  std::vector<Block> blocks_;
  std::vector<Site> sites_;
  std::vector<Link> links_;
  std::vector<cpu::Insn> insns_;
  std::vector<u16> offsets_;
  std::vector<BlockId> buckets_;
  /// The blocks of a frame, and how many stores in a row have missed them all.
  struct FrameBlocks {
    u32 head = kNone;
    u32 misses = 0;
  };
  /// So many, and the frame is taken for data or for code that is being written: its blocks go, and with them
  /// the slow path of its stores.
  static constexpr u32 kMissesToDrop = 16;
  std::unordered_map<memory::Frame, FrameBlocks> frames_;
  std::vector<std::unique_ptr<JumpEntry[]>> jump_tables_;
};

}  // namespace orrery::jit
