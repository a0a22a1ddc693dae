// Engine: what runs a vCPU's instructions. All engines give the same state at the same tick.
#pragma once

#include "cpu/vcpu.h"

namespace orrery::cpu {

/// Why an engine came back before its ticks were used up.
enum class EngineExit : u8 {
  kTicks,       // vcpu.ticks_left is 0 (or the vCPU asked for the slice to end)
  kIdle,        // halted or waiting, with nothing to take
  kYield,       // the rest of the quantum is given up
  kShutdown,    // triple fault
  kBreakpoint,  // a debugger's breakpoint at RIP; nothing was run
  kWatchpoint,  // a debugger's watchpoint was hit by the instruction just retired
};

class Engine {
 public:
  /// Of one run: the translator has room for the return addresses of as many calls.
  static constexpr u64 kMostTicks = 1'000'000;
  virtual ~Engine() = default;
  /// Runs until `cpu.ticks_left` (1 to kMostTicks on entry) reaches 0, or an exit. `skip_breakpoint`: do not
  /// stop at a breakpoint on the first instruction.
  virtual EngineExit run(Vcpu& cpu, bool skip_breakpoint) = 0;
  /// Counters for people, a line each; empty if the engine keeps none.
  virtual std::string statistics() const { return {}; }
};

}  // namespace orrery::cpu
