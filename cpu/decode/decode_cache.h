// DecodeCache: straight runs of decoded instructions (traces), keyed by where their bytes lie in host memory
// (so that aliases of a frame share them) and by the decode key. One per machine, shared by its vCPUs.
//
// A frame that holds decoded bytes carries frame_flag::kCode, so engines notice stores to it; a store drops
// just the traces that it overlaps.
#pragma once

#include <unordered_map>
#include <vector>

#include "base/host_vector.h"
#include "cpu/decode/code_writes.h"
#include "cpu/decode/decoder.h"
#include "memory/ram.h"

namespace orrery::cpu {

struct Trace {
  // Without initialisers, so that slots are not touched before they are used: memory from the host is zero.
  const u8* host;  // of the first byte; null: empty slot
  const Insn* insns;
  u32 next_in_frame, previous_in_frame;  // slot + 1 of other traces in the same frame
  u16 bytes;
  u8 count;  // instructions
  u8 key;
  static_assert(decode_key::kAvxEnabled < 256);
};

class DecodeCache final : public memory::FrameListener {
 public:
  DecodeCache(memory::Ram& ram, const CpuModel& model);
  ~DecodeCache() override;

  /// The trace at `host`, or null.
  Trace* find(const u8* host, u32 key) {
    Trace& t = traces_[slot_of(host, key)];
    return t.host == host && t.key == key ? &t : nullptr;
  }
  /// Decodes a trace from `host`, which points into RAM, up to `host_end` (the end of its page). Null if the
  /// first instruction crosses the page: that is decoded by itself each time.
  const Trace* build(const u8* host, const u8* host_end, u32 key);
  const Decoder& decoder() const { return decoder_; }
  void flush();
  /// How often the code at `host` has run as it is now: a translator's, which counts what it leaves to the
  /// interpreter. A store to a trace takes it back to 0; what lies across two pages has none, so there
  /// it stays. Few places share a count.
  u8& runs(const u8* host, u32 key) { return counts_of(host, key).runs; }

  /// How often a trace at `host` was not what a store had taken away there: a translator's, too, which sets
  /// it as it likes. Counting ends at kMostRewrites, and goes on from kNoRewrites until that is 0.
  u8& rewrites(const u8* host, u32 key) { return counts_of(host, key).rewrites; }
  static constexpr u8 kMostRewrites = 127, kNoRewrites = 128;
  static_assert(kNoRewrites == kMostRewrites + 1);

  // memory::FrameListener
  void frame_guarded(memory::Frame) override {}
  void code_written(memory::Frame frame, u64 offset, u64 size) override;

 private:
  static constexpr unsigned kSlotBits = 17, kRunsBits = 19;
  static constexpr unsigned kPoolInsns = 1u << 19;  // 16 MiB
  static constexpr unsigned kMaxTraceInsns = 32;
  static u64 hash_of(const u8* host, u32 key) {
    return (reinterpret_cast<u64>(host) ^ (u64{key} << 20)) * 0x9e3779b97f4a7c15u;
  }
  static u32 slot_of(const u8* host, u32 key) {
    return static_cast<u32>(hash_of(host, key) >> (64 - kSlotBits));
  }
  /// The traces of a frame: slot + 1 of the first.
  struct FrameTraces {
    u32 head = 0;
    CodeWrites writes;
  };
  void drop(FrameTraces& traces, u32 slot);
  void evict(u32 slot);

  memory::Ram& ram_;
  Decoder decoder_;
  HostVector<Trace> traces_;
  struct Counts {
    u8 runs, rewrites;  // without initialisers, as in Trace
  };
  Counts& counts_of(const u8* host, u32 key) { return counts_[hash_of(host, key) >> (64 - kRunsBits)]; }
  HostVector<Counts> counts_;
  /// What stores have taken away last.
  struct Dropped {
    const u8* host;
    u32 key, checksum;
  };
  static constexpr unsigned kDropped = 4096;
  Dropped& dropped_at(const u8* host, u32 key) { return dropped_[slot_of(host, key) % kDropped]; }
  static u32 checksum_of(const Trace& t);
  /// Counts `t`, which has been built, if it is another than the one that a store took away.
  void note_built(const Trace& t);
  HostVector<Dropped> dropped_;
  HostVector<Insn> pool_;  // its size is what has been used
  std::unordered_map<memory::Frame, FrameTraces> frames_;
};

}  // namespace orrery::cpu
