// TranslatorConfig: what a translator is told when it is made. None of it changes what a guest sees.
#pragma once

#include <functional>
#include <string>

#include "base/types.h"

namespace orrery::jit {

struct GuestInsn;

inline constexpr unsigned kMaxBlockInsns = 48;
/// Room for host code: below the least nothing fits, and offsets are 31 bits wide.
inline constexpr u64 kMinCacheBytes = u64{1} << 20, kMaxCacheBytes = u64{1} << 30;

struct TranslatorConfig {
  u64 cache_bytes = u64{256} << 20;  // a multiple of 4096, kMinCacheBytes to kMaxCacheBytes
  std::string listing_path;          // every translation, guest and host code; empty: none
  bool perf_map = false;             // write /tmp/perf-<pid>.map
  u8 hot_runs = 4;                // the run of a place that translates it; the interpreter has those before
  u8 hot_runs_when_full = 16;     // once the cache has been too small: what comes in drives something out
  u8 hot_runs_after_writes = 32;  // where the code was written after it had been translated: it may be again
  u16 max_block_insns = kMaxBlockInsns;  // 1 .. kMaxBlockInsns
  /// For benchmarks of what it costs: without it no ticks pass in translated code, and only what the guest
  /// does itself ends a run; its calls must not nest deeper than a run with ticks could.
  bool counts_ticks = true;
  /// For tests of what hosts without a quick PEXT run.
  bool quick_pext = true;
  /// Told every translation: the guest RIP and its listing.
  std::function<void(u64 rip, const std::string& listing)> on_translation;
  /// For tests of the tests: may change what is about to be emitted, so that the emitter is wrong.
  std::function<void(GuestInsn&)> sabotage;
};

}  // namespace orrery::jit
