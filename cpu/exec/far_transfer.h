// What far jumps, calls and returns share.
#pragma once

#include "cpu/system/descriptor.h"
#include "cpu/system/task_switch.h"

namespace orrery::cpu::exec {

/// Whether selectors name descriptors: protected mode, not virtual-8086.
inline bool segmented(const Vcpu& cpu) { return cpu.protected_mode() && !cpu.vm86(); }

/// #GP(0) unless `offset` is canonical (64-bit code) or within the code segment.
inline bool check_offset(Vcpu& cpu, const Descriptor& d, u64 offset) {
  const bool to_long = cpu.long_mode() && d.is_long();
  if (to_long ? cpu.canonical(offset) : offset <= d.limit()) return true;
  cpu.raise(kGP, 0);
  return false;
}

/// Switches tasks for an instruction; a fault inside the new task is delivered there.
Outcome transfer_to_task(Vcpu& cpu, u16 selector, const Descriptor& tss, TaskSwitchCause cause);

}  // namespace orrery::cpu::exec
