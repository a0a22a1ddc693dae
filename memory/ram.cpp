#include "memory/ram.h"

#include <algorithm>
#include <cstring>

namespace orrery::memory {

Result<std::unique_ptr<Ram>> Ram::create(const std::string& name, u64 size_bytes) {
  TRY_ASSIGN(HostMemory memory, HostMemory::create(name, size_bytes));
  return std::unique_ptr<Ram>(new Ram(std::move(memory)));
}

Ram::Ram(HostMemory memory) : memory_(std::move(memory)), flags_(memory_.size_bytes() / kPageBytes) {}

void Ram::set_flag(Frame frame, u8 flag) {
  const bool first = flags_[frame] == 0;
  flags_[frame] |= flag;
  if (!first) return;
  for (FrameListener* listener : listeners_) listener->frame_guarded(frame);
}

void Ram::note_guarded_write(Frame frame, u64 offset, u64 size_bytes) {
  const u64 start = std::max(offset, frame * kPageBytes);
  const u64 end = std::min(offset + size_bytes, (frame + 1) * kPageBytes);
  const u8 flags = flags_[frame];
  if ((flags & (frame_flag::kCode | frame_flag::kTranslated)) != 0) {
    for (FrameListener* listener : listeners_) listener->code_written(frame, start % kPageBytes, end - start);
  }
  if ((flags & frame_flag::kMonitored) != 0) {
    bool monitored = false;
    for (FrameListener* listener : listeners_)
      monitored |= listener->monitored_written(frame, start % kPageBytes, end - start);
    if (!monitored) clear_flag(frame, frame_flag::kMonitored);
  }
}

void Ram::hash(StateHasher& hasher) const {
  static constexpr u8 kZeroPage[kPageBytes] = {};
  for (const auto& [start, size] : memory_.populated_ranges()) {
    for (u64 at = start; at < start + size; at += kPageBytes) {
      if (std::memcmp(data() + at, kZeroPage, kPageBytes) == 0) continue;
      hasher.bytes({reinterpret_cast<const u8*>(&at), sizeof at});
      hasher.bytes({data() + at, kPageBytes});
    }
  }
}

void Ram::clear() {
  for (const auto& [start, size] : memory_.populated_ranges()) {
    note_write(start, size);
    memory_.discard(start, size);
  }
}

}  // namespace orrery::memory
