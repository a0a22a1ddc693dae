// Shifts and rotates: SHL SHR SAR ROL ROR RCL RCR SHLD SHRD, and the flagless SHLX SHRX SARX RORX.
// [SDM2], [APM3 3]
//
// Undefined flags follow AMD's Zen: AF is set by shifts and kept by rotates; OF for counts other than one is
// computed as for one from the last step. SHLD/SHRD of 16 bits with counts over 16 rotate the source.
#include "cpu/exec/operate.h"
#include "cpu/flags.h"

namespace orrery::cpu::exec {
namespace {

using namespace rflags;

template <class T>
constexpr unsigned kCountMask = sizeof(T) == 8 ? 63 : 31;

inline u64 flag_if(bool b, u64 flag) { return b ? flag : 0; }

// Each operation gets a masked, non-zero count.
struct Shl {
  template <class T>
  static T apply(CpuState& s, T a, unsigned n) {
    const T r = shl(a, n);
    set_arithmetic(s, shl_flags(a, n, r));
    return r;
  }
};
struct Shr {
  template <class T>
  static T apply(CpuState& s, T a, unsigned n) {
    const T r = shr(a, n);
    set_arithmetic(s, shr_flags(a, n, r));
    return r;
  }
};
struct Sar {
  template <class T>
  static T apply(CpuState& s, T a, unsigned n) {
    const T r = sar(a, n);
    set_arithmetic(s, sar_flags(a, n, r));
    return r;
  }
};
struct Rol {
  template <class T>
  static T apply(CpuState& s, T a, unsigned n) {
    const unsigned k = n % kBitsOf<T>;
    const T r = k == 0 ? a : static_cast<T>((a << k) | (a >> (kBitsOf<T> - k)));
    const bool cf = (r & 1) != 0;
    const bool of = cf != ((r & kSignBit<T>) != 0);
    set_flags(s, CF | OF, flag_if(cf, CF) | flag_if(of, OF));
    return r;
  }
};
struct Ror {
  template <class T>
  static T apply(CpuState& s, T a, unsigned n) {
    const unsigned k = n % kBitsOf<T>;
    const T r = k == 0 ? a : static_cast<T>((a >> k) | (a << (kBitsOf<T> - k)));
    const bool cf = (r & kSignBit<T>) != 0;
    const bool of = ((r ^ static_cast<T>(r << 1)) & kSignBit<T>) != 0;
    set_flags(s, CF | OF, flag_if(cf, CF) | flag_if(of, OF));
    return r;
  }
};
struct Rcl {
  template <class T>
  static T apply(CpuState& s, T a, unsigned n) {
    constexpr unsigned w = kBitsOf<T>;
    const unsigned k = n % (w + 1);
    const u64 carry = s.rflags & CF;
    bool cf = carry != 0;
    T r = a;
    if (k != 0) {
      cf = ((a >> (w - k)) & 1) != 0;
      r = static_cast<T>((k < w ? static_cast<u64>(a) << k : 0) | (carry << (k - 1)) |
                         (k > 1 ? static_cast<u64>(a) >> (w + 1 - k) : 0));
    }
    const bool of = cf != ((r & kSignBit<T>) != 0);
    set_flags(s, CF | OF, flag_if(cf, CF) | flag_if(of, OF));
    return r;
  }
};
struct Rcr {
  template <class T>
  static T apply(CpuState& s, T a, unsigned n) {
    constexpr unsigned w = kBitsOf<T>;
    const unsigned k = n % (w + 1);
    const u64 carry = s.rflags & CF;
    bool cf = carry != 0;
    T r = a;
    if (k != 0) {
      cf = ((a >> (k - 1)) & 1) != 0;
      r = static_cast<T>((k < w ? static_cast<u64>(a) >> k : 0) | (carry << (w - k)) |
                         (k > 1 ? static_cast<u64>(a) << (w + 1 - k) : 0));
    }
    const bool of = ((r ^ static_cast<T>(r << 1)) & kSignBit<T>) != 0;
    set_flags(s, CF | OF, flag_if(cf, CF) | flag_if(of, OF));
    return r;
  }
};

// The count is CL or an immediate. A count of zero changes no flag, but the destination is still accessed,
// and a 32-bit register still zero-extended.
template <class Op, class T, Form kForm>
Outcome shift_form(Vcpu& cpu, const Insn& insn) {
  const unsigned raw = insn.op[1] == kImmOperand ? static_cast<unsigned>(insn.imm) : cpu.reg<u8>(8 * kRcx);
  const unsigned n = raw & kCountMask<T>;
  if constexpr (kForm == Form::kReg) {
    const T a = cpu.reg<T>(insn.op[0]);
    cpu.set_reg<T>(insn.op[0], n == 0 ? a : Op::template apply<T>(cpu.state, a, n));
  } else {
    T a;
    WriteTarget target;
    if (!cpu.read_for_write<T>(insn, a, target)) return Outcome::kFault;
    cpu.commit<T>(target, n == 0 ? a : Op::template apply<T>(cpu.state, a, n));
  }
  return Outcome::kNext;
}
template <class Op, class T, Form kForm>
struct ShiftHolder {
  static constexpr Handler kHandler = shift_form<Op, T, kForm>;
};
template <class Op>
Handler shift(const DecodedForm& f) {
  return f.kind[0] == OperandKind::kMem ? detail::by_size<ShiftHolder, Op, Form::kMem>(f.size_bits[0])
                                        : detail::by_size<ShiftHolder, Op, Form::kReg>(f.size_bits[0]);
}

template <class T, bool kLeft>
T double_shift(CpuState& s, T a, T b, unsigned n) {
  constexpr unsigned w = kBitsOf<T>;
  T r;
  bool cf;
  if constexpr (sizeof(T) == 8) {
    r = kLeft ? static_cast<T>((a << n) | (b >> (w - n))) : static_cast<T>((a >> n) | (b << (w - n)));
    cf = ((a >> (kLeft ? w - n : n - 1)) & 1) != 0;
  } else {
    if (sizeof(T) == 2 && n > w) {
      // 16-bit operands take counts up to 31: past the destination the source rotates, and CF is 0.
      const int by = static_cast<int>(n - w);
      r = kLeft ? std::rotl(b, by) : std::rotr(b, by);
      const bool of = !kLeft && ((r ^ static_cast<T>(r << 1)) & kSignBit<T>) != 0;
      set_arithmetic(s, AF | zsp_flags(r) | flag_if(of, OF));
      return r;
    }
    const u128 wide = (static_cast<u128>(a) << (2 * w)) | (static_cast<u128>(b) << w) | a;
    r = kLeft ? static_cast<T>((wide << n) >> (2 * w)) : static_cast<T>(wide >> n);
    cf = kLeft ? (((wide << n) >> (3 * w)) & 1) != 0 : ((wide >> (n - 1)) & 1) != 0;
  }
  bool of;
  if constexpr (kLeft) {
    of = sizeof(T) == 2 && n == w ? cf : cf != ((r & kSignBit<T>) != 0);
  } else {
    of = ((r ^ static_cast<T>(r << 1)) & kSignBit<T>) != 0;
  }
  set_arithmetic(s, AF | zsp_flags(r) | flag_if(cf, CF) | flag_if(of, OF));
  return r;
}

template <class T, bool kLeft>
Outcome double_shift_insn(Vcpu& cpu, const Insn& insn) {
  const unsigned raw = insn.op[2] == kImmOperand ? static_cast<unsigned>(insn.imm) : cpu.reg<u8>(8 * kRcx);
  const unsigned n = raw & kCountMask<T>;
  const T b = cpu.reg<T>(insn.op[1]);
  if (insn.mem_at(0)) {
    T a;
    WriteTarget target;
    if (!cpu.read_for_write<T>(insn, a, target)) return Outcome::kFault;
    cpu.commit<T>(target, n == 0 ? a : double_shift<T, kLeft>(cpu.state, a, b, n));
  } else {
    const T a = cpu.reg<T>(insn.op[0]);
    cpu.set_reg<T>(insn.op[0], n == 0 ? a : double_shift<T, kLeft>(cpu.state, a, b, n));
  }
  return Outcome::kNext;
}
template <class T>
Outcome shld(Vcpu& cpu, const Insn& insn) {
  return double_shift_insn<T, true>(cpu, insn);
}
template <class T>
Outcome shrd(Vcpu& cpu, const Insn& insn) {
  return double_shift_insn<T, false>(cpu, insn);
}

enum class Flagless : u8 { kShlx, kShrx, kSarx, kRorx };
template <class T, Flagless kOp>
Outcome flagless(Vcpu& cpu, const Insn& insn) {
  T a;
  if (!read_operand<T>(cpu, insn, 1, a)) return Outcome::kFault;
  const unsigned n =
      (kOp == Flagless::kRorx ? static_cast<unsigned>(insn.imm) : cpu.reg<u32>(insn.op[2])) & kCountMask<T>;
  T r = a;
  if constexpr (kOp == Flagless::kShlx) r = static_cast<T>(a << n);
  if constexpr (kOp == Flagless::kShrx) r = static_cast<T>(a >> n);
  if constexpr (kOp == Flagless::kSarx) r = static_cast<T>(static_cast<std::make_signed_t<T>>(a) >> n);
  if constexpr (kOp == Flagless::kRorx) r = std::rotr(a, static_cast<int>(n));
  cpu.set_reg<T>(insn.op[0], r);
  return Outcome::kNext;
}
template <Flagless kOp>
Handler select_flagless(const DecodedForm& f) {
  return f.size_bits[0] == 64 ? &flagless<u64, kOp> : &flagless<u32, kOp>;
}

}  // namespace

Handler select_shl(const Insn&, const DecodedForm& f) { return shift<Shl>(f); }
Handler select_shr(const Insn&, const DecodedForm& f) { return shift<Shr>(f); }
Handler select_sar(const Insn&, const DecodedForm& f) { return shift<Sar>(f); }
Handler select_rol(const Insn&, const DecodedForm& f) { return shift<Rol>(f); }
Handler select_ror(const Insn&, const DecodedForm& f) { return shift<Ror>(f); }
Handler select_rcl(const Insn&, const DecodedForm& f) { return shift<Rcl>(f); }
Handler select_rcr(const Insn&, const DecodedForm& f) { return shift<Rcr>(f); }
Handler select_shld(const Insn&, const DecodedForm& f) { return ORRERY_BY_SIZE_NO8(f.size_bits[0], shld); }
Handler select_shrd(const Insn&, const DecodedForm& f) { return ORRERY_BY_SIZE_NO8(f.size_bits[0], shrd); }
Handler select_shlx(const Insn&, const DecodedForm& f) { return select_flagless<Flagless::kShlx>(f); }
Handler select_shrx(const Insn&, const DecodedForm& f) { return select_flagless<Flagless::kShrx>(f); }
Handler select_sarx(const Insn&, const DecodedForm& f) { return select_flagless<Flagless::kSarx>(f); }
Handler select_rorx(const Insn&, const DecodedForm& f) { return select_flagless<Flagless::kRorx>(f); }

}  // namespace orrery::cpu::exec
