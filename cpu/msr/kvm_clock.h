// kvmclock: the paravirtual clock that Linux prefers under a KVM signature. [Linux
// Documentation/virt/kvm/x86/msr.rst]
#pragma once

#include "cpu/vcpu.h"

namespace orrery::cpu {

inline constexpr u32 kMsrKvmWallClockOld = 0x11, kMsrKvmSystemTimeOld = 0x12, kMsrKvmWallClock = 0x4b564d00,
                     kMsrKvmSystemTime = 0x4b564d01;

/// Writes the wall-clock structure {version, seconds, nanoseconds} at power-on to the guest's memory.
void write_kvm_wall_clock(Vcpu& cpu, u64 address);
/// Enables (bit 0) the per-CPU time structure at `value` & ~1 and fills it. The TSC runs at an exact rate of
/// virtual time, so the structure never needs an update until the rate of the guest's TSC offset changes.
void write_kvm_system_time(Vcpu& cpu, u64 value);

}  // namespace orrery::cpu
