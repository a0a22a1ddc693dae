// Config: the description of a machine. Made from defaults, a TOML file and command-line flags, in that order;
// `orrery config` prints the effective one. It is not what device constructors take: the board translates.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "base/types.h"

namespace orrery::machine {

enum class BoardKind : u8 { kMinimal };
enum class EngineKind : u8 { kInterpreter };
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
  EngineKind engine = EngineKind::kInterpreter;
  std::string cpu = "x86-64-v3";  // a name from cpu::cpu_models()
  /// `kvm = false` hides the KVM CPUID signature and kvmclock.
  bool kvm = true;
  u32 cpus = 1;                           // 1..8
  u64 memory_bytes = u64{512} << 20;      // 1 MiB .. 64 GiB, a multiple of 4096
  u64 quantum_ticks = 50'000;             // 1 .. 1e9
  ClockPolicy clock = ClockPolicy::kFollow;
  u64 clock_rate = u64{1} << 32;          // `fixed`: nanoseconds per tick, 32.32
  u64 seed = 0;                           // of Entropy
  bool seed_given = false;                // else `follow` draws one from the host; `fixed` uses 0
  u64 rtc_start = 0;                      // seconds since 1970; 0: fixed date with `fixed`, host time with `follow`
  std::string kernel;                     // empty: none
  std::string initrd;
  std::string append;
  std::vector<DiskConfig> disks;
  SerialConfig serial;
  bool debugcon = false;                  // ports 0xe9 and 0x402 to standard error
  bool virtio_console = false;
  bool reboot = true;                     // false: a guest's reset stops the machine (--no-reboot)
  bool pause_on_start = false;            // with --gdb: wait for the debugger
};

}  // namespace orrery::machine
