// virtio block device.
//
// Modelled: read, write, flush, discard, write zeroes, get id; read-only images; completion at a virtual
// latency that depends on operation and size alone. Write data leaves guest RAM when the driver notifies,
// read data enters it when the request completes; the host's I/O runs in between, and the timeline waits if
// it is late. Documents: [virtio 1.1 5.2]. Not modelled: several queues, topology and write-cache
// configuration, secure erase.
#pragma once

#include <deque>

#include "base/event_queue.h"
#include "devices/backend/disk_worker.h"
#include "devices/machine_control.h"
#include "devices/virtio/virtio_function.h"

namespace orrery::devices {

class VirtioBlk final : public VirtioFunction {
 public:
  struct Config {
    std::string name = "disk0";
    std::string serial = "disk0";       // get-id; at most 20 bytes
    u64 latency_ns = 20'000;            // of every request
    u64 bytes_per_microsecond = 4'000;  // 4 GB/s
    u64 flush_ns = 200'000;
  };
  VirtioBlk(Config config, PciWiring wiring, memory::DmaPort& dma, EventQueue& events,
            MachineControl& control, std::unique_ptr<DiskImage> image);

  /// Waits for the host I/O that is under way and flushes the image.
  Result<> drain();

 private:
  static constexpr u64 kMaxPending = Virtqueue::kMaxSize;
  /// A bound for the host's memory: requests wait in the ring while this much data is under way.
  static constexpr u64 kMaxPendingBytes = 64 << 20;
  struct Request {
    u16 head = 0;
    u8 status = 0;
    VirtualTime deadline{};
    std::vector<VirtioChain::Segment> writable;
    u64 writable_bytes = 0;
    u64 held_bytes = 0;            // what the request counts towards kMaxPendingBytes
    std::shared_ptr<DiskJob> job;  // null: decided at submission
    std::vector<u8> reply;         // without a job: bytes for the writable part
  };

  u8 read_device_config(u64 offset) override;
  void queue_notified(u16 queue) override;
  void reset_device() override;
  void visit_device(StateVisitor& v) override;

  void submit(const VirtioChain& chain);
  u8 prepare(const VirtioChain& chain, Request& request, u64& latency_ns);
  u64 held_bytes() const;
  void arm();
  void complete_due();
  void complete(Request& request);
  void settle(Request& request);
  void visit_request(StateVisitor& v, Request& request);

  Config config_;
  EventQueue& events_;
  MachineControl& control_;
  std::unique_ptr<DiskImage> image_;
  DiskWorker worker_;
  Timer timer_;
  std::vector<Request> pending_;  // in order of submission
};

}  // namespace orrery::devices
