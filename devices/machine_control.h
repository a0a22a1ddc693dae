// MachineControl: what a device may ask of the machine as a whole. Requests take effect at the end of the
// running instruction.
#pragma once

#include <string>

#include "base/types.h"

namespace orrery::devices {

class MachineControl {
 public:
  virtual ~MachineControl() = default;
  /// ACPI S5 and its like: the machine stops, exit status 0.
  virtual void request_power_off() = 0;
  /// A system reset: CPUs and devices (port 0xcf9 with SYS_RST, FADT RESET_REG).
  virtual void request_reset() = 0;
  /// INIT# of every CPU, which then fetches from the reset vector; devices stay (ports 0x92 and 0x64, 0xcf9
  /// without SYS_RST).
  virtual void request_init() = 0;
  /// isa-debug-exit: the machine stops, exit status `(value << 1) | 1`, truncated to 8 bits by the host.
  virtual void request_exit(u32 value) = 0;
  /// A host-side failure (a full disk under an overlay): the machine stops, one line, exit status 2.
  virtual void report_host_error(std::string message) = 0;
};

}  // namespace orrery::devices
