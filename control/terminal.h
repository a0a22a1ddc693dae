// RawTerminal: the user's terminal in raw mode, given back as it was found, also when this process is killed
// by a signal that can be caught.
#pragma once

#include <memory>

#include <termios.h>

namespace orrery::control {

class RawTerminal {
 public:
  /// Raw mode on `fd` if it is a terminal and this process is in its foreground; else nothing happens. At
  /// most one at a time in a process.
  explicit RawTerminal(int fd);
  ~RawTerminal();
  RawTerminal(const RawTerminal&) = delete;
  RawTerminal& operator=(const RawTerminal&) = delete;
  bool active() const { return active_; }
  /// Raw mode again after this process was stopped and continued.
  void resume();
  /// Any thread: the mode as it was found; the destructor does this too.
  void restore();

 private:
  int fd_;
  bool active_ = false;
  termios saved_{};
};

}  // namespace orrery::control
