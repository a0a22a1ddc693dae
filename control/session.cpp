#include "control/session.h"

#include <cstdio>

#include "control/exit_status.h"

namespace orrery::control {

using machine::StopReason;

namespace {

/// Stops after which a debugger may look around and go on.
bool is_debug_stop(StopReason reason) {
  return reason == StopReason::kBreakpoint || reason == StopReason::kWatchpoint ||
         reason == StopReason::kStep;
}

}  // namespace

Session::~Session() {
  // The console's actions use the server; it goes first.
  console_.reset();
  server_.reset();
}

bool Session::writes_to_terminal() const {
  return vm_.config().serial.kind == machine::SerialConfig::Kind::kStdio;
}

Result<> Session::start_console() {
  const bool reads_input = writes_to_terminal() && command_.kind == CommandKind::kRun;
  HostConsole::Actions actions{
      .type = [this](std::span<const u8> bytes) { vm_.type(bytes); },
      .busy = [this] { return vm_.inputs().pending(); },
      .stop =
          [this] {
            vm_.request_stop();
            if (server_) server_->wake();
          },
  };
  TRY_ASSIGN(console_, HostConsole::start(std::move(actions), reads_input));
  return {};
}

Result<> Session::start_debugger() {
  if (!command_.gdb) return {};
  target_ = std::make_unique<MachineDebugTarget>(vm_);
  stub_ = std::make_unique<GdbStub>(*target_);
  TRY_ASSIGN(server_, GdbServer::listen(*command_.gdb, [this] { vm_.request_stop(); }));
  if (vm_.config().pause_on_start || command_.kind == CommandKind::kReplay) {
    std::fprintf(stderr, "orrery: waiting for gdb\n");
  }
  return {};
}

Session::DebugEnd Session::handle_debug_event(const GdbServer::Event& event, bool& resume) {
  switch (event.kind) {
    case GdbServer::Kind::kWake:
      return console_->stop_requested() ? DebugEnd::kEnd : DebugEnd::kContinue;
    case GdbServer::Kind::kConnected:
      debugger_connected_ = true;
      return DebugEnd::kContinue;
    case GdbServer::Kind::kInterrupt:
      return DebugEnd::kContinue;  // it has stopped already
    case GdbServer::Kind::kDisconnected:
      debugger_connected_ = false;
      stub_->clear();
      resume = true;
      return DebugEnd::kContinue;
    case GdbServer::Kind::kPacket:
      break;
  }
  GdbStub::Answer answer = stub_->handle(event.payload);
  for (const std::string& packet : answer.packets) server_->send(packet);
  if (answer.start_no_ack) server_->stop_acknowledging();
  switch (answer.wish) {
    case GdbStub::Wish::kStay:
      break;
    case GdbStub::Wish::kContinue:
    case GdbStub::Wish::kDetach:
      resume = true;
      break;
    case GdbStub::Wish::kStep: {
      const StopReason reason = vm_.step(answer.cpu);
      if (reason == StopReason::kStep || is_debug_stop(reason) || reason == StopReason::kRequested) {
        const StopReason shown = reason == StopReason::kRequested ? StopReason::kStep : reason;
        server_->send(stub_->stopped(shown, answer.cpu, vm_.stopped_watch_address()));
        break;
      }
      end_ = reason;
      return DebugEnd::kEnd;
    }
    case GdbStub::Wish::kKill:
      return DebugEnd::kEnd;
  }
  return DebugEnd::kContinue;
}

Session::DebugEnd Session::obey_debugger() {
  bool resume = false;
  while (!resume) {
    if (handle_debug_event(server_->wait_event(), resume) == DebugEnd::kEnd) return DebugEnd::kEnd;
  }
  return DebugEnd::kContinue;
}

StopReason Session::run_machine() {
  if (server_ && (vm_.config().pause_on_start || command_.kind == CommandKind::kReplay)) {
    if (obey_debugger() == DebugEnd::kEnd) return end_.value_or(StopReason::kRequested);
  }
  while (true) {
    const StopReason reason =
        lockstep_ != nullptr ? lockstep_->run(command_.max_ticks) : vm_.run(command_.max_ticks);
    if (reason == StopReason::kRequested) {
      if (console_->stop_requested()) return reason;
      if (!server_) continue;
      // The server's thread stopped the machine for what it has queued; or for something that was seen
      // already.
      bool stay = false;
      while (!stay) {
        const auto event = server_->poll_event();
        if (!event) break;
        bool resume = false;
        stay = event->kind == GdbServer::Kind::kConnected || event->kind == GdbServer::Kind::kInterrupt ||
               event->kind == GdbServer::Kind::kPacket;
        if (event->kind == GdbServer::Kind::kConnected || event->kind == GdbServer::Kind::kInterrupt) {
          const std::string stop = stub_->stopped(StopReason::kRequested, 0);
          if (event->kind == GdbServer::Kind::kInterrupt) server_->send(stop);
        }
        if (handle_debug_event(*event, resume) == DebugEnd::kEnd)
          return end_.value_or(StopReason::kRequested);
        if (resume) stay = false;
      }
      if (!stay) continue;
    } else if (is_debug_stop(reason) && server_) {
      server_->send(stub_->stopped(reason, vm_.stopped_vcpu(), vm_.stopped_watch_address()));
    } else {
      return reason;
    }
    if (obey_debugger() == DebugEnd::kEnd) return end_.value_or(StopReason::kRequested);
  }
}

int Session::status_of(StopReason reason) const {
  switch (reason) {
    case StopReason::kDebugExit:
      return exit_status::of_debug_exit(vm_.exit_value());
    case StopReason::kTripleFault:
      return exit_status::kTripleFault;
    case StopReason::kHostError:
      return exit_status::kBadInput;
    case StopReason::kDifference:
      return exit_status::kDiverged;
    case StopReason::kRequested:
      return console_->signal() != 0 ? exit_status::kSignalBase + console_->signal() : exit_status::kOk;
    default:
      return exit_status::kOk;
  }
}

Result<int> Session::finish(StopReason reason) {
  int status = status_of(reason);
  if (debugger_connected_) server_->send(GdbStub::exited(status));
  console_->finish();
  if (writes_to_terminal() && (command_.state_hash || console_->stop_requested())) std::fputc('\n', stdout);
  std::fflush(stdout);
  if (reason == StopReason::kHostError)
    return make_error("{}", lockstep_ != nullptr ? lockstep_->message() : vm_.stop_message());
  if (reason == StopReason::kDifference) std::fprintf(stderr, "orrery: %s", lockstep_->message().c_str());
  if (reason == StopReason::kTripleFault) std::fprintf(stderr, "orrery: %s\n", vm_.stop_message().c_str());

  if (command_.dump_state) std::fputs(vm_.dump_state().c_str(), stdout);
  if (command_.statistics) {
    const machine::VirtualMachine& counted = lockstep_ != nullptr ? lockstep_->follower() : vm_;
    std::fputs(counted.engine_statistics().c_str(), stderr);
  }
  if (command_.state_hash) {
    std::printf("state-hash: %016llx tick: %llu\n", static_cast<unsigned long long>(vm_.state_hash()),
                static_cast<unsigned long long>(vm_.tick()));
    if (std::fflush(stdout) != 0) return make_errno_error("writing to standard output");
  }
  if (command_.kind == CommandKind::kReplay) {
    const InputLog& log = vm_.inputs().replay_log();
    if (!log.complete) {
      return make_error("log '{}': truncated; replayed up to its last whole input, at tick {}",
                        command_.log_path, vm_.tick());
    } else if (vm_.tick() == log.end_tick && log.end_state_hash != 0 &&
               vm_.state_hash() != log.end_state_hash) {
      std::fprintf(stderr, "orrery: the replay diverged: state hash %016llx at tick %llu, recorded %016llx\n",
                   static_cast<unsigned long long>(vm_.state_hash()),
                   static_cast<unsigned long long>(vm_.tick()),
                   static_cast<unsigned long long>(log.end_state_hash));
      status = exit_status::kDiverged;
    }
  }
  TRY(vm_.finish_recording());
  return status;
}

Result<int> Session::run() {
  TRY(start_debugger());
  TRY(start_console());
  return finish(run_machine());
}

}  // namespace orrery::control
