// Which constants are live, and what a block is compared by.
#include "jit/patched_blocks.h"

#include <algorithm>
#include <cstring>

namespace orrery::jit {
namespace {

/// Whether LEA at `code` has a displacement of 32 bits behind a register. [SDM2 2.1.5]
bool has_long_displacement(const u8* code) {
  const auto is_prefix = [](u8 byte) {
    constexpr u8 kSegments[] = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65};
    return byte == 0x67 || (byte & 0xf0) == 0x40 || std::ranges::find(kSegments, byte) != std::end(kSegments);
  };
  while (is_prefix(*code)) ++code;
  constexpr u8 kLea = 0x8d;
  return code[0] == kLea && code[1] >> 6 == 2;
}

}  // namespace

u8 live_constant_bytes(const GuestInsn& g, const u8* code) {
  constexpr u8 kLong = 4, kWhole = 8;
  if (!g.valid || g.plan != Plan::kRewrite || g.z.machine_mode != ZYDIS_MACHINE_MODE_LONG_64 ||
      g.z.opcode_map != ZYDIS_OPCODE_MAP_DEFAULT)
    return 0;
  const cpu::OperandView &to = g.operands[0], &from = g.operands[1];
  if (to.type != ZYDIS_OPERAND_TYPE_REGISTER || to.size < 32) return 0;
  if (g.z.mnemonic == ZYDIS_MNEMONIC_LEA)
    return from.mem.base != ZYDIS_REGISTER_RIP && has_long_displacement(code) ? kLong : u8{0};
  if (from.type != ZYDIS_OPERAND_TYPE_IMMEDIATE) return 0;
  constexpr u8 kAluLong = 0x81, kMovLong = 0xc7, kTestLong = 0xf7, kTestAccumulator = 0xa9,
               kMovRegister = 0xb8;
  switch (g.z.mnemonic) {
    case ZYDIS_MNEMONIC_MOV:
      if ((g.z.opcode & 0xf8) == kMovRegister) return to.size == 64 ? kWhole : kLong;
      return g.z.opcode == kMovLong ? kLong : u8{0};
    case ZYDIS_MNEMONIC_ADD:
    case ZYDIS_MNEMONIC_OR:
    case ZYDIS_MNEMONIC_ADC:
    case ZYDIS_MNEMONIC_SBB:
    case ZYDIS_MNEMONIC_AND:
    case ZYDIS_MNEMONIC_SUB:
    case ZYDIS_MNEMONIC_XOR:
    case ZYDIS_MNEMONIC_CMP:
      return g.z.opcode == kAluLong || (g.z.opcode < 0x40 && (g.z.opcode & 7) == 5) ? kLong : u8{0};
    case ZYDIS_MNEMONIC_TEST:
      return g.z.opcode == kTestLong || g.z.opcode == kTestAccumulator ? kLong : u8{0};
    default:
      return 0;
  }
}

namespace {

/// A block that stays makes every store to its page a slow one. Where many words of its code have changed
/// since it came back last, that is dearer than to come back again.
constexpr u32 kMostStays = 64, kFewStays = 1;
constexpr unsigned kFewWords = 4;

}  // namespace

void PatchedBlocks::add(u64 place, BlockId id, const u8* code, const std::vector<GuestInsn>& insns) {
  const GuestInsn& last = insns.back();
  const size_t bytes = last.offset + last.insn.length;
  Patched& p = blocks_[place];
  p = {.id = id, .stays = kMostStays, .code = {code, code + bytes}, .kept = std::vector<u8>(bytes, 0xff)};
  for (const GuestInsn& g : insns) {
    if (g.plan != Plan::kRewrite) continue;  // its handler has the constant as it was decoded
    std::fill_n(p.kept.begin() + g.offset + g.insn.length - g.live_constant, g.live_constant, u8{0});
  }
}

bool PatchedBlocks::may_stay(u64 place, i64 offset, u64 size) {
  const auto found = blocks_.find(place);
  if (found == blocks_.end()) return false;
  Patched& p = found->second;
  if (p.stays == 0 || offset < 0 || static_cast<u64>(offset) + size > p.kept.size()) return false;
  const auto first = p.kept.begin() + offset;
  if (std::any_of(first, first + static_cast<i64>(size), [](u8 kept) { return kept != 0; })) return false;
  --p.stays;
  return true;
}

void PatchedBlocks::note_drop(u64 place, const Entry& entry) {
  const auto found = blocks_.find(place);
  if (found == blocks_.end()) return;
  found->second.dropped = true;
  found->second.entry = entry;
}

PatchedBlocks::Revival PatchedBlocks::revive(u64 place, const u8* code) {
  const auto found = blocks_.find(place);
  if (found == blocks_.end() || !found->second.dropped) return {};
  Patched& p = found->second;
  unsigned changed = 0;
  u64 differs = 0;
  for (size_t at = 0; at < p.code.size(); at += sizeof(u64)) {
    const size_t bytes = std::min(sizeof(u64), p.code.size() - at);
    u64 old = 0, now = 0, kept = 0;
    std::memcpy(&old, p.code.data() + at, bytes);
    std::memcpy(&now, code + at, bytes);
    std::memcpy(&kept, p.kept.data() + at, bytes);
    differs |= (old ^ now) & kept;
    changed += old != now ? 1 : 0;
  }
  if (differs != 0) {
    blocks_.erase(found);
    return {.kind = Revival::Kind::kReshaped};
  }
  std::memcpy(p.code.data(), code, p.code.size());
  p.dropped = false;
  p.stays = changed > kFewWords ? kFewStays : kMostStays;
  return {.kind = Revival::Kind::kSame, .id = p.id, .entry = p.entry};
}

void PatchedBlocks::forget(BlockId first, u32 count) {
  std::erase_if(blocks_, [=](const auto& at) { return at.second.id - first < count; });
}

}  // namespace orrery::jit
