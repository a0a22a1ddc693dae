// The other side of a silicon case: a vCPU in 64-bit or 32-bit user mode behind page tables that give the
// tested addresses the rights that they have natively. One instruction runs by its handler alone; whole code
// runs by an engine, under a little kernel that halts at every exception.
#pragma once

#include <memory>
#include <span>

#include "base/clock.h"
#include "base/entropy.h"
#include "base/event_queue.h"
#include "cpu/decode/decode_cache.h"
#include "cpu/engine.h"
#include "tests/silicon/context.h"

namespace orrery::silicon {

class EmulatedCpu {
 public:
  EmulatedCpu();
  void set_mode(Mode mode);
  /// Runs one instruction by its handler.
  Result run(std::span<const u8> code, const Context& context);
  /// `got`, the end of `code` here, as it would be on `native`'s processor. CMPS reads two operands, and
  /// which one's fault comes first is the processor's: a Zen 5 looks at DS:rSI first, as we do, a Zen 4 at
  /// ES:rDI. A masked access over the top of 4 GiB exceeds the segment on a Zen 5 and here; a Zen 4 wraps its
  /// elements.
  Result in_order_of(const Result& native, std::span<const u8> code, const Result& got);
  /// Puts `code` at kCodeStart, INT3s behind it.
  void load_code(std::span<const u8> code);
  /// Runs the loaded code by `engine`, in slices of `slice` ticks, until its first exception has been
  /// delivered; kStopped if that takes `most_ticks`. `ticks`: how many it took.
  Result run_to_fault(cpu::Engine& engine, const Context& context, i64 slice, i64 most_ticks, i64& ticks);
  u8* memory();
  memory::Ram& ram() { return *ram_; }
  cpu::DecodeCache& decode_cache() { return cache_; }
  const cpu::Decoder& decoder() const { return cache_.decoder(); }
  u32 decode_key() const { return vcpu_->decode_key(); }
  /// A model with every feature that rows know.
  static const cpu::CpuModel& model();

 private:
  void make_tables();
  void enter_user_mode(const Context& context);
  void load(const Context& context);
  void take(Result& result) const;
  Mode mode_ = Mode::k64;
  std::unique_ptr<memory::Ram> ram_;
  memory::AddressSpace memory_{0};
  memory::AddressSpace ports_{0x10000};
  Timeline timeline_;
  Clock clock_{timeline_};
  EventQueue events_{timeline_, clock_};
  Entropy entropy_;
  cpu::DecodeCache cache_;
  std::unique_ptr<cpu::Vcpu> vcpu_;
};

}  // namespace orrery::silicon
