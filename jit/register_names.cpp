#include "jit/register_names.h"

namespace orrery::jit::register_names {

const std::array<Name, ZYDIS_REGISTER_MAX_VALUE + 1> kNames = [] {
  std::array<Name, ZYDIS_REGISTER_MAX_VALUE + 1> names{};
  for (unsigned i = 0; i < names.size(); ++i) {
    const auto reg = static_cast<ZydisRegister>(i);
    names[i] = {.kind = static_cast<u8>(ZydisRegisterGetClass(reg)),
                .id = static_cast<u8>(ZydisRegisterGetId(reg))};
  }
  return names;
}();

}  // namespace orrery::jit::register_names
