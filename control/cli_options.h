// The command line: what the user asked for, checked, and nothing done yet.
//
// Settings of the machine come from defaults, then the TOML file, then flags, then `--set` in order.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/types.h"
#include "jit/translator_config.h"
#include "machine/config.h"

namespace orrery::control {

/// Where gdb connects: a TCP port on a host address, or a Unix socket.
struct GdbAddress {
  std::string host = "127.0.0.1";
  u16 port = 0;
  std::string unix_path;  // not empty: this instead
  bool operator==(const GdbAddress&) const = default;
};

/// `:1234`, `1234`, `host:1234`, `[::1]:1234` or `unix:PATH`. Without a host: the loopback address only.
Result<GdbAddress> parse_gdb_address(std::string_view text);

enum class CommandKind : u8 { kRun, kReplay, kConfig, kText };

struct Command {
  CommandKind kind = CommandKind::kText;
  /// kText: print this on standard output (help, the version) and leave with status 0.
  std::string text;
  machine::Config config;                            // kRun, kConfig
  std::string log_path;                              // kReplay: the log to replay
  std::string record_path;                           // kRun: empty: don't record
  std::optional<GdbAddress> gdb;                     // kRun, kReplay
  Tick max_ticks = kNever;                           // kRun, kReplay
  bool state_hash = false;                           // kRun, kReplay
  bool dump_state = false;                           // kRun, kReplay
  bool statistics = false;                           // kRun, kReplay
  jit::TranslatorConfig translator;                  // kRun, kReplay
  std::optional<machine::EngineKind> replay_engine;  // kReplay; none: the recorded one
};

/// `arguments` without the program's name. The error is one line.
Result<Command> parse_command_line(const std::vector<std::string>& arguments);

}  // namespace orrery::control
