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

}  // namespace orrery::cpu::exec
