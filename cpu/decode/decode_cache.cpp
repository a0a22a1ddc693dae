#include "cpu/decode/decode_cache.h"

#include <xxhash.h>

#include "cpu/isa/table.h"

namespace orrery::cpu {

DecodeCache::DecodeCache(memory::Ram& ram, const CpuModel& model)
    : ram_(ram), decoder_(model), traces_(1u << kSlotBits), counts_(1u << kRunsBits), dropped_(kDropped) {
  pool_.reserve(kPoolInsns);  // traces point into it
  ram_.add_listener(*this);
}

DecodeCache::~DecodeCache() { ram_.remove_listener(*this); }

void DecodeCache::drop(FrameTraces& traces, u32 slot) {
  Trace& dead = traces_[slot];
  u32& before = dead.previous_in_frame == 0 ? traces.head : traces_[dead.previous_in_frame - 1].next_in_frame;
  before = dead.next_in_frame;
  if (dead.next_in_frame != 0) traces_[dead.next_in_frame - 1].previous_in_frame = dead.previous_in_frame;
  dead.host = nullptr;
}

void DecodeCache::evict(u32 slot) {
  const auto found = frames_.find(ram_.frame_of(traces_[slot].host));
  CHECK(found != frames_.end());
  drop(found->second, slot);
}

const Trace* DecodeCache::build(const u8* host, const u8* host_end, u32 key) {
  if (pool_.size() + kMaxTraceInsns > kPoolInsns) flush();
  const Insn* const first = pool_.data() + pool_.size();
  const u8* at = host;
  unsigned count = 0;
  while (count < kMaxTraceInsns && at < host_end) {
    Insn& insn = pool_.emplace_back();
    const Decoder::Status status = decoder_.decode({at, host_end}, key, insn);
    if (status == Decoder::Status::kTruncated) {
      pool_.pop_back();
      break;
    }
    at += insn.length;
    ++count;
    if (status == Decoder::Status::kInvalid || (isa::rows()[insn.row].traits & isa::trait::kEndsTrace) != 0)
      break;
  }
  if (count == 0) return nullptr;

  const u32 slot = slot_of(host, key);
  if (traces_[slot].host != nullptr) evict(slot);
  const memory::Frame frame = ram_.frame_of(host);
  FrameTraces& traces = frames_[frame];
  traces.writes.note_code();
  traces_[slot] = {.host = host,
                   .insns = first,
                   .next_in_frame = traces.head,
                   .previous_in_frame = 0,
                   .bytes = static_cast<u16>(at - host),
                   .count = static_cast<u8>(count),
                   .key = static_cast<u8>(key)};
  note_built(traces_[slot]);
  if (traces.head != 0) traces_[traces.head - 1].previous_in_frame = slot + 1;
  traces.head = slot + 1;
  if ((ram_.flags(frame) & memory::frame_flag::kCode) == 0) ram_.set_flag(frame, memory::frame_flag::kCode);
  return &traces_[slot];
}

u32 DecodeCache::checksum_of(const Trace& t) { return static_cast<u32>(XXH3_64bits(t.host, t.bytes)); }

void DecodeCache::note_built(const Trace& t) {
  Dropped& before = dropped_at(t.host, t.key);
  if (before.host != t.host || before.key != t.key) return;
  before.host = nullptr;
  u8& times = rewrites(t.host, t.key);
  if (before.checksum != checksum_of(t) && times != kMostRewrites) ++times;
}

void DecodeCache::code_written(memory::Frame frame, u64 offset, u64 size) {
  const auto found = frames_.find(frame);
  if (found != frames_.end()) {
    const u8* const start = ram_.data() + frame * memory::kPageBytes + offset;
    const bool all = found->second.writes.drops_all();
    bool hit = false;
    for (u32 at = found->second.head, next = 0; at != 0; at = next) {
      const Trace& t = traces_[at - 1];
      next = t.next_in_frame;
      // An invalid instruction at the end may depend on bytes behind it: 15 bytes more are looked at.
      const bool overlaps = start < t.host + t.bytes + 15 && start + size > t.host;
      hit = hit || overlaps;
      if (!overlaps && !all) continue;
      runs(t.host, t.key) = 0;
      dropped_at(t.host, t.key) = {.host = t.host, .key = t.key, .checksum = checksum_of(t)};
      drop(found->second, at - 1);
    }
    found->second.writes.note(hit);
    if (found->second.head != 0) return;
  }
  ram_.clear_flag(frame, memory::frame_flag::kCode);
}

void DecodeCache::flush() {
  // Frames keep their code flag: the next store to one finds no trace and clears it.
  for (Trace& t : traces_) t.host = nullptr;
  frames_.clear();
  pool_.clear();
}

}  // namespace orrery::cpu
