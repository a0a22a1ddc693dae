#include "control/gdb_packet.h"

#include <numeric>

#include <fmt/format.h>

namespace orrery::control {
namespace {

constexpr char kEscapeByte = '}';
constexpr char kEscapeXor = 0x20;
constexpr u8 kInterruptByte = 0x03;

int digit_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

void GdbPacketReader::feed(std::span<const u8> bytes, std::vector<GdbEvent>& events) {
  for (const u8 byte : bytes) {
    switch (state_) {
      case State::kIdle:
        if (byte == '$') {
          state_ = State::kBody;
          body_.clear();
          too_long_ = false;
          sum_ = 0;
        } else if (byte == kInterruptByte) {
          events.push_back({GdbEvent::Kind::kInterrupt, {}});
        } else if (byte == '-') {
          events.push_back({GdbEvent::Kind::kResend, {}});
        }
        break;
      case State::kBody:
        if (byte == '#') {
          state_ = State::kChecksumHigh;
          break;
        }
        sum_ = static_cast<u8>(sum_ + byte);
        if (body_.size() == kMaxPacketBytes) {
          too_long_ = true;
        } else {
          body_ += static_cast<char>(byte);
        }
        break;
      case State::kChecksumHigh:
        high_digit_ = byte;
        state_ = State::kChecksumLow;
        break;
      case State::kChecksumLow:
        state_ = State::kIdle;
        finish(events, byte);
        break;
    }
  }
}

void GdbPacketReader::finish(std::vector<GdbEvent>& events, u8 low_digit) {
  const int high = digit_value(static_cast<char>(high_digit_));
  const int low = digit_value(static_cast<char>(low_digit));
  if (too_long_ || high < 0 || low < 0 || high * 16 + low != sum_) {
    events.push_back({GdbEvent::Kind::kBadPacket, {}});
    return;
  }
  std::string payload;
  for (size_t i = 0; i < body_.size(); ++i) {
    if (body_[i] == kEscapeByte && i + 1 < body_.size()) {
      payload += static_cast<char>(body_[++i] ^ kEscapeXor);
    } else {
      payload += body_[i];
    }
  }
  events.push_back({GdbEvent::Kind::kPacket, std::move(payload)});
}

std::string frame_packet(std::string_view payload) {
  std::string body;
  for (const char c : payload) {
    if (c == '$' || c == '#' || c == '*' || c == kEscapeByte) {
      body += kEscapeByte;
      body += static_cast<char>(c ^ kEscapeXor);
    } else {
      body += c;
    }
  }
  const u8 sum = std::accumulate(body.begin(), body.end(), u8{0},
                                 [](u8 a, char c) { return static_cast<u8>(a + static_cast<u8>(c)); });
  return fmt::format("${}#{:02x}", body, sum);
}

std::string to_hex(std::span<const u8> bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  out.reserve(2 * bytes.size());
  for (const u8 byte : bytes) {
    out += kDigits[byte >> 4];
    out += kDigits[byte & 15];
  }
  return out;
}

std::string text_to_hex(std::string_view text) {
  return to_hex({reinterpret_cast<const u8*>(text.data()), text.size()});
}

std::optional<std::vector<u8>> from_hex(std::string_view digits) {
  if (digits.size() % 2 != 0) return std::nullopt;
  std::vector<u8> bytes;
  bytes.reserve(digits.size() / 2);
  for (size_t i = 0; i < digits.size(); i += 2) {
    const int high = digit_value(digits[i]);
    const int low = digit_value(digits[i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    bytes.push_back(static_cast<u8>(high * 16 + low));
  }
  return bytes;
}

std::optional<u64> take_hex(std::string_view& text) {
  u64 value = 0;
  size_t n = 0;
  while (n < text.size() && digit_value(text[n]) >= 0) {
    if (n == 16) return std::nullopt;
    value = value * 16 + static_cast<u64>(digit_value(text[n++]));
  }
  if (n == 0) return std::nullopt;
  text.remove_prefix(n);
  return value;
}

bool take_literal(std::string_view& text, std::string_view literal) {
  if (!text.starts_with(literal)) return false;
  text.remove_prefix(literal.size());
  return true;
}

}  // namespace orrery::control
