#include "tests/silicon/emulated_cpu.h"

#include "base/check.h"

namespace orrery::silicon {
namespace {

// Physical layout: page tables from 0x1000 on, data at 0x10000, code at 0x20000.
constexpr u64 kRamBytes = 1 << 20, kPml4 = 0x1000, kPdpt = 0x2000, kPd = 0x3000, kDataPt = 0x4000,
              kCodePt = 0x5000;
constexpr u64 kDataPhysical = 0x10000, kCodePhysical = 0x20000;
constexpr u64 kPresent = 1, kWrite = 2, kUser = 4, kAccessed = 32, kDirty = 64, kNoExecute = u64{1} << 63;

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
  entry(kCodePt, (kCodePage >> 12) & 511, kCodePhysical | kPresent | kWrite | kUser | kAccessed | kDirty);
  std::memset(ram_->data() + kCodePhysical, 0xcc, 4096);
  vcpu_ = std::make_unique<cpu::Vcpu>(0, cpu::VcpuServices{.ram = *ram_,
                                                           .memory = memory_,
                                                           .ports = ports_,
                                                           .events = events_,
                                                           .entropy = entropy_,
                                                           .decode_cache = cache_,
                                                           .model = model()});
  enter_user_mode();
}

void EmulatedCpu::enter_user_mode() {
  using namespace cpu;
  CpuState& s = vcpu_->state;
  s.cr0 = cr0::PE | cr0::PG | cr0::NE | cr0::WP | cr0::ET | cr0::MP | cr0::AM;
  s.cr3 = kPml4;
  s.cr4 = cr4::PAE | cr4::OSFXSR | cr4::OSXMMEXCPT | cr4::FSGSBASE | cr4::OSXSAVE | cr4::UMIP;
  s.efer = efer::SCE | efer::LME | efer::LMA | efer::NXE;
  s.xcr0 = xcr0::X87 | xcr0::SSE | xcr0::AVX;
  s.cpl = 3;
  constexpr u32 kUserData =
      seg_attr::kP | seg_attr::kS | 3 | seg_attr::kDplMask | seg_attr::kG | seg_attr::kDb;
  for (unsigned i = 0; i < 6; ++i)
    s.seg[i] = {.base = 0, .limit = 0xffffffff, .attributes = kUserData, .selector = 0};
  s.seg[kGs].base = kGsBase;
  s.seg[kSs].selector = 0x2b;
  s.seg[kCs] = {
      .base = 0,
      .limit = 0xffffffff,
      .attributes = seg_attr::kP | seg_attr::kS | 11 | seg_attr::kDplMask | seg_attr::kG | seg_attr::kL,
      .selector = 0x33};
  vcpu_->mode_changed();
  vcpu_->flush_tlb_all();
}

u8* EmulatedCpu::memory() { return ram_->data() + kDataPhysical; }

Result EmulatedCpu::run(std::span<const u8> code, const Context& context) {
  using namespace cpu;
  Vcpu& v = *vcpu_;
  CpuState& s = v.state;
  std::memcpy(ram_->data() + kCodePhysical + (kCodeStart & 0xfff), code.data(), code.size());
  std::copy_n(context.gpr, 16, s.gpr);
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
  if (s.cpl != 3 || v.code_bits() != 64) enter_user_mode();
  v.mode_changed();

  Insn insn;
  decoder().decode(code, v.decode_key(), insn);
  Outcome outcome = Outcome::kRestart;
  for (int rounds = 0; outcome == Outcome::kRestart && rounds < 100000; ++rounds) {
    v.ticks_left = 1 << 30;
    s.gpr[kRip] = kCodeStart + insn.length;
    outcome = insn.handler(v, insn);
  }

  Result r;
  std::memset(static_cast<void*>(&r.context), 0, sizeof r.context);
  if (outcome == Outcome::kFault) {
    s.gpr[kRip] = kCodeStart;
    r.vector = v.fault().vector;
    r.error_code = v.fault().has_error_code ? v.fault().error_code : 0;
    r.address = r.vector == kPF ? v.fault().address : 0;
  }
  std::copy_n(s.gpr, 16, r.context.gpr);
  r.context.rip = s.gpr[kRip];
  r.context.rflags = s.rflags;
  FxArea& out = r.context.fx;
  out.mxcsr = s.mxcsr;
  out.fcw = s.fcw;
  out.fsw = s.fsw;
  out.ftw = s.ftw;
  out.fop = s.fop;
  out.fip = s.fip;
  out.fdp = s.fdp;
  const unsigned new_top = (s.fsw >> 11) & 7;
  for (unsigned i = 0; i < 8; ++i) {
    out.st[i][0] = s.fpr[(new_top + i) & 7].significand;
    out.st[i][1] = s.fpr[(new_top + i) & 7].sign_exponent;
  }
  for (unsigned i = 0; i < 16; ++i) {
    out.xmm[i][0] = s.vec[i].q[0];
    out.xmm[i][1] = s.vec[i].q[1];
    r.context.ymm_high[i][0] = s.vec[i].q[2];
    r.context.ymm_high[i][1] = s.vec[i].q[3];
  }
  return r;
}

}  // namespace orrery::silicon
