// Counters of the translator, printed by `--stats`.
#pragma once

#include <string>

#include "base/types.h"

namespace orrery::jit {

struct Statistics {
  u64 blocks_translated = 0;
  u64 guest_insns_translated = 0;
  u64 guest_bytes_translated = 0;
  u64 host_bytes_emitted = 0;
  u64 entries = 0;         // into translated code
  u64 exits[4] = {};       // by ExitKind
  u64 handlers_native = 0; // sites of instructions that run natively: TLB misses, devices, odd forms
  u64 traces_interpreted = 0;
  u64 translation_ns = 0;
  std::string text() const;
};

}  // namespace orrery::jit
