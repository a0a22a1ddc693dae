// Both engines on small guest programs: guest instructions a second.
#include <benchmark/benchmark.h>

#include "machine/virtual_machine.h"

namespace orrery {
namespace {

struct Run {
  machine::EngineKind engine;
  bool counts_ticks = true;  // else guest instructions aren't known
  unsigned hot_runs = 4;
};

void run_guest(benchmark::State& state, const char* name, Run run) {
  u64 instructions = 0;
  for (auto _ : state) {
    state.PauseTiming();
    machine::Config config;
    config.kernel = std::string(ORRERY_BENCH_GUESTS "/") + name + ".elf";
    config.engine = run.engine;
    config.clock = machine::ClockPolicy::kFixed;
    config.memory_bytes = u64{64} << 20;
    config.serial.kind = machine::SerialConfig::Kind::kNone;
    machine::VirtualMachine::Options options;
    options.translator.counts_ticks = run.counts_ticks;
    options.translator.hot_runs = static_cast<u8>(run.hot_runs);
    auto vm = machine::VirtualMachine::create(config, options);
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
  if (!run.counts_ticks) return;
  state.counters["guest_insns"] =
      benchmark::Counter(static_cast<double>(instructions), benchmark::Counter::kIsRate);
}

constexpr Run kInterpreter{machine::EngineKind::kInterpreter};
BENCHMARK_CAPTURE(run_guest, interpreter_registers, "registers", kInterpreter)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(run_guest, interpreter_memory, "memory", kInterpreter)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(run_guest, interpreter_calls, "calls", kInterpreter)->Unit(benchmark::kMillisecond);
#if defined(ORRERY_JIT)
constexpr Run kJit{machine::EngineKind::kJit};
BENCHMARK_CAPTURE(run_guest, jit_registers, "registers", kJit)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(run_guest, jit_memory, "memory", kJit)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(run_guest, jit_calls, "calls", kJit)->Unit(benchmark::kMillisecond);
// What exact counting costs: the same without it.
constexpr Run kUncounted{machine::EngineKind::kJit, false};
BENCHMARK_CAPTURE(run_guest, uncounted_registers, "registers", kUncounted)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(run_guest, uncounted_memory, "memory", kUncounted)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(run_guest, uncounted_calls, "calls", kUncounted)->Unit(benchmark::kMillisecond);
// The parts of the translator, each with the instructions around it.
BENCHMARK_CAPTURE(run_guest, jit_tlb_fill, "tlb_fill", kJit)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(run_guest, jit_tlb_walk, "tlb_walk", kJit)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(run_guest, jit_dispatch, "dispatch", kJit)->Unit(benchmark::kMillisecond);
constexpr Run kAtOnce{machine::EngineKind::kJit, true, 1};
BENCHMARK_CAPTURE(run_guest, jit_translation, "translation", kAtOnce)->Unit(benchmark::kMillisecond);
#endif

}  // namespace
}  // namespace orrery
