#include "cpu/vcpu.h"

#include <iterator>

#include "base/check.h"
#include "base/host_vector.h"
#include "cpu/apic/local_apic.h"
#include "cpu/system/debug.h"

namespace orrery::cpu {

Vcpu::Vcpu(u32 id, const VcpuServices& services)
    : id_(id), services_(services), apic_(std::make_unique<LocalApic>(*this, services_.events)) {
  services_.ram.add_listener(*this);
  services_.memory.add_listener(*this);
  reset(false);
}

void* Vcpu::operator new(size_t bytes) { return HostAllocator<u8>().allocate(bytes); }
void Vcpu::operator delete(void* at, size_t bytes) {
  HostAllocator<u8>().deallocate(static_cast<u8*>(at), bytes);
}

Vcpu::~Vcpu() {
  services_.ram.remove_listener(*this);
  services_.memory.remove_listener(*this);
}

// [SDM3 table 9-1]
void Vcpu::reset(bool init) {
  const CpuState old = state;
  state = CpuState{};
  extint_posted_ = false;
  static_cast<CpuState&>(state).gpr[kRdx] = model().family_model_stepping;
  state.gpr[kRip] = 0xfff0;
  constexpr u32 kRealData = seg_attr::kP | seg_attr::kS | seg_attr::kWritable | seg_attr::kAccessed;
  for (unsigned i = 0; i < 6; ++i)
    state.seg[i] = {.base = 0, .limit = 0xffff, .attributes = kRealData, .selector = 0};
  state.seg[kCs] = {
      .base = 0xffff0000, .limit = 0xffff, .attributes = kRealData | seg_attr::kCode, .selector = 0xf000};
  state.seg[kLdtr] = {.base = 0, .limit = 0xffff, .attributes = seg_attr::kP | 2, .selector = 0};
  state.seg[kTr] = {.base = 0, .limit = 0xffff, .attributes = seg_attr::kP | 11, .selector = 0};
  state.activity = is_bsp() ? Activity::kRunning : Activity::kWaitForSipi;
  if (init) {
    // INIT leaves the x87 and SSE state, the MTRRs, PAT, TSC and most MSRs, and CR0.CD and NW.
    state.cr0 = cr0::ET | (old.cr0 & (cr0::CD | cr0::NW));
    std::copy(std::begin(old.vec), std::end(old.vec), std::begin(state.vec));
    std::copy(std::begin(old.fpr), std::end(old.fpr), std::begin(state.fpr));
    std::copy(std::begin(old.mtrr_fixed), std::end(old.mtrr_fixed), std::begin(state.mtrr_fixed));
    std::copy(std::begin(old.mtrr_base), std::end(old.mtrr_base), std::begin(state.mtrr_base));
    std::copy(std::begin(old.mtrr_mask), std::end(old.mtrr_mask), std::begin(state.mtrr_mask));
    state.mtrr_def_type = old.mtrr_def_type;
    state.mxcsr = old.mxcsr;
    state.fcw = old.fcw;
    state.fsw = old.fsw;
    state.ftw = old.ftw;
    state.fop = old.fop;
    state.fip = old.fip;
    state.fdp = old.fdp;
    state.fcs = old.fcs;
    state.fds = old.fds;
    state.ferr = old.ferr;
    state.ignne = old.ignne;
    state.pkru = old.pkru;
    state.mcg_status = old.mcg_status;
    state.vm_hsave_pa = old.vm_hsave_pa;
    std::copy(std::begin(old.top_mem), std::end(old.top_mem), std::begin(state.top_mem));
    std::copy(std::begin(old.iorr), std::end(old.iorr), std::begin(state.iorr));
    state.kvm_system_time = old.kvm_system_time;
    state.kvm_wall_clock = old.kvm_wall_clock;
    state.kvm_system_time_version = old.kvm_system_time_version;
    state.xcr0 = old.xcr0;
    state.pat = old.pat;
    state.tsc_offset = old.tsc_offset;
    state.tsc_aux = old.tsc_aux;
    state.star = old.star;
    state.lstar = old.lstar;
    state.cstar = old.cstar;
    state.sfmask = old.sfmask;
    state.kernel_gs_base = old.kernel_gs_base;
    state.sysenter_cs = old.sysenter_cs;
    state.sysenter_esp = old.sysenter_esp;
    state.sysenter_eip = old.sysenter_eip;
    state.xss = old.xss;
    state.syscfg = old.syscfg;
    state.hwcr = old.hwcr;
    state.microcode_revision = old.microcode_revision;
  }
  if (!state.ferr) ferr_line_.lower();
  yield_requested = false;
  apic_->reset(init);
  flush_tlb_all();

  mode_changed();
  set_attention();
}

void Vcpu::JumpTable::Targets::clear() {
  if (note_count <= kNoted) {
    for (u64 i = 0; i < note_count; ++i) forget(index_of(noted[i]));
  } else {
    for (u32 i = 0; i < kEntries; ++i) forget(i);
  }
  note_count = 0;
}

Vcpu::Layout Vcpu::layout() {
  const auto distance = [this](const void* to) {
    return static_cast<i32>(static_cast<const u8*>(to) - reinterpret_cast<const u8*>(&state));
  };
  // The slots leave no gap before `state`, and guesses of entries are unsigned.
  CHECK(distance(&translator.index_mask) == INT8_MIN && distance(banks_) > 0);
  return {.ticks_left = distance(&ticks_left),
          .translator = distance(&translator),
          .x87_image = distance(x87_image),
          .flat_bases = distance(&flat_base_),
          .view = distance(&view_),
          .fill_bank = distance(&fill_bank_),
          .banks = {distance(&banks_[0]), distance(&banks_[1]), distance(&banks_[2])},
          .views = {distance(&banks_[0].view()), distance(&banks_[1].view()), distance(&banks_[2].view())},
          .codes = {distance(&banks_[0].code()), distance(&banks_[1].code()), distance(&banks_[2].code())},
          .recent_pages = {distance(banks_[0].recent_pages()), distance(banks_[1].recent_pages()),
                           distance(banks_[2].recent_pages())},
          .recent_used = {distance(&banks_[0].recent_used()), distance(&banks_[1].recent_used()),
                          distance(&banks_[2].recent_used())},
          .refused_pages = {distance(banks_[0].refused_pages()), distance(banks_[1].refused_pages()),
                            distance(banks_[2].refused_pages())},
          .jump_table = distance(&jump_table)};
}

u64 Vcpu::read_tsc() const {
  const u128 ns = services_.events.clock().now().ns;
  return static_cast<u64>(ns * services_.tsc_hz / 1'000'000'000) + state.tsc_offset;
}

void Vcpu::end_slice_soon() {
  Timeline& timeline = services_.events.timeline();
  timeline.shorten_slice(timeline.now() + 1);
}

void Vcpu::set_nmi() {
  state.nmi_pending = true;
  set_attention();
  end_slice_soon();
}

void Vcpu::set_init() {
  state.init_pending = true;
  set_attention();
  end_slice_soon();
}

void Vcpu::set_sipi(u8 vector) {
  if (state.activity != Activity::kWaitForSipi && !state.init_pending) return;
  state.sipi_pending = true;
  state.sipi_vector = vector;
  set_attention();
  end_slice_soon();
}

void Vcpu::set_extint(bool level) {
  extint_ = level;
  apic_->lint0(level);
  if (level) {
    set_attention();
    end_slice_soon();
  }
}

void Vcpu::post_extint() {
  extint_posted_ = true;
  set_attention();
  end_slice_soon();
}

bool Vcpu::has_wake_event() const {
  if (state.init_pending) return true;
  if (state.activity == Activity::kWaitForSipi) return state.sipi_pending;
  if (state.activity == Activity::kShutdown) return false;
  if (state.nmi_pending && !state.nmi_blocked) return true;
  const bool masked_too = state.activity == Activity::kMwait && state.mwait_wakes_masked;
  if ((state.rflags & rflags::IF) == 0 && !masked_too) return false;
  return interrupt_waiting();
}

bool Vcpu::interrupt_waiting() const {
  return apic_->pending().has_value() || extint_posted_ || (extint_ && apic_->accepts_extint());
}

void Vcpu::flags_loaded() {
  if (wants_steps(state) || state.pending_db != 0 || has_wake_event()) set_attention();
}

void Vcpu::record_fault(const Fault& fault) {
  faults_[fault_count_ % std::size(faults_)] = {.tick = now_tick(),
                                                .fault = fault,
                                                .rip = state.gpr[kRip],
                                                .rsp = state.gpr[kRsp],
                                                .cr2 = state.cr2,
                                                .cs = state.seg[kCs].selector};
  ++fault_count_;
}

std::vector<u64> Vcpu::recent_branch_targets() const {
  std::vector<u64> targets;
  for (u64 i = branch_count_ - std::min<u64>(branch_count_, kBranchTargets); i < branch_count_; ++i) {
    targets.push_back(branch_targets_[i % kBranchTargets]);
  }
  return targets;
}

std::vector<Vcpu::FaultRecord> Vcpu::recent_faults() const {
  std::vector<FaultRecord> records;
  const auto kept = static_cast<unsigned>(std::min<size_t>(fault_count_, std::size(faults_)));
  for (unsigned i = fault_count_ - kept; i < fault_count_; ++i)
    records.push_back(faults_[i % std::size(faults_)]);
  return records;
}

void Vcpu::visit_state(StateVisitor& v) {
  v.begin(fmt::format("cpu{}", id_), 1);
  visit_cpu_state(v, state);
  v.field("extint", extint_);
  v.field("extint_posted", extint_posted_);
  v.field("yield_requested", yield_requested);
  apic_->visit_state(v);
  tlb_.visit_state(v);
  v.end();
  if (v.loading()) {
    flush_fast();
    mode_changed();
    set_attention();
    ferr_line_.restore_level(state.ferr);
    if (state.monitor_armed) arm_monitor(state.monitor_address);
  }
}

void Vcpu::report_ferr() {
  state.ferr = true;
  state.activity = Activity::kHalted;
  set_attention();
  ferr_line_.raise();
}

void Vcpu::lower_ferr() {
  state.ferr = false;
  ferr_line_.lower();
}

void Vcpu::arm_monitor(u64 physical) {
  state.monitor_address = align_down(physical, kMonitorBytes);
  state.monitor_armed = true;
  const memory::FlatRange& range = services_.memory.find(state.monitor_address);
  monitor_host_ = nullptr;
  // Where there is no RAM nothing is seen to be stored, and only an event ends the wait.
  if (range.host == nullptr || range.ram != &services_.ram) return;
  monitor_host_ = range.host + (state.monitor_address - range.start);
  services_.ram.set_flag(services_.ram.frame_of(monitor_host_), memory::frame_flag::kMonitored);
}

bool Vcpu::monitored_written(memory::Frame frame, u64 offset, u64 size) {
  if (!state.monitor_armed || monitor_host_ == nullptr || services_.ram.frame_of(monitor_host_) != frame)
    return false;
  const u64 line = static_cast<u64>(monitor_host_ - services_.ram.data()) % memory::kPageBytes;
  if (offset >= line + kMonitorBytes || offset + size <= line) return true;
  state.monitor_armed = false;
  if (state.activity == Activity::kMwait) state.activity = Activity::kRunning;
  set_attention();
  return false;
}

void visit_cpu_state(StateVisitor& v, CpuState& s) {
  v.begin("state", 2);
  static constexpr std::string_view kGprNames[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                                   "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
  for (unsigned i = 0; i < 16; ++i) v.field(kGprNames[i], s.gpr[i]);
  v.field("rip", s.gpr[kRip]);
  v.field("rflags", s.rflags);
  static constexpr std::string_view kSegNames[] = {"es", "cs", "ss", "ds", "fs", "gs", "ldtr", "tr"};
  for (unsigned i = 0; i < 8; ++i) {
    v.begin(kSegNames[i], 1);
    v.field("selector", s.seg[i].selector);
    v.field("base", s.seg[i].base);
    v.field("limit", s.seg[i].limit);
    v.field("attributes", s.seg[i].attributes);
    v.end();
  }
  for (unsigned i = 0; i < 16; ++i) v.array(fmt::format("ymm{}", i), s.vec[i].b);
  v.field("mxcsr", s.mxcsr);
  v.field("fcw", s.fcw);
  v.field("fsw", s.fsw);
  v.field("ftw", s.ftw);
  v.field("fop", s.fop);
  v.field("fcs", s.fcs);
  v.field("fds", s.fds);
  v.field("fip", s.fip);
  v.field("fdp", s.fdp);
  for (unsigned i = 0; i < 8; ++i) {
    v.field("fpr_significand", s.fpr[i].significand);
    v.field("fpr_sign_exponent", s.fpr[i].sign_exponent);
  }
  v.field("cr0", s.cr0);
  v.field("cr2", s.cr2);
  v.field("cr3", s.cr3);
  v.field("cr4", s.cr4);
  v.array("pdpte", s.pdpte);
  v.field("xcr0", s.xcr0);
  v.field("efer", s.efer);
  v.array("dr", s.dr);
  v.field("dr6", s.dr6);
  v.field("dr7", s.dr7);
  v.field("gdt_base", s.gdt_base);
  v.field("idt_base", s.idt_base);
  v.field("gdt_limit", s.gdt_limit);
  v.field("idt_limit", s.idt_limit);
  v.field("pkru", s.pkru);
  v.field("cpl", s.cpl);
  v.require(s.cpl <= 3, "CPL is 0 to 3");
  v.enumeration("activity", s.activity, Activity::kShutdown);
  v.enumeration("shadow", s.shadow, Shadow::kMovSs);
  v.field("nmi_blocked", s.nmi_blocked);
  v.field("ferr", s.ferr);
  v.field("ignne", s.ignne);
  v.field("nmi_pending", s.nmi_pending);
  v.field("init_pending", s.init_pending);
  v.field("sipi_pending", s.sipi_pending);
  v.field("sipi_vector", s.sipi_vector);
  v.field("pending_db", s.pending_db);
  v.field("in_repeat", s.in_repeat);
  v.field("star", s.star);
  v.field("lstar", s.lstar);
  v.field("cstar", s.cstar);
  v.field("sfmask", s.sfmask);
  v.field("kernel_gs_base", s.kernel_gs_base);
  v.field("sysenter_cs", s.sysenter_cs);
  v.field("sysenter_esp", s.sysenter_esp);
  v.field("sysenter_eip", s.sysenter_eip);
  v.field("pat", s.pat);
  v.field("tsc_offset", s.tsc_offset);
  v.field("tsc_aux", s.tsc_aux);
  v.field("debugctl", s.debugctl);
  v.field("last_branch_from", s.last_branch_from);
  v.field("last_branch_to", s.last_branch_to);
  v.field("last_exception_from", s.last_exception_from);
  v.field("last_exception_to", s.last_exception_to);
  v.field("xss", s.xss);
  v.field("mtrr_def_type", s.mtrr_def_type);
  v.array("mtrr_fixed", s.mtrr_fixed);
  v.array("mtrr_base", s.mtrr_base);
  v.array("mtrr_mask", s.mtrr_mask);
  v.field("kvm_system_time", s.kvm_system_time);
  v.field("kvm_wall_clock", s.kvm_wall_clock);
  v.field("kvm_system_time_version", s.kvm_system_time_version);
  v.field("syscfg", s.syscfg);
  v.field("hwcr", s.hwcr);
  v.field("vm_hsave_pa", s.vm_hsave_pa);
  v.array("top_mem", s.top_mem);
  v.array("iorr", s.iorr);
  v.field("mcg_status", s.mcg_status);
  v.field("microcode_revision", s.microcode_revision);
  v.field("monitor_address", s.monitor_address);
  v.field("monitor_armed", s.monitor_armed);
  v.field("mwait_wakes_masked", s.mwait_wakes_masked);
  v.end();
}

}  // namespace orrery::cpu
