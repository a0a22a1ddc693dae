// ICH9 LPC bridge at 00:1f.0: where the ACPI registers lie, how PIRQA to PIRQH reach the interrupt
// controllers, and the chipset configuration registers behind RCBA.
//
// Modelled: PMBASE and ACPI_CNTL (with the SCI's choice of input), PIRQn_ROUT, GEN_PMCON_1's SMI_LOCK, RCBA,
// and behind it HPTC (the HPET's place and enable); other registers of the header and of that block are
// stored. Documents: [ICH9 13.1, 10.1]. Not modelled: GPIO, the LPC decode ranges (COM1 and its like always
// answer), SERIRQ modes, the firmware hub's locks, RTC configuration, the interrupt pins and routes of D25IP
// to D31IR (no such device has an interrupt here). After power-on HPTC enables the HPET, as SeaBIOS and OVMF
// expect.
#pragma once

#include "base/irq_line.h"
#include "devices/io_window.h"
#include "devices/pci/pci_function.h"
#include "devices/timer/acpi_pm.h"

namespace orrery::devices {

namespace lpc {
inline constexpr u16 PMBASE = 0x40, ACPI_CNTL = 0x44, GPIOBASE = 0x48, PIRQA_ROUT = 0x60, SERIRQ_CNTL = 0x64,
                     PIRQE_ROUT = 0x68, LPC_I_O_DEC = 0x80, LPC_EN = 0x82, GEN1_DEC = 0x84,
                     GEN_PMCON_1 = 0xa0, GEN_PMCON_2 = 0xa2, GEN_PMCON_3 = 0xa4, BIOS_CNTL = 0xdc,
                     RCBA = 0xf0;
inline constexpr u8 ACPI_EN = 0x80, SCI_IRQ_SEL = 0x07, PIRQ_IRQEN = 0x80, SMI_LOCK = 0x10;
inline constexpr u32 RCBA_EN = 1;
inline constexpr u64 HPTC = 0x3404;  // behind RCBA
inline constexpr u32 HPTC_ENABLE = 0x80;
}  // namespace lpc

class Ich9Lpc final : public PciFunction, public IrqSink {
 public:
  static constexpr unsigned kPirqs = 8;
  static constexpr u64 kChipsetBytes = 0x4000;
  struct Wiring {
    IrqSink& pic;     // the 8259 pair's inputs
    IrqSink& ioapic;  // its pins; PIRQA is 16
    AcpiPm& pm;
    memory::IoHandler& hpet;
  };
  Ich9Lpc(PciWiring pci, Wiring wiring);
  ~Ich9Lpc() override;

  /// PIRQA to PIRQH, as inputs 0 to 7.
  void set_irq(unsigned pirq, bool level) override;
  /// The SCI; it goes where ACPI_CNTL says.
  IrqLine sci_input() { return IrqLine(sci_, 0); }
  /// The registers behind RCBA: kChipsetBytes, sizes 1 to 4.
  memory::IoHandler& chipset() { return chipset_window_; }

 private:
  static constexpr unsigned kChipsetRegisters = 17;
  struct State {
    u8 pirqs = 0;  // levels
    bool sci = false;
    u32 chipset[kChipsetRegisters] = {};
  };
  class SciInput final : public IrqSink {
   public:
    explicit SciInput(Ich9Lpc& lpc) : lpc_(lpc) {}
    void set_irq(unsigned, bool level) override;

   private:
    Ich9Lpc& lpc_;
  };

  u8 writable_bits(u16 offset) const override;
  void reset_function() override;
  void config_written(u16 offset, unsigned size) override;
  void visit_function(StateVisitor& v) override;
  void map();
  u32 pic_inputs() const;
  u32 ioapic_pins() const;
  void drive();
  u64 read_chipset(u64 offset, unsigned size) const;
  void write_chipset(u64 offset, u64 value, unsigned size);

  PciWiring pci_;
  Wiring wiring_;
  SciInput sci_{*this};
  IrqLine pic_[16];
  IrqLine ioapic_[24];
  IoWindow chipset_window_;
  memory::RegionId pm_region_;
  memory::RegionId hpet_region_;
  memory::RegionId chipset_region_;
  State state_;
};

}  // namespace orrery::devices
