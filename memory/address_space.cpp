#include "memory/address_space.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/bits.h"
#include "base/check.h"

namespace orrery::memory {
namespace {

const FlatRange kNowhere{};

/// The size of the next piece of an access that `limits` allows at this offset: a power of two, aligned.
unsigned piece_bytes(u64 offset, u64 left, AccessLimits limits) {
  unsigned piece = static_cast<unsigned>(std::min<u64>(left, limits.max_bytes));
  piece = std::bit_floor(piece);
  while (piece > limits.min_bytes && offset % piece != 0) piece /= 2;
  return piece;
}

// By value: a handler may change the map (a BAR), and with it the flat view.
u64 read_io(const FlatRange range, u64 address, unsigned size) {
  u64 offset = address - range.start + range.handler_offset;
  u64 value = 0;
  for (unsigned done = 0; done < size;) {
    const unsigned piece = piece_bytes(offset, size - done, range.limits);
    u64 part = low_mask(8 * piece);
    if (piece >= range.limits.min_bytes) {
      part = range.handler->read(offset, piece) & low_mask(8 * piece);
    } else {  // narrower than the handler takes: read the whole register and pick
      const u64 base = align_down(offset, range.limits.min_bytes);
      const u64 whole = range.handler->read(base, range.limits.min_bytes);
      part = (whole >> (8 * (offset - base))) & low_mask(8 * piece);
    }
    value |= part << (8 * done);
    done += piece;
    offset += piece;
  }
  return value;
}

void write_io(const FlatRange range, u64 address, u64 value, unsigned size) {
  u64 offset = address - range.start + range.handler_offset;
  for (unsigned done = 0; done < size;) {
    const unsigned piece = piece_bytes(offset, size - done, range.limits);
    // A write narrower than the register vanishes, as on buses without byte enables.
    if (piece >= range.limits.min_bytes) {
      range.handler->write(offset, (value >> (8 * done)) & low_mask(8 * piece), piece);
    }
    done += piece;
    offset += piece;
  }
}

}  // namespace

AddressSpace::AddressSpace(u64 size_bytes) : size_bytes_(size_bytes) { flatten(); }

RegionId AddressSpace::add(Region region) {
  CHECK(region.size_bytes > 0);
  region.id = next_id_++;
  regions_.push_back(std::move(region));
  changed();
  return regions_.back().id;
}

RegionId AddressSpace::add_backed(FlatRange::Kind kind, std::string name, u64 start, Ram& ram, u64 ram_offset,
                                  u64 size_bytes, int priority) {
  CHECK(ram_offset + size_bytes <= ram.size_bytes() && ram_offset % kPageBytes == 0 &&
        start % kPageBytes == 0);
  return add({.id = 0,
              .name = std::move(name),
              .start = start,
              .size_bytes = size_bytes,
              .priority = priority,
              .enabled = true,
              .kind = kind,
              .limits = {},
              .host = ram.data() + ram_offset,
              .ram = &ram,
              .handler = nullptr});
}

RegionId AddressSpace::add_ram(std::string name, u64 start, Ram& ram, u64 ram_offset, u64 size_bytes,
                               int priority) {
  return add_backed(FlatRange::Kind::kRam, std::move(name), start, ram, ram_offset, size_bytes, priority);
}

RegionId AddressSpace::add_rom(std::string name, u64 start, Ram& ram, u64 ram_offset, u64 size_bytes,
                               int priority) {
  return add_backed(FlatRange::Kind::kRom, std::move(name), start, ram, ram_offset, size_bytes, priority);
}

RegionId AddressSpace::add_io(std::string name, u64 start, u64 size_bytes, IoHandler& handler,
                              AccessLimits limits, int priority) {
  CHECK(std::has_single_bit(limits.min_bytes) && std::has_single_bit(limits.max_bytes));
  return add({.id = 0,
              .name = std::move(name),
              .start = start,
              .size_bytes = size_bytes,
              .priority = priority,
              .enabled = true,
              .kind = FlatRange::Kind::kIo,
              .limits = limits,
              .host = nullptr,
              .ram = nullptr,
              .handler = &handler});
}

AddressSpace::Region& AddressSpace::region(RegionId id) {
  const auto it =
      std::find_if(regions_.begin(), regions_.end(), [id](const Region& r) { return r.id == id; });
  CHECK(it != regions_.end());
  return *it;
}

void AddressSpace::remove(RegionId id) {
  std::erase_if(regions_, [id](const Region& r) { return r.id == id; });
  changed();
}

void AddressSpace::set_enabled(RegionId id, bool enabled) {
  Region& r = region(id);
  if (r.enabled == enabled) return;
  r.enabled = enabled;
  changed();
}

void AddressSpace::move(RegionId id, u64 start) {
  Region& r = region(id);
  if (r.start == start) return;
  r.start = start;
  changed();
}

void AddressSpace::end_update() {
  CHECK(updating_ > 0);
  if (--updating_ == 0) changed();
}

void AddressSpace::changed() {
  if (updating_ > 0) return;
  flatten();
  for (MapListener* listener : listeners_) listener->map_changed();
}

void AddressSpace::flatten() {
  // Every region's edge starts a new range; the winner of each elementary range is found, equal neighbours
  // join.
  const u64 top = size_bytes_ == 0 ? ~u64{0} : size_bytes_;
  std::vector<u64> edges{0, top};
  for (const Region& r : regions_) {
    if (!r.enabled || r.start >= top) continue;
    edges.push_back(r.start);
    edges.push_back(r.size_bytes > top - r.start ? top : r.start + r.size_bytes);
  }
  std::sort(edges.begin(), edges.end());
  edges.erase(std::unique(edges.begin(), edges.end()), edges.end());
  flat_.clear();
  last_found_ = 0;
  for (size_t i = 0; i + 1 < edges.size(); ++i) {
    const u64 start = edges[i];
    const Region* winner = nullptr;
    for (const Region& r : regions_) {
      if (!r.enabled || start < r.start || start - r.start >= r.size_bytes) continue;
      if (winner == nullptr || r.priority >= winner->priority) winner = &r;
    }
    FlatRange range{.start = start, .end = edges[i + 1]};
    if (winner != nullptr) {
      range.kind = winner->kind;
      range.limits = winner->limits;
      range.ram = winner->ram;
      range.handler = winner->handler;
      if (winner->host != nullptr) range.host = winner->host + (start - winner->start);
      range.handler_offset = start - winner->start;
    }
    flat_.push_back(range);
  }
}

const FlatRange& AddressSpace::find(u64 address) const {
  const FlatRange& last = flat_[last_found_];
  if (address - last.start < last.end - last.start) return last;
  const auto it = std::upper_bound(flat_.begin(), flat_.end(), address,
                                   [](u64 a, const FlatRange& r) { return a < r.start; });
  const auto index = static_cast<size_t>(it - flat_.begin()) - 1;
  if (address >= flat_[index].end) return kNowhere;
  last_found_ = index;
  return flat_[index];
}

std::string_view AddressSpace::name_at(u64 address) const {
  const Region* winner = nullptr;
  for (const Region& r : regions_) {
    if (!r.enabled || address < r.start || address - r.start >= r.size_bytes) continue;
    if (winner == nullptr || r.priority >= winner->priority) winner = &r;
  }
  return winner == nullptr ? std::string_view("nothing") : std::string_view(winner->name);
}

u64 AddressSpace::read(u64 address, unsigned size) const {
  const FlatRange& range = find(address);
  if (range.end - address < size) {  // crosses into the next range, or lies outside
    u64 value = 0;
    if (range.end == 0) return low_mask(8 * size);
    const auto first = static_cast<unsigned>(range.end - address);
    value = read(address, first);
    return value | (read(address + first, size - first) << (8 * first));
  }
  switch (range.kind) {
    case FlatRange::Kind::kRam:
    case FlatRange::Kind::kRom:
      return load_le_n(range.host + (address - range.start), size);
    case FlatRange::Kind::kIo:
      return read_io(range, address, size);
    case FlatRange::Kind::kNone:
      break;
  }
  return low_mask(8 * size);
}

void AddressSpace::write(u64 address, u64 value, unsigned size) {
  const FlatRange& range = find(address);
  if (range.end - address < size) {
    if (range.end == 0) return;
    const auto first = static_cast<unsigned>(range.end - address);
    write(address, value & low_mask(8 * first), first);
    write(address + first, value >> (8 * first), size - first);
    return;
  }
  switch (range.kind) {
    case FlatRange::Kind::kRam: {
      u8* host = range.host + (address - range.start);
      range.ram->note_write(static_cast<u64>(host - range.ram->data()), size);
      store_le_n(host, value, size);
      return;
    }
    case FlatRange::Kind::kIo:
      return write_io(range, address, value, size);
    case FlatRange::Kind::kRom:
    case FlatRange::Kind::kNone:
      return;
  }
}

void AddressSpace::read_bytes(u64 address, std::span<u8> out) const {
  while (!out.empty()) {
    const FlatRange range = find(address);
    u64 in_range = range.end == 0 ? out.size() : std::min<u64>(out.size(), range.end - address);
    if (range.host != nullptr) {
      std::memcpy(out.data(), range.host + (address - range.start), in_range);
    } else if (range.kind == FlatRange::Kind::kIo) {
      // One piece at a time: each may change the map.
      in_range = piece_bytes(address, in_range, range.limits);
      store_le_n(out.data(), read_io(range, address, static_cast<unsigned>(in_range)),
                 static_cast<unsigned>(in_range));
    } else {
      std::memset(out.data(), 0xff, in_range);
    }
    out = out.subspan(in_range);
    address += in_range;
  }
}

void AddressSpace::write_bytes(u64 address, std::span<const u8> data) {
  while (!data.empty()) {
    const FlatRange range = find(address);
    u64 in_range = range.end == 0 ? data.size() : std::min<u64>(data.size(), range.end - address);
    if (range.kind == FlatRange::Kind::kRam) {
      u8* host = range.host + (address - range.start);
      range.ram->note_write(static_cast<u64>(host - range.ram->data()), in_range);
      std::memcpy(host, data.data(), in_range);
    } else if (range.kind == FlatRange::Kind::kIo) {
      in_range = piece_bytes(address, in_range, range.limits);
      const auto piece = static_cast<unsigned>(in_range);
      write_io(range, address, load_le_n(data.data(), piece), piece);
    }
    data = data.subspan(in_range);
    address += in_range;
  }
}

}  // namespace orrery::memory
