#include "cpu/system/task_switch.h"

#include "cpu/exec/stack.h"

namespace orrery::cpu {
namespace {

constexpr unsigned kBusy = 2, kTss32 = 8;
constexpr u32 kMinimumLimit16 = 0x2b, kMinimumLimit32 = 0x67;
constexpr u32 kDebugTrapOffset = 100;

/// The dynamic fields of both formats, in the 32-bit one's order of registers. [SDM3 figures 7-2, 7-10]
struct TaskState {
  u16 link = 0;
  u32 cr3 = 0;
  u32 eip = 0;
  u32 eflags = 0;
  u32 gpr[8] = {};
  u16 selector[6] = {};  // ES CS SS DS FS GS
  u16 ldt = 0;
  bool debug_trap = false;
};

/// Where a format keeps them. The stretch from EIP to the last selector is what a switch saves.
template <class T>
struct Layout {
  static constexpr bool k32 = sizeof(T) == 4;
  static constexpr u32 kWord = sizeof(T);
  static constexpr u32 kCr3 = 28;
  static constexpr u32 kEip = k32 ? 32 : 14;
  static constexpr u32 kEflags = kEip + kWord;
  static constexpr u32 kGpr = kEflags + kWord;
  static constexpr u32 kSelectors = kGpr + 8 * kWord;
  static constexpr unsigned kSelectorCount = k32 ? 6 : 4;
  static constexpr u32 kLdt = kSelectors + kSelectorCount * kWord;
  static constexpr u32 kSavedBytes = kLdt - kEip;
};

/// Raises what reading or writing [base, base + size) would raise.
bool probe(Vcpu& cpu, u64 base, u32 size, Access access) {
  u64 physical = 0;
  if (!cpu.translate(base & 0xffffffffu, access, Privilege::kImplicit, physical)) return false;
  const u64 last = (base + size - 1) & 0xffffffffu;
  return cpu.translate(last, access, Privilege::kImplicit, physical);
}

template <class T>
bool save_task(Vcpu& cpu, const Segment& tss, u64 flags) {
  using L = Layout<T>;
  const CpuState& s = cpu.state;
  u8 image[L::kSavedBytes] = {};
  const auto put = [&image](u32 offset, u64 value) {
    store_le<T>(image + offset - L::kEip, static_cast<T>(value));
  };
  put(L::kEip, s.gpr[kRip]);
  put(L::kEflags, flags);
  for (unsigned i = 0; i < 8; ++i) put(L::kGpr + i * L::kWord, s.gpr[i]);
  // The upper halves of the selectors' slots are zeros.
  for (unsigned i = 0; i < L::kSelectorCount; ++i) put(L::kSelectors + i * L::kWord, s.seg[i].selector);
  return cpu.write_linear_bytes(tss.base + L::kEip, image, sizeof image, Privilege::kImplicit);
}

template <class T>
bool read_task(Vcpu& cpu, u64 base, TaskState& task) {
  using L = Layout<T>;
  u8 image[kMinimumLimit32 + 1];
  const u32 size = L::k32 ? kMinimumLimit32 + 1 : kMinimumLimit16 + 1;
  if (!cpu.read_linear_bytes(base, image, size, Privilege::kImplicit)) return false;
  task.link = load_le<u16>(image);
  if (L::k32) task.cr3 = load_le<u32>(image + L::kCr3);
  task.eip = load_le<T>(image + L::kEip);
  task.eflags = load_le<T>(image + L::kEflags);
  for (unsigned i = 0; i < 8; ++i) {
    const T value = load_le<T>(image + L::kGpr + i * sizeof(T));
    task.gpr[i] = L::k32 ? value : value | 0xffff0000u;  // a 16-bit TSS leaves ones there, as the 80386 does
  }
  for (unsigned i = 0; i < L::kSelectorCount; ++i)
    task.selector[i] = load_le<u16>(image + L::kSelectors + i * sizeof(T));
  task.ldt = load_le<u16>(image + L::kLdt);
  if (L::k32) task.debug_trap = (image[kDebugTrapOffset] & 1) != 0;
  return true;
}

bool write_tss_type(Vcpu& cpu, const Descriptor& d) {
  return cpu.write_linear<u8>(d.table_address + 5, static_cast<u8>(d.low >> 40), Privilege::kImplicit);
}

bool refuse(Vcpu& cpu, Vector vector, u16 selector, u32 ext) {
  cpu.raise(vector, selector_error(selector) | ext);
  return false;
}

/// A descriptor of the new task; outside its table it is #TS(selector).
bool find_descriptor(Vcpu& cpu, u16 selector, u32 ext, Descriptor& d) {
  if (is_null_selector(selector)) return refuse(cpu, kTS, selector, ext);
  if (read_descriptor(cpu, selector, d, kTS)) return true;
  if (cpu.fault().vector == kTS) refuse(cpu, kTS, selector, ext);
  return false;
}

bool load_task_ldt(Vcpu& cpu, u16 selector, u32 ext) {
  if (is_null_selector(selector)) return true;
  if ((selector & kSelectorTi) != 0) return refuse(cpu, kTS, selector, ext);
  Descriptor d;
  if (!find_descriptor(cpu, selector, ext, d)) return false;
  if (!d.is_system() || d.type() != 2 || !d.present()) return refuse(cpu, kTS, selector, ext);
  cpu.state.seg[kLdtr] = d.to_segment(selector);
  return true;
}

/// CS and SS of the new task; CPL is CS.RPL. [SDM3 table 7-1]
bool load_task_code(Vcpu& cpu, u16 selector, u32 ext) {
  const unsigned rpl = selector & kSelectorRplMask;
  Descriptor d;
  if (!find_descriptor(cpu, selector, ext, d)) return false;
  if (!d.is_code() || (d.is_conforming() ? d.dpl() > rpl : d.dpl() != rpl))
    return refuse(cpu, kTS, selector, ext);
  if (!d.present()) return refuse(cpu, kNP, selector, ext);
  if (!mark_accessed(cpu, d)) return false;
  set_code_segment(cpu, d, selector, rpl);
  return true;
}
bool load_task_stack(Vcpu& cpu, u16 selector, u32 ext) {
  Descriptor d;
  if (!find_descriptor(cpu, selector, ext, d)) return false;
  if (d.is_system() || d.is_code() || !d.is_readable_or_writable() || d.dpl() != cpu.cpl() ||
      (selector & kSelectorRplMask) != cpu.cpl()) {
    return refuse(cpu, kTS, selector, ext);
  }
  if (!d.present()) return refuse(cpu, kSS_, selector, ext);
  if (!mark_accessed(cpu, d)) return false;
  cpu.state.seg[kSs] = d.to_segment(selector);
  return true;
}
bool load_task_data(Vcpu& cpu, SegmentIndex index, u16 selector, u32 ext) {
  if (is_null_selector(selector)) return true;
  Descriptor d;
  if (!find_descriptor(cpu, selector, ext, d)) return false;
  const bool conforming = d.is_code() && d.is_conforming();
  if (d.is_system() || (d.is_code() && !d.is_readable_or_writable()) ||
      (!conforming && (d.dpl() < cpu.cpl() || d.dpl() < (selector & kSelectorRplMask)))) {
    return refuse(cpu, kTS, selector, ext);
  }
  if (!d.present()) return refuse(cpu, kNP, selector, ext);
  if (!mark_accessed(cpu, d)) return false;
  cpu.state.seg[index] = d.to_segment(selector);
  return true;
}

/// Puts the new task's registers in, selectors first without their descriptors, then those one by one.
bool load_task(Vcpu& cpu, const TaskState& task, bool is_32, u32 ext) {
  CpuState& s = cpu.state;
  s.gpr[kRip] = task.eip;
  for (unsigned i = 0; i < 8; ++i) s.gpr[i] = task.gpr[i];
  for (unsigned i = 0; i <= kLdtr; ++i) {
    const u16 selector = i == kLdtr ? task.ldt : task.selector[i];
    s.seg[i] = {.base = 0, .limit = 0, .attributes = seg_attr::kUnusable, .selector = selector};
  }
  s.dr7 &= ~u64{0x155};  // the local enables, and LE [SDM3 17.2.4]
  s.cr0 |= cr0::TS;
  const bool to_vm86 = is_32 && (task.eflags & rflags::VM) != 0;
  s.cpl = to_vm86 ? 3 : static_cast<u8>(task.selector[kCs] & kSelectorRplMask);
  s.rflags = (task.eflags & 0x003f7fd7u) | rflags::kFixed;
  if (is_32 && (s.cr0 & cr0::PG) != 0) {
    if ((s.cr4 & cr4::PAE) != 0 && !cpu.load_pdptes(task.cr3)) {
      cpu.raise(kTS, selector_error(s.seg[kTr].selector) | ext);
      return false;
    }
    s.cr3 = task.cr3;
    cpu.flush_tlb_non_global();
  }
  cpu.mode_changed();
  if (!load_task_ldt(cpu, task.ldt, ext)) return false;
  if (to_vm86) {
    for (unsigned i = 0; i < 6; ++i) load_real_segment(cpu, static_cast<SegmentIndex>(i), task.selector[i]);
    cpu.mode_changed();
  } else {
    if (!load_task_code(cpu, task.selector[kCs], ext) || !load_task_stack(cpu, task.selector[kSs], ext))
      return false;
    for (const SegmentIndex index : {kEs, kDs, kFs, kGs}) {
      if (!load_task_data(cpu, index, task.selector[index], ext)) return false;
    }
    cpu.mode_changed();
  }
  return true;
}

bool push_error_code(Vcpu& cpu, bool wide, u32 error_code, u32 ext) {
  const bool pushed =
      wide ? exec::push<u32>(cpu, error_code) : exec::push<u16>(cpu, static_cast<u16>(error_code));
  if (!pushed && cpu.fault().vector == kSS_) cpu.raise(kSS_, ext);
  return pushed;
}
bool check_eip(Vcpu& cpu, u32 ext) {
  if (cpu.state.gpr[kRip] <= cpu.state.seg[kCs].limit) return true;
  cpu.raise(kGP, ext);
  return false;
}

}  // namespace

bool find_tss(Vcpu& cpu, u16 selector, bool busy, Vector vector, u32 ext, Descriptor& out) {
  if (is_null_selector(selector) || (selector & kSelectorTi) != 0) return refuse(cpu, vector, selector, ext);
  if (!read_descriptor(cpu, selector, out, vector)) {
    if (cpu.fault().vector == vector) refuse(cpu, vector, selector, ext);
    return false;
  }
  const unsigned type = out.type() & ~kTss32;
  if (!out.is_system() || type != (busy ? 1 + kBusy : 1)) return refuse(cpu, vector, selector, ext);
  if (!out.present()) return refuse(cpu, kNP, selector, ext);
  return true;
}

TaskSwitch switch_task(Vcpu& cpu, u16 selector, Descriptor tss, TaskSwitchCause cause, u32 ext,
                       std::optional<u32> error_code) {
  CpuState& s = cpu.state;
  const bool to_32 = (tss.type() & kTss32) != 0;
  if (tss.limit() < (to_32 ? kMinimumLimit32 : kMinimumLimit16)) {
    refuse(cpu, kTS, selector, ext);
    return TaskSwitch::kFault;
  }
  const Segment old = s.seg[kTr];
  const bool from_32 = (old.type() & kTss32) != 0;
  if (old.limit < (from_32 ? kMinimumLimit32 : kMinimumLimit16)) {
    refuse(cpu, kTS, old.selector, ext);
    return TaskSwitch::kFault;
  }
  // Whatever can fault for want of a page does so now, in the old task.
  const bool nested = cause == TaskSwitchCause::kCall || cause == TaskSwitchCause::kEvent;
  Descriptor old_descriptor;
  TaskState task;
  const u64 new_base = tss.base();
  if (!probe(cpu, old.base, from_32 ? kMinimumLimit32 + 1 : kMinimumLimit16 + 1, Access::kWrite) ||
      !(to_32 ? read_task<u32>(cpu, new_base, task) : read_task<u16>(cpu, new_base, task)) ||
      (nested && !probe(cpu, new_base, 2, Access::kWrite))) {
    return TaskSwitch::kFault;
  }
  u64 physical = 0;
  if (!cpu.translate((tss.table_address + 5) & 0xffffffffu, Access::kWrite, Privilege::kImplicit, physical))
    return TaskSwitch::kFault;
  if (!nested) {
    if (!read_descriptor(cpu, old.selector, old_descriptor, kTS)) return TaskSwitch::kFault;
    old_descriptor.low &= ~(u64{kBusy} << 40);
    if (!write_tss_type(cpu, old_descriptor)) return TaskSwitch::kFault;
  }
  u64 saved_flags = s.rflags;
  if (cause == TaskSwitchCause::kIret) saved_flags &= ~rflags::NT;
  const bool saved = from_32 ? save_task<u32>(cpu, old, saved_flags) : save_task<u16>(cpu, old, saved_flags);
  if (!saved) return TaskSwitch::kFault;
  if (nested) {
    if (!cpu.write_linear<u16>(new_base, old.selector, Privilege::kImplicit)) return TaskSwitch::kFault;
    task.eflags |= static_cast<u32>(rflags::NT);
  }
  tss.low |= u64{kBusy} << 40;
  if (cause != TaskSwitchCause::kIret && !write_tss_type(cpu, tss)) return TaskSwitch::kFault;
  // The point of no return.
  s.seg[kTr] = tss.to_segment(selector);
  s.shadow = Shadow::kNone;
  const bool loaded = load_task(cpu, task, to_32, ext) &&
                      (!error_code || push_error_code(cpu, to_32, *error_code, ext)) && check_eip(cpu, ext);
  cpu.set_attention();
  if (!loaded) return TaskSwitch::kFaultInside;
  if (task.debug_trap) s.pending_db |= dr6::BT;
  return TaskSwitch::kDone;
}

}  // namespace orrery::cpu
