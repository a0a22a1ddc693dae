#include "devices/backend/disk_worker.h"

#include <csignal>

namespace orrery::devices {

Result<> DiskWorker::perform(DiskImage& image, DiskJob& job) {
  switch (job.operation) {
    case DiskJob::Operation::kRead:
      job.data.resize(job.size_bytes);
      return image.read(job.offset, job.data);
    case DiskJob::Operation::kWrite:
      return image.write(job.offset, job.data);
    case DiskJob::Operation::kFlush:
      return image.flush();
    case DiskJob::Operation::kDiscard:
      return image.discard(job.offset, job.size_bytes);
    case DiskJob::Operation::kWriteZeroes:
      return image.write_zeroes(job.offset, job.size_bytes);
  }
  return {};
}

void DiskWorker::run() {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, nullptr);
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return !jobs_.empty() || stopping_; });
    if (jobs_.empty()) return;  // what was submitted is finished first
    const auto job = std::move(jobs_.front());
    jobs_.pop_front();
    busy_ = true;
    lock.unlock();
    auto result = perform(image_, *job);
    lock.lock();
    if (!result) job->error = std::move(result).take_error();
    job->done = true;
    busy_ = false;
    changed_.notify_all();
  }
}

}  // namespace orrery::devices
