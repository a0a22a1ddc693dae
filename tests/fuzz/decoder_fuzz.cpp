// needs: cpu/decode/decoder.cpp cpu/decode/templates.cpp
// Fuzzes the decoder and the disassembler: any bytes in any mode give an instruction, an invalid one, or
// "more bytes"; and what was decoded is decoded the same from exactly its own bytes.

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "cpu/decode/decoder.h"

namespace {

using namespace orrery;
using cpu::Decoder;
using cpu::Insn;

constexpr size_t kMaxInsnBytes = 15;  // [SDM2 2.3.11]

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const u8* data, size_t size) {
  if (size < 3) return 0;
  const auto models = cpu::cpu_models();
  static const Decoder decoders[] = {Decoder(models.front()), Decoder(models.back())};
  const Decoder& decoder = decoders[data[0] & 1];
  const u32 bits = data[1] % 3;  // the two low bits of a key are never 3
  const u32 key = bits | (static_cast<u32>(data[2]) & ~cpu::decode_key::kBitsMask);
  std::span<const u8> bytes(data + 3, size - 3);
  while (!bytes.empty()) {
    const auto window = bytes.first(std::min(bytes.size(), kMaxInsnBytes));
    Insn insn{};
    const auto status = decoder.decode(window, key, insn);
    CHECK(status != Decoder::Status::kTruncated || window.size() < kMaxInsnBytes);
    size_t length = 1;
    if (status == Decoder::Status::kOk) {
      length = insn.length;
      CHECK(length >= 1 && length <= window.size() && insn.handler != nullptr);
      Insn again{};
      CHECK(decoder.decode(window.first(length), key, again) == Decoder::Status::kOk);
      CHECK(std::memcmp(&insn, &again, sizeof insn) == 0);
      if (length > 1) {
        CHECK(decoder.decode(window.first(length - 1), key, again) != Decoder::Status::kOk ||
              again.length < length);
      }
    }
    Decoder::disassemble(window, 16u << bits, 0xffffffff80000000);
    bytes = bytes.subspan(length);
  }
  return 0;
}
