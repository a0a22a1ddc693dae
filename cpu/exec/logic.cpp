// AND OR XOR NOT TEST ANDN. AF is undefined in the manuals; AMD's processors clear it. [SDM2], [APM3 3]
#include "cpu/exec/operate.h"
#include "cpu/flags.h"

namespace orrery::cpu::exec {
namespace {

struct And {
  template <class T>
  static T apply(CpuState& s, T a, T b) {
    const T r = a & b;
    set_arithmetic(s, zsp_flags(r));
    return r;
  }
};
struct Or {
  template <class T>
  static T apply(CpuState& s, T a, T b) {
    const T r = a | b;
    set_arithmetic(s, zsp_flags(r));
    return r;
  }
};
struct Xor {
  template <class T>
  static T apply(CpuState& s, T a, T b) {
    const T r = a ^ b;
    set_arithmetic(s, zsp_flags(r));
    return r;
  }
};
struct Not {
  template <class T>
  static T apply(CpuState&, T a) {
    return static_cast<T>(~a);
  }
};

}  // namespace

Handler select_and(const Insn&, const DecodedForm& f) { return binary<And>(f); }
Handler select_or(const Insn&, const DecodedForm& f) { return binary<Or>(f); }
Handler select_xor(const Insn&, const DecodedForm& f) { return binary<Xor>(f); }
Handler select_not(const Insn&, const DecodedForm& f) { return unary<Not>(f); }
Handler select_test(const Insn&, const DecodedForm& f) { return compare<And>(f); }

}  // namespace orrery::cpu::exec
