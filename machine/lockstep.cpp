#include "machine/lockstep.h"

#include "machine/lockstep_search.h"
#include "memory/ram.h"

namespace orrery::machine {

Result<std::unique_ptr<Lockstep>> Lockstep::create(const Config& given, Options options) {
  Config config = given;
  config.engine = EngineKind::kInterpreter;
  config.clock = ClockPolicy::kFixed;
  for (DiskConfig& disk : config.disks) disk.snapshot = true;
  TRY_ASSIGN(auto leader, VirtualMachine::create(config, options.machine));
  std::unique_ptr<Lockstep> lockstep(new Lockstep(std::move(options), std::move(leader)));
  TRY(lockstep->add_follower());
  return lockstep;
}

Result<std::unique_ptr<Lockstep>> Lockstep::create_replay(const std::string& log_path, Options options) {
  options.machine.replay_engine = EngineKind::kInterpreter;
  TRY_ASSIGN(auto leader, VirtualMachine::create_replay(log_path, options.machine));
  std::unique_ptr<Lockstep> lockstep(new Lockstep(std::move(options), std::move(leader)));
  TRY(lockstep->add_follower());
  return lockstep;
}

Result<> Lockstep::add_follower() {
  Config config = leader_->config();
  config.engine = EngineKind::kJit;
  TRY_ASSIGN(follower_, VirtualMachine::create_follower(
                            config, {.translator = options_.machine.translator, .silent = true}));
  leader_->inputs().set_tap([this](const InputEvent& input) {
    inputs_.push_back(input);
    follower_->inputs().extend_replay(input);
  });
  TRY_ASSIGN(MachineCopy copy, MachineCopy::create(config.memory_bytes));
  alike_.emplace(std::move(copy));
  return {};
}

StopReason Lockstep::advance(Tick limit) {
  const StopReason led = leader_->run(limit);
  if (led == StopReason::kHostError) {
    message_ = leader_->stop_message();
    return led;
  }
  // What stopped the leader from outside does not stop the follower.
  const bool by_itself = led == StopReason::kPowerOff || led == StopReason::kDebugExit ||
                         led == StopReason::kReset || led == StopReason::kTripleFault;
  const StopReason followed = follower_->run(by_itself ? limit : leader_->tick());
  if (followed == StopReason::kHostError) {
    message_ = follower_->stop_message();
    return followed;
  }
  return followed == (by_itself ? led : StopReason::kMaxTicks) ? led : StopReason::kDifference;
}

CompareLevel Lockstep::due_level(bool last) const {
  const Tick now = leader_->tick();
  if (last || now >= next_memory_) return CompareLevel::kMemory;
  return now >= next_state_ ? CompareLevel::kState : CompareLevel::kProcessors;
}

StopReason Lockstep::run(Tick max_tick) {
  // The next comparisons are due where this run begins, too: memory is what the caller may have changed.
  if (const auto found = first_difference(*leader_, *follower_, CompareLevel::kMemory))
    return explain(*found);
  alike_->save(*leader_, inputs_.size());
  last_alike_ = leader_->tick();
  next_state_ = last_alike_ + options_.state_every;
  next_memory_ = last_alike_ + options_.memory_every;
  while (true) {
    const Tick now = leader_->tick();
    const Tick limit =
        max_tick - now > options_.processors_every ? now + options_.processors_every : max_tick;
    const StopReason reason = advance(limit);
    if (reason == StopReason::kHostError) return reason;
    const bool last = reason != StopReason::kMaxTicks || limit == max_tick;
    const CompareLevel level = due_level(last);
    if (const auto found = first_difference(*leader_, *follower_, level)) return explain(*found);
    if (reason == StopReason::kDifference) return explain("one side stopped here, the other did not");
    const Tick here = leader_->tick();
    last_alike_ = here;
    if (level != CompareLevel::kProcessors) next_state_ = here + options_.state_every;
    if (last) return reason;
    if (level == CompareLevel::kMemory) {
      alike_->save(*leader_, inputs_.size());
      next_memory_ = here + options_.memory_every;
    }
  }
}

StopReason Lockstep::explain(const std::string& difference) {
  const Tick until = std::max(leader_->tick(), follower_->tick());
  LockstepSearch search(leader_->config(), options_.machine.translator, inputs_, *alike_);
  auto report = search.run(until, *follower_);
  if (!report) return host_error(report.error());
  message_ = fmt::format(
      "the engines differ (here: the interpreter; there: the translator)\n"
      "noticed between ticks {} and {}: {}\n{}",
      last_alike_, until, difference, *report);
  return StopReason::kDifference;
}

}  // namespace orrery::machine
