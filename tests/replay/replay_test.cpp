// Recording and replaying, running in pieces, saving and restoring elsewhere: the same machine every time.
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

#include "machine/virtual_machine.h"
#include "tests/contract/virtio_driver.h"
#include "tests/replay/machines.h"

namespace orrery::machine {
namespace {

using tests::Machine;
using tests::make_machine;

class RecordingTest : public testing::TestWithParam<ClockPolicy> {
 protected:
  void SetUp() override {
    path_ = std::filesystem::temp_directory_path() /
            fmt::format("orrery-replay-{}-{}", ::getpid(), static_cast<int>(GetParam()));
    std::filesystem::remove(path_);
  }
  void TearDown() override { std::filesystem::remove(path_); }

  /// A session of somebody typing; leaves the log at path_.
  void record(Machine& machine) {
    machine.options.record_path = path_;
    machine.options.interactive = true;
    ASSERT_TRUE(machine.create());
    std::thread typist([&machine] {
      for (const char key : std::string_view("hello p world, q")) {
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
        const u8 byte = static_cast<u8>(key);
        machine.vm->type({&byte, 1});
      }
    });
    // The guest ends by itself; how much guest time passes until the last key is the host's affair.
    const StopReason reason = machine.vm->run(u64{1} << 40);
    typist.join();
    ASSERT_EQ(reason, StopReason::kDebugExit) << machine.vm->stop_message() << " after: " << machine.text();
    ASSERT_TRUE(machine.vm->finish_recording());
    EXPECT_EQ(machine.text(), "hello p world, q");
  }
  std::vector<u8> read_log() const {
    std::ifstream file(path_, std::ios::binary);
    return std::vector<u8>(std::istreambuf_iterator<char>(file), {});
  }
  void write_log(std::span<const u8> bytes) const {
    std::ofstream(path_, std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  }
  static Machine recorded_machine() {
    Machine machine("echo");
    machine.config.clock = GetParam();
    return machine;
  }
  std::string path_;
};

TEST_P(RecordingTest, ReplayIsTheSameRun) {
  Machine first = recorded_machine();
  ASSERT_NO_FATAL_FAILURE(record(first));
  for (int round = 0; round < 2; ++round) {
    Machine again("echo");
    ASSERT_TRUE(again.create_replay(path_));
    EXPECT_EQ(again.vm->run(), StopReason::kDebugExit) << again.vm->stop_message();
    EXPECT_EQ(again.vm->tick(), first.vm->tick());
    EXPECT_EQ(again.vm->state_hash(), first.vm->state_hash());
    EXPECT_EQ(again.text(), first.text());
  }
  // In pieces, and with what is typed meanwhile ignored.
  Machine pieces("echo");
  ASSERT_TRUE(pieces.create_replay(path_));
  const Tick end = first.vm->tick();
  for (Tick at = end / 7; at < end; at += end / 7) {
    EXPECT_EQ(pieces.vm->run(at), StopReason::kMaxTicks);
    EXPECT_EQ(pieces.vm->tick(), at);
    const u8 byte = 'x';
    pieces.vm->type({&byte, 1});
  }
  EXPECT_EQ(pieces.vm->run(), StopReason::kDebugExit);
  EXPECT_EQ(pieces.vm->state_hash(), first.vm->state_hash());
}

TEST_P(RecordingTest, AnExistingFileIsNotOverwritten) {
  write_log({});
  Machine machine = recorded_machine();
  machine.options.record_path = path_;
  EXPECT_FALSE(machine.create());
  EXPECT_NE(machine.error.find(path_), std::string::npos) << machine.error;
  EXPECT_TRUE(read_log().empty());
}

TEST_P(RecordingTest, DamagedLogsAreRefused) {
  Machine first = recorded_machine();
  ASSERT_NO_FATAL_FAILURE(record(first));
  const std::vector<u8> good = read_log();
  ASSERT_GT(good.size(), 200u);
  const size_t step = std::max<size_t>(1, good.size() / 97);
  for (size_t at = 0; at < good.size(); at += step) {
    std::vector<u8> bad = good;
    bad[at] ^= 0x10;
    write_log(bad);
    Machine machine("echo");
    if (!machine.create_replay(path_)) continue;
    // A record's length that reaches over the end looks like a recorder that was killed: a shorter log, not a
    // complete one.
    auto log = InputLog::load(path_);
    ASSERT_TRUE(log);
    EXPECT_FALSE(log->complete) << "byte " << at << " of " << good.size();
  }
  // Cut off: the header must be whole; later the log just ends sooner.
  write_log(std::span(good).first(100));
  Machine header("echo");
  EXPECT_FALSE(header.create_replay(path_));
  write_log(std::span(good).first(good.size() - 5));
  Machine tail("echo");
  ASSERT_TRUE(tail.create_replay(path_));
}

INSTANTIATE_TEST_SUITE_P(Clocks, RecordingTest, testing::Values(ClockPolicy::kFixed, ClockPolicy::kFollow),
                         [](const auto& test) {
                           return test.param == ClockPolicy::kFixed ? "fixed" : "follow";
                         });

TEST(RunInPieces, IsTheSameRun) {
  constexpr Tick kEnd = 400'000;
  Machine whole = make_machine("busy");
  EXPECT_EQ(whole.vm->run(kEnd), StopReason::kMaxTicks);
  EXPECT_EQ(whole.vm->tick(), kEnd);
  Machine pieces = make_machine("busy");
  u64 length = 1;
  while (pieces.vm->tick() < kEnd) {
    const Tick until = std::min<Tick>(kEnd, pieces.vm->tick() + length);
    ASSERT_EQ(pieces.vm->run(until), StopReason::kMaxTicks);
    ASSERT_EQ(pieces.vm->tick(), until);
    length = length * 3 % 10'007 + 1;
  }
  EXPECT_EQ(pieces.vm->state_hash(), whole.vm->state_hash());
  EXPECT_EQ(pieces.vm->dump_state(), whole.vm->dump_state());
}

#if defined(ORRERY_JIT)
struct Crossing {
  EngineKind recorder, player;
  ClockPolicy clock;
};
class CrossEngineTest : public testing::TestWithParam<Crossing> {};

// Keys typed into one engine's machine, replayed by the other engine's.
TEST_P(CrossEngineTest, ALogOfOneEngineReplaysUnderTheOther) {
  const auto [recorder, player, clock] = GetParam();
  const std::string path =
      std::filesystem::temp_directory_path() / fmt::format("orrery-cross-{}", ::getpid());
  std::filesystem::remove(path);
  Machine first("echo");
  first.config.clock = clock;
  first.config.engine = recorder;
  first.options.record_path = path;
  first.options.interactive = true;
  ASSERT_TRUE(first.create()) << first.error;
  std::thread typist([&first] {
    for (const char key : std::string_view("hello p world, q")) {
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
      const u8 byte = static_cast<u8>(key);
      first.vm->type({&byte, 1});
    }
  });
  const StopReason reason = first.vm->run(u64{1} << 40);
  typist.join();
  ASSERT_EQ(reason, StopReason::kDebugExit) << first.vm->stop_message();
  ASSERT_TRUE(first.vm->finish_recording());
  for (const EngineKind engine : {player, recorder}) {
    Machine again("echo");
    again.options.replay_engine = engine;
    ASSERT_TRUE(again.create_replay(path)) << again.error;
    EXPECT_EQ(again.vm->config().engine, engine);
    EXPECT_EQ(again.vm->run(), StopReason::kDebugExit) << again.vm->stop_message();
    EXPECT_EQ(again.vm->tick(), first.vm->tick());
    EXPECT_EQ(again.vm->state_hash(), first.vm->state_hash());
    EXPECT_EQ(again.vm->state_hash(), again.vm->inputs().replay_log().end_state_hash);
    EXPECT_EQ(again.text(), first.text());
  }
  std::filesystem::remove(path);
}

INSTANTIATE_TEST_SUITE_P(
    Engines, CrossEngineTest,
    testing::Values(Crossing{EngineKind::kJit, EngineKind::kInterpreter, ClockPolicy::kFollow},
                    Crossing{EngineKind::kInterpreter, EngineKind::kJit, ClockPolicy::kFixed}),
    [](const auto& test) {
      return test.param.recorder == EngineKind::kJit ? "TranslatorRecords" : "InterpreterRecords";
    });

TEST(SelfModifyingCode, ADiskReplacesTheLoopThatWaitsForIt) {
  tests::TemporaryFile disk(64 << 10);
  u64 hash = 0;
  for (const EngineKind engine : {EngineKind::kInterpreter, EngineKind::kJit}) {
    Machine machine("dma_code");
    machine.config.engine = engine;
    machine.config.disks = {{.file = disk.path(), .snapshot = true}};
    ASSERT_TRUE(machine.create()) << machine.error;
    EXPECT_EQ(machine.vm->run(100'000'000), StopReason::kDebugExit) << machine.text();
    EXPECT_EQ(machine.vm->exit_value(), 0u) << machine.text();
    if (engine == EngineKind::kJit) {
      EXPECT_EQ(machine.vm->state_hash(), hash);
    }
    hash = machine.vm->state_hash();
  }
}
#endif

TEST(SaveAndRestore, TheOtherMachineGoesOnAlike) {
  for (const Tick at : {Tick{1}, Tick{30'000}, Tick{123'457}}) {
    Machine a = make_machine("busy");
    ASSERT_EQ(a.vm->run(at), StopReason::kMaxTicks);
    Machine b = make_machine("busy");
    ASSERT_EQ(b.vm->run(at / 3), StopReason::kMaxTicks);  // whatever it did before must not matter
    StateWriter writer;
    a.vm->visit_state(writer);
    StateReader reader(writer.bytes());
    b.vm->visit_state(reader);
    const auto loaded = reader.finish();
    ASSERT_TRUE(loaded) << loaded.error().message;
    tests::copy_ram(*a.vm, *b.vm);
    ASSERT_EQ(b.vm->tick(), at);
    ASSERT_EQ(b.vm->state_hash(), a.vm->state_hash());
    a.vm->run(at + 200'000);
    b.vm->run(at + 200'000);
    EXPECT_EQ(b.vm->state_hash(), a.vm->state_hash());
    EXPECT_EQ(b.vm->dump_state(), a.vm->dump_state());
  }
}

}  // namespace
}  // namespace orrery::machine
