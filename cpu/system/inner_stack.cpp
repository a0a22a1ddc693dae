#include "cpu/system/inner_stack.h"

#include "cpu/system/descriptor.h"

namespace orrery::cpu {
namespace {

bool fail(Vcpu& cpu, Vector vector, u32 error, std::string why) {
  cpu.raise(vector, error);
  cpu.delivery_failure = std::move(why);
  return false;
}

bool tss_too_short(Vcpu& cpu, u32 ext) {
  return fail(cpu, kTS, selector_error(cpu.state.seg[kTr].selector) | ext,
              "the TSS is too short for the stack pointer");
}

}  // namespace

bool read_inner_stack(Vcpu& cpu, unsigned cpl, u32 ext, InnerStack& out) {
  const Segment& tss = cpu.state.seg[kTr];
  const bool tss32 = (tss.type() & 8) != 0;
  const u64 slot = tss32 ? 4 + 8 * u64{cpl} : 2 + 4 * u64{cpl};
  if (slot + (tss32 ? 5 : 3) > tss.limit) return tss_too_short(cpu, ext);
  if (tss32) {
    u32 sp32;
    if (!cpu.read_linear<u32>(tss.base + slot, sp32, Privilege::kImplicit)) return false;
    out.sp = sp32;
  } else {
    u16 sp16;
    if (!cpu.read_linear<u16>(tss.base + slot, sp16, Privilege::kImplicit)) return false;
    out.sp = sp16;
  }
  u16 selector;
  if (!cpu.read_linear<u16>(tss.base + slot + (tss32 ? 4 : 2), selector, Privilege::kImplicit)) return false;
  const u32 error = selector_error(selector) | ext;
  if (is_null_selector(selector)) return fail(cpu, kTS, ext, "the TSS names a null stack segment");
  Descriptor d;
  if (!read_descriptor(cpu, selector, d, kTS)) {
    if (cpu.fault().vector == kTS) cpu.raise(kTS, error);
    return false;
  }
  if ((selector & kSelectorRplMask) != cpl || d.is_system() || d.is_code() || d.dpl() != cpl ||
      !d.is_readable_or_writable()) {
    return fail(cpu, kTS, error,
                fmt::format("the TSS's stack segment {:#x} is not fit for ring {}", selector, cpl));
  }
  if (!d.present()) return fail(cpu, kSS_, error, "the TSS's stack segment is not present");
  if (!mark_accessed(cpu, d)) return false;
  out.ss = d.to_segment(selector);
  return true;
}

bool read_inner_stack_64(Vcpu& cpu, unsigned cpl, unsigned ist, u32 ext, u64& out) {
  const Segment& tss = cpu.state.seg[kTr];
  const u64 slot = ist != 0 ? 36 + 8 * (u64{ist} - 1) : 4 + 8 * u64{cpl};
  if (slot + 7 > tss.limit) return tss_too_short(cpu, ext);
  return cpu.read_linear<u64>(tss.base + slot, out, Privilege::kImplicit);
}

namespace {

/// The new ring and its stack, while something of them is looked at or written; then the old ones again.
class OnInnerStack {
 public:
  OnInnerStack(Vcpu& cpu, unsigned cpl, const Segment& ss)
      : cpu_(cpu), ss_(cpu.state.seg[kSs]), flags_(cpu.state.rflags), cpl_(cpu.state.cpl) {
    CpuState& s = cpu_.state;
    s.seg[kSs] = ss;
    // Out of ring 3 it is an implicit supervisor access: RFLAGS.AC, which programs may set, does not lift
    // SMAP. Of inner rings it is an explicit one. [SDM3 4.6.1]
    s.rflags &= ~(rflags::VM | (s.cpl == 3 && cpl != 3 ? rflags::AC : 0));
    s.cpl = static_cast<u8>(cpl);
    cpu_.mode_changed();
  }
  ~OnInnerStack() {
    cpu_.state.seg[kSs] = ss_;
    cpu_.state.rflags = flags_;
    cpu_.state.cpl = cpl_;
    cpu_.mode_changed();
  }
  OnInnerStack(const OnInnerStack&) = delete;
  OnInnerStack& operator=(const OnInnerStack&) = delete;

 private:
  Vcpu& cpu_;
  const Segment ss_;
  const u64 flags_;
  const u8 cpl_;
};

u64 mask_of(const InnerStack& stack) {
  return (stack.ss.attributes & seg_attr::kDb) != 0 ? 0xffffffffu : 0xffffu;
}

}  // namespace

template <class T>
bool check_room(Vcpu& cpu, unsigned cpl, size_t words, u32 stack_error, const InnerStack& stack) {
  const OnInnerStack inner(cpu, cpl, stack.ss);
  for (size_t i = 1; i <= words; ++i) {
    u64 linear = 0;
    const u64 at = (stack.sp - i * sizeof(T)) & mask_of(stack);
    if (!cpu.segment_linear(kSs, at, sizeof(T), Access::kWrite, linear)) {
      cpu.raise(kSS_, stack_error);
      return false;
    }
  }
  return true;
}

template <class T>
bool push_inner_frame(Vcpu& cpu, unsigned cpl, std::span<const T> words, u32 stack_error, InnerStack& stack) {
  const u64 mask = mask_of(stack);
  const u64 bottom = (stack.sp - words.size() * sizeof(T)) & mask;
  const OnInnerStack inner(cpu, cpl, stack.ss);
  for (size_t i = words.size(); i > 0; --i) {
    if (cpu.write<T>(kSs, (bottom + (i - 1) * sizeof(T)) & mask, words[i - 1])) continue;
    if (cpu.fault().vector == kSS_) cpu.raise(kSS_, stack_error);
    return false;
  }
  stack.sp = mask == 0xffff ? (stack.sp & ~mask) | bottom : bottom;
  return true;
}

bool push_frame_64(Vcpu& cpu, unsigned cpl, std::span<const u64> words, u32 stack_error, u64& sp) {
  const u64 bottom = sp - 8 * words.size();
  if (!cpu.canonical(bottom) || !cpu.canonical(sp - 1)) {
    return fail(cpu, kSS_, stack_error, fmt::format("the stack {:#x} is not canonical", sp));
  }
  // Written with the new ring's privilege. Out of ring 3 it is an implicit supervisor access, which RFLAGS.AC
  // does not help; of inner rings an explicit one. [SDM3 4.6.1]
  const Privilege privilege = cpl == 3             ? Privilege::kUser
                              : cpu.state.cpl == 3 ? Privilege::kImplicit
                                                   : Privilege::kCurrent;
  const u8 old_cpl = cpu.state.cpl;
  cpu.state.cpl = static_cast<u8>(cpl);
  // It is pushed from the top down, which shows in CR2.
  const u64 top = sp - 8;
  const u64 below = align_down(top, memory::kPageBytes) - 8;
  u64 physical = 0;
  const bool written =
      cpu.translate(top, Access::kWrite, privilege, physical) &&
      (below < bottom || cpu.translate(below, Access::kWrite, privilege, physical)) &&
      cpu.write_linear_bytes(bottom, words.data(), static_cast<unsigned>(8 * words.size()), privilege);
  cpu.state.cpl = old_cpl;
  if (!written) {
    cpu.delivery_failure = fmt::format("the stack at {:#x} can't be written", bottom);
    return false;
  }
  sp = bottom;
  return true;
}

template bool check_room<u16>(Vcpu&, unsigned, size_t, u32, const InnerStack&);
template bool check_room<u32>(Vcpu&, unsigned, size_t, u32, const InnerStack&);
template bool push_inner_frame<u16>(Vcpu&, unsigned, std::span<const u16>, u32, InnerStack&);
template bool push_inner_frame<u32>(Vcpu&, unsigned, std::span<const u32>, u32, InnerStack&);

}  // namespace orrery::cpu
