// The hardware task switch of legacy protected mode: 16- and 32-bit TSS, by JMP, CALL, IRET and through task
// gates. [SDM3 7.2, 7.3], [APM2 12.3]
//
// Not modelled: what processors leave half done when the new task's state faults; here the switch is complete
// up to the register that faulted, and the exception is the new task's.
#pragma once

#include "cpu/system/descriptor.h"

namespace orrery::cpu {

enum class TaskSwitchCause : u8 { kJmp, kCall, kIret, kEvent };

enum class TaskSwitch : u8 {
  kDone,
  kFault,        // in the old task: nothing has changed but Accessed bits
  kFaultInside,  // the new task runs (CS:EIP are its own), and its first instruction finds this fault waiting
};

/// The TSS that `selector` names. Raises `vector`(selector | ext) if the selector is local or outside the
/// GDT, or if it names no TSS of the wanted state (busy for IRET, else available); #NP if it is absent. No
/// privilege checks.
bool find_tss(Vcpu& cpu, u16 selector, bool busy, Vector vector, u32 ext, Descriptor& out);

/// Leaves the current task, whose RIP is where it will go on, for the one of `tss`, a descriptor by
/// `find_tss`. `error_code`, of an exception that came through a task gate, goes onto the new task's stack.
TaskSwitch switch_task(Vcpu& cpu, u16 selector, Descriptor tss, TaskSwitchCause cause, u32 ext,
                       std::optional<u32> error_code = std::nullopt);

}  // namespace orrery::cpu
