// Addition and its relatives: ADD ADC SUB SBB CMP INC DEC NEG XADD CMPXCHG CMPXCHG8B/16B ADCX ADOX.
// [SDM2], [APM3 3]
#include "cpu/exec/common.h"
#include "cpu/exec/operate.h"
#include "cpu/flags.h"

namespace orrery::cpu::exec {
namespace {

struct Add {
  template <class T>
  static T apply(CpuState& s, T a, T b) {
    const T r = static_cast<T>(a + b);
    set_arithmetic(s, add_flags(a, b, r));
    return r;
  }
};
struct Adc {
  template <class T>
  static T apply(CpuState& s, T a, T b) {
    const T r = static_cast<T>(a + b + (s.rflags & rflags::CF));
    set_arithmetic(s, add_flags(a, b, r));
    return r;
  }
};
struct Sub {
  template <class T>
  static T apply(CpuState& s, T a, T b) {
    const T r = static_cast<T>(a - b);
    set_arithmetic(s, sub_flags(a, b, r));
    return r;
  }
};
struct Sbb {
  template <class T>
  static T apply(CpuState& s, T a, T b) {
    const T r = static_cast<T>(a - b - (s.rflags & rflags::CF));
    set_arithmetic(s, sub_flags(a, b, r));
    return r;
  }
};
struct Inc {
  template <class T>
  static T apply(CpuState& s, T a) {
    const T r = static_cast<T>(a + 1);
    set_flags(s, rflags::kArithmetic & ~rflags::CF, add_flags<T>(a, 1, r) & ~rflags::CF);
    return r;
  }
};
struct Dec {
  template <class T>
  static T apply(CpuState& s, T a) {
    const T r = static_cast<T>(a - 1);
    set_flags(s, rflags::kArithmetic & ~rflags::CF, sub_flags<T>(a, 1, r) & ~rflags::CF);
    return r;
  }
};
struct Neg {
  template <class T>
  static T apply(CpuState& s, T a) {
    const T r = static_cast<T>(-a);
    set_arithmetic(s, sub_flags<T>(0, a, r));
    return r;
  }
};

template <class T>
Outcome xadd(Vcpu& cpu, const Insn& insn) {
  const T source = cpu.reg<T>(insn.op[1]);
  if (insn.mem_at(0)) {
    T old;
    WriteTarget target;
    if (!cpu.read_for_write<T>(insn, old, target)) return Outcome::kFault;
    cpu.set_reg<T>(insn.op[1], old);
    cpu.commit<T>(target, Add::apply<T>(cpu.state, old, source));
  } else {
    const T old = cpu.reg<T>(insn.op[0]);
    const T sum = Add::apply<T>(cpu.state, old, source);
    cpu.set_reg<T>(insn.op[1], old);
    cpu.set_reg<T>(insn.op[0], sum);
  }
  return Outcome::kNext;
}

// The destination is written in both cases: with what was read when the comparison fails.
template <class T>
Outcome cmpxchg(Vcpu& cpu, const Insn& insn) {
  const T accumulator = cpu.reg<T>(kRax);
  const T source = cpu.reg<T>(insn.op[1]);
  T old;
  if (insn.mem_at(0)) {
    WriteTarget target;
    if (!cpu.read_for_write<T>(insn, old, target)) return Outcome::kFault;
    Sub::apply<T>(cpu.state, accumulator, old);
    cpu.commit<T>(target, accumulator == old ? source : old);
    if (accumulator != old) cpu.set_reg<T>(kRax, old);
  } else {
    old = cpu.reg<T>(insn.op[0]);
    Sub::apply<T>(cpu.state, accumulator, old);
    // A 32-bit destination is zero-extended even when it keeps its value only if the accumulator is not
    // written.
    if (accumulator == old) {
      cpu.set_reg<T>(insn.op[0], source);
    } else {
      cpu.set_reg<T>(kRax, old);
    }
  }
  return Outcome::kNext;
}

struct Pair128 {
  u64 low;
  u64 high;
};

Outcome cmpxchg8b(Vcpu& cpu, const Insn& insn) {
  u64 old;
  WriteTarget target;
  if (!cpu.read_for_write<u64>(insn, old, target)) return Outcome::kFault;
  const u64 expected = (u64{cpu.reg<u32>(kRdx)} << 32) | cpu.reg<u32>(kRax);
  const bool equal = old == expected;
  cpu.commit<u64>(target, equal ? (u64{cpu.reg<u32>(kRcx)} << 32) | cpu.reg<u32>(kRbx) : old);
  if (!equal) {
    cpu.set_reg<u32>(kRax, static_cast<u32>(old));
    cpu.set_reg<u32>(kRdx, static_cast<u32>(old >> 32));
  }
  set_flags(cpu.state, rflags::ZF, equal ? rflags::ZF : 0);
  return Outcome::kNext;
}

Outcome cmpxchg16b(Vcpu& cpu, const Insn& insn) {
  if (!cpu.check_aligned(insn, 16)) return Outcome::kFault;
  Pair128 old;
  WriteTarget target;
  if (!cpu.read_for_write<Pair128>(insn, old, target)) return Outcome::kFault;
  const bool equal = old.low == cpu.state.gpr[kRax] && old.high == cpu.state.gpr[kRdx];
  cpu.commit<Pair128>(target, equal ? Pair128{cpu.state.gpr[kRbx], cpu.state.gpr[kRcx]} : old);
  if (!equal) {
    cpu.state.gpr[kRax] = old.low;
    cpu.state.gpr[kRdx] = old.high;
  }
  set_flags(cpu.state, rflags::ZF, equal ? rflags::ZF : 0);
  return Outcome::kNext;
}

// ADCX and ADOX: add with one flag as carry, touching only it.
template <class T, u64 kFlag>
Outcome add_with_flag(Vcpu& cpu, const Insn& insn) {
  T source;
  if (!read_operand<T>(cpu, insn, 1, source)) return Outcome::kFault;
  const u128 sum =
      static_cast<u128>(cpu.reg<T>(insn.op[0])) + source + ((cpu.state.rflags & kFlag) != 0 ? 1 : 0);
  cpu.set_reg<T>(insn.op[0], static_cast<T>(sum));
  set_flags(cpu.state, kFlag, (sum >> kBitsOf<T>) != 0 ? kFlag : 0);
  return Outcome::kNext;
}
template <class T>
constexpr Handler kAdcx = add_with_flag<T, rflags::CF>;
template <class T>
constexpr Handler kAdox = add_with_flag<T, rflags::OF>;

}  // namespace

Handler select_add(const Insn&, const DecodedForm& f) { return binary<Add>(f); }
Handler select_adc(const Insn&, const DecodedForm& f) { return binary<Adc>(f); }
Handler select_sub(const Insn&, const DecodedForm& f) { return binary<Sub>(f); }
Handler select_sbb(const Insn&, const DecodedForm& f) { return binary<Sbb>(f); }
Handler select_cmp(const Insn&, const DecodedForm& f) { return compare<Sub>(f); }
Handler select_inc(const Insn&, const DecodedForm& f) { return unary<Inc>(f); }
Handler select_dec(const Insn&, const DecodedForm& f) { return unary<Dec>(f); }
Handler select_neg(const Insn&, const DecodedForm& f) { return unary<Neg>(f); }
Handler select_xadd(const Insn&, const DecodedForm& f) { return ORRERY_BY_SIZE(f.size_bits[0], xadd); }
Handler select_cmpxchg(const Insn&, const DecodedForm& f) { return ORRERY_BY_SIZE(f.size_bits[0], cmpxchg); }
Handler select_cmpxchg8b(const Insn&, const DecodedForm&) { return cmpxchg8b; }
Handler select_cmpxchg16b(const Insn&, const DecodedForm&) { return cmpxchg16b; }
Handler select_adcx(const Insn&, const DecodedForm& f) {
  return f.size_bits[0] == 64 ? kAdcx<u64> : kAdcx<u32>;
}
Handler select_adox(const Insn&, const DecodedForm& f) {
  return f.size_bits[0] == 64 ? kAdox<u64> : kAdox<u32>;
}

}  // namespace orrery::cpu::exec
