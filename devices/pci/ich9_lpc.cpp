#include "devices/pci/ich9_lpc.h"

#include "base/bits.h"
#include "devices/timer/hpet.h"

namespace orrery::devices {
namespace {

/// Chipset configuration registers: offset behind RCBA, power-on value, bits that software may change.
struct ChipsetRegister {
  u16 offset;
  u32 initial;
  u32 writable;
};
constexpr ChipsetRegister kChipset[] = {
    {0x3100, 0x03243200, 0xffffffff},  // D31IP
    {0x3104, 0x00000000, 0xffffffff},  // D30IP
    {0x3108, 0x10004321, 0xffffffff},  // D29IP
    {0x310c, 0x00214321, 0xffffffff},  // D28IP
    {0x3110, 0x00000001, 0xffffffff},  // D27IP
    {0x3114, 0x30000321, 0xffffffff},  // D26IP
    {0x3118, 0x00000001, 0xffffffff},  // D25IP
    {0x3140, 0x32103210, 0x7777ffff},  // D31IR; D30IR is reserved
    {0x3144, 0x32103210, 0x77777777},  // D29IR, D28IR
    {0x3148, 0x32103210, 0x77777777},  // D28IR, D27IR
    {0x314c, 0x32103210, 0x77777777},  // D26IR
    {0x3150, 0x32103210, 0x77777777},  // D25IR
    {0x31fc, 0x00000000, 0x03ff0000},  // OIC in the upper half
    {0x3400, 0x00000000, 0x0000001c},  // RC
    {0x3404, lpc::HPTC_ENABLE, 0x83},  // HPTC
    {0x3410, 0x00000020, 0x00000fff},  // GCS
    {0x3418, 0x00000001, 0x1fff7fff},  // FD
};
constexpr unsigned kHptcIndex = 14;
static_assert(kChipset[kHptcIndex].offset == lpc::HPTC);

constexpr u64 kHpetPlaces = 0xfed00000;  // HPTC's address select adds 4 KiB steps
constexpr unsigned kFirstPirqPin = 16;
constexpr int kDecodePriority = 2;

/// The input that SCI_IRQ_SEL chooses: below 16 of both controllers, else of the I/O APIC [ICH9 13.1.14].
unsigned sci_irq(u8 select) {
  constexpr unsigned kInputs[] = {9, 10, 11, 9, 20, 21, 22, 23};
  return kInputs[select & lpc::SCI_IRQ_SEL];
}

}  // namespace

void Ich9Lpc::SciInput::set_irq(unsigned, bool level) {
  lpc_.state_.sci = level;
  lpc_.drive();
}

Ich9Lpc::Ich9Lpc(PciWiring pci, Wiring wiring)
    : PciFunction({.name = "lpc",
                   .vendor = 0x8086,
                   .device = 0x2918,
                   .class_code = 0x060100,
                   .revision = 2,
                   .has_interrupt = false,
                   .multifunction = true},
                  pci),
      pci_(pci),
      wiring_(wiring),
      chipset_window_([this](u64 offset, unsigned size) { return read_chipset(offset, size); },
                      [this](u64 offset, u64 value, unsigned size) { write_chipset(offset, value, size); }) {
  static_assert(std::size(kChipset) == kChipsetRegisters);
  for (unsigned i = 0; i < 16; ++i) pic_[i] = IrqLine(wiring_.pic, i);
  for (unsigned i = 0; i < 24; ++i) ioapic_[i] = IrqLine(wiring_.ioapic, i);
  add_register(lpc::PMBASE, 4, 1, 0xff80);
  add_register(lpc::ACPI_CNTL, 1, 0, lpc::ACPI_EN | lpc::SCI_IRQ_SEL);
  add_register(lpc::GPIOBASE, 4, 1, 0xff80);
  for (u16 i = 0; i < 4; ++i) {
    add_register(static_cast<u16>(lpc::PIRQA_ROUT + i), 1, lpc::PIRQ_IRQEN, 0x8f);
    add_register(static_cast<u16>(lpc::PIRQE_ROUT + i), 1, lpc::PIRQ_IRQEN, 0x8f);
  }
  add_register(lpc::SERIRQ_CNTL, 1, 0x10, 0xc3);
  add_register(lpc::LPC_I_O_DEC, 2, 0, 0x1377);
  add_register(lpc::LPC_EN, 2, 0, 0x3f0f);
  for (u16 i = 0; i < 4; ++i) add_register(static_cast<u16>(lpc::GEN1_DEC + 4 * i), 4, 0, 0x00fcfffd);
  add_register(lpc::GEN_PMCON_1, 2, 0x0200, 0x041f);  // PWRBTN_LVL: not pressed
  add_register(lpc::GEN_PMCON_2, 1, 0, 0x00);
  add_register(lpc::GEN_PMCON_3, 1, 0, 0x39);
  add_register(lpc::BIOS_CNTL, 1, 0, 0x0f);
  add_register(lpc::RCBA, 4, 0, 0xffffc001);

  pm_region_ = pci_.ports.add_io("acpi pm", 0, AcpiPm::kPortBytes, wiring_.pm.ports(),
                                 {.min_bytes = 1, .max_bytes = 4}, kDecodePriority);
  hpet_region_ = pci_.memory.add_io("hpet", kHpetPlaces, Hpet::kWindowBytes, wiring_.hpet,
                                    {.min_bytes = 4, .max_bytes = 8}, kDecodePriority);
  chipset_region_ = pci_.memory.add_io("chipset", 0, kChipsetBytes, chipset_window_,
                                       {.min_bytes = 1, .max_bytes = 4}, kDecodePriority);
  pci_.ports.set_enabled(pm_region_, false);
  pci_.memory.set_enabled(chipset_region_, false);
  for (unsigned i = 0; i < kChipsetRegisters; ++i) state_.chipset[i] = kChipset[i].initial;
}

Ich9Lpc::~Ich9Lpc() {
  pci_.ports.remove(pm_region_);
  pci_.memory.remove(hpet_region_);
  pci_.memory.remove(chipset_region_);
}

void Ich9Lpc::reset_function() {
  for (unsigned i = 0; i < kChipsetRegisters; ++i) state_.chipset[i] = kChipset[i].initial;
  wiring_.pm.lock_smi_enable(false);
  map();
  drive();
}

/// Brings the decoders in line with the registers.
void Ich9Lpc::map() {
  const u8* registers = config();
  const u64 pm_base = load_le<u32>(registers + lpc::PMBASE) & 0xff80;
  const bool pm_enabled = (registers[lpc::ACPI_CNTL] & lpc::ACPI_EN) && pm_base != 0;
  pci_.ports.begin_update();
  if (pm_enabled) pci_.ports.move(pm_region_, pm_base);
  pci_.ports.set_enabled(pm_region_, pm_enabled);
  pci_.ports.end_update();

  const u32 rcba = load_le<u32>(registers + lpc::RCBA);
  const u32 hptc = state_.chipset[kHptcIndex];
  pci_.memory.begin_update();
  if (rcba & lpc::RCBA_EN) pci_.memory.move(chipset_region_, rcba & ~u64{0x3fff});
  pci_.memory.set_enabled(chipset_region_, rcba & lpc::RCBA_EN);
  pci_.memory.move(hpet_region_, kHpetPlaces + (bits(hptc, 1, 0) << 12));
  pci_.memory.set_enabled(hpet_region_, hptc & lpc::HPTC_ENABLE);
  pci_.memory.end_update();
}

u8 Ich9Lpc::writable_bits(u16 offset) const {
  const u8 bits = PciFunction::writable_bits(offset);
  if (offset != lpc::GEN_PMCON_1 || !(config()[offset] & lpc::SMI_LOCK)) return bits;
  return bits & static_cast<u8>(~lpc::SMI_LOCK);  // until a reset [ICH9 13.8.1.1]
}

void Ich9Lpc::config_written(u16 offset, unsigned size) {
  if (offset + size <= lpc::PMBASE) return;
  if (config()[lpc::GEN_PMCON_1] & lpc::SMI_LOCK) wiring_.pm.lock_smi_enable(true);
  map();
  drive();
}

/// The 8259 pair's inputs that the PIRQs and the SCI pull [ICH9 5.8.6].
u32 Ich9Lpc::pic_inputs() const {
  u32 inputs = 0;
  for (unsigned pirq = 0; pirq < kPirqs; ++pirq) {
    const u8 rout = config()[pirq < 4 ? lpc::PIRQA_ROUT + pirq : lpc::PIRQE_ROUT + pirq - 4];
    if (!bit(state_.pirqs, pirq) || (rout & lpc::PIRQ_IRQEN)) continue;
    inputs |= 1u << (rout & 0xf);
  }
  const unsigned sci = sci_irq(config()[lpc::ACPI_CNTL]);
  if (state_.sci && sci < 16) inputs |= 1u << sci;
  constexpr u32 kSteerable = 0xdef8;  // IRQ 3 to 7, 9 to 12, 14, 15 [ICH9 13.1.17]
  return inputs & kSteerable;
}

u32 Ich9Lpc::ioapic_pins() const {
  u32 pins = static_cast<u32>(state_.pirqs) << kFirstPirqPin;
  if (state_.sci) pins |= 1u << sci_irq(config()[lpc::ACPI_CNTL]);
  return pins;
}

void Ich9Lpc::drive() {
  const u32 inputs = pic_inputs();
  const u32 pins = ioapic_pins();
  for (unsigned i = 0; i < 16; ++i) pic_[i].set(bit(inputs, i));
  for (unsigned i = 0; i < 24; ++i) ioapic_[i].set(bit(pins, i));
}

void Ich9Lpc::set_irq(unsigned pirq, bool level) {
  const u8 mask = static_cast<u8>(1u << (pirq % kPirqs));
  state_.pirqs = static_cast<u8>(level ? state_.pirqs | mask : state_.pirqs & ~mask);
  drive();
}

u64 Ich9Lpc::read_chipset(u64 offset, unsigned size) const {
  u64 value = 0;
  for (unsigned i = 0; i < kChipsetRegisters; ++i) {
    if (kChipset[i].offset == (offset & ~u64{3})) value = state_.chipset[i] >> (8 * (offset & 3));
  }
  return value & low_mask(8 * size);
}

void Ich9Lpc::write_chipset(u64 offset, u64 value, unsigned size) {
  for (unsigned i = 0; i < kChipsetRegisters; ++i) {
    if (kChipset[i].offset != (offset & ~u64{3})) continue;
    const auto mask = static_cast<u32>(low_mask(8 * size) << (8 * (offset & 3))) & kChipset[i].writable;
    const auto placed = static_cast<u32>(value << (8 * (offset & 3)));
    state_.chipset[i] = (state_.chipset[i] & ~mask) | (placed & mask);
    if (i == kHptcIndex) map();
  }
}

void Ich9Lpc::visit_function(StateVisitor& v) {
  v.field("pirqs", state_.pirqs);
  v.field("sci", state_.sci);
  v.array("chipset", state_.chipset);
  for (unsigned i = 0; i < kChipsetRegisters; ++i) {
    const bool holds = ((state_.chipset[i] ^ kChipset[i].initial) & ~kChipset[i].writable) == 0;
    v.require(holds, "chipset registers are of this bridge");
    if (v.loading() && !holds) state_.chipset[i] = kChipset[i].initial;
  }
  if (!v.loading()) return;
  map();
  const u32 inputs = pic_inputs();
  const u32 pins = ioapic_pins();
  for (unsigned i = 0; i < 16; ++i) pic_[i].restore_level(bit(inputs, i));
  for (unsigned i = 0; i < 24; ++i) ioapic_[i].restore_level(bit(pins, i));
}

}  // namespace orrery::devices
