// What the vendors' manuals say differently, where no CPU model that a user can choose is Intel's; and that
// CPUID and the MSRs tell the same story. [SDM2], [SDM4], [APM3]
#include <gtest/gtest.h>

#include "cpu/decode/decode_cache.h"
#include "cpu/msr/msr.h"
#include "cpu/vcpu.h"

namespace orrery::cpu {
namespace {

CpuModel model_of(bool amd) {
  CpuModel m = *find_cpu_model("x86-64-v3");
  m.amd = amd;
  return m;
}

/// One processor of a vendor at CPL 0, in 64-bit or 32-bit protected mode, without paging.
class Processor {
 public:
  explicit Processor(bool amd) : Processor(model_of(amd)) {}
  explicit Processor(const CpuModel& model) : model_(model) {
    space_.begin_update();
    space_.add_ram("ram", 0, *ram_, 0, ram_->size_bytes());
    space_.end_update();
  }
  void enter(unsigned code_bits) {
    CpuState& s = vcpu.state;
    s.cr0 = cr0::PE | cr0::ET;
    s.efer = efer::SCE | (code_bits == 64 ? efer::LME | efer::LMA : 0);
    s.cpl = 0;
    constexpr u32 kCode = seg_attr::kP | seg_attr::kS | seg_attr::kG | 11;
    s.seg[kCs].attributes = kCode | (code_bits == 64 ? seg_attr::kL : seg_attr::kDb);
    s.seg[kCs].limit = 0xffffffff;
    vcpu.mode_changed();
  }
  /// The fault's vector, or -1.
  int run(std::initializer_list<u8> code) {
    Insn insn;
    const std::vector<u8> bytes(code);
    decoder_.decode(bytes, vcpu.decode_key(), insn);
    return insn.handler(vcpu, insn) == Outcome::kFault ? vcpu.fault().vector : -1;
  }
  bool has_msr(u32 index) {
    u64 value = 0;
    return read_msr(vcpu, index, value);
  }

 private:
  Timeline timeline_;
  Clock clock_{timeline_};
  EventQueue events_{timeline_, clock_};
  Entropy entropy_;
  memory::AddressSpace space_{0};
  memory::AddressSpace ports_{0x10000};
  std::unique_ptr<memory::Ram> ram_ = memory::Ram::create("vendor-test", u64{1} << 20).value();
  CpuModel model_;
  DecodeCache cache_{*ram_, model_};
  Decoder decoder_{model_};
  // Too large for a stack.
  std::unique_ptr<Vcpu> vcpu_ = std::make_unique<Vcpu>(0, VcpuServices{.ram = *ram_,
                                                                       .memory = space_,
                                                                       .ports = ports_,
                                                                       .events = events_,
                                                                       .entropy = entropy_,
                                                                       .decode_cache = cache_,
                                                                       .model = model_,
                                                                       .tsc_hz = 1'000'000'000});

 public:
  Vcpu& vcpu = *vcpu_;
};

TEST(Vendor, SysretOutsideSixtyFourBitMode) {
  const std::initializer_list<u8> sysret = {0x0f, 0x07};
  Processor amd(true), intel(false);
  amd.enter(32);
  intel.enter(32);
  EXPECT_EQ(amd.run(sysret), -1);
  EXPECT_EQ(amd.vcpu.cpl(), 3u);
  EXPECT_EQ(intel.run(sysret), kUD);
  EXPECT_EQ(intel.vcpu.cpl(), 0u);
  intel.enter(64);
  EXPECT_EQ(intel.run(sysret), -1);
  EXPECT_EQ(intel.vcpu.cpl(), 3u);
}

TEST(Vendor, SysretToANonCanonicalAddress) {
  const std::initializer_list<u8> sysretq = {0x48, 0x0f, 0x07};
  Processor amd(true), intel(false);
  for (Processor* p : {&amd, &intel}) {
    p->enter(64);
    p->vcpu.state.gpr[kRcx] = u64{1} << 47;
  }
  EXPECT_EQ(amd.run(sysretq), -1);
  EXPECT_EQ(intel.run(sysretq), kGP);
}

TEST(Vendor, MonitorsExtensions) {
  const std::initializer_list<u8> monitor = {0x0f, 0x01, 0xc8}, mwait = {0x0f, 0x01, 0xc9};
  Processor amd(true), intel(false);
  for (Processor* p : {&amd, &intel}) {
    p->enter(64);
    p->vcpu.state.gpr[kRcx] = u64{1} << 32;
    const int want = p == &amd ? -1 : int{kGP};
    EXPECT_EQ(p->run(monitor), want);
    EXPECT_EQ(p->run(mwait), want);
    // Outside 64-bit mode there is only ECX.
    p->enter(32);
    p->vcpu.state.seg[kDs].limit = 0xffffffff;
    EXPECT_EQ(p->run(monitor), -1);
    EXPECT_EQ(p->run(mwait), -1);
    p->vcpu.state.gpr[kRcx] = 2;
    EXPECT_EQ(p->run(mwait), kGP);
  }
}

TEST(Vendor, CpuidAndMsrsAgree) {
  struct Rule {
    u32 leaf, subleaf;
    unsigned reg;  // EAX to EDX
    unsigned bit;
    std::initializer_list<u32> msrs;
  };
  const Rule rules[] = {
      {1, 0, 3, 5, {0x10}},                                             // MSR: the TSC's
      {1, 0, 3, 9, {0x1b}},                                             // APIC
      {1, 0, 3, 11, {0x174, 0x175, 0x176}},                             // SEP
      {1, 0, 3, 12, {0xfe, 0x200, 0x20f, 0x250, 0x258, 0x26f, 0x2ff}},  // MTRR
      {1, 0, 3, 14, {0x179, 0x17a}},                                    // MCA
      {1, 0, 3, 16, {0x277}},                                           // PAT
      {1, 0, 2, 24, {0x6e0}},                                           // TSC-deadline
      {6, 0, 2, 0, {0xe7, 0xe8}},                                       // APERF, MPERF
      {7, 0, 1, 1, {0x3b}},                                             // TSC_ADJUST
      {7, 0, 3, 26, {0x48}},                                            // SPEC_CTRL
      {7, 0, 3, 29, {0x10a}},                                           // ARCH_CAPABILITIES
      {0xd, 1, 0, 3, {0xda0}},                                          // XSAVES: XSS
      {0x80000001, 0, 3, 11, {0xc0000081, 0xc0000082, 0xc0000084}},     // SYSCALL
      {0x80000001, 0, 3, 27, {0xc0000103}},                             // RDTSCP: TSC_AUX
      {0x80000001, 0, 3, 29, {0xc0000100, 0xc0000101, 0xc0000102}},     // LM
      {0x80000001, 0, 2, 23, {0xc0010200, 0xc0010201}},                 // PerfCtrExtCore
      {0x80000007, 0, 3, 10, {0xc00000e7, 0xc00000e8}},                 // EffFreqRO
      {0x80000008, 0, 1, 14, {0x48}},                                   // IBRS
      {0x40000001, 0, 0, 0, {0x11, 0x12}},                              // kvmclock
      {0x40000001, 0, 0, 3, {0x4b564d00, 0x4b564d01}},                  // the newer one
  };
  for (const CpuModel& named : cpu_models()) {
    Processor p(named);
    for (const Rule& rule : rules) {
      const CpuidResult r = cpuid(p.vcpu, rule.leaf, rule.subleaf);
      const u32 words[] = {r.eax, r.ebx, r.ecx, r.edx};
      for (const u32 msr : rule.msrs) {
        EXPECT_EQ(p.has_msr(msr), ((words[rule.reg] >> rule.bit) & 1) != 0)
            << std::hex << "leaf " << rule.leaf << " register " << rule.reg << " bit " << rule.bit << " msr "
            << msr;
      }
    }
  }
  Processor intel(false);
  EXPECT_TRUE(intel.has_msr(0x1a0));
  EXPECT_FALSE(Processor(true).has_msr(0x1a0));
  u64 value = 0;
  ASSERT_TRUE(read_msr(intel.vcpu, 0x1a0, value));
  EXPECT_EQ((value >> 18) & 1, (cpuid(intel.vcpu, 1, 0).ecx >> 3) & 1);  // MONITOR
  EXPECT_TRUE(write_msr(intel.vcpu, 0x1a0, value));
  EXPECT_FALSE(write_msr(intel.vcpu, 0x1a0, value ^ 1));
}

}  // namespace
}  // namespace orrery::cpu
