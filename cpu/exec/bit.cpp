// Bit instructions: BT BTS BTR BTC, BSF BSR TZCNT LZCNT POPCNT, BSWAP MOVBE, BMI1 and BMI2. [SDM2], [APM3 3]
//
// Undefined flags follow AMD's Zen: BT* change CF only; BSF and BSR clear CF, AF, SF and OF, set PF by the
// index, and with a zero source keep the destination; TZCNT and LZCNT keep OF and clear SF, AF and PF; PF of
// BMI is the result's.
#include "cpu/exec/common.h"
#include "cpu/flags.h"

namespace orrery::cpu::exec {
namespace {

using namespace rflags;

enum class BitOp : u8 { kTest, kSet, kReset, kComplement };

template <class T, BitOp kOp>
T change_bit(T value, T mask) {
  if constexpr (kOp == BitOp::kSet) return value | mask;
  if constexpr (kOp == BitOp::kReset) return static_cast<T>(value & ~mask);
  if constexpr (kOp == BitOp::kComplement) return value ^ mask;
  return value;
}

template <class T, BitOp kOp>
Outcome bit_test(Vcpu& cpu, const Insn& insn) {
  constexpr unsigned w = kBitsOf<T>;
  const bool immediate = insn.op[1] == kImmOperand;
  const T index = immediate ? static_cast<T>(insn.imm) : cpu.reg<T>(insn.op[1]);
  const T mask = static_cast<T>(T{1} << (index % w));
  T value;
  if (insn.mem_at(0)) {
    // A register index reaches beyond the operand: signed, in units of the operand [SDM2 3.1.1.9].
    u64 offset = cpu.effective_address(insn);
    if (!immediate) {
      const i64 units = static_cast<i64>(static_cast<std::make_signed_t<T>>(index)) >> std::countr_zero(w);
      offset = (offset + static_cast<u64>(units * static_cast<i64>(sizeof(T)))) & insn.address_mask();
    }
    if constexpr (kOp == BitOp::kTest) {
      if (!cpu.read<T>(insn.segment(), offset, value)) return Outcome::kFault;
    } else {
      WriteTarget target;
      if (!cpu.read_for_write<T>(insn.segment(), offset, value, target)) return Outcome::kFault;
      cpu.commit<T>(target, change_bit<T, kOp>(value, mask));
    }
  } else {
    value = cpu.reg<T>(insn.op[0]);
    if constexpr (kOp != BitOp::kTest) cpu.set_reg<T>(insn.op[0], change_bit<T, kOp>(value, mask));
  }
  set_flags(cpu.state, CF, (value & mask) != 0 ? CF : 0);
  return Outcome::kNext;
}
template <BitOp kOp>
Handler select_bit_test(const DecodedForm& f) {
  switch (f.size_bits[0]) {
    case 16:
      return &bit_test<u16, kOp>;
    case 32:
      return &bit_test<u32, kOp>;
    case 64:
      return &bit_test<u64, kOp>;
    default:
      return nullptr;
  }
}

template <class T>
Outcome bsf(Vcpu& cpu, const Insn& insn) {
  T a;
  if (!read_operand<T>(cpu, insn, 1, a)) return Outcome::kFault;
  const T r = static_cast<T>(a == 0 ? 0 : std::countr_zero(a));
  if (a != 0) cpu.set_reg<T>(insn.op[0], r);
  set_arithmetic(cpu.state, parity_flag(r) | (a == 0 ? ZF : 0));
  return Outcome::kNext;
}
template <class T>
Outcome bsr(Vcpu& cpu, const Insn& insn) {
  T a;
  if (!read_operand<T>(cpu, insn, 1, a)) return Outcome::kFault;
  const T r = static_cast<T>(a == 0 ? 0 : kBitsOf<T> - 1 - static_cast<unsigned>(std::countl_zero(a)));
  if (a != 0) cpu.set_reg<T>(insn.op[0], r);
  set_arithmetic(cpu.state, parity_flag(r) | (a == 0 ? ZF : 0));
  return Outcome::kNext;
}
template <class T>
Outcome tzcnt(Vcpu& cpu, const Insn& insn) {
  T a;
  if (!read_operand<T>(cpu, insn, 1, a)) return Outcome::kFault;
  const T r = static_cast<T>(std::countr_zero(a));
  cpu.set_reg<T>(insn.op[0], r);
  set_flags(cpu.state, kArithmetic & ~OF, (a == 0 ? CF : 0) | (r == 0 ? ZF : 0));
  return Outcome::kNext;
}
template <class T>
Outcome lzcnt(Vcpu& cpu, const Insn& insn) {
  T a;
  if (!read_operand<T>(cpu, insn, 1, a)) return Outcome::kFault;
  const T r = static_cast<T>(std::countl_zero(a));
  cpu.set_reg<T>(insn.op[0], r);
  set_flags(cpu.state, kArithmetic & ~OF, (a == 0 ? CF : 0) | (r == 0 ? ZF : 0));
  return Outcome::kNext;
}
template <class T>
Outcome popcnt(Vcpu& cpu, const Insn& insn) {
  T a;
  if (!read_operand<T>(cpu, insn, 1, a)) return Outcome::kFault;
  cpu.set_reg<T>(insn.op[0], static_cast<T>(std::popcount(a)));
  set_arithmetic(cpu.state, a == 0 ? ZF : 0);
  return Outcome::kNext;
}

template <class T>
T swap_bytes(T v) {
  if constexpr (sizeof(T) == 2) return __builtin_bswap16(v);
  if constexpr (sizeof(T) == 4) return __builtin_bswap32(v);
  if constexpr (sizeof(T) == 8) return __builtin_bswap64(v);
}
template <class T>
Outcome bswap(Vcpu& cpu, const Insn& insn) {
  // Of a 16-bit register the result is undefined; processors give zero.
  const T v = cpu.reg<T>(insn.op[0]);
  cpu.set_reg<T>(insn.op[0], sizeof(T) == 2 ? T{0} : swap_bytes<T>(v));
  return Outcome::kNext;
}
template <class T>
Outcome movbe(Vcpu& cpu, const Insn& insn) {
  T v;
  if (!read_operand<T>(cpu, insn, 1, v) || !write_operand<T>(cpu, insn, 0, swap_bytes<T>(v)))
    return Outcome::kFault;
  return Outcome::kNext;
}

// ---- BMI1: AF and PF are undefined; Zen clears both. ----
template <class T>
Outcome andn(Vcpu& cpu, const Insn& insn) {
  T b;
  if (!read_operand<T>(cpu, insn, 2, b)) return Outcome::kFault;
  const T r = static_cast<T>(~cpu.reg<T>(insn.op[1]) & b);
  cpu.set_reg<T>(insn.op[0], r);
  set_arithmetic(cpu.state, zsp_flags(r));
  return Outcome::kNext;
}
template <class T>
Outcome bextr(Vcpu& cpu, const Insn& insn) {
  T a;
  if (!read_operand<T>(cpu, insn, 1, a)) return Outcome::kFault;
  const u64 control = cpu.state.gpr[insn.op[2]];
  const auto start = static_cast<unsigned>(control & 0xff);
  const auto length = static_cast<unsigned>((control >> 8) & 0xff);
  const T r = static_cast<T>((start >= kBitsOf<T> ? 0 : static_cast<u64>(a) >> start) & low_mask(length));
  cpu.set_reg<T>(insn.op[0], r);
  set_arithmetic(cpu.state, AF | parity_flag(r) | (r == 0 ? ZF : 0));
  return Outcome::kNext;
}
template <class T>
Outcome blsi(Vcpu& cpu, const Insn& insn) {
  T a;
  if (!read_operand<T>(cpu, insn, 1, a)) return Outcome::kFault;
  const T r = static_cast<T>(a & -a);
  cpu.set_reg<T>(insn.op[0], r);
  set_arithmetic(cpu.state, zsp_flags(r) | (a != 0 ? CF : 0));
  return Outcome::kNext;
}
template <class T>
Outcome blsmsk(Vcpu& cpu, const Insn& insn) {
  T a;
  if (!read_operand<T>(cpu, insn, 1, a)) return Outcome::kFault;
  const T r = static_cast<T>(a ^ (a - 1));
  cpu.set_reg<T>(insn.op[0], r);
  set_arithmetic(cpu.state, zsp_flags(r) | (a == 0 ? CF : 0));
  return Outcome::kNext;
}
template <class T>
Outcome blsr(Vcpu& cpu, const Insn& insn) {
  T a;
  if (!read_operand<T>(cpu, insn, 1, a)) return Outcome::kFault;
  const T r = static_cast<T>(a & (a - 1));
  cpu.set_reg<T>(insn.op[0], r);
  set_arithmetic(cpu.state, zsp_flags(r) | (a == 0 ? CF : 0));
  return Outcome::kNext;
}

// ---- BMI2 ----
template <class T>
Outcome bzhi(Vcpu& cpu, const Insn& insn) {
  T a;
  if (!read_operand<T>(cpu, insn, 1, a)) return Outcome::kFault;
  const auto n = static_cast<unsigned>(cpu.state.gpr[insn.op[2]] & 0xff);
  const T r = static_cast<T>(a & low_mask(n));
  cpu.set_reg<T>(insn.op[0], r);
  set_arithmetic(cpu.state, zsp_flags(r) | (n >= kBitsOf<T> ? CF : 0));
  return Outcome::kNext;
}
template <class T>
Outcome pdep(Vcpu& cpu, const Insn& insn) {
  T mask;
  if (!read_operand<T>(cpu, insn, 2, mask)) return Outcome::kFault;
  T source = cpu.reg<T>(insn.op[1]);
  T r = 0;
  for (; mask != 0; mask &= static_cast<T>(mask - 1), source >>= 1) {
    if ((source & 1) != 0) r |= static_cast<T>(mask & -mask);
  }
  cpu.set_reg<T>(insn.op[0], r);
  return Outcome::kNext;
}
template <class T>
Outcome pext(Vcpu& cpu, const Insn& insn) {
  T mask;
  if (!read_operand<T>(cpu, insn, 2, mask)) return Outcome::kFault;
  const T source = cpu.reg<T>(insn.op[1]);
  T r = 0;
  for (unsigned k = 0; mask != 0; mask &= static_cast<T>(mask - 1), ++k) {
    if ((source & mask & -mask) != 0) r |= static_cast<T>(T{1} << k);
  }
  cpu.set_reg<T>(insn.op[0], r);
  return Outcome::kNext;
}

}  // namespace

Handler select_bt(const Insn&, const DecodedForm& f) { return select_bit_test<BitOp::kTest>(f); }
Handler select_bts(const Insn&, const DecodedForm& f) { return select_bit_test<BitOp::kSet>(f); }
Handler select_btr(const Insn&, const DecodedForm& f) { return select_bit_test<BitOp::kReset>(f); }
Handler select_btc(const Insn&, const DecodedForm& f) { return select_bit_test<BitOp::kComplement>(f); }
Handler select_bsf(const Insn&, const DecodedForm& f) { return ORRERY_BY_SIZE_NO8(f.size_bits[0], bsf); }
Handler select_bsr(const Insn&, const DecodedForm& f) { return ORRERY_BY_SIZE_NO8(f.size_bits[0], bsr); }
Handler select_tzcnt(const Insn&, const DecodedForm& f) { return ORRERY_BY_SIZE_NO8(f.size_bits[0], tzcnt); }
Handler select_lzcnt(const Insn&, const DecodedForm& f) { return ORRERY_BY_SIZE_NO8(f.size_bits[0], lzcnt); }
Handler select_popcnt(const Insn&, const DecodedForm& f) {
  return ORRERY_BY_SIZE_NO8(f.size_bits[0], popcnt);
}
Handler select_bswap(const Insn&, const DecodedForm& f) { return ORRERY_BY_SIZE_NO8(f.size_bits[0], bswap); }
Handler select_movbe(const Insn&, const DecodedForm& f) { return ORRERY_BY_SIZE_NO8(f.size_bits[0], movbe); }
Handler select_andn(const Insn&, const DecodedForm& f) { return ORRERY_BY_SIZE_NO8(f.size_bits[0], andn); }
Handler select_bextr(const Insn&, const DecodedForm& f) { return ORRERY_BY_SIZE_NO8(f.size_bits[0], bextr); }
Handler select_blsi(const Insn&, const DecodedForm& f) { return ORRERY_BY_SIZE_NO8(f.size_bits[0], blsi); }
Handler select_blsmsk(const Insn&, const DecodedForm& f) {
  return ORRERY_BY_SIZE_NO8(f.size_bits[0], blsmsk);
}
Handler select_blsr(const Insn&, const DecodedForm& f) { return ORRERY_BY_SIZE_NO8(f.size_bits[0], blsr); }
Handler select_bzhi(const Insn&, const DecodedForm& f) { return ORRERY_BY_SIZE_NO8(f.size_bits[0], bzhi); }
Handler select_pdep(const Insn&, const DecodedForm& f) { return ORRERY_BY_SIZE_NO8(f.size_bits[0], pdep); }
Handler select_pext(const Insn&, const DecodedForm& f) { return ORRERY_BY_SIZE_NO8(f.size_bits[0], pext); }

}  // namespace orrery::cpu::exec
