#include "base/host_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <memory>

namespace orrery {
namespace {

class OpenFile {
 public:
  explicit OpenFile(const std::string& path) : fd_(open(path.c_str(), O_RDONLY | O_CLOEXEC)) {}
  ~OpenFile() {
    if (fd_ >= 0) close(fd_);
  }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  int fd() const { return fd_; }

 private:
  int fd_;
};

}  // namespace

Result<HostVector<u8>> read_host_file(const std::string& path, u64 limit_bytes, std::string_view what) {
  const OpenFile file(path);
  if (file.fd() < 0) return make_errno_error(fmt::format("opening the {} '{}'", what, path));
  struct stat info {};
  if (fstat(file.fd(), &info) != 0) return make_errno_error(fmt::format("reading the {} '{}'", what, path));
  if (!S_ISREG(info.st_mode)) return make_error("reading the {} '{}': not a regular file", what, path);
  if (static_cast<u64>(info.st_size) > limit_bytes) {
    return make_error("reading the {} '{}': {} bytes are more than the {} that fit", what, path, info.st_size,
                      limit_bytes);
  }
  HostVector<u8> bytes(static_cast<size_t>(info.st_size));
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t n = read(file.fd(), bytes.data() + done, bytes.size() - done);
    if (n < 0) return make_errno_error(fmt::format("reading the {} '{}'", what, path));
    if (n == 0) return make_error("reading the {} '{}': it became shorter meanwhile", what, path);
    done += static_cast<size_t>(n);
  }
  return bytes;
}

Result<FileIdentity> identify_host_file(const std::string& path) {
  const OpenFile file(path);
  if (file.fd() < 0) return make_errno_error(fmt::format("opening '{}'", path));
  const std::unique_ptr<XXH3_state_t, XXH_errorcode (*)(XXH3_state_t*)> state(XXH3_createState(),
                                                                              XXH3_freeState);
  XXH3_64bits_reset(state.get());
  FileIdentity identity;
  std::vector<u8> buffer(1u << 20);
  while (true) {
    const ssize_t n = read(file.fd(), buffer.data(), buffer.size());
    if (n < 0) return make_errno_error(fmt::format("reading '{}'", path));
    if (n == 0) break;
    XXH3_64bits_update(state.get(), buffer.data(), static_cast<size_t>(n));
    identity.size_bytes += static_cast<u64>(n);
  }
  identity.hash = XXH3_64bits_digest(state.get());
  return identity;
}

}  // namespace orrery
