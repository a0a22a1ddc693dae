#include "cpu/decode/decoder.h"

#include <Zydis/Zydis.h>

#include <algorithm>
#include <cctype>
#include <vector>

#include "cpu/decode/prefixes.h"
#include "cpu/decode/templates.h"
#include "cpu/exec/common.h"
#include "cpu/isa/table.h"

namespace orrery::cpu {
namespace {

Outcome raise_gp0(Vcpu& cpu, const Insn&) { return cpu.raise(kGP, 0); }

struct RegisterNumber {
  OperandKind kind;
  u8 number;
};

RegisterNumber number_of(ZydisRegister reg) {
  const auto in = [reg](ZydisRegister first, ZydisRegister last) { return reg >= first && reg <= last; };
  const auto from = [reg](ZydisRegister first) { return static_cast<u8>(reg - first); };
  if (in(ZYDIS_REGISTER_AL, ZYDIS_REGISTER_BL))
    return {OperandKind::kGpr, static_cast<u8>(8 * from(ZYDIS_REGISTER_AL))};
  if (in(ZYDIS_REGISTER_AH, ZYDIS_REGISTER_BH)) {
    return {OperandKind::kGpr, static_cast<u8>(8 * from(ZYDIS_REGISTER_AH) + 1)};
  }
  if (in(ZYDIS_REGISTER_SPL, ZYDIS_REGISTER_R15B)) {
    return {OperandKind::kGpr, static_cast<u8>(8 * (4 + from(ZYDIS_REGISTER_SPL)))};
  }
  if (in(ZYDIS_REGISTER_AX, ZYDIS_REGISTER_R15W)) return {OperandKind::kGpr, from(ZYDIS_REGISTER_AX)};
  if (in(ZYDIS_REGISTER_EAX, ZYDIS_REGISTER_R15D)) return {OperandKind::kGpr, from(ZYDIS_REGISTER_EAX)};
  if (in(ZYDIS_REGISTER_RAX, ZYDIS_REGISTER_R15)) return {OperandKind::kGpr, from(ZYDIS_REGISTER_RAX)};
  if (in(ZYDIS_REGISTER_ST0, ZYDIS_REGISTER_ST7)) return {OperandKind::kX87, from(ZYDIS_REGISTER_ST0)};
  if (in(ZYDIS_REGISTER_MM0, ZYDIS_REGISTER_MM7)) return {OperandKind::kMmx, from(ZYDIS_REGISTER_MM0)};
  if (in(ZYDIS_REGISTER_XMM0, ZYDIS_REGISTER_XMM31)) return {OperandKind::kVector, from(ZYDIS_REGISTER_XMM0)};
  if (in(ZYDIS_REGISTER_YMM0, ZYDIS_REGISTER_YMM31)) return {OperandKind::kVector, from(ZYDIS_REGISTER_YMM0)};
  if (in(ZYDIS_REGISTER_ES, ZYDIS_REGISTER_GS)) return {OperandKind::kSegment, from(ZYDIS_REGISTER_ES)};
  if (in(ZYDIS_REGISTER_CR0, ZYDIS_REGISTER_CR15)) return {OperandKind::kControl, from(ZYDIS_REGISTER_CR0)};
  if (in(ZYDIS_REGISTER_DR0, ZYDIS_REGISTER_DR15)) return {OperandKind::kDebug, from(ZYDIS_REGISTER_DR0)};
  if (in(ZYDIS_REGISTER_K0, ZYDIS_REGISTER_K7)) return {OperandKind::kMask, from(ZYDIS_REGISTER_K0)};
  return {OperandKind::kNone, 0};
}

u8 log2_bytes(unsigned bits) {
  switch (bits) {
    case 16:
      return 1;
    case 32:
      return 2;
    case 64:
      return 3;
    default:
      return 0;
  }
}

void take_memory(const ZydisDecodedOperandMem& mem, unsigned address_width, Insn& insn) {
  insn.base = kZeroRegister;
  insn.index = kZeroRegister;
  if (mem.base == ZYDIS_REGISTER_RIP || mem.base == ZYDIS_REGISTER_EIP) {
    insn.base = kRip;
  } else if (mem.base != ZYDIS_REGISTER_NONE) {
    insn.base = number_of(mem.base).number;
  }
  if (mem.index != ZYDIS_REGISTER_NONE) insn.index = number_of(mem.index).number;
  unsigned shift = 0;
  while (mem.scale > (1u << shift)) ++shift;
  const u8 segment = mem.segment == ZYDIS_REGISTER_NONE ? u8{kDs} : number_of(mem.segment).number;
  insn.mem = static_cast<u8>(shift | (segment << 2) | (log2_bytes(address_width) << 5));
  insn.disp = static_cast<i32>(mem.disp.value);
}

/// A zen takes VPERMQ and VPERMPD with VEX.W clear, too. If `bytes` are one, `copy` becomes the same with W
/// set.
bool with_ignored_w(std::span<const u8> bytes, u8 (&copy)[ZYDIS_MAX_INSTRUCTION_LENGTH]) {
  const auto is_prefix = [](u8 b) { return is_segment_override(b) || b == 0x67; };
  size_t at = 0;
  while (at < bytes.size() && is_prefix(bytes[at])) ++at;
  if (at + 4 > bytes.size() || bytes[at] != 0xc4) return false;
  const bool map_3 = (bytes[at + 1] & 0x1f) == 3, w0_256_66 = (bytes[at + 2] & 0x87) == 0x05;
  if (!map_3 || !w0_256_66 || bytes[at + 3] > 1) return false;
  std::copy(bytes.begin(), bytes.end(), copy);
  copy[at + 2] |= 0x80;
  return true;
}

/// The features that an encoding needs besides its row's, as a mask: VEX.256 forms of a row may have come
/// later.
u64 features_of(ZydisISASet set) {
  using isa::Feature;
  const auto bit = [](Feature f) { return u64{1} << static_cast<unsigned>(f); };
  switch (set) {
    case ZYDIS_ISA_SET_AVX:
    case ZYDIS_ISA_SET_AVXAES:
    case ZYDIS_ISA_SET_AVX_GFNI:
    case ZYDIS_ISA_SET_AVX_VNNI:
    case ZYDIS_ISA_SET_F16C:
    case ZYDIS_ISA_SET_FMA:
      return bit(Feature::kAvx);
    case ZYDIS_ISA_SET_AVX2:
    case ZYDIS_ISA_SET_AVX2GATHER:
      return bit(Feature::kAvx2);
    case ZYDIS_ISA_SET_VAES:
      return bit(Feature::kVaes);
    case ZYDIS_ISA_SET_VPCLMULQDQ:
      return bit(Feature::kVpclmul);
    default:
      return 0;
  }
}

}  // namespace

struct Decoder::Decoded {
  ZydisDecodedInstruction z;
  ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
  bool exact = false;  // true of the bytes
};

struct Decoder::Impl {
  // Index: bits of the code segment (16, 32, 64), then real mode (or virtual-8086).
  ZydisDecoder decoders[4];
  std::vector<u16> row_of_mnemonic;
  u64 features;
  bool amd;
  DecodeTemplates templates;
};

Decoder::Decoder(const CpuModel& model) : impl_(std::make_unique<Impl>()) {
  const std::pair<ZydisMachineMode, ZydisStackWidth> modes[4] = {
      {ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16},
      {ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32},
      {ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64},
      {ZYDIS_MACHINE_MODE_REAL_16, ZYDIS_STACK_WIDTH_16},
  };
  for (int i = 0; i < 4; ++i) {
    ZydisDecoder& d = impl_->decoders[i];
    ZydisDecoderInit(&d, modes[i].first, modes[i].second);
    // What this CPU model lacks decodes as the older instruction or the hint that it extends.
    ZydisDecoderEnableMode(&d, ZYDIS_DECODER_MODE_MPX, ZYAN_FALSE);
    ZydisDecoderEnableMode(&d, ZYDIS_DECODER_MODE_CET, ZYAN_FALSE);
    ZydisDecoderEnableMode(&d, ZYDIS_DECODER_MODE_CLDEMOTE, ZYAN_FALSE);
    ZydisDecoderEnableMode(&d, ZYDIS_DECODER_MODE_WBNOINVD, ZYAN_FALSE);
    ZydisDecoderEnableMode(&d, ZYDIS_DECODER_MODE_AMD_BRANCHES, model.amd ? ZYAN_TRUE : ZYAN_FALSE);
    ZydisDecoderEnableMode(&d, ZYDIS_DECODER_MODE_LZCNT,
                           model.has(isa::Feature::kLzcnt) ? ZYAN_TRUE : ZYAN_FALSE);
    ZydisDecoderEnableMode(&d, ZYDIS_DECODER_MODE_TZCNT,
                           model.has(isa::Feature::kBmi1) ? ZYAN_TRUE : ZYAN_FALSE);
  }
  impl_->features = model.features;
  impl_->amd = model.amd;
  impl_->row_of_mnemonic.resize(ZYDIS_MNEMONIC_MAX_VALUE + 1);
  for (unsigned m = 1; m <= ZYDIS_MNEMONIC_MAX_VALUE; ++m) {
    std::string name = ZydisMnemonicGetString(static_cast<ZydisMnemonic>(m));
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    impl_->row_of_mnemonic[m] = isa::row_of(name);
  }
}

Decoder::~Decoder() = default;
Decoder::Decoder(Decoder&&) noexcept = default;

// AMD's processors take LOCK MOV CR0 as MOV CR8, also outside 64-bit mode (CPUID's AltMovCr8) [APM3 MOV CRn].
bool Decoder::decode_locked_cr0(std::span<const u8> bytes, u32 key, Insn& insn) const {
  u8 plain[ZYDIS_MAX_INSTRUCTION_LENGTH];
  size_t length = 0;
  bool locked = false;
  for (const u8 byte : bytes.first(std::min<size_t>(bytes.size(), sizeof plain))) {
    if (byte == 0xf0 && !locked) {
      locked = true;
    } else {
      plain[length++] = byte;
    }
  }
  Insn unlocked;
  if (!locked || decode({plain, length}, key, unlocked) != Status::kOk || unlocked.length < 3) return false;
  const u8* const opcode = plain + unlocked.length - 3;
  // Nothing but prefixes stands before it: an immediate may end in the same bytes.
  const auto is_prefix = [key](u8 byte) {
    if (is_segment_override(byte)) return true;
    switch (byte) {
      case 0x66:
      case 0x67:
      case 0xf2:
      case 0xf3:
        return true;
      default:
        return (key & decode_key::kBitsMask) == decode_key::kBits64 && (byte & 0xf0) == 0x40;
    }
  };
  if (!std::all_of(static_cast<const u8*>(plain), opcode, is_prefix)) return false;

  const unsigned control = opcode[1] == 0x20 ? 1 : 0;  // which operand is the control register
  if (opcode[0] != 0x0f || (opcode[1] != 0x20 && opcode[1] != 0x22) || unlocked.op[control] != 0)
    return false;
  unlocked.op[control] = 8;
  ++unlocked.length;
  insn = unlocked;
  return true;
}

Decoder::Status Decoder::decode(std::span<const u8> bytes, u32 key, Insn& insn) const {
  if (impl_->templates.find(bytes, key, insn)) return Status::kOk;
  Decoded decoded;
  return decode_by_zydis(bytes, key, insn, decoded);
}

Decoder::Status Decoder::decode(std::span<const u8> bytes, u32 key, Insn& insn, InsnView& z,
                                OperandView* operands, bool& exact) const {
  exact = impl_->templates.find(bytes, key, insn, z, operands);
  return exact ? Status::kOk : decode_anew(bytes, key, insn, z, operands, exact);
}

Decoder::Status Decoder::decode_anew(std::span<const u8> bytes, u32 key, Insn& insn, InsnView& z,
                                     OperandView* operands, bool& exact) const {
  Decoded decoded;
  const Status status = decode_by_zydis(bytes, key, insn, decoded);
  exact = decoded.exact;
  if (exact) view(decoded.z, decoded.operands, z, operands);
  return status;
}

Decoder::Status Decoder::decode_by_zydis(std::span<const u8> bytes, u32 key, Insn& insn,
                                         Decoded& decoded) const {
  ZydisDecodedInstruction& z = decoded.z;
  ZydisDecodedOperand* const operands = decoded.operands;
  bool& exact = decoded.exact;
  const bool real = (key & decode_key::kRealOrVm86) != 0;
  const u32 bits = key & decode_key::kBitsMask;
  const ZydisDecoder& decoder = impl_->decoders[real && bits == decode_key::kBits16 ? 3 : bits];
  const size_t given = std::min<size_t>(bytes.size(), ZYDIS_MAX_INSTRUCTION_LENGTH);

  insn = Insn{};
  insn.op[0] = insn.op[1] = insn.op[2] = insn.op[3] = kNoOperand;
  insn.base = insn.index = kZeroRegister;
  insn.length = 1;
  ZyanStatus status = ZydisDecoderDecodeFull(&decoder, bytes.data(), given, &z, operands);
  exact = ZYAN_SUCCESS(status);
  u8 copy[ZYDIS_MAX_INSTRUCTION_LENGTH];
  if (!ZYAN_SUCCESS(status) && impl_->amd && with_ignored_w(bytes.first(given), copy))
    status = ZydisDecoderDecodeFull(&decoder, copy, given, &z, operands);
  if (status == ZYDIS_STATUS_NO_MORE_DATA && given < ZYDIS_MAX_INSTRUCTION_LENGTH) return Status::kTruncated;
  // Zydis decodes Knights Corner's VEX forms of TZCNT, LZCNT, POPCNT and mask instructions in every mode; no
  // x86-64 level has them.
  const bool knights_corner = ZYAN_SUCCESS(status) && z.encoding == ZYDIS_INSTRUCTION_ENCODING_VEX &&
                              z.meta.isa_set >= ZYDIS_ISA_SET_KNCE &&
                              z.meta.isa_set <= ZYDIS_ISA_SET_KNC_PF_HINT;
  if (status == ZYDIS_STATUS_ILLEGAL_LOCK && impl_->amd && decode_locked_cr0(bytes, key, insn))
    return Status::kOk;
  if (!ZYAN_SUCCESS(status) || knights_corner) {
    const bool too_long = status == ZYDIS_STATUS_NO_MORE_DATA || status == ZYDIS_STATUS_INSTRUCTION_TOO_LONG;
    insn.handler = too_long ? raise_gp0 : exec::raise_ud;
    return Status::kInvalid;
  }

  insn.length = z.length;
  insn.row = impl_->row_of_mnemonic[z.mnemonic];
  insn.size = log2_bytes(z.operand_width);
  // In 64-bit mode the stack is 64 bits wide; elsewhere SS.B decides at run time (exec/stack.h).
  insn.size |= static_cast<u8>(log2_bytes(z.stack_width) << 4);
  if (z.avx.vector_length == 256) insn.size |= 1u << 2;
  if (z.attributes & ZYDIS_ATTRIB_HAS_LOCK) insn.flags |= insn_flag::kLock;
  if (z.attributes & (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE)) insn.flags |= insn_flag::kRep;
  if (z.attributes & ZYDIS_ATTRIB_HAS_REPNE) insn.flags |= insn_flag::kRepne;
  if (z.attributes & ZYDIS_ATTRIB_HAS_OPERANDSIZE) insn.flags |= insn_flag::kOperandSizePrefix;
  const bool vex = z.encoding == ZYDIS_INSTRUCTION_ENCODING_VEX;
  if (vex ? z.raw.vex.W : z.raw.rex.W) insn.flags |= insn_flag::kRexW;
  if (z.encoding == ZYDIS_INSTRUCTION_ENCODING_VEX) insn.flags |= insn_flag::kVex;
  if (z.address_width == 32) insn.flags |= insn_flag::kAddress32;
  const bool overridden = (z.attributes & ZYDIS_ATTRIB_HAS_SEGMENT) != 0;

  DecodedForm form;
  form.mode_bits = bits == decode_key::kBits64 ? 64 : bits == decode_key::kBits32 ? 32 : 16;
  form.opcode = z.opcode;
  form.modrm = z.raw.modrm.offset != 0 ? bytes[z.raw.modrm.offset] : u8{0};

  insn.mem = static_cast<u8>((kDs << 2) | (log2_bytes(z.address_width) << 5));
  bool memory_taken = false;
  unsigned immediates = 0;
  for (unsigned i = 0; i < z.operand_count; ++i) {
    const ZydisDecodedOperand& o = operands[i];
    const bool visible = i < z.operand_count_visible;
    const bool fits = visible && form.operand_count < 4;
    OperandKind kind = OperandKind::kNone;
    u8 number = kNoOperand;
    switch (o.type) {
      case ZYDIS_OPERAND_TYPE_REGISTER: {
        const RegisterNumber r = number_of(o.reg.value);
        kind = r.kind;
        number = r.number;
        break;
      }
      case ZYDIS_OPERAND_TYPE_MEMORY:
        kind = OperandKind::kMem;
        number = kMemOperand;
        // Of string instructions' two memory operands the DS:rSI one (overridable) is kept.
        if (!memory_taken ||
            (!visible && o.mem.segment != ZYDIS_REGISTER_ES && o.mem.base != ZYDIS_REGISTER_RSP)) {
          if (visible || !memory_taken) take_memory(o.mem, z.address_width, insn);
          if (o.encoding == ZYDIS_OPERAND_ENCODING_DISP16_32_64)
            insn.imm = static_cast<u64>(o.mem.disp.value);
          memory_taken = true;
        }
        if ((o.mem.base == ZYDIS_REGISTER_RSI || o.mem.base == ZYDIS_REGISTER_ESI ||
             o.mem.base == ZYDIS_REGISTER_SI) &&
            o.mem.segment != ZYDIS_REGISTER_NONE) {
          insn.mem = static_cast<u8>((insn.mem & ~(7u << 2)) | (number_of(o.mem.segment).number << 2));
        }
        break;
      case ZYDIS_OPERAND_TYPE_POINTER:
        kind = OperandKind::kFarPointer;
        number = kImmOperand;
        insn.imm = (static_cast<u64>(o.ptr.segment) << 32) | o.ptr.offset;
        break;
      case ZYDIS_OPERAND_TYPE_IMMEDIATE:
        kind = OperandKind::kImm;
        number = kImmOperand;
        if (immediates++ == 0) {
          insn.imm = o.imm.value.u;
        } else {
          insn.imm = (insn.imm & 0xffffffff) | (o.imm.value.u << 32);
        }
        break;
      default:
        break;
    }
    if (!fits) continue;
    insn.op[form.operand_count] = number;
    form.kind[form.operand_count] = kind;
    form.size_bits[form.operand_count] = o.size;
    ++form.operand_count;
  }
  if (overridden) insn.mem |= 0x80;
  // x87 instructions have no immediate; their handlers need the 11 bits of FOP. [SDM1 8.1.9]
  if (z.opcode_map == ZYDIS_OPCODE_MAP_DEFAULT && z.opcode >= 0xd8 && z.opcode <= 0xdf) {
    insn.imm = static_cast<u64>((z.opcode & 7) << 8 | form.modrm);
  }

  const isa::Row& row = isa::rows()[insn.row];
  insn.handler = row.select(insn, form);
  const u64 needed = (u64{1} << static_cast<unsigned>(row.feature)) | features_of(z.meta.isa_set);
  // No VEX encoding exists in real and virtual-8086 mode. [SDM2 2.3.1]
  if (insn.handler == nullptr || (impl_->features & needed) != needed || (vex && real)) {
    insn.handler = exec::raise_ud;
    return Status::kInvalid;
  }
  // MOVSD and CMPSD name string instructions, which have their row, and in the 0F map SSE's.
  const bool sse_homonym = (z.mnemonic == ZYDIS_MNEMONIC_MOVSD || z.mnemonic == ZYDIS_MNEMONIC_CMPSD) &&
                           z.opcode_map == ZYDIS_OPCODE_MAP_0F;
  const auto traits = sse_homonym ? row.traits | isa::trait::kSse : row.traits;
  const bool em = (key & decode_key::kEm) != 0;
  const bool ts = (key & decode_key::kTs) != 0;
  if ((traits & isa::trait::kAvx) != 0) {
    if ((key & decode_key::kAvxEnabled) == 0)
      insn.handler = exec::raise_ud;
    else if (ts)
      insn.handler = exec::raise_nm;
  } else if ((traits & isa::trait::kMmx) != 0 &&
             ((traits & isa::trait::kSse) == 0 || form.kind[0] == OperandKind::kMmx ||
              form.kind[1] == OperandKind::kMmx)) {
    if (em)
      insn.handler = exec::raise_ud;
    else if (ts)
      insn.handler = exec::raise_nm;
  } else if ((traits & isa::trait::kSse) != 0) {
    if (em || (key & decode_key::kOsfxsr) == 0)
      insn.handler = exec::raise_ud;
    else if (ts)
      insn.handler = exec::raise_nm;
  } else if ((traits & isa::trait::kX87) != 0) {
    if (em || ts) insn.handler = exec::raise_nm;
  } else if ((traits & isa::trait::kWait) != 0) {
    if (ts && (key & decode_key::kMp) != 0) insn.handler = exec::raise_nm;
  }
  if (exact) impl_->templates.learn(bytes, key, insn, z, operands);
  return Status::kOk;
}

std::string Decoder::disassemble(std::span<const u8> bytes, unsigned code_bits, u64 address) {
  ZydisDisassembledInstruction text;
  const ZydisMachineMode mode = code_bits == 64   ? ZYDIS_MACHINE_MODE_LONG_64
                                : code_bits == 32 ? ZYDIS_MACHINE_MODE_LEGACY_32
                                                  : ZYDIS_MACHINE_MODE_LEGACY_16;
  if (!ZYAN_SUCCESS(ZydisDisassembleIntel(mode, address, bytes.data(), bytes.size(), &text))) return "(bad)";
  return text.text;
}

}  // namespace orrery::cpu
