// PVH: an ELF file whose Xen note names a 32-bit entry. [Xen public/arch-x86/hvm/start_info.h]
#include "cpu/registers.h"
#include "machine/direct_boot.h"

namespace orrery::machine {
namespace {

constexpr u32 kPhys32Entry = 18;  // XEN_ELFNOTE_PHYS32_ENTRY
constexpr u32 kStartMagic = 0x336ec578;

std::optional<u64> find_entry(const ElfImage& elf, std::span<const u8> image) {
  for (const ElfSegment& note : elf.notes) {
    u64 at = 0;
    while (note.file_bytes - at >= 12) {
      const u8* p = image.data() + note.file_offset + at;
      const u64 name_bytes = load_le<u32>(p);
      const u64 value_bytes = load_le<u32>(p + 4);
      const u64 size = 12 + align_up(name_bytes, 4) + align_up(value_bytes, 4);
      if (size > note.file_bytes - at) break;
      if (load_le<u32>(p + 8) == kPhys32Entry && name_bytes == 4 && load_le<u32>(p + 12) == 0x006e6558 &&
          value_bytes >= 4) {
        return value_bytes >= 8 ? load_le<u64>(p + 16) & 0xffffffff : load_le<u32>(p + 16);
      }
      at += size;
    }
  }
  return std::nullopt;
}

}  // namespace

bool is_pvh(std::span<const u8> image) {
  if (!is_elf(image)) return false;
  const auto elf = parse_elf(image, "");
  return elf.ok() && find_entry(elf.value(), image).has_value();
}

Result<> boot_pvh(const BootFiles& files, BootTarget& target) {
  TRY_ASSIGN(const ElfImage elf, parse_elf(files.kernel, files.kernel_name));
  TRY_ASSIGN(const u64 end, load_elf(elf, files.kernel, target, files.kernel_name));
  if (files.command_line.size() > 4000)
    return make_error("command line: {} characters are more than 4000", files.command_line.size());
  target.memory.write_bytes(
      boot_layout::kCommandLine,
      {reinterpret_cast<const u8*>(files.command_line.c_str()), files.command_line.size() + 1});
  constexpr u64 kInfo = boot_layout::kInfo, kModules = kInfo + 0x80, kMap = kInfo + 0x1000;
  u8 info[56] = {};
  store_le<u32>(info, kStartMagic);
  store_le<u32>(info + 4, 1);
  if (!files.initrd.empty()) {
    TRY_ASSIGN(const u64 at, highest_ram(target, files.initrd.size(), u64{1} << 32, end,
                                         fmt::format("initrd '{}'", files.initrd_name)));
    target.memory.write_bytes(at, files.initrd);
    target.memory.write(kModules, at, 8);
    target.memory.write(kModules + 8, files.initrd.size(), 8);
    target.memory.write(kModules + 16, 0, 8);
    target.memory.write(kModules + 24, 0, 8);
    store_le<u32>(info + 12, 1);
    store_le<u64>(info + 16, kModules);
  }
  store_le<u64>(info + 24, boot_layout::kCommandLine);
  store_le<u64>(info + 32, target.rsdp.value);
  store_le<u64>(info + 40, kMap);
  store_le<u32>(info + 48, static_cast<u32>(target.e820.size()));
  for (size_t i = 0; i < target.e820.size(); ++i) {
    target.memory.write(kMap + 24 * i, target.e820[i].start, 8);
    target.memory.write(kMap + 24 * i + 8, target.e820[i].size_bytes, 8);
    target.memory.write(kMap + 24 * i + 16, target.e820[i].type, 8);
  }
  target.memory.write_bytes(kInfo, info);

  load_flat_segments(target, 0x08);
  cpu::CpuState& s = target.cpu.state;
  s.cr0 = cpu::cr0::PE | cpu::cr0::ET;
  s.rflags = cpu::rflags::kFixed;
  s.gpr[cpu::kRbx] = kInfo;
  s.gpr[cpu::kRip] = *find_entry(elf, files.kernel);
  target.cpu.flush_tlb_all();
  target.cpu.mode_changed();
  return {};
}

}  // namespace orrery::machine
