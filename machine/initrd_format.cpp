#include "machine/initrd_format.h"

#include <charconv>

#include <zlib.h>

#include "base/bits.h"

namespace orrery::machine {
namespace {

bool starts_with(std::span<const u8> image, std::string_view magic, size_t at = 0) {
  return image.size() >= at + magic.size() && std::memcmp(image.data() + at, magic.data(), magic.size()) == 0;
}

bool is_cpio(std::span<const u8> image) {
  return starts_with(image, "070701") || starts_with(image, "070702");
}

/// Compressed by something that is not read here.
bool is_other_compression(std::span<const u8> image) {
  using namespace std::string_view_literals;
  for (const std::string_view magic : {"BZh"sv, "\x5d\0\0"sv,
                                       "\xfd"
                                       "7zXZ\0"sv,
                                       "\x89LZO"sv, "\x02\x21\x4c\x18"sv, "\x28\xb5\x2f\xfd"sv}) {
    if (starts_with(image, magic)) return true;
  }
  return false;
}

/// ext2 and its successors, squashfs, cramfs, romfs: what the kernel's RAM disk loader knows.
bool is_file_system(std::span<const u8> image) {
  return starts_with(image, "\x53\xef", 0x438) || starts_with(image, "hsqs") ||
         starts_with(image, "\x45\x3d\xcd\x28") || starts_with(image, "-rom1fs-");
}

/// A field of eight hexadecimal digits.
std::optional<u32> hex_field(std::span<const u8> header, size_t at) {
  const char* text = reinterpret_cast<const char*>(header.data()) + at;
  u32 value = 0;
  const auto [end, error] = std::from_chars(text, text + 8, value, 16);
  if (error != std::errc{} || end != text + 8) return std::nullopt;
  return value;
}

/// The bytes of the archive at the front, up to its trailer.
std::optional<u64> cpio_size(std::span<const u8> image) {
  constexpr u64 kHeaderBytes = 110, kFileSize = 54, kNameSize = 94;
  constexpr std::string_view kTrailer = "TRAILER!!!";
  u64 at = 0;
  while (true) {
    if (at > image.size() || image.size() - at < kHeaderBytes) return std::nullopt;
    const std::span<const u8> header = image.subspan(at);
    const auto file_bytes = hex_field(header, kFileSize);
    const auto name_bytes = hex_field(header, kNameSize);
    if (!is_cpio(header) || !file_bytes || !name_bytes) return std::nullopt;
    const bool last = starts_with(header, kTrailer, kHeaderBytes);
    at = align_up(at + kHeaderBytes + *name_bytes, 4);
    if (at > image.size()) return last ? std::optional<u64>(image.size()) : std::nullopt;
    if (last) return at;
    if (*file_bytes > image.size() - at) return std::nullopt;
    at = align_up(at + *file_bytes, 4);
  }
}

/// The bytes of the gzip stream at the front, its check sum included. [RFC 1952]
std::optional<u64> gzip_size(std::span<const u8> image) {
  constexpr int kGzipOnly = 16 + MAX_WBITS;
  constexpr size_t kMaxChunk = 1u << 30;
  z_stream stream{};
  if (inflateInit2(&stream, kGzipOnly) != Z_OK) return std::nullopt;
  std::vector<u8> dropped(256 << 10);
  int status = Z_OK;
  u64 at = 0;
  while (status == Z_OK) {
    if (stream.avail_in == 0) {
      if (at == image.size()) break;
      const size_t chunk = std::min<u64>(image.size() - at, kMaxChunk);
      stream.next_in = const_cast<u8*>(image.data() + at);  // zlib's interface; it does not write there
      stream.avail_in = static_cast<uInt>(chunk);
      at += chunk;
    }
    stream.next_out = dropped.data();
    stream.avail_out = static_cast<uInt>(dropped.size());
    status = inflate(&stream, Z_NO_FLUSH);
  }
  const u64 used = at - stream.avail_in;
  inflateEnd(&stream);
  if (status != Z_STREAM_END) return std::nullopt;
  return used;
}

}  // namespace

Result<> check_initrd(std::span<const u8> image, std::string_view name) {
  if (is_file_system(image)) return {};
  u64 at = 0;
  bool found = false;
  while (at < image.size()) {
    const std::span<const u8> rest = image.subspan(at);
    if (rest[0] == 0) {
      ++at;
      continue;
    }
    if (is_other_compression(rest)) return {};
    std::optional<u64> size_bytes;
    if (is_cpio(rest)) {
      size_bytes = cpio_size(rest);
    } else if (starts_with(rest, "\x1f\x8b")) {
      size_bytes = gzip_size(rest);
    } else {
      return make_error(
          "initrd '{}': byte {} begins neither a newc cpio archive, compressed or not, nor a file system",
          name, at);
    }
    if (!size_bytes)
      return make_error("initrd '{}': the archive at byte {} is truncated or damaged", name, at);
    at += *size_bytes;
    found = true;
  }
  if (!found) return make_error("initrd '{}': empty", name);
  return {};
}

}  // namespace orrery::machine
