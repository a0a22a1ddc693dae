// GdbServer: the socket that gdb connects to. One thread accepts and reads; packets are queued for the
// machine's thread, which answers. One client at a time.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "base/result.h"
#include "control/cli_options.h"
#include "control/gdb_packet.h"

namespace orrery::control {

class GdbServer {
 public:
  enum class Kind : u8 { kConnected, kPacket, kInterrupt, kDisconnected, kWake };
  struct Event {
    Kind kind;
    std::string payload;
  };
  /// Listens. `attention` is called on the server's thread whenever an event was queued, to stop a running
  /// machine. A Unix socket's path must not exist.
  static Result<std::unique_ptr<GdbServer>> listen(const GdbAddress& address,
                                                   std::function<void()> attention);
  ~GdbServer();

  /// The next event, if there is one.
  std::optional<Event> poll_event();
  /// Waits for it.
  Event wait_event();
  /// Any thread: makes `wait_event` return a kWake.
  void wake();

  /// Frames and sends to the client; nothing if there is none. A client that takes nothing for seconds is
  /// dropped.
  void send(std::string_view payload);
  /// From now on neither side acknowledges packets, until the next client.
  void stop_acknowledging() { acknowledges_.store(false); }
  /// Ends the connection; the next client may come.
  void disconnect();

 private:
  GdbServer(int listen_fd, int wake_fd, std::string unix_path, std::function<void()> attention);
  void loop();
  void serve(int fd);
  void push(Kind kind, std::string payload);
  void send_raw(std::string_view bytes);
  /// False when the server ends. Waits until the queue has room.
  bool wait_readable(int fd);

  int listen_fd_;
  int wake_fd_;
  std::string unix_path_;
  std::function<void()> attention_;
  std::atomic<bool> ending_ = false;
  std::atomic<bool> acknowledges_ = true;

  std::mutex mutex_;  // guards events_
  std::condition_variable arrived_;
  std::deque<Event> events_;

  std::mutex send_mutex_;  // guards client_fd_ and last_sent_
  int client_fd_ = -1;
  std::string last_sent_;

  std::thread thread_;
};

}  // namespace orrery::control
