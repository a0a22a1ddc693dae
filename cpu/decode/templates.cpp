// Prefixes, maps and the shape of ModRM and SIB: [SDM2 2.1, 2.2, 2.3].
#include "cpu/decode/templates.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "cpu/decode/decoder.h"
#include "cpu/decode/prefixes.h"

namespace orrery::cpu {
namespace {

/// What the first bytes of an instruction are.
enum class ByteKind : u8 { kOpcode, kPrefix, kRex, kEscape, kVex2, kVex3, kOther };

constexpr ByteKind kind_of(u8 byte, bool long_mode) {
  if (is_segment_override(byte)) return ByteKind::kPrefix;
  switch (byte) {
    case 0x66:
    case 0xf0:
    case 0xf2:
    case 0xf3:
      return ByteKind::kPrefix;
    case 0x67:  // outside long mode, ModRM has another shape behind it
      return long_mode ? ByteKind::kPrefix : ByteKind::kOther;
    case 0x0f:
      return ByteKind::kEscape;
    case 0xc4:
      return long_mode ? ByteKind::kVex3 : ByteKind::kOther;
    case 0xc5:
      return long_mode ? ByteKind::kVex2 : ByteKind::kOther;
    case 0x62:  // EVEX
    case 0x8f:  // XOP
      return ByteKind::kOther;
    default:
      return long_mode && (byte & 0xf0) == 0x40 ? ByteKind::kRex : ByteKind::kOpcode;
  }
}

constexpr std::array<std::array<ByteKind, 256>, 2> kKinds = [] {
  std::array<std::array<ByteKind, 256>, 2> kinds{};
  for (unsigned byte = 0; byte < 256; ++byte) {
    kinds[0][byte] = kind_of(static_cast<u8>(byte), false);
    kinds[1][byte] = kind_of(static_cast<u8>(byte), true);
  }
  return kinds;
}();

constexpr u32 kMaxFront = 8;  // bytes
constexpr u32 kFirstVexMap = 4;

}  // namespace

void view(const ZydisDecodedInstruction& z, const ZydisDecodedOperand* from, InsnView& out,
          OperandView* operands) {
  std::memset(static_cast<void*>(&out), 0, sizeof out);
  out.mnemonic = z.mnemonic;
  out.machine_mode = static_cast<u8>(z.machine_mode);
  out.encoding = static_cast<u8>(z.encoding);
  out.opcode_map = static_cast<u8>(z.opcode_map);
  out.opcode = z.opcode;
  out.address_width = z.address_width;
  out.operand_count = z.operand_count;
  out.operand_count_visible = z.operand_count_visible;
  out.meta.branch_type = static_cast<u8>(z.meta.branch_type);
  out.raw.modrm.reg = z.raw.modrm.reg;
  out.raw.modrm.rm = z.raw.modrm.rm;
  for (unsigned i = 0; i < z.operand_count; ++i) {
    const ZydisDecodedOperand& o = from[i];
    OperandView& to = operands[i];
    std::memset(static_cast<void*>(&to), 0, sizeof to);
    to.type = static_cast<u8>(o.type);
    to.visibility = static_cast<u8>(o.visibility);
    to.actions = static_cast<u8>(o.actions);
    to.size = o.size;
    switch (o.type) {
      case ZYDIS_OPERAND_TYPE_REGISTER:
        to.reg.value = o.reg.value;
        break;
      case ZYDIS_OPERAND_TYPE_MEMORY:
        to.mem.segment = o.mem.segment;
        to.mem.base = o.mem.base;
        to.mem.index = o.mem.index;
        to.mem.type = static_cast<u8>(o.mem.type);
        to.mem.scale = o.mem.scale;
        to.mem.disp.value = o.mem.disp.value;
        break;
      case ZYDIS_OPERAND_TYPE_IMMEDIATE:
        to.imm.is_signed = o.imm.is_signed != 0;
        to.imm.value.u = o.imm.value.u;
        break;
      default:
        break;
    }
  }
}

DecodeTemplates::DecodeTemplates()
    : has_modrm_(2 * kMaps * 256, HasModrm::kUnknown), templates_(kSlots), views_(kSlots) {}

u64 DecodeTemplates::Field::value(const u8* at) const {
  u64 bits = 0;
  switch (bytes) {
    case 1:
      bits = at[offset];
      return is_signed ? static_cast<u64>(sign_extend(bits, 8)) : bits;
    case 2:
      std::memcpy(&bits, at + offset, 2);
      return is_signed ? static_cast<u64>(sign_extend(bits, 16)) : bits;
    case 4:
      std::memcpy(&bits, at + offset, 4);
      return is_signed ? static_cast<u64>(sign_extend(bits, 32)) : bits;
    default:
      std::memcpy(&bits, at + offset, 8);
      return bits;
  }
}

DecodeTemplates::Front DecodeTemplates::opcode_of(std::span<const u8> bytes, u32 decode_key) {
  const u32 bits = decode_key & decode_key::kBitsMask;
  if (bits == decode_key::kBits16 || bytes.size() < kMaxFront) return {};
  const u32 long_mode = bits == decode_key::kBits64 ? 1 : 0;
  Front front;
  std::memcpy(&front.bytes, bytes.data(), kMaxFront);
  const u8* const end = bytes.data() + kMaxFront;
  const u8* at = bytes.data();
  const auto& kinds = kKinds[long_mode];
  while (at < end && kinds[*at] == ByteKind::kPrefix) ++at;
  if (at < end && kinds[*at] == ByteKind::kRex) ++at;
  if (end - at < 4) return {};  // room for two escapes, the opcode and ModRM
  u32 map = 0;
  switch (kinds[*at]) {
    case ByteKind::kOpcode:
      break;
    case ByteKind::kEscape:
      ++at;
      map = 1;
      if (*at == 0x38 || *at == 0x3a) map = *at++ == 0x38 ? 2 : 3;
      break;
    case ByteKind::kVex2:
      at += 2;
      map = kFirstVexMap + 1;
      break;
    case ByteKind::kVex3:
      if ((at[1] & 0x1f) > 3) return {};
      map = kFirstVexMap + (at[1] & 0x1fu);
      at += 3;
      break;
    case ByteKind::kPrefix:
    case ByteKind::kRex:
    case ByteKind::kOther:
      return {};
  }
  front.opcode = (long_mode * kMaps + map) * 256 + *at;
  front.length = static_cast<u32>(at + 1 - bytes.data());
  return front;
}

DecodeTemplates::Front DecodeTemplates::with_modrm(const Front& opcode, const u8* bytes) {
  Front front = opcode;
  if (front.length + 2 > kMaxFront) return {};
  const u8 modrm = bytes[front.length++];
  if ((modrm & 0xc0) != 0xc0 && (modrm & 7) == 4) ++front.length;
  return front;
}

const DecodeTemplates::Template* DecodeTemplates::match(std::span<const u8> bytes, u32 decode_key) const {
  Front front = opcode_of(bytes, decode_key);
  if (front.length == 0) return nullptr;
  switch (has_modrm_[front.opcode]) {
    case HasModrm::kUnknown:
      return nullptr;
    case HasModrm::kNo:
      break;
    case HasModrm::kYes:
      front = with_modrm(front, bytes.data());
      break;
  }
  const u64 kept = front.bytes & low_mask(8 * front.length);
  const u32 key = key_of(decode_key, front.length);
  const Template& t = templates_[slot_of(kept, key)];
  return t.bytes == kept && t.key == key && t.insn.length <= bytes.size() ? &t : nullptr;
}

bool DecodeTemplates::find(std::span<const u8> bytes, u32 decode_key, Insn& insn, InsnView& z,
                           OperandView* operands) const {
  const Template* const t = match(bytes, decode_key);
  if (t == nullptr) return false;
  fill(*t, bytes.data(), insn);
  const View& view = *views_[static_cast<size_t>(t - templates_.data())];
  z = view.z;
  std::copy_n(view.operands, z.operand_count, operands);
  if (t->displacement.bytes != 0)
    operands[view.memory].mem.disp.value = static_cast<i64>(t->displacement.value(bytes.data()));
  if (t->immediate.bytes != 0) operands[view.immediate].imm.value.u = t->immediate.value(bytes.data());
  return true;
}

void DecodeTemplates::learn(std::span<const u8> bytes, u32 decode_key, const Insn& insn,
                            const ZydisDecodedInstruction& z, const ZydisDecodedOperand* operands) {
  if (z.encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY && z.encoding != ZYDIS_INSTRUCTION_ENCODING_VEX) return;
  if (z.operand_count > kKeptOperands || z.raw.imm[1].size != 0) return;
  Front front = opcode_of(bytes, decode_key);
  if (front.length == 0) return;
  const HasModrm has_modrm = z.raw.modrm.offset != 0 ? HasModrm::kYes : HasModrm::kNo;
  if (has_modrm_[front.opcode] == HasModrm::kUnknown) has_modrm_[front.opcode] = has_modrm;
  if (has_modrm_[front.opcode] != has_modrm) return;
  if (has_modrm == HasModrm::kYes) front = with_modrm(front, bytes.data());
  const u8* const at = bytes.data();
  // Every byte that is not the displacement's or the immediate's has to be in the key.
  if (front.length == 0 || front.length + (z.raw.disp.size + z.raw.imm[0].size) / 8u != z.length) return;

  auto kept = std::make_unique<View>();
  view(z, operands, kept->z, kept->operands);
  Template t{.bytes = front.bytes & low_mask(8 * front.length),
             .key = key_of(decode_key, front.length),
             .displacement = field_of(z.raw.disp.offset, z.raw.disp.size, true),
             .immediate = field_of(z.raw.imm[0].offset, z.raw.imm[0].size, z.raw.imm[0].is_signed != 0),
             .insn = insn};
  for (u8 i = 0; i < z.operand_count; ++i) {
    const ZydisDecodedOperand& o = operands[i];
    switch (o.encoding) {
      case ZYDIS_OPERAND_ENCODING_IS4:
      case ZYDIS_OPERAND_ENCODING_DISP16_32_64:
        return;
      default:
        break;
    }
    if (o.type == ZYDIS_OPERAND_TYPE_POINTER) return;
    if (o.type == ZYDIS_OPERAND_TYPE_MEMORY && t.displacement.bytes != 0) {
      if (kept->memory != kNoOperandIndex) return;
      kept->memory = i;
    }
    if (o.type == ZYDIS_OPERAND_TYPE_IMMEDIATE && t.immediate.bytes != 0) {
      if (kept->immediate != kNoOperandIndex) return;
      kept->immediate = i;
    }
  }
  if (t.displacement.bytes != 0) {
    if (kept->memory == kNoOperandIndex) return;
    const u64 value = t.displacement.value(at);
    if (static_cast<u64>(operands[kept->memory].mem.disp.value) != value ||
        insn.disp != static_cast<i32>(value))
      return;
  }
  if (t.immediate.bytes != 0) {
    // An opcode's suffix, as 3DNow! has it, is no operand.
    if (kept->immediate == kNoOperandIndex) return;
    const u64 value = t.immediate.value(at);
    if (operands[kept->immediate].imm.value.u != value || insn.imm != value) return;
  }
  const u32 slot = slot_of(t.bytes, t.key);
  templates_[slot] = t;
  views_[slot] = std::move(kept);
}

}  // namespace orrery::cpu
