// Legacy prefixes. [SDM2 2.1.1]
#pragma once

#include "base/types.h"

namespace orrery::cpu {

constexpr bool is_segment_override(u8 byte) {
  return byte == 0x26 || byte == 0x2e || byte == 0x36 || byte == 0x3e || byte == 0x64 || byte == 0x65;
}

}  // namespace orrery::cpu
