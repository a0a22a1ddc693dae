// Counters of the translator, printed by `--stats`.
#pragma once

#include <string>
#include <vector>

#include "jit/block.h"

namespace orrery::jit {

struct Statistics {
  u64 blocks_translated = 0;
  u64 guest_insns_translated = 0;
  u64 guest_bytes_translated = 0;
  u64 host_bytes_emitted = 0;
  u64 entries = 0;        // into translated code
  u64 guards_failed = 0;  // exits into the next page behind a block's end, linked, but its guard did not hold
  u64 exits[kExitKinds] = {};  // by ExitKind
  /// Handlers run from translated code, by table row: of instructions that have no other translation, and of
  /// those that run natively but could not here (TLB misses, devices, faults).
  std::vector<u64> handlers, misses;
  u64 traces_interpreted = 0;
  u64 translation_ns = 0;
  std::string text() const;
};

}  // namespace orrery::jit
