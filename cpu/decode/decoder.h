// Decoder: bytes to Insn, by Zydis, once per kind of instruction (templates.h).
#pragma once

#include <memory>
#include <span>
#include <string>

#include "cpu/cpuid/model.h"
#include "cpu/insn.h"

namespace orrery::cpu {

struct InsnView;
struct OperandView;

/// What decoding depends on besides the bytes; part of every trace's key. Built by Vcpu::mode_changed.
namespace decode_key {
inline constexpr u32 kBits16 = 0, kBits32 = 1, kBits64 = 2, kBitsMask = 3;
inline constexpr u32 kRealOrVm86 = 1u << 2;
inline constexpr u32 kEm = 1u << 3, kTs = 1u << 4, kMp = 1u << 5;  // CR0
inline constexpr u32 kOsfxsr = 1u << 6;                            // CR4.OSFXSR
inline constexpr u32 kAvxEnabled = 1u << 7;                        // CR4.OSXSAVE and XCR0.{SSE,AVX}
}  // namespace decode_key

class Decoder {
 public:
  explicit Decoder(const CpuModel& model);
  ~Decoder();
  Decoder(Decoder&&) noexcept;

  enum class Status : u8 {
    kOk,
    kTruncated,  // more bytes are needed than were given
    kInvalid,    // `insn` holds an instruction that raises #UD (or #GP when it is over 15 bytes long)
  };
  /// Decodes one instruction from at most 15 of `bytes`. One thread at a time.
  Status decode(std::span<const u8> bytes, u32 key, Insn& insn) const;
  /// The same, with Zydis' view of the instruction for those who need it: it is only true of `bytes` if
  /// `exact`. `operands`: kMaxOperands of them.
  Status decode(std::span<const u8> bytes, u32 key, Insn& insn, InsnView& z, OperandView* operands,
                bool& exact) const;
  /// The same by Zydis in any case, whatever has been decoded before.
  Status decode_anew(std::span<const u8> bytes, u32 key, Insn& insn, InsnView& z, OperandView* operands,
                     bool& exact) const;

  /// "mov rax, [rbx+8]" for people; the same bytes. `address` makes branch targets absolute.
  static std::string disassemble(std::span<const u8> bytes, unsigned code_bits, u64 address);

 private:
  struct Impl;
  struct Decoded;
  Status decode_by_zydis(std::span<const u8> bytes, u32 key, Insn& insn, Decoded& decoded) const;
  bool decode_locked_cr0(std::span<const u8> bytes, u32 key, Insn& insn) const;
  std::unique_ptr<Impl> impl_;
};

}  // namespace orrery::cpu
