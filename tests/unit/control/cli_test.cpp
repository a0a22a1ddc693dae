// The command line: the flags that scripts rely on, precedence, one-line errors; the escape key; exit
// statuses.

#include <gtest/gtest.h>

#include <cstdio>

#include "control/cli_options.h"
#include "control/escape_filter.h"
#include "control/exit_status.h"

namespace orrery::control {
namespace {

std::string error_of(const std::vector<std::string>& arguments) {
  auto command = parse_command_line(arguments);
  return command ? "" : command.error().message;
}

TEST(CommandLine, EveryFlagOfTheContract) {
  auto parsed = parse_command_line({"run",
                                    "--board",
                                    "minimal",
                                    "--cpu",
                                    "x86-64-v2",
                                    "--cpus",
                                    "4",
                                    "--memory",
                                    "1G",
                                    "--kernel",
                                    "k",
                                    "--initrd",
                                    "i",
                                    "--append",
                                    "console=ttyS0 -- --x",
                                    "--disk",
                                    "a.img,snapshot",
                                    "--disk",
                                    "b.img",
                                    "--serial",
                                    "file:out",
                                    "--engine",
                                    "interpreter",
                                    "--clock",
                                    "fixed",
                                    "--seed",
                                    "7",
                                    "--max-ticks",
                                    "1000",
                                    "--state-hash",
                                    "--record",
                                    "log",
                                    "--gdb",
                                    ":1234",
                                    "--debugcon",
                                    "--no-reboot",
                                    "--set",
                                    "cpu.kvm=false",
                                    "--set",
                                    "cpu.count=2"});
  ASSERT_TRUE(parsed.ok()) << parsed.error().message;
  const Command& command = parsed.value();
  EXPECT_EQ(command.kind, CommandKind::kRun);
  const machine::Config& config = command.config;
  EXPECT_EQ(config.cpu, "x86-64-v2");
  EXPECT_EQ(config.cpus, 2u) << "--set comes last";
  EXPECT_EQ(config.memory_bytes, u64{1} << 30);
  EXPECT_EQ(config.append, "console=ttyS0 -- --x");
  ASSERT_EQ(config.disks.size(), 2u);
  EXPECT_TRUE(config.disks[0].snapshot);
  EXPECT_EQ(config.serial.path, "out");
  EXPECT_EQ(config.clock, machine::ClockPolicy::kFixed);
  EXPECT_TRUE(config.seed_given && config.seed == 7 && config.debugcon && !config.reboot && !config.kvm);
  EXPECT_TRUE(config.pause_on_start);
  EXPECT_EQ(command.max_ticks, 1000u);
  EXPECT_TRUE(command.state_hash);
  EXPECT_EQ(command.record_path, "log");
  EXPECT_EQ(command.gdb, (GdbAddress{.host = "127.0.0.1", .port = 1234, .unix_path = {}}));
}

TEST(CommandLine, ReplayConfigAndTexts) {
  auto replay = parse_command_line({"replay", "log", "--state-hash"});
  ASSERT_TRUE(replay.ok());
  EXPECT_EQ(replay.value().kind, CommandKind::kReplay);
  EXPECT_EQ(replay.value().log_path, "log");
  EXPECT_FALSE(replay.value().replay_engine.has_value());
  EXPECT_EQ(parse_command_line({"replay", "log", "--engine", "lockstep"}).value().replay_engine,
            machine::EngineKind::kLockstep);
  EXPECT_EQ(parse_command_line({"run", "--engine", "lockstep"}).value().config.engine,
            machine::EngineKind::kLockstep);
  EXPECT_EQ(parse_command_line({"run", "--jit-cache", "2M"}).value().translator.cache_bytes, u64{2} << 20);
  EXPECT_EQ(parse_command_line({"config", "--cpus", "2"}).value().config.cpus, 2u);
  EXPECT_EQ(parse_command_line({"--version"}).value().text, "orrery 0.1.0\n");
  EXPECT_NE(parse_command_line({"--help"}).value().text.find("replay"), std::string::npos);
  EXPECT_NE(parse_command_line({"run", "--help"}).value().text.find("--no-reboot"), std::string::npos);
  EXPECT_NE(parse_command_line({"run", "--help"}).value().text.find("Usage: orrery run"), std::string::npos);
}

TEST(CommandLine, ErrorsAreOneLineAndNameTheThing) {
  for (const auto& [arguments, part] : std::vector<std::pair<std::vector<std::string>, std::string>>{
           {{}, "a command is wanted"},
           {{"fly"}, "fly"},
           {{"run", "--frobnicate"}, "--frobnicate"},
           {{"run", "--cpus", "0"}, "--cpus: 0 is out of range"},
           {{"run", "--cpus", "-1"}, "--cpus: '-1'"},
           {{"run", "--cpus", "99999999999999999999"}, "--cpus: '99999999999999999999' is too large"},
           {{"run", "--memory", "0"}, "--memory: 0 is out of range"},
           {{"run", "--memory", "1T"}, "--memory: 1T is out of range"},
           {{"run", "--clock", "slow"}, "wanted: 'fixed', 'follow'"},
           {{"run", "--max-ticks", "many"}, "--max-ticks: 'many'"},
           {{"run", "--gdb", "x"}, "--gdb: 'x' is not an address"},
           {{"run", "--gdb", ":0"}, "--gdb"},
           {{"run", "--gdb", ":65536"}, "--gdb"},
           {{"run", "--set", "no.key=1"}, "unknown key 'no.key'"},
           {{"run", "--disk", "a,b"}, "unknown option 'b'"},
           {{"run", "/nonexistent/pc.toml"}, "/nonexistent/pc.toml"},
           {{"run", "--initrd", "i"}, "no kernel"},
           {{"run", "a.toml", "b.toml"}, "b.toml"},
           {{"run", "--engine", "lockstep", "--gdb", ":1234"}, "--gdb: not with the engine 'lockstep'"},
           {{"replay", "log", "--engine", "lockstep", "--gdb", ":1234"}, "--gdb: not with the engine"},
           {{"replay", "log", "--engine", "abacus"}, "--engine: "},
           {{"run", "--jit-cache", "1023K"}, "--jit-cache: '1023K'"},
           {{"run", "--jit-cache", "2G"}, "--jit-cache: '2G'"},
           {{"replay"}, "LOG"}}) {
    const std::string message = error_of(arguments);
    EXPECT_NE(message.find(part), std::string::npos) << message;
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
  }
}

TEST(CommandLine, TheLastOfAFlagCountsAndValuesMayLookLikeAnything) {
  auto parsed =
      parse_command_line({"run", "--kernel", "k", "--cpus", "2", "--cpus", "3", "--append", "--x", "--append",
                          "[a,b] -- c", "--disk", "[x,,y]", "--disk=b=c", "--set=seed=4"});
  ASSERT_TRUE(parsed.ok()) << parsed.error().message;
  const machine::Config& config = parsed.value().config;
  EXPECT_EQ(config.cpus, 3u);
  EXPECT_EQ(config.append, "[a,b] -- c");
  ASSERT_EQ(config.disks.size(), 2u);
  EXPECT_EQ(config.disks[0].file, "[x,y]");
  EXPECT_EQ(config.disks[1].file, "b=c");
  EXPECT_EQ(config.seed, 4u);
}

TEST(CommandLine, GdbAddresses) {
  EXPECT_EQ(parse_gdb_address("1234").value().host, "127.0.0.1");
  EXPECT_EQ(parse_gdb_address("0.0.0.0:99").value().host, "0.0.0.0");
  EXPECT_EQ(parse_gdb_address("[::1]:99").value().host, "::1");
  EXPECT_EQ(parse_gdb_address("unix:/tmp/s").value().unix_path, "/tmp/s");
  EXPECT_FALSE(parse_gdb_address("unix:").ok());
  EXPECT_FALSE(parse_gdb_address("").ok());
}

std::string guest_gets(EscapeFilter& filter, std::string_view typed) {
  const auto out = filter.feed({reinterpret_cast<const u8*>(typed.data()), typed.size()});
  return {out.to_guest.begin(), out.to_guest.end()};
}

TEST(EscapeFilterTest, LeavesHelpsAndPassesOn) {
  EscapeFilter filter;
  EXPECT_EQ(guest_gets(filter, "ls\r\x03"), "ls\r\x03");
  EXPECT_EQ(guest_gets(filter,
                       "a\x01\x01"
                       "b"),
            "a\x01"
            "b");
  EXPECT_EQ(guest_gets(filter, "\x01"), "");
  EXPECT_EQ(guest_gets(filter, "a"), "\x01");
  const u8 help[] = {1, 'h', 'q'};
  auto out = filter.feed(help);
  EXPECT_TRUE(out.help);
  EXPECT_EQ(out.to_guest.size(), 1u);
  const u8 leave[] = {'a', 1, 'x', 'b'};
  out = filter.feed(leave);
  EXPECT_TRUE(out.leave);
  EXPECT_EQ(out.to_guest.size(), 1u);
}

TEST(ExitStatus, DebugExitIsOddAndTruncated) {
  EXPECT_EQ(exit_status::of_debug_exit(0), 1);
  EXPECT_EQ(exit_status::of_debug_exit(0x10), 33);
  EXPECT_EQ(exit_status::of_debug_exit(0xffffffff), 255);
}

}  // namespace
}  // namespace orrery::control
