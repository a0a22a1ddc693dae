#include "base/event_queue.h"

#include <algorithm>

namespace orrery {

Timer::Timer(EventQueue& queue, std::string name, std::function<void()> callback)
    : queue_(queue), name_(std::move(name)), callback_(std::move(callback)) {
  for (const Timer* other : queue_.timers_) CHECK(other->name_ != name_, name_);
  queue_.timers_.push_back(this);
}

Timer::~Timer() {
  std::erase(queue_.timers_, this);
  queue_.earliest_known_ = false;
}

void Timer::arm(VirtualTime deadline) {
  deadline_ = deadline;
  order_ = queue_.next_order_++;
  armed_ = true;
  queue_.earliest_known_ = false;
  queue_.timeline_.shorten_slice(std::max(queue_.clock_.tick_of(deadline), queue_.timeline_.now() + 1));
}

void Timer::cancel() {
  if (!armed_) return;
  armed_ = false;
  queue_.earliest_known_ = false;
}

const Timer* EventQueue::earliest() const {
  if (earliest_known_) return earliest_;
  earliest_ = nullptr;
  for (const Timer* timer : timers_) {
    if (!timer->armed_) continue;
    if (earliest_ == nullptr || timer->deadline_ < earliest_->deadline_ ||
        (timer->deadline_ == earliest_->deadline_ && timer->order_ < earliest_->order_)) {
      earliest_ = timer;
    }
  }
  earliest_known_ = true;
  return earliest_;
}

VirtualTime EventQueue::next_deadline() const {
  const Timer* timer = earliest();
  return timer == nullptr ? kEndOfTime : timer->deadline_;
}

Tick EventQueue::next_tick() const {
  const Timer* timer = earliest();
  return timer == nullptr ? kNever : clock_.tick_of(timer->deadline_);
}

void EventQueue::fire_due() {
  const VirtualTime now = clock_.now();
  // A timer armed again by its own callback for a moment already past waits for the next tick: guest time
  // must advance between two firings, or a zero-period timer would hold the machine here for ever.
  const u64 order_limit = next_order_;
  while (true) {
    Timer* due = nullptr;
    for (Timer* timer : timers_) {
      if (!timer->armed_ || timer->deadline_ > now || timer->order_ >= order_limit) continue;
      if (due == nullptr || timer->deadline_ < due->deadline_ ||
          (timer->deadline_ == due->deadline_ && timer->order_ < due->order_)) {
        due = timer;
      }
    }
    if (due == nullptr) return;
    due->armed_ = false;
    earliest_known_ = false;
    due->callback_();
  }
}

void EventQueue::visit_state(StateVisitor& v) {
  v.begin("timers", 1);
  v.field("next_order", next_order_);
  for (Timer* timer : timers_) {
    v.begin(timer->name_, 1);
    v.field("armed", timer->armed_);
    v.field("deadline", timer->deadline_);
    v.field("order", timer->order_);
    v.end();
  }
  v.end();
  if (v.loading()) earliest_known_ = false;
}

}  // namespace orrery
