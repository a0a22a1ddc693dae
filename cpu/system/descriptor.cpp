#include "cpu/system/descriptor.h"

namespace orrery::cpu {
namespace {

/// The linear address of a selector's descriptor, or nothing when it lies outside its table.
std::optional<u64> descriptor_address(const Vcpu& cpu, u16 selector, unsigned bytes) {
  const u64 offset = selector & 0xfff8u;
  if ((selector & kSelectorTi) != 0) {
    const Segment& ldt = cpu.state.seg[kLdtr];
    if (!ldt.usable() || offset + bytes - 1 > ldt.limit) return std::nullopt;
    return ldt.base + offset;
  }
  if (offset + bytes - 1 > cpu.state.gdt_limit) return std::nullopt;
  return cpu.state.gdt_base + offset;
}

constexpr Segment null_segment(u16 selector) {
  return {.base = 0, .limit = 0, .attributes = seg_attr::kUnusable, .selector = selector};
}

}  // namespace

bool read_descriptor(Vcpu& cpu, u16 selector, Descriptor& out, Vector vector, bool wide) {
  const unsigned bytes = wide ? 16 : 8;
  const auto address = descriptor_address(cpu, selector, bytes);
  if (!address) {
    cpu.raise(vector, selector_error(selector));
    return false;
  }
  out = Descriptor{.table_address = *address};
  if (!cpu.read_linear<u64>(*address, out.low, Privilege::kImplicit)) return false;
  return !wide || cpu.read_linear<u64>(*address + 8, out.high, Privilege::kImplicit);
}

Peek peek_descriptor(Vcpu& cpu, u16 selector, Descriptor& out) {
  if (is_null_selector(selector)) return Peek::kMissing;
  const auto address = descriptor_address(cpu, selector, 8);
  if (!address) return Peek::kMissing;
  out = Descriptor{.table_address = *address};
  return cpu.read_linear<u64>(*address, out.low, Privilege::kImplicit) ? Peek::kFound : Peek::kFault;
}

bool mark_accessed(Vcpu& cpu, Descriptor& descriptor) {
  constexpr u64 kAccessedBit = u64{1} << 40;
  if ((descriptor.low & kAccessedBit) != 0) return true;
  descriptor.low |= kAccessedBit;
  return cpu.write_linear<u8>(descriptor.table_address + 5, static_cast<u8>(descriptor.low >> 40),
                              Privilege::kImplicit);
}

void load_real_segment(Vcpu& cpu, SegmentIndex index, u16 selector) {
  Segment& s = cpu.state.seg[index];
  s.selector = selector;
  s.base = u64{selector} << 4;
  if (cpu.vm86()) {
    s.limit = 0xffff;
    s.attributes =
        seg_attr::kP | seg_attr::kS | (3u << seg_attr::kDplShift) | seg_attr::kWritable | seg_attr::kAccessed;
  } else if (index == kCs) {
    // The limit stays ("unreal mode"); the rights become those of a readable, writable segment.
    s.attributes = seg_attr::kP | seg_attr::kS | seg_attr::kWritable | seg_attr::kAccessed;
  } else if (!s.usable()) {
    s.limit = 0xffff;
    s.attributes = seg_attr::kP | seg_attr::kS | seg_attr::kWritable | seg_attr::kAccessed;
  }
}

bool load_data_segment(Vcpu& cpu, SegmentIndex index, u16 selector) {
  if (!cpu.protected_mode() || cpu.vm86()) {
    load_real_segment(cpu, index, selector);
    cpu.mode_changed();
    return true;
  }
  const unsigned rpl = selector & kSelectorRplMask;
  if (is_null_selector(selector)) {
    if (index == kSs && !(cpu.long64() && cpu.cpl() != 3 && rpl == cpu.cpl())) {
      cpu.raise(kGP, 0);
      return false;
    }
    if (index == kSs) {
      set_null_stack_segment(cpu, rpl);
    } else {
      // The base is cleared too: CPUID 8000_0021 says so [APM3 E.4.13].
      cpu.state.seg[index] = null_segment(selector);
    }
    cpu.mode_changed();
    return true;
  }
  Descriptor d;
  if (!read_descriptor(cpu, selector, d, kGP)) return false;
  bool good = !d.is_system();
  if (index == kSs) {
    good = good && !d.is_code() && d.is_readable_or_writable() && rpl == cpu.cpl() && d.dpl() == cpu.cpl();
  } else {
    good = good && (!d.is_code() || d.is_readable_or_writable());
    const bool conforming = d.is_code() && d.is_conforming();
    if (good && !conforming) good = d.dpl() >= rpl && d.dpl() >= cpu.cpl();
  }
  if (!good) {
    cpu.raise(kGP, selector_error(selector));
    return false;
  }
  if (!d.present()) {
    cpu.raise(index == kSs ? kSS_ : kNP, selector_error(selector));
    return false;
  }
  if (!mark_accessed(cpu, d)) return false;
  cpu.state.seg[index] = d.to_segment(selector);
  cpu.mode_changed();
  return true;
}

void set_code_segment(Vcpu& cpu, const Descriptor& descriptor, u16 selector, unsigned cpl) {
  cpu.state.seg[kCs] = descriptor.to_segment(static_cast<u16>((selector & ~kSelectorRplMask) | cpl));
  cpu.state.cpl = static_cast<u8>(cpl);
  const bool was_64 = cpu.long64();
  cpu.mode_changed();
  // The upper half of the registers is undefined after leaving 64-bit mode [SDM1 3.4.1.1]. Our profile's
  // silicon clears RSP's, and only that.
  if (was_64 && !cpu.long64()) cpu.state.gpr[kRsp] &= 0xffffffffu;
}

void set_null_stack_segment(Vcpu& cpu, unsigned cpl) {
  cpu.state.seg[kSs] = {.base = 0,
                        .limit = 0xffffffff,
                        .attributes = seg_attr::kUnusable | (cpl << seg_attr::kDplShift) | seg_attr::kDb,
                        .selector = static_cast<u16>(cpl)};
}

bool load_ldtr(Vcpu& cpu, u16 selector) {
  if (is_null_selector(selector)) {
    cpu.state.seg[kLdtr] = null_segment(selector);
    return true;
  }
  if ((selector & kSelectorTi) != 0) {
    cpu.raise(kGP, selector_error(selector));
    return false;
  }
  Descriptor d;
  if (!read_descriptor(cpu, selector, d, kGP, cpu.long_mode())) return false;
  if (!d.is_system() || d.type() != 2 || !d.upper_half_is_plain()) {
    cpu.raise(kGP, selector_error(selector));
    return false;
  }
  if (!d.present()) {
    cpu.raise(kNP, selector_error(selector));
    return false;
  }
  if (cpu.long_mode() && !cpu.canonical_base(d.base())) {
    cpu.raise(kGP, selector_error(selector));
    return false;
  }
  cpu.state.seg[kLdtr] = d.to_segment(selector);
  return true;
}

bool load_tr(Vcpu& cpu, u16 selector) {
  if (is_null_selector(selector)) {
    cpu.raise(kGP, 0);
    return false;
  }
  if ((selector & kSelectorTi) != 0) {
    cpu.raise(kGP, selector_error(selector));
    return false;
  }
  Descriptor d;
  if (!read_descriptor(cpu, selector, d, kGP, cpu.long_mode())) return false;
  const bool available = d.type() == 9 || (d.type() == 1 && !cpu.long_mode());
  if (!d.is_system() || !available || !d.upper_half_is_plain()) {
    cpu.raise(kGP, selector_error(selector));
    return false;
  }
  if (!d.present()) {
    cpu.raise(kNP, selector_error(selector));
    return false;
  }
  if (cpu.long_mode() && !cpu.canonical_base(d.base())) {
    cpu.raise(kGP, selector_error(selector));
    return false;
  }
  d.low |= u64{2} << 40;  // busy
  if (!cpu.write_linear<u8>(d.table_address + 5, static_cast<u8>(d.low >> 40), Privilege::kImplicit))
    return false;
  cpu.state.seg[kTr] = d.to_segment(selector);
  return true;
}

}  // namespace orrery::cpu
