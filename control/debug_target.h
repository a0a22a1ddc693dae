// DebugTarget: what a debugger asks of a stopped machine. The seam between the gdb stub and VirtualMachine,
// so that the protocol is tested without a guest.
#pragma once

#include <span>
#include <string>

#include "base/types.h"
#include "control/guest_registers.h"
#include "machine/virtual_machine.h"

namespace orrery::control {

class DebugTarget {
 public:
  virtual ~DebugTarget() = default;
  virtual unsigned cpus() const = 0;
  virtual GuestRegisters read_registers(unsigned cpu) = 0;
  virtual void write_registers(unsigned cpu, const GuestRegisters& registers) = 0;
  /// False if the range is unmapped; never crosses a page.
  virtual bool read_linear(unsigned cpu, u64 address, std::span<u8> out) = 0;
  virtual bool write_linear(unsigned cpu, u64 address, std::span<const u8> data) = 0;
  virtual bool read_physical(u64 address, std::span<u8> out) = 0;
  virtual bool write_physical(u64 address, std::span<const u8> data) = 0;
  virtual void add_breakpoint(u64 address) = 0;
  virtual void remove_breakpoint(u64 address) = 0;
  virtual void add_watchpoint(u64 address, u64 length, machine::WatchKind kind) = 0;
  virtual void remove_watchpoint(u64 address, u64 length, machine::WatchKind kind) = 0;
  virtual Tick tick() const = 0;
  virtual u64 virtual_time_ns() const = 0;
  virtual std::string dump_state() = 0;
};

/// The machine itself; it outlives this.
class MachineDebugTarget final : public DebugTarget {
 public:
  explicit MachineDebugTarget(machine::VirtualMachine& vm) : vm_(vm) {}
  unsigned cpus() const override { return vm_.cpus(); }
  GuestRegisters read_registers(unsigned cpu) override;
  void write_registers(unsigned cpu, const GuestRegisters& registers) override;
  bool read_linear(unsigned cpu, u64 address, std::span<u8> out) override;
  bool write_linear(unsigned cpu, u64 address, std::span<const u8> data) override;
  bool read_physical(u64 address, std::span<u8> out) override;
  bool write_physical(u64 address, std::span<const u8> data) override;
  void add_breakpoint(u64 address) override;
  void remove_breakpoint(u64 address) override;
  void add_watchpoint(u64 address, u64 length, machine::WatchKind kind) override;
  void remove_watchpoint(u64 address, u64 length, machine::WatchKind kind) override;
  Tick tick() const override { return vm_.tick(); }
  u64 virtual_time_ns() const override { return vm_.now().ns; }
  std::string dump_state() override { return vm_.dump_state(); }

 private:
  machine::VirtualMachine& vm_;
};

}  // namespace orrery::control
