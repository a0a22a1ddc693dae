// Config: the description of a machine. Made from defaults, a TOML file and command-line flags, in that
// order; `orrery config` prints the effective one. It is not what device constructors take: the board
// translates.
//
// Every setting has one dotted key ("cpu.count"), the same in the file and in `--set`. The key table below is
// the only place that knows how a setting is spelled; the TOML reader, the printer and the flags all go
// through it.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/types.h"

namespace orrery::machine {

enum class BoardKind : u8 { kMinimal, kQ35 };
/// kLockstep: two machines, one of each kind (machine/lockstep.h); a VirtualMachine has one of the others.
enum class EngineKind : u8 { kInterpreter, kJit, kLockstep };
/// The translator where it has been built: it is for x86-64 hosts.
#if defined(ORRERY_JIT)
inline constexpr EngineKind kDefaultEngine = EngineKind::kJit;
#else
inline constexpr EngineKind kDefaultEngine = EngineKind::kInterpreter;
#endif
enum class ClockPolicy : u8 { kFixed, kFollow };

struct DiskConfig {
  std::string file;
  /// Writes go to a temporary overlay and are dropped at the end. Implied while recording and replaying.
  bool snapshot = false;
  bool read_only = false;
  bool operator==(const DiskConfig&) const = default;
};

struct SerialConfig {
  enum class Kind : u8 { kStdio, kFile, kNone };
  Kind kind = Kind::kStdio;
  std::string path;  // kFile
  bool operator==(const SerialConfig&) const = default;
};

struct Config {
  BoardKind board = BoardKind::kMinimal;
  EngineKind engine = kDefaultEngine;
  std::string cpu = "x86-64-v3";  // a name from cpu::cpu_models()
  /// `kvm = false` hides the KVM CPUID signature and kvmclock.
  bool kvm = true;
  u32 cpus = 1;                       // 1..8
  u64 memory_bytes = u64{512} << 20;  // 1 MiB .. 64 GiB, a multiple of 4096
  u64 quantum_ticks = 50'000;         // 1 .. 1e9
  ClockPolicy clock = ClockPolicy::kFollow;
  u64 clock_rate = u64{1} << 32;  // `fixed`: nanoseconds per tick, 32.32
  u64 seed = 0;                   // of Entropy
  bool seed_given = false;        // else `follow` draws one from the host; `fixed` uses 0
  u64 rtc_start = 0;              // seconds since 1970; 0: fixed date with `fixed`, host time with `follow`
  std::string kernel;             // empty: none
  std::string initrd;
  std::string append;
  std::vector<DiskConfig> disks;
  SerialConfig serial;
  bool debugcon = false;  // ports 0xe9 and 0x402 to standard error
  bool virtio_console = false;
  bool reboot = true;           // false: a guest's reset stops the machine (--no-reboot)
  bool pause_on_start = false;  // with --gdb: wait for the debugger
  bool operator==(const Config&) const = default;
};

inline constexpr u32 kMaxCpus = 8;
inline constexpr u64 kMinMemoryBytes = u64{1} << 20;
inline constexpr u64 kMaxMemoryBytes = u64{64} << 30;
inline constexpr size_t kMaxConfigDisks = 16;
/// Linux takes 2047 characters and a NUL from the boot protocol.
inline constexpr size_t kMaxAppendBytes = 2047;

/// What a key's value looks like in a TOML file.
enum class ConfigType : u8 {
  kText,    // "..."
  kBool,    // true, false
  kNumber,  // 17
  kSize,    // "512M", 536870912
  kRate,    // "0.25", 0.25, 1
};

/// One setting: how it is spelled, set from text and printed as text.
struct ConfigKey {
  std::string_view name;  // dotted, at most one dot
  ConfigType type;
  std::string_view description;
  Result<> (*set)(Config& config, std::string_view text);
  std::string (*get)(const Config& config);
  /// Whether the printer shows the key; null: always.
  bool (*shown)(const Config& config);
};

/// All keys except those of disks, in the order of printing: the undotted ones first, then by table.
std::span<const ConfigKey> config_keys();

/// Sets one setting from its text form, which is also that of `--set key=value`: "cpu.count", "2". A disk's
/// keys are "disk.<n>.file", "disk.<n>.snapshot" and "disk.<n>.read_only", where n is at most the number of
/// disks so far. The error names the value and what would be right, not the key.
Result<> set_config_value(Config& config, std::string_view key, std::string_view text);
/// The same from "key=value"; the error names both.
Result<> set_config_assignment(Config& config, std::string_view assignment);

/// `FILE[,snapshot][,readonly]`, as `--disk` takes it; commas inside a file name are doubled.
Result<DiskConfig> parse_disk(std::string_view text);
/// `stdio`, `file:PATH` or `none`.
Result<SerialConfig> parse_serial(std::string_view text);
std::string format_serial(const SerialConfig& serial);
/// Bytes: a decimal number with an optional suffix K, M, G or T (powers of 1024, either case).
Result<u64> parse_size(std::string_view text);
/// The shortest of these forms: "512M".
std::string format_size(u64 size_bytes);
/// Decimal nanoseconds per tick to 32.32 fixed point and back; the round trip is exact.
Result<u64> parse_rate(std::string_view text);
std::string format_rate(u64 rate_32_32);

/// What no single key can judge: combinations. Ranges of single settings are checked when they are set.
Result<> validate(const Config& config);

}  // namespace orrery::machine
