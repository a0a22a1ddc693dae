// The instruction table: one row per mnemonic, from isa/instructions.inc. The interpreter, the translator,
// flag liveness, the silicon tester, the fuzzer, the coverage tool and the documents all read it.
#pragma once

#include <span>
#include <string_view>

#include "cpu/insn.h"

namespace orrery::cpu::isa {

/// How the translator treats a row: re-encodes it, has an emitter of its own, or calls the handler.
enum class Translate : u8 { kRewrite, kOwn, kHandler };

namespace trait {
inline constexpr u32 kNone = 0,
                     kLock = 1u << 0,  // takes LOCK on a memory destination
    kEndsTrace = 1u << 1,              // control flow or mode may change
    kPrivileged = 1u << 2,             // faults or differs outside CPL 0: not tested against silicon
    kX87 = 1u << 3,                    // CR0.EM, CR0.TS -> #NM; pending x87 exception -> #MF
    kX87NoWait = 1u << 4,              // with kX87: does not check for pending exceptions
    kMmx = 1u << 5,                    // CR0.EM -> #UD, CR0.TS -> #NM, #MF
    kSse = 1u << 6,                    // CR0.EM or no CR4.OSFXSR -> #UD, CR0.TS -> #NM
    kAvx = 1u << 7,                    // CR4.OSXSAVE, XCR0 -> #UD, CR0.TS -> #NM
    kWait = 1u << 8,                   // CR0.MP and CR0.TS -> #NM
    kString = 1u << 9, kStack = 1u << 10,
                     kUndefinedResult = 1u << 11,  // silicon compares with care: see the row's manual
    kNoSilicon = 1u << 12,                         // cannot run in the tester: reason in docs/testing.md
    kOperatingSystem = 1u << 13,  // reads machine state that differs per host (CPUID, RDTSC, ...)
    kConditional = 1u << 14,      // a branch that may fall through: the trace goes on behind it
    kMasksTrapFlag = 1u << 15,    // no single-step trap behind it when it has cleared RFLAGS.TF
    kBranch = 1u << 16;           // always a branch to DEBUGCTL's BTF and LBR
}  // namespace trait

/// CPUID features that rows need; kBase is always there. The order is Feature's bit number in a CPU model.
enum class Feature : u8 {
  kBase,
  kFpu,
  kCx8,
  kCmov,
  kMmx,
  kFxsr,
  kSse,
  kSse2,
  kSse3,
  kSsse3,
  kSse41,
  kSse42,
  kSse4a,
  kPopcnt,
  kCx16,
  kSyscall,
  kSep,
  kLahf,
  kMovbe,
  kAes,
  kPclmul,
  kAvx,
  kAvx2,
  kFma,
  kF16c,
  kBmi1,
  kBmi2,
  kLzcnt,
  kAdx,
  kSha,
  kRdrand,
  kRdseed,
  kRdtscp,
  kRdpid,
  kFsgsbase,
  kXsave,
  kXsaveopt,
  kXsavec,
  kXsaves,
  kClflush,
  kClflushopt,
  kClwb,
  kInvpcid,
  kSmap,
  kPku,
  kMonitor,
  kVaes,
  kVpclmul,
  kGfni,
  kAvxVnni,
  kUmip,
  kMmxExt,
  kPrefetchw,
  kTsc,
  kMsr,
  kSvm,
  kVmx,
  kCount,
};

/// SVM/VMX intercept class of a row; kNone: never intercepted by itself.
enum class Intercept : u8 {
  kNone,
  kCr,
  kDr,
  kDescriptorTable,
  kIo,
  kMsr,
  kCpuid,
  kHlt,
  kRdtsc,
  kRdpmc,
  kInvlpg,
  kPause,
  kMonitor,
  kIret,
  kIntn,
  kPushf,
  kXsetbv,
  kWbinvd,
  kSvm,
  kRsm,
  kInvd,
  kInvpcid,
  kRdpru
};

struct Row {
  std::string_view name;  // Zydis' spelling, upper case
  Selector select;
  Translate translate;
  u32 traits;
  u64 flags_read;
  u64 flags_written;
  u64 flags_undefined;
  Feature feature;
  Intercept intercept;
  std::string_view manual;
};

/// All rows, in the order of instructions.inc. Row 0 is INVALID, whose handler raises #UD.
std::span<const Row> rows();
/// The row of a mnemonic in Zydis' spelling ("ADD"); 0 if there is none.
u16 row_of(std::string_view mnemonic);

}  // namespace orrery::cpu::isa
