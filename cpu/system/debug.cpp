#include "cpu/system/debug.h"

#include "base/bits.h"

namespace orrery::cpu {
namespace {

/// R/W field of DR7.
enum : u64 { kExecution = 0, kDataWrite = 1, kPort = 2, kDataReadWrite = 3 };

bool enabled(const CpuState& s, unsigned i) { return bits(s.dr7, 2 * i + 1, 2 * i) != 0; }
u64 type_of(const CpuState& s, unsigned i) { return bits(s.dr7, 17 + 4 * i, 16 + 4 * i); }

/// DR6 bits of the enabled breakpoints of wanted types that overlap [start, start + size). A breakpoint is
/// aligned to its length.
template <class Wanted>
u32 overlapping(const CpuState& s, u64 start, u64 size, Wanted wanted) {
  static constexpr u64 kLengths[4] = {1, 2, 8, 4};
  u32 hit = 0;
  for (unsigned i = 0; i < 4; ++i) {
    if (!enabled(s, i) || !wanted(type_of(s, i))) continue;
    const u64 length = kLengths[bits(s.dr7, 19 + 4 * i, 18 + 4 * i)];
    const u64 first = align_down(s.dr[i], length);
    if (first < start + size && first + length > start) hit |= static_cast<u32>(dr6::B0 << i);
  }
  return hit;
}

}  // namespace

u32 code_breakpoints(const CpuState& s, u64 linear) {
  u32 hit = 0;
  for (unsigned i = 0; i < 4; ++i) {
    if (enabled(s, i) && type_of(s, i) == kExecution && s.dr[i] == linear)
      hit |= static_cast<u32>(dr6::B0 << i);
  }
  return hit;
}

u32 data_breakpoints(const CpuState& s, u64 linear, u64 size, Access access) {
  return overlapping(s, linear, size, [access](u64 type) {
    return type == kDataReadWrite || (type == kDataWrite && access == Access::kWrite);
  });
}

u32 port_breakpoints(const CpuState& s, u16 port, unsigned size) {
  if ((s.cr4 & cr4::DE) == 0) return 0;
  return overlapping(s, port, size, [](u64 type) { return type == kPort; });
}

}  // namespace orrery::cpu
