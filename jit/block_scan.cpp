// Scanning ends where an interpreter's trace would, so that both decode the same bytes at the same time.
#include "jit/block_scan.h"

#include "cpu/exec/common.h"
#include "cpu/isa/table.h"

namespace orrery::jit {
namespace {

// These change what later instructions of the block were translated for: the MXCSR exception masks.
bool changes_block_key(std::string_view name) {
  return name == "LDMXCSR" || name == "VLDMXCSR" || name.starts_with("FXRSTOR") || name.starts_with("XRSTOR");
}

}  // namespace

BlockScanner::BlockScanner(const cpu::Decoder& decoder) : decoder_(decoder) {
  ZydisDecoderInit(&zydis_, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
}

void BlockScanner::scan(const u8* host, const u8* host_end, u32 decode_key,
                        std::vector<GuestInsn>& out) const {
  out.clear();
  const u8* at = host;
  while (out.size() < kMaxBlockInsns && at < host_end) {
    GuestInsn& g = out.emplace_back();
    const auto bytes = static_cast<size_t>(host_end - at);
    const cpu::Decoder::Status status = decoder_.decode({at, bytes}, decode_key, g.insn);
    if (status == cpu::Decoder::Status::kTruncated) {
      out.pop_back();
      return;
    }
    g.offset = static_cast<u16>(at - host);
    at += g.insn.length;
    g.valid = status == cpu::Decoder::Status::kOk && g.insn.handler != cpu::exec::raise_ud &&
              g.insn.handler != cpu::exec::raise_nm &&
              ZYAN_SUCCESS(ZydisDecoderDecodeFull(&zydis_, at - g.insn.length, g.insn.length, &g.z, g.operands));
    const cpu::isa::Row& row = cpu::isa::rows()[g.insn.row];
    if (!g.valid || (row.traits & cpu::isa::trait::kEndsTrace) != 0 || changes_block_key(row.name)) return;
  }
}

}  // namespace orrery::jit
