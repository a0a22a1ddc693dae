#include "jit/flags_image.h"

#include "cpu/flags.h"

namespace orrery::jit::flags_image {
namespace {

template <class T>
u64 deferred(DeferredFlags what, u64 a64, u64 b64) {
  const auto a = static_cast<T>(a64), b = static_cast<T>(b64);
  switch (what) {
    case DeferredFlags::kResult:
      return cpu::zsp_flags(a);
    case DeferredFlags::kTest:
      return cpu::zsp_flags(static_cast<T>(a & b));
    case DeferredFlags::kCompare:
      return cpu::sub_flags(a, b, static_cast<T>(a - b));
    case DeferredFlags::kAdd:
      return cpu::add_flags(static_cast<T>(a - b), b, a);
    case DeferredFlags::kSub:
      return cpu::sub_flags(static_cast<T>(a + b), b, a);
    case DeferredFlags::kNeg:
      return cpu::sub_flags(T{0}, static_cast<T>(-a), a);
    case DeferredFlags::kShl:
      return cpu::shl_flags(a, b & 63u, cpu::shl(a, b & 63u));
    case DeferredFlags::kShr:
      return cpu::shr_flags(a, b & 63u, cpu::shr(a, b & 63u));
    case DeferredFlags::kSar:
      return cpu::sar_flags(a, b & 63u, cpu::sar(a, b & 63u));
  }
  return 0;
}

u64 without_overflow(const cpu::Vcpu::TranslatorSlots& slots) {
  const u64 image = slots.flags_image;
  const auto code = static_cast<u8>(image);
  if (code < kFirstCode)
    return ((image & 1) << 11) | ((image >> 8) & (cpu::rflags::kArithmetic & ~cpu::rflags::OF));
  const unsigned index = (code & ~kShortOperand) - kFirstCode;
  const auto what = static_cast<DeferredFlags>(index / 4);
  const u64 a = slots.flags_operands[0];
  const u64 b = (code & kShortOperand) != 0 ? static_cast<u64>(sign_extend(image >> kOperandShift, 16))
                                            : slots.flags_operands[1];
  switch (index % 4) {
    case 0:
      return deferred<u8>(what, a, b);
    case 1:
      return deferred<u16>(what, a, b);
    case 2:
      return deferred<u32>(what, a, b);
    default:
      return deferred<u64>(what, a, b);
  }
}

}  // namespace

u64 flags(const cpu::Vcpu::TranslatorSlots& slots) {
  constexpr u64 kBoth = cpu::rflags::CF | cpu::rflags::OF;
  const u64 all = without_overflow(slots);
  if ((slots.flags_image >> (8 * kHasOverflow) & 0xff) != 1) return all;
  return (all & ~kBoth) | ((slots.flags_image >> (8 * kOverflow) & 1) != 0 ? kBoth : 0);
}

}  // namespace orrery::jit::flags_image
