// The debugger's socket: a client over a Unix socket, acknowledgements, interrupts and the end.

#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <thread>

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "control/gdb_server.h"

namespace orrery::control {
namespace {

class Client {
 public:
  explicit Client(const std::string& path) : fd_(socket(AF_UNIX, SOCK_STREAM, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    EXPECT_EQ(connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  }
  ~Client() { close(fd_); }
  void write(std::string_view bytes) {
    EXPECT_EQ(send(fd_, bytes.data(), bytes.size(), 0), ssize_t(bytes.size()));
  }
  std::string read(size_t size_bytes) {
    std::string out(size_bytes, '\0');
    EXPECT_EQ(recv(fd_, out.data(), size_bytes, MSG_WAITALL), ssize_t(size_bytes));
    return out;
  }

 private:
  int fd_;
};

TEST(GdbServerTest, PacketsInterruptsAndTheEnd) {
  const std::string path = testing::TempDir() + fmt::format("orrery-gdb-{}", getpid());
  std::atomic<int> attention = 0;
  auto listening = GdbServer::listen({.host = {}, .port = 0, .unix_path = path}, [&] { ++attention; });
  ASSERT_TRUE(listening.ok()) << listening.error().message;
  GdbServer& server = **listening;
  EXPECT_FALSE(server.poll_event());
  {
    Client client(path);
    EXPECT_EQ(server.wait_event().kind, GdbServer::Kind::kConnected);
    client.write("$g#67");
    auto event = server.wait_event();
    EXPECT_EQ(event.kind, GdbServer::Kind::kPacket);
    EXPECT_EQ(event.payload, "g");
    server.send("OK");
    EXPECT_EQ(client.read(7), "+$OK#9a");
    client.write("-");
    EXPECT_EQ(client.read(6), "$OK#9a");
    client.write("$g#00");
    EXPECT_EQ(client.read(1), "-");
    client.write("\x03");
    EXPECT_EQ(server.wait_event().kind, GdbServer::Kind::kInterrupt);
    server.stop_acknowledging();
    client.write("$s#73");
    EXPECT_EQ(server.wait_event().payload, "s");
    server.send("T05");
    EXPECT_EQ(client.read(7), "$T05#b9");
  }
  EXPECT_EQ(server.wait_event().kind, GdbServer::Kind::kDisconnected);
  server.wake();
  EXPECT_EQ(server.wait_event().kind, GdbServer::Kind::kWake);
  while (attention != 5) std::this_thread::yield();  // comes after the event
  Client again(path);
  EXPECT_EQ(server.wait_event().kind, GdbServer::Kind::kConnected);
  EXPECT_FALSE(GdbServer::listen({.host = {}, .port = 0, .unix_path = path}, [] {}).ok())
      << "never replaces a file";
}

}  // namespace
}  // namespace orrery::control
