#include "machine/symbols.h"

#include <cstring>

#include "machine/direct_boot.h"

namespace orrery::machine {
namespace {

constexpr u32 kSymbolTableSection = 2;
constexpr size_t kMaxSections = 4096, kMaxSymbols = 1u << 20, kMaxNameBytes = 200;
constexpr u64 kReach = 1u << 20;

struct Section {
  u32 type;
  u32 link;
  u64 offset;
  u64 size_bytes;
};

/// The part of `image` that a section covers; empty if it lies outside.
std::span<const u8> bytes_of(std::span<const u8> image, const Section& s) {
  if (s.offset > image.size() || s.size_bytes > image.size() - s.offset) return {};
  return image.subspan(s.offset, s.size_bytes);
}

}  // namespace

SymbolTable SymbolTable::from_elf(std::span<const u8> image) {
  SymbolTable table;
  if (!is_elf(image)) return table;
  const bool wide = image[4] == 2;
  if (image.size() < (wide ? 64u : 52u)) return table;
  const u8* header = image.data();
  const u64 start = wide ? load_le<u64>(header + 40) : load_le<u32>(header + 32);
  const u64 entry_bytes = wide ? 64 : 40;
  const u64 count = load_le<u16>(header + (wide ? 60 : 48));
  if (load_le<u16>(header + (wide ? 58 : 46)) != entry_bytes || count > kMaxSections ||
      start > image.size() || count * entry_bytes > image.size() - start) {
    return table;
  }
  const auto section = [&](u64 n) {
    const u8* s = header + start + n * entry_bytes;
    if (wide) {
      return Section{load_le<u32>(s + 4), load_le<u32>(s + 40), load_le<u64>(s + 24), load_le<u64>(s + 32)};
    }
    return Section{load_le<u32>(s + 4), load_le<u32>(s + 24), load_le<u32>(s + 16), load_le<u32>(s + 20)};
  };
  for (u64 n = 0; n < count; ++n) {
    const Section symbols = section(n);
    if (symbols.type != kSymbolTableSection || symbols.link >= count) continue;
    const std::span<const u8> data = bytes_of(image, symbols);
    const std::span<const u8> strings = bytes_of(image, section(symbols.link));
    const size_t symbol_bytes = wide ? 24 : 16;
    for (size_t i = 0; i < std::min(data.size() / symbol_bytes, kMaxSymbols); ++i) {
      const u8* s = data.data() + i * symbol_bytes;
      const u32 name = load_le<u32>(s);
      const u64 value = wide ? load_le<u64>(s + 8) : load_le<u32>(s + 4);
      const unsigned type = s[wide ? 4 : 12] & 15;
      const u16 home = load_le<u16>(s + (wide ? 6 : 14));
      if (type > 2 || home == 0 || home >= 0xff00 || name == 0 || name >= strings.size()) continue;
      const char* text = reinterpret_cast<const char*>(strings.data()) + name;
      const size_t length = strnlen(text, std::min<size_t>(strings.size() - name, kMaxNameBytes));
      if (length != 0) table.names_.emplace(value, std::string(text, length));
    }
  }
  return table;
}

std::string SymbolTable::describe(u64 address) const {
  auto it = names_.upper_bound(address);
  if (it == names_.begin()) return {};
  --it;
  if (address - it->first > kReach) return {};
  return address == it->first ? it->second : fmt::format("{}+{:#x}", it->second, address - it->first);
}

}  // namespace orrery::machine
