// VirtioFunction: the virtio-over-PCI transport, modern interface only; a device type derives from it.
//
// Modelled: common, notify, ISR, device and PCI-access structures, feature negotiation, device reset, MSI-X
// and INTx, DEVICE_NEEDS_RESET after a broken queue. Documents: [virtio 1.1 4.1, 2.1, 3.1]. Not modelled: the
// legacy interface, queue reset, notification data, shared memory, administration queues.
#pragma once

#include <vector>

#include "devices/io_window.h"
#include "devices/pci/pci_function.h"
#include "devices/virtio/virtqueue.h"

namespace orrery::devices {

namespace virtio {
inline constexpr u64 F_INDIRECT_DESC = u64{1} << 28, F_EVENT_IDX = u64{1} << 29, F_VERSION_1 = u64{1} << 32;
}

class VirtioFunction : public PciFunction {
 public:
  struct Type {
    std::string name;
    u16 device_id = 0;  // virtio's: 2 block, 3 console, 4 entropy
    u32 class_code = 0;
    u64 features = 0;  // the type's own; the transport adds its own
    u16 queues = 1;
  };
  VirtioFunction(Type type, PciWiring wiring, memory::DmaPort& dma);

 protected:
  /// One byte of the device-specific configuration.
  virtual u8 read_device_config(u64 offset) = 0;
  virtual void write_device_config(u64, u8) {}
  virtual void queue_notified(u16 queue) = 0;
  virtual void reset_device() = 0;
  virtual void visit_device(StateVisitor& v) = 0;

  bool pop(u16 queue, VirtioChain& chain);
  /// Gives a chain back and interrupts the driver if it wants that.
  void push(u16 queue, u16 head, u32 written);
  bool has_feature(u64 feature) const { return (state_.driver_features & feature) != 0; }
  bool driver_ok() const;
  memory::DmaPort& dma() { return dma_; }

 private:
  struct State {
    u32 device_feature_select = 0;
    u32 driver_feature_select = 0;
    u64 driver_features = 0;
    u16 config_vector = 0xffff;
    u8 status = 0;
    u8 config_generation = 0;
    u16 queue_select = 0;
    u8 isr = 0;
  };
  void reset_function() final;
  void visit_function(StateVisitor& v) final;
  bool read_config_hook(u16 offset, unsigned size, u32& value) final;
  void config_written(u16 offset, unsigned size) final;
  u64 read_bar(u64 offset, unsigned size);
  void write_bar(u64 offset, u64 value, unsigned size);
  u64 read_common(u64 offset, unsigned size) const;
  void write_common(u64 offset, u64 value, unsigned size);
  void write_status(u8 value);
  void reset_transport();
  void interrupt(u8 isr_bit, u16 vector);
  void needs_reset();
  Virtqueue* selected();

  Type type_;
  memory::DmaPort& dma_;
  u64 features_;
  u16 access_capability_ = 0;
  State state_;
  std::vector<Virtqueue> queues_;
  IoWindow bar_;
};

}  // namespace orrery::devices
