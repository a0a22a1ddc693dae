// Segment registers and descriptors: MOV, PUSH, POP of them, LDS LES LFS LGS LSS, LAR LSL VERR VERW ARPL,
// LLDT SLDT LTR STR, SWAPGS, RDFSBASE and relatives. [SDM2], [APM3]
#include "cpu/exec/common.h"
#include "cpu/exec/far_pointer.h"
#include "cpu/exec/selectors.h"
#include "cpu/exec/stack.h"
#include "cpu/flags.h"
#include "cpu/system/descriptor.h"

namespace orrery::cpu::exec {
namespace {

/// The instruction behind MOV SS or POP SS sees no interrupt and no debug trap [SDM3 6.8.3].
Outcome shadow_if_ss(Vcpu& cpu, SegmentIndex index) {
  if (index != kSs) return Outcome::kEndTrace;
  cpu.state.shadow = Shadow::kMovSs;
  cpu.set_attention();
  return Outcome::kEndTrace;
}

Outcome mov_to_segment(Vcpu& cpu, const Insn& insn) {
  const auto index = static_cast<SegmentIndex>(insn.op[0]);
  if (index == kCs) return cpu.raise(kUD);
  u16 selector;
  if (!read_operand<u16>(cpu, insn, 1, selector) || !load_data_segment(cpu, index, selector))
    return Outcome::kFault;
  return shadow_if_ss(cpu, index);
}
Outcome mov_from_segment(Vcpu& cpu, const Insn& insn) {
  const u16 selector = cpu.state.seg[insn.op[1]].selector;
  if (insn.mem_at(0)) return cpu.write<u16>(insn, selector) ? Outcome::kNext : Outcome::kFault;
  switch (insn.operand_log2()) {
    case 1:
      cpu.set_reg<u16>(insn.op[0], selector);
      break;
    case 2:
      cpu.set_reg<u32>(insn.op[0], selector);
      break;
    default:
      cpu.set_reg<u64>(insn.op[0], selector);
      break;
  }
  return Outcome::kNext;
}

template <class T>
Outcome push_segment(Vcpu& cpu, const Insn& insn) {
  return push<T>(cpu, cpu.state.seg[insn.op[0]].selector) ? Outcome::kNext : Outcome::kFault;
}
template <class T>
Outcome pop_segment(Vcpu& cpu, const Insn& insn) {
  const auto index = static_cast<SegmentIndex>(insn.op[0]);
  T value;
  if (!peek<T>(cpu, 0, value)) return Outcome::kFault;
  const u64 mask = stack_mask(cpu);
  const u64 sp = cpu.state.gpr[kRsp] + sizeof(T);
  if (!load_data_segment(cpu, index, static_cast<u16>(value))) return Outcome::kFault;
  set_stack_pointer(cpu, sp, mask);
  return shadow_if_ss(cpu, index);
}

template <SegmentIndex kIndex>
Outcome load_far_pointer(Vcpu& cpu, const Insn& insn) {
  FarPointer to;
  if (!read_far_pointer(cpu, insn, to) || !load_data_segment(cpu, kIndex, to.selector))
    return Outcome::kFault;
  if (insn.operand_log2() == 1) {
    cpu.set_reg<u16>(insn.op[0], static_cast<u16>(to.offset));
  } else {
    cpu.state.gpr[insn.op[0]] = to.offset;
  }
  return Outcome::kEndTrace;
}

bool protected_only(Vcpu& cpu) {
  if (cpu.protected_mode() && !cpu.vm86()) return true;
  cpu.raise(kUD);
  return false;
}

/// Whether LAR and LSL know this descriptor type; gates are for LAR only.
bool visible_type(const Vcpu& cpu, const Descriptor& d, bool gates) {
  if (!d.is_system()) return true;
  switch (d.type()) {
    case 1:
    case 3:
      return !cpu.long_mode();
    case 2:
    case 9:
    case 11:
      return true;
    case 4:
    case 5:
      return gates && !cpu.long_mode();
    case 12:
      return gates;
    default:
      return false;
  }
}
bool privilege_allows(const Vcpu& cpu, const Descriptor& d, u16 selector) {
  if (d.is_code() && d.is_conforming()) return true;
  return d.dpl() >= cpu.cpl() && d.dpl() >= (selector & kSelectorRplMask);
}

template <bool kLimit>
Outcome lar_lsl(Vcpu& cpu, const Insn& insn) {
  u16 selector;
  if (!protected_only(cpu) || !read_operand<u16>(cpu, insn, 1, selector)) return Outcome::kFault;
  Descriptor d;
  const Peek found = peek_descriptor(cpu, selector, d);
  if (found == Peek::kFault) return Outcome::kFault;
  const bool good =
      found == Peek::kFound && visible_type(cpu, d, !kLimit) && privilege_allows(cpu, d, selector);
  set_flags(cpu.state, rflags::ZF, good ? rflags::ZF : 0);
  if (!good) return Outcome::kNext;
  const u32 value = kLimit ? d.limit() : static_cast<u32>(d.low >> 32) & 0x00ffff00u;
  switch (insn.operand_log2()) {
    case 1:
      cpu.set_reg<u16>(insn.op[0], static_cast<u16>(value));
      break;
    case 2:
      cpu.set_reg<u32>(insn.op[0], value);
      break;
    default:
      cpu.set_reg<u64>(insn.op[0], value);
      break;
  }
  return Outcome::kNext;
}

template <bool kWrite>
Outcome verify(Vcpu& cpu, const Insn& insn) {
  u16 selector;
  if (!protected_only(cpu) || !read_operand<u16>(cpu, insn, 0, selector)) return Outcome::kFault;
  Descriptor d;
  const Peek found = peek_descriptor(cpu, selector, d);
  if (found == Peek::kFault) return Outcome::kFault;
  bool good = found == Peek::kFound && !d.is_system() && privilege_allows(cpu, d, selector);
  if (good)
    good = kWrite ? !d.is_code() && d.is_readable_or_writable() : !d.is_code() || d.is_readable_or_writable();
  set_flags(cpu.state, rflags::ZF, good ? rflags::ZF : 0);
  return Outcome::kNext;
}

Outcome arpl(Vcpu& cpu, const Insn& insn) {
  if (!protected_only(cpu)) return Outcome::kFault;
  const u16 rpl = cpu.reg<u16>(insn.op[1]) & kSelectorRplMask;
  u16 old;
  if (!read_operand<u16>(cpu, insn, 0, old)) return Outcome::kFault;
  const bool raises = (old & kSelectorRplMask) < rpl;
  const auto value = static_cast<u16>(raises ? (old & ~kSelectorRplMask) | rpl : old);
  // A plain read, and a write only if the selector changes.
  if (!insn.mem_at(0)) {
    cpu.set_reg<u16>(insn.op[0], value);
  } else if (raises && !cpu.write<u16>(insn, value)) {
    return Outcome::kFault;
  }
  set_flags(cpu.state, rflags::ZF, raises ? rflags::ZF : 0);
  return Outcome::kNext;
}

template <SegmentIndex kIndex>
Outcome store_selector(Vcpu& cpu, const Insn& insn) {
  if (!protected_only(cpu) || !umip_allows(cpu)) return Outcome::kFault;
  const u16 selector = cpu.state.seg[kIndex].selector;
  if (insn.mem_at(0)) return cpu.write<u16>(insn, selector) ? Outcome::kNext : Outcome::kFault;
  if (insn.operand_log2() == 1) {
    cpu.set_reg<u16>(insn.op[0], selector);
  } else {
    cpu.state.gpr[insn.op[0]] = selector;
  }
  return Outcome::kNext;
}
template <bool (*kLoad)(Vcpu&, u16)>
Outcome load_system_segment(Vcpu& cpu, const Insn& insn) {
  if (!protected_only(cpu)) return Outcome::kFault;
  if (cpu.cpl() != 0) return cpu.raise(kGP, 0);
  u16 selector;
  if (!read_operand<u16>(cpu, insn, 0, selector) || !kLoad(cpu, selector)) return Outcome::kFault;
  return Outcome::kEndTrace;
}

Outcome swapgs(Vcpu& cpu, const Insn&) {
  if (cpu.cpl() != 0) return cpu.raise(kGP, 0);
  std::swap(cpu.state.seg[kGs].base, cpu.state.kernel_gs_base);
  cpu.mode_changed();
  return Outcome::kNext;
}

template <class T, SegmentIndex kIndex, bool kWrite>
Outcome segment_base(Vcpu& cpu, const Insn& insn) {
  if ((cpu.state.cr4 & cr4::FSGSBASE) == 0) return cpu.raise(kUD);
  if constexpr (kWrite) {
    const u64 base = cpu.reg<T>(insn.op[0]);
    if (!cpu.canonical_base(base)) return cpu.raise(kGP, 0);
    cpu.state.seg[kIndex].base = base;
    cpu.mode_changed();
  } else {
    cpu.set_reg<T>(insn.op[0], static_cast<T>(cpu.state.seg[kIndex].base));
  }
  return Outcome::kNext;
}
template <SegmentIndex kIndex, bool kWrite>
Handler select_segment_base(const DecodedForm& f) {
  return f.size_bits[0] == 64 ? &segment_base<u64, kIndex, kWrite> : &segment_base<u32, kIndex, kWrite>;
}

}  // namespace

Handler select_mov_segment(const Insn&, const DecodedForm& f) {
  return f.kind[0] == OperandKind::kSegment ? mov_to_segment : mov_from_segment;
}
Handler select_push_segment(const Insn& insn, const DecodedForm&) {
  return ORRERY_BY_SIZE_NO8(8u << insn.operand_log2(), push_segment);
}
Handler select_pop_segment(const Insn& insn, const DecodedForm&) {
  return ORRERY_BY_SIZE_NO8(8u << insn.operand_log2(), pop_segment);
}
Handler select_les(const Insn&, const DecodedForm&) { return load_far_pointer<kEs>; }
Handler select_lds(const Insn&, const DecodedForm&) { return load_far_pointer<kDs>; }
Handler select_lss(const Insn&, const DecodedForm&) { return load_far_pointer<kSs>; }
Handler select_lfs(const Insn&, const DecodedForm&) { return load_far_pointer<kFs>; }
Handler select_lgs(const Insn&, const DecodedForm&) { return load_far_pointer<kGs>; }
Handler select_lar(const Insn&, const DecodedForm&) { return lar_lsl<false>; }
Handler select_lsl(const Insn&, const DecodedForm&) { return lar_lsl<true>; }
Handler select_verr(const Insn&, const DecodedForm&) { return verify<false>; }
Handler select_verw(const Insn&, const DecodedForm&) { return verify<true>; }
Handler select_arpl(const Insn&, const DecodedForm&) { return arpl; }
Handler select_sldt(const Insn&, const DecodedForm&) { return store_selector<kLdtr>; }
Handler select_str(const Insn&, const DecodedForm&) { return store_selector<kTr>; }
Handler select_lldt(const Insn&, const DecodedForm&) { return load_system_segment<load_ldtr>; }
Handler select_ltr(const Insn&, const DecodedForm&) { return load_system_segment<load_tr>; }
Handler select_swapgs(const Insn&, const DecodedForm&) { return swapgs; }
Handler select_rdfsbase(const Insn&, const DecodedForm& f) { return select_segment_base<kFs, false>(f); }
Handler select_rdgsbase(const Insn&, const DecodedForm& f) { return select_segment_base<kGs, false>(f); }
Handler select_wrfsbase(const Insn&, const DecodedForm& f) { return select_segment_base<kFs, true>(f); }
Handler select_wrgsbase(const Insn&, const DecodedForm& f) { return select_segment_base<kGs, true>(f); }

}  // namespace orrery::cpu::exec
