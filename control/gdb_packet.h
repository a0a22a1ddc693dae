// The framing of gdb's remote serial protocol [gdb E.1]: bytes to packets and back. Everything received is
// untrusted; nothing here grows beyond its bounds.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/types.h"

namespace orrery::control {

/// The longest packet that is taken; `qSupported` says so.
inline constexpr size_t kMaxPacketBytes = 16384;

struct GdbEvent {
  enum class Kind : u8 {
    kPacket,     // `payload`, unescaped
    kBadPacket,  // wrong checksum or too long: ask for it again
    kInterrupt,  // the lone byte 0x03: Ctrl-C
    kResend,     // '-': our last packet was damaged
  };
  Kind kind;
  std::string payload;
};

/// Takes the byte stream apart.
class GdbPacketReader {
 public:
  /// Appends what `bytes` complete to `events`.
  void feed(std::span<const u8> bytes, std::vector<GdbEvent>& events);

 private:
  enum class State : u8 { kIdle, kBody, kChecksumHigh, kChecksumLow };
  void finish(std::vector<GdbEvent>& events, u8 low_digit);
  State state_ = State::kIdle;
  std::string body_;  // still escaped
  bool too_long_ = false;
  u8 sum_ = 0;
  u8 high_digit_ = 0;
};

/// `$payload#checksum`, with the bytes escaped that must be.
std::string frame_packet(std::string_view payload);

std::string to_hex(std::span<const u8> bytes);
std::string text_to_hex(std::string_view text);
/// Nothing if the length is odd or a digit is none.
std::optional<std::vector<u8>> from_hex(std::string_view digits);
/// Takes a hexadecimal number of 1 to 16 digits from the front of `text`; nothing, and `text` as it was, if
/// there is none or it is longer.
std::optional<u64> take_hex(std::string_view& text);
/// Takes `literal` from the front; false, and `text` as it was, if it isn't there.
bool take_literal(std::string_view& text, std::string_view literal);

}  // namespace orrery::control
