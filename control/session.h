// Session: one machine from power-on to its end, with the people around it: the terminal, signals, a
// debugger.
#pragma once

#include <memory>
#include <optional>

#include "control/cli_options.h"
#include "control/gdb_server.h"
#include "control/gdb_stub.h"
#include "control/host_console.h"
#include "machine/lockstep.h"

namespace orrery::control {

class Session {
 public:
  /// `vm` outlives the session.
  Session(machine::VirtualMachine& vm, const Command& command) : vm_(vm), command_(command) {}
  /// Two machines in step; people see the leader. No debugger.
  Session(machine::Lockstep& lockstep, const Command& command)
      : vm_(lockstep.leader()), lockstep_(&lockstep), command_(command) {}
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  /// Runs the machine to its end; returns the exit status (see exit_status.h). An error is a host error.
  Result<int> run();

 private:
  enum class DebugEnd : u8 { kContinue, kEnd };
  Result<> start_console();
  Result<> start_debugger();
  machine::StopReason run_machine();
  /// The machine has stopped for the debugger; obeys it until it lets the machine go on, or ends it.
  DebugEnd obey_debugger();
  DebugEnd handle_debug_event(const GdbServer::Event& event, bool& resume);
  Result<int> finish(machine::StopReason reason);
  int status_of(machine::StopReason reason) const;
  bool writes_to_terminal() const;

  machine::VirtualMachine& vm_;
  machine::Lockstep* lockstep_ = nullptr;
  const Command& command_;
  std::unique_ptr<MachineDebugTarget> target_;
  std::unique_ptr<GdbStub> stub_;
  std::unique_ptr<GdbServer> server_;
  std::unique_ptr<HostConsole> console_;
  bool debugger_connected_ = false;
  std::optional<machine::StopReason> end_;
};

}  // namespace orrery::control
