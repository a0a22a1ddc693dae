#include "tests/silicon/native_cpu.h"

#include <asm/ldt.h>
#include <asm/prctl.h>
#include <cpuid.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "base/bits.h"

extern "C" void silicon_enter(const orrery::silicon::Context* context);
extern "C" void silicon_leave();
extern "C" void silicon_signal(int signal, siginfo_t* info, void* frame);
extern "C" bool silicon_has_avx;
extern "C" orrery::u64 silicon_host_rsp;
extern "C" orrery::u16 silicon_selectors[3];  // DS, ES, GS of the last signal

namespace orrery::silicon {
namespace {

// The signal handler's view of the running case; one at a time in a process.
Result* g_result = nullptr;
alignas(64) u8 g_signal_stack[1 << 16];

// Cases so far, and how many there were at the last SIGVTALRM.
u64 g_cases = 0, g_cases_at_alarm = 0;

constexpr int kSignals[] = {SIGSEGV, SIGILL, SIGFPE, SIGBUS, SIGTRAP, SIGSYS};

/// The upper halves from a frame's XSAVE area, which is in standard format. [SDM1 13.4]
void take_ymm_high(const u8* area, Context& context) {
  constexpr u32 kMagic = 0x46505853;  // FP_XSTATE_MAGIC1: more than an FXSAVE area follows
  constexpr unsigned kSoftwareBytes = 464, kHeader = 512, kAvx = 576;
  std::memset(context.ymm_high, 0, sizeof context.ymm_high);
  if (load_le<u32>(area + kSoftwareBytes) == kMagic && (load_le<u64>(area + kHeader) & 4) != 0)
    std::memcpy(context.ymm_high, area + kAvx, sizeof context.ymm_high);
}

}  // namespace

extern "C" void silicon_on_signal(int signal, siginfo_t*, void* frame) {
  auto* uc = static_cast<ucontext_t*>(frame);
  if (signal == SIGVTALRM) {
    const bool again = g_cases == g_cases_at_alarm;
    g_cases_at_alarm = g_cases;
    // Only the tested code is endless, not what leads to it.
    const u64 rip = static_cast<u64>(uc->uc_mcontext.gregs[REG_RIP]);
    if (g_result == nullptr || !again || rip - kCodePage >= 4096) return;
  } else if (g_result == nullptr) {
    ::signal(signal, SIG_DFL);
    return;
  }
  constexpr int kOrder[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                              REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
  greg_t* g = uc->uc_mcontext.gregs;
  Result& r = *g_result;
  for (int i = 0; i < 16; ++i) r.context.gpr[i] = static_cast<u64>(g[kOrder[i]]);
  r.context.rflags = static_cast<u64>(g[REG_EFL]);
  r.context.rip = static_cast<u64>(g[REG_RIP]);
  std::memcpy(&r.context.fx, uc->uc_mcontext.fpregs, sizeof r.context.fx);
  take_ymm_high(reinterpret_cast<const u8*>(uc->uc_mcontext.fpregs), r.context);
  r.context.cs = static_cast<u16>(g[REG_CSGSFS]);
  r.context.ds = silicon_selectors[0];
  r.context.es = silicon_selectors[1];
  r.context.gs = silicon_selectors[2];
  r.vector = signal == SIGVTALRM || signal == SIGSYS ? kStopped : static_cast<unsigned>(g[REG_TRAPNO]);
  r.error_code = static_cast<u32>(g[REG_ERR]);
  r.address = r.vector == 14 ? static_cast<u64>(g[REG_CR2]) : 0;
  g_result = nullptr;
  // Not every kernel can go on with a stack pointer that is not canonical.
  g[REG_RSP] = static_cast<greg_t>(silicon_host_rsp);
  g[REG_RIP] = reinterpret_cast<greg_t>(&silicon_leave);
  g[REG_CSGSFS] = (g[REG_CSGSFS] & ~greg_t{0xffff}) | kCode64;
  g[REG_EFL] &= ~0x40500;  // TF, DF, AC
}

namespace {

[[noreturn]] void fail(const char* what) {
  std::perror(what);
  std::abort();
}

}  // namespace

NativeCpu::NativeCpu() {
  const int fd = memfd_create("silicon", 0);
  if (fd < 0 || ftruncate(fd, kDataBytes) != 0) fail("silicon: memfd");
  writable_ = static_cast<u8*>(mmap(nullptr, kDataBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
  void* data = mmap(reinterpret_cast<void*>(kDataBase), kWritableBytes, PROT_READ | PROT_WRITE,
                    MAP_SHARED | MAP_FIXED_NOREPLACE | MAP_POPULATE, fd, 0);
  void* read_only = mmap(reinterpret_cast<void*>(kDataBase + kWritableBytes), kDataBytes - kWritableBytes,
                         PROT_READ, MAP_SHARED | MAP_FIXED_NOREPLACE | MAP_POPULATE, fd, kWritableBytes);
  const int code_fd = memfd_create("silicon code", 0);
  if (code_fd < 0 || ftruncate(code_fd, 4096) != 0) fail("silicon: memfd");
  void* code = mmap(reinterpret_cast<void*>(kCodePage), 4096, PROT_READ | PROT_EXEC,
                    MAP_SHARED | MAP_FIXED_NOREPLACE | MAP_POPULATE, code_fd, 0);
  code_ = static_cast<u8*>(mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, code_fd, 0));
  if (writable_ == MAP_FAILED || data == MAP_FAILED || read_only == MAP_FAILED || code == MAP_FAILED ||
      code_ == MAP_FAILED)
    fail("silicon: mmap");
  close(fd);
  close(code_fd);
  std::memset(code_, 0xcc, 4096);
  silicon_has_avx = __builtin_cpu_supports("avx") != 0;
  for (unsigned i = 0; i < std::size(kLdtSegments); ++i) {
    struct user_desc segment = {};
    segment.entry_number = i;
    segment.base_addr = kLdtSegments[i].base;
    segment.limit = kLdtSegments[i].limit;
    segment.seg_32bit = kLdtSegments[i].wide;
    segment.contents = kLdtSegments[i].code ? 2 : 0;
    segment.seg_not_present = !kLdtSegments[i].present;
    segment.useable = 1;
    constexpr int kWriteLdt = 0x11;
    if (syscall(SYS_modify_ldt, kWriteLdt, &segment, sizeof segment) != 0) fail("silicon: modify_ldt");
  }
  set_mode(Mode::k64);
  const stack_t stack = {.ss_sp = g_signal_stack, .ss_flags = 0, .ss_size = sizeof g_signal_stack};
  if (sigaltstack(&stack, nullptr) != 0) fail("silicon: sigaltstack");
  struct sigaction action = {};
  action.sa_sigaction = silicon_signal;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  for (const int s : kSignals) {
    if (sigaction(s, &action, nullptr) != 0) fail("silicon: sigaction");
  }
}

NativeCpu::~NativeCpu() {
  constexpr itimerval kNoTimer = {};
  setitimer(ITIMER_VIRTUAL, &kNoTimer, nullptr);
  prctl(59, 0, 0, 0, 0);
  for (const int s : kSignals) signal(s, SIG_DFL);
  munmap(reinterpret_cast<void*>(kDataBase), kDataBytes);
  munmap(reinterpret_cast<void*>(kCodePage), 4096);
  munmap(code_, 4096);
  munmap(writable_, kDataBytes);
}

void NativeCpu::set_mode(Mode mode) {
  mode_ = mode;
  if (mode == Mode::k32) return;
  const u16 null = 0;
  asm volatile("mov %0, %%ds; mov %0, %%es; mov %0, %%gs" ::"r"(null));
  if (syscall(SYS_arch_prctl, ARCH_SET_GS, kGsBase) != 0) fail("silicon: GS base");
}

void NativeCpu::guard_host() {
  // System calls from below 4 GiB, where the tested code is, become SIGSYS.
  constexpr unsigned long kUserDispatch = 59, kOn = 1, kFrom = 1ul << 32, kBytes = (1ul << 47) - kFrom;
  static char selector = 1;  // block
  if (prctl(kUserDispatch, kOn, kFrom, kBytes, &selector) != 0) fail("silicon: system call dispatch");
  struct sigaction action = {};
  action.sa_sigaction = silicon_signal;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
  const itimerval period = {.it_interval = {.tv_sec = 0, .tv_usec = 10000},
                            .it_value = {.tv_sec = 0, .tv_usec = 10000}};
  if (sigaction(SIGVTALRM, &action, nullptr) != 0 || setitimer(ITIMER_VIRTUAL, &period, nullptr) != 0)
    fail("silicon: timer");
}

Result NativeCpu::run_to_fault(std::span<const u8> code, const Context& context) {
  u8* at = code_ + (kCodeStart - kCodePage);
  std::memcpy(at, code.data(), code.size());
  if (code.size() < used_) std::memset(at + code.size(), 0xcc, used_ - code.size());
  used_ = code.size();
  static Result result;
  result = Result{};
  ++g_cases;
  Context start = context;
  start.rip = kCodeStart;
  start.cs = mode_ == Mode::k64 ? kCode64 : kCode32;
  g_result = &result;
  silicon_enter(&start);
  if (mode_ == Mode::k64) result.context.ds = result.context.es = result.context.gs = 0;
  return result;
}

Result NativeCpu::run(std::span<const u8> code, const Context& context) {
  Result result = run_to_fault(code, context);
  // A breakpoint trap behind the instruction, or a failing fetch elsewhere, is how a finished one ends.
  if (result.vector == 3) {
    result.vector = kNoFault;
    result.context.rip -= 1;
  } else if ((result.vector == 13 || (result.vector == 14 && result.address == result.context.rip)) &&
             result.context.rip != kCodeStart) {
    result.vector = kNoFault;
  }
  if (result.vector != 14 || result.vector == kNoFault) result.address = 0;
  if (result.vector == kNoFault) result.error_code = 0;
  return result;
}

bool NativeCpu::has_ldt() const {
  u32 access = 0;
  bool valid = false;
  asm("lar %2, %1\n\tsetz %0" : "=q"(valid), "+r"(access) : "r"(u32{kLdtData}) : "cc");
  return valid;
}

bool NativeCpu::has_vectors_of(const cpu::isa::Row& row, bool wide) {
  using cpu::isa::Feature;
  struct Leaf {
    u32 a = 0, b = 0, c = 0, d = 0;
    Leaf(u32 leaf, u32 subleaf) { __get_cpuid_count(leaf, subleaf, &a, &b, &c, &d); }
  };
  static const Leaf one(1, 0), seven(7, 0), seven_1(7, 1), extended(0x80000001, 0);
  const auto bit = [](u32 word, unsigned n) { return ((word >> n) & 1) != 0; };
  const bool vex = (row.traits & cpu::isa::trait::kAvx) != 0;
  if (vex && !__builtin_cpu_supports("avx")) return false;  // the system's part, too
  if (wide && row.feature != Feature::kAvx && row.feature != Feature::kAvx2 && !bit(seven.b, 5)) return false;
  switch (row.feature) {
    case Feature::kSse4a:
      return bit(extended.c, 6);
    case Feature::kAes:
      return bit(one.c, 25) && (!wide || bit(seven.c, 9));
    case Feature::kPclmul:
      return bit(one.c, 1) && (!wide || bit(seven.c, 10));
    case Feature::kSha:
      return bit(seven.b, 29);
    case Feature::kAvx2:
      return bit(seven.b, 5);
    case Feature::kFma:
      return bit(one.c, 12);
    case Feature::kF16c:
      return bit(one.c, 29);
    case Feature::kGfni:
      return bit(seven.c, 8);
    case Feature::kAvxVnni:
      return bit(seven_1.a, 4);
    default:
      return true;
  }
}

u32 NativeCpu::mxcsr_mask() {
  static const u32 mask = [] {
    alignas(16) FxArea area = {};
    asm("fxsave64 %0" : "=m"(area));
    return area.mxcsr_mask == 0 ? 0xffbfu : area.mxcsr_mask;
  }();
  return mask;
}

namespace {

constexpr unsigned kZen = 0x17, kZen3And4 = 0x19;

struct AmdModel {
  unsigned family = 0, model = 0;  // 0: of another make
};

AmdModel amd_model() {
  u32 a = 0, b = 0, c = 0, d = 0;
  __get_cpuid(0, &a, &b, &c, &d);
  if (b != 0x68747541 || d != 0x69746e65 || c != 0x444d4163) return {};
  __get_cpuid(1, &a, &b, &c, &d);
  return {((a >> 8) & 15) + ((a >> 20) & 255), ((a >> 4) & 15) | ((a >> 12) & 0xf0)};
}

}  // namespace

bool NativeCpu::is_zen() { return amd_model().family >= kZen; }

bool NativeCpu::is_before_zen4() {
  const AmdModel host = amd_model();
  if (host.family != kZen3And4) return host.family >= kZen && host.family < kZen3And4;
  return host.model < 0x10 || (host.model >= 0x20 && host.model < 0x60);
}

}  // namespace orrery::silicon
