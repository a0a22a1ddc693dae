#include "control/terminal.h"

#include <array>
#include <atomic>
#include <csignal>

#include <unistd.h>

namespace orrery::control {
namespace {

constexpr std::array kCrashSignals = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};

// A signal handler has no other way to find what to restore, and a process has one terminal.
struct CrashState {
  int fd = -1;
  termios saved{};
};
CrashState crash_state;
std::atomic<bool> crash_state_set = false;

void on_crash(int signal) {
  if (crash_state_set.load()) tcsetattr(crash_state.fd, TCSANOW, &crash_state.saved);
  // SA_RESETHAND: the default action, a core dump, follows.
  raise(signal);
}

}  // namespace

RawTerminal::RawTerminal(int fd) : fd_(fd) {
  if (isatty(fd) == 0 || tcgetattr(fd, &saved_) != 0) return;
  // From the background, changing the mode would stop this process.
  const pid_t foreground = tcgetpgrp(fd);
  if (foreground >= 0 && foreground != getpgrp()) return;
  active_ = true;
  crash_state = {.fd = fd, .saved = saved_};
  crash_state_set.store(true);
  struct sigaction action {};
  action.sa_handler = on_crash;
  action.sa_flags = static_cast<int>(SA_RESETHAND | SA_NODEFER | SA_ONSTACK);
  for (const int signal : kCrashSignals) {
    struct sigaction present {};
    // A sanitizer's or an engine's handler stays.
    if (sigaction(signal, nullptr, &present) == 0 && present.sa_handler == SIG_DFL) {
      sigaction(signal, &action, nullptr);
    }
  }
  resume();
}

RawTerminal::~RawTerminal() { restore(); }

void RawTerminal::resume() {
  if (!active_) return;
  termios raw = saved_;
  cfmakeraw(&raw);
  tcsetattr(fd_, TCSANOW, &raw);
}

void RawTerminal::restore() {
  if (!active_) return;
  tcsetattr(fd_, TCSADRAIN, &saved_);
}

}  // namespace orrery::control
