// SSE4.2 and AVX string comparison: PCMPESTRI, PCMPESTRM, PCMPISTRI, PCMPISTRM. [SDM1 12.11.2], [SDM2 4.1]
//
// Not modelled: nothing.
#include "cpu/exec/simd_operands.h"

namespace orrery::cpu::exec {
namespace {

/// Lanes of either size and signedness, chosen by imm[1:0], as 32-bit numbers.
i32 element(const Lanes<16>& v, unsigned i, u8 imm) {
  switch (imm & 3) {
    case 0:
      return v.b[i];
    case 1:
      return v.w[i];
    case 2:
      return v.at<i8>(i);
    default:
      return v.at<i16>(i);
  }
}

unsigned implicit_length(const Lanes<16>& v, u8 imm, unsigned count) {
  for (unsigned i = 0; i < count; ++i) {
    if (element(v, i, imm) == 0) return i;
  }
  return count;
}
/// |EAX|, |EDX| or with REX.W |RAX|, |RDX|, saturated.
unsigned explicit_length(u64 v, bool wide, unsigned count) {
  const i64 s = wide ? static_cast<i64>(v) : static_cast<i32>(v);
  const u64 magnitude = s < 0 ? u64{0} - static_cast<u64>(s) : static_cast<u64>(s);
  return static_cast<unsigned>(std::min<u64>(magnitude, count));
}

/// IntRes1: the aggregation of all comparisons. Invalid elements are overridden by each mode.
u32 aggregate(const Lanes<16>& a, unsigned length_a, const Lanes<16>& b, unsigned length_b, u8 imm,
              unsigned count) {
  u32 result = 0;
  for (unsigned j = 0; j < count; ++j) {  // element of b, the second operand
    bool bit_j = false;
    switch ((imm >> 2) & 3) {
      case 0:  // equal any
        for (unsigned i = 0; i < length_a && j < length_b; ++i)
          bit_j |= element(a, i, imm) == element(b, j, imm);
        break;
      case 1:  // ranges
        for (unsigned i = 0; i + 1 < length_a && j < length_b; i += 2) {
          bit_j |= element(a, i, imm) <= element(b, j, imm) && element(b, j, imm) <= element(a, i + 1, imm);
        }
        break;
      case 2:  // equal each
        if (j >= length_a || j >= length_b)
          bit_j = j >= length_a && j >= length_b;
        else
          bit_j = element(a, j, imm) == element(b, j, imm);
        break;
      default:  // equal ordered: a as a substring of b from j on
        bit_j = true;
        for (unsigned i = 0; i < length_a && i + j < count; ++i) {
          bit_j &= i + j < length_b && element(a, i, imm) == element(b, i + j, imm);
        }
        break;
    }
    result |= u32{bit_j} << j;
  }
  return result;
}

template <class X, bool kExplicit, bool kIndex>
Outcome compare_strings(Vcpu& cpu, const Insn& insn) {
  Lanes<16> b;
  if (X::kMem) {
    if (!cpu.read(insn, b)) return Outcome::kFault;  // needs no alignment
  } else {
    b = Xmm::get(cpu, insn.op[1]);
  }
  const Lanes<16> a = X::first(cpu, insn);
  const u8 imm = static_cast<u8>(insn.imm);
  const unsigned count = (imm & 1) != 0 ? 8 : 16;
  const bool wide = insn.has(insn_flag::kRexW);
  const unsigned length_a =
      kExplicit ? explicit_length(cpu.state.gpr[kRax], wide, count) : implicit_length(a, imm, count);
  const unsigned length_b =
      kExplicit ? explicit_length(cpu.state.gpr[kRdx], wide, count) : implicit_length(b, imm, count);

  u32 result = aggregate(a, length_a, b, length_b, imm, count);
  if ((imm & 0x10) != 0) {  // negative polarity; masked: of valid elements only
    result ^= (imm & 0x20) != 0 ? static_cast<u32>(low_mask(length_b)) : static_cast<u32>(low_mask(count));
  }

  if constexpr (kIndex) {
    unsigned index = count;
    if (result != 0) {
      index = (imm & 0x40) != 0 ? 31u - static_cast<unsigned>(std::countl_zero(result))
                                : static_cast<unsigned>(std::countr_zero(result));
    }
    cpu.set_reg<u32>(kRcx, index);
  } else {
    Lanes<16> mask{};
    if ((imm & 0x40) != 0) {
      for (unsigned i = 0; i < count; ++i) {
        if (((result >> i) & 1) == 0) continue;
        if (count == 16)
          mask.b[i] = 0xff;
        else
          mask.w[i] = 0xffff;
      }
    } else {
      mask.q[0] = result;
    }
    X::File::set(cpu, 0, mask);
  }
  u64 flags = cpu.state.rflags & ~rflags::kArithmetic;
  if (result != 0) flags |= rflags::CF;
  if (length_b < count) flags |= rflags::ZF;
  if (length_a < count) flags |= rflags::SF;
  if ((result & 1) != 0) flags |= rflags::OF;
  cpu.state.rflags = flags;
  return Outcome::kNext;
}

}  // namespace

#define STRING(name, is_explicit, is_index)                                                        \
  Handler select_##name(const Insn& insn, const DecodedForm& f) {                                  \
    return xmm_form<Sources::kOne>(                                                                \
        insn, f, []<class X>() -> Handler { return &compare_strings<X, is_explicit, is_index>; }); \
  }
STRING(pcmpestri, true, true)
STRING(pcmpestrm, true, false)
STRING(pcmpistri, false, true)
STRING(pcmpistrm, false, false)

}  // namespace orrery::cpu::exec
