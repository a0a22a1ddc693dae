// The stack of the current mode: widths, PUSH and POP as other instructions use them. [SDM1 6.2]
#pragma once

#include "cpu/vcpu.h"

namespace orrery::cpu::exec {

/// Bits of RSP that address the stack: 64, or SS.B's choice.
inline u64 stack_mask(const Vcpu& cpu) {
  if (cpu.long64()) return ~u64{0};
  return (cpu.state.seg[kSs].attributes & seg_attr::kDb) != 0 ? 0xffffffffu : 0xffffu;
}

inline void set_stack_pointer(Vcpu& cpu, u64 value, u64 mask) {
  u64& rsp = cpu.state.gpr[kRsp];
  rsp = mask == 0xffff ? (rsp & ~mask) | (value & mask) : value & mask;
}

/// Writes below the stack pointer and lowers it; on a fault nothing has changed.
template <class T>
bool push(Vcpu& cpu, T value) {
  const u64 mask = stack_mask(cpu);
  const u64 sp = (cpu.state.gpr[kRsp] - sizeof(T)) & mask;
  if (!cpu.write<T>(kSs, sp, value)) return false;
  set_stack_pointer(cpu, sp, mask);
  return true;
}

/// Reads `at` bytes above the top without popping.
template <class T>
bool peek(Vcpu& cpu, u64 at, T& value) {
  return cpu.read<T>(kSs, (cpu.state.gpr[kRsp] + at) & stack_mask(cpu), value);
}

inline void drop(Vcpu& cpu, u64 bytes) {
  set_stack_pointer(cpu, cpu.state.gpr[kRsp] + bytes, stack_mask(cpu));
}

// ---- Virtual-8086 extensions: POPF and IRET with IOPL below 3 and CR4.VME [SDM3 20.3.3, table 20-2] ----

/// #GP(0) for an image that would set TF, or IF while an interrupt is pending for the monitor.
inline bool virtual_interrupt_flag_allowed(Vcpu& cpu, u64 image) {
  using namespace rflags;
  if ((image & TF) == 0 && ((image & IF) == 0 || (cpu.state.rflags & VIP) == 0)) return true;
  cpu.raise(kGP, 0);
  return false;
}
/// The flags after loading a 16-bit image whose IF goes to VIF; IF and IOPL stay.
inline u64 with_virtual_interrupt_flag(u64 flags, u64 image) {
  using namespace rflags;
  constexpr u64 mask = kArithmetic | TF | DF | NT | VIF;
  return (flags & ~mask) | (image & mask & ~VIF) | ((image & IF) != 0 ? VIF : 0) | kFixed;
}
/// The 16-bit image that PUSHF and INT n push there: VIF in IF's place, IOPL 3.
inline u64 virtual_flags_image(u64 flags) {
  using namespace rflags;
  return (flags & ~IF) | ((flags & VIF) != 0 ? IF : 0) | IOPL;
}

}  // namespace orrery::cpu::exec
