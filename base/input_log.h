// The log of everything that entered a machine: what a recording is.
//
// File format, little-endian:
//   header   "ORRERYLG", version u32, description length u32, description bytes, XXH3-64 of all before
//   record   kind u8 (1 input, 2 end), tick u64, channel u16, length u32, payload, low 32 bits of XXH3 of the
//   record
// The description is opaque here; the machine stores its effective configuration and its images' hashes in
// it. A log that ends without an `end` record (the recorder was killed) replays up to its last whole record.
#pragma once

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/types.h"

namespace orrery {

/// One input: `payload` entered through `channel` before the instruction at `tick` ran.
struct InputEvent {
  Tick tick = 0;
  u16 channel = 0;
  std::vector<u8> payload;
};

inline constexpr u32 kInputLogVersion = 1;
/// Bounds for untrusted logs.
inline constexpr u32 kMaxDescriptionBytes = 16u << 20;
inline constexpr u32 kMaxPayloadBytes = 1u << 20;

class InputLogWriter {
 public:
  /// Creates `path`, which must not exist, and writes the header.
  static Result<std::unique_ptr<InputLogWriter>> create(const std::string& path,
                                                        std::string_view description);
  ~InputLogWriter();
  /// Errors stay: the first one is returned by every later call, and by `finish`.
  Result<> append(const InputEvent& event);
  /// Pushes what was appended to the file.
  Result<> flush();
  /// Writes the end record: the machine stopped at `tick` with this state hash (0 if it was not taken).
  Result<> finish(Tick tick, u64 state_hash);

 private:
  InputLogWriter(std::FILE* file, std::string path) : file_(file), path_(std::move(path)) {}
  Result<> write_record(u8 kind, Tick tick, u16 channel, std::span<const u8> payload);
  std::FILE* file_;
  std::string path_;
  std::optional<Error> error_;
};

/// A whole log in memory.
struct InputLog {
  std::string description;
  std::vector<InputEvent> events;
  /// The end record, when there was one.
  bool complete = false;
  Tick end_tick = 0;
  u64 end_state_hash = 0;

  static Result<InputLog> load(const std::string& path);
  /// The same from bytes (tests, fuzzing); `name` stands in messages.
  static Result<InputLog> parse(std::span<const u8> bytes, std::string_view name);
};

}  // namespace orrery
