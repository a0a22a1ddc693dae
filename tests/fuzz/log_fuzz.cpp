// Fuzzes the reader of input logs. Checksums would stop mutations at once, so the input is also wrapped in a
// valid header and valid record checksums.

#include <vector>

#include <xxhash.h>

#include "base/bits.h"
#include "base/check.h"
#include "base/input_log.h"

namespace {

using namespace orrery;

void parse(const std::vector<u8>& bytes) {
  const auto log = InputLog::parse(bytes, "fuzz.log");
  if (!log) {
    CHECK(log.error().message.find('\n') == std::string::npos);
    return;
  }
  Tick last = 0;
  for (const InputEvent& event : log.value().events) {
    CHECK(event.tick >= last && event.payload.size() <= kMaxPayloadBytes);
    last = event.tick;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const u8* data, size_t size) {
  parse({data, data + size});

  std::vector<u8> bytes = {'O', 'R', 'R', 'E', 'R', 'Y', 'L', 'G', kInputLogVersion, 0, 0, 0, 0, 0, 0, 0};
  const auto append_hash = [&bytes](size_t from, size_t hash_bytes) {
    const u64 hash = XXH3_64bits(bytes.data() + from, bytes.size() - from);
    for (size_t i = 0; i < hash_bytes; ++i) bytes.push_back(static_cast<u8>(hash >> (8 * i)));
  };
  append_hash(0, 8);
  // Records of the input's own making: 15 bytes of header, then up to 255 of payload.
  size_t at = 0;
  while (size - at >= 15) {
    const size_t start = bytes.size();
    bytes.insert(bytes.end(), data + at, data + at + 15);
    const size_t payload = std::min<size_t>(data[at + 11], size - at - 15);
    store_le(bytes.data() + start + 11, static_cast<u32>(payload));
    bytes.insert(bytes.end(), data + at + 15, data + at + 15 + payload);
    append_hash(start, 4);
    at += 15 + payload;
  }
  parse(bytes);
  return 0;
}
