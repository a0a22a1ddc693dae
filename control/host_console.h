// HostConsole: what the person at the terminal, or the script at the pipe, and the host's signals do to a
// machine.
//
// One thread waits for standard input and for SIGINT, SIGTERM, SIGHUP and SIGCONT by poll. Bytes go through
// the escape filter (on a terminal only) to the machine; everything else becomes a request.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <span>
#include <thread>

#include "base/result.h"
#include "base/types.h"
#include "control/escape_filter.h"
#include "control/terminal.h"

namespace orrery::control {

/// Blocks the signals that HostConsole waits for; before any thread is started, which then inherits that.
void block_console_signals();

class HostConsole {
 public:
  /// All are called on the console's thread.
  struct Actions {
    std::function<void(std::span<const u8>)> type;
    /// Whether the machine still has undelivered input; typing waits meanwhile, so that a large pipe stays in
    /// the pipe.
    std::function<bool()> busy;
    std::function<void()> stop;
  };
  /// With `read_input`, reads standard input, in raw mode if that is a terminal.
  static Result<std::unique_ptr<HostConsole>> start(Actions actions, bool read_input);
  ~HostConsole();

  /// The terminal as it was found, for messages of our own; no more input is read.
  void finish();
  /// The user asked to leave with the escape key.
  bool left() const { return left_.load(); }
  /// The signal that asked to stop; 0: none.
  int signal() const { return signal_.load(); }
  bool stop_requested() const { return left() || signal() != 0; }

 private:
  HostConsole(Actions actions, bool read_input, int signal_fd, int finish_fd);
  void loop();
  /// False at the end of the input.
  bool read_some();
  bool wait_until_idle();
  void handle_signal();

  Actions actions_;
  bool read_input_;
  int signal_fd_;
  int finish_fd_;
  RawTerminal terminal_;
  EscapeFilter filter_;
  std::atomic<bool> left_ = false;
  std::atomic<int> signal_ = 0;
  std::chrono::steady_clock::time_point asked_at_{};  // console's thread only
  std::thread thread_;
};

}  // namespace orrery::control
