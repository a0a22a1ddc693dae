#include "tests/silicon/compare.h"

#include <fmt/format.h>

#include <bit>
#include <cmath>

#include "base/bits.h"
#include "cpu/decode/decoder.h"
#include "tests/silicon/native_cpu.h"

namespace orrery::silicon {
namespace {

constexpr const char* kNames[16] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                    "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
constexpr u64 kUserFlags = 0x00000cd5 | 0x4000 | 0x200000;  // arithmetic, DF, NT, ID

/// RCP and RSQRT: each within 1.5 * 2^-12 of the truth, so within twice that of each other; results that are
/// too small become zeros, on either side of the smallest normal number. [SDM2 RCPPS]
bool close_approximation(u64 a, u64 b) {
  for (unsigned i = 0; i < 64; i += 32) {
    const float x = std::bit_cast<float>(static_cast<u32>(a >> i)),
                y = std::bit_cast<float>(static_cast<u32>(b >> i));
    if (std::bit_cast<u32>(x) == std::bit_cast<u32>(y)) continue;
    constexpr float kSmallest = 0x1p-126f;
    if (std::fabs(x) <= kSmallest * 1.001f && std::fabs(y) <= kSmallest * 1.001f &&
        std::signbit(x) == std::signbit(y))
      continue;
    if (!(std::fabs(x - y) <= std::fabs(x) * 3.0f / 4096.0f)) return false;
  }
  return true;
}
/// Transcendentals: the same, or significands within 2 of each other (1 ulp each).
bool close_extended(const u64 a[2], const u64 b[2]) {
  if (((a[1] ^ b[1]) & 0x8000) != 0) return false;
  // Neighbours across a power of two follow each other when the integer bit is left out.
  const auto order = [](const u64 v[2]) {
    return static_cast<i128>((u128{v[1] & 0x7fff} << 63) | (v[0] & ~(u64{1} << 63)));
  };
  const i128 distance = order(a) - order(b);
  return distance >= -2 && distance <= 2;
}

/// Whether a transcendental's results are bound by the manual: F2XM1 and FYL2XP1 have ranges, and beyond pi /
/// 4 the host reduces circular arguments with a shorter pi.
bool in_documented_range(const cpu::isa::Row& row, const Context& start) {
  const u64 exponent = start.fx.st[0][1] & 0x7fff;
  const bool circular =
      row.name == "FSIN" || row.name == "FCOS" || row.name == "FSINCOS" || row.name == "FPTAN";
  if (row.name == "F2XM1") return exponent < 0x3fff;
  if (row.name == "FYL2XP1") return exponent < 0x3ffd;
  return !circular || exponent < 0x3ffe;
}

}  // namespace

std::string compare(const cpu::isa::Row& row, const cpu::Insn&, const Context& start, const Result& n,
                    const Result& e, const u8* native_memory, const u8* emulated_memory,
                    const u8* memory_before, bool undefined_too) {
  std::string out;
  const auto differ = [&](std::string_view what, u64 want, u64 got) {
    if (want != got) out += fmt::format("    {:<10} host {:#018x}  ours {:#018x}\n", what, want, got);
  };
  const bool approximate = (row.traits & cpu::isa::trait::kUndefinedResult) != 0;
  differ("vector", n.vector, e.vector);
  // The kernel's half is mapped natively, so a user's page fault there finds a present page.
  const u32 present = n.vector == 14 && (n.address >> 63) != 0 ? 1u : 0u;
  differ("error", n.error_code | present, e.error_code | present);
  differ("cr2", n.address, e.address);
  differ("rip", n.context.rip, e.context.rip);
  for (unsigned i = 0; i < 16; ++i) differ(kNames[i], n.context.gpr[i], e.context.gpr[i]);
  differ("cs", n.context.cs, e.context.cs);
  // The host's IRET to the signal handler has cleared RPL of null selectors. [APM3 IRET]
  const auto selector = [](u16 s) { return s < 4 ? 0u : s; };
  differ("ds", selector(n.context.ds), selector(e.context.ds));
  differ("es", selector(n.context.es), selector(e.context.es));
  differ("gs", selector(n.context.gs), selector(e.context.gs));
  const u64 flags = kUserFlags & ~(undefined_too ? 0 : row.flags_undefined);
  differ("rflags", n.context.rflags & flags, e.context.rflags & flags);
  const FxArea &a = n.context.fx, &b = e.context.fx;
  differ("mxcsr", a.mxcsr, b.mxcsr);
  const u16 status =
      approximate ? static_cast<u16>(~0x220) : u16{0xffff};  // C1 and PE follow the approximation
  differ("fcw", a.fcw, b.fcw);
  const bool bound = !approximate || in_documented_range(row, start);
  if (!bound) return out;
  differ("fsw", a.fsw & status, b.fsw & status);
  differ("ftw", a.ftw, b.ftw);
  // AMD saves the pointers only while an exception is pending, Intel's processors note FOP and FDP, too, only
  // for unmasked ones. [APM2 11.4.4], [SDM1 8.1.8]
  if ((a.fsw & 0x80) != 0 && NativeCpu::is_zen()) {
    differ("fop", a.fop, b.fop);
    differ("fip", a.fip, b.fip);
    differ("fdp", a.fdp, b.fdp);
  }
  for (unsigned i = 0; i < 8; ++i) {
    if (approximate && close_extended(a.st[i], b.st[i])) continue;
    differ(fmt::format("st{}", i), a.st[i][0], b.st[i][0]);
    differ(fmt::format("st{}.exp", i), a.st[i][1] & 0xffff, b.st[i][1] & 0xffff);
  }
  for (unsigned i = 0; i < 16; ++i) {
    for (unsigned h = 0; h < 2; ++h) {
      if (approximate && close_approximation(a.xmm[i][h], b.xmm[i][h])) continue;
      differ(fmt::format("xmm{}.{}", i, h), a.xmm[i][h], b.xmm[i][h]);
    }
    for (unsigned h = 0; h < 2; ++h) {
      const u64 want = n.context.ymm_high[i][h], got = e.context.ymm_high[i][h];
      if (!approximate || !close_approximation(want, got))
        differ(fmt::format("ymm{}.{}", i, h + 2), want, got);
    }
  }
  if (std::memcmp(native_memory, emulated_memory, kDataBytes) != 0) {
    for (u64 i = 0; i < kDataBytes; i += 8) {
      const u64 want = load_le<u64>(native_memory + i), got = load_le<u64>(emulated_memory + i);
      if (want == got) continue;
      out += fmt::format("    [{:#x}] host {:#018x}  ours {:#018x}  before {:#018x}\n", kDataBase + i, want,
                         got, load_le<u64>(memory_before + i));
    }
  }
  return out;
}

std::string describe_context(const Context& c) {
  std::string out;
  for (unsigned i = 0; i < 16; i += 4) {
    out += "   ";
    for (unsigned k = i; k < i + 4; ++k) out += fmt::format(" {}={:016x}", kNames[k], c.gpr[k]);
    out += "\n";
  }
  out += fmt::format("    rflags={:x} mxcsr={:x} fcw={:x} fsw={:x} ftw={:x}\n", c.rflags, c.fx.mxcsr,
                     c.fx.fcw, c.fx.fsw, c.fx.ftw);
  for (unsigned i = 0; i < 8; ++i) {
    out += fmt::format("    st{}={:04x}:{:016x}\n", i, c.fx.st[i][1] & 0xffff, c.fx.st[i][0]);
  }
  for (unsigned i = 0; i < 16; ++i) {
    out += fmt::format("    ymm{}={:016x}:{:016x}:{:016x}:{:016x}\n", i, c.ymm_high[i][1], c.ymm_high[i][0],
                       c.fx.xmm[i][1], c.fx.xmm[i][0]);
  }
  return out;
}

std::string describe_case(const Form& form, std::span<const u8> code, u64 number, u64 seed, const Context& c,
                          const std::string& difference, const Result& native) {
  std::string out =
      fmt::format("{}: {}\n    bytes", form.text,
                  cpu::Decoder::disassemble(code, form.mode == Mode::k64 ? 64 : 32, kCodeStart));
  for (const u8 b : code) out += fmt::format(" {:02x}", b);
  out +=
      fmt::format("  seed {} case {} host vector {}\n{}  inputs:\n", seed, number, native.vector, difference);
  return out + describe_context(c);
}

}  // namespace orrery::silicon
