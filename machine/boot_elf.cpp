// ELF images of either class. [ELF gABI 4.1]
#include "machine/direct_boot.h"

namespace orrery::machine {
namespace {

constexpr u32 kPtLoad = 1, kPtNote = 4;
constexpr unsigned kMaxProgramHeaders = 64;

}  // namespace

bool is_elf(std::span<const u8> image) {
  return image.size() >= 52 && load_le<u32>(image.data()) == 0x464c457f && (image[4] == 1 || image[4] == 2) &&
         image[5] == 1;
}

Result<ElfImage> parse_elf(std::span<const u8> image, std::string_view name) {
  if (!is_elf(image)) return make_error("kernel '{}': not a little-endian ELF file", name);
  ElfImage elf;
  elf.is64 = image[4] == 2;
  if (elf.is64 && image.size() < 64) return make_error("kernel '{}': the ELF header is truncated", name);
  const u8* h = image.data();
  elf.entry = elf.is64 ? load_le<u64>(h + 24) : load_le<u32>(h + 24);
  const u64 table = elf.is64 ? load_le<u64>(h + 32) : load_le<u32>(h + 28);
  const unsigned entry_bytes = load_le<u16>(h + (elf.is64 ? 54 : 42));
  const unsigned count = load_le<u16>(h + (elf.is64 ? 56 : 44));
  const unsigned expected = elf.is64 ? 56 : 32;
  if (entry_bytes != expected || count > kMaxProgramHeaders || table > image.size() ||
      u64{count} * entry_bytes > image.size() - table) {
    return make_error("kernel '{}': the ELF program headers are damaged", name);
  }
  for (unsigned i = 0; i < count; ++i) {
    const u8* p = h + table + u64{i} * entry_bytes;
    const u32 type = load_le<u32>(p);
    ElfSegment s{};
    if (elf.is64) {
      s = {load_le<u64>(p + 8), load_le<u64>(p + 32), load_le<u64>(p + 24), load_le<u64>(p + 40)};
    } else {
      s = {load_le<u32>(p + 4), load_le<u32>(p + 16), load_le<u32>(p + 12), load_le<u32>(p + 20)};
    }
    if (type != kPtLoad && type != kPtNote) continue;
    if (s.file_offset > image.size() || s.file_bytes > image.size() - s.file_offset) {
      return make_error("kernel '{}': ELF segment {} lies outside the file", name, i);
    }
    if (type == kPtLoad && s.memory_bytes < s.file_bytes) {
      return make_error("kernel '{}': ELF segment {} is smaller in memory than in the file", name, i);
    }
    (type == kPtLoad ? elf.loads : elf.notes).push_back(s);
  }
  return elf;
}

Result<u64> load_elf(const ElfImage& elf, std::span<const u8> image, BootTarget& target,
                     std::string_view name) {
  u64 end = 0;
  for (const ElfSegment& s : elf.loads) {
    if (s.memory_bytes == 0) continue;
    TRY(check_ram(target, s.physical, s.memory_bytes, fmt::format("kernel '{}'", name)));
    target.memory.write_bytes(s.physical, image.subspan(s.file_offset, s.file_bytes));
    const std::vector<u8> zeros(4096);
    for (u64 at = s.file_bytes; at < s.memory_bytes;) {
      const u64 n = std::min<u64>(zeros.size(), s.memory_bytes - at);
      target.memory.write_bytes(s.physical + at, {zeros.data(), n});
      at += n;
    }
    end = std::max(end, s.physical + s.memory_bytes);
  }
  if (end == 0) return make_error("kernel '{}': nothing to load", name);
  return end;
}

}  // namespace orrery::machine
