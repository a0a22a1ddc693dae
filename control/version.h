// The program's version, as `orrery --version` prints it.
#pragma once

namespace orrery::control {

inline constexpr const char* kVersion = "0.1.0";

}  // namespace orrery::control
