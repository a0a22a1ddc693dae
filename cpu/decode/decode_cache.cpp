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
  const auto head = frame_heads_.find(frame);
  CHECK(head != frame_heads_.end());
  u32* link = &head->second;
  while (*link != slot + 1) link = &traces_[*link - 1].next_in_frame;
  *link = dead.next_in_frame;
  dead.host = nullptr;
  if (head->second == 0) frame_heads_.erase(head);
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
  u32& head = frame_heads_[frame];
  traces_[slot] = {.host = host,
                   .key = key,
                   .count = static_cast<u16>(count),
                   .bytes = static_cast<u16>(at - host),
                   .insns = first,
                   .next_in_frame = head};
  head = slot + 1;
  if ((ram_.flags(frame) & memory::frame_flag::kCode) == 0) ram_.set_flag(frame, memory::frame_flag::kCode);
  return &traces_[slot];
}

void DecodeCache::code_written(memory::Frame frame, u64 offset, u64 size) {
  const auto head = frame_heads_.find(frame);
  if (head != frame_heads_.end()) {
    const u8* const start = ram_.data() + frame * memory::kPageBytes + offset;
    u32* link = &head->second;
    while (*link != 0) {
      Trace& t = traces_[*link - 1];
      // An invalid instruction at the end may depend on bytes behind it: 15 bytes more are looked at.
      if (start < t.host + t.bytes + 15 && start + size > t.host) {
        t.host = nullptr;
        *link = t.next_in_frame;
      } else {
        link = &t.next_in_frame;
      }
    }
    if (head->second != 0) return;
    frame_heads_.erase(head);
  }
  ram_.clear_flag(frame, memory::frame_flag::kCode);
}

void DecodeCache::flush() {
  // Frames keep their code flag: the next store to one finds no trace and clears it.
  for (Trace& t : traces_) t.host = nullptr;
  frame_heads_.clear();
  pool_used_ = 0;
}

}  // namespace orrery::cpu
