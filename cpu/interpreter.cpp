#include "cpu/interpreter.h"

#include <algorithm>

#include "cpu/apic/local_apic.h"
#include "cpu/isa/table.h"
#include "cpu/system/debug.h"
#include "cpu/system/exception.h"

namespace orrery::cpu {
namespace {

/// An exception or interrupt costs one tick, so that a guest that only ever faults still moves along the
/// timeline.
void deliver_event(Vcpu& cpu, const Fault& fault) {
  deliver(cpu, fault);
  --cpu.ticks_left;
}

/// Whether a completed instruction was a taken branch, for DEBUGCTL's BTF and LBR.
bool took_branch(const Insn& insn, Outcome outcome) {
  const u32 traits = isa::rows()[insn.row].traits;
  if ((traits & isa::trait::kConditional) != 0) return outcome == Outcome::kEndTrace;
  return (traits & isa::trait::kBranch) != 0;
}

u64 linear_rip(const Vcpu& cpu) {
  return cpu.long64() ? cpu.state.gpr[kRip] : (cpu.state.seg[kCs].base + cpu.state.gpr[kRip]) & 0xffffffffu;
}

}  // namespace

void Interpreter::take_fault(Vcpu& cpu, const Insn& insn) {
  cpu.state.gpr[kRip] -= insn.length;
  Fault fault = cpu.fault();
  if (fault.is_software()) fault.length = insn.length;
  if (cpu.state.shadow == Shadow::kMovSs) cpu.state.shadow = Shadow::kNone;
  deliver_event(cpu, fault);
}

const Insn* Interpreter::fetch(Vcpu& cpu, unsigned& count) {
  const u64 linear = linear_rip(cpu);
  const u64 rip = cpu.state.gpr[kRip];
  u64 limit_bytes = 15;
  if (!cpu.long64()) {
    const u64 limit = cpu.state.seg[kCs].limit;
    if (rip > limit) {
      deliver_event(cpu, Fault{.vector = kGP, .has_error_code = true, .error_code = 0});
      return nullptr;
    }
    limit_bytes = limit - rip + 1;
  }
  bool from_io = false;
  const u8* host = cpu.fetch_host(linear, &from_io);
  if (host == nullptr && !from_io) {
    deliver_event(cpu, cpu.fault());
    return nullptr;
  }
  DecodeCache& cache = cpu.decode_cache();
  const u32 key = cpu.decode_key();
  if (host != nullptr) {
    const Trace* trace = cache.find(host, key);
    if (trace == nullptr) {
      const u64 in_page = memory::kPageBytes - (linear & (memory::kPageBytes - 1));
      trace = cache.build(host, host + in_page, key);
    }
    if (trace != nullptr && (cpu.long64() || trace->bytes <= limit_bytes)) {
      count = trace->count;
      return trace->insns;
    }
  }
  // Across a page, near the segment's limit, or from a device: byte by byte, decoded each time.
  u8 bytes[15];
  size_t have = 0;
  if (host != nullptr) {  // all but the last byte of this page: it alone does not make an instruction whole
    const u64 in_page = memory::kPageBytes - (linear & (memory::kPageBytes - 1));
    have = std::min({in_page, limit_bytes, u64{sizeof bytes}}) - 1;
    std::memcpy(bytes, host, have);
  }
  for (; have < sizeof bytes; ++have) {
    if (have >= limit_bytes) break;
    const u64 at = cpu.long64() ? linear + have : (linear + have) & 0xffffffffu;
    bool io = false;
    const u8* byte = cpu.fetch_host(at, &io);
    if (byte != nullptr) {
      bytes[have] = *byte;
    } else if (io) {
      u64 physical = 0;
      if (!cpu.translate(at, Access::kExecute, Privilege::kCurrent, physical)) break;
      bytes[have] = static_cast<u8>(cpu.services().memory.read(physical, 1));
    } else {
      break;
    }
    // A fault beyond the instruction's own bytes must not show: decode as soon as it is whole.
    if (cache.decoder().decode({bytes, have + 1}, key, scratch_) != Decoder::Status::kTruncated) {
      count = 1;
      return &scratch_;
    }
  }
  if (have >= limit_bytes) {
    deliver_event(cpu, Fault{.vector = kGP, .has_error_code = true, .error_code = 0});
  } else {
    deliver_event(cpu, cpu.fault());
  }
  return nullptr;
}

void Interpreter::run_trace(Vcpu& cpu, const Insn* insns, unsigned count) {
  const Insn* insn = insns;
  const Insn* const end = insns + count;
  cpu.trace_stale = 0;
  while (true) {
    cpu.state.gpr[kRip] += insn->length;
    const Outcome outcome = insn->handler(cpu, *insn);
    if (outcome == Outcome::kNext) [[likely]] {
      ++insn;
      if (--cpu.ticks_left <= 0 || insn == end || cpu.trace_stale != 0) return;
      continue;
    }
    switch (outcome) {
      case Outcome::kEndTrace:
        --cpu.ticks_left;
        return;
      case Outcome::kRestart:
        cpu.state.gpr[kRip] -= insn->length;
        return;
      default:
        take_fault(cpu, *insn);
        return;
    }
  }
}

void Interpreter::step(Vcpu& cpu) {
  CpuState& s = cpu.state;
  const bool resume = (s.rflags & rflags::RF) != 0;
  if (breakpoints_enabled(s) && !resume && s.shadow != Shadow::kMovSs) {
    if (const u32 hit = code_breakpoints(s, linear_rip(cpu)); hit != 0) {
      return deliver_event(cpu, Fault{.vector = kDB, .dr6_bits = hit});
    }
  }
  unsigned count = 0;
  const Insn* insn = fetch(cpu, count);
  if (insn == nullptr) return;
  bool trap = (s.rflags & rflags::TF) != 0;
  const Shadow shadow = s.shadow;
  const u64 from = s.gpr[kRip];
  // INTn and the like push RF as it was; every completed instruction clears it, but the ones that load it.
  cpu.trace_stale = 0;
  s.gpr[kRip] += insn->length;
  const bool had_rf = resume;
  if (had_rf) s.rflags &= ~rflags::RF;
  const u32 pending_before = s.pending_db;
  const Outcome outcome = insn->handler(cpu, *insn);
  switch (outcome) {
    case Outcome::kNext:
    case Outcome::kEndTrace:
      --cpu.ticks_left;
      break;
    case Outcome::kRestart:
      s.gpr[kRip] -= insn->length;
      if (had_rf) s.rflags |= rflags::RF;
      if (s.shadow == shadow) s.shadow = Shadow::kNone;  // it covered the first iteration
      if (trap && (s.debugctl & debugctl::BTF) == 0) {   // after each iteration [SDM3 17.3.1.4]

        s.pending_db |= dr6::BS;
        cpu.set_attention();
      }
      return;
    case Outcome::kFault:
      if (had_rf) s.rflags |= rflags::RF;
      s.shadow = Shadow::kNone;
      s.pending_db =
          pending_before;  // data breakpoints are traps behind completed instructions [SDM3 17.2.4]
      take_fault(cpu, *insn);
      return;
  }
  cpu.update_ferr();
  // A shadow lasts for one instruction; a new one stays.
  if (shadow != Shadow::kNone && s.shadow == shadow) s.shadow = Shadow::kNone;
  if (trap && (isa::rows()[insn->row].traits & isa::trait::kMasksTrapFlag) != 0)
    trap = (s.rflags & rflags::TF) != 0;
  if (s.debugctl != 0) {
    const bool branched = took_branch(*insn, outcome);
    if ((s.debugctl & debugctl::BTF) != 0) trap = trap && branched;
    if ((s.debugctl & debugctl::LBR) != 0 && branched) record_branch(s, from, s.gpr[kRip]);
  }
  if (trap) {
    s.pending_db |= dr6::BS;
    cpu.set_attention();
  }
}

Interpreter::Attention Interpreter::attend(Vcpu& cpu, EngineExit& exit) {
  CpuState& s = cpu.state;
  if (s.activity == Activity::kShutdown) {
    exit = EngineExit::kShutdown;
    return Attention::kExit;
  }
  if (s.init_pending) {
    const bool sipi = s.sipi_pending;
    const u8 vector = s.sipi_vector;
    cpu.reset(true);
    s.sipi_pending = sipi;
    s.sipi_vector = vector;
  }
  if (s.activity == Activity::kWaitForSipi) {
    if (!s.sipi_pending) {
      exit = EngineExit::kIdle;
      return Attention::kExit;
    }
    s.sipi_pending = false;
    s.activity = Activity::kRunning;
    s.seg[kCs].selector = static_cast<u16>(u32{s.sipi_vector} << 8);
    s.seg[kCs].base = u64{s.sipi_vector} << 12;
    s.gpr[kRip] = 0;
    cpu.mode_changed();
  }
  if (s.pending_db != 0 && s.shadow != Shadow::kMovSs) {
    const u32 db = s.pending_db;
    s.pending_db = 0;
    deliver_event(cpu, Fault{.vector = kDB, .kind = Fault::Kind::kTrap, .dr6_bits = db});
    return Attention::kGo;
  }
  if (s.shadow == Shadow::kNone) {
    if (s.nmi_pending && !s.nmi_blocked) {
      s.nmi_pending = false;
      s.nmi_blocked = true;
      deliver_event(cpu, Fault{.vector = kNMI, .kind = Fault::Kind::kNmi});
      return Attention::kGo;
    }
    if ((s.rflags & rflags::IF) != 0) {
      if (cpu.apic().pending()) {
        const u8 vector = cpu.apic().acknowledge();
        deliver_event(cpu, Fault{.vector = vector, .kind = Fault::Kind::kExternal});
        return Attention::kGo;
      }
      const bool from_pic = cpu.extint_posted() || (cpu.extint() && cpu.apic().accepts_extint());
      if (from_pic && cpu.interrupt_acknowledge() != nullptr) {
        cpu.take_posted_extint();
        const u8 vector = cpu.interrupt_acknowledge()->acknowledge_interrupt();
        deliver_event(cpu, Fault{.vector = vector, .kind = Fault::Kind::kExternal});
        return Attention::kGo;
      }
    }
  }
  if (s.activity == Activity::kMwait && cpu.has_wake_event()) {  // a masked interrupt, by MWAIT's ECX.0
    s.activity = Activity::kRunning;
    s.monitor_armed = false;
  }
  if (s.activity != Activity::kRunning) {
    exit = EngineExit::kIdle;
    return Attention::kExit;
  }
  if (cpu.yield_requested) {
    cpu.yield_requested = false;
    exit = EngineExit::kYield;
    return Attention::kExit;
  }
  if (wants_steps(s) || cpu.debugging()) return Attention::kStep;
  cpu.clear_attention();
  return Attention::kGo;
}

std::optional<EngineExit> Interpreter::attend_once(Vcpu& cpu, bool& skip_breakpoint) {
  if (cpu.watch_hit) {
    cpu.watch_hit = false;
    return EngineExit::kWatchpoint;
  }
  EngineExit exit{};
  switch (attend(cpu, exit)) {
    case Attention::kExit:
      return exit;
    case Attention::kGo:
      break;
    case Attention::kStep:
      if (!skip_breakpoint &&
          std::binary_search(cpu.breakpoints.begin(), cpu.breakpoints.end(), linear_rip(cpu))) {
        return EngineExit::kBreakpoint;
      }
      skip_breakpoint = false;
      step(cpu);
      break;
  }
  return std::nullopt;
}

inline const Insn* Interpreter::fetch_known(Vcpu& cpu, unsigned& count) {
  if (!cpu.long64()) return nullptr;
  const u8* const host = cpu.quick_code_host(cpu.state.gpr[kRip]);
  if (host == nullptr) return nullptr;
  const Trace* const trace = cpu.decode_cache().find(host, cpu.decode_key());
  if (trace == nullptr) return nullptr;
  count = trace->count;
  return trace->insns;
}

void Interpreter::run_one_trace(Vcpu& cpu) {
  unsigned count = 0;
  const Insn* insns = fetch_known(cpu, count);
  if (insns == nullptr) [[unlikely]]
    insns = fetch(cpu, count);
  cpu.note_branch_target();
  if (insns != nullptr) run_trace(cpu, insns, count);
}

EngineExit Interpreter::run(Vcpu& cpu, bool skip_breakpoint) {
  while (cpu.ticks_left > 0) {
    if (cpu.attention()) [[unlikely]] {
      if (const auto exit = attend_once(cpu, skip_breakpoint)) return *exit;
    } else {
      run_one_trace(cpu);
    }
  }
  return EngineExit::kTicks;
}

}  // namespace orrery::cpu
