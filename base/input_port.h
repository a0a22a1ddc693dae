// InputPort: the only door through which anything non-deterministic enters a machine.
//
// Keys, serial bytes, network frames, wall-clock samples, the entropy seed, clock-rate corrections and
// commands all come through here. Every event is stamped with the Tick at which it is delivered, between two
// instructions. Live: delivered as it comes. Record: the same, and written to the log. Replay: only the log's
// events are delivered, each at exactly its tick; what the host posts is dropped.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/input_log.h"

namespace orrery {

class InputPort {
 public:
  enum class Mode : u8 { kLive, kRecord, kReplay };
  using Channel = u16;
  using Receiver = std::function<void(std::span<const u8>)>;

  explicit InputPort(const Timeline& timeline) : timeline_(timeline) {}
  InputPort(const InputPort&) = delete;
  InputPort& operator=(const InputPort&) = delete;

  /// From now on everything delivered is written to `log`.
  void start_recording(std::unique_ptr<InputLogWriter> log);
  /// From now on only `log`'s events are delivered.
  void start_replay(InputLog log);
  Mode mode() const { return mode_; }

  /// Opens a channel; `receive` runs on the machine's thread between instructions. Channels are numbered in
  /// the order of opening, which is the board's construction order, so numbers agree between recorder and
  /// replayer.
  Channel open(std::string name, Receiver receive);

  /// Any thread: hands in one input of at most kMaxPayloadBytes bytes, and wakes an idle machine. Returns at
  /// once.
  void post(Channel channel, std::span<const u8> payload);
  /// Any thread: wakes an idle machine without an input (to make it look at a stop request).
  void wake();
  /// Any thread: whether something waits to be delivered.
  bool pending() const { return pending_.load(std::memory_order_acquire); }

  /// Machine thread, between slices: delivers an input that the machine's own thread sampled (a rate
  /// correction, the seed, a wall-clock reading) at this tick. In Replay it is dropped: the log has its own.
  void inject(Channel channel, std::span<const u8> payload);

  /// Machine thread, between slices: in Live and Record delivers everything posted, in Replay the log's
  /// events that are due at this tick.
  void deliver_due();
  /// In Replay, the tick of the log's next event; else kNever.
  Tick next_tick() const;
  /// In Replay, whether all events have been delivered.
  bool exhausted() const { return mode_ == Mode::kReplay && next_event_ >= replay_.events.size(); }
  const InputLog& replay_log() const { return replay_; }

  // ---- Machine thread: one machine's inputs feed others (machine/lockstep.h) ----
  /// `tap` sees everything that is delivered, when it is.
  void set_tap(std::function<void(const InputEvent&)> tap) { tap_ = std::move(tap); }
  /// In Replay: one more event, not before those that the log has.
  void extend_replay(InputEvent event) { replay_.events.push_back(std::move(event)); }
  /// In Replay: how many of the log's events have been delivered; going back when the machine has.
  size_t replay_position() const { return next_event_; }
  void set_replay_position(size_t events) { next_event_ = events; }

  /// Machine thread: sleeps until something is posted, `wake` is called or `until` has come.
  void wait_until(std::chrono::steady_clock::time_point until);

  /// The recorder's first error, if any; the machine stops on it.
  Result<> log_status() const;
  /// Ends a recording.
  Result<> finish_recording(u64 state_hash);
  Result<> flush_recording();

 private:
  struct Receiving {
    std::string name;
    Receiver receive;
  };
  void deliver(Channel channel, std::span<const u8> payload);

  const Timeline& timeline_;
  Mode mode_ = Mode::kLive;
  std::vector<Receiving> channels_;
  std::unique_ptr<InputLogWriter> recorder_;
  std::optional<Error> log_error_;
  InputLog replay_;
  size_t next_event_ = 0;
  std::function<void(const InputEvent&)> tap_;

  std::mutex mutex_;  // guards posted_ and woken_
  std::condition_variable arrived_;
  std::vector<InputEvent> posted_;
  bool woken_ = false;
  std::atomic<bool> pending_ = false;
};

}  // namespace orrery
