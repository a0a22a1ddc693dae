// The target description: which registers gdb sees, in which order, sizes and types.
//
// Features `org.gnu.gdb.i386.core`, `.sse` and `.segments` are gdb's own [gdb G.5]; system registers are in a
// feature of ours, which gdb shows without knowing it.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/types.h"
#include "control/guest_registers.h"

namespace orrery::control {

struct GdbRegister {
  std::string_view name;
  std::string_view type;     // of the XML
  std::string_view feature;  // last part of the feature's name
  u32 offset;                // in GuestRegisters
  u32 size_bytes;
  bool writable;  // see `write_registers`
};

/// All registers in the order of their numbers, which is that of the `g` packet.
std::span<const GdbRegister> gdb_registers();
/// `target.xml`.
std::string gdb_target_xml();

}  // namespace orrery::control
