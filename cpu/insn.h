// Insn: one decoded instruction, 32 bytes; and the table row that it belongs to.
#pragma once

#include "base/bits.h"
#include "cpu/outcome.h"

namespace orrery::cpu {

class Vcpu;
struct Insn;

using Handler = Outcome (*)(Vcpu&, const Insn&);

/// What Insn::op[] holds for operands that are not registers.
inline constexpr u8 kMemOperand = 0xfe;
inline constexpr u8 kImmOperand = 0xff;
inline constexpr u8 kNoOperand = 0xfd;

namespace insn_flag {
inline constexpr u8 kLock = 1, kRep = 2, kRepne = 4, kOperandSizePrefix = 8, kRexW = 16, kVex = 32,
                    kBranchTarget = 64, kAddress32 = 128;
}

/// Explicit operands stand in op[] in the manual's order (destination first):
///  - 16/32/64-bit general register: its number 0..15;
///  - 8-bit general register: the byte's offset in CpuState::gpr (AH is 1, CL is 8, R8B is 64);
///  - vector, MMX, x87, segment, control, debug register: its number;
///  - kMemOperand / kImmOperand: see the address fields / `imm`.
struct Insn {
  Handler handler;
  u64 imm;  // immediate, sign-extended to 64 bits; branch displacement; moffs address; ptr16:N as
            // selector<<32|offset; a second immediate stands in bits 32 and up (ENTER: level; EXTRQ, INSERTQ:
            // index)
  i32 disp;   // of the memory operand
  u16 row;    // index of the table row
  u8 length;  // bytes
  u8 flags;   // insn_flag
  u8 op[4];
  u8 base;   // gpr number, kZeroRegister or kRip
  u8 index;  // gpr number or kZeroRegister; vector number for VSIB
  u8 mem;    // bits 0-1 log2(scale), 2-4 SegmentIndex, 5-6 log2(address bytes), 7 segment overridden
  u8 size;   // bits 0-1 log2(operand bytes), 2-3 vector length (0: 128, 1: 256), 4-5 log2(stack width bytes)

  unsigned scale_shift() const { return mem & 3u; }
  SegmentIndex segment() const { return static_cast<SegmentIndex>((mem >> 2) & 7u); }
  unsigned address_log2() const { return (mem >> 5) & 3u; }
  u64 address_mask() const { return low_mask(8u << address_log2()); }
  unsigned operand_log2() const { return size & 3u; }
  unsigned operand_bytes() const { return 1u << (size & 3u); }
  bool vector_256() const { return ((size >> 2) & 3u) == 1; }
  unsigned stack_log2() const { return (size >> 4) & 3u; }
  bool has(u8 flag) const { return (flags & flag) != 0; }
  bool mem_at(unsigned n) const { return op[n] == kMemOperand; }
};
static_assert(sizeof(Insn) == 32);

enum class OperandKind : u8 {
  kNone,
  kGpr,
  kMem,
  kImm,
  kVector,
  kMmx,
  kX87,
  kSegment,
  kControl,
  kDebug,
  kFarPointer,
  kMask
};

/// What a row's selector sees when it chooses the handler; gone after decoding.
struct DecodedForm {
  u8 operand_count = 0;  // explicit ones
  OperandKind kind[4] = {};
  u16 size_bits[4] = {};  // of each operand (a memory operand's access width)
  u8 mode_bits = 64;      // 16, 32 or 64: the code segment's
  u8 opcode = 0;          // the last opcode byte
  u8 modrm = 0;
};

/// Chooses the handler for a decoded form, or null when the form does not exist (#UD).
using Selector = Handler (*)(const Insn&, const DecodedForm&);

/// A selector for rows whose every form has one handler.
template <Handler H>
Handler always(const Insn&, const DecodedForm&) {
  return H;
}

}  // namespace orrery::cpu
