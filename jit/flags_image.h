// FlagsImage: the guest's arithmetic flags while translated code runs, in TranslatorSlots: as LAHF and SETO
// leave them, or, since hardly anybody looks at them, as the operands of what set them last.
//
//   byte 0   0 or 1: OF, and byte 1 is SF ZF AF PF CF as LAHF leaves them; else the code of a deferred
//            operation on flags_operands, its top bit set if bytes 2 and 3 are the second one, sign-extended
//   byte 5   1: CF and OF are byte 4's bit 0 instead (a multiplication has come, which changes only those)
#pragma once

#include <bit>

#include "cpu/vcpu.h"

namespace orrery::jit {

/// What the flags are those of. `a` and `b` are the operands.
enum class DeferredFlags : u8 {
  kResult,   // any logic instruction with the result a, or a SUB with the result 0
  kTest,     // TEST a, b
  kCompare,  // CMP a, b
  kAdd,      // an ADD of b with the result a
  kSub,      // a SUB of b with the result a
  kNeg,      // a NEG with the result a
  kShl,      // SHL a, b; b is masked, and not 0
  kShr,      // likewise
  kSar,
};
inline constexpr unsigned kDeferredFlags = 9;

namespace flags_image {
inline constexpr u8 kFirstCode = 2, kShortOperand = 0x80;
inline constexpr unsigned kOperandShift = 16;
inline constexpr i32 kOverflow = 4, kHasOverflow = 5;  // bytes
constexpr u8 code_of(DeferredFlags what, unsigned bytes) {
  return static_cast<u8>(kFirstCode + 4 * static_cast<unsigned>(what) +
                         static_cast<unsigned>(std::countr_zero(bytes)));
}
/// Flags as LAHF and SETO leave them.
constexpr u64 of_flags(u64 flags) {
  return ((flags >> 11) & 1) | ((flags & (cpu::rflags::kArithmetic & ~cpu::rflags::OF)) << 8);
}
/// The arithmetic flags.
u64 flags(const cpu::Vcpu::TranslatorSlots& slots);
}  // namespace flags_image

}  // namespace orrery::jit
