// The layout of FXSAVE and XSAVE areas, and which components are in use. CPUID leaf 0DH must agree with this.
// [SDM1 10.5, 13.4], [APM1 4.4.4], [APM3 E.4.13]
//
// A component is in use iff it differs from its initial value, on every host.
// Not modelled: components but x87, SSE, AVX and PKRU; supervisor components (XSS must be 0).
#pragma once

#include "cpu/vcpu.h"

namespace orrery::cpu::exec::xsave {

inline constexpr unsigned kLegacyBytes = 512, kHeaderBytes = 64;
inline constexpr unsigned kAvxOffset = 576, kAvxBytes = 256;
inline constexpr unsigned kPkruOffset = 2688, kPkruBytes = 8;
inline constexpr unsigned kMaxBytes = kPkruOffset + kPkruBytes;

/// The XCR0 bits that `model` has.
inline u64 supported(const CpuModel& model) {
  u64 bits = xcr0::X87 | xcr0::SSE;
  if (model.has(isa::Feature::kAvx)) bits |= xcr0::AVX;
  if (model.has(isa::Feature::kPku)) bits |= xcr0::PKRU;
  return bits;
}
/// Whether XSETBV takes `value`. [SDM2 XSETBV]
inline bool valid_xcr0(const CpuModel& model, u64 value) {
  if ((value & xcr0::X87) == 0 || (value & ~supported(model)) != 0) return false;
  return (value & xcr0::AVX) == 0 || (value & xcr0::SSE) != 0;
}
/// Bytes of a standard-format area for the components in `bits`.
inline unsigned standard_bytes(u64 bits) {
  if ((bits & xcr0::PKRU) != 0) return kPkruOffset + kPkruBytes;
  return (bits & xcr0::AVX) != 0 ? kAvxOffset + kAvxBytes : kLegacyBytes + kHeaderBytes;
}
/// Bytes of a compacted area for the components in `bits`.
inline unsigned compacted_bytes(u64 bits) {
  return kLegacyBytes + kHeaderBytes + ((bits & xcr0::AVX) != 0 ? kAvxBytes : 0) +
         ((bits & xcr0::PKRU) != 0 ? kPkruBytes : 0);
}
/// XINUSE.
u64 in_use(const CpuState& s);

}  // namespace orrery::cpu::exec::xsave
