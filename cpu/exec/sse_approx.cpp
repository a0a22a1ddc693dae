// RCPPS, RSQRTPS and their scalar forms: approximations of our own, the same on every host. [SDM2 RCPPS,
// RSQRTPS]
//
// The exact quotient or root rounded to 12 significand bits: a relative error under 2^-13, the manual's bound
// is 1.5 * 2^-12. No exceptions, no flags; denormal operands count as zeros, denormal results become zeros.
// Not modelled: any vendor's own table.
#include "cpu/exec/sse_float.h"
#include "cpu/fp/arith.h"

namespace orrery::cpu::exec {
namespace {

using fp::F32;
using fp::Unpacked;

/// `v` with 12 significand bits, to nearest.
u32 shorten(u32 v) {
  if ((v & 0x7f800000) == 0x7f800000 || (v & 0x7fffffff) == 0) return v;
  v = (v + 0x7ff + ((v >> 12) & 1)) & ~u32{0xfff};
  return (v & 0x7f800000) == 0 ? v & 0x80000000 : v;
}
fp::Environment quiet_environment() {
  fp::Environment e;
  e.daz = true;
  e.ftz = true;
  return e;
}

struct Reciprocal {
  static u32 lane(u32 v) {
    fp::Environment e = quiet_environment();
    return shorten(fp::div<F32>(e, fp::from_u64(1), fp::unpack<F32>(e, v)));
  }
};
struct ReciprocalRoot {
  static u32 lane(u32 v) {
    fp::Environment e = quiet_environment();
    const Unpacked u = fp::unpack<F32>(e, v);
    if (u.is_zero()) return fp::infinity<F32>(u.sign);
    if (u.is_infinity() && !u.sign) return 0;
    if (u.is_nan() || u.sign) return fp::sqrt<F32>(e, u);
    const u64 root = fp::sqrt<fp::F64>(e, u);
    return shorten(fp::div<F32>(e, fp::from_u64(1), fp::unpack<fp::F64>(e, root)));
  }
};

template <class X, class Op, unsigned kLanes>
Outcome approximate(Vcpu& cpu, const Insn& insn) {
  typename X::Value b;
  if (!float_source<X, F32, kLanes>(cpu, insn, b)) return Outcome::kFault;
  typename X::Value a = X::first(cpu, insn);
  for (unsigned i = 0; i < kLanes; ++i) a.d[i] = Op::lane(b.d[i]);
  X::set(cpu, insn, a);
  return Outcome::kNext;
}

}  // namespace

#define APPROXIMATE(name, Op)                                                                             \
  Handler select_##name##ps(const Insn& insn, const DecodedForm& f) {                                     \
    return vector_form<Sources::kOne>(                                                                    \
        insn, f, []<class X>() -> Handler { return &approximate<X, Op, X::kBytes / 4>; });                \
  }                                                                                                       \
  Handler select_##name##ss(const Insn& insn, const DecodedForm& f) {                                     \
    return xmm_form<Sources::kTwo>(insn, f, []<class X>() -> Handler { return &approximate<X, Op, 1>; }); \
  }
APPROXIMATE(rcp, Reciprocal)
APPROXIMATE(rsqrt, ReciprocalRoot)

}  // namespace orrery::cpu::exec
