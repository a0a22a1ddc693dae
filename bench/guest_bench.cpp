// Both engines on small guest programs: guest instructions a second.
#include <benchmark/benchmark.h>

#include "machine/virtual_machine.h"

namespace orrery {
namespace {

void run_guest(benchmark::State& state, const char* name, machine::EngineKind engine) {
  u64 instructions = 0;
  for (auto _ : state) {
    state.PauseTiming();
    machine::Config config;
    config.kernel = std::string(ORRERY_BENCH_GUESTS "/") + name + ".elf";
    config.engine = engine;
    config.clock = machine::ClockPolicy::kFixed;
    config.memory_bytes = u64{64} << 20;
    config.serial.kind = machine::SerialConfig::Kind::kNone;
    auto vm = machine::VirtualMachine::create(config, {});
    if (!vm) {
      state.SkipWithError(vm.error().message.c_str());
      return;
    }
    state.ResumeTiming();
    if ((*vm)->run() != machine::StopReason::kDebugExit) state.SkipWithError("the guest did not finish");
    instructions += (*vm)->tick() - (*vm)->idle_ticks();
    state.PauseTiming();
    vm->reset();
    state.ResumeTiming();
  }
  state.counters["guest_insns"] =
      benchmark::Counter(static_cast<double>(instructions), benchmark::Counter::kIsRate);
}

using machine::EngineKind;
BENCHMARK_CAPTURE(run_guest, interpreter_registers, "registers", EngineKind::kInterpreter)
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(run_guest, interpreter_memory, "memory", EngineKind::kInterpreter)
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(run_guest, interpreter_calls, "calls", EngineKind::kInterpreter)
    ->Unit(benchmark::kMillisecond);
#if defined(ORRERY_JIT)
BENCHMARK_CAPTURE(run_guest, jit_registers, "registers", EngineKind::kJit)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(run_guest, jit_memory, "memory", EngineKind::kJit)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(run_guest, jit_calls, "calls", EngineKind::kJit)->Unit(benchmark::kMillisecond);
#endif

}  // namespace
}  // namespace orrery
