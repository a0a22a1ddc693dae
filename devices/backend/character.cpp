#include "devices/backend/character.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>
#include <cerrno>
#include <chrono>
#include <csignal>

namespace orrery::devices {
namespace {

constexpr auto kGatherTime = std::chrono::milliseconds(2);
/// A host side that takes nothing must not eat the host's memory: beyond this the machine waits for it.
constexpr size_t kMaxBufferedBytes = 1 << 20;

}  // namespace

DescriptorCharacterBackend::DescriptorCharacterBackend(int descriptor, Ownership ownership, std::string name,
                                                       Content content)
    : descriptor_(descriptor),
      ownership_(ownership),
      name_(std::move(name)),
      drops_content_(content == Content::kDropped),
      thread_([this] { run(); }) {}

DescriptorCharacterBackend::~DescriptorCharacterBackend() {
  {
    std::unique_lock lock(mutex_);
    wait_until_written(lock);
    stopping_ = true;
  }
  work_.notify_one();
  thread_.join();
  if (ownership_ == Ownership::kOwned) ::close(descriptor_);
}

Result<std::unique_ptr<CharacterBackend>> DescriptorCharacterBackend::create_file(const std::string& path) {
  const int descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
  if (descriptor < 0) return make_errno_error(fmt::format("creating the serial output file '{}'", path));
  return std::unique_ptr<CharacterBackend>(
      std::make_unique<DescriptorCharacterBackend>(descriptor, Ownership::kOwned, path, Content::kDropped));
}

/// With the mutex held. A terminal, pipe or device has nothing to drop, which is no error.
void DescriptorCharacterBackend::drop_content() {
  if (!drops_content_) return;
  drops_content_ = false;
  if (::ftruncate(descriptor_, 0) != 0 && errno != EINVAL) {
    error_ = make_errno_error(fmt::format("writing serial output to {}", name_));
  }
}

void DescriptorCharacterBackend::write(std::span<const u8> bytes) {
  std::unique_lock lock(mutex_);
  drop_content();
  if (error_) return;
  done_.wait(lock, [this] { return buffer_.size() < kMaxBufferedBytes || error_; });
  const bool idle = buffer_.empty();
  buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
  lock.unlock();
  if (idle) work_.notify_one();
}

void DescriptorCharacterBackend::wait_until_written(std::unique_lock<std::mutex>& lock) {
  flushing_ = true;
  work_.notify_one();
  done_.wait(lock, [this] { return (buffer_.empty() && !writing_) || error_; });
  flushing_ = false;
}

Result<> DescriptorCharacterBackend::flush() {
  std::unique_lock lock(mutex_);
  drop_content();
  wait_until_written(lock);
  if (error_) return Error{*error_};
  return {};
}

void DescriptorCharacterBackend::run() {
  // A closed pipe is an error of this write, not the end of the process; signals belong to other threads.
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, nullptr);
  std::unique_lock lock(mutex_);
  while (true) {
    work_.wait(lock, [this] { return !buffer_.empty() || stopping_; });
    if (buffer_.empty()) return;
    std::vector<u8> bytes;
    bytes.swap(buffer_);
    writing_ = true;
    lock.unlock();
    std::optional<Error> error;
    for (size_t done = 0; done < bytes.size() && !error;) {
      const ssize_t n = ::write(descriptor_, bytes.data() + done, bytes.size() - done);
      if (n >= 0) {
        done += static_cast<size_t>(n);
      } else if (errno == EAGAIN) {
        pollfd waiting{.fd = descriptor_, .events = POLLOUT, .revents = 0};
        ::poll(&waiting, 1, 100);
      } else if (errno != EINTR) {
        error = make_errno_error(fmt::format("writing serial output to {}", name_));
      }
    }
    lock.lock();
    writing_ = false;
    if (error) {
      error_ = std::move(error);
      buffer_.clear();
    }
    done_.notify_all();
    if (!flushing_ && !stopping_)
      work_.wait_for(lock, kGatherTime, [this] { return flushing_ || stopping_; });
  }
}

}  // namespace orrery::devices
