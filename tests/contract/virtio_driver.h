// A small virtio driver for tests: sets a device up by its BAR, makes buffers available, well-formed or not.
#pragma once

#include <unistd.h>
#include <cstdlib>
#include <string>

#include "base/bits.h"
#include "devices/virtio/virtio_function.h"
#include "tests/contract/bench.h"

namespace orrery::tests {

inline devices::PciWiring wiring_of(Bench& bench) {
  return {.memory = bench.memory, .ports = bench.ports, .msi = bench.sink, .intx = bench.line(5)};
}

class TemporaryFile {
 public:
  explicit TemporaryFile(u64 size_bytes) {
    char name[] = "/tmp/orrery_test_XXXXXX";
    const int descriptor = ::mkstemp(name);
    path_ = name;
    std::vector<u8> content(size_bytes);
    for (size_t i = 0; i < content.size(); ++i) content[i] = static_cast<u8>(i / 512 + i % 251);
    if (descriptor < 0 ||
        ::write(descriptor, content.data(), content.size()) != static_cast<ssize_t>(size_bytes)) {
      std::abort();
    }
    ::close(descriptor);
  }
  ~TemporaryFile() { ::unlink(path_.c_str()); }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

class VirtioDriver {
 public:
  static constexpr u64 kBar = 0xc0000000;
  static constexpr u64 kMsixBar = 0xc0010000;
  static constexpr u16 kSize = 16;
  static constexpr u64 kRings = 0x10000;  // 0x1000 per queue
  static constexpr u64 kBuffers = 0x40000;
  static constexpr u16 kNext = 1, kWrite = 2, kIndirect = 4;

  VirtioDriver(Bench& bench, devices::PciFunction& function) : bench_(bench), function_(function) {}

  u64 descriptors(unsigned queue) const { return kRings + 0x1000 * queue; }
  u64 available(unsigned queue) const { return descriptors(queue) + 0x400; }
  u64 used(unsigned queue) const { return descriptors(queue) + 0x800; }
  void common(u64 offset, u64 value, unsigned size) { bench_.memory.write(kBar + offset, value, size); }
  u64 common(u64 offset, unsigned size) { return bench_.memory.read(kBar + offset, size); }

  void map() {
    function_.set_bar(4, kBar);
    function_.set_bar(1, kMsixBar);
    function_.write_config(devices::pci::COMMAND, 6, 2);
  }
  /// Through to DRIVER_OK, with rings cleared.
  void start(u64 features, unsigned queues) {
    map();
    common(0x14, 0, 1);
    common(0x14, 3, 1);
    common(0x08, 0, 4);
    common(0x0c, features & 0xffffffff, 4);
    common(0x08, 1, 4);
    common(0x0c, features >> 32, 4);
    common(0x14, 11, 1);
    for (unsigned queue = 0; queue < queues; ++queue) {
      for (u64 at = 0; at < 0x1000; at += 8) bench_.memory.write(descriptors(queue) + at, 0, 8);
      common(0x16, queue, 2);
      common(0x18, kSize, 2);
      common(0x20, descriptors(queue), 8);
      common(0x28, available(queue), 8);
      common(0x30, used(queue), 8);
      common(0x1c, 1, 2);
    }
    common(0x14, 15, 1);
  }
  void descriptor(unsigned queue, unsigned index, u64 address, u32 length, u16 flags, u16 next) {
    descriptor_at(descriptors(queue) + 16 * index, address, length, flags, next);
  }
  void descriptor_at(u64 at, u64 address, u32 length, u16 flags, u16 next) {
    bench_.memory.write(at, address, 8);
    bench_.memory.write(at + 8, length, 4);
    bench_.memory.write(at + 12, flags, 2);
    bench_.memory.write(at + 14, next, 2);
  }
  void offer(unsigned queue, u16 head) {
    const u64 index = bench_.memory.read(available(queue) + 2, 2);
    bench_.memory.write(available(queue) + 4 + 2 * (index % kSize), head, 2);
    bench_.memory.write(available(queue) + 2, index + 1, 2);
  }
  void notify(unsigned queue) { bench_.memory.write(kBar + 0x3000 + 4 * queue, queue, 2); }
  u64 used_index(unsigned queue) { return bench_.memory.read(used(queue) + 2, 2); }

  /// Something a driver might do, or a hostile one.
  void play(std::mt19937_64& random) {
    const u64 kind = random() % 8;
    if (kind == 0) return start((u64{1} << 32) | (random() & 0x30000000), 1 + random() % 2);
    if (kind == 1) return map();
    const unsigned queue = random() % 2;
    const bool hostile = random() % 8 == 0;
    // A header, data and a status byte, as a disk request has.
    const u64 buffer = kBuffers + 0x4000 * (random() % 8);
    bench_.memory.write(buffer, random() % 14, 4);
    bench_.memory.write(buffer + 8, hostile ? random() : random() % 130, 8);
    const auto data_bytes = static_cast<u32>(512 * (random() % 9));
    const u16 data_flags = random() & 1 ? kWrite | kNext : kNext;
    descriptor(queue, 0, buffer, 16, kNext, 1);
    descriptor(queue, 1, buffer + 0x100, hostile ? static_cast<u32>(random()) : data_bytes, data_flags, 2);
    descriptor(queue, 2, hostile ? random() : buffer + 0x3000, 1, kWrite, 0);
    if (random() % 4 == 0) {
      for (unsigned i = 0; i < 3; ++i) {
        for (u64 at = 0; at < 16; at += 8) {
          const u64 moved = bench_.memory.read(descriptors(queue) + 16 * i + at, 8);
          bench_.memory.write(buffer + 0x3800 + 16 * i + at, moved, 8);
        }
      }
      descriptor(queue, 3, buffer + 0x3800, hostile ? static_cast<u32>(random()) : 48, kIndirect, 0);
      offer(queue, 3);
    } else {
      offer(queue, hostile ? static_cast<u16>(random()) : 0);
    }
    notify(queue);
  }

 private:
  Bench& bench_;
  devices::PciFunction& function_;
};

}  // namespace orrery::tests
