// The frame of SSE and AVX floating-point instructions: environment from MXCSR, flags of all lanes, #XM.
// [SDM1 11.5]
//
// Every lane is computed; if an unmasked exception was found before computing (IE, DE, ZE) in any lane, those
// found after it (OE, UE, PE) are not reported. The destination changes only if nothing is unmasked. Not
// modelled: nothing.
#pragma once

#include "cpu/exec/simd_operands.h"
#include "cpu/fp/compare.h"
#include "cpu/fp/convert.h"

namespace orrery::cpu::exec {

/// An fp environment that gathers flags over the lanes of one instruction.
class SseFloat {
 public:
  explicit SseFloat(const Vcpu& cpu) {
    const u32 m = cpu.state.mxcsr;
    env.rounding = static_cast<fp::Rounding>((m >> 13) & 3);
    env.daz = (m & mxcsr::DAZ) != 0;
    env.unmasked = static_cast<u8>(~(m >> 7) & 0x3f);
    env.ftz = (m & mxcsr::FZ) != 0 && (env.unmasked & fp::flag::UE) == 0;
  }
  /// Puts the flags into MXCSR. False: an exception is raised and the destination must stay.
  bool finish(Vcpu& cpu) {
    u8 flags = env.flags;
    if (flags == 0) return true;
    if ((flags & env.unmasked & fp::flag::kBefore) != 0) flags &= fp::flag::kBefore;
    cpu.state.mxcsr |= flags;
    if ((flags & env.unmasked) == 0) [[likely]]
      return true;
    cpu.raise((cpu.state.cr4 & cr4::OSXMMEXCPT) != 0 ? kXM : kUD);
    return false;
  }
  fp::Environment env;
};

/// Reads the last source, of which memory holds the low kLanes lanes of F only; fewer than all need no
/// alignment.
template <class X, class F, unsigned kLanes>
inline bool float_source(Vcpu& cpu, const Insn& insn, typename X::Value& out) {
  return X::template last_low<kLanes * sizeof(typename F::Storage)>(cpu, insn, out);
}

}  // namespace orrery::cpu::exec
