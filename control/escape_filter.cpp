#include "control/escape_filter.h"

namespace orrery::control {

EscapeFilter::Output EscapeFilter::feed(std::span<const u8> typed) {
  Output out;
  for (const u8 byte : typed) {
    if (!escaped_) {
      escaped_ = byte == kEscape;
      if (!escaped_) out.to_guest.push_back(byte);
      continue;
    }
    escaped_ = false;
    switch (byte) {
      case 'x':
      case 'X':
        out.leave = true;
        return out;
      case kEscape:
      case 'a':
        out.to_guest.push_back(kEscape);
        break;
      default:
        out.help = true;
        break;  // also h and ?: whoever doesn't know the key wants to know the keys
    }
  }
  return out;
}

}  // namespace orrery::control
