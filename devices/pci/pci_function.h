// PciFunction: the configuration space of one type 0 function; PciBus finds it, the board wires it.
//
// Modelled: header, command register, memory (32 and 64 bit) and I/O BARs with sizing, capability list, MSI-X
// with masking and pending bits, INTx with the disable and status bits. Documents: [PCI 3.0 6],
// [PCI 3.0 6.8.2] for MSI-X, [PCIe 3.0 7.2] for the 4 KiB space. Not modelled: bridges, ROM BARs, MSI, power
// management, PCIe capabilities, parity.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/irq_line.h"
#include "devices/device.h"
#include "devices/io_window.h"
#include "memory/address_space.h"

namespace orrery::devices {

namespace pci {
inline constexpr u16 VENDOR_ID = 0x00, DEVICE_ID = 0x02, COMMAND = 0x04, STATUS = 0x06, REVISION_ID = 0x08,
                     CLASS_CODE = 0x09, HEADER_TYPE = 0x0e, BAR0 = 0x10, SUBSYSTEM_VENDOR_ID = 0x2c,
                     SUBSYSTEM_ID = 0x2e, CAPABILITIES = 0x34, INTERRUPT_LINE = 0x3c, INTERRUPT_PIN = 0x3d;
inline constexpr u16 COMMAND_IO = 0x001, COMMAND_MEMORY = 0x002, COMMAND_MASTER = 0x004,
                     COMMAND_INTX_DISABLE = 0x400;
inline constexpr u16 STATUS_INTERRUPT = 0x0008, STATUS_CAPABILITIES = 0x0010;
inline constexpr u8 CAPABILITY_VENDOR = 0x09, CAPABILITY_MSIX = 0x11;
}  // namespace pci

/// What a function is wired to.
struct PciWiring {
  memory::AddressSpace& memory;
  memory::AddressSpace& ports;
  MsiSink& msi;
  IrqLine intx;  // INTA#
};

class PciFunction : public Device {
 public:
  struct Identity {
    std::string name;
    u16 vendor = 0;
    u16 device = 0;
    u32 class_code = 0;  // 24 bits
    u8 revision = 0;
    u16 subsystem_vendor = 0;
    u16 subsystem = 0;
    bool has_interrupt = true;
    bool multifunction = false;  // the device has functions besides this one
  };
  static constexpr unsigned kBars = 6;
  static constexpr unsigned kConfigBytes = 256;
  enum class BarKind : u8 { kNone, kIo, kMemory32, kMemory64 };

  PciFunction(Identity identity, PciWiring wiring);
  ~PciFunction() override;

  std::string_view name() const override { return identity_.name; }
  void reset() final;
  void visit_state(StateVisitor& v) final;

  /// `size` 1, 2 or 4, naturally aligned, `offset` below 4096.
  u32 read_config(u16 offset, unsigned size);
  void write_config(u16 offset, u32 value, unsigned size);

  BarKind bar_kind(unsigned bar) const { return bars_[bar].kind; }
  u64 bar_bytes(unsigned bar) const { return bars_[bar].size_bytes; }
  /// As firmware assigns it.
  void set_bar(unsigned bar, u64 base);
  bool has_interrupt() const { return identity_.has_interrupt; }

 protected:
  /// For constructors. `size_bytes` is a power of two; a 64-bit BAR takes `bar + 1` too.
  void add_bar(unsigned bar, BarKind kind, u64 size_bytes, memory::IoHandler& handler,
               memory::AccessLimits limits);
  /// Appends a capability of `body.size() + 2` bytes and returns its offset.
  u16 add_capability(u8 id, std::span<const u8> body);
  /// MSI-X with the table at the start of memory BAR `bar` (4 KiB, added here) and the pending bits at 0x800.
  void add_msix(unsigned bar, u16 vectors);

  void set_intx(bool level);
  bool msix_enabled() const;
  u16 msix_vectors() const { return msix_count_; }
  /// Sends MSI-X message `vector`, or leaves it pending; nothing when out of range.
  void send_msix(u16 vector);
  /// The handler and size behind a memory BAR.
  memory::IoHandler* bar_handler(unsigned bar) const { return bars_[bar].handler; }

  virtual void reset_function() {}
  virtual void visit_function(StateVisitor&) {}
  /// Registers in the configuration space that do something; true if taken.
  virtual bool read_config_hook(u16, unsigned, u32&) { return false; }
  virtual void config_written(u16, unsigned) {}

  u8* config() { return state_.config.data(); }
  const u8* config() const { return state_.config.data(); }
  void make_writable(u16 offset, unsigned bytes);
  /// A register of `bytes` bytes: its value at power-on and the bits that software may change.
  void add_register(u16 offset, unsigned bytes, u64 initial, u64 writable);
  /// The bits of the byte at `offset` that software may change now: a lock takes some away.
  virtual u8 writable_bits(u16 offset) const { return writable_[offset]; }

 private:
  struct Bar {
    BarKind kind = BarKind::kNone;
    u64 size_bytes = 0;
    memory::IoHandler* handler = nullptr;
    memory::RegionId region = 0;
    bool mapped = false;
    u64 base = 0;
  };
  static constexpr unsigned kMaxMsixVectors = 64;
  struct State {
    std::array<u8, kConfigBytes> config{};
    std::vector<u32> msix_table;  // four words per vector
    u64 msix_pending = 0;
    bool intx = false;
  };
  u16 config_word(u16 offset) const;
  void set_config_word(u16 offset, u16 value);
  u64 bar_base(unsigned bar) const;
  void map_bars();
  void update_intx();
  void mask_all_vectors();
  void update_msix();
  bool msix_masked(u16 vector) const;
  void deliver_msix(u16 vector);
  u64 read_msix(u64 offset) const;
  void write_msix(u64 offset, u32 value);

  Identity identity_;
  PciWiring wiring_;
  std::array<u8, kConfigBytes> initial_{};   // power-on values
  std::array<u8, kConfigBytes> writable_{};  // bits that software may change
  Bar bars_[kBars];
  u16 capability_end_ = 0x40;
  u16 last_capability_ = 0;
  u16 msix_capability_ = 0;
  u16 msix_count_ = 0;
  State state_;
  IoWindow msix_window_;
};

}  // namespace orrery::devices
