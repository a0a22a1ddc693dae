#include "machine/direct_boot.h"

#include <algorithm>

#include "cpu/system/mode.h"

namespace orrery::machine {

Result<> check_ram(const BootTarget& target, u64 address, u64 size_bytes, std::string_view what) {
  for (const auto& entry : target.e820) {
    if (entry.type == 1 && address >= entry.start && address - entry.start <= entry.size_bytes &&
        size_bytes <= entry.size_bytes - (address - entry.start)) {
      return {};
    }
  }
  return make_error("{}: {} bytes at {:#x} do not fit into the machine's memory", what, size_bytes, address);
}

Result<u64> highest_ram(const BootTarget& target, u64 size_bytes, u64 limit, u64 floor,
                        std::string_view what) {
  std::optional<u64> best;
  for (const auto& entry : target.e820) {
    if (entry.type != 1) continue;
    const u64 end = std::min(entry.start + entry.size_bytes, limit);
    const u64 start = std::max(entry.start, floor);
    if (end <= start || end - start < size_bytes) continue;
    const u64 at = align_down(end - size_bytes, 4096);
    if (at >= start && (!best || at > *best)) best = at;
  }
  if (!best) return make_error("{}: no room for {} bytes in the machine's memory", what, size_bytes);
  return *best;
}

void load_flat_segments(BootTarget& target, u16 code_selector, BootCode kind) {
  constexpr u64 kCode32 = 0x00cf9b000000ffff, kCode64 = 0x00af9b000000ffff, kData = 0x00cf93000000ffff;
  const u64 gdt[4] = {0, kCode32, kind == BootCode::k64 ? kCode64 : kCode32, kData};
  for (unsigned i = 0; i < 4; ++i) target.memory.write(boot_layout::kGdt + 8 * i, gdt[i], 8);
  cpu::CpuState& s = target.cpu.state;
  s.gdt_base = boot_layout::kGdt;
  s.gdt_limit = sizeof gdt - 1;
  s.idt_base = 0;
  s.idt_limit = 0;
  const auto segment = [](u64 descriptor, u16 selector) {
    return cpu::Segment{
        .base = 0,
        .limit = 0xffffffff,
        .attributes = static_cast<u32>(bits(descriptor, 47, 40) | (bits(descriptor, 55, 52) << 12)),
        .selector = selector};
  };
  for (unsigned i = 0; i < 6; ++i) s.seg[i] = segment(kData, 0x18);
  s.seg[cpu::kCs] = segment(gdt[code_selector / 8], code_selector);
}

void program_mtrrs(cpu::Vcpu& vcpu, u64 hole_start) {
  cpu::CpuState& s = vcpu.state;
  s.mtrr_def_type = 0xc06;
  for (u64& fixed : s.mtrr_fixed) fixed = 0x0606060606060606;
  s.mtrr_fixed[2] = 0;  // 0xa0000: uncached
  // Variable ranges are powers of two, aligned to themselves.
  constexpr u64 kValid = 0x800;
  unsigned i = 0;
  for (u64 start = hole_start; start < u64{1} << 32; ++i) {
    const u64 size = start & (~start + 1);
    s.mtrr_base[i] = start;
    s.mtrr_mask[i] = (low_mask(vcpu.model().physical_address_bits) & ~(size - 1)) | kValid;
    start += size;
  }
}

Result<> direct_boot(const BootFiles& files, BootTarget target) {
  if (is_bzimage(files.kernel)) return boot_linux(files, target);
  if (is_multiboot(files.kernel)) return boot_multiboot(files, target);
  if (is_pvh(files.kernel)) return boot_pvh(files, target);
  return make_error("kernel '{}': neither a Linux bzImage nor a multiboot 1 nor a PVH ELF image",
                    files.kernel_name);
}

}  // namespace orrery::machine
