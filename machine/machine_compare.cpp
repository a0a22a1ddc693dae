#include "machine/machine_compare.h"

#include "cpu/vcpu.h"
#include "machine/machine_copy.h"
#include "memory/ram.h"

namespace orrery::machine {
namespace {

using memory::kPageBytes;

std::optional<std::string> processor_difference(VirtualMachine& here, VirtualMachine& there) {
  for (unsigned i = 0; i < here.cpus(); ++i) {
    cpu::CpuState& a = here.vcpu(i).state;
    cpu::CpuState& b = there.vcpu(i).state;
    // Bytes that are equal need no visitor; padding may differ.
    if (std::memcmp(&a, &b, sizeof a) == 0) continue;
    StateWriter writer;
    cpu::visit_cpu_state(writer, b);
    StateDiffer differ(writer.bytes());
    cpu::visit_cpu_state(differ, a);
    if (differ.difference()) return fmt::format("machine.cpu{}.{}", i, *differ.difference());
  }
  return std::nullopt;
}

std::optional<std::string> state_difference(VirtualMachine& here, VirtualMachine& there) {
  StateWriter writer;
  there.visit_state(writer);
  StateDiffer differ(writer.bytes());
  here.visit_state(differ);
  return differ.difference();
}

/// The RAM offset of the first byte that differs.
std::optional<u64> memory_difference(VirtualMachine& here, VirtualMachine& there) {
  const u8* const a = here.ram().data();
  const u8* const b = there.ram().data();
  std::optional<u64> first;
  for_populated(here.ram(), there.ram(), [&](u64 start, u64 size) {
    if (first && *first < start) return;
    for (u64 at = start; at < start + size; at += kPageBytes) {
      if (std::memcmp(a + at, b + at, kPageBytes) == 0) continue;
      const auto byte = static_cast<u64>(std::mismatch(a + at, a + at + kPageBytes, b + at).first - a);
      first = std::min(first.value_or(byte), byte);
      return;
    }
  });
  return first;
}

std::string show_memory(VirtualMachine& here, VirtualMachine& there, u64 offset) {
  const u64 at = align_down(offset, u64{8});
  return fmt::format("ram offset {:#x}: {:#018x} here, {:#018x} there", at,
                     load_le<u64>(here.ram().data() + at), load_le<u64>(there.ram().data() + at));
}

}  // namespace

std::optional<std::string> first_difference(VirtualMachine& here, VirtualMachine& there, CompareLevel level) {
  if (here.tick() != there.tick())
    return fmt::format("machine.tick: {} here, {} there", here.tick(), there.tick());
  if (auto found = processor_difference(here, there)) return found;
  if (level == CompareLevel::kProcessors) return std::nullopt;
  if (auto found = state_difference(here, there)) return found;
  if (level == CompareLevel::kState) return std::nullopt;
  if (const auto offset = memory_difference(here, there)) return show_memory(here, there, *offset);
  return std::nullopt;
}

std::vector<std::string> differences(VirtualMachine& here, VirtualMachine& there, size_t limit) {
  std::vector<std::string> found;
  const std::string a = here.dump_state(), b = there.dump_state();
  size_t at_a = 0, at_b = 0;
  while (at_a < a.size() && at_b < b.size() && found.size() < limit) {
    const size_t end_a = a.find('\n', at_a), end_b = b.find('\n', at_b);
    const std::string_view line_a = std::string_view(a).substr(at_a, end_a - at_a);
    const std::string_view line_b = std::string_view(b).substr(at_b, end_b - at_b);
    const size_t value_a = line_a.find(": "), value_b = line_b.find(": ");
    if (line_a.substr(0, value_a) != line_b.substr(0, value_b)) {
      found.push_back(fmt::format("{} here, {} there", line_a, line_b));
      break;  // other parts from here on
    }
    if (line_a != line_b)
      found.push_back(fmt::format("{} here, {} there", line_a, line_b.substr(value_b + 2)));
    at_a = end_a + 1;
    at_b = end_b + 1;
  }
  if (const auto offset = memory_difference(here, there); offset && found.size() < limit)
    found.push_back(show_memory(here, there, *offset));
  return found;
}

}  // namespace orrery::machine
