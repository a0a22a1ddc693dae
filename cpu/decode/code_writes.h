// CodeWrites: when to give up what is known of a frame's code because the frame is written.
//
// A store drops what it overlaps. One that overlaps nothing takes the slow path for nothing: so many of them
// in a row, and the frame is taken for data, or for code that is being written, and loses everything. How
// many is learnt: fewer where the code is really written anew, more where code and data share the frame.
#pragma once

#include <algorithm>

#include "base/types.h"

namespace orrery::cpu {

class CodeWrites {
 public:
  /// Whether the next store drops everything.
  bool drops_all() const { return misses_ >= patience_; }
  /// A store has come; `hit`: it overlapped something.
  void note(bool hit) {
    if (drops_all()) {
      patience_ = hit_ || hit ? std::max(patience_ / 2, 1) : std::min(patience_ * 2, kMostPatience);
      misses_ = 0;
      hit_ = false;
    } else {
      misses_ = hit ? 0 : misses_ + 1;
      hit_ = hit_ || hit;
    }
  }
  /// There is something new in the frame.
  void note_code() { misses_ = 0; }

 private:
  static constexpr int kMostPatience = 64;
  int misses_ = 0, patience_ = 16;
  bool hit_ = false;  // since everything was dropped last
};

}  // namespace orrery::cpu
