#include "devices/pci/q35_mch.h"

#include "base/bits.h"

namespace orrery::devices {
namespace {

constexpr u64 kSmramStart = 0xa0000, kSmramEnd = 0xc0000;
constexpr u64 kBiosStart = 0xf0000, kExpansionStart = 0xc0000;
constexpr u64 kBiosBytes = 0x10000, kExpansionBytes = 0x4000;
constexpr u64 kMiB = 1 << 20;
constexpr u64 kEcamBytes[] = {256 * kMiB, 128 * kMiB, 64 * kMiB};  // by PCIEXBAR.Length
constexpr u64 kTsegBytes[] = {1 * kMiB, 2 * kMiB, 8 * kMiB};       // by ESMRAMC.TSEG_SZ
constexpr memory::AccessLimits kAnySize{.min_bytes = 1, .max_bytes = 8};
constexpr int kDecodePriority = 2;  // above RAM and chipset registers

}  // namespace

void Q35Mch::ClosedWindow::write(u64 offset, u64 value, unsigned size) {
  if (ram_ == nullptr) return;
  ram_->note_write(start_ + offset, size);
  store_le_n(ram_->data() + start_ + offset, value, size);
}

Q35Mch::Q35Mch(Config config, PciWiring wiring, memory::Ram& ram, memory::IoHandler& ecam)
    : PciFunction({.name = "mch",
                   .vendor = 0x8086,
                   .device = 0x29c0,
                   .class_code = 0x060000,
                   .revision = 2,
                   .has_interrupt = false},
                  wiring),
      wiring_(wiring),
      ram_(ram) {
  add_register(mch::PCIEXBAR, 8, 0xe0000000, 0xffc000007);
  for (u16 i = 0; i < 7; ++i) add_register(static_cast<u16>(mch::PAM0 + i), 1, 0, i == 0 ? 0x30 : 0x33);
  add_register(mch::SMRAM, 1, 0x02, 0x78);
  add_register(mch::ESMRAMC, 1, 0x38, 0x87);

  memory::AddressSpace& space = wiring_.memory;
  space.begin_update();
  const auto off = [&space](memory::RegionId region) {
    space.set_enabled(region, false);
    return region;
  };
  for (unsigned i = 0; i < kLengths; ++i) {
    ecam_[i] = off(
        space.add_io("pci ecam", 0, kEcamBytes[i], ecam, {.min_bytes = 1, .max_bytes = 4}, kDecodePriority));
  }
  const auto closed = [this](memory::Ram* behind, u64 start) -> ClosedWindow& {
    windows_.push_back(std::make_unique<ClosedWindow>(behind, start));
    return *windows_.back();
  };
  for (unsigned i = 0; i < kSegments; ++i) {
    const u64 start = i == 0 ? kBiosStart : kExpansionStart + (i - 1) * kExpansionBytes;
    const u64 size = i == 0 ? kBiosBytes : kExpansionBytes;
    if (start + size > config.low_ram_bytes) continue;
    segments_.push_back({.start = start,
                         .size_bytes = size,
                         .read_write = off(space.add_ram("pam", start, ram_, start, size, kDecodePriority)),
                         .read_only = off(space.add_rom("pam", start, ram_, start, size, kDecodePriority)),
                         .write_only = off(space.add_io("pam", start, size, closed(&ram_, start), kAnySize,
                                                        kDecodePriority))});
  }
  if (kSmramEnd <= config.low_ram_bytes) {
    smram_ =
        off(space.add_ram("smram", kSmramStart, ram_, kSmramStart, kSmramEnd - kSmramStart, kDecodePriority));
  }
  for (unsigned i = 0; i < kLengths; ++i) {
    if (config.low_ram_bytes < kTsegBytes[i] + kMiB) continue;
    const u64 start = config.low_ram_bytes - kTsegBytes[i];
    tseg_[i] =
        off(space.add_io("tseg", start, kTsegBytes[i], closed(nullptr, start), kAnySize, kDecodePriority));
  }
  space.end_update();
}

Q35Mch::~Q35Mch() {
  memory::AddressSpace& space = wiring_.memory;
  space.begin_update();
  for (const memory::RegionId region : ecam_) space.remove(region);
  for (const Segment& segment : segments_) {
    space.remove(segment.read_write);
    space.remove(segment.read_only);
    space.remove(segment.write_only);
  }
  if (smram_) space.remove(*smram_);
  for (const auto& region : tseg_) {
    if (region) space.remove(*region);
  }
  space.end_update();
}

/// Brings the memory map in line with the registers.
void Q35Mch::map() {
  memory::AddressSpace& space = wiring_.memory;
  const u8* registers = config();
  space.begin_update();
  const auto pciexbar = load_le<u64>(registers + mch::PCIEXBAR);
  const auto length = static_cast<unsigned>(bits(pciexbar, 2, 1));
  for (unsigned i = 0; i < kLengths; ++i) {
    const bool enabled = (pciexbar & mch::PCIEXBAR_ENABLE) && length == i;
    if (enabled) space.move(ecam_[i], bits(pciexbar, 35, 0) & ~(kEcamBytes[i] - 1));
    space.set_enabled(ecam_[i], enabled);
  }
  for (const Segment& segment : segments_) {
    // PAM0's high half is the BIOS segment; then two segments each, low half first.
    const u64 number = (segment.start - kExpansionStart) / kExpansionBytes;
    const unsigned half = segment.start == kBiosStart ? 4 : number % 2 == 0 ? 0 : 4;
    const u64 at = segment.start == kBiosStart ? 0 : 1 + number / 2;
    const auto how = registers[mch::PAM0 + at] >> half & (mch::PAM_READ | mch::PAM_WRITE);
    space.set_enabled(segment.read_write, how == (mch::PAM_READ | mch::PAM_WRITE));
    space.set_enabled(segment.read_only, how == mch::PAM_READ);
    space.set_enabled(segment.write_only, how == mch::PAM_WRITE);
  }
  const u8 smram = registers[mch::SMRAM];
  const u8 esmramc = registers[mch::ESMRAMC];
  const bool smram_enabled = smram & mch::SMRAM_G_SMRAME;
  if (smram_) space.set_enabled(*smram_, smram_enabled && (smram & mch::SMRAM_D_OPEN));
  for (unsigned i = 0; i < kLengths; ++i) {
    const bool chosen = bits(esmramc, 2, 1) == i;
    if (tseg_[i]) space.set_enabled(*tseg_[i], smram_enabled && (esmramc & mch::ESMRAMC_T_EN) && chosen);
  }
  space.end_update();
}

u8 Q35Mch::writable_bits(u16 offset) const {
  if (locked() && (offset == mch::SMRAM || offset == mch::ESMRAMC)) return 0;
  return PciFunction::writable_bits(offset);
}

void Q35Mch::config_written(u16 offset, unsigned size) {
  if (offset + size <= mch::PCIEXBAR || offset > mch::ESMRAMC) return;
  if (locked()) config()[mch::SMRAM] &= static_cast<u8>(~mch::SMRAM_D_OPEN);  // the lock closes it
  map();
}

void Q35Mch::visit_function(StateVisitor& v) {
  if (v.loading()) map();
}

}  // namespace orrery::devices
