#include "tests/silicon/emulated_cpu.h"

#include "base/check.h"

namespace orrery::silicon {
namespace {

// Physical layout: page tables from 0x1000 on, data at 0x10000, code at 0x20000, the kernel's page and stack
// at 0x30000.
constexpr u64 kRamBytes = 1 << 20, kPml4 = 0x1000, kPdpt = 0x2000, kPd = 0x3000, kDataPt = 0x4000,
              kCodePt = 0x5000, kKernelPdpt = 0x6000, kKernelPd = 0x7000, kKernelPt = 0x8000;
constexpr u64 kDataPhysical = 0x10000, kCodePhysical = 0x20000, kKernelPhysical = 0x30000;
constexpr u64 kPresent = 1, kWrite = 2, kUser = 4, kAccessed = 32, kDirty = 64, kNoExecute = u64{1} << 63;

// The little kernel, in the upper half, where the host's is: tables, a HLT for each vector, a stack.
constexpr u64 kKernel = 0xffff800000000000, kKernelBytes = 0x3000;
constexpr u64 kGdt = kKernel, kLdt = kKernel + 0x100, kTss = kKernel + 0x200, kHalts = kKernel + 0x300,
              kIdt = kKernel + 0x1000, kStackTop = kKernel + kKernelBytes;
constexpr u16 kKernelCode = 0x10;
constexpr unsigned kVectors = 32;

/// P, DPL 3, S, type and D/B of a descriptor, in their places. [SDM3 figure 3-8]
u64 ldt_rights(const LdtSegment& s) {
  const u64 type = s.code ? 0xb : 0x3;
  return (u64{s.wide} << 54) | (u64{s.present} << 47) | (u64{0x70} | type) << 40;
}

std::unique_ptr<memory::Ram> make_ram() {
  auto ram = memory::Ram::create("silicon", kRamBytes);
  CHECK(ram.ok());
  return std::move(ram.value());
}

}  // namespace

const cpu::CpuModel& EmulatedCpu::model() {
  static const cpu::CpuModel m = {.name = "silicon",
                                  .features = ~u64{0},
                                  .physical_address_bits = 48,
                                  .linear_address_bits = 57,
                                  .amd = true,
                                  .family_model_stepping = 0x00b00f21,
                                  .brand = "silicon"};
  return m;
}

EmulatedCpu::EmulatedCpu() : ram_(make_ram()), cache_(*ram_, model()) {
  memory_.add_ram("ram", 0, *ram_, 0, kRamBytes);
  const auto entry = [&](u64 table, u64 index, u64 value) {
    store_le<u64>(ram_->data() + table + 8 * index, value);
  };
  constexpr u64 kTable = kPresent | kWrite | kUser | kAccessed;
  entry(kPml4, 0, kPdpt | kTable);
  entry(kPdpt, 0, kPd | kTable);
  entry(kPd, kDataBase >> 21, kDataPt | kTable);
  entry(kPd, kCodePage >> 21, kCodePt | kTable);
  for (u64 page = 0; page < kDataBytes / 4096; ++page) {
    const u64 rights =
        kPresent | kUser | kAccessed | kDirty | kNoExecute | (page < kWritableBytes / 4096 ? kWrite : 0);
    entry(kDataPt, ((kDataBase >> 12) & 511) + page, (kDataPhysical + 4096 * page) | rights);
  }
  entry(kCodePt, (kCodePage >> 12) & 511, kCodePhysical | kPresent | kUser | kAccessed);
  entry(kPml4, 256, kKernelPdpt | kTable);
  entry(kKernelPdpt, 0, kKernelPd | kTable);
  entry(kKernelPd, 0, kKernelPt | kTable);
  for (u64 page = 0; page < kKernelBytes / 4096; ++page)
    entry(kKernelPt, page, (kKernelPhysical + 4096 * page) | kPresent | kWrite | kAccessed | kDirty);
  std::memset(ram_->data() + kCodePhysical, 0xcc, 4096);
  make_tables();
  vcpu_ = std::make_unique<cpu::Vcpu>(0, cpu::VcpuServices{.ram = *ram_,
                                                           .memory = memory_,
                                                           .ports = ports_,
                                                           .events = events_,
                                                           .entropy = entropy_,
                                                           .decode_cache = cache_,
                                                           .model = model()});
  enter_user_mode({});
}

void EmulatedCpu::set_mode(Mode mode) {
  mode_ = mode;
  enter_user_mode({});
}

/// The host kernel's GDT as far as user code can see it, an LDT with the segment for GS, an IDT whose gates
/// lead to HLT instructions. [SDM3 3.4.5, 6.14.1, 7.7]
void EmulatedCpu::make_tables() {
  const auto put = [&](u64 linear, u64 value) {
    store_le<u64>(ram_->data() + kKernelPhysical + (linear - kKernel), value);
  };
  constexpr u64 kDescriptors[] = {0,
                                  0x00cf9b000000ffff,   // 08: 32-bit kernel code
                                  0x00af9b000000ffff,   // 10: kernel code
                                  0x00cf93000000ffff,   // 18: kernel data
                                  0x00cffb000000ffff,   // 23: 32-bit user code
                                  0x00cff3000000ffff,   // 2b: user data
                                  0x00affb000000ffff};  // 33: user code
  for (u64 i = 0; i < std::size(kDescriptors); ++i) put(kGdt + 8 * i, kDescriptors[i]);
  for (u64 i = 0; i < std::size(kLdtSegments); ++i) {
    const u64 base = kLdtSegments[i].base;
    put(kLdt + 8 * i, ldt_rights(kLdtSegments[i]) | (base & 0xffffff) << 16 | (base >> 24) << 56 |
                          (kLdtSegments[i].limit & 0xffff));
  }
  put(kTss + 4, kStackTop);  // RSP0
  for (u64 vector = 0; vector < kVectors; ++vector) {
    const u64 dpl = vector == 3 || vector == 4 ? 3 : 0;
    const u64 offset = kHalts + vector;
    put(kIdt + 16 * vector, (offset & 0xffff) | u64{kKernelCode} << 16 | (0x8e | dpl << 5) << 40 |
                                ((offset >> 16) & 0xffff) << 48);
    put(kIdt + 16 * vector + 8, offset >> 32);
    constexpr u8 kHlt = 0xf4;
    ram_->data()[kKernelPhysical + (offset - kKernel)] = kHlt;
  }
}

void EmulatedCpu::enter_user_mode(const Context& context) {
  using namespace cpu;
  CpuState& s = vcpu_->state;
  s.cr0 = cr0::PE | cr0::PG | cr0::NE | cr0::WP | cr0::ET | cr0::MP | cr0::AM;
  s.cr3 = kPml4;
  s.cr4 = cr4::PAE | cr4::OSFXSR | cr4::OSXMMEXCPT | cr4::FSGSBASE | cr4::OSXSAVE | cr4::UMIP;
  s.efer = efer::SCE | efer::LME | efer::LMA | efer::NXE;
  s.xcr0 = xcr0::X87 | xcr0::SSE | xcr0::AVX;
  s.cpl = 3;
  s.gdt_base = kGdt;
  s.gdt_limit = 0x7f;
  s.idt_base = kIdt;
  s.idt_limit = 16 * kVectors - 1;
  constexpr u32 kFlat = seg_attr::kP | seg_attr::kS | seg_attr::kDplMask | seg_attr::kG;
  constexpr u32 kUserData = kFlat | 3 | seg_attr::kDb;
  constexpr Segment kNull = {.base = 0, .limit = 0, .attributes = seg_attr::kUnusable, .selector = 0};
  constexpr Segment kFlatData = {.base = 0, .limit = 0xffffffff, .attributes = kUserData, .selector = kData};
  // 64-bit mode leaves null selectors usable here: nothing looks at them.
  constexpr Segment kIgnored = {.base = 0, .limit = 0xffffffff, .attributes = kUserData, .selector = 0};
  const auto chosen = [&](u16 selector) {
    if (selector == kData) return kFlatData;
    const unsigned index = selector >> 3;
    if ((selector & 7) != kLdtData || index >= kLdtDataSegments) return kNull;
    return Segment{.base = kLdtSegments[index].base,
                   .limit = kLdtSegments[index].limit,
                   .attributes = kUserData & ~seg_attr::kG,
                   .selector = selector};
  };
  const bool wide = mode_ == Mode::k64;
  for (unsigned i = 0; i < 6; ++i) s.seg[i] = wide ? kIgnored : kNull;
  s.seg[kSs] = kFlatData;
  s.seg[kLdtr] = {.base = kLdt,
                  .limit = 8 * std::size(kLdtSegments) - 1,
                  .attributes = seg_attr::kP | 2,
                  .selector = 0x50};
  s.seg[kTr] = {.base = kTss, .limit = 0x67, .attributes = seg_attr::kP | 11, .selector = 0x40};
  if (wide) {
    s.seg[kGs].base = kGsBase;
  } else {
    s.seg[kDs] = chosen(context.ds);
    s.seg[kEs] = chosen(context.es);
    s.seg[kGs] = chosen(context.gs);
  }
  s.seg[kCs] = {.base = 0,
                .limit = 0xffffffff,
                .attributes = kFlat | 11 | (wide ? seg_attr::kL : seg_attr::kDb),
                .selector = wide ? kCode64 : kCode32};
  vcpu_->mode_changed();
}

u8* EmulatedCpu::memory() { return ram_->data() + kDataPhysical; }

void EmulatedCpu::load_code(std::span<const u8> code) {
  const u64 at = kCodePhysical + (kCodeStart & 0xfff);
  ram_->note_write(at, kCodeBytes);
  std::memset(ram_->data() + at, 0xcc, kCodeBytes);
  std::memcpy(ram_->data() + at, code.data(), code.size());
}

void EmulatedCpu::load(const Context& context) {
  using namespace cpu;
  CpuState& s = vcpu_->state;
  std::copy_n(context.gpr, 16, s.gpr);
  s.gpr[kRip] = kCodeStart;
  s.rflags = context.rflags;
  const FxArea& fx = context.fx;
  s.mxcsr = fx.mxcsr;
  s.fcw = fx.fcw;
  s.fsw = fx.fsw;
  s.ftw = fx.ftw;
  s.fop = fx.fop;
  s.fip = fx.fip;
  s.fdp = fx.fdp;
  s.fcs = s.fds = 0;
  s.fcs = s.fds = 0;
  const unsigned top = (fx.fsw >> 11) & 7;
  for (unsigned i = 0; i < 8; ++i) {
    s.fpr[(top + i) & 7].significand = fx.st[i][0];
    s.fpr[(top + i) & 7].sign_exponent = static_cast<u16>(fx.st[i][1]);
  }
  for (unsigned i = 0; i < 16; ++i) {
    s.vec[i].q[0] = fx.xmm[i][0];
    s.vec[i].q[1] = fx.xmm[i][1];
    s.vec[i].q[2] = context.ymm_high[i][0];
    s.vec[i].q[3] = context.ymm_high[i][1];
  }
  s.pending_db = 0;
  s.shadow = Shadow::kNone;
  s.activity = Activity::kRunning;
  enter_user_mode(context);
}

void EmulatedCpu::take(Result& r) const {
  using namespace cpu;
  const CpuState& s = vcpu_->state;
  std::memset(static_cast<void*>(&r.context), 0, sizeof r.context);
  std::copy_n(s.gpr, 16, r.context.gpr);
  r.context.rip = s.gpr[kRip];
  r.context.rflags = s.rflags;
  r.context.cs = s.seg[kCs].selector;
  if (mode_ == Mode::k32) {
    r.context.ds = s.seg[kDs].selector;
    r.context.es = s.seg[kEs].selector;
    r.context.gs = s.seg[kGs].selector;
  }
  FxArea& out = r.context.fx;
  out.mxcsr = s.mxcsr;
  out.fcw = s.fcw;
  out.fsw = s.fsw;
  out.ftw = s.ftw;
  out.fop = s.fop;
  out.fip = s.fip;
  out.fdp = s.fdp;
  r.fcs = s.fcs;
  r.fds = s.fds;
  const unsigned top = (s.fsw >> 11) & 7;
  for (unsigned i = 0; i < 8; ++i) {
    out.st[i][0] = s.fpr[(top + i) & 7].significand;
    out.st[i][1] = s.fpr[(top + i) & 7].sign_exponent;
  }
  for (unsigned i = 0; i < 16; ++i) {
    out.xmm[i][0] = s.vec[i].q[0];
    out.xmm[i][1] = s.vec[i].q[1];
    r.context.ymm_high[i][0] = s.vec[i].q[2];
    r.context.ymm_high[i][1] = s.vec[i].q[3];
  }
}

Result EmulatedCpu::run(std::span<const u8> code, const Context& context) {
  using namespace cpu;
  Vcpu& v = *vcpu_;
  CpuState& s = v.state;
  load_code(code);
  load(context);

  Insn insn;
  decoder().decode(code, v.decode_key(), insn);
  Outcome outcome = Outcome::kRestart;
  for (int rounds = 0; outcome == Outcome::kRestart && rounds < 100000; ++rounds) {
    v.ticks_left = 1 << 30;
    s.gpr[kRip] = kCodeStart + insn.length;
    outcome = insn.handler(v, insn);
  }

  Result r;
  if (outcome == Outcome::kFault) {
    const Fault& f = v.fault();
    if (f.kind != Fault::Kind::kTrap && !f.is_software()) s.gpr[kRip] = kCodeStart;
    r.vector = f.vector;
    r.error_code = f.has_error_code ? f.error_code : 0;
    r.address = r.vector == kPF ? f.address : 0;
  }
  take(r);
  return r;
}

Result EmulatedCpu::in_order_of(const Result& native, std::span<const u8> code, const Result& got) {
  const auto same_fault = [&native](const Result& r) {
    // The kernel's half is mapped natively.
    const u32 present = native.vector == cpu::kPF && (native.address >> 63) != 0 ? 1u : 0u;
    return r.vector == native.vector && (r.error_code | present) == (native.error_code | present) &&
           r.address == native.address;
  };
  if (got.vector == kNoFault || native.vector == kNoFault || same_fault(got)) return got;
  cpu::Insn insn;
  decoder().decode(code, vcpu_->decode_key(), insn);
  const std::string_view name = cpu::isa::rows()[insn.row].name;
  Result r = got;
  const auto end_as = [&r, &native] {
    r.vector = native.vector;
    r.error_code = native.error_code;
    r.address = native.address;
    return r;
  };
  const bool beyond_segment = got.vector == cpu::kGP || got.vector == cpu::kSS_;
  if (mode_ == Mode::k32 && (name.starts_with("VMASKMOV") || name.starts_with("VPMASKMOV")) &&
      beyond_segment && native.vector == cpu::kPF && native.address < sizeof(cpu::Vec))
    return end_as();
  u8 scas[15];
  constexpr u8 kCmps = 0xa6, kScas = 0xae;
  if (insn.length > sizeof scas || !name.starts_with("CMPS") || (code[insn.length - 1u] & 0xfe) != kCmps)
    return got;
  // SCAS reads ES:rDI alone.
  std::copy_n(code.begin(), insn.length, scas);
  scas[insn.length - 1u] += kScas - kCmps;
  const Result other = run({scas, insn.length}, got.context);
  return same_fault(other) ? end_as() : got;
}

Result EmulatedCpu::run_to_fault(cpu::Engine& engine, const Context& context, i64 slice, i64 most_ticks,
                                 i64& ticks) {
  using namespace cpu;
  Vcpu& v = *vcpu_;
  CpuState& s = v.state;
  load(context);
  v.set_attention();
  Result r;
  ticks = 0;
  EngineExit exit = EngineExit::kTicks;
  while ((exit == EngineExit::kTicks || exit == EngineExit::kYield) && ticks < most_ticks) {
    v.ticks_left = slice;
    exit = engine.run(v, false);
    ticks += slice - v.ticks_left;
  }
  if (exit == EngineExit::kIdle && s.cpl == 0) {
    r.vector = static_cast<unsigned>(s.gpr[kRip] - kHalts - 1);
    // What delivery has pushed stands at the top of the stack. [SDM3 6.14.2]
    u64 frame[6];
    const u64 sp = s.gpr[kRsp];
    const bool has_error_code = sp == kStackTop - 48;
    CHECK(has_error_code || sp == kStackTop - 40);
    std::memcpy(frame, ram_->data() + kKernelPhysical + (sp - kKernel), kStackTop - sp);
    const u64* const saved = frame + (has_error_code ? 1 : 0);
    r.error_code = has_error_code ? static_cast<u32>(frame[0]) : 0;
    r.address = r.vector == kPF ? s.cr2 : 0;
    take(r);
    r.context.rip = saved[0];
    r.context.cs = static_cast<u16>(saved[1]);
    r.context.rflags = saved[2];
    r.context.gpr[kRsp] = saved[3];
  } else {
    CHECK(exit == EngineExit::kTicks || exit == EngineExit::kYield);
    r.vector = kStopped;
    take(r);
  }
  return r;
}

}  // namespace orrery::silicon
