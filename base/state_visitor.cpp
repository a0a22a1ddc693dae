// The five visitors. The byte format is: begin = name length u8, name, version u32; count = u64; raw = bytes;
// end = 0xee. Section names make a mismatch between versions a clear message instead of garbage.
#include "base/state_visitor.h"

#include <cstring>

#include <xxhash.h>

#include "base/bits.h"

namespace orrery {
namespace {

constexpr u8 kEndMark = 0xee;

void append(std::vector<u8>& out, const void* data, size_t n) {
  const auto* p = static_cast<const u8*>(data);
  out.insert(out.end(), p, p + n);
}

std::string join(const std::vector<std::string>& path, std::string_view name) {
  std::string text;
  for (const auto& part : path) text += part + ".";
  return text + std::string(name);
}

std::string show(std::span<const u8> data, bool is_number) {
  if (is_number && data.size() <= 8) {
    return fmt::format("{:#x}", load_le_n(data.data(), static_cast<unsigned>(data.size())));
  }
  std::string text;
  const size_t shown = std::min<size_t>(data.size(), 64);
  for (size_t i = 0; i < shown; ++i) text += fmt::format("{:02x}", data[i]);
  if (shown < data.size()) text += fmt::format("... ({} bytes)", data.size());
  return text;
}

}  // namespace

void StateVisitor::string(std::string_view name, std::string& value, u64 limit) {
  u64 n = value.size();
  count(name, n, limit);
  if (loading()) value.assign(static_cast<size_t>(n), '\0');
  if (n != 0) raw(name, value.data(), static_cast<size_t>(n), false);
}

StateHasher::StateHasher() : state_(XXH3_createState()) {
  XXH3_64bits_reset(static_cast<XXH3_state_t*>(state_));
}
StateHasher::~StateHasher() { XXH3_freeState(static_cast<XXH3_state_t*>(state_)); }
void StateHasher::bytes(std::span<const u8> data) {
  XXH3_64bits_update(static_cast<XXH3_state_t*>(state_), data.data(), data.size());
}
void StateHasher::begin(std::string_view name, u32 version) {
  bytes({reinterpret_cast<const u8*>(name.data()), name.size()});
  bytes({reinterpret_cast<const u8*>(&version), sizeof version});
}
void StateHasher::raw(std::string_view, void* data, size_t size_bytes, bool) {
  bytes({static_cast<const u8*>(data), size_bytes});
}
void StateHasher::count(std::string_view, u64& n, u64) { bytes({reinterpret_cast<const u8*>(&n), sizeof n}); }
u64 StateHasher::digest() const { return XXH3_64bits_digest(static_cast<const XXH3_state_t*>(state_)); }

void StateWriter::begin(std::string_view name, u32 version) {
  CHECK(name.size() < 256);
  bytes_.push_back(static_cast<u8>(name.size()));
  append(bytes_, name.data(), name.size());
  append(bytes_, &version, sizeof version);
}
void StateWriter::end() { bytes_.push_back(kEndMark); }
void StateWriter::raw(std::string_view, void* data, size_t size_bytes, bool) {
  append(bytes_, data, size_bytes);
}
void StateWriter::count(std::string_view, u64& n, u64) { append(bytes_, &n, sizeof n); }

void StateReader::fail(std::string message) {
  if (!error_) error_ = std::move(message);
}
bool StateReader::take(void* out, size_t size_bytes) {
  if (error_) return false;
  if (bytes_.size() - at_ < size_bytes) {
    fail(fmt::format("{}: ends too early", join(path_, "")));
    return false;
  }
  std::memcpy(out, bytes_.data() + at_, size_bytes);
  at_ += size_bytes;
  return true;
}
void StateReader::begin(std::string_view name, u32 version) {
  u8 length = 0;
  if (!take(&length, 1)) return;
  std::string found(length, '\0');
  u32 found_version = 0;
  if (!take(found.data(), length) || !take(&found_version, sizeof found_version)) return;
  if (found != name) return fail(fmt::format("expected the part '{}', found '{}'", join(path_, name), found));
  path_.emplace_back(name);
  if (found_version != version) {
    fail(
        fmt::format("part '{}' has version {}, this program reads version {}", name, found_version, version));
  }
}
void StateReader::end() {
  u8 mark = 0;
  if (!take(&mark, 1)) return;
  if (mark != kEndMark) fail(fmt::format("part '{}' is longer than expected", join(path_, "")));
  path_.pop_back();
}
void StateReader::raw(std::string_view, void* data, size_t size_bytes, bool) { take(data, size_bytes); }
void StateReader::count(std::string_view name, u64& n, u64 limit) {
  u64 found = 0;
  n = 0;
  if (!take(&found, sizeof found)) return;
  if (found > limit) {
    return fail(fmt::format("{}: count {} is over the limit {}", join(path_, name), found, limit));
  }
  if (found > bytes_.size())
    return fail(fmt::format("{}: count {} is over the size", join(path_, name), found));
  n = found;
}
void StateReader::require(bool holds, std::string_view what) {
  if (!holds) fail(fmt::format("{}: does not hold: {}", join(path_, ""), what));
}
Result<> StateReader::finish() const {
  if (error_) return Error{*error_};
  if (at_ != bytes_.size()) return make_error("{} bytes are left over", bytes_.size() - at_);
  return {};
}

void StateDumper::begin(std::string_view name, u32) { path_.emplace_back(name); }
void StateDumper::end() { path_.pop_back(); }
void StateDumper::raw(std::string_view name, void* data, size_t size_bytes, bool is_number) {
  text_ += fmt::format("{}: {}\n", join(path_, name), show({static_cast<u8*>(data), size_bytes}, is_number));
}
void StateDumper::count(std::string_view name, u64& n, u64) {
  text_ += fmt::format("{}.count: {}\n", join(path_, name), n);
}

std::span<const u8> StateDiffer::take(size_t size_bytes, std::string_view name) {
  if (difference_) return {};
  if (other_.size() - at_ < size_bytes) {
    difference_ = fmt::format("{}: missing there", join(path_, name));
    return {};
  }
  auto part = other_.subspan(at_, size_bytes);
  at_ += size_bytes;
  return part;
}
void StateDiffer::begin(std::string_view name, u32 version) {
  const auto length = take(1, name);
  if (difference_) return;
  const auto found = take(length[0], name);
  const auto found_version = take(4, name);
  if (difference_) return;
  path_.emplace_back(name);
  if (std::string_view(reinterpret_cast<const char*>(found.data()), found.size()) != name ||
      load_le<u32>(found_version.data()) != version) {
    difference_ = fmt::format("{}: another part there", join(path_, ""));
  }
}
void StateDiffer::end() {
  take(1, "end");
  if (!difference_) path_.pop_back();
}
void StateDiffer::raw(std::string_view name, void* data, size_t size_bytes, bool is_number) {
  const auto theirs = take(size_bytes, name);
  if (difference_) return;
  if (std::memcmp(theirs.data(), data, size_bytes) == 0) return;
  difference_ = fmt::format("{}: {} here, {} there", join(path_, name),
                            show({static_cast<u8*>(data), size_bytes}, is_number), show(theirs, is_number));
}
void StateDiffer::count(std::string_view name, u64& n, u64) {
  const auto theirs = take(sizeof n, name);
  if (difference_ || load_le<u64>(theirs.data()) == n) return;
  difference_ = fmt::format("{}.count: {} here, {} there", join(path_, name), n, load_le<u64>(theirs.data()));
}

}  // namespace orrery
