// Direct boot: loads a kernel into guest RAM and sets the first CPU up as a boot loader would.
//
// Formats, told apart by content: Linux bzImage (64-bit or 32-bit boot protocol)
// [Documentation/x86/boot.rst], multiboot 1 [multiboot 0.6.96], PVH ELF [Xen
// public/arch-x86/hvm/start_info.h, Documentation/x86/boot]. Files are untrusted: every offset and size in
// them is checked against the file and against RAM.
#pragma once

#include <string>
#include <vector>

#include "base/host_vector.h"
#include "base/result.h"
#include "cpu/vcpu.h"
#include "machine/board.h"

namespace orrery::machine {

/// What a direct boot needs besides the machine; read once, used again at every reset.
struct BootFiles {
  std::string kernel_name;
  HostVector<u8> kernel;
  std::string initrd_name;
  HostVector<u8> initrd;
  std::string command_line;
};

struct BootTarget {
  memory::AddressSpace& memory;
  cpu::Vcpu& cpu;  // the bootstrap processor, just reset
  std::vector<Board::E820Entry> e820;
  PhysAddr rsdp;
};

/// What firmware does on every CPU: memory is write-back, but for the legacy video range and the hole from
/// `hole_start` (a multiple of 256 MiB) to 4 GiB [SDM3 11.11].
void program_mtrrs(cpu::Vcpu& vcpu, u64 hole_start);

/// Loads and prepares; the CPU's next instruction is the kernel's first.
Result<> direct_boot(const BootFiles& files, BootTarget target);

// One per format; each fails if the image is damaged or does not fit into RAM.
bool is_bzimage(std::span<const u8> image);
Result<> boot_linux(const BootFiles& files, BootTarget& target);
bool is_multiboot(std::span<const u8> image);
Result<> boot_multiboot(const BootFiles& files, BootTarget& target);
bool is_pvh(std::span<const u8> image);
Result<> boot_pvh(const BootFiles& files, BootTarget& target);

// ---- What the formats share ----

/// Where the loader puts its own structures, in low memory: a page each, clear of the real-mode IVT and BDA.
namespace boot_layout {
inline constexpr u64 kGdt = 0x1000, kBootParams = 0x2000, kCommandLine = 0x3000,
                     kPageTables = 0x4000 /* 6 pages */,
                     kInfo = 0xa000 /* multiboot info, PVH start info and their lists; 4 pages */;
}

/// Fails unless all of the range is RAM of the machine and, with `free_only`, above the loader's own
/// structures.
Result<> check_ram(const BootTarget& target, u64 address, u64 size_bytes, std::string_view what);
/// The highest place, aligned to 4 KiB, for `size_bytes` in RAM below `limit`.
Result<u64> highest_ram(const BootTarget& target, u64 size_bytes, u64 limit, u64 floor,
                        std::string_view what);
/// Of which kind the second code segment is.
enum class BootCode : u8 { k32, k64 };
/// Flat GDT: 0x08 32-bit code, 0x10 code of `kind`, 0x18 data; loads GDTR and all segments, code by
/// `code_selector`.
void load_flat_segments(BootTarget& target, u16 code_selector, BootCode kind = BootCode::k64);

/// The loadable segments of an ELF file of either class, checked.
struct ElfSegment {
  u64 file_offset, file_bytes, physical, memory_bytes;
};
struct ElfImage {
  u64 entry = 0;
  bool is64 = false;
  std::vector<ElfSegment> loads;
  std::vector<ElfSegment> notes;
};
bool is_elf(std::span<const u8> image);
Result<ElfImage> parse_elf(std::span<const u8> image, std::string_view name);
/// Copies the segments into RAM and returns the first address behind them.
Result<u64> load_elf(const ElfImage& elf, std::span<const u8> image, BootTarget& target,
                     std::string_view name);

}  // namespace orrery::machine
