// Lockstep over whole guest programs, and its search for the instruction that a deliberately wrong emitter
// gets wrong.
#include "machine/lockstep.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "jit/block_scan.h"

namespace orrery::machine {
namespace {

constexpr Tick kMaxTicks = 20'000'000;

Config config_of(const std::string& program, const char* folder = ORRERY_GUEST_PROGRAMS) {
  std::filesystem::current_path(folder);
  Config config;
  config.kernel = program + ".elf";
  config.memory_bytes = u64{64} << 20;
  config.quantum_ticks = 5'000;
  config.reboot = false;
  const size_t smp = program.rfind("_smp");
  if (smp != std::string::npos) config.cpus = static_cast<u32>(std::stoul(program.substr(smp + 4)));
  if (program.find("_la57") != std::string::npos) config.cpu = "x86-64-v3-la57";
  return config;
}

std::unique_ptr<Lockstep> make(const Config& config, Lockstep::Options options) {
  options.machine.serial_output = [](std::span<const u8>) {};
  options.machine.turn_alone = 5'000;
  auto made = Lockstep::create(config, std::move(options));
  CHECK(made.ok(), made.ok() ? "" : made.error().message);
  return std::move(made).value();
}

class LockstepProgram : public testing::TestWithParam<std::string> {};

// Short intervals, so that what is wrong for a moment only is noticed, too; hot at once, so that everything
// is translated.
TEST_P(LockstepProgram, EnginesAreAlike) {
  Lockstep::Options options{
      .machine = {}, .processors_every = 97, .state_every = 50'000, .memory_every = 500'000};
  options.machine.translator.hot_runs = 1;
  const auto lockstep = make(config_of(GetParam()), std::move(options));
  EXPECT_EQ(lockstep->run(kMaxTicks), StopReason::kDebugExit) << lockstep->message();
  EXPECT_EQ(lockstep->leader().exit_value(), 0u);
}

INSTANTIATE_TEST_SUITE_P(All, LockstepProgram,
                         testing::Values("smc", "smc_stores", "smc_smp2", "precise_state", "strings", "avx",
                                         "exceptions", "memory_groups", "page_guesses", "page_loops",
                                         "paging", "ipi_smp4", "instruction_faults", "mxcsr_change",
                                         "paging_la57"),
                         [](const testing::TestParamInfo<std::string>& test) { return test.param; });

// Ten times as much translated code as the smallest cache holds: units are evicted while code in others,
// tables and returns lead into them.
TEST(SmallCache, EnginesAreAlikeWhileUnitsAreEvicted) {
  Lockstep::Options options{.machine = {}, .processors_every = 997, .memory_every = 1'000'000};
  options.machine.translator.hot_runs = options.machine.translator.hot_runs_when_full = 1;
  options.machine.translator.cache_bytes = jit::kMinCacheBytes;
  const auto lockstep = make(config_of("large_code", ORRERY_LOCKSTEP_PROGRAMS), std::move(options));
  EXPECT_EQ(lockstep->run(kMaxTicks), StopReason::kDebugExit) << lockstep->message();
  EXPECT_EQ(lockstep->leader().exit_value(), 0u);
  const std::string statistics = lockstep->follower().engine_statistics();
  u64 evicted = 0, host_bytes = 0;
  const size_t at = statistics.find("units evicted"), bytes_at = statistics.find("host bytes");
  ASSERT_TRUE(at != std::string::npos && bytes_at != std::string::npos) << statistics;
  std::sscanf(statistics.c_str() + at, "units evicted %lu", &evicted);
  std::sscanf(statistics.c_str() + bytes_at, "host bytes %lu", &host_bytes);
  EXPECT_GT(evicted, 200u) << statistics;
  EXPECT_GT(host_bytes, 5 * 10 * jit::kMinCacheBytes) << statistics;
}

/// The report of a run whose translator emits what `sabotage` makes of the guest's instructions.
std::string report_of(const std::string& program, std::function<void(jit::GuestInsn&)> sabotage,
                      Lockstep::Options options = {}) {
  options.machine.translator.sabotage = std::move(sabotage);
  const auto lockstep = make(config_of(program, ORRERY_LOCKSTEP_PROGRAMS), std::move(options));
  EXPECT_EQ(lockstep->run(kMaxTicks), StopReason::kDifference);
  return lockstep->message();
}

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

bool is_adc(const jit::GuestInsn& g) { return g.z.mnemonic == ZYDIS_MNEMONIC_ADC; }

// ADC finds CF set from round 700,000 on.
TEST(WrongEmitter, OneInstructionIsNamedWithItsFields) {
  const std::string report = report_of("wrong_adc", [](jit::GuestInsn& g) {
    if (is_adc(g)) g.z.mnemonic = ZYDIS_MNEMONIC_ADD;
  });
  EXPECT_TRUE(in_order(report, {"machine.cpu0.state.r8: 0x200b21 here, 0x200b20 there", "guest instructions",
                                "\n  > ", "cpu0", "adc r8, rax", "block ", "adc r8, rax", "add r8, rax"}));
  EXPECT_FALSE(in_order(report, {"\n  > ", "\n  > "})) << "more than one instruction is marked in:\n"
                                                       << report;
}

// Nothing but memory differs, and nobody looks there for long.
TEST(WrongEmitter, AStoreIsFoundInMemory) {
  const std::string report = report_of("wrong_adc", [](jit::GuestInsn& g) {
    if (g.z.mnemonic == ZYDIS_MNEMONIC_MOV && g.operands[0].type == ZYDIS_OPERAND_TYPE_MEMORY &&
        g.operands[1].imm.value.u == 0x1234) {
      g.operands[1].imm.value.u = 0x1235;
    }
  });
  EXPECT_TRUE(in_order(report, {"ram offset 0x400000: 0x0000000000001234 here, 0x0000000000001235 there",
                                "\n  > ", "mov dword ptr [rdi], 0x1234", "0x1235"}));
}

// Right when it is first in its block: what is wrong is wrong only together.
TEST(WrongEmitter, WhatIsWrongOnlyInCompanyIsFoundWithIt) {
  const std::string report = report_of("wrong_adc", [](jit::GuestInsn& g) {
    if (is_adc(g) && g.offset != 0) g.z.mnemonic = ZYDIS_MNEMONIC_ADD;
  });
  EXPECT_TRUE(
      in_order(report, {"alike up to tick", "machine.cpu0.state.r8: ", "no instruction of it is wrong",
                        "\n  > ", "nop", "\n  > ", "adc r8, rax", "add r8, rax"}));
}

TEST(WrongEmitter, TheProcessorIsNamed) {
  const std::string report = report_of("wrong_adc_smp2", [](jit::GuestInsn& g) {
    if (is_adc(g)) g.z.mnemonic = ZYDIS_MNEMONIC_ADD;
  });
  EXPECT_TRUE(in_order(report, {"machine.cpu1.state.r8: ", "\n  > ", "cpu1", "adc r8, 0x00"}));
}

// Wrong in the first translation only, as code would be whose invalidation was forgotten: fresh translations
// show nothing, the machine that has the old one does.
TEST(WrongEmitter, AnOldTranslationIsSuspected) {
  auto first = std::make_shared<int>(0);
  const std::string report = report_of("wrong_adc",
                                       [first](jit::GuestInsn& g) {
                                         if (is_adc(g) && ++*first == 1) g.z.mnemonic = ZYDIS_MNEMONIC_ADD;
                                       },
                                       {.machine = {}, .memory_every = 1'000'000});
  EXPECT_TRUE(in_order(report, {"only code that was translated before", "\n  > ", "adc r8, rax"}));
}

// Debian's kernel, hundreds of millions of instructions in; ORRERY_LOCKSTEP_GUEST is the folder of
// tools/fetch_guest.sh.
TEST(WrongEmitter, IsNamedDeepInABoot) {
  const char* const guest = std::getenv("ORRERY_LOCKSTEP_GUEST");
  if (guest == nullptr) GTEST_SKIP() << "a test of `full`";
  Config config;
  config.kernel = std::string(guest) + "/vmlinuz";
  config.initrd = std::string(guest) + "/initramfs.cpio.gz";
  config.append = "console=ttyS0 quiet orrery.run=\"poweroff -f\"";
  if (!std::filesystem::exists(config.initrd)) GTEST_SKIP() << "no guest; see tools/fetch_guest.sh";
  Lockstep::Options options;
  // Right in what is translated first: the kernel is far by then.
  auto translated = std::make_shared<int>(0);
  options.machine.translator.sabotage = [translated](jit::GuestInsn& g) {
    if (++*translated < 200'000) return;
    if (g.z.mnemonic == ZYDIS_MNEMONIC_CMOVNZ) g.z.mnemonic = ZYDIS_MNEMONIC_CMOVZ;
  };
  const auto lockstep = make(config, std::move(options));
  EXPECT_EQ(lockstep->run(), StopReason::kDifference);
  EXPECT_TRUE(in_order(lockstep->message(), {"is wrong, translated by itself", "machine.cpu0.state.r",
                                             "\n  > ", "cmovnz", "block ", "cmovnz", "cmovz"}));
  std::puts(lockstep->message().substr(0, 2000).c_str());
}

}  // namespace
}  // namespace orrery::machine
