// Decimal adjustment: AAA AAS AAM AAD DAA DAS; SALC. Not in 64-bit mode. [SDM2], [APM3 3]
//
// Undefined flags follow AMD: AAA and AAS compute SF, ZF, PF from the new AL and clear OF; DAA and DAS clear
// OF; AAM and AAD clear OF, AF and CF.
#include "cpu/exec/common.h"
#include "cpu/flags.h"

namespace orrery::cpu::exec {
namespace {

using namespace rflags;

template <bool kSubtract>
Outcome ascii_adjust(Vcpu& cpu, const Insn&) {
  u16 ax = cpu.reg<u16>(kRax);
  const bool adjust = (ax & 15) > 9 || (cpu.state.rflags & AF) != 0;
  if (adjust) ax = static_cast<u16>(kSubtract ? ax - 0x106 : ax + 0x106);
  ax &= 0xff0f;
  cpu.set_reg<u16>(kRax, ax);
  set_arithmetic(cpu.state, zsp_flags(static_cast<u8>(ax)) | (adjust ? AF | CF : 0));
  return Outcome::kNext;
}

template <bool kSubtract>
Outcome decimal_adjust(Vcpu& cpu, const Insn&) {
  const u8 old_al = cpu.reg<u8>(8 * kRax);
  const bool old_cf = (cpu.state.rflags & CF) != 0;
  int al = old_al;
  bool af = false;
  bool cf = false;
  if ((old_al & 15) > 9 || (cpu.state.rflags & AF) != 0) {
    al = kSubtract ? al - 6 : al + 6;
    cf = old_cf || (kSubtract ? old_al < 6 : al > 0xff);
    af = true;
  }
  if (old_al > 0x99 || old_cf) {
    al = kSubtract ? al - 0x60 : al + 0x60;
    cf = true;
  } else if (!kSubtract) {
    cf = false;
  }
  const auto result = static_cast<u8>(al);
  cpu.set_reg<u8>(8 * kRax, result);
  set_arithmetic(cpu.state, zsp_flags(result) | (af ? AF : 0) | (cf ? CF : 0));
  return Outcome::kNext;
}

Outcome aam(Vcpu& cpu, const Insn& insn) {
  const u8 base = static_cast<u8>(insn.imm);
  if (base == 0) return cpu.raise(kDE);
  const u8 al = cpu.reg<u8>(8 * kRax);
  const u8 low = al % base;
  cpu.set_reg<u16>(kRax, static_cast<u16>(((al / base) << 8) | low));
  set_arithmetic(cpu.state, zsp_flags(low));
  return Outcome::kNext;
}
Outcome aad(Vcpu& cpu, const Insn& insn) {
  const u16 ax = cpu.reg<u16>(kRax);
  const auto result = static_cast<u8>((ax & 0xff) + (ax >> 8) * static_cast<u8>(insn.imm));
  cpu.set_reg<u16>(kRax, result);
  set_arithmetic(cpu.state, zsp_flags(result));
  return Outcome::kNext;
}
Outcome salc(Vcpu& cpu, const Insn&) {
  cpu.set_reg<u8>(8 * kRax, (cpu.state.rflags & CF) != 0 ? 0xff : 0);
  return Outcome::kNext;
}

}  // namespace

Handler select_aaa(const Insn&, const DecodedForm&) { return ascii_adjust<false>; }
Handler select_aas(const Insn&, const DecodedForm&) { return ascii_adjust<true>; }
Handler select_daa(const Insn&, const DecodedForm&) { return decimal_adjust<false>; }
Handler select_das(const Insn&, const DecodedForm&) { return decimal_adjust<true>; }
Handler select_aam(const Insn&, const DecodedForm&) { return aam; }
Handler select_aad(const Insn&, const DecodedForm&) { return aad; }
Handler select_salc(const Insn&, const DecodedForm&) { return salc; }

}  // namespace orrery::cpu::exec
