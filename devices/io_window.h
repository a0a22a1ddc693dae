// IoWindow: an IoHandler made of two functions, for chips that answer at several places.
#pragma once

#include <functional>

#include "memory/address_space.h"

namespace orrery::devices {

class IoWindow final : public memory::IoHandler {
 public:
  using Read = std::function<u64(u64 offset, unsigned size)>;
  using Write = std::function<void(u64 offset, u64 value, unsigned size)>;
  IoWindow(Read read, Write write) : read_(std::move(read)), write_(std::move(write)) {}
  u64 read(u64 offset, unsigned size) override { return read_(offset, size); }
  void write(u64 offset, u64 value, unsigned size) override { write_(offset, value, size); }

 private:
  Read read_;
  Write write_;
};

}  // namespace orrery::devices
