#include "jit/host_profile.h"

#include <cpuid.h>

#include "cpu/state.h"

namespace orrery::jit {
namespace {

constexpr u64 kAll = cpu::rflags::kArithmetic;

enum class Probe : u8 { kAnd, kBt, kBsf, kBsr };

/// What BSF and BSR with a 32-bit source of zero make of a destination.
u64 scanned_zero(bool forward, u64 destination) {
  const u32 zero = 0;
  if (forward) {
    asm volatile("bsfl %1, %k0" : "+r"(destination) : "r"(zero) : "cc");
  } else {
    asm volatile("bsrl %1, %k0" : "+r"(destination) : "r"(zero) : "cc");
  }
  return destination;
}

/// The arithmetic flags that the host has behind an instruction on `a`, and `b`, begun with `before`.
template <Probe kProbe>
u64 flags_of_host(u64 before, u64 a, u64 b) {
  u64 flags = before | 2;
  // Below the red zone.
  asm volatile(
      "lea -128(%%rsp), %%rsp\n\tpush %0\n\tpopfq\n\t"
      ".if %c3 == 0\n\tand %2, %1\n\t.elseif %c3 == 1\n\tbt %2, %1\n\t"
      ".elseif %c3 == 2\n\tbsf %2, %1\n\t.else\n\tbsr %2, %1\n\t.endif\n\t"
      "pushfq\n\tpop %0\n\tlea 128(%%rsp), %%rsp"
      : "+r"(flags), "+r"(a)
      : "r"(b), "i"(static_cast<int>(kProbe))
      : "cc", "memory");
  return flags & kAll;
}

// AND clears AF, BT changes CF alone.
bool logic_is_exact() {
  using namespace cpu::rflags;
  for (const u64 before : {u64{0}, kAll}) {
    if ((flags_of_host<Probe::kAnd>(before, 3, 1) & AF) != 0) return false;
    if (flags_of_host<Probe::kBt>(before, 2, 1) != (before | CF)) return false;
    if (flags_of_host<Probe::kBt>(before, 2, 0) != (before & ~u64{CF})) return false;
  }
  return true;
}

bool scans_set_what_the_profile_says() {
  using namespace cpu::rflags;
  for (const u64 before : {u64{0}, kAll}) {
    if (flags_of_host<Probe::kBsf>(before, 0, 8) != PF || flags_of_host<Probe::kBsr>(before, 0, 8) != PF)
      return false;
    if (flags_of_host<Probe::kBsf>(before, 0, 4) != 0 || flags_of_host<Probe::kBsr>(before, 0, 4) != 0)
      return false;
    if (flags_of_host<Probe::kBsf>(before, 0, 0) != (ZF | PF)) return false;
    if (flags_of_host<Probe::kBsr>(before, 0, 0) != (ZF | PF)) return false;
  }
  return true;
}

bool scans_of_zero_keep_all() {
  return scanned_zero(true, ~u64{0}) == ~u64{0} && scanned_zero(false, ~u64{0}) == ~u64{0};
}

}  // namespace

unsigned HostProfile::amd_family() {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  if (__builtin_cpu_is("amd") == 0 || __get_cpuid(1, &eax, &ebx, &ecx, &edx) == 0) return 0;
  return ((eax >> 8) & 15) + ((eax >> 20) & 255);
}

HostProfile HostProfile::of_host() {
  __builtin_cpu_init();
  HostProfile host;
  if (amd_family() >= 0x17) {
    host.kind = Kind::kSame;
  } else if (__builtin_cpu_is("intel") != 0 && logic_is_exact()) {
    host.kind = Kind::kIntel;
  } else {
    return host;
  }
  host.scans_are_exact = scans_of_zero_keep_all() && scans_set_what_the_profile_says();
  host.scans_differ_in_flags = scans_of_zero_keep_all() && !host.scans_are_exact;
  return host;
}

}  // namespace orrery::jit
