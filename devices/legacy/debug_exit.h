// isa-debug-exit at port 0xf4: a write of 1, 2 or 4 bytes stops the machine with exit status (value << 1)
// | 1.
//
// Documents: the convention of QEMU's isa-debug-exit with iobase=0xf4, iosize=4.
// Not modelled: nothing is left out.
#pragma once

#include "devices/device.h"
#include "devices/machine_control.h"
#include "memory/address_space.h"

namespace orrery::devices {

class DebugExit final : public Device, public memory::IoHandler {
 public:
  explicit DebugExit(MachineControl& control) : control_(control) {}
  std::string_view name() const override { return "debug_exit"; }
  void reset() override {}
  void visit_state(StateVisitor& v) override {
    v.begin(name(), 1);
    v.end();
  }
  /// Four ports; sizes 1, 2 and 4.
  u64 read(u64, unsigned) override { return 0; }
  void write(u64, u64 value, unsigned) override { control_.request_exit(static_cast<u32>(value)); }

 private:
  MachineControl& control_;
};

}  // namespace orrery::devices
