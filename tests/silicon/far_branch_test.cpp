// Far JMP, CALL and RET, and IRET, of ring 3 to ring 3: on the host CPU and in the interpreter, from the same
// stacks, pointers and selectors; where they lead is full of INT3. [SDM2 JMP, CALL, RET, IRET]
//
// ORRERY_SILICON_FAR: how many (default 20000); ORRERY_SILICON_SEED. Not modelled: gates and tasks, which the
// host's tables don't have; SS, which the host's signal frame need not hold.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>

#include "base/bits.h"
#include "cpu/interpreter.h"
#include "tests/silicon/cases.h"
#include "tests/silicon/compare.h"
#include "tests/silicon/emulated_cpu.h"
#include "tests/silicon/native_cpu.h"

namespace orrery::silicon {
namespace {

u64 setting(const char* name, u64 otherwise) {
  const char* v = std::getenv(name);
  return v == nullptr ? otherwise : std::strtoull(v, nullptr, 0);
}

template <class T, size_t N>
T pick(Random& r, const T (&from)[N]) {
  return from[r.below(N)];
}

u16 selector(Random& r) {
  constexpr u16 kFew[] = {kCode32, kCode64, kData, 0, 0x08, 0x10, 0x18, 0x83, 0xfffb};
  if (r.chance(45)) return pick(r, kFew) ^ static_cast<u16>(r.chance(10) ? r.below(4) : 0);
  const u64 index = r.below(std::size(kLdtSegments) + 1);
  return static_cast<u16>((8 * index + kLdtData) ^ (r.chance(10) ? r.below(4) : 0));
}
u64 target(Random& r) {
  constexpr u64 kFew[] = {0, 0x3ff, 0x400, 0xfff, 0x1000, 0xffff, 0xffffffff, u64{1} << 47, ~u64{0}};
  return r.chance(30)   ? pick(r, kFew)
         : r.chance(50) ? 0x100 + r.below(0x400)
                        : kCodePage + 0x100 + r.below(0x400);
}
u64 stack_pointer(Random& r) {
  constexpr u64 kEdges[] = {kDataBase, kDataBase + kWritableBytes, kDataBase + kDataBytes, 0, 0x100000000};
  if (r.chance(60)) return kDataBase + 0x400 + 4 * r.below(0x200);
  return pick(r, kEdges) + r.below(48) - 24;
}

struct Case {
  std::vector<u8> code;
  Context start;
};

/// A far branch; what it reads lies at [rax] and on the stack.
Case make_far_branch(Random& r, Mode mode, u8* memory) {
  Case c{};
  make_registers(r, c.start);
  const bool wide = mode == Mode::k64;
  if (r.chance(25)) c.code.push_back(0x66);
  const bool rex = wide && r.chance(40);
  if (rex) c.code.push_back(0x48);
  const unsigned element = rex ? 8 : c.code.size() == 1 && c.code[0] == 0x66 ? 2 : 4;
  const u16 chosen = selector(r);
  const u64 to = target(r);
  const auto immediate = [&](u64 v, unsigned bytes) {
    for (unsigned i = 0; i < bytes; ++i) c.code.push_back(static_cast<u8>(v >> (8 * i)));
  };
  const u64 kind = r.below(wide ? 5 : 7);
  constexpr u8 kOpcodes[] = {0xff, 0xff, 0xcb, 0xca, 0xcf, 0xea, 0x9a};
  c.code.push_back(kOpcodes[kind]);
  if (kind < 2) c.code.push_back(kind == 0 ? 0x28 : 0x18);  // JMP, CALL [rax]
  if (kind == 3) immediate(r.below(8) * 4, 2);
  if (kind >= 5) {
    immediate(to, element);
    immediate(chosen, 2);
  }
  c.start.gpr[cpu::kRax] = r.chance(70) ? kDataBase + 0x1000 + 2 * r.below(0x400) : stack_pointer(r);
  c.start.gpr[cpu::kRsp] = stack_pointer(r);
  const auto put = [&](u64 address, u64 value, unsigned bytes) {
    if (address - kDataBase <= kDataBytes - 8) store_le_n(memory + (address - kDataBase), value, bytes);
  };
  // A far pointer: AMD's processors take at most 32 bits of offset.
  const unsigned pointer = std::min(element, 4u);
  put(c.start.gpr[cpu::kRax], to, pointer);
  put(c.start.gpr[cpu::kRax] + pointer, chosen, 2);
  const u64 flags = 0x202 | (r.next() & (r.chance(20) ? 0x3f7fd5 : 0xcd5));
  constexpr u16 kStacks[] = {kData, kData, kData, kLdtData, 0, 3, kCode32, 8 * 9 + kLdtData};
  const u64 frame[] = {to, chosen, flags, stack_pointer(r), pick(r, kStacks)};
  for (unsigned i = 0; i < 5; ++i) put(c.start.gpr[cpu::kRsp] + i * element, frame[i], element);
  if (!wide) {
    for (unsigned i = 0; i < 16; ++i) c.start.gpr[i] = i < 8 ? c.start.gpr[i] & 0xffffffff : 0;
    c.start.ds = c.start.es = kData;
    c.start.gs = kLdtData;
  }
  return c;
}

void far_branches(Mode mode) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "the tested instructions' signals and addresses belong to the sanitizer";
#endif
  if (!NativeCpu::is_zen()) GTEST_SKIP() << "the order of faults is the profile's";
  const u64 count = setting("ORRERY_SILICON_FAR", 20000), seed = setting("ORRERY_SILICON_SEED", 1);
  NativeCpu native;
  if (!native.has_ldt()) GTEST_SKIP() << NativeCpu::kNoLdt;
  EmulatedCpu emulated;
  cpu::Interpreter interpreter;
  native.guard_host();
  native.set_mode(mode);
  emulated.set_mode(mode);
  std::map<unsigned, u64> ends;
  u64 failures = 0;
  Memory memory{};
  for (u64 n = 0; n < count && failures < 8; ++n) {
    Random r(seed * 0x9e3779b97f4a7c15 + n);
    fill_memory(r, memory.data());
    const Case c = make_far_branch(r, mode, memory.data());
    std::memcpy(native.memory(), memory.data(), kDataBytes);
    std::memcpy(emulated.memory(), memory.data(), kDataBytes);
    native.set_mode(mode);
    const Result want = native.run_to_fault(c.code, c.start);
    emulated.load_code(c.code);
    i64 ticks = 0;
    const Result got = emulated.run_to_fault(interpreter, c.start, 1 << 20, 1000, ticks);
    ++ends[want.vector];
    if (want.vector == kStopped || got.vector == kStopped) continue;
    static const cpu::isa::Row kAnyRow{};
    const std::string text =
        compare(kAnyRow, {}, c.start, want, got, native.memory(), emulated.memory(), memory.data(), true);
    if (text.empty()) continue;
    ++failures;
    std::string bytes;
    for (const u8 b : c.code) bytes += fmt::format("{:02x} ", b);
    std::string stack;
    for (u64 at = c.start.gpr[cpu::kRsp] - kDataBase, i = 0; at <= kDataBytes - 8 && i < 10; at += 4, ++i)
      stack += fmt::format(" {:x}", load_le<u32>(memory.data() + at));
    const unsigned bits = mode == Mode::k64 ? 64 : 32;
    ADD_FAILURE() << "case " << n << ": " << bytes << " "
                  << cpu::Decoder::disassemble(c.code, bits, kCodeStart) << "\n"
                  << text << "  stack:" << stack << "\n  start:\n"
                  << describe_context(c.start);
  }
  fmt::print("far branches, {} bits: {} cases, {} failures; ended", mode == Mode::k64 ? 64 : 32, count,
             failures);
  for (const auto& [vector, times] : ends) fmt::print(" #{} {}", vector, times);
  fmt::print("\n");
}

TEST(FarBranches, AgreeIn64BitMode) { far_branches(Mode::k64); }
TEST(FarBranches, AgreeIn32BitMode) { far_branches(Mode::k32); }

}  // namespace
}  // namespace orrery::silicon
