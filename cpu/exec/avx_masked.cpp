// Masked moves and gathers of AVX and AVX2: memory operands of which only the chosen elements exist.
// [SDM2 VMASKMOVPS, VPMASKMOVD, VGATHERDPS, VPGATHERDD]
//
// A gather makes progress: an element that has been read is in the destination and gone from the mask when a
// later one faults, so it goes on from there. Not modelled: nothing.
#include "cpu/exec/simd_operands.h"
#include "cpu/exec/unaligned.h"

namespace orrery::cpu::exec {
namespace {

template <class T, class V>
bool chosen(const V& mask, unsigned i) {
  return mask.template at<std::make_signed_t<T>>(i) < 0;
}

/// VMASKMOV dst, mask, m: elements that are not chosen are zero and can't fault. The others are accesses of
/// their own, checked in order, against the segment's limit, too. Their offsets don't wrap at the address
/// size.
template <class R, class T>
Outcome masked_load(Vcpu& cpu, const Insn& insn) {
  const typename R::Value mask = R::get(cpu, insn.op[1]);
  typename R::Value out{};
  const u64 offset = cpu.effective_address(insn);
  for (unsigned i = 0; i < R::kBytes / sizeof(T); ++i) {
    if (!chosen<T>(mask, i)) continue;
    if (!read_unaligned(cpu, insn.segment(), offset + i * sizeof(T), out.template at<T>(i)))
      return Outcome::kFault;
  }
  R::set(cpu, insn.op[0], out);
  return Outcome::kNext;
}
/// VMASKMOV m, mask, src: all chosen elements are checked before the first is written.
template <class R, class T>
Outcome masked_store(Vcpu& cpu, const Insn& insn) {
  const typename R::Value mask = R::get(cpu, insn.op[1]), data = R::get(cpu, insn.op[2]);
  const u64 offset = cpu.effective_address(insn);
  const auto at = [&](unsigned i) { return offset + i * sizeof(T); };
  for (unsigned i = 0; i < R::kBytes / sizeof(T); ++i) {
    if (chosen<T>(mask, i) && !probe_unaligned<T>(cpu, insn.segment(), at(i))) return Outcome::kFault;
  }
  for (unsigned i = 0; i < R::kBytes / sizeof(T); ++i) {
    if (chosen<T>(mask, i) && !write_unaligned(cpu, insn.segment(), at(i), data.template at<T>(i)))
      return Outcome::kFault;
  }
  return Outcome::kNext;
}
template <class T>
Handler masked_form(const Insn& insn, const DecodedForm& f) {
  if (f.kind[0] == OperandKind::kMem)
    return insn.vector_256() ? &masked_store<Ymm, T> : &masked_store<Vex128, T>;
  return insn.vector_256() ? &masked_load<Ymm, T> : &masked_load<Vex128, T>;
}

/// dst, [base + index vector * scale + disp], mask: kLanes elements of T, in order. At the end the mask and
/// what is above those elements in the destination are zero; at a fault only the elements before it have
/// changed, and have gone from the mask.
template <class T, class Index, unsigned kLanes>
Outcome gather(Vcpu& cpu, const Insn& insn) {
  const Lanes<32> indices = Ymm::get(cpu, insn.index);
  Lanes<32> out = Ymm::get(cpu, insn.op[0]), mask = Ymm::get(cpu, insn.op[2]);
  const u64 base = cpu.state.gpr[insn.base] + static_cast<u64>(i64{insn.disp});
  bool progress = false;
  for (unsigned i = 0; i < kLanes; ++i) {
    if (chosen<T>(mask, i)) {
      const u64 index = static_cast<u64>(i64{indices.at<Index>(i)});
      const u64 offset = (base + (index << insn.scale_shift())) & insn.address_mask();
      if (!read_unaligned(cpu, insn.segment(), offset, out.at<T>(i))) {
        Ymm::set(cpu, insn.op[0], out);
        Ymm::set(cpu, insn.op[2], mask);
        // A single-step trap goes before the fault of a gather that has come further. [SDM2 VGATHERDPS]
        if (progress && (cpu.state.rflags & rflags::TF) != 0)
          return cpu.raise(Fault{.vector = kDB, .dr6_bits = static_cast<u32>(dr6::BS)});
        return Outcome::kFault;
      }
      progress = true;
    }
    mask.at<T>(i) = 0;
  }
  for (unsigned i = kLanes; i < 32 / sizeof(T); ++i) out.at<T>(i) = 0;
  Ymm::set(cpu, insn.op[0], out);
  Ymm::set(cpu, insn.op[2], Lanes<32>{});
  return Outcome::kNext;
}
/// The number of lanes follows from the longer of data and indices. No two of the three registers may be the
/// same.
template <class T, class Index>
Handler gather_form(const Insn& insn, const DecodedForm&) {
  if (insn.op[0] == insn.index || insn.op[0] == insn.op[2] || insn.index == insn.op[2]) return nullptr;
  constexpr unsigned kLonger = std::max(sizeof(T), sizeof(Index));
  return insn.vector_256() ? &gather<T, Index, 32 / kLonger> : &gather<T, Index, 16 / kLonger>;
}

}  // namespace

Handler select_vmaskmovps(const Insn& insn, const DecodedForm& f) { return masked_form<u32>(insn, f); }
Handler select_vmaskmovpd(const Insn& insn, const DecodedForm& f) { return masked_form<u64>(insn, f); }
Handler select_vpgatherdd(const Insn& insn, const DecodedForm& f) { return gather_form<u32, i32>(insn, f); }
Handler select_vpgatherdq(const Insn& insn, const DecodedForm& f) { return gather_form<u64, i32>(insn, f); }
Handler select_vpgatherqd(const Insn& insn, const DecodedForm& f) { return gather_form<u32, i64>(insn, f); }
Handler select_vpgatherqq(const Insn& insn, const DecodedForm& f) { return gather_form<u64, i64>(insn, f); }

}  // namespace orrery::cpu::exec
