// What a debugger sees of a vCPU's state, and what it may change.

#include <gtest/gtest.h>

#include <cstring>

#include "base/bits.h"
#include "control/guest_registers.h"
#include "cpu/decode/decode_cache.h"
#include "cpu/vcpu.h"

namespace orrery::control {
namespace {

class GuestRegistersTest : public testing::Test {
 protected:
  std::unique_ptr<memory::Ram> ram = memory::Ram::create("test", 1 << 20).value();
  memory::AddressSpace memory{0};
  memory::AddressSpace ports{0x10000};
  Timeline timeline;
  Clock clock{timeline};
  EventQueue events{timeline, clock};
  Entropy entropy;
  cpu::CpuModel model = cpu::cpu_models().back();
  cpu::DecodeCache decode_cache{*ram, model};
  cpu::Vcpu cpu{0,
                {.ram = *ram,
                 .memory = memory,
                 .ports = ports,
                 .events = events,
                 .entropy = entropy,
                 .decode_cache = decode_cache,
                 .model = model,
                 .tsc_hz = 1'000'000'000}};
  void SetUp() override { cpu.reset(false); }
};

TEST_F(GuestRegistersTest, OrderOfGeneralAndSegmentRegisters) {
  for (u8 i = 0; i < 16; ++i) cpu.state.gpr[i] = 0x100u + i;
  cpu.state.gpr[cpu::kRip] = 0xfff0;
  cpu.state.seg[cpu::kCs].selector = 8;
  cpu.state.seg[cpu::kGs].selector = 0x2b;
  cpu.state.seg[cpu::kGs].base = 0xffff888000000000;
  const GuestRegisters r = read_registers(cpu);
  EXPECT_EQ(r.gpr[0], 0x100u + cpu::kRax);
  EXPECT_EQ(r.gpr[1], 0x100u + cpu::kRbx);
  EXPECT_EQ(r.gpr[6], 0x100u + cpu::kRbp);
  EXPECT_EQ(r.gpr[7], 0x100u + cpu::kRsp);
  EXPECT_EQ(r.gpr[15], 0x100u + cpu::kR15);
  EXPECT_EQ(r.rip, 0xfff0u);
  EXPECT_EQ(r.segment[0], 8u);
  EXPECT_EQ(r.segment[5], 0x2bu);
  EXPECT_EQ(r.gs_base, 0xffff888000000000u);
}

TEST_F(GuestRegistersTest, X87IsRelativeToTopAndTagsAreFull) {
  cpu::CpuState& s = cpu.state;
  s.fsw = 6 << cpu::fsw::kTopShift;  // st(0) is physical 6
  s.ftw = 0b1100'0001;
  s.fpr[6] = {.significand = u64{1} << 63, .sign_exponent = 0x3fff};
  s.fpr[7] = {.significand = 0, .sign_exponent = 0};
  s.fpr[0] = {.significand = 3u | (u64{1} << 63), .sign_exponent = 0x7fff};
  const GuestRegisters r = read_registers(cpu);
  EXPECT_EQ(load_le<u16>(r.st[0] + 8), 0x3fff);
  EXPECT_EQ(load_le<u16>(r.st[2] + 8), 0x7fff);
  EXPECT_EQ(r.x87[2], 0b01'00'11'11'11'11'11'10u);
}

TEST_F(GuestRegistersTest, WritingWhatWasReadChangesNothing) {
  cpu::CpuState& s = cpu.state;
  s.fip = 0x123456789abc;
  s.fdp = 0xfedcba987654;
  s.ftw = 0x81;
  s.rflags |= cpu::rflags::CF;
  for (u8 i = 0; i < 16; ++i) s.vec[i].q[0] = i;
  StateHasher before, after;
  cpu::visit_cpu_state(before, s);
  write_registers(cpu, read_registers(cpu));
  cpu::visit_cpu_state(after, s);
  EXPECT_EQ(before.digest(), after.digest());
}

TEST_F(GuestRegistersTest, OnlyHarmlessThingsAreWritten) {
  GuestRegisters r = read_registers(cpu);
  const u64 cr0 = cpu.state.cr0;
  r.gpr[0] = 1;
  r.eflags = ~u32{0};
  r.mxcsr = ~u32{0};
  r.cr0 = ~u64{0};
  r.fs_base = 0x8000'0000'0000'0000;  // not canonical
  r.gs_base = 0x1234;
  write_registers(cpu, r);
  EXPECT_EQ(cpu.state.gpr[cpu::kRax], 1u);
  EXPECT_EQ(cpu.state.rflags & (cpu::rflags::VM | cpu::rflags::VIF | cpu::rflags::VIP), 0u);
  EXPECT_NE(cpu.state.rflags & cpu::rflags::AC, 0u);
  EXPECT_EQ(cpu.state.mxcsr & ~cpu::mxcsr::kWritable, 0u);
  EXPECT_EQ(cpu.state.cr0, cr0);
  EXPECT_EQ(cpu.state.seg[cpu::kFs].base, 0u);
  EXPECT_EQ(cpu.state.seg[cpu::kGs].base, 0x1234u);
}

}  // namespace
}  // namespace orrery::control
