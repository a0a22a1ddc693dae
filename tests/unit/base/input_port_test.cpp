// The one door: live delivery, recording and replaying at the same ticks, and logs that are cut or damaged.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <thread>

#include <unistd.h>

#include "base/input_log.h"
#include "base/input_port.h"

namespace orrery {
namespace {

std::span<const u8> bytes_of(std::string_view text) {
  return {reinterpret_cast<const u8*>(text.data()), text.size()};
}

struct Door {
  Timeline timeline;
  InputPort port{timeline};
  std::string delivered;
  InputPort::Channel keys = port.open("keys", [this](std::span<const u8> p) { note("k", p); });
  InputPort::Channel clock = port.open("clock", [this](std::span<const u8> p) { note("c", p); });

  void note(const char* channel, std::span<const u8> payload) {
    delivered +=
        fmt::format("{}@{}:{} ", channel, timeline.now(), std::string(payload.begin(), payload.end()));
  }
  void at(Tick tick) {
    timeline.skip_to(tick);
    port.deliver_due();
  }
};

class InputLogTest : public testing::Test {
 protected:
  void SetUp() override {
    path = testing::TempDir() + fmt::format("orrery-log-{}-{}", getpid(),
                                            testing::UnitTest::GetInstance()->current_test_info()->name());
    std::remove(path.c_str());
  }
  void TearDown() override { std::remove(path.c_str()); }

  std::vector<u8> file() const {
    std::vector<u8> bytes(1 << 16);
    std::FILE* f = std::fopen(path.c_str(), "rb");
    bytes.resize(std::fread(bytes.data(), 1, bytes.size(), f));
    std::fclose(f);
    return bytes;
  }
  /// A short session, recorded to `path`; returns what was delivered.
  std::string record() {
    Door door;
    auto log = InputLogWriter::create(path, "a machine");
    EXPECT_TRUE(log.ok());
    door.port.start_recording(std::move(log).value());
    door.port.inject(door.clock, bytes_of("seed"));
    door.port.post(door.keys, bytes_of("ab"));
    door.at(5);
    door.port.post(door.keys, bytes_of(""));
    door.port.post(door.keys, bytes_of("c"));
    door.at(5);
    door.timeline.skip_to(9);
    door.port.inject(door.clock, bytes_of("rate"));
    door.timeline.skip_to(20);
    EXPECT_TRUE(door.port.finish_recording(0x1234).ok());
    return door.delivered;
  }
  std::string path;
};

TEST_F(InputLogTest, AReplayDeliversTheSameAtTheSameTicks) {
  const std::string delivered = record();
  EXPECT_EQ(delivered, "c@0:seed k@5:ab k@5: k@5:c c@9:rate ");
  auto log = InputLog::load(path);
  ASSERT_TRUE(log.ok()) << log.error().message;
  EXPECT_EQ(log->description, "a machine");
  EXPECT_TRUE(log->complete);
  EXPECT_EQ(log->end_tick, 20u);
  EXPECT_EQ(log->end_state_hash, 0x1234u);

  Door door;
  door.port.start_replay(std::move(log).value());
  door.port.inject(door.clock, bytes_of("other"));  // dropped: the log has its own
  door.port.post(door.keys, bytes_of("not from here"));
  while (!door.port.exhausted()) door.at(door.port.next_tick());
  EXPECT_EQ(door.delivered, delivered);
  EXPECT_TRUE(door.port.log_status().ok());
  EXPECT_EQ(door.port.next_tick(), kNever);
}

TEST_F(InputLogTest, NeverReplacesAFile) {
  record();
  const std::vector<u8> before = file();
  auto again = InputLogWriter::create(path, "another");
  ASSERT_FALSE(again.ok());
  EXPECT_THAT(again.error().message, testing::HasSubstr(path));
  EXPECT_EQ(file(), before);
}

TEST_F(InputLogTest, ACutLogReplaysUpToItsLastWholeRecord) {
  record();
  const std::vector<u8> whole = file();
  size_t last_events = 0;
  for (size_t length = 0; length <= whole.size(); ++length) {
    auto log = InputLog::parse(std::span(whole).first(length), "cut");
    if (!log) continue;
    EXPECT_GE(log->events.size(), last_events);
    last_events = log->events.size();
    EXPECT_EQ(log->complete, length == whole.size());
  }
  EXPECT_EQ(last_events, 5u);
  EXPECT_FALSE(InputLog::parse(std::span(whole).first(10), "cut").ok());
}

TEST_F(InputLogTest, ADamagedBitIsNeverTakenForAnInput) {
  record();
  const std::vector<u8> whole = file();
  const auto good = InputLog::parse(whole, "good").value();
  for (size_t n = 0; n < whole.size() * 8; ++n) {
    std::vector<u8> damaged = whole;
    damaged[n / 8] = static_cast<u8>(damaged[n / 8] ^ (1u << (n % 8)));
    auto log = InputLog::parse(damaged, "damaged");
    if (!log) {
      EXPECT_THAT(log.error().message, testing::StartsWith("log 'damaged': "));
      continue;
    }
    // A damaged length may look like a cut; what is left is a prefix.
    ASSERT_LE(log->events.size(), good.events.size());
    EXPECT_FALSE(log->complete);
    for (size_t i = 0; i < log->events.size(); ++i) {
      EXPECT_EQ(log->events[i].payload, good.events[i].payload);
      EXPECT_EQ(log->events[i].tick, good.events[i].tick);
    }
  }
}

TEST(InputPortTest, OtherThreadsPostAndWake) {
  Door door;
  std::thread poster([&door] {
    for (int i = 0; i < 100; ++i) door.port.post(door.keys, bytes_of("x"));
  });
  size_t delivered = 0;
  while (delivered < 100) {
    door.port.wait_until(std::chrono::steady_clock::now() + std::chrono::seconds(10));
    door.delivered.clear();
    door.port.deliver_due();
    delivered += static_cast<size_t>(std::count(door.delivered.begin(), door.delivered.end(), 'x'));
  }
  poster.join();
  EXPECT_FALSE(door.port.pending());
  door.port.wake();
  door.port.wait_until(std::chrono::steady_clock::now() + std::chrono::hours(1));  // returns at once
}

TEST(InputPortTest, ALogOfAnotherMachineIsAnError) {
  Door door;
  InputLog log;
  log.events.push_back({.tick = 1, .channel = 7, .payload = {}});
  door.port.start_replay(std::move(log));
  door.at(1);
  EXPECT_FALSE(door.port.log_status().ok());
  EXPECT_EQ(door.delivered, "");
}

// One port's deliveries, tapped, are another one's log while it grows; and from an earlier place again.
TEST(InputPortTest, OnePortFeedsAnother) {
  Door leader, follower;
  InputLog endless;
  endless.end_tick = kNever;
  follower.port.start_replay(std::move(endless));
  leader.port.set_tap([&](const InputEvent& input) { follower.port.extend_replay(input); });
  leader.port.post(leader.keys, bytes_of("a"));
  leader.at(5);
  leader.port.inject(leader.clock, bytes_of("r"));
  EXPECT_EQ(follower.port.next_tick(), 5u);
  follower.at(5);
  EXPECT_EQ(follower.port.replay_position(), 2u);
  leader.port.post(leader.keys, bytes_of("b"));
  leader.at(9);
  follower.at(9);
  EXPECT_EQ(leader.delivered, "k@5:a c@5:r k@9:b ");
  EXPECT_EQ(follower.delivered, leader.delivered);
  follower.delivered.clear();
  follower.timeline.skip_to(6);
  follower.port.set_replay_position(2);
  EXPECT_EQ(follower.port.next_tick(), 9u);
  follower.at(9);
  EXPECT_EQ(follower.delivered, "k@9:b ");
  EXPECT_TRUE(follower.port.exhausted());
}

}  // namespace
}  // namespace orrery
