#include "control/host_console.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "control/exit_status.h"

namespace orrery::control {
namespace {

sigset_t console_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGCONT}) sigaddset(&set, signal);
  return set;
}

/// Bytes of one read: few enough that a slow guest's serial port is not flooded.
constexpr size_t kReadBytes = 1024;
constexpr int kBusyPollMs = 2;
/// A second request to stop within this time is the same request.
constexpr std::chrono::seconds kPatience{1};

}  // namespace

void block_console_signals() {
  const sigset_t set = console_signals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  // A reader of our output that goes away is an error of a write, not the end of the process.
  std::signal(SIGPIPE, SIG_IGN);
}

Result<std::unique_ptr<HostConsole>> HostConsole::start(Actions actions, bool read_input) {
  const sigset_t set = console_signals();
  const int signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  if (signal_fd < 0) return make_errno_error("watching for signals");
  const int finish_fd = eventfd(0, EFD_CLOEXEC);
  if (finish_fd < 0) {
    close(signal_fd);
    return make_errno_error("making an event");
  }
  return std::unique_ptr<HostConsole>(new HostConsole(std::move(actions), read_input, signal_fd, finish_fd));
}

HostConsole::HostConsole(Actions actions, bool read_input, int signal_fd, int finish_fd)
    : actions_(std::move(actions)),
      read_input_(read_input),
      signal_fd_(signal_fd),
      finish_fd_(finish_fd),
      terminal_(read_input ? STDIN_FILENO : -1) {
  thread_ = std::thread([this] { loop(); });
}

HostConsole::~HostConsole() {
  finish();
  close(signal_fd_);
  close(finish_fd_);
}

void HostConsole::finish() {
  if (thread_.joinable()) {
    const u64 one = 1;
    [[maybe_unused]] const auto written = write(finish_fd_, &one, sizeof one);
    thread_.join();
  }
  terminal_.restore();
}

void HostConsole::handle_signal() {
  signalfd_siginfo info{};
  if (read(signal_fd_, &info, sizeof info) != static_cast<ssize_t>(sizeof info)) return;
  const int number = static_cast<int>(info.ssi_signo);
  if (number == SIGCONT) {
    terminal_.resume();
    return;
  }
  const auto now = std::chrono::steady_clock::now();
  if (signal_.load() == 0 && !left_.load()) {
    asked_at_ = now;
  } else if (now - asked_at_ > kPatience) {
    // Asked again: the machine doesn't come to a stop. (timeout(1) sends everything twice, at once.)
    terminal_.restore();
    _exit(exit_status::kSignalBase + number);
  }
  signal_.store(number);
  actions_.stop();
}

bool HostConsole::wait_until_idle() {
  while (actions_.busy()) {
    std::array<pollfd, 2> fds{pollfd{signal_fd_, POLLIN, 0}, pollfd{finish_fd_, POLLIN, 0}};
    if (poll(fds.data(), fds.size(), kBusyPollMs) < 0 && errno != EINTR) return false;
    if (fds[0].revents != 0) handle_signal();
    if (fds[1].revents != 0) return false;
  }
  return true;
}

bool HostConsole::read_some() {
  std::array<u8, kReadBytes> buffer;
  const ssize_t n = read(STDIN_FILENO, buffer.data(), buffer.size());
  if (n < 0 && (errno == EINTR || errno == EAGAIN)) return true;
  if (n <= 0) return false;
  const std::span<const u8> typed(buffer.data(), static_cast<size_t>(n));
  if (!terminal_.active()) {
    if (!wait_until_idle()) return false;
    actions_.type(typed);
    return true;
  }
  const EscapeFilter::Output out = filter_.feed(typed);
  if (!out.to_guest.empty()) actions_.type(out.to_guest);
  if (out.help) std::fputs(EscapeFilter::kHelp, stderr);
  if (out.leave) {
    asked_at_ = std::chrono::steady_clock::now();
    left_.store(true);
    actions_.stop();
    return false;
  }
  return true;
}

void HostConsole::loop() {
  bool reading = read_input_;
  while (true) {
    std::array<pollfd, 3> fds{pollfd{signal_fd_, POLLIN, 0}, pollfd{finish_fd_, POLLIN, 0},
                              pollfd{reading ? STDIN_FILENO : -1, POLLIN, 0}};
    if (poll(fds.data(), fds.size(), -1) < 0) {
      if (errno == EINTR) continue;
      return;
    }
    if (fds[0].revents != 0) handle_signal();
    if (fds[1].revents != 0) return;
    if (fds[2].revents != 0) reading = read_some();
  }
}

}  // namespace orrery::control
