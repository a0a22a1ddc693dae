#include "control/guest_registers.h"

#include <array>
#include <cstring>

#include "base/bits.h"
#include "cpu/apic/local_apic.h"
#include "cpu/vcpu.h"

namespace orrery::control {
namespace {

/// gdb's order in the processor's numbers.
constexpr std::array<u8, 16> kGprOrder = {cpu::kRax, cpu::kRbx, cpu::kRcx, cpu::kRdx, cpu::kRsi, cpu::kRdi,
                                          cpu::kRbp, cpu::kRsp, cpu::kR8,  cpu::kR9,  cpu::kR10, cpu::kR11,
                                          cpu::kR12, cpu::kR13, cpu::kR14, cpu::kR15};
constexpr std::array<u8, 6> kSegmentOrder = {cpu::kCs, cpu::kSs, cpu::kDs, cpu::kEs, cpu::kFs, cpu::kGs};

/// What a debugger may change of RFLAGS. VM, VIF and VIP would change the mode.
constexpr u64 kWritableFlags = cpu::rflags::kArithmetic | cpu::rflags::TF | cpu::rflags::IF |
                               cpu::rflags::DF | cpu::rflags::IOPL | cpu::rflags::NT | cpu::rflags::RF |
                               cpu::rflags::AC | cpu::rflags::ID;

constexpr unsigned kTagValid = 0, kTagZero = 1, kTagSpecial = 2, kTagEmpty = 3;

/// The tag of a register's content in the full tag word [SDM1 8.1.7].
unsigned tag_of(const cpu::Float80& value) {
  const unsigned exponent = value.sign_exponent & 0x7fff;
  if (exponent == 0 && value.significand == 0) return kTagZero;
  const bool integer_bit = bit(value.significand, 63);
  return exponent == 0x7fff || exponent == 0 || !integer_bit ? kTagSpecial : kTagValid;
}

u32 full_tag_word(const cpu::CpuState& s) {
  u32 word = 0;
  for (unsigned i = 0; i < 8; ++i) word |= (bit(s.ftw, i) ? tag_of(s.fpr[i]) : kTagEmpty) << (2 * i);
  return word;
}

u8 abridged_tags(u32 full) {
  u8 tags = 0;
  for (unsigned i = 0; i < 8; ++i) {
    if (bits(full, 2 * i + 1, 2 * i) != kTagEmpty) tags = static_cast<u8>(tags | (1u << i));
  }
  return tags;
}

unsigned top_of(const cpu::CpuState& s) { return (s.fsw & cpu::fsw::TOP) >> cpu::fsw::kTopShift; }

}  // namespace

GuestRegisters read_registers(cpu::Vcpu& cpu) {
  const cpu::CpuState& s = cpu.state;
  GuestRegisters r;
  for (size_t i = 0; i < 16; ++i) {
    r.gpr[i] = s.gpr[kGprOrder[i]];
    std::memcpy(r.xmm[i], s.vec[i].b, sizeof r.xmm[i]);
  }
  r.rip = s.rip();
  r.eflags = static_cast<u32>(s.rflags);
  for (size_t i = 0; i < kSegmentOrder.size(); ++i) r.segment[i] = s.seg[kSegmentOrder[i]].selector;
  for (unsigned i = 0; i < 8; ++i) {
    const cpu::Float80& value = s.fpr[(top_of(s) + i) % 8];
    store_le(r.st[i], value.significand);
    store_le(r.st[i] + 8, value.sign_exponent);
  }
  r.x87[0] = s.fcw;
  r.x87[1] = s.fsw;
  r.x87[2] = full_tag_word(s);
  r.x87[3] = s.fcs;
  r.x87[4] = static_cast<u32>(s.fip);
  r.x87[5] = s.fds;
  r.x87[6] = static_cast<u32>(s.fdp);
  r.x87[7] = s.fop;
  r.mxcsr = s.mxcsr;
  r.fs_base = s.seg[cpu::kFs].base;
  r.gs_base = s.seg[cpu::kGs].base;
  r.k_gs_base = s.kernel_gs_base;
  r.cr0 = s.cr0;
  r.cr2 = s.cr2;
  r.cr3 = s.cr3;
  r.cr4 = s.cr4;
  r.cr8 = cpu.apic().cr8();
  r.efer = s.efer;
  return r;
}

void write_registers(cpu::Vcpu& cpu, const GuestRegisters& r) {
  cpu::CpuState& s = cpu.state;
  for (size_t i = 0; i < 16; ++i) {
    s.gpr[kGprOrder[i]] = r.gpr[i];
    std::memcpy(s.vec[i].b, r.xmm[i], sizeof r.xmm[i]);
  }
  s.gpr[cpu::kRip] = r.rip;
  s.rflags = (s.rflags & ~kWritableFlags) | (r.eflags & kWritableFlags);
  s.fcw = static_cast<u16>(r.x87[0]);
  s.fsw = static_cast<u16>(r.x87[1]);
  s.ftw = abridged_tags(r.x87[2]);
  s.fcs = static_cast<u16>(r.x87[3]);
  s.fds = static_cast<u16>(r.x87[5]);
  s.fop = static_cast<u16>(r.x87[7]);
  // gdb knows 32 bits of the pointers; an unchanged one keeps its upper half.
  if (r.x87[4] != static_cast<u32>(s.fip)) s.fip = r.x87[4];
  if (r.x87[6] != static_cast<u32>(s.fdp)) s.fdp = r.x87[6];
  for (unsigned i = 0; i < 8; ++i) {
    cpu::Float80& value = s.fpr[(top_of(s) + i) % 8];
    value.significand = load_le<u64>(r.st[i]);
    value.sign_exponent = load_le<u16>(r.st[i] + 8);
  }
  s.mxcsr = r.mxcsr & cpu::mxcsr::kWritable;
  if (cpu.canonical(r.fs_base)) s.seg[cpu::kFs].base = r.fs_base;
  if (cpu.canonical(r.gs_base)) s.seg[cpu::kGs].base = r.gs_base;
  cpu.mode_changed();
  cpu.set_attention();
}

}  // namespace orrery::control
