// Lockstep: two whole machines in one process, one per engine, that must be alike at every tick.
//
// The leader, which the interpreter runs, is the machine that people see: its door is open, its output
// reaches the host. The follower, which the translator runs, replays what entered the leader and is silent.
// After every interval both stand at the same tick and are compared: the processors every time, the rest of
// the state and memory less often. At the first difference the search (machine/lockstep_search.h) finds the
// instruction. Disks are snapshots on both sides, and the clock is `fixed`, unless a log is replayed that
// has its own.
//
// Not modelled: a machine that idles is not paced to the host.
#pragma once

#include <optional>

#include "machine/machine_compare.h"
#include "machine/machine_copy.h"
#include "machine/virtual_machine.h"

namespace orrery::machine {

class Lockstep {
 public:
  struct Options {
    VirtualMachine::Options machine;  // the leader's; `translator` is the follower's
    /// Ticks from one comparison of a level to the next.
    Tick processors_every = 5'000, state_every = 1'000'000, memory_every = 25'000'000;
  };
  static Result<std::unique_ptr<Lockstep>> create(const Config& config, Options options);
  /// The machine that a log describes, whichever engine made it.
  static Result<std::unique_ptr<Lockstep>> create_replay(const std::string& log_path, Options options);

  VirtualMachine& leader() { return *leader_; }
  VirtualMachine& follower() { return *follower_; }

  /// As VirtualMachine::run, for both. kDifference: `message` is the report. kHostError: a line, in
  /// `message`, of either side.
  StopReason run(Tick max_tick = kNever);
  const std::string& message() const { return message_; }

 private:
  Lockstep(Options options, std::unique_ptr<VirtualMachine> leader)
      : options_(std::move(options)), leader_(std::move(leader)) {}
  Result<> add_follower();
  /// Both to the same tick; the leader's reason to stop, kDifference if the follower has another.
  StopReason advance(Tick limit);
  /// The dearest comparison that is due at this tick.
  CompareLevel due_level(bool last) const;
  StopReason host_error(const Error& error) {
    message_ = error.message;
    return StopReason::kHostError;
  }
  StopReason explain(const std::string& difference);

  Options options_;
  std::unique_ptr<VirtualMachine> leader_, follower_;
  std::vector<InputEvent> inputs_;    // all that have been delivered to the leader
  std::optional<MachineCopy> alike_;  // the last tick at which everything was compared
  Tick next_state_ = 0, next_memory_ = 0;
  Tick last_alike_ = 0;  // of the cheap comparison
  std::string message_;
};

}  // namespace orrery::machine
