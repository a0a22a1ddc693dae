#include "control/cli.h"

#include <unistd.h>

#include <cstdio>

#include "control/cli_options.h"
#include "control/exit_status.h"
#include "control/session.h"
#include "machine/config_toml.h"

namespace orrery::control {
namespace {

/// One line, whatever a file's name or an argument holds.
int fail(const Error& error) {
  std::string line = error.message;
  for (char& c : line) {
    if (static_cast<u8>(c) < 0x20 || c == 0x7f) c = '?';
  }
  std::fprintf(stderr, "orrery: %s\n", line.c_str());
  return exit_status::kBadInput;
}

int print(const std::string& text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0) {
    return fail(make_errno_error("writing to standard output"));
  }
  return exit_status::kOk;
}

Result<int> run_machine(const Command& command) {
  // Before any thread starts: all of them inherit it.
  block_console_signals();
  machine::VirtualMachine::Options options;
  options.record_path = command.record_path;
  options.translator = command.translator;
  options.replay_engine = command.replay_engine;
  options.interactive =
      command.config.serial.kind == machine::SerialConfig::Kind::kStdio && isatty(STDIN_FILENO) == 1;
  if (command.config.engine == machine::EngineKind::kLockstep ||
      command.replay_engine == machine::EngineKind::kLockstep) {
    machine::Lockstep::Options both{.machine = std::move(options)};
    TRY_ASSIGN(const std::unique_ptr<machine::Lockstep> lockstep,
               command.kind == CommandKind::kReplay
                   ? machine::Lockstep::create_replay(command.log_path, std::move(both))
                   : machine::Lockstep::create(command.config, std::move(both)));
    return Session(*lockstep, command).run();
  }
  TRY_ASSIGN(const std::unique_ptr<machine::VirtualMachine> vm,
             command.kind == CommandKind::kReplay
                 ? machine::VirtualMachine::create_replay(command.log_path, std::move(options))
                 : machine::VirtualMachine::create(command.config, std::move(options)));
  Session session(*vm, command);
  return session.run();
}

}  // namespace

int run_command_line(const std::vector<std::string>& arguments) {
  const auto command = parse_command_line(arguments);
  if (!command) return fail(command.error());
  switch (command.value().kind) {
    case CommandKind::kText:
      return print(command.value().text);
    case CommandKind::kConfig:
      return print(machine::to_toml(command.value().config));
    case CommandKind::kRun:
    case CommandKind::kReplay:
      break;
  }
  auto status = run_machine(command.value());
  return status ? status.value() : fail(status.error());
}

}  // namespace orrery::control
