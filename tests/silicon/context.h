// What one silicon case starts from and ends with: user-visible registers, memory, and how the instruction
// ended; in 64-bit mode and in 32-bit compatibility mode.
#pragma once

#include <array>
#include <cstddef>
#include <cstring>
#include <iterator>

#include "base/types.h"

namespace orrery::silicon {

/// Where the tested instruction's code and data lie, at the same linear addresses natively and emulated.
inline constexpr u64 kDataBase = 0x10000000;  // two writable pages, then a read-only one; around them nothing
inline constexpr u64 kWritableBytes = 0x2000, kDataBytes = 0x3000;
inline constexpr u64 kCodePage = 0x20000000;  // filled with INT3
inline constexpr u64 kCodeStart = kCodePage + 0x800;
inline constexpr u64 kCodeBytes = 0x600;
inline constexpr u64 kGsBase = 0x1000;  // GS is the segment that a thread of the host can spare
// In 32-bit mode GS names a segment of the LDT: 16-bit addresses reach the data through it, and its limit
// ends in the second writable page.
inline constexpr u64 kGsBase32 = kDataBase;
inline constexpr u32 kGsLimit32 = 0x17ff;

enum class Mode : u8 { k64, k32 };
/// The selectors of the host's kernel, which the emulated descriptor tables have, too.
inline constexpr u16 kCode32 = 0x23, kData = 0x2b, kCode64 = 0x33, kLdtData = 0x07;

/// The data segments of the LDT, from selector kLdtData on: the one above, and some that an operand can reach
/// over the end of, where there is memory and where there is none.
struct LdtSegment {
  u32 base, limit;
};
inline constexpr LdtSegment kLdtSegments[] = {
    {static_cast<u32>(kGsBase32), kGsLimit32},
    {kDataBase, 0xfff},                     // ends between the writable pages
    {kDataBase, kWritableBytes - 1},        // ends before the read-only page
    {kDataBase + kDataBytes, 0xfff},        // all of it lies where nothing is
    {kDataBase + 0x1000 - 0x10000, 0xffff}  // as large as 16-bit addresses reach; begins where nothing is
};

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
  u16 cs;               // set by whoever runs the case
  u16 ds, es, gs;       // in 32-bit mode
};
// native_stub.S knows these.
static_assert(offsetof(Context, fx) == 144 && offsetof(Context, ymm_high) == 656 &&
              offsetof(Context, cs) == 912);

inline constexpr unsigned kNoFault = 0xff;
inline constexpr unsigned kStopped = 0xfe;  // it ran on and on, or was about to call the host's kernel

struct Result {
  Context context;
  unsigned vector = kNoFault;
  u32 error_code = 0;
  u64 address = 0;       // CR2 of #PF
  u16 fcs = 0, fds = 0;  // of the emulated CPU
};

using Memory = std::array<u8, kDataBytes>;

}  // namespace orrery::silicon
