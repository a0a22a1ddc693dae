// Bits and numbers of the architectural registers, in the manuals' spelling. [SDM3 2], [APM2 3]
#pragma once

#include "base/types.h"

namespace orrery::cpu {

enum Gpr : u8 {
  kRax,
  kRcx,
  kRdx,
  kRbx,
  kRsp,
  kRbp,
  kRsi,
  kRdi,
  kR8,
  kR9,
  kR10,
  kR11,
  kR12,
  kR13,
  kR14,
  kR15
};
/// Pseudo registers of CpuState::gpr, for addresses without a base or index and for RIP-relative ones.
inline constexpr u8 kZeroRegister = 16;
inline constexpr u8 kRip = 17;

enum SegmentIndex : u8 { kEs, kCs, kSs, kDs, kFs, kGs, kLdtr, kTr };

namespace rflags {
inline constexpr u64 CF = 1u << 0, PF = 1u << 2, AF = 1u << 4, ZF = 1u << 6, SF = 1u << 7, TF = 1u << 8,
                     IF = 1u << 9, DF = 1u << 10, OF = 1u << 11, IOPL = 3u << 12, NT = 1u << 14,
                     RF = 1u << 16, VM = 1u << 17, AC = 1u << 18, VIF = 1u << 19, VIP = 1u << 20,
                     ID = 1u << 21;
inline constexpr u64 kFixed = 2;
inline constexpr u64 kArithmetic = CF | PF | AF | ZF | SF | OF;
inline constexpr unsigned kIoplShift = 12;
}  // namespace rflags

namespace cr0 {
inline constexpr u64 PE = 1u << 0, MP = 1u << 1, EM = 1u << 2, TS = 1u << 3, ET = 1u << 4, NE = 1u << 5,
                     WP = 1u << 16, AM = 1u << 18, NW = 1u << 29, CD = 1u << 30, PG = 1u << 31;
inline constexpr u64 kDefined = PE | MP | EM | TS | ET | NE | WP | AM | NW | CD | PG;
}  // namespace cr0

namespace cr3 {
inline constexpr u64 kPcidMask = 0xfff;
inline constexpr u64 kNoFlush = u64{1} << 63;
}  // namespace cr3

namespace cr4 {
inline constexpr u64 VME = 1u << 0, PVI = 1u << 1, TSD = 1u << 2, DE = 1u << 3, PSE = 1u << 4, PAE = 1u << 5,
                     MCE = 1u << 6, PGE = 1u << 7, PCE = 1u << 8, OSFXSR = 1u << 9, OSXMMEXCPT = 1u << 10,
                     UMIP = 1u << 11, LA57 = 1u << 12, VMXE = 1u << 13, FSGSBASE = 1u << 16, PCIDE = 1u << 17,
                     OSXSAVE = 1u << 18, SMEP = 1u << 20, SMAP = 1u << 21, PKE = 1u << 22;
}  // namespace cr4

namespace efer {
inline constexpr u64 SCE = 1u << 0, LME = 1u << 8, LMA = 1u << 10, NXE = 1u << 11, SVME = 1u << 12,
                     FFXSR = 1u << 14, TCE = 1u << 15, AIBRSE = 1u << 21;
}  // namespace efer

namespace hwcr {
inline constexpr u64 MonMwaitDis = 1u << 9, MonMwaitUserEn = 1u << 10;
}  // namespace hwcr

namespace xcr0 {
inline constexpr u64 X87 = 1u << 0, SSE = 1u << 1, AVX = 1u << 2, PKRU = 1u << 9;
}

namespace dr6 {
inline constexpr u64 B0 = 1u << 0, BD = 1u << 13, BS = 1u << 14, BT = 1u << 15;
inline constexpr u64 kFixed = 0xffff0ff0;
}  // namespace dr6
namespace dr7 {
inline constexpr u64 LE = 1u << 8, GE = 1u << 9, GD = 1u << 13;
inline constexpr u64 kFixed = 1u << 10;
inline constexpr u64 kEnableMask = 0xff;
}  // namespace dr7

namespace debugctl {
inline constexpr u64 LBR = 1u << 0, BTF = 1u << 1;
}

namespace mxcsr {
inline constexpr u32 IE = 1u << 0, DE = 1u << 1, ZE = 1u << 2, OE = 1u << 3, UE = 1u << 4, PE = 1u << 5,
                     DAZ = 1u << 6, IM = 1u << 7, DM = 1u << 8, ZM = 1u << 9, OM = 1u << 10, UM = 1u << 11,
                     PM = 1u << 12, RC = 3u << 13, FZ = 1u << 15, MM = 1u << 17;
inline constexpr u32 kDefault = 0x1f80;
inline constexpr u32 kWritable = 0xffff | MM;  // AMD: misaligned-exception mask exists [APM1 4.2.2]
}  // namespace mxcsr

namespace fsw {
inline constexpr u16 IE = 1u << 0, DE = 1u << 1, ZE = 1u << 2, OE = 1u << 3, UE = 1u << 4, PE = 1u << 5,
                     SF = 1u << 6, ES = 1u << 7, C0 = 1u << 8, C1 = 1u << 9, C2 = 1u << 10, C3 = 1u << 14,
                     B = 1u << 15, TOP = 7u << 11;
inline constexpr unsigned kTopShift = 11;
}  // namespace fsw

/// Exception vectors [SDM3 6.3.1].
enum Vector : u8 {
  kDE = 0,
  kDB = 1,
  kNMI = 2,
  kBP = 3,
  kOF = 4,
  kBR = 5,
  kUD = 6,
  kNM = 7,
  kDF = 8,
  kTS = 10,
  kNP = 11,
  kSS_ = 12,
  kGP = 13,
  kPF = 14,
  kMF = 16,
  kAC = 17,
  kMC = 18,
  kXM = 19,
  kVE = 20,
  kCP = 21,
  kHV = 28,
  kVC = 29,
  kSX = 30,
};

/// Page-fault error code [SDM3 4.7].
namespace pf {
inline constexpr u32 P = 1u << 0, W = 1u << 1, U = 1u << 2, RSVD = 1u << 3, I = 1u << 4, PK = 1u << 5;
}

/// Segment attributes: bits 40..47 and 52..55 of a descriptor in bits 0..7 and 12..15, bit 16 unusable
/// [SDM3 24.4.1].
namespace seg_attr {
inline constexpr u32 kTypeMask = 0xf, kAccessed = 1u << 0, kWritable = 1u << 1, kReadable = 1u << 1,
                     kExpandDown = 1u << 2, kConforming = 1u << 2, kCode = 1u << 3, kS = 1u << 4,
                     kDplShift = 5, kDplMask = 3u << 5, kP = 1u << 7, kAvl = 1u << 12, kL = 1u << 13,
                     kDb = 1u << 14, kG = 1u << 15, kUnusable = 1u << 16;
}  // namespace seg_attr

}  // namespace orrery::cpu
