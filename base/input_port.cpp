#include "base/input_port.h"

namespace orrery {

void InputPort::start_recording(std::unique_ptr<InputLogWriter> log) {
  CHECK(mode_ == Mode::kLive);
  mode_ = Mode::kRecord;
  recorder_ = std::move(log);
}

void InputPort::start_replay(InputLog log) {
  CHECK(mode_ == Mode::kLive);
  mode_ = Mode::kReplay;
  replay_ = std::move(log);
}

InputPort::Channel InputPort::open(std::string name, Receiver receive) {
  for (const auto& channel : channels_) CHECK(channel.name != name, name);
  channels_.push_back({std::move(name), std::move(receive)});
  return static_cast<Channel>(channels_.size() - 1);
}

void InputPort::post(Channel channel, std::span<const u8> payload) {
  CHECK(channel < channels_.size() && payload.size() <= kMaxPayloadBytes);
  {
    const std::lock_guard lock(mutex_);
    posted_.push_back({.tick = 0, .channel = channel, .payload = {payload.begin(), payload.end()}});
    pending_.store(true, std::memory_order_release);
  }
  arrived_.notify_one();
}

void InputPort::wake() {
  {
    const std::lock_guard lock(mutex_);
    woken_ = true;
  }
  arrived_.notify_one();
}

void InputPort::deliver(Channel channel, std::span<const u8> payload) {
  if (recorder_) {
    auto written = recorder_->append(
        {.tick = timeline_.now(), .channel = channel, .payload = {payload.begin(), payload.end()}});
    if (!written && !log_error_) log_error_ = written.error();
  }
  if (tap_) {
    tap_({.tick = timeline_.now(), .channel = channel, .payload = {payload.begin(), payload.end()}});
  }
  channels_[channel].receive(payload);
}

void InputPort::inject(Channel channel, std::span<const u8> payload) {
  CHECK(channel < channels_.size());
  if (mode_ == Mode::kReplay) return;
  deliver(channel, payload);
}

void InputPort::deliver_due() {
  if (mode_ == Mode::kReplay) {
    while (next_event_ < replay_.events.size() && replay_.events[next_event_].tick <= timeline_.now()) {
      const InputEvent& event = replay_.events[next_event_++];
      // A log names channels of the machine that it describes; another channel is a damaged log.
      if (event.channel >= channels_.size() || event.tick != timeline_.now()) {
        if (!log_error_) {
          log_error_ = make_error("replaying: the log's event {} at tick {} does not fit this machine",
                                  next_event_ - 1, event.tick);
        }
        continue;
      }
      deliver(event.channel, event.payload);
    }
    return;
  }
  if (!pending()) return;
  std::vector<InputEvent> events;
  {
    const std::lock_guard lock(mutex_);
    events.swap(posted_);
    pending_.store(false, std::memory_order_release);
  }
  for (const InputEvent& event : events) deliver(event.channel, event.payload);
}

Tick InputPort::next_tick() const {
  if (mode_ != Mode::kReplay || next_event_ >= replay_.events.size()) return kNever;
  return replay_.events[next_event_].tick;
}

void InputPort::wait_until(std::chrono::steady_clock::time_point until) {
  std::unique_lock lock(mutex_);
  arrived_.wait_until(lock, until, [this] { return woken_ || pending(); });
  woken_ = false;
}

Result<> InputPort::log_status() const {
  if (log_error_) return Error{*log_error_};
  return {};
}

Result<> InputPort::flush_recording() { return recorder_ ? recorder_->flush() : Result<>{}; }

Result<> InputPort::finish_recording(u64 state_hash) {
  if (!recorder_) return {};
  auto finished = recorder_->finish(timeline_.now(), state_hash);
  recorder_.reset();
  mode_ = Mode::kLive;
  return finished;
}

}  // namespace orrery
