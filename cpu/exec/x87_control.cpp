// x87 control: FLDCW FNSTCW FNSTSW FNCLEX FNINIT FLDENV FNSTENV FRSTOR FNSAVE FFREE FINCSTP FDECSTP FNOP
// FWAIT, and EMMS. [SDM1 8.1, 8.3.11], [APM1 6.5]
//
// Environments have four layouts: 14 or 28 bytes, real mode or protected mode. [SDM1 figures 8-9 to 8-12]
// Not modelled: FCS and FDS are stored as zero where the instruction ran in 64-bit mode.
#include "cpu/exec/fp_stack.h"
#include "cpu/exec/unaligned.h"

namespace orrery::cpu::exec {
namespace {

/// The two-bit tag of physical register `i`: 0 valid, 1 zero, 2 special, 3 empty. [SDM1 8.1.7]
unsigned full_tag(const CpuState& s, unsigned i) {
  if (((s.ftw >> i) & 1) == 0) return 3;
  const unsigned exponent = s.fpr[i].sign_exponent & 0x7fff;
  if (exponent == 0) return s.fpr[i].significand == 0 ? 1 : 2;
  return exponent == 0x7fff || (s.fpr[i].significand & fp::kIntegerBit) == 0 ? 2 : 0;
}

unsigned environment_bytes(const Insn& insn) { return insn.operand_log2() == 1 ? 14 : 28; }
bool real_layout(const Vcpu& cpu) { return cpu.real_mode() || cpu.vm86(); }

void make_environment(const Vcpu& cpu, const Insn& insn, u8* out) {
  const CpuState& s = cpu.state;
  u16 tags = 0;
  for (unsigned i = 0; i < 8; ++i) tags = static_cast<u16>(tags | full_tag(s, i) << (2 * i));
  const u64 fip = s.fip, fdp = s.fdp;
  if (environment_bytes(insn) == 14) {
    const u16 words[7] = {
        s.fcw,
        s.fsw,
        tags,
        static_cast<u16>(fip),
        real_layout(cpu) ? static_cast<u16>(((fip >> 4) & 0xf000) | (s.fop & 0x7ff)) : s.fcs,
        static_cast<u16>(fdp),
        real_layout(cpu) ? static_cast<u16>((fdp >> 4) & 0xf000) : s.fds};
    __builtin_memcpy(out, words, 14);
    return;
  }
  u32 words[7] = {0xffff0000u | s.fcw,
                  0xffff0000u | s.fsw,
                  0xffff0000u | tags,
                  static_cast<u32>(fip),
                  (u32{s.fop} & 0x7ff) << 16 | s.fcs,
                  static_cast<u32>(fdp),
                  0xffff0000u | s.fds};
  if (real_layout(cpu)) {
    words[3] = 0xffff0000u | (fip & 0xffff);
    words[4] = static_cast<u32>((fip >> 16) & 0xffff) << 12 | (s.fop & 0x7ff);
    words[5] = 0xffff0000u | (fdp & 0xffff);
    words[6] = static_cast<u32>((fdp >> 16) & 0xffff) << 12;
  }
  __builtin_memcpy(out, words, 28);
}

void take_environment(Vcpu& cpu, const Insn& insn, const u8* in) {
  CpuState& s = cpu.state;
  u32 words[7];
  const bool narrow = environment_bytes(insn) == 14;
  if (narrow) {
    u16 half[7];
    __builtin_memcpy(half, in, 14);
    std::copy(half, half + 7, words);
  } else {
    __builtin_memcpy(words, in, 28);
  }
  s.fcw = static_cast<u16>((words[0] & 0x1f3f) | 0x40);
  s.fsw = static_cast<u16>(words[1]);
  s.ftw = 0;
  for (unsigned i = 0; i < 8; ++i) {
    if (((words[2] >> (2 * i)) & 3) != 3) s.ftw |= static_cast<u8>(1u << i);
  }
  if (real_layout(cpu)) {
    const u32 high = narrow ? (words[4] & 0xf000) << 4 : (words[4] & 0x0ffff000) << 4;
    const u32 data_high = narrow ? (words[6] & 0xf000) << 4 : (words[6] & 0x0ffff000) << 4;
    s.fip = (words[3] & 0xffff) | high;
    s.fdp = (words[5] & 0xffff) | data_high;
    s.fop = words[4] & 0x7ff;
    s.fcs = s.fds = 0;
  } else {
    s.fip = words[3];
    s.fdp = words[5];
    s.fop = narrow ? u16{0} : static_cast<u16>((words[4] >> 16) & 0x7ff);
    s.fcs = static_cast<u16>(words[4]);
    s.fds = static_cast<u16>(words[6]);
  }
  update_x87_summary(s);
}

// ---- The images' parts: each field, and the 8 and the 2 bytes of each register, are accesses of their own,
// one after the other, whose offsets wrap at the address size; a fault leaves what has been written. So it is
// on our profile's silicon; the manuals leave it open. ----

template <class Field>
bool write_fields(Vcpu& cpu, const Insn& insn, const u8* image, unsigned bytes) {
  const u64 first = cpu.effective_address(insn);
  for (unsigned at = 0; at < bytes; at += sizeof(Field)) {
    Field field;
    __builtin_memcpy(&field, image + at, sizeof field);
    if (!cpu.write(insn.segment(), (first + at) & insn.address_mask(), field)) return false;
  }
  return true;
}
template <class Field>
bool read_fields(Vcpu& cpu, const Insn& insn, u8* image, unsigned bytes) {
  const u64 first = cpu.effective_address(insn);
  for (unsigned at = 0; at < bytes; at += sizeof(Field)) {
    Field field;
    if (!cpu.read(insn.segment(), (first + at) & insn.address_mask(), field)) return false;
    __builtin_memcpy(image + at, &field, sizeof field);
  }
  return true;
}
bool write_environment(Vcpu& cpu, const Insn& insn) {
  u8 image[28];
  make_environment(cpu, insn, image);
  const unsigned bytes = environment_bytes(insn);
  return bytes == 14 ? write_fields<u16>(cpu, insn, image, bytes)
                     : write_fields<u32>(cpu, insn, image, bytes);
}
bool read_environment(Vcpu& cpu, const Insn& insn, u8 (&image)[28]) {
  const unsigned bytes = environment_bytes(insn);
  return bytes == 14 ? read_fields<u16>(cpu, insn, image, bytes) : read_fields<u32>(cpu, insn, image, bytes);
}
/// Offsets of the two parts of ST(`i`) behind an environment.
struct RegisterParts {
  u64 low, high;
};
RegisterParts parts_of(const Vcpu& cpu, const Insn& insn, unsigned i) {
  const u64 low = cpu.effective_address(insn) + environment_bytes(insn) + 10 * i;
  return {low & insn.address_mask(), (low + 8) & insn.address_mask()};
}

void initialise(CpuState& s) {
  s.fcw = 0x37f;
  s.fsw = 0;
  s.ftw = 0;
  s.fop = s.fcs = s.fds = 0;
  s.fip = s.fdp = 0;
}

Outcome fnstcw(Vcpu& cpu, const Insn& insn) {
  return cpu.write(insn, cpu.state.fcw) ? Outcome::kNext : Outcome::kFault;
}
Outcome fldcw(Vcpu& cpu, const Insn& insn) {
  if (x87_pending(cpu)) return cpu.raise(kMF);
  u16 v = 0;
  if (!cpu.read(insn, v)) return Outcome::kFault;
  cpu.state.fcw = static_cast<u16>((v & 0x1f3f) | 0x40);
  update_x87_summary(cpu.state);
  return Outcome::kNext;
}
Outcome fnstsw(Vcpu& cpu, const Insn& insn) {
  return write_operand<u16>(cpu, insn, 0, cpu.state.fsw) ? Outcome::kNext : Outcome::kFault;
}
Outcome fnclex(Vcpu& cpu, const Insn&) {
  cpu.state.fsw &= 0x7f00;
  return Outcome::kNext;
}
Outcome fninit(Vcpu& cpu, const Insn&) {
  initialise(cpu.state);
  return Outcome::kNext;
}
Outcome fnstenv(Vcpu& cpu, const Insn& insn) {
  if (!probe_ends(cpu, insn, environment_bytes(insn), Access::kWrite) || !write_environment(cpu, insn))
    return Outcome::kFault;
  cpu.state.fcw |= 0x3f;
  update_x87_summary(cpu.state);
  return Outcome::kNext;
}
Outcome fldenv(Vcpu& cpu, const Insn& insn) {
  if (x87_pending(cpu)) return cpu.raise(kMF);
  u8 image[28];
  if (!probe_ends(cpu, insn, environment_bytes(insn), Access::kRead) || !read_environment(cpu, insn, image))
    return Outcome::kFault;
  take_environment(cpu, insn, image);
  return Outcome::kNext;
}
/// The environment, then ST(0) to ST(7) of 10 bytes each.
Outcome fnsave(Vcpu& cpu, const Insn& insn) {
  if (!probe_ends(cpu, insn, environment_bytes(insn) + 80, Access::kWrite) || !write_environment(cpu, insn))
    return Outcome::kFault;
  const unsigned top = (cpu.state.fsw >> fsw::kTopShift) & 7;
  for (unsigned i = 0; i < 8; ++i) {
    const Float80& st = cpu.state.fpr[(top + i) & 7];
    const RegisterParts at = parts_of(cpu, insn, i);
    if (!write_unaligned(cpu, insn.segment(), at.low, st.significand) ||
        !write_unaligned(cpu, insn.segment(), at.high, st.sign_exponent))
      return Outcome::kFault;
  }
  initialise(cpu.state);
  return Outcome::kNext;
}
Outcome frstor(Vcpu& cpu, const Insn& insn) {
  if (x87_pending(cpu)) return cpu.raise(kMF);
  u8 image[28];
  Float80 st[8];
  if (!probe_ends(cpu, insn, environment_bytes(insn) + 80, Access::kRead) ||
      !read_environment(cpu, insn, image))
    return Outcome::kFault;
  for (unsigned i = 0; i < 8; ++i) {
    const RegisterParts at = parts_of(cpu, insn, i);
    if (!read_unaligned(cpu, insn.segment(), at.low, st[i].significand) ||
        !read_unaligned(cpu, insn.segment(), at.high, st[i].sign_exponent))
      return Outcome::kFault;
  }
  take_environment(cpu, insn, image);
  const unsigned top = (cpu.state.fsw >> fsw::kTopShift) & 7;
  for (unsigned i = 0; i < 8; ++i) cpu.state.fpr[(top + i) & 7] = st[i];
  return Outcome::kNext;
}

template <bool kPop>
Outcome ffree(Vcpu& cpu, const Insn& insn) {
  if (x87_pending(cpu)) return cpu.raise(kMF);
  X87 f(cpu, insn);
  f.free(insn.op[0]);
  if (kPop) f.pop();
  return Outcome::kNext;
}
template <int kStep>
Outcome step_top(Vcpu& cpu, const Insn& insn) {
  if (x87_pending(cpu)) return cpu.raise(kMF);
  X87 f(cpu, insn);
  f.set_top(f.top() + static_cast<unsigned>(kStep));
  return Outcome::kNext;
}
Outcome fnop(Vcpu& cpu, const Insn& insn) {
  if (x87_pending(cpu)) return cpu.raise(kMF);
  cpu.state.fip = cpu.state.rip() - insn.length;
  cpu.state.fcs = cpu.state.seg[kCs].selector;
  cpu.state.fop = static_cast<u16>(insn.imm & 0x7ff);
  return Outcome::kNext;
}
Outcome fwait(Vcpu& cpu, const Insn&) { return x87_pending(cpu) ? cpu.raise(kMF) : Outcome::kNext; }
Outcome emms(Vcpu& cpu, const Insn&) {
  if (x87_pending(cpu)) return cpu.raise(kMF);
  cpu.state.ftw = 0;
  cpu.state.fsw &= static_cast<u16>(~fsw::TOP);
  return Outcome::kNext;
}
/// FENI, FDISI and FSETPM of the 8087 and 80287 do nothing.
Outcome nothing(Vcpu&, const Insn&) { return Outcome::kNext; }

}  // namespace

#define ONE_FORM(name, handler) \
  Handler select_##name(const Insn&, const DecodedForm&) { return &handler; }
ONE_FORM(fnstcw, fnstcw)
ONE_FORM(fldcw, fldcw)
ONE_FORM(fnstsw, fnstsw)
ONE_FORM(fnclex, fnclex)
ONE_FORM(fninit, fninit)
ONE_FORM(fnstenv, fnstenv)
ONE_FORM(fldenv, fldenv)
ONE_FORM(fnsave, fnsave)
ONE_FORM(frstor, frstor)
ONE_FORM(ffree, ffree<false>)
ONE_FORM(ffreep, ffree<true>)
ONE_FORM(fincstp, step_top<1>)
ONE_FORM(fdecstp, step_top<-1>)
ONE_FORM(fnop, fnop)
ONE_FORM(fwait, fwait)
ONE_FORM(emms, emms)
ONE_FORM(x87_nop, nothing)

}  // namespace orrery::cpu::exec
