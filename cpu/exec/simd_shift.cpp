// Packed shifts: by an immediate, by a register's low 64 bits, and of the whole register by bytes. [SDM2
// PSLLW ...]
//
// Counts of the lane's width and more give zeros, or copies of the sign.
// Not modelled: nothing.
#include "cpu/exec/simd_operands.h"

namespace orrery::cpu::exec {
namespace {

enum class Shift : u8 { kLeft, kRight, kArithmetic };

template <class T, Shift kKind, class V>
V shifted(const V& a, u64 count) {
  V out;
  constexpr u64 kBits = sizeof(T) * 8;
  for (unsigned i = 0; i < sizeof(V) / sizeof(T); ++i) {
    const T lane = a.template at<T>(i);
    if constexpr (kKind == Shift::kArithmetic) {
      using S = std::make_signed_t<T>;
      out.template at<T>(i) = static_cast<T>(static_cast<S>(lane) >> std::min<u64>(count, kBits - 1));
    } else if (count >= kBits) {
      out.template at<T>(i) = 0;
    } else {
      out.template at<T>(i) = static_cast<T>(kKind == Shift::kLeft ? lane << count : lane >> count);
    }
  }
  return out;
}

template <class R, class T, Shift kKind, bool kMem>
Outcome shift_by_source(Vcpu& cpu, const Insn& insn) {
  // Only the low quadword of the source is read, though its alignment is that of a whole one.
  typename R::Value count{};
  if (!R::ready(cpu)) return Outcome::kFault;
  if constexpr (kMem) {
    const bool check = R::kBytes == 16 && (cpu.state.mxcsr & mxcsr::MM) == 0;
    if ((check && !cpu.check_aligned(insn, 16)) || !cpu.read(insn, count.q[0])) return Outcome::kFault;
  } else {
    count = R::get(cpu, insn.op[1]);
  }
  R::set(cpu, insn.op[0], shifted<T, kKind>(R::get(cpu, insn.op[0]), count.q[0]));
  return Outcome::kNext;
}
template <class R, class T, Shift kKind>
Outcome shift_by_immediate(Vcpu& cpu, const Insn& insn) {
  if (!R::ready(cpu)) return Outcome::kFault;
  R::set(cpu, insn.op[0], shifted<T, kKind>(R::get(cpu, insn.op[0]), static_cast<u8>(insn.imm)));
  return Outcome::kNext;
}

template <class R, class T, Shift kKind>
Handler shift_in(const DecodedForm& f) {
  if (f.kind[1] == OperandKind::kImm) return &shift_by_immediate<R, T, kKind>;
  return f.kind[1] == OperandKind::kMem ? &shift_by_source<R, T, kKind, true>
                                        : &shift_by_source<R, T, kKind, false>;
}
template <class T, Shift kKind>
Handler shift_form(const DecodedForm& f) {
  return f.kind[0] == OperandKind::kMmx ? shift_in<Mmx, T, kKind>(f) : shift_in<Xmm, T, kKind>(f);
}

template <bool kLeft>
Outcome shift_bytes(Vcpu& cpu, const Insn& insn) {
  const unsigned count = std::min<unsigned>(static_cast<u8>(insn.imm), 16);
  const Lanes<16> a = Xmm::get(cpu, insn.op[0]);
  Lanes<16> out{};
  for (unsigned i = count; i < 16; ++i) {
    if (kLeft)
      out.b[i] = a.b[i - count];
    else
      out.b[i - count] = a.b[i];
  }
  Xmm::set(cpu, insn.op[0], out);
  return Outcome::kNext;
}

}  // namespace

#define SHIFT(name, type, kind) \
  Handler select_##name(const Insn&, const DecodedForm& f) { return shift_form<type, Shift::kind>(f); }
SHIFT(psllw, u16, kLeft)
SHIFT(pslld, u32, kLeft)
SHIFT(psllq, u64, kLeft)
SHIFT(psrlw, u16, kRight)
SHIFT(psrld, u32, kRight)
SHIFT(psrlq, u64, kRight)
SHIFT(psraw, u16, kArithmetic)
SHIFT(psrad, u32, kArithmetic)

Handler select_pslldq(const Insn&, const DecodedForm&) { return &shift_bytes<true>; }
Handler select_psrldq(const Insn&, const DecodedForm&) { return &shift_bytes<false>; }

}  // namespace orrery::cpu::exec
