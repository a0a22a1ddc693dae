// CodeCache: all translations of a machine: blocks, their sites and links, and the arena with their code. One
// per machine, shared by its vCPUs.
//
// A frame that holds translated bytes carries frame_flag::kTranslated; a store to it drops just the blocks
// that it overlaps; but for those that read the constant that it changes, and those that come back as easily
// (patched_blocks.h). A dropped block's code stays in the arena until its unit is evicted, so a vCPU that is
// inside one can leave it in peace; nothing leads to it any more but JumpTable::targets and calls' returns,
// and whoever comes from there leaves at once.
//
// The arena has a part for stubs and kUnits units, filled one after the other. When the last is full, the
// oldest is evicted, and so on: what a guest runs now stays but for an eighth at a time. A unit has its own
// pools, so that an eviction gives back all that its blocks had.
#pragma once

#include <array>
#include <cstring>
#include <unordered_map>
#include <vector>

#include "base/host_vector.h"
#include "cpu/decode/code_writes.h"
#include "jit/block.h"
#include "jit/code_arena.h"
#include "jit/patched_blocks.h"
#include "memory/ram.h"

namespace orrery::jit {

class CodeCache final : public memory::FrameListener {
 public:
  CodeCache(memory::Ram& ram, std::unique_ptr<CodeArena> arena);
  ~CodeCache() override;

  CodeArena& arena() { return *arena_; }
  Block& block(BlockId id) { return unit_of(id).blocks[index_of(id)]; }
  const Block& block(BlockId id) const { return units_[id >> kUnitShift].blocks[index_of(id)]; }
  /// The block whose code has arena offset `at` in it, or that of its site or link whose call out ends there.
  BlockId block_at(u32 at) const;
  SiteId site_at(u32 at) const;
  LinkId link_at(u32 at) const;
  Site& site(SiteId id) { return unit_of(id).sites[index_of(id)]; }
  Link& link(LinkId id) { return unit_of(id).links[index_of(id)]; }
  cpu::Insn* insns_of(const Block& b) { return &unit_of(b.first_insn).insns[index_of(b.first_insn)]; }
  /// Where each instruction of `b` begins, in bytes from the block's start.
  u16* offsets_of(const Block& b) { return &unit_of(b.first_insn).offsets[index_of(b.first_insn)]; }

  BlockId find(const u8* host, u32 key) const;
  /// Nothing leads to `id` any more; its code stays until its unit is evicted.
  void drop(BlockId id);
  /// The ids that the next block, its sites and links will get.
  BlockId next_block() const { return id_of(units_[current_].blocks.size()); }
  SiteId next_site() const { return id_of(units_[current_].sites.size()); }
  LinkId next_link() const { return id_of(units_[current_].links.size()); }
  /// Whether another block of the largest size, and stubs for it, fit; if not, `make_room` makes room.
  bool has_room() const;
  enum class Gone : u8 { kUnit, kEverything };
  /// Evicts the oldest unit, or, when there is no room for stubs, everything but the first stubs. Nothing may
  /// return into translated code; ids of blocks, sites and links that the caller has may be gone.
  Gone make_room();
  BlockId add(const Block& block, std::vector<Site>& sites, std::vector<Link>& links,
              const std::vector<cpu::Insn>& insns, const std::vector<u16>& offsets);
  /// Patches `id` to lead to `to` directly, whatever it led to.
  void connect(LinkId id, BlockId to);
  /// Dropped blocks leave `table`, which outlives the cache.
  void add_jump_table(cpu::Vcpu::JumpTable& table) { jump_tables_.push_back(&table); }
  void put_target(cpu::Vcpu::JumpTable& table, u64 place, BlockId id) const;
  /// A jump to `linear` asks again where that leads.
  static void forget_target(cpu::Vcpu::JumpTable::Targets& targets, u64 linear) {
    targets.forget(cpu::Vcpu::JumpTable::Targets::index_of(linear));
  }
  /// The place of a block that begins at `host`.
  u64 place_of(const u8* host, u32 key) const {
    return jit::place_of(ram_.frame_of(host), reinterpret_cast<u64>(host) % memory::kPageBytes, key);
  }
  /// Block `id`, just added, reads constants of `insns` from the guest's memory (patched_blocks.h).
  void add_patched(BlockId id, const std::vector<GuestInsn>& insns);
  /// Puts the block of this place that has been dropped back, if its code is there again. kReshaped: it is
  /// not, and never will be.
  PatchedBlocks::Revival::Kind revive(const u8* host, u32 key);
  /// What the arena holds so far (stubs) stays for good; blocks come next. `link` and `gone`: arena offsets
  /// of what is called by a link that leads nowhere, and at the start of a dropped block.
  void keep_stubs(u32 link, u32 gone);
  /// What `emit` takes from the arena lies among the stubs.
  template <class Emit>
  void add_stubs(Emit emit) {
    const u32 used = arena_->used(), end = arena_->end();
    arena_->select(stubs_used_, kStubBytes);
    emit();
    stubs_used_ = arena_->used();
    arena_->select(used, end);
  }

  // memory::FrameListener
  void frame_guarded(memory::Frame) override {}
  void code_written(memory::Frame frame, u64 offset, u64 size) override;

  /// Where blocks began whose code has been written, until somebody takes them out.
  std::vector<const u8*> overwritten;
  u64 blocks_dropped = 0, blocks_revived = 0, units_evicted = 0, flushes = 0, links_patched = 0;

 private:
  static constexpr u32 kBuckets = 1u << 18;
  static constexpr u32 kStubBytes = 128 << 10;
  static constexpr u32 kIndexMask = (1u << kUnitShift) - 1;
  struct Unit {
    u32 begin = 0, end = 0;  // arena offsets
    HostVector<Block> blocks;
    /// By 512 bytes of the unit, the first block whose code begins in it or behind it.
    HostVector<u32> first_blocks;
    HostVector<Site> sites;
    HostVector<Link> links;
    HostVector<cpu::Insn> insns;
    HostVector<u16> offsets;
  };
  static u32 index_of(u32 id) { return id & kIndexMask; }
  Unit& unit_of(u32 id) { return units_[id >> kUnitShift]; }
  const Unit& unit_of(u32 id) const { return units_[id >> kUnitShift]; }
  /// Makes what stands at arena offset `at` a call, or a jump, to `to`.
  void store_branch(u32 at, u8 opcode, u32 to) {
    *arena_->writable(at) = opcode;
    store_rel32(at + 1, to);
  }
  void store_rel32(u32 at, u32 to) {
    const u32 distance = to - (at + 4);
    std::memcpy(arena_->writable(at), &distance, sizeof distance);
  }
  u32 id_of(size_t index) const { return current_ << kUnitShift | static_cast<u32>(index); }
  /// Where a block may begin at `host`, one bit says so: who translates asks at every instruction, and mostly
  /// there is none. Those of a page stand together.
  static u32 beginning_of(const u8* host) {
    const u64 address = reinterpret_cast<u64>(host);
    const u64 h = address / memory::kPageBytes * 0x9e3779b97f4a7c15u;
    return static_cast<u32>((h >> 43) ^ address % memory::kPageBytes) % kBeginnings;
  }
  void note_beginning(const u8* host) {
    const u32 bit = beginning_of(host);
    beginnings_[bit / 64] |= u64{1} << bit % 64;
  }
  bool may_begin(const u8* host) const {
    const u32 bit = beginning_of(host);
    return (beginnings_[bit / 64] >> bit % 64 & 1) != 0;
  }
  /// Neighbours have neighbouring buckets: a page's share cache lines.
  static u32 bucket_of(const u8* host, u32 key) {
    const u64 address = reinterpret_cast<u64>(host), page = address / memory::kPageBytes;
    const u64 h = (page ^ (u64{key} << 40)) * 0x9e3779b97f4a7c15u;
    return static_cast<u32>((h >> 46) + address % memory::kPageBytes) % kBuckets;
  }
  void list_in_bucket(BlockId id);
  void list_in_frame(BlockId id, unsigned which, const u8* host);
  void unlist_in_frame(BlockId id, unsigned which, const u8* host);
  void disconnect(LinkId id);
  /// Whether `l`, connected to `target`, pays for it, too.
  bool pays_for(const Link& l, const Block& target) const;
  void add_ticks_back(const Link& l, i32 ticks);
  void evict(Unit& unit);
  /// The arena's next blocks, and all that belongs to them, go to units_[current_].
  void fill_current();

  memory::Ram& ram_;
  std::unique_ptr<CodeArena> arena_;
  u32 first_stubs_end_ = 0, stubs_used_ = 0;
  u32 link_stub_ = 0, gone_stub_ = 0;
  std::array<Unit, kUnits> units_;
  u32 current_ = 0;  // the unit that is being filled
  HostVector<BlockId> buckets_;
  static constexpr u32 kBeginnings = 1u << 21;
  HostVector<u64> beginnings_;
  struct FrameBlocks {
    u32 head = kNone;
    cpu::CodeWrites writes;
  };
  std::unordered_map<memory::Frame, FrameBlocks> frames_;
  std::vector<BlockId> dropping_;  // code_written's
  PatchedBlocks patched_;
  std::vector<cpu::Vcpu::JumpTable*> jump_tables_;
};

}  // namespace orrery::jit
