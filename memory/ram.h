// Ram: the guest's memory, one mapping, and one byte of flags per 4 KiB frame.
//
// A frame is a page of this store, numbered by its offset / 4096, wherever (and however often) the board maps
// it. The flags are how writes to special frames are noticed at no cost to the rest: an engine keeps quick
// write paths only to frames without flags.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/host_memory.h"
#include "base/state_visitor.h"

namespace orrery::memory {

inline constexpr u64 kPageBytes = 4096;
using Frame = u64;

namespace frame_flag {
inline constexpr u8 kCode = 1;        // decoded instructions come from this frame
inline constexpr u8 kWatched = 2;     // a debugger watches bytes of it
inline constexpr u8 kTranslated = 4;  // translated instructions come from it
inline constexpr u8 kMonitored = 8;   // a vCPU's MONITOR waits for a store to it
/// What note_write tells listeners about.
inline constexpr u8 kNoted = kCode | kTranslated | kMonitored;
}  // namespace frame_flag

/// Told about frames; decode caches and TLBs implement it.
class FrameListener {
 public:
  virtual ~FrameListener() = default;
  /// `frame` has got its first flag: quick write paths to it must go.
  virtual void frame_guarded(Frame frame) = 0;
  /// `size` bytes at `offset` of a frame with a code flag are about to change.
  virtual void code_written(Frame frame, u64 offset, u64 size) = 0;
  /// The same for a frame with the monitored flag. Whether the listener still monitors it.
  virtual bool monitored_written(Frame, u64 /*offset*/, u64 /*size*/) { return false; }
};

class Ram {
 public:
  /// `size_bytes`: a multiple of 4096, over 0.
  static Result<std::unique_ptr<Ram>> create(const std::string& name, u64 size_bytes);

  u8* data() const { return memory_.data(); }
  u64 size_bytes() const { return memory_.size_bytes(); }
  u8 flags(Frame frame) const { return flags_[frame]; }
  bool contains(const u8* host) const { return host >= data() && host < data() + size_bytes(); }
  Frame frame_of(const u8* host) const { return static_cast<u64>(host - data()) / kPageBytes; }

  void set_flag(Frame frame, u8 flag);
  void clear_flag(Frame frame, u8 flag) { flags_[frame] &= static_cast<u8>(~flag); }

  void add_listener(FrameListener& listener) { listeners_.push_back(&listener); }
  void remove_listener(FrameListener& listener) { std::erase(listeners_, &listener); }

  /// Must be called before every write that does not come through an engine's quick path.
  void note_write(u64 offset, u64 size_bytes) {
    for (Frame f = offset / kPageBytes; f <= (offset + size_bytes - 1) / kPageBytes; ++f) {
      if (flags_[f] & frame_flag::kNoted) [[unlikely]]
        note_guarded_write(f, offset, size_bytes);
    }
  }

  /// The content by populated, non-zero pages: the same for a page never touched and a page of zeros.
  void hash(StateHasher& hasher) const;
  std::vector<std::pair<u64, u64>> populated_ranges() const { return memory_.populated_ranges(); }
  /// Zeroes everything and gives the pages back.
  void clear();

 private:
  explicit Ram(HostMemory memory);
  void note_guarded_write(Frame frame, u64 offset, u64 size_bytes);
  HostMemory memory_;
  std::vector<u8> flags_;
  std::vector<FrameListener*> listeners_;
};

}  // namespace orrery::memory
