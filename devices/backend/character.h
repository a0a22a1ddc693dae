// CharacterBackend: where the bytes that a serial port or console sends go on the host.
//
// Input never comes through here: it enters through an InputPort channel. Output has no effect on the guest,
// so a slow or closed host side changes nothing in the machine.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "base/result.h"
#include "base/types.h"

namespace orrery::devices {

class CharacterBackend {
 public:
  virtual ~CharacterBackend() = default;
  /// Machine thread; returns at once.
  virtual void write(std::span<const u8> bytes) = 0;
  /// Waits until everything has reached the host; the first write error, once it has happened, stays.
  virtual Result<> flush() { return {}; }
};

/// Drops everything.
class NullCharacterBackend final : public CharacterBackend {
 public:
  void write(std::span<const u8>) override {}
};

/// Calls a function on the machine's thread.
class CallbackCharacterBackend final : public CharacterBackend {
 public:
  using Callback = std::function<void(std::span<const u8>)>;
  explicit CallbackCharacterBackend(Callback callback) : callback_(std::move(callback)) {}
  void write(std::span<const u8> bytes) override { callback_(bytes); }

 private:
  Callback callback_;
};

/// Writes to a file descriptor from a thread of its own, which gathers what a few milliseconds bring.
class DescriptorCharacterBackend final : public CharacterBackend {
 public:
  enum class Ownership : u8 { kBorrowed, kOwned };
  enum class Content : u8 { kKept, kDropped };
  DescriptorCharacterBackend(int descriptor, Ownership ownership, std::string name,
                             Content content = Content::kKept);
  ~DescriptorCharacterBackend() override;
  /// Creates `path`. What a file of that name holds stays until the machine runs (the first write or flush),
  /// so that a machine that can't be built has overwritten nothing.
  static Result<std::unique_ptr<CharacterBackend>> create_file(const std::string& path);
  void write(std::span<const u8> bytes) override;
  Result<> flush() override;

 private:
  void run();
  void drop_content();
  void wait_until_written(std::unique_lock<std::mutex>& lock);
  const int descriptor_;
  const Ownership ownership_;
  const std::string name_;
  std::mutex mutex_;  // guards everything below but the thread
  std::condition_variable work_;
  std::condition_variable done_;
  std::vector<u8> buffer_;
  bool drops_content_;
  std::optional<Error> error_;
  bool writing_ = false;
  bool flushing_ = false;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace orrery::devices
