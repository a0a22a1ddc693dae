// Debian's kernel from its first instruction to the shell's prompt. Needs tools/fetch_guest.sh and
// make_initramfs.sh.
#include <benchmark/benchmark.h>

#include "machine/virtual_machine.h"

namespace orrery {
namespace {

void boot(benchmark::State& state) {
  u64 instructions = 0;
  for (auto _ : state) {
    state.PauseTiming();
    machine::Config config;
    config.kernel = ORRERY_GUEST_DIR "/vmlinuz";
    config.initrd = ORRERY_GUEST_DIR "/initramfs.cpio.gz";
    config.append = "console=ttyS0 quiet";
    config.clock = machine::ClockPolicy::kFixed;
    config.cpus = static_cast<u32>(state.range(0));
    config.engine = static_cast<machine::EngineKind>(state.range(1));
    std::string seen;
    machine::VirtualMachine* running = nullptr;
    auto vm = machine::VirtualMachine::create(
        config, {.record_path = {}, .serial_output = [&](std::span<const u8> bytes) {
                   seen.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
                   if (seen.size() >= 4 &&
                       seen.find("/ # ", seen.size() >= 8 ? seen.size() - 8 : 0) != std::string::npos)
                     running->request_stop();
                 }});
    if (!vm) {
      state.SkipWithError(vm.error().message.c_str());
      return;
    }
    running = vm->get();
    state.ResumeTiming();
    if (running->run(u64{100'000'000'000}) != machine::StopReason::kRequested)
      state.SkipWithError("no shell");
    instructions += running->tick() - running->idle_ticks();
    state.PauseTiming();
    vm->reset();
    state.ResumeTiming();
  }
  state.counters["guest_insns"] =
      benchmark::Counter(static_cast<double>(instructions), benchmark::Counter::kIsRate);
}

void of_each_engine(benchmark::internal::Benchmark* b) {
  for (const machine::EngineKind engine : {machine::EngineKind::kInterpreter, machine::kDefaultEngine}) {
    for (const i64 cpus : {1, 4}) b->Args({cpus, static_cast<i64>(engine)});
  }
}
BENCHMARK(boot)
    ->Apply(of_each_engine)
    ->ArgNames({"cpus", "engine"})
    ->Unit(benchmark::kMillisecond)
    ->Iterations(1);

}  // namespace
}  // namespace orrery
