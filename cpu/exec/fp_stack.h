// The x87 register stack as its instructions see it: stack faults, exception flags, last-instruction
// pointers. [SDM1 8.1, 8.5], [APM1 6]
//
// An instruction gathers flags in `env` and then asks `report`: unmasked IE, DE and ZE leave destination and
// stack alone, everything else is written; either way the exception stays pending in FSW.ES for the next
// waiting one. Not modelled: FCS and FDS of compatibility mode read as zero.
#pragma once

#include "cpu/exec/simd_operands.h"
#include "cpu/fp/convert.h"

namespace orrery::cpu::exec {

class X87 {
 public:
  /// Notes FIP, FDP and FOP as every non-control instruction does. The memory operand, if any, has been read.
  X87(Vcpu& vcpu, const Insn& insn) : cpu(vcpu), s(vcpu.state) {
    env.rounding = static_cast<fp::Rounding>((s.fcw >> 10) & 3);
    env.unmasked = static_cast<u8>(~s.fcw & 0x3f);
    s.fip = s.rip() - insn.length;
    s.fcs = s.seg[kCs].selector;
    if (insn.mem_at(0)) {
      s.fdp = cpu.effective_address(insn);
      s.fds = s.seg[insn.segment()].selector;
    }
    s.fop = static_cast<u16>(insn.imm & 0x7ff);
    clear(fsw::C1);
  }

  unsigned top() const { return (s.fsw >> fsw::kTopShift) & 7; }
  unsigned physical(unsigned i) const { return (top() + i) & 7; }
  bool empty(unsigned i) const { return ((s.ftw >> physical(i)) & 1) == 0; }
  const Float80& raw(unsigned i) const { return s.fpr[physical(i)]; }
  fp::Unpacked get(unsigned i) const { return fp::unpack<fp::F80>(env, raw(i)); }
  void set(unsigned i, const Float80& v) {
    s.fpr[physical(i)] = v;
    s.ftw |= static_cast<u8>(1u << physical(i));
  }
  void set_top(unsigned t) { s.fsw = static_cast<u16>((s.fsw & ~fsw::TOP) | ((t & 7) << fsw::kTopShift)); }
  void free(unsigned i) { s.ftw &= static_cast<u8>(~(1u << physical(i))); }
  void pop() {
    free(0);
    set_top(top() + 1);
  }
  void push(const Float80& v) {
    set_top(top() - 1);
    set(0, v);
  }
  void clear(u16 bits) { s.fsw &= static_cast<u16>(~bits); }
  void assign(u16 bit, bool value) { s.fsw = static_cast<u16>(value ? s.fsw | bit : s.fsw & ~bit); }
  /// C3, C2, C0 as after a comparison.
  void set_condition(bool c3, bool c2, bool c0) {
    assign(fsw::C3, c3);
    assign(fsw::C2, c2);
    assign(fsw::C0, c0);
  }

  /// Rounds results to the precision control's width: add, subtract, multiply, divide, square root.
  /// [SDM1 8.1.5.2]
  void use_precision_control() {
    constexpr u8 kBits[4] = {24, 64, 53, 64};
    env.precision = kBits[(s.fcw >> 8) & 3];
  }

  /// Puts env.flags into FSW. False: the destination must stay as it is.
  bool report() {
    u8 flags = env.flags;
    const bool stop = (flags & env.unmasked & fp::flag::kBefore) != 0;
    if (stop) flags &= fp::flag::kBefore;
    s.fsw |= flags;
    assign(fsw::C1, !stop && (flags & fp::flag::PE) != 0 && env.rounded_up);
    if ((flags & env.unmasked) != 0) s.fsw |= fsw::ES | fsw::B;
    return !stop;
  }
  /// A result for memory: unmasked overflow and underflow, too, leave memory and stack alone.
  bool report_store() {
    const bool stop = (env.flags & env.unmasked & (fp::flag::OE | fp::flag::UE)) != 0;
    if (stop) env.flags &= static_cast<u8>(~fp::flag::PE);
    return report() && !stop;
  }
  /// Raises a stack underflow. True: masked, the indefinite takes the result's place.
  bool underflow() { return stack_fault(false); }
  bool overflow() { return stack_fault(true); }

  /// FLD and the constants: pushes `v`, or the indefinite on a masked overflow.
  void push_checked(const Float80& v) {
    if (!empty(7)) {
      if (overflow()) push(fp::indefinite<fp::F80>());
    } else {
      push(v);
    }
  }

  Vcpu& cpu;
  CpuState& s;
  fp::Environment env;

 private:
  bool stack_fault(bool c1) {
    s.fsw |= fsw::IE | fsw::SF;
    assign(fsw::C1, c1);
    if ((env.unmasked & fp::flag::IE) == 0) return true;
    s.fsw |= fsw::ES | fsw::B;
    return false;
  }
};

/// FXSAVE areas are checked at their last byte first, as our profile's silicon does.
inline bool probe_last_byte(Vcpu& cpu, const Insn& insn, unsigned size, Access access) {
  const u64 last = (cpu.effective_address(insn) + size - 1) & insn.address_mask();
  u8 byte = 0;
  return access == Access::kWrite ? cpu.probe_write(insn.segment(), last, 1)
                                  : cpu.read(insn.segment(), last, byte);
}

/// x87 environments are checked at their first field, then at their last byte.
template <class Field>
inline bool probe_first(Vcpu& cpu, const Insn& insn, Access access) {
  const u64 first = cpu.effective_address(insn);
  Field field = 0;
  return access == Access::kWrite ? cpu.probe_write(insn.segment(), first, sizeof field)
                                  : cpu.read(insn.segment(), first, field);
}
inline bool probe_ends(Vcpu& cpu, const Insn& insn, unsigned size, Access access) {
  const bool narrow = insn.operand_log2() == 1;
  return (narrow ? probe_first<u16>(cpu, insn, access) : probe_first<u32>(cpu, insn, access)) &&
         probe_last_byte(cpu, insn, size, access);
}

/// Recomputes ES and B after FCW or FSW were loaded.
inline void update_x87_summary(CpuState& s) {
  const bool pending = (s.fsw & ~s.fcw & 0x3f) != 0;
  s.fsw = static_cast<u16>(pending ? s.fsw | fsw::ES | fsw::B : s.fsw & ~(fsw::ES | fsw::B));
}

/// An operand of 80 bits is two accesses, of 8 and of 2 bytes: each is checked by itself, against the
/// segment's limit, too, and the second one's offset wraps at the address size. The manuals leave that open;
/// our profile's silicon does so.
inline u64 offset_of_high(const Insn& insn, u64 low) { return (low + 8) & insn.address_mask(); }
inline bool read_extended(Vcpu& cpu, const Insn& insn, Float80& out) {
  const u64 low = cpu.effective_address(insn);
  return cpu.read(insn.segment(), low, out.significand) &&
         cpu.read(insn.segment(), offset_of_high(insn, low), out.sign_exponent);
}
inline bool probe_extended(Vcpu& cpu, const Insn& insn) {
  const u64 low = cpu.effective_address(insn);
  return cpu.probe_write(insn.segment(), low, 8) &&
         cpu.probe_write(insn.segment(), offset_of_high(insn, low), 2);
}
/// After `probe_extended` it can't fault.
inline bool write_extended(Vcpu& cpu, const Insn& insn, const Float80& v) {
  const u64 low = cpu.effective_address(insn);
  return cpu.write(insn.segment(), low, v.significand) &&
         cpu.write(insn.segment(), offset_of_high(insn, low), v.sign_exponent);
}

/// Reads memory operand 0 as an x87 number. `Memory`: fp::F32, F64, i16, i32 or i64.
template <class Memory>
inline bool read_x87(Vcpu& cpu, const Insn& insn, fp::Unpacked& out) {
  const fp::Environment plain;
  if constexpr (std::is_integral_v<Memory>) {
    Memory v{};
    if (!cpu.read(insn, v)) return false;
    out = fp::from_i64(v);
  } else {
    typename Memory::Storage v{};
    if (!cpu.read(insn, v)) return false;
    out = fp::unpack<Memory>(plain, v);
  }
  return true;
}

}  // namespace orrery::cpu::exec
