// Machines for the replay tests: small ones, which run a guest program of tests/replay.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "machine/virtual_machine.h"

namespace orrery::tests {

inline constexpr u64 kMemoryBytes = u64{16} << 20;

struct Machine {
  explicit Machine(const std::string& program) {
    config.kernel = std::string(ORRERY_REPLAY_PROGRAMS "/") + program + ".elf";
    config.clock = machine::ClockPolicy::kFixed;
    config.memory_bytes = kMemoryBytes;
  }

  bool create() { return keep(machine::VirtualMachine::create(config, with_output())); }
  bool create_replay(const std::string& log) {
    return keep(machine::VirtualMachine::create_replay(log, with_output()));
  }

  machine::Config config;
  machine::VirtualMachine::Options options;
  std::string error;
  std::unique_ptr<machine::VirtualMachine> vm;
  /// What came out of COM1 so far.
  const std::string& text() const { return *text_; }

 private:
  machine::VirtualMachine::Options with_output() {
    options.serial_output = [to = text_.get()](std::span<const u8> bytes) {
      to->append(bytes.begin(), bytes.end());
    };
    return options;
  }
  bool keep(Result<std::unique_ptr<machine::VirtualMachine>> made) {
    if (made) {
      vm = std::move(made).value();
      return true;
    }
    error = made.error().message;
    return false;
  }
  std::unique_ptr<std::string> text_ = std::make_unique<std::string>();
};

/// A machine without inputs, built; aborts if it can't be.
inline Machine make_machine(const std::string& program) {
  Machine machine(program);
  const bool made = machine.create();
  CHECK(made, machine.error);
  return machine;
}

/// Makes `to`'s RAM equal to `from`'s. Both have kMemoryBytes.
inline void copy_ram(machine::VirtualMachine& from, machine::VirtualMachine& to) {
  constexpr u64 kPage = 4096;
  std::vector<u8> theirs(kPage);
  std::vector<u8> ours(kPage);
  for (u64 at = 0; at < kMemoryBytes; at += kPage) {
    if (at >= 0xa0000 && at < 0xc0000) continue;  // no RAM there
    CHECK(from.read_physical(at, theirs) && to.read_physical(at, ours));
    if (theirs != ours) CHECK(to.write_physical(at, theirs));
  }
}

}  // namespace orrery::tests
