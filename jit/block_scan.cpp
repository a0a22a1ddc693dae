// Scanning ends behind what ends an interpreter's trace, behind what changes the block's key, or with the
// page.
#include "jit/block_scan.h"

#include "cpu/exec/common.h"
#include "cpu/isa/table.h"

namespace orrery::jit {
namespace {

constexpr i64 kLongestLoopBytes = 1024, kFarthestBytes = 512;

// These change what later instructions of the block were translated for: the MXCSR exception masks, the
// privilege view.
bool changes_block_key(std::string_view name) {
  return name == "LDMXCSR" || name == "VLDMXCSR" || name.starts_with("FXRSTOR") ||
         name.starts_with("XRSTOR") || name == "STAC" || name == "CLAC";
}

/// What lies between counts as the block's when it is written to: it must not be much.
bool leads_forward(const GuestInsn& g) {
  return g.valid && g.z.mnemonic == ZYDIS_MNEMONIC_JMP && g.z.meta.branch_type != ZYDIS_BRANCH_TYPE_FAR &&
         g.operands[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE && g.insn.operand_bytes() == word_bytes(g) &&
         static_cast<i64>(g.insn.imm) >= 0 && static_cast<i64>(g.insn.imm) <= kFarthestBytes;
}

}  // namespace

BlockScanner::BlockScanner(const cpu::Decoder& decoder) : decoder_(decoder) {}

bool BlockScanner::add(std::span<const u8> bytes, u16 offset, u32 decode_key,
                       std::vector<GuestInsn>& out) const {
  GuestInsn& g = out.emplace_back();
  bool exact = false;
  const cpu::Decoder::Status status = decoder_.decode(bytes, decode_key, g.insn, g.z, g.operands, exact);
  if (status == cpu::Decoder::Status::kTruncated) {
    out.pop_back();
    return false;
  }
  g.offset = offset;
  g.valid = status == cpu::Decoder::Status::kOk && g.insn.handler != cpu::exec::raise_ud &&
            g.insn.handler != cpu::exec::raise_nm && exact;
  return true;
}

void BlockScanner::scan(const u8* host, const u8* host_end, u32 decode_key, unsigned max_insns,
                        std::vector<GuestInsn>& out) const {
  scan_run(host, host_end, decode_key, max_insns, out);
  if (!out.empty()) out.back().followed = false;
}

void BlockScanner::scan_run(const u8* host, const u8* host_end, u32 decode_key, unsigned max_insns,
                            std::vector<GuestInsn>& out) const {
  out.clear();
  const u8* at = host;
  while (out.size() < max_insns && at < host_end) {
    if (!add({at, static_cast<size_t>(host_end - at)}, static_cast<u16>(at - host), decode_key, out)) return;
    GuestInsn& g = out.back();
    at += g.insn.length;
    const cpu::isa::Row& row = cpu::isa::rows()[g.insn.row];
    if (leads_forward(g) && static_cast<i64>(g.insn.imm) < host_end - at) {
      g.followed = true;
      at += g.insn.imm;
      continue;
    }
    // STI ends the interpreter's trace for its shadow, which ends within the block (x64/system.cpp).
    const bool ends = (row.traits & cpu::isa::trait::kEndsTrace) != 0 && row.name != std::string_view("STI");
    if (!g.valid || ends || changes_block_key(row.name)) return;
    // A jump a little backwards is taken: it ends a loop. One far back is as likely not: just-in-time
    // compilers check what they assume with jumps to where they give up.
    const auto distance = static_cast<i64>(g.insn.imm);
    if ((row.traits & cpu::isa::trait::kConditional) != 0 && distance < 0 && distance > -kLongestLoopBytes)
      return;
  }
}

void BlockScanner::scan_one(std::span<const u8> bytes, u32 decode_key, std::vector<GuestInsn>& out) const {
  out.clear();
  static_cast<void>(add(bytes, 0, decode_key, out));
}

}  // namespace orrery::jit
