// ReturnStack: the host's stack while translated code runs. It holds, for each translated call without a
// return so far, the guest's return address and the host's; the first is that of the underflow stub. They
// hold as long as no page of code has left the TLB: a return that finds its own address there need not look
// at pages.
//
// Nobody asks whether there is room: a call takes a tick, a run has at most Engine::kMostTicks, and it begins
// with an empty stack. (Where ticks are not counted, the guest must not nest deeper: TranslatorConfig.)
// Functions of the engine run on the thread's own stack; what signals need fits as well.
#pragma once

#include <utility>

#include "base/bits.h"
#include "base/result.h"
#include "cpu/engine.h"

namespace orrery::jit {

class ReturnStack {
 public:
  static Result<ReturnStack> create();
  ~ReturnStack();
  ReturnStack(ReturnStack&& other) noexcept : bottom_(std::exchange(other.bottom_, nullptr)) {}
  ReturnStack& operator=(ReturnStack&&) = delete;
  /// The address behind it, a multiple of 16.
  u64 top() const { return reinterpret_cast<u64>(bottom_) + kBytes; }

 private:
  static constexpr u64 kBytesACall = 16, kSpareBytes = 64 << 10, kGuardBytes = 4096;
  static constexpr u64 kBytes =
      align_up(cpu::Engine::kMostTicks * kBytesACall + kSpareBytes, u64{4096}) + kGuardBytes;
  explicit ReturnStack(u8* bottom) : bottom_(bottom) {}
  u8* bottom_;
};

}  // namespace orrery::jit
