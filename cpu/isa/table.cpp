#include "cpu/isa/table.h"

#include <unordered_map>

#include "cpu/registers.h"

namespace orrery::cpu {

namespace exec {
#define INSN(mnemonic, selector, ...) Handler selector(const Insn&, const DecodedForm&);
#include "cpu/isa/instructions.inc"
#undef INSN
}  // namespace exec

namespace isa {
namespace {

using namespace rflags;  // the columns name flags as the manual does
using namespace trait;
inline constexpr u64 kArith = rflags::kArithmetic;

const Row kRows[] = {
#define INSN(mnemonic, selector, translate, traits, read, written, undefined, feature, intercept, manual) \
  Row{#mnemonic,   exec::selector,   Translate::translate, (traits), (read), (written),                   \
      (undefined), Feature::feature, Intercept::intercept, manual},
#include "cpu/isa/instructions.inc"
#undef INSN
};

}  // namespace

std::span<const Row> rows() { return kRows; }

u16 row_of(std::string_view mnemonic) {
  static const auto index = [] {
    std::unordered_map<std::string_view, u16> map;
    for (u16 i = 0; i < std::size(kRows); ++i) map.emplace(kRows[i].name, i);
    return map;
  }();
  const auto it = index.find(mnemonic);
  return it == index.end() ? u16{0} : it->second;
}

}  // namespace isa
}  // namespace orrery::cpu
