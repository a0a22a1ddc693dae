// Moves and conversions: MOV MOVZX MOVSX MOVSXD XCHG CMOVcc SETcc LEA XLAT, CBW CWDE CDQE CWD CDQ CQO,
// LAHF SAHF. MOV to and from segment, control and debug registers: segment.cpp, system.cpp. [SDM2], [APM3 3]
#include "cpu/exec/common.h"
#include "cpu/exec/selectors.h"
#include "cpu/flags.h"

namespace orrery::cpu::exec {
namespace {

template <class T, Form kForm>
Outcome mov(Vcpu& cpu, const Insn& insn) {
  if constexpr (kForm == Form::kRegReg) {
    cpu.set_reg<T>(insn.op[0], cpu.reg<T>(insn.op[1]));
  } else if constexpr (kForm == Form::kRegImm) {
    cpu.set_reg<T>(insn.op[0], static_cast<T>(insn.imm));
  } else if constexpr (kForm == Form::kRegMem) {
    T value;
    if (!cpu.read<T>(insn, value)) return Outcome::kFault;
    cpu.set_reg<T>(insn.op[0], value);
  } else {
    const T value = kForm == Form::kMemReg ? cpu.reg<T>(insn.op[1]) : static_cast<T>(insn.imm);
    if (!cpu.write<T>(insn, value)) return Outcome::kFault;
  }
  return Outcome::kNext;
}
template <class T>
Handler mov_of(Form form) {
  switch (form) {
    case Form::kRegReg:
      return mov<T, Form::kRegReg>;
    case Form::kRegMem:
      return mov<T, Form::kRegMem>;
    case Form::kMemReg:
      return mov<T, Form::kMemReg>;
    case Form::kRegImm:
      return mov<T, Form::kRegImm>;
    case Form::kMemImm:
      return mov<T, Form::kMemImm>;
    default:
      return nullptr;
  }
}

// MOV between the accumulator and a full-width address (A0..A3).
template <class T>
Outcome mov_from_offset(Vcpu& cpu, const Insn& insn) {
  T value;
  if (!cpu.read<T>(insn.segment(), insn.imm & insn.address_mask(), value)) return Outcome::kFault;
  cpu.set_reg<T>(kRax, value);
  return Outcome::kNext;
}
template <class T>
Outcome mov_to_offset(Vcpu& cpu, const Insn& insn) {
  return cpu.write<T>(insn.segment(), insn.imm & insn.address_mask(), cpu.reg<T>(kRax)) ? Outcome::kNext
                                                                                        : Outcome::kFault;
}

template <class To, class From>
Outcome extend(Vcpu& cpu, const Insn& insn) {
  using Source = std::make_unsigned_t<From>;
  Source value;
  if (!read_operand<Source>(cpu, insn, 1, value)) return Outcome::kFault;
  cpu.set_reg<std::make_unsigned_t<To>>(
      insn.op[0], static_cast<std::make_unsigned_t<To>>(static_cast<To>(static_cast<From>(value))));
  return Outcome::kNext;
}

template <class T>
Outcome xchg(Vcpu& cpu, const Insn& insn) {
  // Whichever operand is memory, the other is a register.
  const unsigned memory = insn.mem_at(0) ? 0 : insn.mem_at(1) ? 1 : 2;
  if (memory == 2) {
    const T a = cpu.reg<T>(insn.op[0]);
    const T b = cpu.reg<T>(insn.op[1]);
    cpu.set_reg<T>(insn.op[0], b);
    cpu.set_reg<T>(insn.op[1], a);
    return Outcome::kNext;
  }
  T old;
  WriteTarget target;
  if (!cpu.read_for_write<T>(insn, old, target)) return Outcome::kFault;
  const u8 reg = insn.op[1 - memory];
  cpu.commit<T>(target, cpu.reg<T>(reg));
  cpu.set_reg<T>(reg, old);
  return Outcome::kNext;
}

// The source is read whether or not the condition holds, and a 32-bit destination is zero-extended either
// way.
template <class T, unsigned kCc>
Outcome cmov(Vcpu& cpu, const Insn& insn) {
  T value;
  if (!read_operand<T>(cpu, insn, 1, value)) return Outcome::kFault;
  cpu.set_reg<T>(insn.op[0], condition<kCc>(cpu.state.rflags) ? value : cpu.reg<T>(insn.op[0]));
  return Outcome::kNext;
}
template <unsigned kCc>
Handler cmov_of(const DecodedForm& f) {
  return f.size_bits[0] == 16 ? &cmov<u16, kCc> : f.size_bits[0] == 32 ? &cmov<u32, kCc> : &cmov<u64, kCc>;
}

template <unsigned kCc>
Outcome setcc(Vcpu& cpu, const Insn& insn) {
  return write_operand<u8>(cpu, insn, 0, condition<kCc>(cpu.state.rflags) ? 1 : 0) ? Outcome::kNext
                                                                                   : Outcome::kFault;
}

template <class T>
Outcome lea(Vcpu& cpu, const Insn& insn) {
  cpu.set_reg<T>(insn.op[0], static_cast<T>(cpu.effective_address(insn)));
  return Outcome::kNext;
}

Outcome xlat(Vcpu& cpu, const Insn& insn) {
  u8 value;
  const u64 offset = (cpu.state.gpr[kRbx] + (cpu.state.gpr[kRax] & 0xff)) & insn.address_mask();
  if (!cpu.read<u8>(insn.segment(), offset, value)) return Outcome::kFault;
  cpu.set_reg<u8>(8 * kRax, value);
  return Outcome::kNext;
}

template <class To, class From>
Outcome extend_accumulator(Vcpu& cpu, const Insn&) {
  cpu.set_reg<To>(
      kRax, static_cast<To>(static_cast<std::make_signed_t<From>>(static_cast<From>(cpu.state.gpr[kRax]))));
  return Outcome::kNext;
}
template <class T>
Outcome sign_to_rdx(Vcpu& cpu, const Insn&) {
  const bool negative = (cpu.reg<T>(kRax) & kSignBit<T>) != 0;
  cpu.set_reg<T>(kRdx, negative ? static_cast<T>(~T{0}) : T{0});
  return Outcome::kNext;
}

constexpr u64 kAhFlags = rflags::SF | rflags::ZF | rflags::AF | rflags::PF | rflags::CF;
Outcome lahf(Vcpu& cpu, const Insn&) {
  cpu.set_reg<u8>(1, static_cast<u8>((cpu.state.rflags & kAhFlags) | rflags::kFixed));
  return Outcome::kNext;
}
Outcome sahf(Vcpu& cpu, const Insn&) {
  set_flags(cpu.state, kAhFlags, cpu.reg<u8>(1) & kAhFlags);
  return Outcome::kNext;
}

}  // namespace

Handler select_mov(const Insn& insn, const DecodedForm& f) {
  if (f.kind[0] == OperandKind::kSegment || f.kind[1] == OperandKind::kSegment)
    return select_mov_segment(insn, f);
  if (f.kind[0] == OperandKind::kControl || f.kind[1] == OperandKind::kControl)
    return select_mov_control(insn, f);
  if (f.kind[0] == OperandKind::kDebug || f.kind[1] == OperandKind::kDebug) return select_mov_debug(insn, f);
  if (f.opcode == 0xa0 || f.opcode == 0xa1) return ORRERY_BY_SIZE(f.size_bits[0], mov_from_offset);
  if (f.opcode == 0xa2 || f.opcode == 0xa3) return ORRERY_BY_SIZE(f.size_bits[0], mov_to_offset);
  switch (f.size_bits[0]) {
    case 8:
      return mov_of<u8>(form_of(f));
    case 16:
      return mov_of<u16>(form_of(f));
    case 32:
      return mov_of<u32>(form_of(f));
    case 64:
      return mov_of<u64>(form_of(f));
    default:
      return nullptr;
  }
}
Handler select_movzx(const Insn&, const DecodedForm& f) {
  const bool byte = f.size_bits[1] == 8;
  switch (f.size_bits[0]) {
    case 16:
      return byte ? &extend<u16, u8> : &extend<u16, u16>;
    case 32:
      return byte ? &extend<u32, u8> : &extend<u32, u16>;
    case 64:
      return byte ? &extend<u64, u8> : &extend<u64, u16>;
    default:
      return nullptr;
  }
}
Handler select_movsx(const Insn&, const DecodedForm& f) {
  const bool byte = f.size_bits[1] == 8;
  switch (f.size_bits[0]) {
    case 16:
      return byte ? &extend<i16, i8> : &extend<i16, i16>;
    case 32:
      return byte ? &extend<i32, i8> : &extend<i32, i16>;
    case 64:
      return byte ? &extend<i64, i8> : &extend<i64, i16>;
    default:
      return nullptr;
  }
}
Handler select_movsxd(const Insn&, const DecodedForm& f) {
  // Without REX.W it is a plain move of the operand size [SDM2 MOVSXD].
  if (f.size_bits[0] == 16) return &extend<i16, i32>;  // AMD reads 32 bits of memory all the same
  return f.size_bits[0] == 32 ? &extend<i32, i32> : &extend<i64, i32>;
}
Handler select_xchg(const Insn&, const DecodedForm& f) { return ORRERY_BY_SIZE(f.size_bits[0], xchg); }
Handler select_lea(const Insn&, const DecodedForm& f) { return ORRERY_BY_SIZE_NO8(f.size_bits[0], lea); }
Handler select_xlat(const Insn&, const DecodedForm&) { return xlat; }
Handler select_cbw(const Insn&, const DecodedForm&) { return extend_accumulator<u16, u8>; }
Handler select_cwde(const Insn&, const DecodedForm&) { return extend_accumulator<u32, u16>; }
Handler select_cdqe(const Insn&, const DecodedForm&) { return extend_accumulator<u64, u32>; }
Handler select_cwd(const Insn&, const DecodedForm&) { return sign_to_rdx<u16>; }
Handler select_cdq(const Insn&, const DecodedForm&) { return sign_to_rdx<u32>; }
Handler select_cqo(const Insn&, const DecodedForm&) { return sign_to_rdx<u64>; }
Handler select_lahf(const Insn&, const DecodedForm&) { return lahf; }
Handler select_sahf(const Insn&, const DecodedForm&) { return sahf; }

#define ORRERY_CONDITION(name, cc)                                                        \
  Handler select_cmov##name(const Insn&, const DecodedForm& f) { return cmov_of<cc>(f); } \
  Handler select_set##name(const Insn&, const DecodedForm&) { return setcc<cc>; }
#include "cpu/exec/conditions.inc"
#undef ORRERY_CONDITION

}  // namespace orrery::cpu::exec
