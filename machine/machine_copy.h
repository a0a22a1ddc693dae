// MachineCopy: a machine's whole state at one tick, in this process: the state visitors' bytes and an image
// of RAM. Machines of the same configuration can be put there, and go on alike.
#pragma once

#include <vector>

#include "base/host_memory.h"
#include "machine/virtual_machine.h"

namespace orrery::machine {

class MachineCopy {
 public:
  /// For machines with so much RAM.
  static Result<MachineCopy> create(u64 memory_bytes);

  /// Between two runs of `vm`. `inputs`: how many have been delivered to it so far.
  void save(VirtualMachine& vm, size_t inputs);
  /// Between two runs of `vm`, which replays the inputs from there on. What its engine has cached stays where
  /// memory does not change.
  Result<> restore(VirtualMachine& vm) const;
  Tick tick() const { return tick_; }
  size_t inputs() const { return inputs_; }

 private:
  explicit MachineCopy(HostMemory ram) : ram_(std::move(ram)) {}
  HostMemory ram_;
  std::vector<u8> state_;
  Tick tick_ = 0;
  size_t inputs_ = 0;
};

/// Calls `each(offset, bytes)` for the pages that either memory has got from the host.
template <class Memory, class OtherMemory, class Each>
void for_populated(const Memory& a, const OtherMemory& b, Each each) {
  for (const auto& [start, size] : a.populated_ranges()) each(start, size);
  for (const auto& [start, size] : b.populated_ranges()) each(start, size);
}

}  // namespace orrery::machine
