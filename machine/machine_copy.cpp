// Pages are only touched where they differ: most of a guest's memory does not change from one copy to the
// next.
#include "machine/machine_copy.h"

#include "memory/ram.h"

namespace orrery::machine {
namespace {

using memory::kPageBytes;

constexpr u64 kWord = 8;

/// Makes a page of `ram` that of `from`; only runs of words that differ count as written, so that an engine's
/// translations of the rest stay.
void restore_page(memory::Ram& ram, u64 page, const u8* from) {
  u8* const to = ram.data() + page;
  const auto same = [&](u64 at) { return std::memcmp(to + at, from + at, kWord) == 0; };
  for (u64 at = 0; at < kPageBytes;) {
    if (same(at)) {
      at += kWord;
      continue;
    }
    u64 end = at + kWord;
    while (end < kPageBytes && !same(end)) end += kWord;
    ram.note_write(page + at, end - at);
    std::memcpy(to + at, from + at, end - at);
    at = end;
  }
}

}  // namespace

Result<MachineCopy> MachineCopy::create(u64 memory_bytes) {
  TRY_ASSIGN(HostMemory ram, HostMemory::create("orrery-copy", memory_bytes));
  return MachineCopy(std::move(ram));
}

void MachineCopy::save(VirtualMachine& vm, size_t inputs) {
  const u8* const from = vm.ram().data();
  for_populated(vm.ram(), ram_, [&](u64 start, u64 size) {
    for (u64 at = start; at < start + size; at += kPageBytes) {
      if (std::memcmp(ram_.data() + at, from + at, kPageBytes) != 0)
        std::memcpy(ram_.data() + at, from + at, kPageBytes);
    }
  });
  StateWriter writer;
  vm.visit_state(writer);
  state_ = writer.bytes();
  tick_ = vm.tick();
  inputs_ = inputs;
}

// Memory first: an armed MONITOR must not see it change.
Result<> MachineCopy::restore(VirtualMachine& vm) const {
  memory::Ram& ram = vm.ram();
  for_populated(ram, ram_, [&](u64 start, u64 size) {
    for (u64 at = start; at < start + size; at += kPageBytes) {
      if (std::memcmp(ram.data() + at, ram_.data() + at, kPageBytes) != 0)
        restore_page(ram, at, ram_.data() + at);
    }
  });
  StateReader reader(state_);
  vm.visit_state(reader);
  auto done = reader.finish();
  if (!done) return std::move(done).take_error().with_context("going back to an earlier tick");
  vm.inputs().set_replay_position(inputs_);
  return {};
}

}  // namespace orrery::machine
