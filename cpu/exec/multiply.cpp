// MUL IMUL MULX DIV IDIV. [SDM2], [APM3 3]
//
// Undefined flags of multiplication follow AMD's Zen: SF, ZF, AF and PF keep their values (Zen leaves them
// alone); division sets AF, clears SF, ZF and PF, and leaves CF and OF alone.
#include "cpu/exec/common.h"
#include "cpu/flags.h"

namespace orrery::cpu::exec {
namespace {

using namespace rflags;

template <class T>
struct Wide;
template <>
struct Wide<u8> {
  using U = u16;
  using S = i16;
};
template <>
struct Wide<u16> {
  using U = u32;
  using S = i32;
};
template <>
struct Wide<u32> {
  using U = u64;
  using S = i64;
};
template <>
struct Wide<u64> {
  using U = u128;
  using S = i128;
};
template <class T>
using Unsigned2 = typename Wide<T>::U;
template <class T>
using Signed2 = typename Wide<T>::S;
template <class T>
using Signed1 = std::make_signed_t<T>;

/// rDX:rAX (AH:AL for bytes).
template <class T>
Unsigned2<T> accumulator_pair(Vcpu& cpu) {
  if constexpr (sizeof(T) == 1) {
    return cpu.reg<u16>(kRax);
  } else {
    return static_cast<Unsigned2<T>>((static_cast<Unsigned2<T>>(cpu.reg<T>(kRdx)) << kBitsOf<T>) |
                                     cpu.reg<T>(kRax));
  }
}
template <class T>
void set_accumulator_pair(Vcpu& cpu, T low, T high) {
  if constexpr (sizeof(T) == 1) {
    cpu.set_reg<u16>(kRax, static_cast<u16>(low | (high << 8)));
  } else {
    cpu.set_reg<T>(kRax, low);
    cpu.set_reg<T>(kRdx, high);
  }
}

void set_overflow(CpuState& s, bool overflow) { set_flags(s, CF | OF, overflow ? CF | OF : 0); }

template <class T>
Outcome mul(Vcpu& cpu, const Insn& insn) {
  T b;
  if (!read_operand<T>(cpu, insn, 0, b)) return Outcome::kFault;
  const auto product = static_cast<Unsigned2<T>>(static_cast<Unsigned2<T>>(cpu.reg<T>(kRax)) * b);
  const T high = static_cast<T>(product >> kBitsOf<T>);
  set_accumulator_pair<T>(cpu, static_cast<T>(product), high);
  set_overflow(cpu.state, high != 0);
  return Outcome::kNext;
}

template <class T>
Outcome imul1(Vcpu& cpu, const Insn& insn) {
  T b;
  if (!read_operand<T>(cpu, insn, 0, b)) return Outcome::kFault;
  const auto product = static_cast<Signed2<T>>(
      static_cast<Signed2<T>>(static_cast<Signed1<T>>(cpu.reg<T>(kRax))) * static_cast<Signed1<T>>(b));
  const T low = static_cast<T>(product);
  set_accumulator_pair<T>(cpu, low, static_cast<T>(product >> kBitsOf<T>));
  set_overflow(cpu.state, product != static_cast<Signed1<T>>(low));
  return Outcome::kNext;
}

// Two operands: r *= r/m. Three: r = r/m * imm.
template <class T>
Outcome imul(Vcpu& cpu, const Insn& insn) {
  T b;
  if (!read_operand<T>(cpu, insn, 1, b)) return Outcome::kFault;
  const T a = insn.op[2] == kImmOperand ? static_cast<T>(insn.imm) : cpu.reg<T>(insn.op[0]);
  const auto product = static_cast<Signed2<T>>(static_cast<Signed2<T>>(static_cast<Signed1<T>>(a)) *
                                               static_cast<Signed1<T>>(b));
  const T low = static_cast<T>(product);
  cpu.set_reg<T>(insn.op[0], low);
  set_overflow(cpu.state, product != static_cast<Signed1<T>>(low));
  return Outcome::kNext;
}

// The flags of our profile after a division.
void divided(Vcpu& cpu) {
  using namespace rflags;
  set_flags(cpu.state, SF | ZF | AF | PF, AF);
}

template <class T>
Outcome div(Vcpu& cpu, const Insn& insn) {
  T divisor;
  if (!read_operand<T>(cpu, insn, 0, divisor)) return Outcome::kFault;
  if (divisor == 0) return cpu.raise(kDE);
  const Unsigned2<T> dividend = accumulator_pair<T>(cpu);
  // The quotient fits exactly when the high half is below the divisor.
  if (static_cast<T>(dividend >> kBitsOf<T>) >= divisor) return cpu.raise(kDE);
  set_accumulator_pair<T>(cpu, static_cast<T>(dividend / divisor), static_cast<T>(dividend % divisor));
  divided(cpu);
  return Outcome::kNext;
}

template <class T>
Outcome idiv(Vcpu& cpu, const Insn& insn) {
  T operand;
  if (!read_operand<T>(cpu, insn, 0, operand)) return Outcome::kFault;
  if (operand == 0) return cpu.raise(kDE);
  const auto divisor = static_cast<Signed1<T>>(operand);
  const Unsigned2<T> pair = accumulator_pair<T>(cpu);
  const auto dividend = static_cast<Signed2<T>>(pair);
  // The most negative dividend overflows whatever the quotient would be; and -1 must not trap on the host.
  const bool most_negative =
      pair == static_cast<Unsigned2<T>>(static_cast<Unsigned2<T>>(1) << (2 * kBitsOf<T> - 1));
  if (most_negative && divisor == -1) return cpu.raise(kDE);
  const auto quotient = static_cast<Signed2<T>>(dividend / divisor);
  const auto remainder = static_cast<Signed2<T>>(dividend % divisor);
  if (quotient != static_cast<Signed1<T>>(quotient)) return cpu.raise(kDE);
  set_accumulator_pair<T>(cpu, static_cast<T>(quotient), static_cast<T>(remainder));
  divided(cpu);
  return Outcome::kNext;
}

template <class T>
Outcome mulx(Vcpu& cpu, const Insn& insn) {
  T b;
  if (!read_operand<T>(cpu, insn, 2, b)) return Outcome::kFault;
  const auto product = static_cast<Unsigned2<T>>(static_cast<Unsigned2<T>>(cpu.reg<T>(kRdx)) * b);
  // The low half first: if both destinations are one register it gets the high half.
  cpu.set_reg<T>(insn.op[1], static_cast<T>(product));
  cpu.set_reg<T>(insn.op[0], static_cast<T>(product >> kBitsOf<T>));
  return Outcome::kNext;
}

}  // namespace

Handler select_mul(const Insn&, const DecodedForm& f) { return ORRERY_BY_SIZE(f.size_bits[0], mul); }
Handler select_imul(const Insn& insn, const DecodedForm& f) {
  // Of the one-operand form Zydis lists the accumulator too on some encodings; the opcode tells.
  if (f.opcode == 0xf6 || f.opcode == 0xf7)
    return ORRERY_BY_SIZE(8u << (f.opcode == 0xf6 ? 0 : insn.operand_log2()), imul1);
  return ORRERY_BY_SIZE_NO8(f.size_bits[0], imul);
}
Handler select_div(const Insn&, const DecodedForm& f) { return ORRERY_BY_SIZE(f.size_bits[0], div); }
Handler select_idiv(const Insn&, const DecodedForm& f) { return ORRERY_BY_SIZE(f.size_bits[0], idiv); }
Handler select_mulx(const Insn&, const DecodedForm& f) {
  return f.size_bits[0] == 64 ? &mulx<u64> : &mulx<u32>;
}

}  // namespace orrery::cpu::exec
