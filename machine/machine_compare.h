// Comparing two machines of the same configuration that should be alike, at three prices.
#pragma once

#include <optional>
#include <string>

#include "machine/virtual_machine.h"

namespace orrery::machine {

/// How much is compared: each level contains the ones before it.
enum class CompareLevel : u8 {
  kProcessors,  // the tick and every vCPU's registers: under a microsecond
  kState,       // TLBs, devices, timers, disk overlays: a millisecond
  kMemory,      // RAM: as fast as memory is read
};

/// The first field that differs, "machine.cpu0.state.rax: 0x1 here, 0x2 there", or nothing.
std::optional<std::string> first_difference(VirtualMachine& here, VirtualMachine& there, CompareLevel level);

/// Every field that differs, and the first bytes of RAM that do: one line each, at most `limit`.
std::vector<std::string> differences(VirtualMachine& here, VirtualMachine& there, size_t limit);

}  // namespace orrery::machine
