// Decimal adjustment: AAA AAS AAM AAD DAA DAS; SALC. Not in 64-bit mode. [SDM2], [APM3 3]
//
// Undefined flags follow AMD: AAA and AAS set SF, ZF, PF and OF as adding 0x106 to AX (or 0), before its
// digit is isolated; DAA and DAS set OF as the one addition to AL; AAD sets AF, CF and OF as its addition;
// AAM clears them.
#include "cpu/exec/common.h"
#include "cpu/flags.h"

namespace orrery::cpu::exec {
namespace {

using namespace rflags;

template <bool kSubtract>
Outcome ascii_adjust(Vcpu& cpu, const Insn&) {
  const u16 ax = cpu.reg<u16>(kRax);
  const bool adjust = (ax & 15) > 9 || (cpu.state.rflags & AF) != 0;
  const u16 by = adjust ? 0x106 : 0;
  const auto sum = static_cast<u16>(kSubtract ? ax - by : ax + by);
  const u64 flags = kSubtract ? sub_flags(ax, by, sum) : add_flags(ax, by, sum);
  cpu.set_reg<u16>(kRax, sum & 0xff0f);
  set_arithmetic(cpu.state, (flags & ~(AF | CF)) | (adjust ? AF | CF : 0));
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
  const auto by = static_cast<u8>(kSubtract ? old_al - al : al - old_al);
  const u64 flags = kSubtract ? sub_flags(old_al, by, result) : add_flags(old_al, by, result);
  cpu.set_reg<u8>(8 * kRax, result);
  set_arithmetic(cpu.state, (flags & ~(AF | CF)) | (af ? AF : 0) | (cf ? CF : 0));
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
  const auto low = static_cast<u8>(ax), high = static_cast<u8>((ax >> 8) * static_cast<u8>(insn.imm));
  const auto result = static_cast<u8>(low + high);
  cpu.set_reg<u16>(kRax, result);
  set_arithmetic(cpu.state, add_flags(low, high, result));
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
