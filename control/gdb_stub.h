// GdbStub: gdb's remote serial protocol over a stopped machine, without sockets: packets in, packets and a
// wish out.
//
// Thread n is vCPU n - 1. All-stop only. Breakpoints of both kinds and watchpoints change nothing that the
// guest sees. Every packet is untrusted. [gdb E]
//
// Not modelled: non-stop mode, several processes, tracepoints, file I/O, signals to the guest, writing of
// selectors and control registers. A step of one vCPU with `vCont;s:1;c` steps that vCPU alone.
#pragma once

#include <compare>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "control/debug_target.h"

namespace orrery::control {

class GdbStub {
 public:
  explicit GdbStub(DebugTarget& target) : target_(target) {}

  enum class Wish : u8 { kStay, kContinue, kStep, kDetach, kKill };
  struct Answer {
    std::vector<std::string> packets;  // to send, in order, unframed
    Wish wish = Wish::kStay;
    unsigned cpu = 0;  // kStep
    /// No acknowledgements after these packets.
    bool start_no_ack = false;
  };
  Answer handle(std::string_view packet);

  /// The packet for a stop, which also selects the vCPU. `kRequested` is an interrupt by the user.
  std::string stopped(machine::StopReason reason, unsigned cpu, u64 watch_address = 0);
  /// The packet for a machine that has ended.
  static std::string exited(int status);
  /// Removes all breakpoints and watchpoints: the debugger has gone.
  void clear();

 private:
  struct Point {
    u8 type;  // of the Z packet: 0 software, 1 hardware, 2 write, 3 read, 4 access
    u64 address;
    u64 length;
    auto operator<=>(const Point&) const = default;
  };

  std::string query(std::string_view packet, Answer& answer);
  std::string set_query(std::string_view packet, Answer& answer);
  std::string transfer(std::string_view rest);
  std::string monitor(std::string_view rest, Answer& answer);
  std::string monitor_physical(std::string_view rest);
  std::string select_thread(std::string_view rest);
  std::string read_all();
  std::string write_all(std::string_view rest);
  std::string read_one(std::string_view rest);
  std::string write_one(std::string_view rest);
  std::string read_memory(std::string_view rest);
  std::string write_memory(std::string_view rest, bool binary);
  std::string change_point(std::string_view packet);
  std::string resume(std::string_view packet, Answer& answer);
  std::string resume_verbose(std::string_view rest, Answer& answer);
  /// A thread id of a packet: the vCPU's number; -1 and 0 (all, any) give the selected one; nothing if there
  /// is none.
  std::optional<unsigned> take_thread(std::string_view& text) const;
  void apply(const Point& point, bool insert);

  DebugTarget& target_;
  unsigned selected_ = 0;  // by Hg and stops
  bool physical_ = false;
  bool reports_swbreak_ = false;
  bool reports_hwbreak_ = false;
  std::string last_stop_ = "T05thread:1;";
  std::vector<Point> points_;
};

}  // namespace orrery::control
