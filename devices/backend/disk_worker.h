// DiskWorker: the thread that does a disk's host I/O, in the order in which it was asked for.
//
// The machine's thread submits a job and later waits for it; guest RAM never appears here.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "devices/backend/disk_image.h"

namespace orrery::devices {

struct DiskJob {
  enum class Operation : u8 { kRead, kWrite, kFlush, kDiscard, kWriteZeroes };
  Operation operation = Operation::kRead;
  u64 offset = 0;
  u64 size_bytes = 0;
  std::vector<u8> data;  // to write, or what was read
  std::optional<Error> error;
  bool done = false;  // guarded by the worker's mutex
};

class DiskWorker {
 public:
  explicit DiskWorker(DiskImage& image) : image_(image), thread_([this] { run(); }) {}
  ~DiskWorker() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }
  void submit(std::shared_ptr<DiskJob> job) {
    {
      const std::lock_guard lock(mutex_);
      jobs_.push_back(std::move(job));
    }
    changed_.notify_all();
  }
  void wait(const DiskJob& job) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&job] { return job.done; });
  }
  /// Until nothing is under way; after this the image may be used by the caller until the next submit.
  void wait_idle() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return jobs_.empty() && !busy_; });
  }

 private:
  void run();
  static Result<> perform(DiskImage& image, DiskJob& job);
  DiskImage& image_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::shared_ptr<DiskJob>> jobs_;
  bool busy_ = false;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace orrery::devices
