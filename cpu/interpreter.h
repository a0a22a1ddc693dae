// The interpreter: exact first. The oracle for every other engine.
#pragma once

#include <optional>

#include "cpu/decode/decode_cache.h"
#include "cpu/engine.h"

namespace orrery::cpu {

class Interpreter final : public Engine {
 public:
  EngineExit run(Vcpu& cpu, bool skip_breakpoint) override;

  // ---- For engines that fall back on this one ----
  /// Acts on `cpu.attention()`: takes what is pending, or steps one instruction. An exit if the engine must
  /// come back. `skip_breakpoint` is used up by the first step.
  std::optional<EngineExit> attend_once(Vcpu& cpu, bool& skip_breakpoint);
  /// Runs the straight run of instructions at RIP, at most as long as there are ticks.
  void run_one_trace(Vcpu& cpu);
  /// Delivers `cpu.fault()`, raised by `insn`'s handler; RIP still lies behind `insn`.
  void take_fault(Vcpu& cpu, const Insn& insn);

 private:
  enum class Attention : u8 { kGo, kStep, kExit };
  /// Takes what is pending: INIT, SIPI, #DB, NMI, interrupts [SDM3 6.9].
  Attention attend(Vcpu& cpu, EngineExit& exit);
  /// Runs one instruction with single-step, shadow and code-breakpoint semantics.
  void step(Vcpu& cpu);
  void run_trace(Vcpu& cpu, const Insn* insns, unsigned count);
  /// The trace at RIP, or one instruction decoded into `scratch_`; null: a fault has been delivered.
  const Insn* fetch(Vcpu& cpu, unsigned& count);
  /// The same, where nothing has to be looked for: 64-bit code that is decoded, its page in the quick TLB.
  /// Else null.
  static const Insn* fetch_known(Vcpu& cpu, unsigned& count);
  Insn scratch_{};
};

}  // namespace orrery::cpu
