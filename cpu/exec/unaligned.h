// Accesses of which no alignment is ever required, not even by RFLAGS.AC: elements of masked vectors and
// gathers, registers of x87 states. [APM2 8.2.18]
#pragma once

#include "cpu/vcpu.h"

namespace orrery::cpu::exec {

/// Whether the whole operand lies in its segment, where what follows looks at single bytes.
template <class T>
bool within_segment(Vcpu& cpu, SegmentIndex segment, u64 offset, Access access) {
  u64 linear = offset + cpu.segment_base(segment);
  if (!cpu.long64()) return cpu.segment_linear(segment, offset, sizeof(T), access, linear);
  if (cpu.canonical(linear) && cpu.canonical(linear + sizeof(T) - 1)) return true;
  cpu.raise(segment == kSs ? kSS_ : kGP, 0);
  return false;
}

template <class T>
bool read_unaligned(Vcpu& cpu, SegmentIndex segment, u64 offset, T& out) {
  if (!cpu.alignment_checked()) [[likely]]
    return cpu.read(segment, offset, out);
  if (!within_segment<T>(cpu, segment, offset, Access::kRead)) return false;
  u8 bytes[sizeof(T)];
  for (unsigned i = 0; i < sizeof(T); ++i) {
    if (!cpu.read(segment, offset + i, bytes[i])) return false;
  }
  __builtin_memcpy(&out, bytes, sizeof(T));
  return true;
}
template <class T>
bool probe_unaligned(Vcpu& cpu, SegmentIndex segment, u64 offset) {
  if (!cpu.alignment_checked()) [[likely]]
    return cpu.probe_write(segment, offset, sizeof(T));
  if (!within_segment<T>(cpu, segment, offset, Access::kWrite)) return false;
  for (unsigned i = 0; i < sizeof(T); ++i) {
    if (!cpu.probe_write(segment, offset + i, 1)) return false;
  }
  return true;
}
template <class T>
bool write_unaligned(Vcpu& cpu, SegmentIndex segment, u64 offset, T value) {
  if (!cpu.alignment_checked()) [[likely]]
    return cpu.write(segment, offset, value);
  if (!probe_unaligned<T>(cpu, segment, offset)) return false;
  for (unsigned i = 0; i < sizeof(T); ++i) {
    if (!cpu.write(segment, offset + i, static_cast<u8>(value >> (8 * i)))) return false;
  }
  return true;
}

}  // namespace orrery::cpu::exec
