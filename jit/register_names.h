// What Zydis says of a register's name, looked up once: a translation asks hundreds of times.
#pragma once

#include <Zydis/Zydis.h>

#include <array>

#include "base/types.h"

namespace orrery::jit {

namespace register_names {
struct Name {
  u8 kind, id;  // a ZydisRegisterClass; what Zydis numbers registers of one class by
};
extern const std::array<Name, ZYDIS_REGISTER_MAX_VALUE + 1> kNames;
}  // namespace register_names

inline ZydisRegisterClass register_class(ZydisRegister reg) {
  return static_cast<ZydisRegisterClass>(register_names::kNames[reg].kind);
}
inline u8 register_id(ZydisRegister reg) { return register_names::kNames[reg].id; }

}  // namespace orrery::jit
