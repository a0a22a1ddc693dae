// Runs every guest program of tests/guest: each carries its own expectations and exits with the number of
// those that did not hold. `_smp<n>` at the end of a file's name gives it n vCPUs. Each runs twice: the two
// machines must end alike.
#include <gtest/gtest.h>

#include <filesystem>

#include "cpu/engine.h"
#include "machine/virtual_machine.h"

namespace orrery::machine {
namespace {

/// No program needs more than a fraction of these.
constexpr Tick kMaxTicks = 20'000'000;

/// `_la57` in a file's name asks for the model with 57-bit addresses.
std::string model_of(const std::string& name) {
  return name.find("_la57") == std::string::npos ? "x86-64-v3" : "x86-64-v3-la57";
}

u32 cpus_of(const std::string& name) {
  const size_t at = name.rfind("_smp");
  return at == std::string::npos ? 1 : static_cast<u32>(std::stoul(name.substr(at + 4)));
}

struct Ran {
  StopReason reason{};
  u32 exit_value = 0;
  Tick tick = 0;
  u64 hash = 0;
  std::string text;
  std::string message;
  std::string statistics;
};

Ran run_program(const std::string& name, EngineKind engine = EngineKind::kInterpreter,
                const jit::TranslatorConfig& translator = {}, u64 turn_ticks = 5'000) {
  // The loader tells the guest the file's name: a relative one keeps the state hash apart from where the tree
  // lies.
  std::filesystem::current_path(ORRERY_GUEST_PROGRAMS);
  Config config;
  config.kernel = name + ".elf";
  config.clock = ClockPolicy::kFixed;
  config.memory_bytes = u64{64} << 20;
  config.cpus = cpus_of(name);
  config.cpu = model_of(name);
  config.quantum_ticks = 5'000;
  config.engine = engine;
  config.reboot = false;
  Ran ran;
  auto vm = VirtualMachine::create(
      config, {.record_path = {},
               .serial_output = [&ran](std::span<const u8> b) { ran.text.append(b.begin(), b.end()); },
               .translator = translator,
               .turn_alone = turn_ticks});
  if (!vm) {
    ran.message = vm.error().message;
    return ran;
  }
  ran.reason = (*vm)->run(kMaxTicks);
  ran.exit_value = (*vm)->exit_value();
  ran.tick = (*vm)->tick();
  ran.hash = (*vm)->state_hash();
  ran.message = (*vm)->stop_message();
  ran.statistics = (*vm)->engine_statistics();
  return ran;
}

std::vector<std::string> program_names() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(ORRERY_GUEST_PROGRAMS)) {
    const std::string name = entry.path().stem().string();
    if (entry.path().extension() == ".elf" && !name.starts_with("triple_fault")) names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

class GuestProgram : public testing::TestWithParam<std::string> {};

TEST_P(GuestProgram, ExpectationsHold) {
  const Ran first = run_program(GetParam());
  EXPECT_EQ(first.reason, StopReason::kDebugExit) << first.message;
  EXPECT_EQ(first.exit_value, 0u);
  if (HasFailure()) ADD_FAILURE() << "the program said:\n" << first.text;
  // For comparing hosts (tools/check_aarch64.sh).
  RecordProperty("state_hash", fmt::format("{}:{:016x}", first.tick, first.hash));
  const Ran second = run_program(GetParam());
  EXPECT_EQ(first.hash, second.hash);
  EXPECT_EQ(first.tick, second.tick);
  EXPECT_EQ(first.text, second.text);
}

#if defined(ORRERY_JIT)
TEST_P(GuestProgram, EnginesAgree) {
  const Ran interpreted = run_program(GetParam(), EngineKind::kInterpreter);
  for (const bool quick_pext : {true, false}) {
    SCOPED_TRACE(quick_pext ? "with PEXT, if the host is quick at it" : "without PEXT");
    jit::TranslatorConfig config;
    config.quick_pext = quick_pext;
    const Ran translated = run_program(GetParam(), EngineKind::kJit, config);
    EXPECT_EQ(interpreted.tick, translated.tick);
    EXPECT_EQ(interpreted.text, translated.text);
    EXPECT_EQ(interpreted.hash, translated.hash);
  }
}

TEST(ReturnStack, HoldsTheCallsOfTheLongestRun) {
  const Ran ran = run_program("calls_without_returns", EngineKind::kJit, {}, cpu::Engine::kMostTicks);
  EXPECT_EQ(ran.reason, StopReason::kDebugExit) << ran.message;
  EXPECT_EQ(ran.exit_value, 0u) << ran.text;
}

// 300 rounds with some twenty functions: few are translated more than once or twice.
TEST(PatchedBlocks, ComeBackInsteadOfBeingTranslated) {
  const std::string text = run_program("smc_constants", EngineKind::kJit).statistics;
  const auto number_in = [&text](const char* pattern, std::string_view line) {
    unsigned long dropped = 0, number = 0;
    const size_t at = text.find(line);
    return at != std::string::npos && std::sscanf(text.c_str() + at, pattern, &dropped, &number) == 2 ? number
                                                                                                      : 0;
  };
  EXPECT_GT(number_in("blocks dropped %lu, %lu", "blocks dropped"), 1000u) << text;
  EXPECT_LT(number_in("blocks translated %lu guest instructions %lu", "blocks translated"), 2000u) << text;
}
#endif

INSTANTIATE_TEST_SUITE_P(All, GuestProgram, testing::ValuesIn(program_names()),
                         [](const testing::TestParamInfo<std::string>& test) { return test.param; });

/// Whether `parts` stand in `text` in this order.
testing::AssertionResult in_order(const std::string& text, std::initializer_list<const char*> parts) {
  size_t at = 0;
  for (const char* part : parts) {
    at = text.find(part, at);
    if (at == std::string::npos)
      return testing::AssertionFailure() << "'" << part << "' is missing or out of order in:\n" << text;
    at += std::string_view(part).size();
  }
  return testing::AssertionSuccess();
}

TEST(TripleFault, NamesTheFaultsInOrder) {
  const Ran ran = run_program("triple_fault");
  EXPECT_EQ(ran.reason, StopReason::kTripleFault);
  EXPECT_TRUE(in_order(ran.message,
                       {"outside the IDT", "#PF(0x0) address 0x7000000000", "<main64+", "mov rax, [rsi]",
                        "#GP(0x73)", "#DF(0x0)", "last branch targets", "<main64>", "cr2 0x7000000000"}));
}

TEST(TripleFault, NamesTheStackThatCouldNotBeWritten) {
  const Ran ran = run_program("triple_fault_stack");
  EXPECT_EQ(ran.reason, StopReason::kTripleFault);
  EXPECT_TRUE(in_order(ran.message, {"can't be written", "#PF(0x2) address 0x7000000ff8",
                                     "#PF(0x2) address 0x7000000ff8", "#DF(0x0)"}));
}

TEST(TripleFault, EndsExceptionsThatRaiseEachOtherInTurn) {
  const Ran ran = run_program("triple_fault_turns");
  EXPECT_EQ(ran.reason, StopReason::kTripleFault);
  EXPECT_TRUE(in_order(
      ran.message, {"delivering #NP raises #AC again", "#AC(0x0)", "#NP(0x8b)", "#AC(0x0)", "#NP(0x8b)"}));
  EXPECT_EQ(ran.message.find("#DF"), std::string::npos);
}

}  // namespace
}  // namespace orrery::machine
