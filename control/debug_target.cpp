#include "control/debug_target.h"

namespace orrery::control {

GuestRegisters MachineDebugTarget::read_registers(unsigned cpu) {
  return control::read_registers(vm_.vcpu(cpu));
}
void MachineDebugTarget::write_registers(unsigned cpu, const GuestRegisters& registers) {
  control::write_registers(vm_.vcpu(cpu), registers);
}
bool MachineDebugTarget::read_linear(unsigned cpu, u64 address, std::span<u8> out) {
  return vm_.read_linear(cpu, address, out);
}
bool MachineDebugTarget::write_linear(unsigned cpu, u64 address, std::span<const u8> data) {
  return vm_.write_linear(cpu, address, data);
}
bool MachineDebugTarget::read_physical(u64 address, std::span<u8> out) {
  return vm_.read_physical(address, out);
}
bool MachineDebugTarget::write_physical(u64 address, std::span<const u8> data) {
  return vm_.write_physical(address, data);
}
void MachineDebugTarget::add_breakpoint(u64 address) { vm_.add_breakpoint(address); }
void MachineDebugTarget::remove_breakpoint(u64 address) { vm_.remove_breakpoint(address); }
void MachineDebugTarget::add_watchpoint(u64 address, u64 length, machine::WatchKind kind) {
  vm_.add_watchpoint(address, length, kind);
}
void MachineDebugTarget::remove_watchpoint(u64 address, u64 length, machine::WatchKind kind) {
  vm_.remove_watchpoint(address, length, kind);
}

}  // namespace orrery::control
