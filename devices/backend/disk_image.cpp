#include "devices/backend/disk_image.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cerrno>
#include <cstdlib>
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
  struct stat info {};
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
    return make_error("opening disk image '{}': its size of {} bytes is not a positive multiple of 512", path,
                      size);
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

DiskImage::~DiskImage() {
  ::close(descriptor_);
  if (overlay_descriptor_ >= 0) ::close(overlay_descriptor_);
}

Result<> DiskImage::open_overlay() {
  if (overlay_descriptor_ >= 0) return {};
  const char* directory = std::getenv("TMPDIR");
  std::string name =
      std::string(directory != nullptr && *directory != '\0' ? directory : "/tmp") + "/orrery-overlay-XXXXXX";
  overlay_descriptor_ = ::mkostemp(name.data(), O_CLOEXEC);
  if (overlay_descriptor_ < 0)
    return make_errno_error(fmt::format("creating the overlay '{}' of disk image '{}'", name, path_));
  ::unlink(name.c_str());
  return {};
}

Result<> DiskImage::read_overlay(u64 index, Block& block) {
  for (size_t done = 0; done < block.size();) {
    const ssize_t n = ::pread(overlay_descriptor_, block.data() + done, block.size() - done,
                              static_cast<off_t>(index * kBlockBytes + done));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return make_errno_error(about("reading the overlay of", path_));
    done += static_cast<size_t>(n);
  }
  return {};
}

Result<> DiskImage::write_overlay(u64 index, const Block& block) {
  TRY(open_overlay());
  for (size_t done = 0; done < block.size();) {
    const ssize_t n = ::pwrite(overlay_descriptor_, block.data() + done, block.size() - done,
                               static_cast<off_t>(index * kBlockBytes + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return make_errno_error(about("writing the overlay of", path_));
    done += static_cast<size_t>(n);
  }
  overlay_.insert(index);
  return {};
}

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
    if (overlay_.contains(offset / kBlockBytes)) {
      Block block;
      TRY(read_overlay(offset / kBlockBytes, block));
      std::memcpy(out.data(), block.data() + in_block, bytes);
    } else {
      TRY(read_file(offset, out.first(bytes)));
    }
    out = out.subspan(bytes);
    offset += bytes;
  }
  return {};
}

Result<> DiskImage::write(u64 offset, std::span<const u8> data) {
  if (mode_ == Mode::kReadOnly) return make_error("writing disk image '{}': it is read-only", path_);
  while (!data.empty()) {
    if (mode_ == Mode::kSnapshot) {
      const u64 in_block = offset % kBlockBytes;
      const u64 bytes = std::min<u64>(data.size(), kBlockBytes - in_block);
      const u64 index = offset / kBlockBytes;
      Block block{};
      if (bytes < kBlockBytes) {
        // The rest of the block comes from where a read would find it.
        const u64 start = index * kBlockBytes;
        TRY(read(start, std::span(block).first(std::min(kBlockBytes, size_bytes_ - start))));
      }
      std::memcpy(block.data() + in_block, data.data(), bytes);
      TRY(write_overlay(index, block));
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

Result<> DiskImage::discard(u64, u64) {
  if (mode_ == Mode::kReadOnly) return make_error("discarding in disk image '{}': it is read-only", path_);
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
      Block block{};
      v.field("index", index);
      v.array("data", block);
      const bool holds = index >= after && index < limit;
      v.require(holds, "overlay blocks lie in the image, in order");
      if (!holds) break;
      after = index + 1;
      v.require(write_overlay(index, block).ok(), "the overlay can be written");
    }
  } else {
    for (const u64 index : overlay_) {
      u64 number = index;
      Block block{};
      // A block that the host can't read back counts as zeros here; the guest's own read of it reports the
      // error.
      static_cast<void>(read_overlay(index, block));
      v.field("index", number);
      v.array("data", block);
    }
  }
  v.end();
}

}  // namespace orrery::devices
