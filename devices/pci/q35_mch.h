// Q35 memory controller hub: the host bridge at 00:00.0, which decides what lies at an address.
//
// Modelled: PCIEXBAR (the ECAM window's place, length and enable), PAM0 to PAM6 (C0000-FFFFF: DRAM or PCI,
// for reads and writes), SMRAM and ESMRAMC as code outside SMM sees them: D_OPEN shows the DRAM under
// A0000-BFFFF, TSEG is closed, D_LCK locks. Documents: [Q35 5.1]. Not modelled: SMM itself, MCHBAR, DMIBAR,
// EPBAR, the DRAM and remapping registers (RAM lies where the board puts it), graphics; code does not run
// where PAM sends reads to PCI and writes to DRAM.
#pragma once

#include "devices/pci/pci_function.h"
#include "memory/ram.h"

namespace orrery::devices {

namespace mch {
inline constexpr u16 PCIEXBAR = 0x60, PAM0 = 0x90, SMRAM = 0x9d, ESMRAMC = 0x9e;
inline constexpr u64 PCIEXBAR_ENABLE = 1;
inline constexpr u8 PAM_READ = 1, PAM_WRITE = 2;
inline constexpr u8 SMRAM_G_SMRAME = 0x08, SMRAM_D_LCK = 0x10, SMRAM_D_OPEN = 0x40;
inline constexpr u8 ESMRAMC_T_EN = 0x01;
}  // namespace mch

class Q35Mch final : public PciFunction {
 public:
  struct Config {
    u64 low_ram_bytes = 0;  // DRAM below the PCI hole: TSEG lies at its end
  };
  /// `ecam`: 256 MiB of configuration space. The board maps DRAM below A0000 and from 100000 on.
  Q35Mch(Config config, PciWiring wiring, memory::Ram& ram, memory::IoHandler& ecam);
  ~Q35Mch() override;

 private:
  static constexpr unsigned kSegments = 13;  // F0000-FFFFF, then 16 KiB each from C0000
  static constexpr unsigned kLengths = 3;
  /// What a PAM segment is; nothing enabled is PCI.
  struct Segment {
    u64 start;
    u64 size_bytes;
    memory::RegionId read_write;
    memory::RegionId read_only;
    memory::RegionId write_only;
  };
  /// Reads as PCI does where nobody answers, and swallows writes or passes them to DRAM.
  class ClosedWindow final : public memory::IoHandler {
   public:
    ClosedWindow(memory::Ram* ram, u64 start) : ram_(ram), start_(start) {}
    u64 read(u64, unsigned) override { return ~u64{0}; }
    void write(u64 offset, u64 value, unsigned size) override;

   private:
    memory::Ram* ram_;
    u64 start_;
  };

  u8 writable_bits(u16 offset) const override;
  void config_written(u16 offset, unsigned size) override;
  void reset_function() override { map(); }
  void visit_function(StateVisitor& v) override;
  void map();
  bool locked() const { return config()[mch::SMRAM] & mch::SMRAM_D_LCK; }

  PciWiring wiring_;
  memory::Ram& ram_;
  std::vector<std::unique_ptr<ClosedWindow>> windows_;
  std::vector<Segment> segments_;
  memory::RegionId ecam_[kLengths];  // 256, 128 and 64 MiB
  std::optional<memory::RegionId> smram_;
  std::optional<memory::RegionId> tseg_[kLengths];  // 1, 2 and 8 MiB
};

}  // namespace orrery::devices
