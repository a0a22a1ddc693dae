// The interpreter's handlers as the other side of a silicon case: a vCPU in 64-bit user mode behind page
// tables that give the tested addresses the rights that they have natively.
#pragma once

#include <memory>
#include <span>

#include "base/clock.h"
#include "base/entropy.h"
#include "base/event_queue.h"
#include "cpu/decode/decode_cache.h"
#include "cpu/vcpu.h"
#include "tests/silicon/context.h"

namespace orrery::silicon {

class EmulatedCpu {
 public:
  EmulatedCpu();
  Result run(std::span<const u8> code, const Context& context);
  u8* memory();
  const cpu::Decoder& decoder() const { return cache_.decoder(); }
  u32 decode_key() const { return vcpu_->decode_key(); }
  /// A model with every feature that rows know.
  static const cpu::CpuModel& model();

 private:
  void enter_user_mode();
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
