// Entropy: the one generator behind RDRAND, RDSEED, virtio-rng, UUIDs and MAC addresses.
//
// xoshiro256** (Blackman and Vigna), seeded once through the InputPort by SplitMix64. Not for keys that must
// stay secret: whoever has the recording has the stream (docs/limits.md).
#pragma once

#include "base/state_visitor.h"
#include "base/types.h"

namespace orrery {

class Entropy {
 public:
  void seed(u64 value) {
    for (u64& word : state_) {
      value += 0x9e3779b97f4a7c15u;
      u64 z = value;
      z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
      z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
      word = z ^ (z >> 31);
    }
  }
  u64 next() {
    const u64 result = rotl(state_[1] * 5, 7) * 9;
    const u64 t = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= t;
    state_[3] = rotl(state_[3], 45);
    return result;
  }
  void visit_state(StateVisitor& v) {
    v.begin("entropy", 1);
    v.array("state", state_);
    v.end();
  }

 private:
  static constexpr u64 rotl(u64 x, int k) { return (x << k) | (x >> (64 - k)); }
  u64 state_[4] = {1, 2, 3, 4};
};

}  // namespace orrery
