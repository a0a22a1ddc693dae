// Not modelled: FRED.
#include "cpu/system/exception.h"

#include <iterator>

#include "cpu/decode/decoder.h"
#include "cpu/exec/stack.h"
#include "cpu/system/debug.h"
#include "cpu/system/descriptor.h"
#include "cpu/system/inner_stack.h"
#include "cpu/system/task_switch.h"

namespace orrery::cpu {
namespace {

constexpr u32 kExt = 1;     // error code: the event is external to the program
constexpr u32 kIdtBit = 2;  // error code: the index is a vector
constexpr unsigned kTaskGate = 5, kInterruptGate16 = 6, kTrapGate16 = 7, kInterruptGate32 = 14,
                   kTrapGate32 = 15;

/// Whether the gate's DPL protects it: INT n, INT3 and INTO.
bool checks_gate_dpl(const Fault& f) { return f.is_software() && f.kind != Fault::Kind::kPrivilegedSoftware; }
u32 ext_of(const Fault& f) { return checks_gate_dpl(f) ? 0 : kExt; }
u32 vector_error(const Fault& f) { return u32{f.vector} * 8 + kIdtBit + ext_of(f); }

bool fail(Vcpu& cpu, Vector vector, u32 error, std::string why) {
  cpu.raise(vector, error);
  cpu.delivery_failure = std::move(why);
  return false;
}

enum class Delivery : u8 {
  kDone,
  kFailed,        // nothing has changed
  kFailedInside,  // in the task behind a task gate, whose CS:EIP are in place
};
constexpr Delivery delivered_if(bool done) { return done ? Delivery::kDone : Delivery::kFailed; }

/// What is pushed and where control goes, collected before anything changes.
struct Entry {
  Descriptor code;
  u16 selector = 0;
  u64 offset = 0;
  bool interrupt_gate = false;  // clears IF
  unsigned new_cpl = 0;
};

u64 pushed_flags(const Vcpu& cpu, const Fault& f) {
  // Faults push RF set, so that an instruction breakpoint does not fire again on return; so do interrupts and
  // traps between two iterations of a repeated string instruction [SDM3 17.3.1.1].
  const bool breakpoint = f.vector == kDB && (f.dr6_bits & 0xf) != 0;
  const bool sets_rf = f.kind == Fault::Kind::kFault ? !breakpoint : cpu.state.in_repeat && !f.is_software();
  return cpu.state.rflags | (sets_rf ? rflags::RF : 0);
}

bool deliver_real(Vcpu& cpu, const Fault& f) {
  if (u32{f.vector} * 4 + 3 > cpu.state.idt_limit)
    return fail(cpu, kGP, 0, "the vector lies outside the real-mode IVT");
  u16 offset;
  u16 selector;
  if (!cpu.read_linear<u16>(cpu.state.idt_base + u32{f.vector} * 4, offset, Privilege::kImplicit) ||
      !cpu.read_linear<u16>(cpu.state.idt_base + u32{f.vector} * 4 + 2, selector, Privilege::kImplicit)) {
    return false;
  }
  const u64 sp = cpu.state.gpr[kRsp];
  const u16 frame[3] = {static_cast<u16>(cpu.state.gpr[kRip]), cpu.state.seg[kCs].selector,
                        static_cast<u16>(cpu.state.rflags)};
  for (unsigned i = 0; i < 3; ++i) {
    if (!cpu.write<u16>(kSs, (sp - 2 * (3 - i)) & 0xffff, frame[i])) return false;
  }
  cpu.state.gpr[kRsp] = (sp & ~u64{0xffff}) | ((sp - 6) & 0xffff);
  load_real_segment(cpu, kCs, selector);
  cpu.state.gpr[kRip] = offset;
  cpu.state.rflags &= ~(rflags::IF | rflags::TF | rflags::AC | rflags::RF);
  cpu.mode_changed();
  return true;
}

/// The gate, checked [SDM3 6.12.1.3]. Task gates exist outside long mode.
bool find_gate(Vcpu& cpu, const Fault& f, Descriptor& gate) {
  const bool long_mode = cpu.long_mode();
  const unsigned size = long_mode ? 16 : 8;
  const u64 address = cpu.state.idt_base + u64{f.vector} * size;
  if (u64{f.vector} * size + size - 1 > cpu.state.idt_limit) {
    return fail(cpu, kGP, vector_error(f),
                fmt::format("vector {} lies outside the IDT (limit {:#x})", f.vector, cpu.state.idt_limit));
  }
  if (!cpu.read_linear<u64>(address, gate.low, Privilege::kImplicit) ||
      (long_mode && !cpu.read_linear<u64>(address + 8, gate.high, Privilege::kImplicit))) {
    cpu.delivery_failure =
        fmt::format("the IDT entry of vector {} at {:#x} can't be read", f.vector, address);
    return false;
  }
  const unsigned type = gate.type();
  const bool gate32 = type == kInterruptGate32 || type == kTrapGate32;
  const bool legacy = !long_mode && (type == kInterruptGate16 || type == kTrapGate16 || type == kTaskGate);
  if (!gate.is_system() || (!gate32 && !legacy)) {
    return fail(cpu, kGP, vector_error(f),
                fmt::format("the IDT entry of vector {} ({:#018x}) is not an interrupt, trap or task gate",
                            f.vector, gate.low));
  }
  if (checks_gate_dpl(f) && gate.dpl() < cpu.cpl()) {
    return fail(cpu, kGP, vector_error(f),
                fmt::format("vector {}: the gate's DPL {} is below CPL {}", f.vector, gate.dpl(), cpu.cpl()));
  }
  if (!gate.present()) {
    return fail(cpu, kNP, vector_error(f),
                fmt::format("the IDT entry of vector {} ({:#018x}) is not present", f.vector, gate.low));
  }
  return true;
}

/// The code segment that an interrupt or trap gate names, checked.
bool find_entry(Vcpu& cpu, const Fault& f, const Descriptor& gate, Entry& entry) {
  const bool long_mode = cpu.long_mode();
  entry.selector = gate.gate_selector();
  entry.offset = gate.gate_offset();
  entry.interrupt_gate = (gate.type() & 1) == 0;
  if (is_null_selector(entry.selector)) {
    return fail(cpu, kGP, ext_of(f), fmt::format("the gate of vector {} names the null selector", f.vector));
  }
  if (!read_descriptor(cpu, entry.selector, entry.code, kGP)) {
    if (cpu.fault().vector == kGP) cpu.raise(kGP, cpu.fault().error_code | ext_of(f));
    cpu.delivery_failure = fmt::format("the gate of vector {} names selector {:#x}, which can't be read",
                                       f.vector, entry.selector);
    return false;
  }
  const u32 error = selector_error(entry.selector) | ext_of(f);
  const bool bad_width = long_mode && (!entry.code.is_long() || entry.code.is_default_big());
  if (!entry.code.is_code() || entry.code.dpl() > cpu.cpl() || bad_width) {
    return fail(cpu, kGP, error,
                fmt::format("vector {}: selector {:#x} ({:#018x}) is not a fitting code segment", f.vector,
                            entry.selector, entry.code.low));
  }
  if (!entry.code.present()) {
    return fail(cpu, kNP, error,
                fmt::format("vector {}: the code segment {:#x} is not present", f.vector, entry.selector));
  }
  entry.new_cpl = entry.code.is_conforming() ? cpu.cpl() : entry.code.dpl();
  return true;
}

bool deliver_long(Vcpu& cpu, const Fault& f, const Descriptor& gate) {
  Entry entry;
  if (!find_entry(cpu, f, gate, entry)) return false;
  const auto ist = static_cast<unsigned>(bits(gate.low, 34, 32));
  u64 stack = cpu.state.gpr[kRsp];
  const bool inner = entry.new_cpl != cpu.cpl();
  if ((ist != 0 || inner) && !read_inner_stack_64(cpu, entry.new_cpl, ist, ext_of(f), stack)) return false;
  stack &= ~u64{15};
  u64 frame[6];
  unsigned words = 0;
  if (f.has_error_code) frame[words++] = f.error_code;
  frame[words++] = cpu.state.gpr[kRip];
  frame[words++] = cpu.state.seg[kCs].selector;
  frame[words++] = pushed_flags(cpu, f);
  frame[words++] = cpu.state.gpr[kRsp];
  frame[words++] = cpu.state.seg[kSs].selector;
  // The stack counts before the handler [APM3 INT].
  if (!push_frame_64(cpu, entry.new_cpl, {frame, words}, ext_of(f), stack)) {
    cpu.delivery_failure = fmt::format("vector {}: {}", f.vector, cpu.delivery_failure);
    return false;
  }
  if (!cpu.canonical(entry.offset)) {
    return fail(cpu, kGP, ext_of(f),
                fmt::format("vector {}: the handler {:#x} is not canonical", f.vector, entry.offset));
  }
  if (!mark_accessed(cpu, entry.code)) return false;
  if (inner) set_null_stack_segment(cpu, entry.new_cpl);
  cpu.state.gpr[kRsp] = stack;
  cpu.state.gpr[kRip] = entry.offset;
  cpu.state.rflags &=
      ~(rflags::TF | rflags::NT | rflags::RF | rflags::VM | (entry.interrupt_gate ? rflags::IF : 0));
  set_code_segment(cpu, entry.code, entry.selector, entry.new_cpl);
  return true;
}

template <class T>
bool deliver_protected(Vcpu& cpu, const Fault& f, const Descriptor& gate) {
  Entry entry;
  if (!find_entry(cpu, f, gate, entry)) return false;
  if (sizeof(T) == 2) entry.offset &= 0xffff;
  const bool from_vm86 = cpu.vm86();
  const bool inner = entry.new_cpl != cpu.cpl();
  if (from_vm86 && entry.new_cpl != 0) {
    return fail(cpu, kGP, selector_error(entry.selector) | ext_of(f),
                "an interrupt out of virtual-8086 mode must enter ring 0");
  }
  InnerStack stack{.ss = cpu.state.seg[kSs], .sp = cpu.state.gpr[kRsp]};
  if (inner && !read_inner_stack(cpu, entry.new_cpl, ext_of(f), stack)) return false;
  T frame[10];
  unsigned words = 0;
  if (f.has_error_code) frame[words++] = static_cast<T>(f.error_code);
  frame[words++] = static_cast<T>(cpu.state.gpr[kRip]);
  frame[words++] = cpu.state.seg[kCs].selector;
  frame[words++] = static_cast<T>(pushed_flags(cpu, f));
  if (inner) {
    frame[words++] = static_cast<T>(cpu.state.gpr[kRsp]);
    frame[words++] = cpu.state.seg[kSs].selector;
    if (from_vm86) {
      for (const SegmentIndex s : {kEs, kDs, kFs, kGs}) frame[words++] = cpu.state.seg[s].selector;
    }
  }
  // A new stack that is too small is named; the current one is not [SDM2 INT n].
  const u32 stack_error = (inner ? selector_error(stack.ss.selector) : 0) | ext_of(f);
  const u64 top = stack.sp;
  // It counts before the handler [SDM2 INT n], [APM3 INT].
  if (!push_inner_frame<T>(cpu, entry.new_cpl, {frame, words}, stack_error, stack)) {
    cpu.delivery_failure = fmt::format("vector {}: the stack at {:#x} can't be written", f.vector, top);
    return false;
  }
  if (entry.offset > entry.code.limit())
    return fail(cpu, kGP, ext_of(f), "the handler lies outside its code segment");
  if (!mark_accessed(cpu, entry.code)) return false;
  cpu.state.seg[kSs] = stack.ss;
  cpu.state.gpr[kRsp] = stack.sp;
  if (from_vm86) {
    for (const SegmentIndex s : {kEs, kDs, kFs, kGs}) {
      cpu.state.seg[s] = {.base = 0, .limit = 0, .attributes = seg_attr::kUnusable, .selector = 0};
    }
  }
  cpu.state.gpr[kRip] = entry.offset;
  cpu.state.rflags &=
      ~(rflags::TF | rflags::NT | rflags::RF | rflags::VM | (entry.interrupt_gate ? rflags::IF : 0));
  set_code_segment(cpu, entry.code, entry.selector, entry.new_cpl);
  return true;
}

/// Through a task gate: the handler is a task of its own [SDM3 6.12.2].
Delivery deliver_to_task(Vcpu& cpu, const Fault& f, const Descriptor& gate) {
  const u16 selector = gate.gate_selector();
  Descriptor tss;
  if (!find_tss(cpu, selector, false, kGP, ext_of(f), tss)) {
    cpu.delivery_failure = fmt::format("vector {}: selector {:#x} names no free task", f.vector, selector);
    return Delivery::kFailed;
  }
  // The old task's saved flags carry RF as a pushed image would.
  const u64 flags = cpu.state.rflags;
  cpu.state.rflags = pushed_flags(cpu, f);
  const auto error_code = f.has_error_code ? std::optional<u32>(f.error_code) : std::nullopt;
  const TaskSwitch switched = switch_task(cpu, selector, tss, TaskSwitchCause::kEvent, ext_of(f), error_code);
  if (switched == TaskSwitch::kDone) return Delivery::kDone;
  cpu.delivery_failure = fmt::format("vector {}: the task {:#x} can't be entered", f.vector, selector);
  if (switched == TaskSwitch::kFaultInside) return Delivery::kFailedInside;
  cpu.state.rflags = flags;
  return Delivery::kFailed;
}

// ---- Virtual-8086 mode: INT n [SDM3 20.3.3] ----

/// Whether the 32-bit TSS's interrupt redirection map, the 32 bytes below the I/O permission map, sends INT
/// `vector` to the 8086 program's own handler. False: a fault has been raised.
bool read_redirection(Vcpu& cpu, u8 vector, bool& redirected) {
  const Segment& tss = cpu.state.seg[kTr];
  redirected = false;
  u16 io_map;
  if ((tss.type() & 8) == 0 || tss.limit < 103) {
    cpu.raise(kGP, 0);
    return false;
  }
  if (!cpu.read_linear<u16>(tss.base + 102, io_map, Privilege::kImplicit)) return false;
  const u64 at = u64{io_map} - 32 + vector / 8u;
  if (at > tss.limit) {
    cpu.raise(kGP, 0);
    return false;
  }
  u8 map;
  if (!cpu.read_linear<u8>(tss.base + at, map, Privilege::kImplicit)) return false;
  redirected = ((map >> (vector % 8)) & 1) == 0;
  return true;
}

/// INT n as in real mode, through the vector table at linear address 0; below IOPL 3 VIF stands in for IF.
bool redirect_to_8086_program(Vcpu& cpu, u8 vector) {
  CpuState& s = cpu.state;
  const bool virtual_if = (s.rflags & rflags::IOPL) != rflags::IOPL;
  u16 offset;
  u16 selector;
  // The program's own table: read with its rights.
  if (!cpu.read_linear<u16>(4u * vector, offset, Privilege::kUser) ||
      !cpu.read_linear<u16>(4u * vector + 2, selector, Privilege::kUser)) {
    return false;
  }
  const u64 sp = s.gpr[kRsp];
  const u64 flags = virtual_if ? exec::virtual_flags_image(s.rflags) : s.rflags;
  const u16 frame[3] = {static_cast<u16>(s.gpr[kRip]), s.seg[kCs].selector, static_cast<u16>(flags)};
  if (!cpu.probe_write(kSs, (sp - 6) & 0xffff, 2)) return false;
  for (unsigned i = 3; i > 0; --i) {
    if (!cpu.write<u16>(kSs, (sp - 2 * (4 - i)) & 0xffff, frame[i - 1])) return false;
  }
  s.gpr[kRsp] = (sp & ~u64{0xffff}) | ((sp - 6) & 0xffff);
  load_real_segment(cpu, kCs, selector);
  s.gpr[kRip] = offset;
  s.rflags &= ~(rflags::TF | rflags::RF | rflags::AC | (virtual_if ? rflags::VIF : rflags::IF));
  cpu.mode_changed();
  return true;
}

/// INT n of an 8086 program. `handled`: it is done (or has failed) here; else the IDT's gate decides.
bool deliver_vm86_software(Vcpu& cpu, const Fault& f, bool& handled) {
  handled = true;
  if ((cpu.state.cr4 & cr4::VME) != 0) {
    bool redirected = false;
    if (!read_redirection(cpu, f.vector, redirected)) return false;
    if (redirected) return redirect_to_8086_program(cpu, f.vector);
  }
  if ((cpu.state.rflags & rflags::IOPL) != rflags::IOPL)
    return fail(cpu, kGP, 0, "INT n in virtual-8086 mode with IOPL below 3");
  handled = false;
  return true;
}

Delivery attempt(Vcpu& cpu, const Fault& f) {
  if (f.vector == kPF && f.kind == Fault::Kind::kFault) cpu.state.cr2 = f.address;
  if (f.vector == kDB && !f.is_software() && f.kind != Fault::Kind::kExternal) {
    cpu.state.dr6 = (cpu.state.dr6 & ~u64{0xf}) | f.dr6_bits | dr6::kFixed;
    cpu.state.dr7 &= ~dr7::GD;
    cpu.state.debugctl &= ~(debugctl::BTF | debugctl::LBR);
  }
  if (cpu.real_mode()) return delivered_if(deliver_real(cpu, f));
  if (cpu.vm86() && f.kind == Fault::Kind::kSoftwareInterrupt) {
    bool handled = false;
    const bool done = deliver_vm86_software(cpu, f, handled);
    if (handled) return delivered_if(done);
  }
  Descriptor gate;
  if (!find_gate(cpu, f, gate)) return Delivery::kFailed;
  if (cpu.long_mode()) return delivered_if(deliver_long(cpu, f, gate));
  if (gate.type() == kTaskGate) return deliver_to_task(cpu, f, gate);
  const bool wide = gate.type() == kInterruptGate32 || gate.type() == kTrapGate32;
  return delivered_if(wide ? deliver_protected<u32>(cpu, f, gate) : deliver_protected<u16>(cpu, f, gate));
}

bool is_contributory(const Fault& f) {
  if (f.kind != Fault::Kind::kFault && f.kind != Fault::Kind::kTrap) return false;
  return f.vector == kDE || (f.vector >= kTS && f.vector <= kGP);
}
bool is_page_fault(const Fault& f) { return f.vector == kPF && f.kind == Fault::Kind::kFault; }

}  // namespace

void deliver(Vcpu& cpu, const Fault& first) {
  if (first.vector == kMF && first.kind == Fault::Kind::kFault && (cpu.state.cr0 & cr0::NE) == 0)
    return cpu.report_ferr();
  Fault current = first;
  if (cpu.state.activity == Activity::kHalted || cpu.state.activity == Activity::kMwait) {
    cpu.state.activity = Activity::kRunning;
  }
  cpu.state.monitor_armed = false;
  const u64 from = cpu.state.gpr[kRip];
  // The longest chain that ends: a benign exception, a contributory one, a double fault, with room to spare.
  constexpr unsigned kMaxFailedDeliveries = 8;
  unsigned failed_deliveries = 0;
  while (true) {
    cpu.record_fault(current);

    cpu.delivery_failure.clear();
    const u64 rip = cpu.state.gpr[kRip];
    cpu.state.gpr[kRip] += current.length;
    const Delivery delivery = attempt(cpu, current);
    if (delivery == Delivery::kDone) break;
    if (delivery == Delivery::kFailed) cpu.state.gpr[kRip] = rip;
    const Fault second = cpu.fault();
    // CR2 is written when a page fault is found, also when it becomes a double fault [SDM3 6.15 interrupt
    // 14].
    if (second.vector == kPF) cpu.state.cr2 = second.address;
    if (current.vector == kDF && current.kind == Fault::Kind::kFault) {
      cpu.record_fault(second);
      cpu.state.activity = Activity::kShutdown;
      cpu.set_attention();
      return;
    }
    // Benign exceptions that keep raising each other would be delivered for ever; processors hang there
    // [SDM3 6.15, "#AC"]. Here it is a shutdown, so that the timeline goes on.
    const bool again = second.vector == current.vector && current.kind == Fault::Kind::kFault &&
                       !is_contributory(current) && !is_page_fault(current);
    if (again || ++failed_deliveries == kMaxFailedDeliveries) {
      cpu.record_fault(second);
      cpu.delivery_failure = fmt::format("delivering {} raises {} again", vector_name(current.vector),
                                         vector_name(second.vector));
      cpu.state.activity = Activity::kShutdown;
      cpu.set_attention();
      return;
    }
    const bool doubles = (is_contributory(current) && is_contributory(second)) ||
                         (is_page_fault(current) && (is_page_fault(second) || is_contributory(second)));
    current = doubles ? Fault{.vector = kDF, .has_error_code = true, .error_code = 0} : second;
    if (doubles) cpu.record_fault(second);
  }
  if ((cpu.state.debugctl & debugctl::LBR) != 0) {
    record_exception(cpu.state);
    record_branch(cpu.state, from, cpu.state.gpr[kRip]);
  }
  cpu.state.shadow = Shadow::kNone;
  cpu.state.in_repeat = false;
  cpu.set_attention();
}

std::string_view vector_name(u8 vector) {
  static constexpr std::string_view kNames[] = {"#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD", "#NM",
                                                "#DF", "9",   "#TS", "#NP", "#SS", "#GP", "#PF", "15",
                                                "#MF", "#AC", "#MC", "#XM", "#VE", "#CP"};
  return vector < std::size(kNames) ? kNames[vector] : "interrupt";
}

std::string explain_shutdown(Vcpu& cpu, const std::function<std::string(u64)>& symbol) {
  const auto named = [&symbol](u64 address) {
    const std::string name = symbol ? symbol(address) : std::string();
    return name.empty() ? fmt::format("{:#x}", address) : fmt::format("{:#x} <{}>", address, name);
  };
  std::string text = fmt::format("triple fault on cpu{} at tick {}: ", cpu.id(), cpu.now_tick());
  text += cpu.delivery_failure.empty() ? "delivery of the last exception failed" : cpu.delivery_failure;
  text += "\n";
  for (const Vcpu::FaultRecord& r : cpu.recent_faults()) {
    text += fmt::format("  tick {:>12}  {}", r.tick, vector_name(r.fault.vector));
    if (vector_name(r.fault.vector) == "interrupt") text += fmt::format(" {:#x}", r.fault.vector);
    if (r.fault.has_error_code) text += fmt::format("({:#x})", r.fault.error_code);
    if (r.fault.vector == kPF) text += fmt::format(" address {:#x}", r.fault.address);
    text += fmt::format("  at {:#x}:{} rsp {:#x}", r.cs, named(r.rip), r.rsp);
    u8 code[15];
    size_t have = 0;
    for (; have < sizeof code; ++have) {
      u64 physical = 0;
      const u64 linear = r.rip + have + (cpu.long64() ? 0 : cpu.state.seg[kCs].base);
      if (!cpu.translate_quietly(linear, physical) || cpu.services().memory.find(physical).host == nullptr)
        break;
      code[have] = static_cast<u8>(cpu.services().memory.read(physical, 1));
    }
    text +=
        have > 0 ? "  " + Decoder::disassemble({code, have}, cpu.code_bits(), r.rip) : "  (code not mapped)";
    text += "\n";
  }
  text += "  last branch targets:";
  for (const u64 target : cpu.recent_branch_targets()) text += " " + named(target);
  text += "\n";
  const CpuState& s = cpu.state;
  text += fmt::format("  cr0 {:#x} cr2 {:#x} cr3 {:#x} cr4 {:#x} efer {:#x} rflags {:#x} cpl {}\n", s.cr0,
                      s.cr2, s.cr3, s.cr4, s.efer, s.rflags, s.cpl);
  text += fmt::format("  idt {:#x} limit {:#x}  gdt {:#x} limit {:#x}  tr {:#x} base {:#x} limit {:#x}\n",
                      s.idt_base, s.idt_limit, s.gdt_base, s.gdt_limit, s.seg[kTr].selector, s.seg[kTr].base,
                      s.seg[kTr].limit);
  static constexpr std::string_view kRegs[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi"};
  for (unsigned i = 0; i < 16; ++i) {
    text += fmt::format("{}{:<4}{:016x}", i % 4 == 0 ? "  " : "  ",
                        i < 8 ? std::string(kRegs[i]) : fmt::format("r{}", i), s.gpr[i]);
    if (i % 4 == 3) text += "\n";
  }
  return text;
}

}  // namespace orrery::cpu
