// Deferred flags are those that the operation sets, for every operation and width; a multiplication's CF and
// OF lie over them.
#if defined(ORRERY_JIT)
#include "jit/flags_image.h"

#include <gtest/gtest.h>

#include <random>

namespace orrery::jit {
namespace {

using namespace cpu::rflags;

// Below the red zone.
#define FLAGS_OF(operation) "lea -128(%%rsp), %%rsp; " operation "; pushfq; pop %0; lea 128(%%rsp), %%rsp"

/// RFLAGS behind `operation` on `a` and `b`, as the host has them.
template <class T>
u64 host_flags(DeferredFlags what, T a, T b, T& result) {
  u64 flags = 0;
  const auto compare = [&flags](T x, T y) {
    asm volatile(FLAGS_OF("cmp %2, %1") : "=r"(flags) : "r"(x), "r"(y) : "cc");
  };
  result = a;
  switch (what) {
    case DeferredFlags::kResult:
      asm volatile(FLAGS_OF("or %2, %1") : "=r"(flags), "+r"(result) : "r"(b) : "cc");
      break;
    case DeferredFlags::kTest:
      asm volatile(FLAGS_OF("test %2, %1") : "=r"(flags) : "r"(a), "r"(b) : "cc");
      break;
    case DeferredFlags::kCompare:
      compare(a, b);
      break;
    case DeferredFlags::kAdd:
      asm volatile(FLAGS_OF("add %2, %1") : "=r"(flags), "+r"(result) : "r"(b) : "cc");
      break;
    case DeferredFlags::kSub:
      asm volatile(FLAGS_OF("sub %2, %1") : "=r"(flags), "+r"(result) : "r"(b) : "cc");
      break;
    case DeferredFlags::kNeg:
      asm volatile(FLAGS_OF("neg %1") : "=r"(flags), "+r"(result) : : "cc");
      break;
    case DeferredFlags::kShl:
      asm volatile(FLAGS_OF("shl %%cl, %1") : "=r"(flags), "+r"(result) : "c"(static_cast<u8>(b)) : "cc");
      break;
    case DeferredFlags::kShr:
      asm volatile(FLAGS_OF("shr %%cl, %1") : "=r"(flags), "+r"(result) : "c"(static_cast<u8>(b)) : "cc");
      break;
    case DeferredFlags::kSar:
      asm volatile(FLAGS_OF("sar %%cl, %1") : "=r"(flags), "+r"(result) : "c"(static_cast<u8>(b)) : "cc");
      break;
  }
  return flags & kArithmetic;
}

template <class T>
void check_all(std::mt19937_64& random) {
  // AND, OR, XOR and TEST leave AF undefined: cleared, here and on AMD's and Intel's processors.
  const bool zen = __builtin_cpu_is("amd") != 0;
  for (unsigned what = 0; what < kDeferredFlags; ++what) {
    for (unsigned n = 0; n < 500; ++n) {
      const auto kind = static_cast<DeferredFlags>(what);
      const auto a = static_cast<T>(random() >> random() % 64);
      const bool shifts = kind >= DeferredFlags::kShl;
      // Counts as they are masked. Hosts but AMD's differ in what a shift leaves undefined.
      const u64 most = zen || !shifts ? (sizeof(T) == 8 ? 63 : 31) : 8 * sizeof(T) - 1;
      const auto b = static_cast<T>(shifts       ? 1 + random() % most
                                    : n % 3 == 0 ? static_cast<i16>(random())
                                                 : static_cast<i64>(random()));
      const u64 undefined = shifts && !zen ? AF | (b != 1 ? OF : 0) : 0;
      const u64 defined = kArithmetic & ~undefined;
      T result = 0;
      const u64 want = host_flags<T>(kind, a, b, result);
      const bool is_operand = kind == DeferredFlags::kTest || kind == DeferredFlags::kCompare || shifts;
      cpu::Vcpu::TranslatorSlots slots;
      slots.flags_operands[0] =
          static_cast<u64>(is_operand ? a : result) | (sizeof(T) < 8 ? u64{1} << 63 : 0);
      slots.flags_operands[1] = static_cast<u64>(b);
      slots.flags_image = flags_image::code_of(kind, sizeof(T));
      ASSERT_EQ(flags_image::flags(slots) & defined, want & defined)
          << what << " of " << sizeof(T) << " bytes";
      if (static_cast<T>(static_cast<u64>(sign_extend(static_cast<u64>(b), 16))) != b) continue;
      slots.flags_operands[1] = ~u64{0};
      const u64 code = flags_image::code_of(kind, sizeof(T)) | flags_image::kShortOperand;
      const u64 low = code | (static_cast<u64>(b) & 0xffff) << flags_image::kOperandShift;
      slots.flags_image = static_cast<u64>(sign_extend(low, 32));  // as MOV m64, imm32 stores it
      ASSERT_EQ(flags_image::flags(slots) & defined, want & defined)
          << what << " of " << sizeof(T) << " bytes, short operand";
    }
  }
}

TEST(FlagsImage, DeferredOnesAreTheHosts) {
  std::mt19937_64 random(1);
  check_all<u8>(random);
  check_all<u16>(random);
  check_all<u32>(random);
  check_all<u64>(random);
}

TEST(FlagsImage, PlainOnesStay) {
  for (const u64 flags : {u64{0}, u64{kArithmetic}, u64{CF}, u64{OF}, u64{ZF | PF}, u64{SF | AF}}) {
    cpu::Vcpu::TranslatorSlots slots;
    slots.flags_image = flags_image::of_flags(flags);
    EXPECT_EQ(flags_image::flags(slots), flags);
  }
}

TEST(FlagsImage, AMultiplicationsLieOverTheOthers) {
  cpu::Vcpu::TranslatorSlots slots;
  slots.flags_operands[0] = 0;
  for (const bool overflow : {false, true}) {
    slots.flags_image = flags_image::code_of(DeferredFlags::kResult, 4);
    slots.flags_image |=
        u64{overflow} << (8 * flags_image::kOverflow) | u64{1} << (8 * flags_image::kHasOverflow);
    EXPECT_EQ(flags_image::flags(slots), (ZF | PF) | (overflow ? CF | OF : 0));
  }
}

}  // namespace
}  // namespace orrery::jit
#endif
