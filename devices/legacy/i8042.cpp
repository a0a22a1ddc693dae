#include "devices/legacy/i8042.h"

#include "base/bits.h"

namespace orrery::devices {
namespace {

namespace status {
constexpr u8 OBF = 0x01, SYSTEM = 0x04, COMMAND = 0x08, UNLOCKED = 0x10, MOUSE = 0x20, TIMEOUT = 0x40;
}
namespace command {
constexpr u8 READ_BYTE = 0x20, WRITE_BYTE = 0x60, DISABLE_MOUSE = 0xa7, ENABLE_MOUSE = 0xa8,
             TEST_MOUSE = 0xa9, SELF_TEST = 0xaa, TEST_KEYBOARD = 0xab, DISABLE_KEYBOARD = 0xad,
             ENABLE_KEYBOARD = 0xae, READ_OUTPUT = 0xd0, WRITE_OUTPUT = 0xd1, WRITE_KEYBOARD_BUFFER = 0xd2,
             WRITE_MOUSE_BUFFER = 0xd3, WRITE_MOUSE = 0xd4, PULSE = 0xf0;
}
namespace command_byte {
constexpr u8 KEYBOARD_INTERRUPT = 0x01, MOUSE_INTERRUPT = 0x02, KEYBOARD_DISABLED = 0x10,
             MOUSE_DISABLED = 0x20;
}
constexpr u8 kTimeoutByte = 0xfe;

}  // namespace

I8042::I8042(IrqLine keyboard, IrqLine mouse, MachineControl& control)
    : keyboard_(keyboard),
      mouse_(mouse),
      control_(control),
      data_port_([this](u64, unsigned) { return read_data(); },
                 [this](u64, u64 v, unsigned) { write_data(static_cast<u8>(v)); }),
      command_port_(
          [this](u64, unsigned) -> u64 {
            return static_cast<u64>(state_.status | (state_.command_byte & status::SYSTEM) |
                                    status::UNLOCKED | (state_.last_was_command ? status::COMMAND : 0));
          },
          [this](u64, u64 v, unsigned) { write_command(static_cast<u8>(v)); }),
      system_control_a_([this](u64, unsigned) { return state_.system_control_a; },
                        [this](u64, u64 v, unsigned) {
                          const bool rises = (v & 1) && !(state_.system_control_a & 1);
                          state_.system_control_a = static_cast<u8>(v);
                          if (rises) control_.request_init();
                        }),
      post_code_port_([this](u64, unsigned) { return state_.post_code; },
                      [this](u64, u64 v, unsigned) { state_.post_code = static_cast<u8>(v); }) {}

void I8042::reset() {
  state_ = State{};
  update();
}

void I8042::update() {
  const bool full = state_.status & status::OBF;
  const bool from_mouse = state_.status & status::MOUSE;
  keyboard_.set(full && !from_mouse && (state_.command_byte & command_byte::KEYBOARD_INTERRUPT));
  mouse_.set(full && from_mouse && (state_.command_byte & command_byte::MOUSE_INTERRUPT));
}

void I8042::respond(u8 byte, u8 status_bits) {
  // A second answer falls before its own edge, so that each byte makes an interrupt.
  state_.status = 0;
  update();
  state_.output = byte;
  state_.status = status::OBF | status_bits;
  update();
}

u8 I8042::read_data() {
  state_.status = 0;
  update();
  return state_.output;
}

void I8042::write_data(u8 value) {
  const u8 pending = state_.pending_command;
  state_.pending_command = 0;
  state_.last_was_command = false;
  switch (pending) {
    case command::WRITE_BYTE:
      state_.command_byte = value;
      return update();
    case command::WRITE_OUTPUT:
      state_.output_port = value;
      if (!(value & 1)) control_.request_init();
      return;
    case command::WRITE_KEYBOARD_BUFFER:
      return respond(value, 0);
    case command::WRITE_MOUSE_BUFFER:
      return respond(value, status::MOUSE);
    case command::WRITE_MOUSE:
      return respond(kTimeoutByte, status::MOUSE | status::TIMEOUT);
    default:
      return respond(kTimeoutByte, status::TIMEOUT);  // to the keyboard, which is not there
  }
}

void I8042::write_command(u8 value) {
  state_.last_was_command = true;
  state_.pending_command = 0;
  switch (value) {
    case command::READ_BYTE:
      return respond(state_.command_byte, 0);
    case command::SELF_TEST:
      state_.command_byte |= status::SYSTEM;
      return respond(0x55, 0);
    case command::TEST_MOUSE:
    case command::TEST_KEYBOARD:
      return respond(0x00, 0);
    case command::DISABLE_MOUSE:
      state_.command_byte |= command_byte::MOUSE_DISABLED;
      return;
    case command::ENABLE_MOUSE:
      state_.command_byte &= static_cast<u8>(~command_byte::MOUSE_DISABLED);
      return;
    case command::DISABLE_KEYBOARD:
      state_.command_byte |= command_byte::KEYBOARD_DISABLED;
      return;
    case command::ENABLE_KEYBOARD:
      state_.command_byte &= static_cast<u8>(~command_byte::KEYBOARD_DISABLED);
      return;
    case command::READ_OUTPUT:
      return respond(state_.output_port, 0);
    case command::WRITE_BYTE:
    case command::WRITE_OUTPUT:
    case command::WRITE_KEYBOARD_BUFFER:
    case command::WRITE_MOUSE_BUFFER:
    case command::WRITE_MOUSE:
      state_.pending_command = value;
      return;
    default:
      break;
  }
  // 0xf0..0xff pulse the output port's low bits that are 0; bit 0 is the CPU's reset.
  if ((value & command::PULSE) == command::PULSE && !(value & 1)) control_.request_init();
}

void I8042::visit_state(StateVisitor& v) {
  v.begin(name(), 1);
  v.field("status", state_.status);
  v.field("output", state_.output);
  v.field("command_byte", state_.command_byte);
  v.field("pending_command", state_.pending_command);
  v.field("output_port", state_.output_port);
  v.field("system_control_a", state_.system_control_a);
  v.field("post_code", state_.post_code);
  v.field("last_was_command", state_.last_was_command);
  v.end();
  if (!v.loading()) return;
  const bool full = state_.status & status::OBF;
  const bool from_mouse = state_.status & status::MOUSE;
  keyboard_.restore_level(full && !from_mouse && (state_.command_byte & command_byte::KEYBOARD_INTERRUPT));
  mouse_.restore_level(full && from_mouse && (state_.command_byte & command_byte::MOUSE_INTERRUPT));
}

}  // namespace orrery::devices
