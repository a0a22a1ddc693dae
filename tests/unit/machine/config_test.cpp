// The machine description: text forms, ranges, the TOML file and its messages, and the exact round trip.

#include <gtest/gtest.h>

#include "machine/config.h"
#include "machine/config_toml.h"

namespace orrery::machine {
namespace {

std::string toml_error(std::string_view text) {
  Config config;
  auto applied = apply_toml(config, text, "pc.toml");
  return applied ? "" : applied.error().message;
}

std::string set_error(std::string_view assignment) {
  Config config;
  auto set = set_config_assignment(config, assignment);
  return set ? "" : set.error().message;
}

TEST(ConfigSize, TakesSuffixesAndRefusesTheRest) {
  EXPECT_EQ(parse_size("268435456").value(), 268435456u);
  EXPECT_EQ(parse_size("512M").value(), u64{512} << 20);
  EXPECT_EQ(parse_size("4g").value(), u64{4} << 30);
  EXPECT_EQ(parse_size("16T").value(), u64{16} << 40);
  for (const char* bad :
       {"", "M", "-1", "1.5G", "4GB", "4 G", "0x10", "18446744073709551616", "16777216T", "+1"}) {
    EXPECT_FALSE(parse_size(bad).ok()) << bad;
  }
  for (const u64 size : {u64{0}, u64{1}, u64{4096}, u64{1} << 20, (u64{1} << 30) + 4096, ~u64{0}}) {
    EXPECT_EQ(parse_size(format_size(size)).value(), size);
  }
}

TEST(ConfigRate, RoundTripIsExact) {
  EXPECT_EQ(parse_rate("1").value(), u64{1} << 32);
  EXPECT_EQ(parse_rate("0.25").value(), u64{1} << 30);
  EXPECT_EQ(format_rate(u64{1} << 30), "0.25");
  u64 x = 88172645463325252;
  for (int i = 0; i < 20000; ++i) {
    x ^= x << 13, x ^= x >> 7, x ^= x << 17;
    const u64 rate = (x >> (14 + x % 40)) % (u64{1'000'000} << 32) + 1;
    ASSERT_EQ(parse_rate(format_rate(rate)).value(), rate) << rate;
  }
  for (const char* bad :
       {"0", "0.0", "", ".", ".5", "1.", "-1", "1e3", "nan", "1000000.1", "0.00000000001"}) {
    EXPECT_FALSE(parse_rate(bad).ok()) << bad;
  }
}

TEST(ConfigSet, RangesAndChoicesSayWhatWouldBeRight) {
  EXPECT_EQ(set_error("cpu.count=8"), "");
  EXPECT_EQ(set_error("cpu.count=0"), "cpu.count: 0 is out of range; 1 to 8 is wanted");
  EXPECT_EQ(set_error("cpu.count=two"), "cpu.count: 'two' is not a number; a decimal number is wanted");
  EXPECT_EQ(set_error("memory=0"), "memory: 0 is out of range; 1M to 64G is wanted");
  EXPECT_EQ(set_error("memory=99999999999G"), "memory: '99999999999G' is too large for a size");
  EXPECT_EQ(set_error("memory=1048577"), "memory: 1048577 is not a multiple of 4096");
  EXPECT_EQ(set_error("board=q36"), "board: unknown value 'q36'; wanted: 'minimal', 'q35'");
  EXPECT_EQ(set_error("clock.policy=slow"), "clock.policy: unknown value 'slow'; wanted: 'fixed', 'follow'");
  EXPECT_EQ(set_error("cpu.model=i286"),
            "cpu.model: unknown value 'i286'; wanted: 'x86-64-v2', 'x86-64-v3', "
            "'x86-64-v3-la57'");
  EXPECT_EQ(set_error("cpu.kvm=yes"), "cpu.kvm: 'yes' is neither true nor false");
  EXPECT_EQ(set_error("novalue"), "'novalue': key=value is wanted");
  EXPECT_TRUE(set_error("nokey=1").starts_with("nokey: unknown key 'nokey'; known: board, "));
  EXPECT_EQ(set_error("disk.0.file=a.img"), "");
  EXPECT_EQ(set_error("disk.1.file=a.img"), "disk.1.file: there are 0 disks; the next one has number 0");
  EXPECT_NE(set_error("boot.append=a\nb"), "");
  EXPECT_NE(set_error("boot.kernel=\xff"), "");
}

TEST(ConfigDisk, OptionsAndDoubledCommas) {
  EXPECT_EQ(parse_disk("a.img,snapshot").value(),
            (DiskConfig{.file = "a.img", .snapshot = true, .read_only = false}));
  EXPECT_EQ(parse_disk("a,,b.img,readonly").value(),
            (DiskConfig{.file = "a,b.img", .snapshot = false, .read_only = true}));
  EXPECT_FALSE(parse_disk("").ok());
  EXPECT_FALSE(parse_disk(",snapshot").ok());
  EXPECT_FALSE(parse_disk("a.img,").ok());
  EXPECT_EQ(parse_disk("a.img,fast").error().message,
            "disk 'a.img,fast': unknown option 'fast'; wanted: 'snapshot', 'readonly'");
}

TEST(ConfigToml, MessagesHaveFileLineAndColumn) {
  EXPECT_EQ(toml_error("[cpu]\ncount = 2\n"), "");
  EXPECT_TRUE(
      toml_error("board = 'minimal'\n  foo = 1\n").starts_with("pc.toml:2:3: unknown key 'foo'; known: "));
  EXPECT_EQ(toml_error("[cpu]\ncores = 2\n"),
            "pc.toml:2:1: unknown key 'cores' in [cpu]; known: 'model', 'count', 'quantum_ticks', 'kvm'");
  EXPECT_EQ(toml_error("[cpu]\ncount = 9\n"),
            "pc.toml:2:9: key 'cpu.count': 9 is out of range; 1 to 8 is wanted");
  EXPECT_EQ(toml_error("reboot = 1\n"), "pc.toml:1:10: key 'reboot': true or false is wanted");
  EXPECT_EQ(toml_error("memory = -1\n"),
            "pc.toml:1:10: key 'memory': a number of bytes or a string such as \"512M\" is wanted");
  EXPECT_TRUE(toml_error("cpu = 3\n").starts_with("pc.toml:1:1: 'cpu' is a table"));
  EXPECT_TRUE(toml_error("[disk]\nfile = 'a'\n").starts_with("pc.toml:1:"));
  EXPECT_TRUE(toml_error("[[disk]]\nsnapshot = true\n").ends_with("a disk needs the key 'file'"));
  EXPECT_TRUE(
      toml_error("[[disk]]\nfile = 'a'\nsize = 3\n").starts_with("pc.toml:3:1: unknown key 'size'; a disk"));
  EXPECT_TRUE(toml_error("memory = \n").starts_with("pc.toml:1:"));
  EXPECT_TRUE(toml_error("board = 'minimal'\nboard = 'minimal'\n").starts_with("pc.toml:2:"));
  EXPECT_EQ(toml_error("\"a\\nb\" = 1").find('\n'), std::string::npos);
}

TEST(ConfigToml, RoundTripIsExact) {
  Config config;
  for (const char* assignment : {"cpu.count=4",
                                 "memory=4G",
                                 "cpu.kvm=false",
                                 "seed=18446744073709551615",
                                 "serial=file:/tmp/a \"b\" \\c",
                                 "clock.policy=fixed",
                                 "clock.ns_per_tick=0.3333333333",
                                 "clock.rtc_start=1700000000",
                                 "boot.kernel=bzImage",
                                 "boot.append=console=ttyS0 a=\"b c\" \xc3\xa9",
                                 "debugcon=true",
                                 "reboot=false",
                                 "disk.0.file=a'b.img",
                                 "disk.0.snapshot=true",
                                 "disk.1.file=c.img",
                                 "disk.1.read_only=true",
                                 "cpu.quantum_ticks=7",
                                 "virtio_console=true",
                                 "pause_on_start=true",
                                 "boot.initrd=i"}) {
    auto set = set_config_assignment(config, assignment);
    ASSERT_TRUE(set.ok()) << set.error().message;
  }
  Config again;
  const std::string text = to_toml(config);
  auto applied = apply_toml(again, text, "again");
  ASSERT_TRUE(applied.ok()) << applied.error().message << "\n" << text;
  EXPECT_EQ(again, config) << text;
  EXPECT_EQ(to_toml(again), text);
  Config defaults;
  ASSERT_TRUE(apply_toml(defaults, to_toml(Config{}), "defaults").ok());
  EXPECT_EQ(defaults, Config{});
}

TEST(ConfigToml, AFileThatIsNotThere) {
  Config config;
  EXPECT_EQ(apply_toml_file(config, "/nonexistent/pc.toml").error().message,
            "opening the machine file '/nonexistent/pc.toml': No such file or directory");
}

TEST(ConfigValidate, Combinations) {
  Config config;
  EXPECT_TRUE(validate(config).ok());
  config.initrd = "i";
  EXPECT_EQ(validate(config).error().message, "initrd 'i' is given, but no kernel");
  config.kernel = "k";
  config.disks = {{.file = "a"}, {.file = "a"}};
  EXPECT_FALSE(validate(config).ok());
  config.disks[0].snapshot = true;
  EXPECT_TRUE(validate(config).ok());
}

}  // namespace
}  // namespace orrery::machine
