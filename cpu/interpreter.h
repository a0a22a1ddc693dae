// The interpreter: exact first. The oracle for every other engine.
#pragma once

#include "cpu/decode/decode_cache.h"
#include "cpu/engine.h"

namespace orrery::cpu {

class Interpreter final : public Engine {
 public:
  EngineExit run(Vcpu& cpu, bool skip_breakpoint) override;

 private:
  enum class Attention : u8 { kGo, kStep, kExit };
  /// Takes what is pending: INIT, SIPI, #DB, NMI, interrupts [SDM3 6.9].
  Attention attend(Vcpu& cpu, EngineExit& exit);
  /// Runs one instruction with single-step, shadow and code-breakpoint semantics.
  void step(Vcpu& cpu);
  void run_trace(Vcpu& cpu, const Insn* insns, unsigned count);
  /// The trace at RIP, or one instruction decoded into `scratch_`; null: a fault has been delivered.
  const Insn* fetch(Vcpu& cpu, unsigned& count);
  void take_fault(Vcpu& cpu, const Insn& insn);
  Insn scratch_{};
};

}  // namespace orrery::cpu
