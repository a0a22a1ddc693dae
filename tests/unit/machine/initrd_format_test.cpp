// What may and what may not be a Linux initial RAM disk.

#include "machine/initrd_format.h"

#include <gtest/gtest.h>

#include <fmt/format.h>
#include <zlib.h>

namespace orrery::machine {
namespace {

std::string cpio_entry(std::string_view name, std::string_view data) {
  std::string out = "070701";
  for (const size_t field :
       {size_t{1}, size_t{0100644}, size_t{0}, size_t{0}, size_t{1}, size_t{0}, data.size(), size_t{0},
        size_t{0}, size_t{0}, size_t{0}, name.size() + 1, size_t{0}}) {
    out += fmt::format("{:08x}", field);
  }
  out += name;
  out += '\0';
  out.resize((out.size() + 3) & ~size_t{3});
  out += data;
  out.resize((out.size() + 3) & ~size_t{3});
  return out;
}

std::string archive() { return cpio_entry("init", "#!/bin/sh\n") + cpio_entry("TRAILER!!!", ""); }

std::string gzipped(const std::string& text) {
  z_stream stream{};
  EXPECT_EQ(deflateInit2(&stream, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string out(text.size() + 1000, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

Result<> check(const std::string& text) {
  return check_initrd({reinterpret_cast<const u8*>(text.data()), text.size()}, "file");
}

TEST(InitrdFormat, TakesWhatTheKernelTakes) {
  EXPECT_TRUE(check(archive()));
  EXPECT_TRUE(check(gzipped(archive())));
  EXPECT_TRUE(check(archive() + std::string(512, '\0') + gzipped(archive()) + std::string(512, '\0')));
  EXPECT_TRUE(check("\x28\xb5\x2f\xfd and so on"));
  std::string ext4(4096, '\0');
  ext4.replace(0x438, 2, "\x53\xef");
  EXPECT_TRUE(check(ext4));
}

TEST(InitrdFormat, RefusesEveryTruncation) {
  const std::string packed = gzipped(archive());
  for (size_t size = 0; size < packed.size(); ++size) EXPECT_FALSE(check(packed.substr(0, size))) << size;
  const std::string plain = archive();
  // The zeros that pad the trailer may be missing.
  for (size_t size = 0; size < plain.size() - 4; ++size) EXPECT_FALSE(check(plain.substr(0, size))) << size;
}

TEST(InitrdFormat, RefusesWhatIsNone) {
  const auto random = check("Lorem ipsum dolor sit amet");
  ASSERT_FALSE(random);
  EXPECT_NE(random.error().message.find("'file'"), std::string::npos);
  EXPECT_FALSE(check(""));
  EXPECT_FALSE(check(std::string(1000, '\0')));
  EXPECT_FALSE(check(archive() + "garbage"));
  std::string flipped = gzipped(archive());
  flipped[flipped.size() - 6] ^= 1;
  EXPECT_FALSE(check(flipped));
}

}  // namespace
}  // namespace orrery::machine
