// Outcome and Fault: what an instruction's handler says to its engine. Faults are values; nothing unwinds.
#pragma once

#include "cpu/registers.h"

namespace orrery::cpu {

enum class Outcome : u8 {
  kNext,      // retired; the next instruction follows
  kEndTrace,  // retired; RIP, a mode, an interrupt condition or code changed: look again
  kRestart,   // a string instruction used up its ticks (charged already) and has more to do; RIP stays on it
  kFault,     // not retired; Vcpu::fault() tells why, nothing has changed
};

/// An exception on its way to delivery [SDM3 6].
struct Fault {
  /// kSoftwareInterrupt: INT n; kSoftwareException: INT3, INTO; kPrivilegedSoftware: INT1.
  enum class Kind : u8 {
    kFault,
    kTrap,
    kSoftwareInterrupt,
    kSoftwareException,
    kPrivilegedSoftware,
    kExternal,
    kNmi
  };
  bool is_software() const {
    return kind == Kind::kSoftwareInterrupt || kind == Kind::kSoftwareException ||
           kind == Kind::kPrivilegedSoftware;
  }
  u8 vector = 0;
  bool has_error_code = false;
  Kind kind = Kind::kFault;
  u32 error_code = 0;
  u64 address = 0;   // CR2 for #PF
  u32 dr6_bits = 0;  // for #DB
  u8 length = 0;     // software interrupts: bytes of the instruction, which the return address lies behind
};

}  // namespace orrery::cpu
