// Both sides are disassembled by Zydis.
#include "jit/listing.h"

#include <algorithm>

namespace orrery::jit {
namespace {

std::string hex(std::span<const u8> bytes) {
  std::string text;
  for (const u8 b : bytes) text += fmt::format("{:02x}", b);
  return text;
}

}  // namespace

Result<File> open_listing(const std::string& path) {
  File file(std::fopen(path.c_str(), "we"));
  if (!file) return make_errno_error(fmt::format("writing '{}'", path));
  return file;
}

std::string list_block(u64 rip, const u8* guest_bytes, std::span<const GuestInsn> insns,
                       std::span<const u8> host_code, u64 host_address, std::span<const u32> starts) {
  std::string text = fmt::format("block {:#x}: {} instructions, {} host bytes at {:#x}\n", rip, insns.size(),
                                 host_code.size(), host_address);
  size_t next = 0;
  for (size_t at = 0; at < host_code.size();) {
    for (; next < insns.size() && starts[next] <= at; ++next) {
      const GuestInsn& g = insns[next];
      const std::span<const u8> bytes{guest_bytes + g.offset, g.insn.length};
      text += fmt::format("  {:#x}  {:<22} {}\n", rip + g.offset, hex(bytes),
                          cpu::Decoder::disassemble(bytes, 8 * word_bytes(g), rip + g.offset));
    }
    ZydisDisassembledInstruction host;
    const auto left = host_code.subspan(at);
    if (!ZYAN_SUCCESS(ZydisDisassembleIntel(ZYDIS_MACHINE_MODE_LONG_64, host_address + at, left.data(),
                                            left.size(), &host))) {
      text += fmt::format("      {:5}  {:02x}\n", at, left[0]);
      ++at;
      continue;
    }
    text += fmt::format("      {:5}  {:<30} {}\n", at, hex(left.first(host.info.length)), host.text);
    at += host.info.length;
  }
  return text + "\n";
}

std::string perf_map_line(u64 host_address, u32 bytes, u64 rip) {
  return fmt::format("{:x} {:x} guest_{:x}\n", host_address, bytes, rip);
}

}  // namespace orrery::jit
