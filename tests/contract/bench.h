// Bench: everything that a device's constructor may ask for, with the far ends recorded into a hash.
#pragma once

#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "base/entropy.h"
#include "base/event_queue.h"
#include "base/input_port.h"
#include "base/irq_line.h"
#include "devices/backend/character.h"
#include "devices/device.h"
#include "devices/machine_control.h"
#include "memory/address_space.h"
#include "memory/dma_port.h"

namespace orrery::tests {

class RecordingSink final : public IrqSink, public MsiSink {
 public:
  void set_irq(unsigned input, bool level) override { ++changes, levels[input & 31] = level; }
  void send_msi(PhysAddr address, u32 data) override { messages.push_back({address.value, data}); }
  u64 changes = 0;
  bool levels[32] = {};
  struct Message {
    u64 address;
    u32 data;
  };
  std::vector<Message> messages;
};

class RecordingControl final : public devices::MachineControl {
 public:
  void request_power_off() override { ++power_offs; }
  void request_reset() override { ++resets; }
  void request_init() override { ++inits; }
  void request_exit(u32 value) override { exits.push_back(value); }
  void report_host_error(std::string message) override { errors.push_back(std::move(message)); }
  unsigned power_offs = 0;
  unsigned resets = 0;
  unsigned inits = 0;
  std::vector<u32> exits;
  std::vector<std::string> errors;
};

struct Bench {
  static constexpr u64 kRamBytes = 1 << 20;
  Timeline timeline;
  Clock clock{timeline};
  EventQueue events{timeline, clock};
  InputPort inputs{timeline};
  std::unique_ptr<memory::Ram> ram = std::move(memory::Ram::create("test", kRamBytes)).value();
  memory::AddressSpace memory{0};
  memory::AddressSpace ports{0x10000};
  memory::DmaPort dma{memory};
  Entropy entropy;
  RecordingSink sink;
  RecordingControl control;
  std::string text;  // what went to the character back end
  devices::CallbackCharacterBackend output{
      [this](std::span<const u8> bytes) { text.append(bytes.begin(), bytes.end()); }};

  Bench() { memory.add_ram("ram", 0, *ram, 0, kRamBytes); }
  IrqLine line(unsigned input) { return IrqLine(sink, input); }
  /// Lets `ns` of virtual time pass, firing every timer at its moment.
  void advance(u64 ns) {
    const Tick end = timeline.now() + ns;  // one tick is a nanosecond
    while (events.next_tick() <= end) {
      timeline.skip_to(std::max(timeline.now() + 1, events.next_tick()));
      events.fire_due();
    }
    if (timeline.now() < end) timeline.skip_to(end);
  }
};

/// One device on its own bench, and where it answers.
struct Subject {
  Bench bench;
  struct Window {
    memory::IoHandler* handler;
    u64 size_bytes;
    unsigned min_bytes;
    unsigned max_bytes;
  };
  std::vector<Window> windows;
  std::vector<std::shared_ptr<void>> parts;  // owned, destroyed before the bench
  devices::Device* device = nullptr;
  std::function<void(std::mt19937_64&)> stimulate = [](std::mt19937_64&) {};

  ~Subject() {
    while (!parts.empty()) parts.pop_back();
  }

  template <class T, class... Args>
  T& make(Args&&... args) {
    auto part = std::make_shared<T>(std::forward<Args>(args)...);
    parts.push_back(part);
    return *part;
  }
  void visit(StateVisitor& v) {
    bench.clock.visit_state(v);
    bench.events.visit_state(v);
    bench.entropy.visit_state(v);
    device->visit_state(v);
  }
  u64 hash() {
    StateHasher hasher;
    visit(hasher);
    bench.ram->hash(hasher);
    return hasher.digest();
  }
  std::vector<u8> save() {
    StateWriter writer;
    visit(writer);
    return writer.bytes();
  }
  Result<> load(std::span<const u8> bytes) {
    StateReader reader(bytes);
    visit(reader);
    return reader.finish();
  }
  /// One random access, stimulus or pause.
  void step(std::mt19937_64& random) {
    const u64 kind = random() % 16;
    if (kind == 0) return stimulate(random);
    if (kind == 1) return bench.advance(random() % 3'000'000);
    if (windows.empty()) return;
    const Window& window = windows[random() % windows.size()];
    unsigned size = 1u << (random() % 4);
    size = std::clamp(size, window.min_bytes, window.max_bytes);
    const u64 offset = random() % window.size_bytes / size * size;
    if (random() & 1) {
      u64 value = random();
      if (random() & 1) value &= 0xff;
      window.handler->write(offset, value & low_mask(8 * size), size);
    } else {
      reads = reads * 31 + window.handler->read(offset, size);
    }
  }
  u64 reads = 0;
};

}  // namespace orrery::tests
