#include "devices/virtio/virtio_blk.h"

#include "base/bits.h"

namespace orrery::devices {
namespace {

constexpr u64 F_SEG_MAX = 1 << 2, F_RO = 1 << 5, F_BLK_SIZE = 1 << 6, F_FLUSH = 1 << 9, F_DISCARD = 1 << 13,
              F_WRITE_ZEROES = 1 << 14;
constexpr u32 T_IN = 0, T_OUT = 1, T_FLUSH = 4, T_GET_ID = 8, T_DISCARD = 11, T_WRITE_ZEROES = 13;
constexpr u8 S_OK = 0, S_IOERR = 1, S_UNSUPP = 2;
constexpr u64 kHeaderBytes = 16;
constexpr u64 kIdBytes = 20;
constexpr u64 kRangeBytes = 16;             // of discard and write zeroes
constexpr u32 kMaxRangeSectors = 32 << 11;  // 32 MiB
constexpr u32 kSegMax = 254;
constexpr u64 kConfigBytes = 60;

}  // namespace

VirtioBlk::VirtioBlk(Config config, PciWiring wiring, memory::DmaPort& dma, EventQueue& events,
                     MachineControl& control, std::unique_ptr<DiskImage> image)
    : VirtioFunction(
          {.name = config.name,
           .device_id = 2,
           .class_code = 0x018000,
           .features = F_SEG_MAX | F_BLK_SIZE | F_FLUSH |
                       (image->mode() == DiskImage::Mode::kReadOnly ? F_RO : F_DISCARD | F_WRITE_ZEROES),
           .queues = 1},
          wiring, dma),
      config_(std::move(config)),
      events_(events),
      control_(control),
      image_(std::move(image)),
      worker_(*image_),
      timer_(events, config_.name + ".completion", [this] { complete_due(); }) {}

u8 VirtioBlk::read_device_config(u64 offset) {
  if (offset >= kConfigBytes) return 0;
  u8 image[kConfigBytes] = {};
  store_le<u64>(image, image_->size_bytes() / DiskImage::kSectorBytes);
  store_le<u32>(image + 12, kSegMax);
  store_le<u32>(image + 20, DiskImage::kSectorBytes);
  store_le<u32>(image + 36, kMaxRangeSectors);  // max_discard_sectors
  store_le<u32>(image + 40, 1);                 // max_discard_seg
  store_le<u32>(image + 44, 1);                 // discard_sector_alignment
  store_le<u32>(image + 48, kMaxRangeSectors);  // max_write_zeroes_sectors
  store_le<u32>(image + 52, 1);                 // max_write_zeroes_seg
  return image[offset];
}

void VirtioBlk::reset_device() {
  // What the host has begun goes on; its result belongs to nobody.
  pending_.clear();
  timer_.cancel();
}

void VirtioBlk::queue_notified(u16 queue) {
  VirtioChain chain;
  while (pending_.size() < kMaxPending && held_bytes() < kMaxPendingBytes && pop(queue, chain)) submit(chain);
  arm();
}

u64 VirtioBlk::held_bytes() const {
  u64 bytes = 0;
  for (const Request& request : pending_) bytes += request.held_bytes;
  return bytes;
}

/// Decides on a request and starts its host I/O; the status as far as it is known.
u8 VirtioBlk::prepare(const VirtioChain& chain, Request& request, u64& latency_ns) {
  u8 header[kHeaderBytes];
  if (!read_chain(dma(), chain.readable, 0, header)) return S_IOERR;
  const u32 type = load_le<u32>(header);
  const u64 sector = load_le<u64>(header + 8);
  const u64 sectors = image_->size_bytes() / DiskImage::kSectorBytes;
  const bool read_only = image_->mode() == DiskImage::Mode::kReadOnly;
  const u64 out_bytes = chain.readable_bytes - kHeaderBytes;
  const u64 in_bytes = chain.writable_bytes - 1;  // the last byte is the status
  const auto fits = [sectors](u64 start, u64 n) { return start <= sectors && n <= sectors - start; };
  auto job = std::make_shared<DiskJob>();
  job->offset = sector * DiskImage::kSectorBytes;
  switch (type) {
    case T_IN:
      if (in_bytes % DiskImage::kSectorBytes != 0 || !fits(sector, in_bytes / DiskImage::kSectorBytes))
        return S_IOERR;
      job->operation = DiskJob::Operation::kRead;
      job->size_bytes = in_bytes;
      latency_ns += in_bytes * 1000 / config_.bytes_per_microsecond;
      break;
    case T_OUT:
      if (read_only || out_bytes % DiskImage::kSectorBytes != 0 ||
          !fits(sector, out_bytes / DiskImage::kSectorBytes)) {
        return S_IOERR;
      }
      job->operation = DiskJob::Operation::kWrite;
      job->data.resize(out_bytes);
      read_chain(dma(), chain.readable, kHeaderBytes, job->data);
      latency_ns += out_bytes * 1000 / config_.bytes_per_microsecond;
      break;
    case T_FLUSH:
      job->operation = DiskJob::Operation::kFlush;
      latency_ns = config_.flush_ns;
      break;
    case T_GET_ID:
      if (in_bytes < kIdBytes) return S_IOERR;
      request.reply.assign(kIdBytes, 0);
      std::copy_n(config_.serial.begin(), std::min<size_t>(config_.serial.size(), kIdBytes),
                  request.reply.begin());
      return S_OK;
    case T_DISCARD:
    case T_WRITE_ZEROES: {
      if (read_only) return S_UNSUPP;
      u8 range[kRangeBytes];
      if (out_bytes != kRangeBytes) return S_UNSUPP;  // one range is what max_*_seg allows
      read_chain(dma(), chain.readable, kHeaderBytes, range);
      const u64 start = load_le<u64>(range);
      const u32 count = load_le<u32>(range + 8);
      const u32 flags = load_le<u32>(range + 12);
      if (flags & ~(type == T_WRITE_ZEROES ? 1u : 0u)) return S_UNSUPP;
      if (count > kMaxRangeSectors || !fits(start, count)) return S_IOERR;
      job->operation = type == T_DISCARD ? DiskJob::Operation::kDiscard : DiskJob::Operation::kWriteZeroes;
      job->offset = start * DiskImage::kSectorBytes;
      job->size_bytes = u64{count} * DiskImage::kSectorBytes;
      break;
    }
    default:
      return S_UNSUPP;
  }
  request.job = std::move(job);
  worker_.submit(request.job);
  return S_OK;
}

void VirtioBlk::submit(const VirtioChain& chain) {
  if (chain.writable_bytes == 0 || chain.readable_bytes < kHeaderBytes) {
    push(0, chain.head, 0);  // no room for a status, or no header
    return;
  }
  Request request;
  request.head = chain.head;
  request.writable = chain.writable;
  request.writable_bytes = chain.writable_bytes;
  request.held_bytes = chain.readable_bytes + chain.writable_bytes;
  u64 latency_ns = config_.latency_ns;
  request.status = prepare(chain, request, latency_ns);
  request.deadline = events_.clock().now() + VirtualTime{latency_ns};
  pending_.push_back(std::move(request));
}

void VirtioBlk::arm() {
  if (pending_.empty()) return timer_.cancel();
  VirtualTime next = kEndOfTime;
  for (const Request& request : pending_) next = std::min(next, request.deadline);
  if (!timer_.armed() || timer_.deadline() != next) timer_.arm(next);
}

/// Waits for a request's host I/O and takes its result.
void VirtioBlk::settle(Request& request) {
  if (!request.job) return;
  worker_.wait(*request.job);
  if (request.job->error) {
    request.status = S_IOERR;
    control_.report_host_error(request.job->error->message);
  } else if (request.job->operation == DiskJob::Operation::kRead) {
    request.reply = std::move(request.job->data);
  }
  request.job.reset();
}

void VirtioBlk::complete(Request& request) {
  settle(request);
  u64 written = 1;
  if (request.status == S_OK && !request.reply.empty()) {
    write_chain(dma(), request.writable, 0, request.reply);
    written += request.reply.size();
  }
  write_chain(dma(), request.writable, request.writable_bytes - 1, {&request.status, 1});
  push(0, request.head, static_cast<u32>(written));
}

void VirtioBlk::complete_due() {
  const VirtualTime now = events_.clock().now();
  while (true) {
    // In the order of deadlines, and of submission among equals.
    auto due = pending_.end();
    for (auto it = pending_.begin(); it != pending_.end(); ++it) {
      if (it->deadline <= now && (due == pending_.end() || it->deadline < due->deadline)) due = it;
    }
    if (due == pending_.end()) break;
    Request request = std::move(*due);
    pending_.erase(due);
    complete(request);
  }
  if (driver_ok()) {
    queue_notified(0);  // what did not fit while `pending_` was full
  } else {
    arm();
  }
}

Result<> VirtioBlk::drain() {
  worker_.wait_idle();
  return image_->flush();
}

void VirtioBlk::visit_request(StateVisitor& v, Request& request) {
  v.begin("request", 1);
  v.field("head", request.head);
  v.field("status", request.status);
  v.field("deadline", request.deadline);
  v.field("held_bytes", request.held_bytes);
  u64 segments = request.writable.size();
  v.count("segments", segments, Virtqueue::kMaxSegments);
  if (v.loading()) request.writable.assign(segments, {});
  u64 total = 0;
  for (auto& segment : request.writable) {
    v.field("address", segment.address);
    v.field("length", segment.length);
    total += segment.length;
  }
  v.vector("reply", request.reply, Virtqueue::kMaxChainBytes);
  const bool holds = request.held_bytes <= Virtqueue::kMaxChainBytes && total >= 1 &&
                     total <= Virtqueue::kMaxChainBytes && request.reply.size() < total;
  v.require(holds, "reply fits its segments");
  if (v.loading()) {
    if (!holds) {
      request = Request{};
      request.writable = {{.address = ~u64{0}, .length = 1}};
      total = 1;
    }
    request.writable_bytes = total;
    request.job.reset();
  }
  v.end();
}

void VirtioBlk::visit_device(StateVisitor& v) {
  worker_.wait_idle();
  for (Request& request : pending_) settle(request);
  u64 n = pending_.size();
  v.count("pending", n, kMaxPending);
  if (v.loading()) pending_.assign(n, {});
  for (Request& request : pending_) visit_request(v, request);
  image_->visit_state(v);
}

}  // namespace orrery::devices
