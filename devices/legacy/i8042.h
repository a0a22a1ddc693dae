// 8042 keyboard controller with nothing plugged in, and the PC's fast-reset port 0x92 and POST-code port
// 0x80.
//
// Modelled: command byte, self test, interface tests, output port, enables, the reset pulse, interrupts of
// the two ports; a byte sent to a keyboard or mouse that is not there comes back as a timeout. Documents:
// [8042 in the IBM PC AT TR], [ICH9 13.7.2] for port 0x92. Not modelled: keyboard and mouse, A20 gating (the
// line is always open; its bits are only stored), passwords.
#pragma once

#include "base/irq_line.h"
#include "devices/device.h"
#include "devices/io_window.h"
#include "devices/machine_control.h"

namespace orrery::devices {

class I8042 final : public Device {
 public:
  I8042(IrqLine keyboard, IrqLine mouse, MachineControl& control);

  std::string_view name() const override { return "i8042"; }
  void reset() override;
  void visit_state(StateVisitor& v) override;

  /// One byte-wide port each: 0x60, 0x64, 0x92 and 0x80.
  memory::IoHandler& data_port() { return data_port_; }
  memory::IoHandler& command_port() { return command_port_; }
  memory::IoHandler& system_control_a() { return system_control_a_; }
  memory::IoHandler& post_code_port() { return post_code_port_; }

 private:
  struct State {
    u8 status = 0;           // OBF, MOUSE, TIMEOUT; the rest is computed
    u8 output = 0;           // the output buffer
    u8 command_byte = 0x35;  // both ports disabled, translation, system flag, keyboard interrupt
    u8 pending_command = 0;  // a command that waits for its data byte; 0: none
    u8 output_port = 0xdf;
    u8 system_control_a = 0x02;
    u8 post_code = 0;
    bool last_was_command = false;
  };
  u8 read_data();
  void write_data(u8 value);
  void write_command(u8 value);
  void respond(u8 byte, u8 status_bits);
  void update();

  IrqLine keyboard_;
  IrqLine mouse_;
  MachineControl& control_;
  State state_;
  IoWindow data_port_;
  IoWindow command_port_;
  IoWindow system_control_a_;
  IoWindow post_code_port_;
};

}  // namespace orrery::devices
