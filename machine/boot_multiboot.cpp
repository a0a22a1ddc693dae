// Multiboot 1. [multiboot 0.6.96]
//
// Not modelled: video modes, drives, the APM and VBE tables (their flags are clear).
#include "cpu/registers.h"
#include "machine/direct_boot.h"

namespace orrery::machine {
namespace {

constexpr u32 kMagic = 0x1badb002, kLoaderMagic = 0x2badb002;
constexpr u32 kAddressesValid = 1u << 16;
constexpr u32 kKnownRequirements = 7;  // page alignment, memory information, video mode
constexpr size_t kSearchBytes = 8192;

std::optional<size_t> find_header(std::span<const u8> image) {
  for (size_t at = 0; at + 12 <= std::min(image.size(), kSearchBytes); at += 4) {
    const u32 magic = load_le<u32>(&image[at]);
    if (magic != kMagic) continue;
    const u32 flags = load_le<u32>(&image[at + 4]);
    if (magic + flags + load_le<u32>(&image[at + 8]) == 0) return at;
  }
  return std::nullopt;
}

}  // namespace

bool is_multiboot(std::span<const u8> image) { return find_header(image).has_value(); }

Result<> boot_multiboot(const BootFiles& files, BootTarget& target) {
  const std::string what = fmt::format("kernel '{}'", files.kernel_name);
  const std::span<const u8> image = files.kernel;
  const size_t header = *find_header(image);
  const u32 flags = load_le<u32>(&image[header + 4]);
  if ((flags & 0xffff & ~kKnownRequirements) != 0) {
    return make_error("{}: asks for multiboot features {:#x}, which this loader does not have", what,
                      flags & 0xffff);
  }
  u64 entry = 0;
  u64 end = 0;
  if ((flags & kAddressesValid) != 0) {
    if (image.size() < header + 32) return make_error("{}: the multiboot header is truncated", what);
    const u64 header_address = load_le<u32>(&image[header + 12]);
    const u64 load = load_le<u32>(&image[header + 16]);
    const u64 load_end = load_le<u32>(&image[header + 20]);
    const u64 bss_end = load_le<u32>(&image[header + 24]);
    entry = load_le<u32>(&image[header + 28]);
    if (load > header_address || header_address - load > header) {
      return make_error("{}: the multiboot load address lies outside the file", what);
    }
    const u64 offset = header - (header_address - load);
    const u64 size_bytes = load_end == 0 ? image.size() - offset : load_end - load;
    if (load_end != 0 && (load_end < load || size_bytes > image.size() - offset)) {
      return make_error("{}: the multiboot load range lies outside the file", what);
    }
    end = std::max(load + size_bytes, bss_end);
    TRY(check_ram(target, load, end - load, what));
    target.memory.write_bytes(load, image.subspan(offset, size_bytes));
  } else {
    TRY_ASSIGN(const ElfImage elf, parse_elf(image, files.kernel_name));
    TRY_ASSIGN(end, load_elf(elf, image, target, files.kernel_name));
    entry = elf.entry;
  }

  // The information structure, then the command line, the module list and the memory map.
  constexpr u64 kInfo = boot_layout::kInfo, kModules = kInfo + 0x80, kName = kInfo + 0x100,
                kMap = kInfo + 0x1000;
  std::vector<u8> info(116);
  u32 info_flags = 1 | (1u << 2) | (1u << 6) | (1u << 9);
  u64 upper = 0;
  for (const auto& e : target.e820) {
    if (e.type == 1 && e.start <= 0x100000 && e.start + e.size_bytes > 0x100000)
      upper = e.start + e.size_bytes - 0x100000;
  }
  store_le<u32>(&info[4], 639);
  store_le<u32>(&info[8], static_cast<u32>(std::min<u64>(upper / 1024, 0xffffffff)));
  const std::string line = files.kernel_name + (files.command_line.empty() ? "" : " " + files.command_line);
  if (line.size() > 4000) return make_error("command line: {} characters are more than 4000", line.size());
  store_le<u32>(&info[16], static_cast<u32>(boot_layout::kCommandLine));
  target.memory.write_bytes(boot_layout::kCommandLine,
                            {reinterpret_cast<const u8*>(line.c_str()), line.size() + 1});
  if (!files.initrd.empty()) {
    TRY_ASSIGN(const u64 at, highest_ram(target, files.initrd.size(), u64{1} << 32, end,
                                         fmt::format("initrd '{}'", files.initrd_name)));
    target.memory.write_bytes(at, files.initrd);
    target.memory.write(kModules, at, 4);
    target.memory.write(kModules + 4, at + files.initrd.size(), 4);
    target.memory.write(kModules + 8, kName, 4);
    target.memory.write(kModules + 12, 0, 4);
    const std::string name = files.initrd_name.substr(0, 3000);
    target.memory.write_bytes(kName, {reinterpret_cast<const u8*>(name.c_str()), name.size() + 1});
    info_flags |= 1u << 3;
    store_le<u32>(&info[20], 1);
    store_le<u32>(&info[24], static_cast<u32>(kModules));
  }
  u64 map_at = kMap;
  for (const auto& e : target.e820) {
    target.memory.write(map_at, 20, 4);
    target.memory.write(map_at + 4, e.start, 8);
    target.memory.write(map_at + 12, e.size_bytes, 8);
    target.memory.write(map_at + 20, e.type, 4);
    map_at += 24;
  }
  store_le<u32>(&info[44], static_cast<u32>(map_at - kMap));
  store_le<u32>(&info[48], static_cast<u32>(kMap));
  constexpr u64 kLoaderName = kInfo + 0x78;
  target.memory.write_bytes(kLoaderName, {reinterpret_cast<const u8*>("orrery"), 7});
  store_le<u32>(&info[64], static_cast<u32>(kLoaderName));
  store_le<u32>(info.data(), info_flags);
  target.memory.write_bytes(kInfo, {info.data(), 0x70});

  load_flat_segments(target, 0x08);
  cpu::CpuState& s = target.cpu.state;
  s.cr0 = cpu::cr0::PE | cpu::cr0::ET;
  s.rflags = cpu::rflags::kFixed;
  s.gpr[cpu::kRax] = kLoaderMagic;
  s.gpr[cpu::kRbx] = kInfo;
  s.gpr[cpu::kRip] = entry & 0xffffffff;
  target.cpu.flush_tlb_all();
  target.cpu.mode_changed();
  return {};
}

}  // namespace orrery::machine
