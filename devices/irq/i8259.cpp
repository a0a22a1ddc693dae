#include "devices/irq/i8259.h"

#include "base/bits.h"

namespace orrery::devices {
namespace icw1 {
constexpr u8 IC4 = 0x01;
constexpr u8 SNGL = 0x02;
constexpr u8 LTIM = 0x08;
constexpr u8 SELECT = 0x10;
}  // namespace icw1
namespace icw4 {
constexpr u8 AEOI = 0x02;
constexpr u8 SFNM = 0x10;
}  // namespace icw4
namespace {
constexpr u8 kElcrMasterWritable = 0xf8;  // IRQ 0, 1 and 2 are edge [82371SB 2.5.4]
constexpr u8 kElcrSlaveWritable = 0xde;   // so are IRQ 8 and 13
constexpr unsigned kSpuriousInput = 7;

constexpr u8 mask_of(unsigned input) { return static_cast<u8>(1u << (input & 7)); }
}  // namespace

I8259Pair::I8259Pair(IrqLine intr)
    : intr_(intr),
      master_ports_(
          [this](u64 offset, unsigned) { return read(state_.master, offset); },
          [this](u64 offset, u64 value, unsigned) { write(state_.master, offset, static_cast<u8>(value)); }),
      slave_ports_(
          [this](u64 offset, unsigned) { return read(state_.slave, offset); },
          [this](u64 offset, u64 value, unsigned) { write(state_.slave, offset, static_cast<u8>(value)); }),
      elcr_ports_(
          [this](u64 offset, unsigned) { return offset == 0 ? state_.master.elcr : state_.slave.elcr; },
          [this](u64 offset, u64 value, unsigned) {
            Chip& chip = offset == 0 ? state_.master : state_.slave;
            chip.elcr = static_cast<u8>(value) & (offset == 0 ? kElcrMasterWritable : kElcrSlaveWritable);
            refresh_irr(chip);
            update();
          }) {}

void I8259Pair::reset() {
  // The wires keep their levels: what drives them is reset by itself.
  const u8 master_lines = state_.master.lines;
  const u8 slave_lines = state_.slave.lines;
  state_ = State{};
  state_.master.lines = master_lines & static_cast<u8>(~mask_of(kCascade));
  state_.slave.lines = slave_lines;
  update();
}

u8 I8259Pair::level_inputs(const Chip& chip) { return (chip.icw1 & icw1::LTIM) ? 0xff : chip.elcr; }

/// 0 is the highest priority, 7 the lowest.
unsigned I8259Pair::priority_of(const Chip& chip, unsigned input) { return (input + 7u - chip.lowest) & 7u; }

int I8259Pair::highest(const Chip& chip, u8 inputs) const {
  if (inputs == 0) return kNone;
  for (unsigned priority = 0; priority < 8; ++priority) {
    const unsigned input = (chip.lowest + 1u + priority) & 7u;
    if (inputs & mask_of(input)) return static_cast<int>(input);
  }
  return kNone;
}

/// The input that the chip asks to be served, or kNone.
int I8259Pair::request(const Chip& chip) const {
  if (!chip.initialised) return kNone;
  const int input = highest(chip, chip.irr & static_cast<u8>(~chip.imr));
  if (input == kNone) return kNone;
  u8 blocking = chip.isr;
  if (chip.special_mask) blocking &= static_cast<u8>(~chip.imr);
  // Special fully nested mode: the slave may interrupt again while it is being served.
  if ((chip.icw4 & icw4::SFNM) && &chip == &state_.master) blocking &= static_cast<u8>(~mask_of(kCascade));
  const int serving = highest(chip, blocking);
  if (serving == kNone) return input;
  const unsigned asked = priority_of(chip, static_cast<unsigned>(input));
  const unsigned served = priority_of(chip, static_cast<unsigned>(serving));
  if (chip.special_mask) return (blocking & mask_of(static_cast<unsigned>(input))) ? kNone : input;
  return asked < served ? input : kNone;
}

void I8259Pair::set_input(Chip& chip, unsigned input, bool level) {
  const u8 mask = mask_of(input);
  const bool before = chip.lines & mask;
  if (level) {
    chip.lines |= mask;
    if (!before || (level_inputs(chip) & mask)) chip.irr |= mask;
  } else {
    // An edge request that goes away before its acknowledge is lost; the CPU then sees a spurious one [8259A
    // p.18].
    chip.lines &= static_cast<u8>(~mask);
    chip.irr &= static_cast<u8>(~mask);
  }
}

void I8259Pair::refresh_irr(Chip& chip) {
  const u8 level = level_inputs(chip);
  chip.irr = static_cast<u8>((chip.irr & ~level) | (chip.lines & level));
}

void I8259Pair::update() {
  set_input(state_.master, kCascade, request(state_.slave) != kNone);
  intr_.set(request(state_.master) != kNone);
}

void I8259Pair::set_irq(unsigned input, bool level) {
  if (input == kCascade || input > 15) return;
  set_input(input < 8 ? state_.master : state_.slave, input & 7, level);
  update();
}

u8 I8259Pair::acknowledge(Chip& chip, unsigned input) {
  const u8 mask = mask_of(input);
  if (!(level_inputs(chip) & mask)) chip.irr &= static_cast<u8>(~mask);
  if (chip.icw4 & icw4::AEOI) {
    if (chip.rotate_on_aeoi) chip.lowest = static_cast<u8>(input);
  } else {
    chip.isr |= mask;
  }
  return static_cast<u8>((chip.icw2 & 0xf8) | input);
}

u8 I8259Pair::acknowledge_interrupt() {
  u8 vector = 0;
  const int input = request(state_.master);
  if (input == kNone) {
    vector = static_cast<u8>((state_.master.icw2 & 0xf8) | kSpuriousInput);
  } else if (input != static_cast<int>(kCascade)) {
    vector = acknowledge(state_.master, static_cast<unsigned>(input));
  } else {
    acknowledge(state_.master, kCascade);
    const int slave_input = request(state_.slave);
    vector = slave_input == kNone ? static_cast<u8>((state_.slave.icw2 & 0xf8) | kSpuriousInput)
                                  : acknowledge(state_.slave, static_cast<unsigned>(slave_input));
    // The cascade wire falls with the slave's request, so a further request makes a new edge.
    set_input(state_.master, kCascade, false);
  }
  // INT falls with the acknowledge; a further request makes a new edge, which an I/O APIC needs.
  intr_.set(false);
  update();
  return vector;
}

u8 I8259Pair::read(Chip& chip, u64 offset) {
  if (chip.poll) {
    chip.poll = false;
    const int input = request(chip);
    if (input == kNone) return 0;
    acknowledge(chip, static_cast<unsigned>(input));
    update();
    return static_cast<u8>(0x80 | input);
  }
  if (offset == 1) return chip.imr;
  return chip.read_isr ? chip.isr : chip.irr;
}

void I8259Pair::write(Chip& chip, u64 offset, u8 value) {
  if (offset == 0) {
    if (value & icw1::SELECT) {
      write_icw1(chip, value);
    } else if (value & 0x08) {
      write_ocw3(chip, value);
    } else {
      write_ocw2(chip, value);
    }
    update();
    return;
  }
  switch (chip.next_icw) {
    case 2:
      chip.icw2 = value;
      chip.next_icw = (chip.icw1 & icw1::SNGL) ? ((chip.icw1 & icw1::IC4) ? 4 : 1) : 3;
      break;
    case 3:
      chip.icw3 = value;
      chip.next_icw = (chip.icw1 & icw1::IC4) ? 4 : 1;
      break;
    case 4:
      chip.icw4 = value;
      chip.next_icw = 1;
      break;
    default:
      chip.imr = value;  // OCW1
      update();
      return;
  }
  if (chip.next_icw == 1) chip.initialised = true;
  update();
}

void I8259Pair::write_icw1(Chip& chip, u8 value) {
  // [8259A p.11]: the edge sense is reset, so an input that is high now needs a new edge.
  const u8 lines = chip.lines;
  const u8 elcr = chip.elcr;
  chip = Chip{};
  chip.lines = lines;
  chip.elcr = elcr;
  chip.icw1 = value;
  chip.next_icw = 2;
  refresh_irr(chip);
}

void I8259Pair::write_ocw2(Chip& chip, u8 value) {
  const bool rotate = bit(value, 7);
  const bool specific = bit(value, 6);
  const bool eoi = bit(value, 5);
  const unsigned level = value & 7u;
  if (!eoi) {
    if (rotate && specific) {
      chip.lowest = static_cast<u8>(level);  // set priority
    } else if (!specific) {
      chip.rotate_on_aeoi = rotate;
    }
    return;
  }
  int ended = static_cast<int>(level);
  if (!specific) {
    u8 candidates = chip.isr;
    if (chip.special_mask) candidates &= static_cast<u8>(~chip.imr);
    ended = highest(chip, candidates);
    if (ended == kNone) return;
  }
  chip.isr &= static_cast<u8>(~mask_of(static_cast<unsigned>(ended)));
  if (rotate) chip.lowest = static_cast<u8>(ended);
}

void I8259Pair::write_ocw3(Chip& chip, u8 value) {
  if (bit(value, 6)) chip.special_mask = bit(value, 5);
  if (bit(value, 2)) {
    chip.poll = true;
    return;
  }
  if (bit(value, 1)) chip.read_isr = bit(value, 0);
}

void I8259Pair::visit_chip(StateVisitor& v, std::string_view chip_name, Chip& chip) {
  v.begin(chip_name, 1);
  v.field("irr", chip.irr);
  v.field("isr", chip.isr);
  v.field("imr", chip.imr);
  v.field("lines", chip.lines);
  v.field("elcr", chip.elcr);
  v.field("icw1", chip.icw1);
  v.field("icw2", chip.icw2);
  v.field("icw3", chip.icw3);
  v.field("icw4", chip.icw4);
  v.field("lowest", chip.lowest);
  v.field("next_icw", chip.next_icw);
  v.field("initialised", chip.initialised);
  v.field("read_isr", chip.read_isr);
  v.field("poll", chip.poll);
  v.field("special_mask", chip.special_mask);
  v.field("rotate_on_aeoi", chip.rotate_on_aeoi);
  v.require(chip.lowest < 8, "lowest priority is an input");
  v.require(chip.next_icw >= 1 && chip.next_icw <= 4, "next ICW is 1 to 4");
  v.end();
}

void I8259Pair::visit_state(StateVisitor& v) {
  v.begin(name(), 1);
  visit_chip(v, "master", state_.master);
  visit_chip(v, "slave", state_.slave);
  v.end();
  if (v.loading()) {
    state_.master.lowest &= 7;
    state_.slave.lowest &= 7;
    intr_.restore_level(request(state_.master) != kNone);
  }
}

}  // namespace orrery::devices
