// EventQueue: named one-shot timers on virtual time.
//
// Timers fire between instructions, at the first tick whose virtual time has reached the deadline, in the
// order (deadline, order of arming). Names are unique in a machine; they carry pending deadlines through
// snapshots.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/state_visitor.h"

namespace orrery {

class EventQueue;

/// A one-shot timer. Belongs to one device or CPU and lives as long as it; the queue outlives the timer.
class Timer {
 public:
  /// `callback` runs on the machine's thread with the timer disarmed; it may arm it again.
  Timer(EventQueue& queue, std::string name, std::function<void()> callback);
  ~Timer();
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  /// Fires at `deadline` (at once, that is at the next instruction boundary, if that has passed); replaces an
  /// earlier deadline.
  void arm(VirtualTime deadline);
  void cancel();
  bool armed() const { return armed_; }
  VirtualTime deadline() const { return deadline_; }
  const std::string& name() const { return name_; }

 private:
  friend class EventQueue;
  EventQueue& queue_;
  std::string name_;
  std::function<void()> callback_;
  VirtualTime deadline_{};
  u64 order_ = 0;
  bool armed_ = false;
};

class EventQueue {
 public:
  EventQueue(Timeline& timeline, Clock& clock) : timeline_(timeline), clock_(clock) {}
  EventQueue(const EventQueue&) = delete;
  EventQueue& operator=(const EventQueue&) = delete;

  Clock& clock() { return clock_; }
  const Clock& clock() const { return clock_; }
  Timeline& timeline() { return timeline_; }

  /// The tick at which the next timer is due; kNever if none is armed.
  Tick next_tick() const;
  VirtualTime next_deadline() const;
  /// Fires every timer that is due now. Only between slices.
  void fire_due();

  void visit_state(StateVisitor& v);

 private:
  friend class Timer;
  const Timer* earliest() const;
  Timeline& timeline_;
  Clock& clock_;
  std::vector<Timer*> timers_;  // all that exist, in order of construction
  mutable const Timer* earliest_ = nullptr;
  mutable bool earliest_known_ = false;
  u64 next_order_ = 1;
};

}  // namespace orrery
