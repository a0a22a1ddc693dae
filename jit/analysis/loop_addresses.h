// Loop addresses: which accesses of a block that jumps back to itself are likely in the page that they were
// in a turn before. A guess: who relies on it compares.
#pragma once

#include <span>
#include <vector>

#include "jit/block_scan.h"

namespace orrery::jit {

/// By instruction of the loop: whether the address of its memory operand is made of registers that are the
/// same in each turn, or a little further on. True where there is no such operand.
std::vector<bool> find_steady_addresses(std::span<const GuestInsn> loop);

}  // namespace orrery::jit
