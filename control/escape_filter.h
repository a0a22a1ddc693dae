// EscapeFilter: the escape key of the raw terminal, Ctrl-A, as a small state machine without I/O.
#pragma once

#include <span>
#include <vector>

#include "base/types.h"

namespace orrery::control {

class EscapeFilter {
 public:
  static constexpr u8 kEscape = 0x01;  // Ctrl-A

  struct Output {
    std::vector<u8> to_guest;
    bool leave = false;  // what came after is dropped
    bool help = false;
  };
  /// Takes what was typed. An escape at the end waits for the next call.
  Output feed(std::span<const u8> typed);

  static constexpr const char* kHelp =
      "\r\norrery: Ctrl-A x  leave\r\n"
      "        Ctrl-A h  this help (also ?)\r\n"
      "        Ctrl-A Ctrl-A  send Ctrl-A to the guest (also a)\r\n";

 private:
  bool escaped_ = false;
};

}  // namespace orrery::control
