#include "cpu/decode/decode_cache.h"

#include "cpu/isa/table.h"

namespace orrery::cpu {

DecodeCache::DecodeCache(memory::Ram& ram, const CpuModel& model)
    : ram_(ram), decoder_(model), traces_(kSlots), pool_(kPoolInsns) {
  ram_.add_listener(*this);
}

DecodeCache::~DecodeCache() { ram_.remove_listener(*this); }

void DecodeCache::unlink(u32 slot) {
  Trace& dead = traces_[slot];
  const memory::Frame frame = ram_.frame_of(dead.host);
  const auto found = frames_.find(frame);
  CHECK(found != frames_.end());
  u32* link = &found->second.head;
  while (*link != slot + 1) link = &traces_[*link - 1].next_in_frame;
  *link = dead.next_in_frame;
  dead.host = nullptr;
  if (found->second.head == 0) frames_.erase(found);
}

const Trace* DecodeCache::build(const u8* host, const u8* host_end, u32 key) {
  if (pool_used_ + kMaxTraceInsns > kPoolInsns) flush();
  Insn* const first = &pool_[pool_used_];
  const u8* at = host;
  unsigned count = 0;
  while (count < kMaxTraceInsns && at < host_end) {
    Insn& insn = first[count];
    const Decoder::Status status = decoder_.decode({at, host_end}, key, insn);
    if (status == Decoder::Status::kTruncated) break;
    at += insn.length;
    ++count;
    if (status == Decoder::Status::kInvalid || (isa::rows()[insn.row].traits & isa::trait::kEndsTrace) != 0)
      break;
  }
  if (count == 0) return nullptr;
  pool_used_ += count;

  const u32 slot = slot_of(host, key);
  if (traces_[slot].host != nullptr) unlink(slot);
  const memory::Frame frame = ram_.frame_of(host);
  FrameTraces& traces = frames_[frame];
  traces.misses = 0;
  traces_[slot] = {.host = host,
                   .key = key,
                   .count = static_cast<u16>(count),
                   .bytes = static_cast<u16>(at - host),
                   .insns = first,
                   .next_in_frame = traces.head};
  traces.head = slot + 1;
  if ((ram_.flags(frame) & memory::frame_flag::kCode) == 0) ram_.set_flag(frame, memory::frame_flag::kCode);
  return &traces_[slot];
}

void DecodeCache::code_written(memory::Frame frame, u64 offset, u64 size) {
  const auto found = frames_.find(frame);
  if (found != frames_.end()) {
    const u8* const start = ram_.data() + frame * memory::kPageBytes + offset;
    const bool all = found->second.misses >= kMissesToDrop;
    bool hit = false;
    u32* link = &found->second.head;
    while (*link != 0) {
      Trace& t = traces_[*link - 1];
      // An invalid instruction at the end may depend on bytes behind it: 15 bytes more are looked at.
      const bool overlaps = start < t.host + t.bytes + 15 && start + size > t.host;
      hit = hit || overlaps;
      if (overlaps || all) {
        t.host = nullptr;
        *link = t.next_in_frame;
      } else {
        link = &t.next_in_frame;
      }
    }
    found->second.misses = hit ? 0 : found->second.misses + 1;
    if (found->second.head != 0) return;
    frames_.erase(found);
  }
  ram_.clear_flag(frame, memory::frame_flag::kCode);
}

void DecodeCache::flush() {
  // Frames keep their code flag: the next store to one finds no trace and clears it.
  for (Trace& t : traces_) t.host = nullptr;
  frames_.clear();
  pool_used_ = 0;
}

}  // namespace orrery::cpu
