// FakeDebugTarget: two vCPUs and a little memory that only remember what a debugger did to them.
#pragma once

#include <cstring>
#include <set>
#include <tuple>

#include "base/check.h"
#include "control/debug_target.h"

namespace orrery::control {

/// Two pages of linear memory at 0x1000, physical memory the same at 0; everything else is unmapped.
class FakeDebugTarget final : public DebugTarget {
 public:
  static constexpr u64 kLinear = 0x1000;
  unsigned cpus() const override { return 2; }
  GuestRegisters read_registers(unsigned cpu) override { return registers[cpu]; }
  void write_registers(unsigned cpu, const GuestRegisters& r) override { registers[cpu] = r; }
  bool read_linear(unsigned, u64 address, std::span<u8> out) override {
    return read_physical(address - kLinear, out);
  }
  bool write_linear(unsigned, u64 address, std::span<const u8> data) override {
    return write_physical(address - kLinear, data);
  }
  bool read_physical(u64 address, std::span<u8> out) override {
    if (address >= sizeof memory || out.size() > sizeof memory - address) return false;
    std::memcpy(out.data(), memory + address, out.size());
    return true;
  }
  bool write_physical(u64 address, std::span<const u8> data) override {
    if (address >= sizeof memory || data.size() > sizeof memory - address) return false;
    std::memcpy(memory + address, data.data(), data.size());
    return true;
  }
  void add_breakpoint(u64 address) override { CHECK(breakpoints.insert(address).second); }
  void remove_breakpoint(u64 address) override { CHECK(breakpoints.erase(address) == 1); }
  void add_watchpoint(u64 address, u64 length, machine::WatchKind kind) override {
    CHECK(watchpoints.insert({address, length, kind}).second);
  }
  void remove_watchpoint(u64 address, u64 length, machine::WatchKind kind) override {
    CHECK(watchpoints.erase({address, length, kind}) == 1);
  }
  Tick tick() const override { return 1234; }
  u64 virtual_time_ns() const override { return 5678; }
  std::string dump_state() override { return std::string(20000, 's'); }

  GuestRegisters registers[2];
  u8 memory[8192] = {};
  std::set<u64> breakpoints;
  std::set<std::tuple<u64, u64, machine::WatchKind>> watchpoints;
};

}  // namespace orrery::control
