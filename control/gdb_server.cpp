#include "control/gdb_server.h"

#include <array>
#include <cerrno>
#include <cstring>

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace orrery::control {
namespace {

/// A client that sends more than this without waiting for answers is read from later.
constexpr size_t kMaxQueuedEvents = 64;
constexpr int kSendTimeoutSeconds = 10;

Result<int> listen_unix(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return make_error("the socket path '{}' is too long", path);
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return make_errno_error("making a socket");
  if (bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 || ::listen(fd, 1) != 0) {
    auto error = make_errno_error(fmt::format("listening for gdb at 'unix:{}'", path));
    close(fd);
    return error;
  }
  return fd;
}

Result<int> listen_tcp(const std::string& host, u16 port) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const std::string service = fmt::format("{}", port);
  if (const int failed = getaddrinfo(host.c_str(), service.c_str(), &hints, &found); failed != 0) {
    return make_error("listening for gdb at '{}:{}': {}", host, port, gai_strerror(failed));
  }
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner(found, freeaddrinfo);
  const int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return make_errno_error("making a socket");
  const int one = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (bind(fd, found->ai_addr, found->ai_addrlen) != 0 || ::listen(fd, 1) != 0) {
    auto error = make_errno_error(fmt::format("listening for gdb at '{}:{}'", host, port));
    close(fd);
    return error;
  }
  return fd;
}

}  // namespace

Result<std::unique_ptr<GdbServer>> GdbServer::listen(const GdbAddress& address,
                                                     std::function<void()> attention) {
  TRY_ASSIGN(const int listen_fd, address.unix_path.empty() ? listen_tcp(address.host, address.port)
                                                            : listen_unix(address.unix_path));
  const int wake_fd = eventfd(0, EFD_CLOEXEC);
  if (wake_fd < 0) {
    close(listen_fd);
    return make_errno_error("making an event");
  }
  return std::unique_ptr<GdbServer>(
      new GdbServer(listen_fd, wake_fd, address.unix_path, std::move(attention)));
}

GdbServer::GdbServer(int listen_fd, int wake_fd, std::string unix_path, std::function<void()> attention)
    : listen_fd_(listen_fd),
      wake_fd_(wake_fd),
      unix_path_(std::move(unix_path)),
      attention_(std::move(attention)) {
  thread_ = std::thread([this] { loop(); });
}

GdbServer::~GdbServer() {
  {
    const std::lock_guard lock(mutex_);
    ending_.store(true);
  }
  const u64 one = 1;
  [[maybe_unused]] const auto written = write(wake_fd_, &one, sizeof one);
  arrived_.notify_all();
  thread_.join();
  close(wake_fd_);
  close(listen_fd_);
  if (!unix_path_.empty()) unlink(unix_path_.c_str());
}

void GdbServer::push(Kind kind, std::string payload) {
  {
    const std::lock_guard lock(mutex_);
    events_.push_back({kind, std::move(payload)});
  }
  arrived_.notify_all();
  attention_();
}

std::optional<GdbServer::Event> GdbServer::poll_event() {
  const std::lock_guard lock(mutex_);
  if (events_.empty()) return std::nullopt;
  Event event = std::move(events_.front());
  events_.pop_front();
  arrived_.notify_all();
  return event;
}

GdbServer::Event GdbServer::wait_event() {
  std::unique_lock lock(mutex_);
  arrived_.wait(lock, [this] { return !events_.empty(); });
  Event event = std::move(events_.front());
  events_.pop_front();
  arrived_.notify_all();
  return event;
}

void GdbServer::wake() {
  {
    const std::lock_guard lock(mutex_);
    events_.push_back({Kind::kWake, {}});
  }
  arrived_.notify_all();
}

void GdbServer::send_raw(std::string_view bytes) {
  // send_mutex_ is held.
  while (!bytes.empty() && client_fd_ >= 0) {
    const ssize_t n = ::send(client_fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      shutdown(client_fd_, SHUT_RDWR);  // the reader sees the end
      return;
    }
    bytes.remove_prefix(static_cast<size_t>(n));
  }
}

void GdbServer::send(std::string_view payload) {
  const std::lock_guard lock(send_mutex_);
  last_sent_ = frame_packet(payload);
  send_raw(last_sent_);
}

void GdbServer::disconnect() {
  const std::lock_guard lock(send_mutex_);
  if (client_fd_ >= 0) shutdown(client_fd_, SHUT_RDWR);
}

bool GdbServer::wait_readable(int fd) {
  while (!ending_.load()) {
    std::array<pollfd, 2> fds{pollfd{wake_fd_, POLLIN, 0}, pollfd{fd, POLLIN, 0}};
    if (poll(fds.data(), fds.size(), -1) < 0 && errno != EINTR) return false;
    if (fds[1].revents != 0) return !ending_.load();
  }
  return false;
}

void GdbServer::loop() {
  while (wait_readable(listen_fd_)) {
    const int fd = accept4(listen_fd_, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) continue;
    const int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    const timeval timeout{.tv_sec = kSendTimeoutSeconds, .tv_usec = 0};
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
    acknowledges_.store(true);
    {
      const std::lock_guard lock(send_mutex_);
      client_fd_ = fd;
      last_sent_.clear();
    }
    push(Kind::kConnected, {});
    serve(fd);
    {
      const std::lock_guard lock(send_mutex_);
      client_fd_ = -1;
    }
    close(fd);
    push(Kind::kDisconnected, {});
  }
}

void GdbServer::serve(int fd) {
  GdbPacketReader reader;
  std::vector<GdbEvent> events;
  std::array<u8, 4096> buffer;
  while (wait_readable(fd)) {
    const ssize_t n = recv(fd, buffer.data(), buffer.size(), 0);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return;
    events.clear();
    reader.feed({buffer.data(), static_cast<size_t>(n)}, events);
    for (GdbEvent& event : events) {
      if (event.kind == GdbEvent::Kind::kInterrupt) {
        push(Kind::kInterrupt, {});
        continue;
      }
      const std::string_view answer = event.kind == GdbEvent::Kind::kPacket      ? "+"
                                      : event.kind == GdbEvent::Kind::kBadPacket ? "-"
                                                                                 : "";
      {
        const std::lock_guard lock(send_mutex_);
        if (event.kind == GdbEvent::Kind::kResend) {
          if (acknowledges_.load()) send_raw(last_sent_);
        } else if (acknowledges_.load()) {
          send_raw(answer);
        }
      }
      if (event.kind == GdbEvent::Kind::kPacket) push(Kind::kPacket, std::move(event.payload));
    }
    std::unique_lock lock(mutex_);
    arrived_.wait(lock, [this] { return events_.size() < kMaxQueuedEvents || ending_.load(); });
  }
}

}  // namespace orrery::control
