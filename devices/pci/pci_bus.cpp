#include "devices/pci/pci_bus.h"

#include "base/bits.h"

namespace orrery::devices {
namespace {

constexpr u32 kAddressEnable = 0x80000000;
constexpr u32 kAddressWritable = 0x80fffffc;

}  // namespace

PciBus::PciBus(Router router, IrqSink& outputs, memory::IoHandler& reset_port)
    : router_(router),
      address_port_(
          [this, &reset_port](u64 offset, unsigned size) -> u64 {
            if (offset == 1 && size == 1) return reset_port.read(0, 1);
            return offset == 0 && size == 4 ? state_.address : low_mask(8 * size);
          },
          [this, &reset_port](u64 offset, u64 value, unsigned size) {
            if (offset == 1 && size == 1) return reset_port.write(0, value, 1);
            if (offset == 0 && size == 4) state_.address = static_cast<u32>(value) & kAddressWritable;
          }),
      data_port_(
          [this](u64 offset, unsigned size) -> u64 {
            if (!(state_.address & kAddressEnable)) return low_mask(8 * size);
            return read_config(state_.address >> 16 & 0xff, state_.address >> 8 & 0xff,
                               static_cast<u16>((state_.address & 0xfc) + offset), size);
          },
          [this](u64 offset, u64 value, unsigned size) {
            if (!(state_.address & kAddressEnable)) return;
            write_config(state_.address >> 16 & 0xff, state_.address >> 8 & 0xff,
                         static_cast<u16>((state_.address & 0xfc) + offset), static_cast<u32>(value), size);
          }),
      ecam_(
          [this](u64 offset, unsigned size) -> u64 {
            return read_config(offset >> 20 & 0xff, offset >> 12 & 0xff, static_cast<u16>(offset & 0xfff),
                               size);
          },
          [this](u64 offset, u64 value, unsigned size) {
            write_config(offset >> 20 & 0xff, offset >> 12 & 0xff, static_cast<u16>(offset & 0xfff),
                         static_cast<u32>(value), size);
          }) {
  for (unsigned line = 0; line < kLines; ++line) outputs_[line] = IrqLine(outputs, line);
}

void PciBus::reset() {
  // The functions lower their own lines.
  state_.address = 0;
}

void PciBus::attach(unsigned device, PciFunction& function, unsigned number) {
  CHECK(device < kDevices && number < kFunctions && functions_[device * kFunctions + number] == nullptr);
  functions_[device * kFunctions + number] = &function;
}

void PciBus::set_irq(unsigned device, bool level) {
  const unsigned line = router_(device % kDevices) % kLines;
  const u32 mask = 1u << (device % kDevices);
  state_.asserted[line] = level ? state_.asserted[line] | mask : state_.asserted[line] & ~mask;
  outputs_[line].set(state_.asserted[line] != 0);
}

PciFunction* PciBus::function_at(unsigned bus, unsigned device_function) const {
  return bus == 0 ? functions_[device_function % (kDevices * kFunctions)] : nullptr;
}

u32 PciBus::read_config(unsigned bus, unsigned device_function, u16 offset, unsigned size) {
  PciFunction* function = function_at(bus, device_function);
  return function == nullptr ? static_cast<u32>(low_mask(8 * size)) : function->read_config(offset, size);
}

void PciBus::write_config(unsigned bus, unsigned device_function, u16 offset, u32 value, unsigned size) {
  PciFunction* function = function_at(bus, device_function);
  if (function != nullptr) function->write_config(offset, value, size);
}

void PciBus::assign_resources(const Windows& windows) {
  u64 memory = windows.memory_start;
  u64 io = windows.io_start;
  for (unsigned address = 0; address < kDevices * kFunctions; ++address) {
    PciFunction* function = functions_[address];
    if (function == nullptr) continue;
    u16 command = 0;
    for (unsigned bar = 0; bar < PciFunction::kBars; ++bar) {
      const auto kind = function->bar_kind(bar);
      if (kind == PciFunction::BarKind::kNone) continue;
      const bool is_io = kind == PciFunction::BarKind::kIo;
      u64& next = is_io ? io : memory;
      const u64 base = align_up(next, function->bar_bytes(bar));
      if (base + function->bar_bytes(bar) > (is_io ? windows.io_end : windows.memory_end)) continue;
      next = base + function->bar_bytes(bar);
      function->set_bar(bar, base);
      command |= is_io ? pci::COMMAND_IO : pci::COMMAND_MEMORY;
    }
    if (command != 0) command |= pci::COMMAND_MASTER;
    if (command != 0) function->write_config(pci::COMMAND, command, 2);
    if (function->has_interrupt())
      function->write_config(pci::INTERRUPT_LINE, windows.irqs[router_(address / kFunctions) % kLines], 1);
  }
}

void PciBus::visit_state(StateVisitor& v) {
  v.begin(name(), 1);
  v.field("address", state_.address);
  v.array("asserted", state_.asserted);
  v.end();
  if (!v.loading()) return;
  for (unsigned line = 0; line < kLines; ++line) outputs_[line].restore_level(state_.asserted[line] != 0);
}

}  // namespace orrery::devices
