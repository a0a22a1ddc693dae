// Which encodings exist: random prefixes, VEX bytes and opcodes raise #UD on the host CPU exactly where they
// do in the emulated one, and are of the same length. [SDM2 2.3, 2.6, B]
//
// ORRERY_SILICON_ENCODINGS: how many (default 60000); ORRERY_SILICON_SEED. Not modelled: opcodes that reach
// the host's kernel or load segments; instructions of the host that no CPU model has, named below.
#include <Zydis/Zydis.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>

#include "cpu/decode/decoder.h"
#include "tests/silicon/cases.h"
#include "tests/silicon/emulated_cpu.h"
#include "tests/silicon/native_cpu.h"

namespace orrery::silicon {
namespace {

u64 setting(const char* name, u64 otherwise) {
  const char* v = std::getenv(name);
  return v == nullptr ? otherwise : std::strtoull(v, nullptr, 0);
}

struct Bytes {
  u8 bytes[15] = {};
  u8 length = 0;
  void push(u64 b) { bytes[length++] = static_cast<u8>(b); }
};

void push_operands(Random& r, Bytes& out) {
  out.push(r.chance(50) ? 0xc0 | r.below(64) : r.below(256));
  out.push(r.chance(50) ? 0x4b : r.below(256));
  while (out.length < sizeof out.bytes) out.push(r.chance(50) ? 0 : r.below(256));
}

/// A VEX encoding, now and then behind a prefix that it does not bear.
Bytes vex_encoding(Random& r) {
  constexpr u8 kPrefixes[] = {0x66, 0xf2, 0xf3, 0xf0, 0x40, 0x48, 0x67, 0x2e, 0x65};
  Bytes out;
  if (r.chance(10)) out.push(kPrefixes[r.below(sizeof kPrefixes)]);
  const u64 vvvv = r.chance(50) ? 0x78 : r.below(16) << 3;
  if (r.chance(20)) {
    out.push(0xc5);
    out.push(r.below(2) << 7 | vvvv | r.below(8));
  } else {
    out.push(0xc4);
    out.push((r.below(8) << 5) | (r.chance(97) ? 1 + r.below(3) : r.below(32)));
    out.push(r.below(2) << 7 | vvvv | r.below(8));
  }
  out.push(r.below(256));
  push_operands(r, out);
  return out;
}

/// An opcode of the legacy maps that holds MMX, SSE and what came later.
Bytes legacy_encoding(Random& r) {
  constexpr u8 kPrefixes[] = {0x66, 0xf2, 0xf3, 0xf0};
  Bytes out;
  for (unsigned i = 0; i < 2; ++i) {
    if (r.chance(45)) out.push(kPrefixes[r.below(sizeof kPrefixes)]);
  }
  if (r.chance(30)) out.push(0x40 | r.below(16));
  out.push(0x0f);
  switch (r.below(4)) {
    case 0:
      out.push(0x38);
      out.push(r.below(256));
      break;
    case 1:
      out.push(0x3a);
      out.push(r.below(256));
      break;
    default:
      constexpr u8 kFirst[] = {0x10, 0x28, 0x50, 0x60, 0x70, 0xc2, 0xd0, 0xe0, 0xf0};
      constexpr u8 kLast[] = {0x17, 0x2f, 0x5f, 0x6f, 0x7f, 0xc6, 0xdf, 0xef, 0xff};
      const u64 range = r.below(sizeof kFirst);
      out.push(kFirst[range] + r.below(kLast[range] - kFirst[range] + 1u));
      break;
  }
  push_operands(r, out);
  return out;
}

/// An encoding of AVX-512's mask instructions, which no CPU model has yet. Zydis knows them but for those
/// with bits of R and VVVV that a Zen 4 ignores and a Zen 5 does not.
bool is_mask_instruction(const u8* at) {
  while (*at == 0x26 || *at == 0x2e || *at == 0x36 || *at == 0x3e || *at == 0x64 || *at == 0x65 ||
         *at == 0x67)
    ++at;
  u8 opcode = 0;
  if (at[0] == 0xc5) {
    opcode = at[2];
  } else if (at[0] == 0xc4 && (at[1] & 0x1f) == 1) {
    opcode = at[3];
  } else if (at[0] == 0xc4 && (at[1] & 0x1f) == 3) {
    return (at[3] & 0xfc) == 0x30;  // KSHIFT
  }
  return (opcode >= 0x41 && opcode <= 0x4b) || (opcode >= 0x90 && opcode <= 0x99);
}

/// What the host may have and no CPU model has yet.
bool beyond_models(ZydisISASet set) {
  switch (set) {
    case ZYDIS_ISA_SET_AVX512BW_KOP:
    case ZYDIS_ISA_SET_AVX512DQ_KOP:
    case ZYDIS_ISA_SET_AVX512F_KOP:
    case ZYDIS_ISA_SET_MOVDIR:
      return true;
    default:
      return false;
  }
}

TEST(Silicon, EveryEncodingExistsOrNot) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "the tested instructions' signals and addresses belong to the sanitizer";
#endif
  if (!NativeCpu::is_zen()) GTEST_SKIP() << "hosts of other profiles have other features";
  const u64 count = setting("ORRERY_SILICON_ENCODINGS", 60000);
  Random random(setting("ORRERY_SILICON_SEED", 1) ^ 0xe4c0d1);
  NativeCpu native;
  EmulatedCpu emulated;
  ZydisDecoder zydis;
  ZydisDecoderInit(&zydis, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
  std::map<std::string, unsigned> bad;
  u64 exist = 0;
  for (u64 i = 0; i < count; ++i) {
    Bytes code = random.chance(70) ? vex_encoding(random) : legacy_encoding(random);
    ZydisDecodedInstruction z;
    const bool known = ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&zydis, nullptr, code.bytes, 15, &z));
    if (known ? beyond_models(z.meta.isa_set) : is_mask_instruction(code.bytes)) continue;
    Context context;
    std::memset(static_cast<void*>(&context), 0, sizeof context);
    for (u64& r : context.gpr) r = kDataBase + 0x800;
    context.rflags = 0x202;
    context.fx.fcw = 0x37f;
    context.fx.mxcsr = 0x1f80;
    cpu::Insn insn;
    const auto status = emulated.decoder().decode(code.bytes, emulated.decode_key(), insn);
    const cpu::isa::Row& row = cpu::isa::rows()[insn.row];
    if (status == cpu::Decoder::Status::kOk && !NativeCpu::has_vectors_of(row, insn.vector_256())) continue;
    // What neither decoder knows ends behind ModRM and SIB, so that it can't run into anything.
    const unsigned length = known ? z.length : status == cpu::Decoder::Status::kOk ? insn.length : 7u;
    std::fill(code.bytes + length, std::end(code.bytes), u8{0xcc});
    const Result want = native.run(code.bytes, context);
    const Result got = emulated.run(code.bytes, context);
    exist += want.vector != 6;
    const bool same =
        (want.vector == 6) == (got.vector == 6) &&
        (want.vector != kNoFault || got.vector != kNoFault || want.context.rip == got.context.rip);
    if (same) continue;
    std::string text = fmt::format("host {} ours {}: {}:", want.vector, got.vector,
                                   known ? ZydisMnemonicGetString(z.mnemonic) : "unknown");
    if (bad[text]++ == 0) {
      std::string bytes;
      for (unsigned k = 0; k < length; ++k) bytes += fmt::format(" {:02x}", code.bytes[k]);
      ADD_FAILURE() << text << bytes << "  " << cpu::Decoder::disassemble({code.bytes, 15}, 64, kCodeStart);
    }
  }
  for (const auto& [text, times] : bad) fmt::print("{} {} times\n", text, times);
  EXPECT_GT(exist, count / 10);
  fmt::print("silicon: {} encodings, {} exist\n", count, exist);
}

}  // namespace
}  // namespace orrery::silicon
