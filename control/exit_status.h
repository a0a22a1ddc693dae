// Exit statuses of the program, as docs/cli.md promises them to scripts.
#pragma once

#include "base/types.h"

namespace orrery::control {

namespace exit_status {
/// The guest powered off, the tick limit was reached, the user left, or a reset stopped the machine.
inline constexpr int kOk = 0;
/// Bad input or a host error; one line on standard error says which.
inline constexpr int kBadInput = 2;
/// A triple fault with --no-reboot.
inline constexpr int kTripleFault = 3;
/// A replay ended in another state than its recording, or lockstep found a difference.
inline constexpr int kDiverged = 4;
/// Stopped by signal n: this plus n, as shells count.
inline constexpr int kSignalBase = 128;
/// isa-debug-exit: odd, so never one of the even ones above.
constexpr int of_debug_exit(u32 value) { return static_cast<int>(((value << 1) | 1) & 0xff); }
}  // namespace exit_status

}  // namespace orrery::control
