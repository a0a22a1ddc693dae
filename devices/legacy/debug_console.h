// The debug console at ports 0xe9 and 0x402: what is written goes to the host, reads give 0xe9.
//
// Documents: the convention of Bochs (port 0xe9) and of SeaBIOS and OVMF (port 0x402).
// Not modelled: nothing is left out.
#pragma once

#include "devices/backend/character.h"
#include "devices/device.h"
#include "memory/address_space.h"

namespace orrery::devices {

class DebugConsole final : public Device, public memory::IoHandler {
 public:
  explicit DebugConsole(CharacterBackend& output) : output_(output) {}
  std::string_view name() const override { return "debug_console"; }
  void reset() override {}
  void visit_state(StateVisitor& v) override {
    v.begin(name(), 1);
    v.end();
  }
  /// One byte-wide port, wherever the board puts it.
  u64 read(u64, unsigned) override { return 0xe9; }
  void write(u64, u64 value, unsigned) override {
    const auto byte = static_cast<u8>(value);
    output_.write({&byte, 1});
  }

 private:
  CharacterBackend& output_;
};

}  // namespace orrery::devices
