// VirtualMachine: a whole PC. Owns memory, vCPUs, board, timeline and door; runs them on the calling thread.
#pragma once

#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/input_port.h"
#include "base/result.h"
#include "jit/translator_config.h"
#include "machine/config.h"

namespace orrery::cpu {
class Vcpu;
}
namespace orrery::memory {
class Ram;
}

namespace orrery::machine {

/// Why `run` came back.
enum class StopReason : u8 {
  kPowerOff,     // the guest turned itself off
  kDebugExit,    // isa-debug-exit; see `exit_value`
  kReset,        // a reset with `reboot = false`
  kTripleFault,  // with `reboot = false`; else it resets. `stop_message` explains
  kMaxTicks,     // the tick limit of this run
  kRequested,    // request_stop (the user left, or a debugger interrupts)
  kBreakpoint,   // a debugger's breakpoint: the vCPU `stopped_vcpu` is about to execute it
  kWatchpoint,   // a debugger's watchpoint: the access has been made by the instruction just retired
  kStep,         // a debugger's single step is done
  kEndOfLog,     // the replayed log has no more
  kHostError,    // `stop_message` is one line: a full disk, a damaged log
  kDifference,   // Lockstep: the engines differ
};

enum class WatchKind : u8 { kWrite, kRead, kAccess };

class VirtualMachine {
 public:
  /// Builds the machine and loads the kernel. With `record_path`, everything from the first input on is
  /// logged; the file must not exist.
  struct Options {
    std::string record_path = {};
    /// For tests: instead of the back end in `config.serial`, bytes go here (machine thread).
    std::function<void(std::span<const u8>)> serial_output = {};
    /// Somebody may type while the machine idles: with `fixed`, idle time then passes as on the host.
    bool interactive = false;
    /// Nothing with other engines.
    jit::TranslatorConfig translator = {};
    /// For `create_replay`: this engine instead of the recorded one.
    std::optional<EngineKind> replay_engine = {};
    /// Nothing reaches the terminal, a serial output file or standard error.
    bool silent = false;
    /// How long a vCPU that is alone runs before the machine looks for input and wishes to stop, in ticks,
    /// from 1 on; never longer than an engine's longest run: a millisecond under the translator, some under
    /// the interpreter. A guest does not see it.
    u64 turn_alone = ~u64{0};
  };
  static Result<std::unique_ptr<VirtualMachine>> create(const Config& config, Options options);
  /// The machine that `log_path` describes, ready to replay it. Refuses images that differ from the recorded
  /// ones.
  static Result<std::unique_ptr<VirtualMachine>> create_replay(const std::string& log_path, Options options);
  /// A machine that replays what `inputs().extend_replay` adds, without an end; disks are snapshots. Another
  /// machine with the same configuration (its `config()`, but for the engine) leads.
  static Result<std::unique_ptr<VirtualMachine>> create_follower(const Config& config, Options options);
  ~VirtualMachine();

  const Config& config() const;

  /// Runs until something stops it; at most until `max_tick`, exactly.
  StopReason run(Tick max_tick = kNever);
  /// One instruction (or one delivered interrupt or exception) of vCPU `index`. No other vCPU runs.
  StopReason step(unsigned index);
  /// Any thread, signal handlers included: makes `run` return soon.
  void request_stop();

  /// The last stop.
  u32 exit_value() const;
  unsigned stopped_vcpu() const;
  u64 stopped_watch_address() const;
  const std::string& stop_message() const;

  Tick tick() const;
  VirtualTime now() const;
  /// Ticks that were skipped while every vCPU halted; the rest of `tick()` was run.
  u64 idle_ticks() const;
  /// XXH3-64 of everything: RAM, vCPUs, devices, disk overlays, pending events, clock and tick.
  u64 state_hash();
  /// The whole state except RAM as text (for `monitor` and for comparing).
  std::string dump_state();
  void visit_state(StateVisitor& v);

  /// Counters of the engine, for people; may be empty.
  std::string engine_statistics() const;

  unsigned cpus() const;
  cpu::Vcpu& vcpu(unsigned index);
  InputPort& inputs();
  memory::Ram& ram();
  /// Any thread: bytes typed at the serial port.
  void type(std::span<const u8> bytes);

  /// Debugger access to memory. Linear addresses are translated by vCPU `index`'s tables without faults or
  /// A/D updates; false if unmapped (what could be accessed has been). Physical access reaches RAM and ROM
  /// only.
  bool read_linear(unsigned index, u64 address, std::span<u8> out);
  bool write_linear(unsigned index, u64 address, std::span<const u8> data);
  bool read_physical(u64 address, std::span<u8> out);
  bool write_physical(u64 address, std::span<const u8> data);

  /// Breakpoints and watchpoints on linear addresses, in every address space and on every vCPU. They change
  /// nothing that the guest can see. Length 1..8.
  void add_breakpoint(u64 address);
  void remove_breakpoint(u64 address);
  void add_watchpoint(u64 address, u64 length, WatchKind kind);
  void remove_watchpoint(u64 address, u64 length, WatchKind kind);

  /// Ends a recording, writing the final state hash. Nothing if not recording.
  Result<> finish_recording();

 private:
  struct Impl;
  explicit VirtualMachine(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace orrery::machine
