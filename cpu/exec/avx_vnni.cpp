// AVX-VNNI: dot products of bytes or words added to doublewords. [SDM2 VPDPBUSD, VPDPWSSD]
//
// Not modelled: EVEX forms.
#include <limits>

#include "cpu/exec/simd_operands.h"

namespace orrery::cpu::exec {
namespace {

/// Four products of an unsigned byte of the first source and a signed one of the last.
struct Bytes {
  template <class V>
  static i64 sum(const V& a, const V& b, unsigned lane) {
    i64 total = 0;
    for (unsigned i = 4 * lane; i < 4 * lane + 4; ++i) total += i64{a.b[i]} * b.template at<i8>(i);
    return total;
  }
};
/// Two products of signed words.
struct Words {
  template <class V>
  static i64 sum(const V& a, const V& b, unsigned lane) {
    i64 total = 0;
    for (unsigned i = 2 * lane; i < 2 * lane + 2; ++i)
      total += i64{a.template at<i16>(i)} * b.template at<i16>(i);
    return total;
  }
};

template <class X, class Product, bool kSaturate>
Outcome dot_product(Vcpu& cpu, const Insn& insn) {
  typename X::Value b;
  if (!X::last(cpu, insn, b)) return Outcome::kFault;
  const typename X::Value a = X::first(cpu, insn);
  typename X::Value out = X::File::get(cpu, insn.op[0]);
  for (unsigned i = 0; i < X::kBytes / 4; ++i) {
    i64 total = i64{out.template at<i32>(i)} + Product::sum(a, b, i);
    if (kSaturate)
      total = std::clamp<i64>(total, std::numeric_limits<i32>::min(), std::numeric_limits<i32>::max());
    out.d[i] = static_cast<u32>(total);
  }
  X::set(cpu, insn, out);
  return Outcome::kNext;
}

}  // namespace

#define DOT_PRODUCT(name, Product, saturate)                                               \
  Handler select_##name(const Insn& insn, const DecodedForm& f) {                          \
    return vector_form<Sources::kTwo>(                                                     \
        insn, f, []<class X>() -> Handler { return &dot_product<X, Product, saturate>; }); \
  }
DOT_PRODUCT(vpdpbusd, Bytes, false)
DOT_PRODUCT(vpdpbusds, Bytes, true)
DOT_PRODUCT(vpdpwssd, Words, false)
DOT_PRODUCT(vpdpwssds, Words, true)

}  // namespace orrery::cpu::exec
