// The command line by CLI11; its types stop in this file.

#include "control/cli_options.h"

#include <charconv>

#include <CLI/CLI.hpp>

#include "control/version.h"
#include "machine/config_toml.h"

namespace orrery::control {
namespace {

constexpr const char* kExitStatuses =
    "Exit status:\n"
    "  0          the guest powered off (or reset, with --no-reboot), --max-ticks was reached, or the user "
    "left\n"
    "  2          bad input or a host error; one line on standard error says which\n"
    "  3          triple fault with --no-reboot\n"
    "  4          a replay ended in another state than its recording, or lockstep found a difference\n"
    "  (v<<1)|1   the guest wrote v to isa-debug-exit (port 0xf4)\n"
    "  128+n      stopped by signal n\n";

/// Flags that are shorthands for a key, in text form; kept as text so that one parser judges them all.
struct MachineFlags {
  std::string file;
  std::string board, cpu, memory, kernel, initrd, append, serial, engine, clock, seed;
  std::string cpus;
  std::vector<std::string> disks;
  std::vector<std::string> assignments;
  bool debugcon = false;
  bool no_reboot = false;
};

struct StopFlags {
  std::string max_ticks;
  std::string gdb;
  bool state_hash = false;
  bool statistics = false;
  bool dump_state = false;
  bool perf_map = false;
  std::string translation_listing;
  std::string translation_cache;
};

void add_machine_flags(CLI::App& app, MachineFlags& flags) {
  // A flag given twice: the last one counts, so that scripts can append theirs.
  app.option_defaults()->take_last();
  app.add_option("FILE", flags.file, "a machine description in TOML");
  app.add_option("--board", flags.board, "minimal or q35");
  app.add_option("--cpu", flags.cpu, "a CPU model, such as x86-64-v3");
  app.add_option("--cpus", flags.cpus, "virtual CPUs, 1 to 8");
  app.add_option("--memory", flags.memory, "guest RAM, such as 512M");
  app.add_option("--kernel", flags.kernel, "a bzImage, multiboot or PVH kernel");
  app.add_option("--initrd", flags.initrd, "the initial RAM disk, or the multiboot module");
  app.add_option("--append", flags.append, "the kernel's command line");
  app.add_option("--disk", flags.disks,
                 "FILE[,snapshot][,readonly]; may be given again; ',,' is a comma in FILE")
      ->allow_extra_args(false)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  app.add_option("--serial", flags.serial, "stdio, file:PATH or none");
  app.add_option("--engine", flags.engine, "interpreter, jit or lockstep (both, compared)");
  app.add_option("--clock", flags.clock, "fixed or follow");
  app.add_option("--seed", flags.seed, "of the guest's entropy");
  app.add_flag("--debugcon", flags.debugcon, "ports 0xe9 and 0x402 to standard error");
  app.add_flag("--no-reboot", flags.no_reboot, "stop when the guest resets or triple-faults");
  app.add_option("--set", flags.assignments, "key=value, with a key of the machine file; may be given again")
      ->allow_extra_args(false)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

void add_stop_flags(CLI::App& app, StopFlags& flags) {
  app.option_defaults()->take_last();
  app.add_option("--max-ticks", flags.max_ticks, "stop at this tick");
  app.add_flag("--stats", flags.statistics, "print the engine's counters when the machine stops");
  app.add_flag("--dump-state", flags.dump_state,
               "print the whole state but memory as text when the machine stops");
  app.add_flag("--perf-map", flags.perf_map, "name translated code for perf, in /tmp/perf-<pid>.map");
  app.add_option("--jit-listing", flags.translation_listing,
                 "write every translation, guest and host code, to this file");
  app.add_option("--jit-cache", flags.translation_cache, "room for translations, 1M to 1G (256M)");
  app.add_flag("--state-hash", flags.state_hash, "print the state hash and the tick when the machine stops");
  app.add_option("--gdb", flags.gdb, "serve gdb at :PORT, HOST:PORT or unix:PATH and wait for it");
}

/// What a flag's text may hold differs from an empty one: `--kernel ""` means none.
Result<> set_flag(machine::Config& config, const CLI::App& app, const char* flag, std::string_view key,
                  const std::string& text) {
  if (app.count(flag) == 0) return {};
  auto set = machine::set_config_value(config, key, text);
  if (!set) return std::move(set).take_error().with_context(flag);
  return {};
}

Result<machine::Config> make_config(const CLI::App& app, const MachineFlags& flags) {
  machine::Config config;
  if (!flags.file.empty()) TRY(machine::apply_toml_file(config, flags.file));
  TRY(set_flag(config, app, "--board", "board", flags.board));
  TRY(set_flag(config, app, "--cpu", "cpu.model", flags.cpu));
  TRY(set_flag(config, app, "--cpus", "cpu.count", flags.cpus));
  TRY(set_flag(config, app, "--memory", "memory", flags.memory));
  TRY(set_flag(config, app, "--kernel", "boot.kernel", flags.kernel));
  TRY(set_flag(config, app, "--initrd", "boot.initrd", flags.initrd));
  TRY(set_flag(config, app, "--append", "boot.append", flags.append));
  TRY(set_flag(config, app, "--serial", "serial", flags.serial));
  TRY(set_flag(config, app, "--engine", "engine", flags.engine));
  TRY(set_flag(config, app, "--clock", "clock.policy", flags.clock));
  TRY(set_flag(config, app, "--seed", "seed", flags.seed));
  if (flags.debugcon) config.debugcon = true;
  if (flags.no_reboot) config.reboot = false;
  for (const std::string& text : flags.disks) {
    auto disk = machine::parse_disk(text);
    if (!disk) return std::move(disk).take_error().with_context("--disk");
    if (config.disks.size() == machine::kMaxConfigDisks) {
      return make_error("--disk: a machine has at most {} disks", machine::kMaxConfigDisks);
    }
    config.disks.push_back(std::move(disk).value());
  }
  for (const std::string& assignment : flags.assignments) {
    auto set = machine::set_config_assignment(config, assignment);
    if (!set) return std::move(set).take_error().with_context("--set");
  }
  TRY(machine::validate(config));
  return config;
}

Result<> apply_stop_flags(Command& command, const CLI::App& app, const StopFlags& flags) {
  command.state_hash = flags.state_hash;
  command.statistics = flags.statistics;
  command.dump_state = flags.dump_state;
  command.translator.perf_map = flags.perf_map;
  command.translator.listing_path = flags.translation_listing;
  if (app.count("--jit-cache") != 0) {
    auto bytes = machine::parse_size(flags.translation_cache);
    if (!bytes) return std::move(bytes).take_error().with_context("--jit-cache");
    if (*bytes < jit::kMinCacheBytes || *bytes > jit::kMaxCacheBytes || *bytes % 4096 != 0)
      return make_error("--jit-cache: '{}' is not a multiple of 4096 from 1M to 1G", flags.translation_cache);
    command.translator.cache_bytes = *bytes;
  }
  if (app.count("--max-ticks") != 0) {
    const std::string& text = flags.max_ticks;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), command.max_ticks, 10);
    if (error != std::errc{} || end != text.data() + text.size()) {
      return make_error("--max-ticks: '{}' is not a number of ticks", text);
    }
  }
  if (app.count("--gdb") != 0) {
    auto address = parse_gdb_address(flags.gdb);
    if (!address) return std::move(address).take_error().with_context("--gdb");
    command.gdb = std::move(address).value();
  }
  return {};
}

}  // namespace

Result<GdbAddress> parse_gdb_address(std::string_view text) {
  GdbAddress address;
  constexpr std::string_view kUnixPrefix = "unix:";
  if (text.starts_with(kUnixPrefix)) {
    address.unix_path = text.substr(kUnixPrefix.size());
    if (address.unix_path.empty()) return make_error("'{}': a path is wanted after 'unix:'", text);
    return address;
  }
  std::string_view port = text;
  if (const size_t colon = text.rfind(':'); colon != std::string_view::npos) {
    std::string_view host = text.substr(0, colon);
    port = text.substr(colon + 1);
    if (host.size() >= 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
    if (!host.empty()) address.host = host;
  }
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), address.port, 10);
  if (error != std::errc{} || end != port.data() + port.size() || address.port == 0) {
    return make_error("'{}' is not an address; :PORT, HOST:PORT or unix:PATH is wanted", text);
  }
  return address;
}

Result<Command> parse_command_line(const std::vector<std::string>& arguments) {
  if (arguments.empty()) return make_error("a command is wanted: run, replay or config; see 'orrery --help'");
  const std::string& first = arguments.front();
  if (!first.starts_with('-') && first != "run" && first != "replay" && first != "config") {
    return make_error("unknown command '{}'; wanted: run, replay or config", first);
  }
  CLI::App app{"Orrery, a full-system x86-64 emulator", "orrery"};
  app.require_subcommand(1);
  app.set_version_flag("--version", std::string("orrery ") + kVersion);
  app.footer(kExitStatuses);

  MachineFlags machine_flags;
  StopFlags stop_flags;
  Command command;
  CLI::App* run = app.add_subcommand("run", "run a machine");
  add_machine_flags(*run, machine_flags);
  add_stop_flags(*run, stop_flags);
  run->add_option("--record", command.record_path, "record all inputs to a new file, for `orrery replay`");
  run->footer(kExitStatuses);

  CLI::App* replay = app.add_subcommand("replay", "run a recording again");
  replay->add_option("LOG", command.log_path, "a file made by `orrery run --record`")->required();
  std::string replay_engine;
  replay->add_option("--engine", replay_engine, "instead of the one that recorded");
  add_stop_flags(*replay, stop_flags);
  replay->footer(kExitStatuses);

  CLI::App* config = app.add_subcommand("config", "print the effective machine description as TOML");
  add_machine_flags(*config, machine_flags);

  try {
    app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
  } catch (const CLI::CallForHelp&) {
    command.text = app.help();
    return command;
  } catch (const CLI::CallForVersion& version) {
    command.text = fmt::format("{}\n", version.what());
    return command;
  } catch (const CLI::ParseError& error) {
    std::string line = error.what();
    for (char& c : line) {
      if (static_cast<u8>(c) < 0x20) c = ' ';
    }
    return make_error("{}; see 'orrery --help'", line);
  }

  if (config->parsed()) {
    command.kind = CommandKind::kConfig;
    TRY_ASSIGN(command.config, make_config(*config, machine_flags));
    return command;
  }
  if (replay->parsed()) {
    command.kind = CommandKind::kReplay;
    if (replay->count("--engine") != 0) {
      machine::Config wanted;
      auto set = machine::set_config_value(wanted, "engine", replay_engine);
      if (!set) return std::move(set).take_error().with_context("--engine");
      command.replay_engine = wanted.engine;
    }
    TRY(apply_stop_flags(command, *replay, stop_flags));
    if (command.gdb && command.replay_engine == machine::EngineKind::kLockstep)
      return make_error("--gdb: not with the engine 'lockstep'; one engine is wanted");
    return command;
  }
  command.kind = CommandKind::kRun;
  if (run->count("--record") != 0 && command.record_path.empty())
    return make_error("--record: a file name is wanted");
  TRY_ASSIGN(command.config, make_config(*run, machine_flags));
  TRY(apply_stop_flags(command, *run, stop_flags));
  if (command.gdb && command.config.engine == machine::EngineKind::kLockstep)
    return make_error("--gdb: not with the engine 'lockstep'; one engine is wanted");
  // Whoever asks for a debugger wants to see the first instruction.
  if (command.gdb) command.config.pause_on_start = true;
  return command;
}

}  // namespace orrery::control
