// What one silicon case starts from and ends with: user-visible registers, memory, and how the instruction
// ended.
#pragma once

#include <array>
#include <cstddef>
#include <cstring>

#include "base/types.h"

namespace orrery::silicon {

/// Where the tested instruction's code and data lie, at the same linear addresses natively and emulated.
inline constexpr u64 kDataBase = 0x10000000;  // two writable pages, then a read-only one; around them nothing
inline constexpr u64 kWritableBytes = 0x2000, kDataBytes = 0x3000;
inline constexpr u64 kCodePage = 0x20000000;  // filled with INT3
inline constexpr u64 kCodeStart = kCodePage + 0x800;
inline constexpr u64 kGsBase = 0x1000;  // GS is the segment that a thread of the host can spare

/// The 512-byte image of FXSAVE64. [SDM1 table 10-2]
struct alignas(16) FxArea {
  u16 fcw, fsw;
  u8 ftw, reserved0;
  u16 fop;
  u64 fip, fdp;
  u32 mxcsr, mxcsr_mask;
  u64 st[8][2];
  u64 xmm[16][2];
  u8 rest[96];
};
static_assert(sizeof(FxArea) == 512);

struct Context {
  u64 gpr[16];  // in encoding order: rax rcx rdx rbx rsp rbp rsi rdi r8..r15
  u64 rflags;
  u64 rip;
  FxArea fx;
  u64 ymm_high[16][2];  // bits 128..255; zeros on a host without AVX
};
// native_stub.S knows these.
static_assert(offsetof(Context, fx) == 144 && offsetof(Context, ymm_high) == 656);

inline constexpr unsigned kNoFault = 0xff;

struct Result {
  Context context;
  unsigned vector = kNoFault;
  u32 error_code = 0;
  u64 address = 0;  // CR2 of #PF
};

using Memory = std::array<u8, kDataBytes>;

}  // namespace orrery::silicon
