// GuestRegisters: one vCPU's registers as a debugger sees them, in gdb's order and sizes.
//
// The seam between the gdb stub and cpu/: the stub knows this struct only.
#pragma once

#include "base/types.h"

namespace orrery::cpu {
class Vcpu;
}

namespace orrery::control {

struct GuestRegisters {
  /// rax rbx rcx rdx rsi rdi rbp rsp r8..r15: gdb's order, not the processor's.
  u64 gpr[16] = {};
  u64 rip = 0;
  u32 eflags = 0;
  /// cs ss ds es fs gs, as selectors.
  u32 segment[6] = {};
  /// st(0)..st(7): relative to TOP, in memory format.
  u8 st[8][10] = {};
  /// fctrl fstat ftag fiseg fioff foseg fooff fop; the tag word in its full form.
  u32 x87[8] = {};
  u8 xmm[16][16] = {};
  u32 mxcsr = 0;
  u64 fs_base = 0;
  u64 gs_base = 0;
  u64 k_gs_base = 0;
  u64 cr0 = 0;
  u64 cr2 = 0;
  u64 cr3 = 0;
  u64 cr4 = 0;
  u64 cr8 = 0;
  u64 efer = 0;
};

GuestRegisters read_registers(cpu::Vcpu& cpu);
/// Takes what a debugger may change: general registers, RIP, the harmless bits of RFLAGS, x87 and SSE state,
/// and the FS and GS bases. Selectors and control registers stay: changing them means more than storing a
/// value.
void write_registers(cpu::Vcpu& cpu, const GuestRegisters& registers);

}  // namespace orrery::control
