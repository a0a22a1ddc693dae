// Linux bzImage by the 64-bit boot protocol, or by the 32-bit one if the kernel has no 64-bit entry.
// [Documentation/x86/boot.rst "64-bit Boot Protocol", "32-bit Boot Protocol", zero-page.rst]
#include "cpu/registers.h"
#include "machine/direct_boot.h"
#include "machine/initrd_format.h"

namespace orrery::machine {
namespace {

// Offsets in the setup header, which are those in the zero page too.
constexpr u64 kSetupSects = 0x1f1, kBootFlag = 0x1fe, kHeaderMagic = 0x202, kVersion = 0x206,
              kTypeOfLoader = 0x210, kLoadFlags = 0x211, kRamdiskImage = 0x218, kRamdiskSize = 0x21c,
              kHeapEnd = 0x224, kCmdLinePtr = 0x228, kInitrdMax = 0x22c, kAlignment = 0x230,
              kRelocatable = 0x234, kXloadFlags = 0x236, kCmdlineSize = 0x238, kPrefAddress = 0x258,
              kInitSize = 0x260;
constexpr u64 kE820Count = 0x1e8, kE820Table = 0x2d0, kAcpiRsdp = 0x70;
constexpr unsigned kMaxE820 = 128;
constexpr u16 kXlfKernel64 = 1;
constexpr u64 kEntry64 = 0x200;

/// Identity maps the first 4 GiB with 2 MiB pages.
void write_page_tables(BootTarget& target) {
  const u64 base = boot_layout::kPageTables;
  constexpr u64 kTable = 3;
  constexpr u64 kLarge = 0x83;
  for (u64 page = 0; page < 6; ++page) {
    for (u64 i = 0; i < 512; ++i) target.memory.write(base + page * 4096 + i * 8, 0, 8);
  }
  target.memory.write(base, (base + 0x1000) | kTable, 8);
  for (u64 i = 0; i < 4; ++i) {
    target.memory.write(base + 0x1000 + 8 * i, (base + 0x2000 + i * 0x1000) | kTable, 8);
    for (u64 j = 0; j < 512; ++j) {
      target.memory.write(base + 0x2000 + i * 0x1000 + 8 * j, ((i * 512 + j) << 21) | kLarge, 8);
    }
  }
}

/// __BOOT_CS is 0x10 and __BOOT_DS is 0x18, both flat.
void enter64(BootTarget& target) {
  load_flat_segments(target, 0x10, BootCode::k64);
  write_page_tables(target);
  cpu::CpuState& s = target.cpu.state;
  s.cr3 = boot_layout::kPageTables;
  s.cr4 = cpu::cr4::PAE;
  s.efer = cpu::efer::LME | cpu::efer::LMA;
  s.cr0 = cpu::cr0::PE | cpu::cr0::PG | cpu::cr0::ET | cpu::cr0::NE;
}

/// Protected mode without paging; EBX, EBP and EDI are zero.
void enter32(BootTarget& target) {
  load_flat_segments(target, 0x10, BootCode::k32);
  cpu::CpuState& s = target.cpu.state;
  s.cr0 = cpu::cr0::PE | cpu::cr0::ET;
  s.gpr[cpu::kRbx] = s.gpr[cpu::kRbp] = s.gpr[cpu::kRdi] = 0;
}

}  // namespace

bool is_bzimage(std::span<const u8> image) {
  return image.size() >= 0x268 && load_le<u16>(image.data() + kBootFlag) == 0xaa55 &&
         load_le<u32>(image.data() + kHeaderMagic) == 0x53726448;  // "HdrS"
}

Result<> boot_linux(const BootFiles& files, BootTarget& target) {
  const std::string what = fmt::format("kernel '{}'", files.kernel_name);
  const u8* image = files.kernel.data();
  const u16 version = load_le<u16>(image + kVersion);
  if (version < 0x20a) {
    return make_error("{}: boot protocol {}.{}; 2.10 or later, which Linux has from 2.6.31 on, is needed",
                      what, version >> 8, version & 0xff);
  }
  const bool has_entry64 = version >= 0x20c && (load_le<u16>(image + kXloadFlags) & kXlfKernel64) != 0;
  const u64 setup_sects = image[kSetupSects] == 0 ? 4 : image[kSetupSects];
  const u64 setup_bytes = (setup_sects + 1) * 512;
  // The header says how many 16-byte paragraphs of protected-mode code follow.
  const u64 system_bytes = u64{load_le<u32>(image + 0x1f4)} * 16;
  if (setup_bytes >= files.kernel.size() || system_bytes > files.kernel.size() - setup_bytes + 16) {
    return make_error("{}: truncated: {} bytes of {}", what, files.kernel.size(), setup_bytes + system_bytes);
  }
  const u64 payload_bytes = files.kernel.size() - setup_bytes;
  const u64 load = load_le<u64>(image + kPrefAddress);
  const u64 init_bytes = std::max<u64>(load_le<u32>(image + kInitSize), payload_bytes);
  if (load < 0x100000) return make_error("{}: the preferred address {:#x} lies below 1 MiB", what, load);
  TRY(check_ram(target, load, init_bytes, what));
  const u64 cmdline_limit = std::min<u64>(load_le<u32>(image + kCmdlineSize), 4095);
  if (files.command_line.size() > cmdline_limit) {
    return make_error("command line: {} characters are more than the {} that '{}' takes",
                      files.command_line.size(), cmdline_limit, files.kernel_name);
  }
  u64 initrd_at = 0;
  if (!files.initrd.empty()) {
    TRY(check_initrd(files.initrd, files.initrd_name));
    const u64 limit = u64{load_le<u32>(image + kInitrdMax)} + 1;
    TRY_ASSIGN(initrd_at, highest_ram(target, files.initrd.size(), limit, load + init_bytes,
                                      fmt::format("initrd '{}'", files.initrd_name)));
  }

  target.memory.write_bytes(load, {image + setup_bytes, payload_bytes});
  if (!files.initrd.empty()) target.memory.write_bytes(initrd_at, files.initrd);
  std::vector<u8> params(4096);
  const u64 header_end = std::min<u64>(0x202 + image[0x201], 0x290);
  std::copy(image + kSetupSects, image + header_end, params.begin() + kSetupSects);
  params[kTypeOfLoader] = 0xff;
  params[kLoadFlags] |= 0x80 | 1;  // heap usable, loaded high
  store_le<u16>(&params[kHeapEnd], 0xfe00);
  store_le<u32>(&params[kRamdiskImage], static_cast<u32>(initrd_at));
  store_le<u32>(&params[kRamdiskSize], static_cast<u32>(files.initrd.size()));
  store_le<u32>(&params[kCmdLinePtr], static_cast<u32>(boot_layout::kCommandLine));
  store_le<u64>(&params[kAcpiRsdp], target.rsdp.value);
  params[kE820Count] = static_cast<u8>(std::min<size_t>(target.e820.size(), kMaxE820));
  for (size_t i = 0; i < params[kE820Count]; ++i) {
    u8* entry = &params[kE820Table + 20 * i];
    store_le<u64>(entry, target.e820[i].start);
    store_le<u64>(entry + 8, target.e820[i].size_bytes);
    store_le<u32>(entry + 16, target.e820[i].type);
  }
  target.memory.write_bytes(boot_layout::kBootParams, params);
  std::vector<u8> line(files.command_line.begin(), files.command_line.end());
  line.push_back(0);
  target.memory.write_bytes(boot_layout::kCommandLine, line);

  cpu::CpuState& s = target.cpu.state;
  if (has_entry64) {
    enter64(target);
  } else {
    enter32(target);
  }
  s.gpr[cpu::kRip] = has_entry64 ? load + kEntry64 : load;
  s.gpr[cpu::kRsi] = boot_layout::kBootParams;
  s.rflags = cpu::rflags::kFixed;
  target.cpu.flush_tlb_all();
  target.cpu.mode_changed();
  return {};
}

}  // namespace orrery::machine
