// x87 data transfer: FLD FST FSTP FILD FIST FISTP FISTTP FBLD FBSTP FXCH FCMOVcc and the constants.
// [SDM1 8.3.3-4]
//
// Not modelled: nothing.
#include "cpu/exec/fp_stack.h"

namespace orrery::cpu::exec {
namespace {

using fp::F32;
using fp::F64;
using fp::F80;
using fp::Unpacked;

template <class Memory>
Outcome load(Vcpu& cpu, const Insn& insn) {
  if (x87_pending(cpu)) return cpu.raise(kMF);
  if constexpr (std::is_same_v<Memory, F80>) {  // a plain copy: no exceptions but the stack's
    Float80 v;
    if (!read_extended(cpu, insn, v)) return Outcome::kFault;
    X87(cpu, insn).push_checked(v);
  } else {
    Unpacked u;
    if (!read_x87<Memory>(cpu, insn, u)) return Outcome::kFault;
    X87 f(cpu, insn);
    if (!f.empty(7)) {
      if (f.overflow()) f.push(fp::indefinite<F80>());
      return Outcome::kNext;
    }
    const Float80 v = fp::convert<F80>(f.env, u);
    const bool invalid = (f.env.flags & f.env.unmasked & fp::flag::IE) != 0;
    f.report();
    if (!invalid) f.push(v);  // an unmasked DE loads all the same
  }
  return Outcome::kNext;
}
Outcome load_register(Vcpu& cpu, const Insn& insn) {
  if (x87_pending(cpu)) return cpu.raise(kMF);
  X87 f(cpu, insn);
  if (f.empty(insn.op[0])) {
    if (f.underflow()) f.push(fp::indefinite<F80>());
  } else if (!f.empty(7)) {
    if (f.overflow()) f.push(fp::indefinite<F80>());
  } else {
    f.push(f.raw(insn.op[0]));
  }
  return Outcome::kNext;
}

/// FST, FSTP to memory. The destination is checked before anything changes.
template <class Memory, bool kPop>
Outcome store(Vcpu& cpu, const Insn& insn) {
  if (x87_pending(cpu)) return cpu.raise(kMF);
  constexpr bool kExtended = std::is_same_v<Memory, F80>;
  if constexpr (kExtended) {
    if (!probe_extended(cpu, insn)) return Outcome::kFault;
  } else {
    constexpr unsigned kBytes = sizeof(typename Memory::Storage);
    if (!cpu.probe_write(insn.segment(), cpu.effective_address(insn), kBytes)) return Outcome::kFault;
  }
  X87 f(cpu, insn);
  typename Memory::Storage v;
  if (f.empty(0)) {
    if (!f.underflow()) return Outcome::kNext;
    v = fp::indefinite<Memory>();
  } else if constexpr (kExtended) {
    v = f.raw(0);
  } else {
    v = fp::convert<Memory>(f.env, f.get(0));
    // A denormal ST(0) is not an operand exception here; what comes of it is UE. [SDM2 FST]
    f.env.flags &= static_cast<u8>(~fp::flag::DE);
    if (!f.report_store()) return Outcome::kNext;
  }
  if constexpr (kExtended) {
    if (!write_extended(cpu, insn, v)) return Outcome::kFault;
  } else {
    if (!cpu.write(insn, v)) return Outcome::kFault;
  }
  if (kPop) f.pop();
  return Outcome::kNext;
}
template <bool kPop>
Outcome store_register(Vcpu& cpu, const Insn& insn) {
  if (x87_pending(cpu)) return cpu.raise(kMF);
  X87 f(cpu, insn);
  if (f.empty(0)) {
    if (!f.underflow()) return Outcome::kNext;
    f.set(insn.op[0], fp::indefinite<F80>());
  } else {
    f.set(insn.op[0], f.raw(0));
  }
  if (kPop) f.pop();
  return Outcome::kNext;
}

template <class T, bool kPop, bool kTruncate>
Outcome store_integer(Vcpu& cpu, const Insn& insn) {
  if (x87_pending(cpu)) return cpu.raise(kMF);
  if (!cpu.probe_write(insn.segment(), cpu.effective_address(insn), sizeof(T))) return Outcome::kFault;
  X87 f(cpu, insn);
  T v = std::numeric_limits<T>::min();
  if (f.empty(0)) {
    if (!f.underflow()) return Outcome::kNext;
  } else {
    v = static_cast<T>(
        fp::to_integer(f.env, f.get(0), sizeof(T) * 8, kTruncate ? fp::Rounding::kZero : f.env.rounding));
    if (!f.report()) return Outcome::kNext;
  }
  if (!cpu.write(insn, v)) return Outcome::kFault;
  if (kPop) f.pop();
  return Outcome::kNext;
}

// ---- Packed BCD: 18 digits and a sign byte. [SDM1 4.7] ----
Outcome fbld(Vcpu& cpu, const Insn& insn) {
  if (x87_pending(cpu)) return cpu.raise(kMF);
  Float80 image;
  if (!read_extended(cpu, insn, image)) return Outcome::kFault;
  u8 bcd[10];
  store_le<u64>(bcd, image.significand);
  store_le<u16>(bcd + 8, image.sign_exponent);
  X87 f(cpu, insn);
  u64 value = 0;
  for (int i = 8; i >= 0; --i) value = value * 100 + (bcd[i] >> 4) * 10u + (bcd[i] & 15u);
  const bool negative = (bcd[9] & 0x80) != 0;
  fp::Environment exact;
  f.push_checked(value == 0 ? fp::zero<F80>(negative)
                            : fp::convert<F80>(exact, fp::from_u64(value, negative)));
  return Outcome::kNext;
}
Outcome fbstp(Vcpu& cpu, const Insn& insn) {
  if (x87_pending(cpu)) return cpu.raise(kMF);
  if (!probe_extended(cpu, insn)) return Outcome::kFault;
  X87 f(cpu, insn);
  u8 bcd[10] = {0, 0, 0, 0, 0, 0, 0, 0xc0, 0xff, 0xff};  // the packed BCD indefinite
  if (f.empty(0)) {
    if (!f.underflow()) return Outcome::kNext;
  } else {
    const Unpacked a = f.get(0);
    u64 magnitude = 0;
    bool inexact = false, up = false;
    if ((a.is_finite() || a.is_zero()) && fp::integral_magnitude(f.env.rounding, a, magnitude, inexact, up) &&
        magnitude <= 999'999'999'999'999'999) {
      if (inexact) f.env.raise(fp::flag::PE);
      f.env.rounded_up = up;
      for (int i = 0; i < 9; ++i, magnitude /= 100) {
        bcd[i] = static_cast<u8>(((magnitude % 100) / 10) << 4 | (magnitude % 10));
      }
      bcd[9] = a.sign ? 0x80 : 0;
    } else {
      f.env.raise(fp::flag::IE);
    }
    if (!f.report()) return Outcome::kNext;
  }
  Float80 image;
  image.significand = load_le<u64>(bcd);
  image.sign_exponent = load_le<u16>(bcd + 8);
  if (!write_extended(cpu, insn, image)) return Outcome::kFault;
  f.pop();
  return Outcome::kNext;
}

Outcome fxch(Vcpu& cpu, const Insn& insn) {
  if (x87_pending(cpu)) return cpu.raise(kMF);
  X87 f(cpu, insn);
  const unsigned i = insn.op[0];
  if (f.empty(0) || f.empty(i)) {
    if (!f.underflow()) return Outcome::kNext;
    if (f.empty(0)) f.set(0, fp::indefinite<F80>());
    if (f.empty(i)) f.set(i, fp::indefinite<F80>());
  }
  const Float80 a = f.raw(0), b = f.raw(i);
  f.set(0, b);
  f.set(i, a);
  return Outcome::kNext;
}

template <u64 kFlags, bool kWhenSet>
Outcome fcmov(Vcpu& cpu, const Insn& insn) {
  if (x87_pending(cpu)) return cpu.raise(kMF);
  const bool c1 = (cpu.state.fsw & fsw::C1) != 0;
  X87 f(cpu, insn);
  f.assign(fsw::C1, c1);  // kept unless a stack fault clears it
  if (f.empty(0) || f.empty(insn.op[1])) {
    if (f.underflow()) f.set(0, fp::indefinite<F80>());
  } else if (((cpu.state.rflags & kFlags) != 0) == kWhenSet) {
    f.set(0, f.raw(insn.op[1]));
  }
  return Outcome::kNext;
}

/// Pushes a constant held to 64 bits nearest; `kAbove`: nearest was above the true value, `kBelow`: below it.
enum class Side : u8 { kExact, kAbove, kBelow };
template <u16 kExponent, u64 kSignificand, Side kSide>
Outcome load_constant(Vcpu& cpu, const Insn& insn) {
  if (x87_pending(cpu)) return cpu.raise(kMF);
  X87 f(cpu, insn);
  Float80 v;
  v.sign_exponent = kExponent;
  v.significand = kSignificand;
  const bool toward_zero = f.env.rounding == fp::Rounding::kDown || f.env.rounding == fp::Rounding::kZero;
  if (kSide == Side::kAbove && toward_zero) --v.significand;
  if (kSide == Side::kBelow && f.env.rounding == fp::Rounding::kUp) ++v.significand;
  f.push_checked(v);
  return Outcome::kNext;
}

bool is_mem(const DecodedForm& d) { return d.kind[0] == OperandKind::kMem; }
template <bool kPop>
Handler store_form(const DecodedForm& d) {
  if (!is_mem(d)) return &store_register<kPop>;
  if (d.size_bits[0] == 32) return &store<F32, kPop>;
  return d.size_bits[0] == 64 ? &store<F64, kPop> : &store<F80, kPop>;
}
template <bool kPop, bool kTruncate>
Handler store_integer_form(const DecodedForm& d) {
  if (d.size_bits[0] == 16) return &store_integer<i16, kPop, kTruncate>;
  return d.size_bits[0] == 32 ? &store_integer<i32, kPop, kTruncate> : &store_integer<i64, kPop, kTruncate>;
}

}  // namespace

Handler select_fld(const Insn&, const DecodedForm& d) {
  if (!is_mem(d)) return &load_register;
  if (d.size_bits[0] == 32) return &load<F32>;
  return d.size_bits[0] == 64 ? &load<F64> : &load<F80>;
}
Handler select_fild(const Insn&, const DecodedForm& d) {
  if (d.size_bits[0] == 16) return &load<i16>;
  return d.size_bits[0] == 32 ? &load<i32> : &load<i64>;
}
/// D9 /3 with a register: as FSTP, but an empty ST(0) is just popped.
Outcome store_register_unchecked(Vcpu& cpu, const Insn& insn) {
  if (x87_pending(cpu)) return cpu.raise(kMF);
  X87 f(cpu, insn);
  if (!f.empty(0)) f.set(insn.op[0], f.raw(0));
  f.pop();
  return Outcome::kNext;
}
Handler select_fstpnce(const Insn&, const DecodedForm&) { return &store_register_unchecked; }
Handler select_fst(const Insn&, const DecodedForm& d) { return store_form<false>(d); }
Handler select_fstp(const Insn&, const DecodedForm& d) { return store_form<true>(d); }
Handler select_fist(const Insn&, const DecodedForm& d) { return store_integer_form<false, false>(d); }
Handler select_fistp(const Insn&, const DecodedForm& d) { return store_integer_form<true, false>(d); }
Handler select_fisttp(const Insn&, const DecodedForm& d) { return store_integer_form<true, true>(d); }
Handler select_fbld(const Insn&, const DecodedForm&) { return &fbld; }
Handler select_fbstp(const Insn&, const DecodedForm&) { return &fbstp; }
Handler select_fxch(const Insn&, const DecodedForm&) { return &fxch; }

#define FCMOV(name, flags, when) \
  Handler select_fcmov##name(const Insn&, const DecodedForm&) { return &fcmov<(flags), when>; }
FCMOV(b, rflags::CF, true)
FCMOV(e, rflags::ZF, true)
FCMOV(be, rflags::CF | rflags::ZF, true)
FCMOV(u, rflags::PF, true)
FCMOV(nb, rflags::CF, false)
FCMOV(ne, rflags::ZF, false)
FCMOV(nbe, rflags::CF | rflags::ZF, false)
FCMOV(nu, rflags::PF, false)

#define CONSTANT(name, ...) \
  Handler select_##name(const Insn&, const DecodedForm&) { return &load_constant<__VA_ARGS__>; }
CONSTANT(fld1, 0x3fff, 0x8000000000000000, Side::kExact)
CONSTANT(fldz, 0, 0, Side::kExact)
CONSTANT(fldl2t, 0x4000, 0xd49a784bcd1b8afe, Side::kBelow)
CONSTANT(fldl2e, 0x3fff, 0xb8aa3b295c17f0bc, Side::kAbove)
CONSTANT(fldpi, 0x4000, 0xc90fdaa22168c235, Side::kAbove)
CONSTANT(fldlg2, 0x3ffd, 0x9a209a84fbcff799, Side::kAbove)
CONSTANT(fldln2, 0x3ffe, 0xb17217f7d1cf79ac, Side::kAbove)

}  // namespace orrery::cpu::exec
