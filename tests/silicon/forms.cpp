#include "tests/silicon/forms.h"

#include <Zydis/Zydis.h>

#include <algorithm>
#include <cctype>
#include <map>
#include <string_view>

#include "cpu/isa/table.h"

namespace orrery::silicon {
namespace {

namespace isa = cpu::isa;

struct Exception {
  std::string_view name;
  const char* reason;
};
constexpr const char* kMachine = "reads or changes state of the host's kernel or machine";
constexpr const char* kFar = "loads segment registers that the host's threads need";
constexpr const char* kInUse = "the host's XINUSE tracking and components differ";
constexpr Exception kExceptions[] = {
    {"INT", kMachine},     {"INT3", kMachine},     {"INT1", kMachine},     {"INTO", kMachine},
    {"SYSCALL", kMachine}, {"SYSENTER", kMachine}, {"SYSRET", kMachine},   {"SYSEXIT", kMachine},
    {"IRET", kFar},        {"IRETD", kFar},        {"IRETQ", kFar},        {"LSS", kFar},
    {"LFS", kFar},         {"LGS", kFar},          {"LDS", kFar},          {"LES", kFar},
    {"WRFSBASE", kFar},    {"WRGSBASE", kFar},     {"RDFSBASE", kMachine}, {"RDGSBASE", kMachine},
    {"XSAVE", kInUse},     {"XSAVE64", kInUse},    {"XSAVEC", kInUse},     {"XSAVEC64", kInUse},
    {"XSAVEOPT", kInUse},  {"XSAVEOPT64", kInUse}, {"XRSTOR", kInUse},     {"XRSTOR64", kInUse},
    {"VMMCALL", kMachine}, {"IN", kMachine},       {"OUT", kMachine},      {"INSB", kMachine},
    {"INSW", kMachine},    {"INSD", kMachine},     {"OUTSB", kMachine},    {"OUTSW", kMachine},
    {"OUTSD", kMachine},   {"SLDT", kMachine},     {"STR", kMachine},      {"SGDT", kMachine},
    {"SIDT", kMachine},    {"SMSW", kMachine},     {"LAR", kMachine},      {"LSL", kMachine},
    {"VERR", kMachine},    {"VERW", kMachine},     {"UD0", kMachine},      {"LLDT", kMachine},
    {"MONITOR", kMachine}, {"MWAIT", kMachine},    {"HLT", kMachine},
};

// These can run in compatibility mode, where segments other than FS and SS are not the host's.
constexpr std::string_view kOnly32[] = {"INTO", "LDS", "LES", "LGS"};

/// The address of a displacement alone, as opposed to one that registers are added to.
bool is_direct(const ZydisDecodedOperandMem& mem) {
  const bool relative = mem.base == ZYDIS_REGISTER_RIP || mem.base == ZYDIS_REGISTER_EIP;
  return mem.index == ZYDIS_REGISTER_NONE && (relative || mem.base == ZYDIS_REGISTER_NONE);
}

class Finder {
 public:
  explicit Finder(Mode mode) : mode_(mode) {
    if (mode == Mode::k64) {
      ZydisDecoderInit(&decoder_, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    } else {
      ZydisDecoderInit(&decoder_, ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32);
    }
    ZydisDecoderEnableMode(&decoder_, ZYDIS_DECODER_MODE_MPX, ZYAN_FALSE);
    ZydisDecoderEnableMode(&decoder_, ZYDIS_DECODER_MODE_CET, ZYAN_FALSE);
    ZydisDecoderEnableMode(&decoder_, ZYDIS_DECODER_MODE_CLDEMOTE, ZYAN_FALSE);
    ZydisDecoderEnableMode(&decoder_, ZYDIS_DECODER_MODE_AMD_BRANCHES, ZYAN_TRUE);
    rows_.resize(ZYDIS_MNEMONIC_MAX_VALUE + 1);
    for (unsigned m = 1; m <= ZYDIS_MNEMONIC_MAX_VALUE; ++m) {
      std::string name = ZydisMnemonicGetString(static_cast<ZydisMnemonic>(m));
      std::transform(name.begin(), name.end(), name.begin(),
                     [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
      const u16 row = isa::row_of(name);
      rows_[m] = row != 0 && no_silicon_reason(row, mode) == nullptr ? row : u16{0};
    }
  }

  void add(const std::vector<u8>& head) {
    // [rbx], [rsi+d8], [rsi+d32], [sib], [rip+d32] or [d32]; with 16-bit addresses [bp+di], [bp+d8],
    // [bp+d16], [si], [di], [bx+si+d8], [bx+d16], [d16].
    constexpr u8 kModrmMemory[] = {0x03, 0x46, 0x86, 0x04, 0x05, 0x40, 0x87, 0x06};
    u8 bytes[15];
    const auto attempt = [&](u8 modrm, u8 sib) {
      std::fill(std::begin(bytes), std::end(bytes), u8{0x12});
      std::copy(head.begin(), head.end(), bytes);
      bytes[head.size()] = modrm;
      bytes[head.size() + 1] = sib;
      return decode(bytes);
    };
    if (!attempt(0xc0, 0x12)) {
      // Perhaps only some values of /reg or memory forms exist: go on trying.
    }
    if (!has_modrm_) return;
    for (unsigned m = 0xc0; m < 0x100; ++m) attempt(static_cast<u8>(m), 0x12);
    for (const u8 shape : kModrmMemory) {
      for (unsigned reg = 0; reg < 8; ++reg) {
        attempt(static_cast<u8>(shape | (reg << 3)), shape == 0x04 ? 0x4b : 0x12);  // [rbx + rcx * 2]
      }
    }
  }
  std::map<std::pair<u16, std::string>, Form> forms;

 private:
  bool decode(const u8* bytes) {
    ZydisDecodedInstruction z;
    ZydisDecodedOperand ops[ZYDIS_MAX_OPERAND_COUNT];
    has_modrm_ = true;
    if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder_, bytes, 15, &z, ops))) return false;
    has_modrm_ = (z.attributes & ZYDIS_ATTRIB_HAS_MODRM) != 0;
    const u16 row = rows_[z.mnemonic];
    if (row == 0) return false;
    if (mode_ == Mode::k64 && rex_is_detached(bytes)) return false;
    // Oddities of silicon that no code uses: F3 REX.B 90 is an XCHG, F2 and F3 change LOOPE and LOOPNE.
    if (z.mnemonic == ZYDIS_MNEMONIC_PAUSE && z.raw.rex.B) return false;
    if ((z.mnemonic == ZYDIS_MNEMONIC_LOOPE || z.mnemonic == ZYDIS_MNEMONIC_LOOPNE) &&
        z.raw.prefix_count > 0) {
      for (unsigned i = 0; i < z.raw.prefix_count; ++i) {
        if ((z.raw.prefixes[i].value & 0xfe) == 0xf2) return false;
      }
    }
    Form form;
    form.mode = mode_;
    form.row = row;
    if (!describe(z, ops, form)) return false;
    Encoding e{};
    std::copy_n(bytes, 15, e.bytes);
    e.length = z.length;
    for (const auto& imm : z.raw.imm) {
      if (imm.size == 0) continue;
      if (imm.is_relative) {
        e.branch_offset = imm.offset;
        e.branch_bytes = imm.size / 8;
      }
      if (form.branch) continue;
      if (e.imm_offset == 0) e.imm_offset = imm.offset;
      e.imm_bytes = static_cast<u8>(e.imm_bytes + imm.size / 8);
    }
    e.modrm_offset = z.raw.modrm.offset;
    e.address_bits = z.address_width;
    for (unsigned i = 0; i < z.operand_count; ++i) {
      const ZydisDecodedOperand& o = ops[i];
      const bool visible = i < z.operand_count_visible;
      if (visible && o.type == ZYDIS_OPERAND_TYPE_MEMORY && is_direct(o.mem) && !form.vsib) {
        e.disp_offset = z.raw.disp.offset;
        e.disp_bytes = z.raw.disp.size / 8;
        e.relative = o.mem.base != ZYDIS_REGISTER_NONE;
      }
      if (o.type == ZYDIS_OPERAND_TYPE_REGISTER && (o.actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) != 0) {
        const ZydisRegister whole = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, o.reg.value);
        if (ZydisRegisterGetClass(whole) == ZYDIS_REGCLASS_GPR64 && (visible || whole != ZYDIS_REGISTER_RSP))
          e.gprs_written |= static_cast<u16>(1u << ZydisRegisterGetId(whole));
      }
    }
    Form& stored = forms[{row, form.text}];
    if (stored.encodings.empty()) stored = form;
    stored.encodings.push_back(e);
    return true;
  }

  /// A REX prefix before another prefix is ignored by the CPU; nobody writes that.
  static bool rex_is_detached(const u8* bytes) {
    const auto legacy = [](u8 b) {
      return b == 0x65 || b == 0x66 || b == 0x67 || b == 0xf0 || b == 0xf2 || b == 0xf3;
    };
    bool rex = false;
    for (const u8* b = bytes; legacy(*b) || (*b & 0xf0) == 0x40; ++b) {
      if (rex) return true;
      rex = (*b & 0xf0) == 0x40;
    }
    return false;
  }

  bool describe(const ZydisDecodedInstruction& z, const ZydisDecodedOperand* ops, Form& form) const {
    form.text = isa::rows()[form.row].name;
    form.branch = z.meta.branch_type != ZYDIS_BRANCH_TYPE_NONE;
    if (z.meta.branch_type == ZYDIS_BRANCH_TYPE_FAR) return false;
    // 16-bit near branches in 64-bit mode, an AMD peculiarity, are not modelled.
    if (mode_ == Mode::k64 && form.branch && (z.attributes & ZYDIS_ATTRIB_HAS_OPERANDSIZE)) return false;
    for (unsigned i = 0; i < z.operand_count; ++i) {
      const ZydisDecodedOperand& o = ops[i];
      const bool visible = i < z.operand_count_visible;
      const char* separator = i == 0 ? " " : ", ";
      switch (o.type) {
        case ZYDIS_OPERAND_TYPE_REGISTER: {
          const ZydisRegisterClass c = ZydisRegisterGetClass(o.reg.value);
          const bool spare = mode_ == Mode::k32 && o.reg.value != ZYDIS_REGISTER_FS &&
                             o.reg.value != ZYDIS_REGISTER_SS && o.reg.value != ZYDIS_REGISTER_CS;
          if (c == ZYDIS_REGCLASS_SEGMENT && (o.actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) && !spare)
            return false;
          if (c == ZYDIS_REGCLASS_SEGMENT && o.reg.value == ZYDIS_REGISTER_FS) return false;
          if (c == ZYDIS_REGCLASS_CONTROL || c == ZYDIS_REGCLASS_DEBUG) return false;
          if (!visible) break;
          const bool high = o.reg.value >= ZYDIS_REGISTER_AH && o.reg.value <= ZYDIS_REGISTER_BH;
          form.text += separator;
          form.text += high                          ? "r8h"
                       : c == ZYDIS_REGCLASS_MMX     ? "mm"
                       : c == ZYDIS_REGCLASS_XMM     ? "xmm"
                       : c == ZYDIS_REGCLASS_YMM     ? "ymm"
                       : c == ZYDIS_REGCLASS_X87     ? "st"
                       : c == ZYDIS_REGCLASS_SEGMENT ? "sreg"
                                                     : "r" + std::to_string(o.size);
          break;
        }
        case ZYDIS_OPERAND_TYPE_MEMORY:
          if (o.mem.segment == ZYDIS_REGISTER_FS) return false;
          if (visible && z.raw.disp.size == 64) return false;  // moffs of 64 bits
          if (visible) {
            form.has_memory = true;
            form.vsib = o.mem.type == ZYDIS_MEMOP_TYPE_VSIB;
            const bool wide = form.vsib && ZydisRegisterGetClass(o.mem.index) == ZYDIS_REGCLASS_YMM;
            form.text += separator + ((form.vsib ? wide ? "vm.y" : "vm.x" : "m") + std::to_string(o.size));
          }
          break;
        case ZYDIS_OPERAND_TYPE_IMMEDIATE:
          if (visible) form.text += separator + ("imm" + std::to_string(o.size));
          break;
        default:
          break;
      }
    }
    bool memory = false;
    for (unsigned i = 0; i < z.operand_count; ++i) memory |= ops[i].type == ZYDIS_OPERAND_TYPE_MEMORY;
    // Without a memory operand GS makes x87 instructions forget FDP.
    if ((z.attributes & ZYDIS_ATTRIB_HAS_SEGMENT_GS) != 0 && !memory) return false;
    if (z.attributes & ZYDIS_ATTRIB_HAS_LOCK) form.text += " lock";
    if (z.attributes & (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE)) form.text += " rep";
    if (z.attributes & ZYDIS_ATTRIB_HAS_REPNE) form.text += " repne";
    form.repeated =
        (z.attributes & (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE | ZYDIS_ATTRIB_HAS_REPNE)) != 0;
    if (z.address_width != (mode_ == Mode::k64 ? 64 : 32))
      form.text += " a" + std::to_string(z.address_width);
    if (z.operand_width != 0) form.text += " o" + std::to_string(z.operand_width);
    return true;
  }

  Mode mode_;
  ZydisDecoder decoder_;
  std::vector<u16> rows_;
  bool has_modrm_ = false;
};

}  // namespace

const char* no_silicon_reason(u16 row, Mode mode) {
  const isa::Row& r = isa::rows()[row];
  if (mode == Mode::k32 && std::find(std::begin(kOnly32), std::end(kOnly32), r.name) != std::end(kOnly32))
    return nullptr;
  for (const Exception& e : kExceptions) {
    if (e.name == r.name) return e.reason;
  }
  if (r.traits & isa::trait::kPrivileged) return "privileged";
  if (r.traits & isa::trait::kOperatingSystem) return "its result is the host's own";
  if (r.traits & isa::trait::kNoSilicon) return "marked in the table";
  return nullptr;
}

bool varies_by_vendor(const Form& form) {
  const cpu::isa::Row& row = cpu::isa::rows()[form.row];
  const auto has = [&form](std::string_view text) { return form.text.find(text) != std::string::npos; };
  if ((row.traits & cpu::isa::trait::kX87) != 0 && (row.traits & cpu::isa::trait::kUndefinedResult) != 0)
    return true;
  if (form.repeated && form.mode == Mode::k64 && has(" a32")) return true;
  if (row.name == "SHLD" || row.name == "SHRD") return has("r16") || has("m16");
  if (row.name == "PUSH") return has("sreg");
  constexpr std::string_view kRows[] = {"FXSAVE", "FXSAVE64", "FXRSTOR", "FXRSTOR64", "FNSTENV",
                                        "FNSAVE", "DPPS",     "DPPD",    "VDPPS",     "VDPPD"};
  return std::find(std::begin(kRows), std::end(kRows), row.name) != std::end(kRows);
}

bool varies_by_generation(const Form& form) {
  const std::string_view name = cpu::isa::rows()[form.row].name;
  return name == "BSF" || name == "BSR" || name == "FXRSTOR64";
}

std::vector<Form> make_forms(Mode mode) {
  Finder finder(mode);
  const bool wide = mode == Mode::k64;
  std::vector<std::vector<u8>> prefixes = {{},           {0x66},       {0xf3}, {0xf2}, {0xf0},
                                           {0x66, 0xf2}, {0x66, 0xf0}, {0x67}, {0x65}};
  // 16-bit addresses reach the data through GS only.
  if (!wide) prefixes.insert(prefixes.end(), {{0x67, 0x65}, {0x66, 0x67, 0x65}, {0x67, 0x65, 0xf3}});
  const std::vector<std::vector<u8>> rexes =
      wide ? std::vector<std::vector<u8>>{{}, {0x40}, {0x48}, {0x45}, {0x4d}}
           : std::vector<std::vector<u8>>{{}};
  const std::vector<std::vector<u8>> maps = {{}, {0x0f}, {0x0f, 0x38}, {0x0f, 0x3a}};
  for (const auto& map : maps) {
    for (unsigned opcode = 0; opcode < 256; ++opcode) {
      for (const auto& prefix : prefixes) {
        for (const auto& rex : rexes) {
          std::vector<u8> head = prefix;
          head.insert(head.end(), rex.begin(), rex.end());
          head.insert(head.end(), map.begin(), map.end());
          head.push_back(static_cast<u8>(opcode));
          finder.add(head);
        }
      }
    }
  }
  // VEX: R, X, B (inverted) choose low or high registers; vvvv is rdx / xmm2, r10 / xmm10, or 1111 where the
  // instruction has none.
  for (unsigned map = 1; map <= 3; ++map) {
    for (unsigned pp_l = 0; pp_l < 8; ++pp_l) {
      for (unsigned w = 0; w < 2; ++w) {
        for (unsigned opcode = 0; opcode < 256; ++opcode) {
          for (const unsigned vvvv : {0x68u, 0x78u, 0x28u}) {
            for (const unsigned rxb : {0xe0u, 0x40u}) {
              if (!wide && (rxb & 0xc0) != 0xc0) continue;  // LES
              finder.add({0xc4, static_cast<u8>(rxb | map), static_cast<u8>(w << 7 | vvvv | pp_l),
                          static_cast<u8>(opcode)});
            }
          }
        }
      }
    }
  }
  std::vector<Form> out;
  for (auto& [key, form] : finder.forms) out.push_back(std::move(form));
  return out;
}

}  // namespace orrery::silicon
