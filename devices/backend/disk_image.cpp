#include "devices/backend/disk_image.h"

#include <cerrno>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

#include "base/bits.h"

namespace orrery::devices {
namespace {


std::string about(std::string_view doing, const std::string& path) {
  return fmt::format("{} disk image '{}'", doing, path);
}

}  // namespace

Result<std::unique_ptr<DiskImage>> DiskImage::open(const std::string& path, Mode mode) {
  const int flags = (mode == Mode::kDirect ? O_RDWR : O_RDONLY) | O_CLOEXEC;
  const int descriptor = ::open(path.c_str(), flags);
  if (descriptor < 0) return make_errno_error(about("opening", path));
  std::unique_ptr<DiskImage> holder(new DiskImage(descriptor, path, mode, 0));  // closes on every way out
  struct stat info{};
  if (::fstat(descriptor, &info) != 0) return make_errno_error(about("opening", path));
  if (S_ISDIR(info.st_mode)) return make_error("opening disk image '{}': it is a directory", path);
  u64 size = static_cast<u64>(info.st_size);
  if (S_ISBLK(info.st_mode)) {
    const off_t end = ::lseek(descriptor, 0, SEEK_END);
    if (end < 0) return make_errno_error(about("sizing", path));
    size = static_cast<u64>(end);
  } else if (!S_ISREG(info.st_mode)) {
    return make_error("opening disk image '{}': it is neither a file nor a block device", path);
  }
  if (size == 0 || size % kSectorBytes != 0) {
    return make_error("opening disk image '{}': its size of {} bytes is not a positive multiple of 512", path, size);
  }
  if (::flock(descriptor, (mode == Mode::kDirect ? LOCK_EX : LOCK_SH) | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) return make_error("locking disk image '{}': another process is using it", path);
    return make_errno_error(about("locking", path));
  }
  const int owned = ::dup(descriptor);  // shares the lock
  if (owned < 0) return make_errno_error(about("opening", path));
  ::fcntl(owned, F_SETFD, FD_CLOEXEC);
  return std::unique_ptr<DiskImage>(new DiskImage(owned, path, mode, size));
}

DiskImage::~DiskImage() { ::close(descriptor_); }

Result<> DiskImage::read_file(u64 offset, std::span<u8> out) {
  while (!out.empty()) {
    const ssize_t n = ::pread(descriptor_, out.data(), out.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return make_errno_error(about("reading", path_));
    if (n == 0) return make_error("reading disk image '{}': it has become shorter", path_);
    out = out.subspan(static_cast<size_t>(n));
    offset += static_cast<u64>(n);
  }
  return {};
}

Result<> DiskImage::read(u64 offset, std::span<u8> out) {
  if (overlay_.empty()) return read_file(offset, out);
  while (!out.empty()) {
    const u64 in_block = offset % kBlockBytes;
    const u64 bytes = std::min<u64>(out.size(), kBlockBytes - in_block);
    if (const auto found = overlay_.find(offset / kBlockBytes); found != overlay_.end()) {
      std::memcpy(out.data(), found->second->data() + in_block, bytes);
    } else {
      TRY(read_file(offset, out.first(bytes)));
    }
    out = out.subspan(bytes);
    offset += bytes;
  }
  return {};
}

/// The overlay's copy of a block, made from the file when it is first written.
Result<DiskImage::Block*> DiskImage::overlay_block(u64 index) {
  if (const auto found = overlay_.find(index); found != overlay_.end()) return found->second.get();
  auto block = std::make_unique<Block>();
  const u64 start = index * kBlockBytes;
  TRY(read_file(start, std::span(*block).first(std::min(kBlockBytes, size_bytes_ - start))));
  return overlay_.emplace(index, std::move(block)).first->second.get();
}

Result<> DiskImage::write(u64 offset, std::span<const u8> data) {
  if (mode_ == Mode::kReadOnly) return make_error("writing disk image '{}': it is read-only", path_);
  while (!data.empty()) {
    if (mode_ == Mode::kSnapshot) {
      const u64 in_block = offset % kBlockBytes;
      const u64 bytes = std::min<u64>(data.size(), kBlockBytes - in_block);
      TRY_ASSIGN(Block * block, overlay_block(offset / kBlockBytes));
      std::memcpy(block->data() + in_block, data.data(), bytes);
      data = data.subspan(bytes);
      offset += bytes;
      continue;
    }
    const ssize_t n = ::pwrite(descriptor_, data.data(), data.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return make_errno_error(about("writing", path_));
    data = data.subspan(static_cast<size_t>(n));
    offset += static_cast<u64>(n);
  }
  return {};
}

Result<> DiskImage::write_zeroes(u64 offset, u64 size_bytes) {
  static constexpr std::array<u8, 64 << 10> kZeroes{};
  while (size_bytes != 0) {
    const u64 bytes = std::min<u64>(size_bytes, kZeroes.size());
    TRY(write(offset, std::span(kZeroes).first(bytes)));
    offset += bytes;
    size_bytes -= bytes;
  }
  return {};
}

Result<> DiskImage::discard(u64 offset, u64 size_bytes) {
  if (mode_ == Mode::kReadOnly) return make_error("discarding in disk image '{}': it is read-only", path_);
  // A hint: a host file system that can't punch holes is no error.
  if (mode_ == Mode::kDirect) {
    static_cast<void>(::fallocate(descriptor_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset),
                                  static_cast<off_t>(size_bytes)));
  }
  return {};
}

Result<> DiskImage::flush() {
  if (mode_ != Mode::kDirect) return {};
  if (::fdatasync(descriptor_) != 0) return make_errno_error(about("flushing", path_));
  return {};
}

void DiskImage::visit_state(StateVisitor& v) {
  v.begin("overlay", 1);
  u64 blocks = overlay_.size();
  const u64 limit = mode_ == Mode::kSnapshot ? (size_bytes_ + kBlockBytes - 1) / kBlockBytes : 0;
  v.count("blocks", blocks, limit);
  if (v.loading()) {
    overlay_.clear();
    u64 after = 0;
    for (u64 i = 0; i < blocks; ++i) {
      u64 index = 0;
      auto block = std::make_unique<Block>();
      v.field("index", index);
      v.array("data", *block);
      const bool holds = index >= after && index < limit;
      v.require(holds, "overlay blocks lie in the image, in order");
      if (!holds) break;
      after = index + 1;
      overlay_.emplace(index, std::move(block));
    }
  } else {
    for (auto& [index, block] : overlay_) {
      u64 number = index;
      v.field("index", number);
      v.array("data", *block);
    }
  }
  v.end();
}

}  // namespace orrery::devices
