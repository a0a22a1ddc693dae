// AddressSpace: prioritised regions flattened to disjoint ranges. Serves physical memory and, with a size of
// 64 KiB, the port space.
//
// Regions are RAM, ROM (RAM-backed, writes vanish) or I/O. Where regions overlap the higher priority wins,
// and of equal ones the later. What no region covers reads as all-ones and swallows writes. Changes of the
// map happen on the machine's thread between or inside instructions; a MapListener is told, so that TLBs drop
// what they derived.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/types.h"
#include "memory/ram.h"

namespace orrery::memory {

/// A device's registers. `offset` counts from the region's start; `size` is 1, 2, 4 or 8 bytes, within the
/// region's AccessLimits and naturally aligned unless those say otherwise.
class IoHandler {
 public:
  virtual ~IoHandler() = default;
  virtual u64 read(u64 offset, unsigned size) = 0;
  virtual void write(u64 offset, u64 value, unsigned size) = 0;
};

/// The accesses that a handler takes. Wider ones are split, low address first. A narrower read picks its
/// bytes out of a `min_bytes` one; a narrower write vanishes.
struct AccessLimits {
  u8 min_bytes = 1;
  u8 max_bytes = 4;
};

class MapListener {
 public:
  virtual ~MapListener() = default;
  /// Any range may have changed.
  virtual void map_changed() = 0;
};

using RegionId = u32;

/// One disjoint piece of the flat view.
struct FlatRange {
  enum class Kind : u8 { kNone, kRam, kRom, kIo };
  u64 start = 0;
  u64 end = 0;  // exclusive
  Kind kind = Kind::kNone;
  AccessLimits limits{};
  u8* host = nullptr;            // kRam, kRom: host address of `start`
  Ram* ram = nullptr;            // kRam, kRom: the store `host` points into
  IoHandler* handler = nullptr;  // kIo
  u64 handler_offset = 0;        // kIo: the handler's offset at `start`
};

class AddressSpace {
 public:
  /// `size_bytes`: addresses at and above it belong to nobody; 0 means 2^64.
  explicit AddressSpace(u64 size_bytes);
  AddressSpace(const AddressSpace&) = delete;
  AddressSpace& operator=(const AddressSpace&) = delete;

  RegionId add_ram(std::string name, u64 start, Ram& ram, u64 ram_offset, u64 size_bytes, int priority = 0);
  RegionId add_rom(std::string name, u64 start, Ram& ram, u64 ram_offset, u64 size_bytes, int priority = 0);
  RegionId add_io(std::string name, u64 start, u64 size_bytes, IoHandler& handler, AccessLimits limits = {},
                  int priority = 1);
  void remove(RegionId id);
  void set_enabled(RegionId id, bool enabled);
  void move(RegionId id, u64 start);
  /// Changes between `begin_update` and `end_update` are flattened once.
  void begin_update() { ++updating_; }
  void end_update();

  void add_listener(MapListener& listener) { listeners_.push_back(&listener); }
  void remove_listener(MapListener& listener) { std::erase(listeners_, &listener); }

  /// The range that holds `address`, or one of kind kNone.
  const FlatRange& find(u64 address) const;
  const std::vector<FlatRange>& flat_view() const { return flat_; }
  /// The name of the region at `address`, for messages.
  std::string_view name_at(u64 address) const;

  /// One access as a CPU or device makes it: `size` 1..8 bytes, which may cross ranges. RAM writes are noted.
  u64 read(u64 address, unsigned size) const;
  void write(u64 address, u64 value, unsigned size);
  /// Bytes of any length; I/O ranges are accessed in pieces that their limits allow.
  void read_bytes(u64 address, std::span<u8> out) const;
  void write_bytes(u64 address, std::span<const u8> data);

 private:
  struct Region {
    RegionId id;
    std::string name;
    u64 start;
    u64 size_bytes;
    int priority;
    bool enabled;
    FlatRange::Kind kind;
    AccessLimits limits;
    u8* host;
    Ram* ram;
    IoHandler* handler;
  };
  RegionId add(Region region);
  RegionId add_backed(FlatRange::Kind kind, std::string name, u64 start, Ram& ram, u64 ram_offset,
                      u64 size_bytes, int priority);
  Region& region(RegionId id);
  void changed();
  void flatten();

  u64 size_bytes_;
  std::vector<Region> regions_;
  std::vector<FlatRange> flat_;
  mutable size_t last_found_ = 0;
  std::vector<MapListener*> listeners_;
  RegionId next_id_ = 1;
  int updating_ = 0;
};

}  // namespace orrery::memory
