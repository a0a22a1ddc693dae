// DecodeTemplates: what decoding made of an instruction, to be had again for one that differs in nothing but
// its displacement and its immediate. A program has a few thousand of them, whatever it writes and runs.
//
// Nothing about opcodes is written down here: whether one has a ModRM byte, and where displacement and
// immediate stand, is what Zydis said the first time. Instructions whose immediate says more than its value
// (3DNow!, registers in an immediate, two immediates, far pointers) are not kept.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "cpu/decode/insn_view.h"
#include "cpu/insn.h"

namespace orrery::cpu {

/// What is asked for of Zydis' `z` and `from`.
void view(const ZydisDecodedInstruction& z, const ZydisDecodedOperand* from, InsnView& out,
          OperandView* operands);

class DecodeTemplates {
 public:
  DecodeTemplates();

  /// Fills in `insn` if an instruction like the one at the start of `bytes` is known for `decode_key`.
  bool find(std::span<const u8> bytes, u32 decode_key, Insn& insn) const {
    const Template* const t = match(bytes, decode_key);
    if (t != nullptr) fill(*t, bytes.data(), insn);
    return t != nullptr;
  }
  /// The same with Zydis' view of it; `operands`: kMaxOperands of them.
  bool find(std::span<const u8> bytes, u32 decode_key, Insn& insn, InsnView& z, OperandView* operands) const;
  /// Keeps what `bytes` were decoded to, if their like can be had from it.
  void learn(std::span<const u8> bytes, u32 decode_key, const Insn& insn, const ZydisDecodedInstruction& z,
             const ZydisDecodedOperand* operands);

 private:
  static constexpr unsigned kSlots = 1u << 13;
  static constexpr unsigned kKeptOperands = 6;  // hidden ones included
  static constexpr u8 kNoOperandIndex = 0xff;
  struct Field {
    u8 offset = 0, bytes = 0;  // none: 0 bytes
    bool is_signed = false;
    u64 value(const u8* at) const;
  };
  /// One cache line.
  struct alignas(64) Template {
    u64 bytes = 0;  // all but displacement and immediate: prefixes to SIB
    u32 key = 0;    // of decoding, and their number; 0: empty slot
    Field displacement, immediate;
    Insn insn;
  };
  static_assert(sizeof(Template) == 64);
  /// Zydis' view, and which operands have the displacement and the immediate.
  struct View {
    InsnView z;
    OperandView operands[kKeptOperands];
    u8 memory = kNoOperandIndex, immediate = kNoOperandIndex;
  };
  /// The bytes from the first prefix to the opcode, or to ModRM and SIB if there are any.
  struct Front {
    u64 bytes = 0;
    u32 length = 0;  // 0: not one for templates
    u32 opcode = 0;  // its index in `has_modrm_`
  };
  enum class HasModrm : u8 { kUnknown, kNo, kYes };

  static u32 key_of(u32 decode_key, u32 length) { return 1u << 31 | length << 16 | decode_key; }
  static u32 slot_of(u64 bytes, u32 key) {
    return static_cast<u32>(((bytes ^ (u64{key} << 32)) * 0x9e3779b97f4a7c15u) >> 51);
  }
  /// Up to the opcode.
  static Front opcode_of(std::span<const u8> bytes, u32 decode_key);
  /// Adds ModRM and SIB, or gives an empty Front.
  static Front with_modrm(const Front& opcode, const u8* bytes);
  static Field field_of(u8 offset, u8 bits, bool is_signed) {
    return {.offset = offset, .bytes = static_cast<u8>(bits / 8), .is_signed = is_signed};
  }
  const Template* match(std::span<const u8> bytes, u32 decode_key) const;
  static void fill(const Template& t, const u8* bytes, Insn& insn) {
    insn = t.insn;
    if (t.displacement.bytes != 0) insn.disp = static_cast<i32>(t.displacement.value(bytes));
    if (t.immediate.bytes != 0) insn.imm = t.immediate.value(bytes);
  }

  static constexpr u32 kMaps = 8;
  std::vector<HasModrm> has_modrm_;
  std::vector<Template> templates_;
  std::vector<std::unique_ptr<View>> views_;
};

}  // namespace orrery::cpu
