// The stack that a more privileged ring gets from the TSS, for gates of the IDT, GDT and LDT, and frames
// written to it. [SDM3 5.8.5], [APM2 4.10.2]
#pragma once

#include <span>

#include "cpu/vcpu.h"

namespace orrery::cpu {

struct InnerStack {
  Segment ss;
  u64 sp = 0;
};

/// Reads ring `cpl`'s stack out of a 16- or 32-bit TSS and checks it as the manual says: #TS with the TSS's
/// or the stack's selector, #SS(stack) if it is not present. `ext` is the error codes' EXT bit.
bool read_inner_stack(Vcpu& cpu, unsigned cpl, u32 ext, InnerStack& out);

/// The stack pointer of ring `cpl` (or of `ist`, if not 0) in a 64-bit TSS; #TS(TSS) if it does not reach so
/// far.
bool read_inner_stack_64(Vcpu& cpu, unsigned cpl, unsigned ist, u32 ext, u64& out);

/// Whether `words` words fit below `stack.sp`; #SS(`stack_error`) if they don't.
template <class T>
bool check_room(Vcpu& cpu, unsigned cpl, size_t words, u32 stack_error, const InnerStack& stack);

/// Writes `words` below `stack.sp`, the last one highest, with ring `cpl`'s rights, and lowers `stack.sp`.
/// The vCPU's own state stays as it is. A violation of the stack's limits raises #SS(`stack_error`).
template <class T>
bool push_inner_frame(Vcpu& cpu, unsigned cpl, std::span<const T> words, u32 stack_error, InnerStack& stack);

/// The same for a gate of long mode: eight-byte words below `sp`, as linear addresses.
bool push_frame_64(Vcpu& cpu, unsigned cpl, std::span<const u64> words, u32 stack_error, u64& sp);

}  // namespace orrery::cpu
