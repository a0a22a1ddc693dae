#include "tests/silicon/cases.h"

#include <algorithm>
#include <bit>
#include <string_view>

#include "base/bits.h"
#include "cpu/isa/table.h"
#include "tests/silicon/native_cpu.h"

namespace orrery::silicon {
namespace {

template <class T, size_t N>
T pick(Random& r, const T (&values)[N]) {
  return values[r.below(N)];
}

u64 integer(Random& r) {
  constexpr u64 kValues[] = {0,
                             1,
                             2,
                             0x7f,
                             0x80,
                             0xff,
                             0x7fff,
                             0x8000,
                             0xffff,
                             0x7fffffff,
                             0x80000000,
                             0xffffffff,
                             0x7fffffffffffffff,
                             0x8000000000000000,
                             0xffffffffffffffff,
                             0xfffffffffffffffe,
                             0xffffffff80000000,
                             0xffffffffffff8000,
                             0xffffffffffffff80,
                             0x100000000,
                             7,
                             8,
                             31,
                             63};
  switch (r.below(4)) {
    case 0:
      return pick(r, kValues);
    case 1:
      return r.next() & 63;
    case 2:
      return r.next() >> r.below(64);
    default:
      return r.next();
  }
}
u32 float32(Random& r) {
  constexpr u32 kValues[] = {0,          0x80000000, 1,          0x80000001, 0x007fffff, 0x00800000,
                             0x00800001, 0x3f800000, 0xbf800000, 0x7f7fffff, 0xff7fffff, 0x7f800000,
                             0xff800000, 0x7fc00000, 0xffc00000, 0x7f800001, 0xffbfffff, 0x7fc12345,
                             0x4f000000, 0xcf000000, 0x4effffff, 0x5f000000, 0x3effffff, 0x3f000000,
                             0x3fc00000, 0x40200000, 0x34000000, 0x00400000, 0xdf000000, 0x7f000000};
  switch (r.below(4)) {
    case 0:
      return pick(r, kValues);
    case 1:
      return static_cast<u32>(r.next() & 0x807fffff) | static_cast<u32>((0x78 + r.below(16)) << 23);
    case 2:
      return static_cast<u32>(r.next() & 0x83ffffff);
    default:
      return static_cast<u32>(r.next());
  }
}
u64 float64(Random& r) {
  constexpr u64 kValues[] = {0,
                             u64{1} << 63,
                             1,
                             0x8000000000000001,
                             0x000fffffffffffff,
                             0x0010000000000000,
                             0x3ff0000000000000,
                             0xbff0000000000000,
                             0x7fefffffffffffff,
                             0xffefffffffffffff,
                             0x7ff0000000000000,
                             0xfff0000000000000,
                             0x7ff8000000000000,
                             0xfff8000000000000,
                             0x7ff0000000000001,
                             0xfff4000000000000,
                             0x7ffabcdef0123456,
                             0x41e0000000000000,
                             0xc1e0000000000000,
                             0x43e0000000000000,
                             0xc3e0000000000000,
                             0x41dfffffffe00000,
                             0x3fe0000000000000,
                             0x3ff8000000000000,
                             0x3810000000000000,
                             0x36a0000000000000,
                             0x47efffffe0000000,
                             0x47effffff0000000,
                             0x3800000000000001,
                             0x0008000000000000};
  switch (r.below(4)) {
    case 0:
      return pick(r, kValues);
    case 1:
      return (r.next() & 0x800fffffffffffff) | (0x3f8 + r.below(16)) << 52;
    case 2:
      return (r.next() & 0x800fffffffffffff) | (r.chance(50) ? r.below(4) : 0x380 + r.below(0x80)) << 52;
    default:
      return r.next();
  }
}
void float80(Random& r, u64 out[2]) {
  constexpr u64 kSignificands[] = {0,
                                   1,
                                   0x8000000000000000,
                                   0xc000000000000000,
                                   0xffffffffffffffff,
                                   0x8000000000000001,
                                   0xa000000000000000,
                                   0x7fffffffffffffff,
                                   0x4000000000000000,
                                   0xfffffffffffff800,
                                   0xfffffffffffff400,
                                   0xffffff0000000000,
                                   0xffffff8000000000};
  constexpr u16 kExponents[] = {0,      1,      0x3fff, 0x4000, 0x3ffe, 0x7ffe, 0x7fff,
                                0x401e, 0x403e, 0x403f, 0x3f80, 0x3c00, 0x43fe, 0x407e,
                                0x3f81, 0x3c01, 0x400e, 0x403d, 0x3fbf, 2,      0x7ffd};
  out[0] = r.chance(40) ? pick(r, kSignificands) : r.next() | (r.chance(95) ? u64{1} << 63 : 0);
  u64 exponent = r.chance(50)   ? pick(r, kExponents)
                 : r.chance(70) ? 0x3ff0 + r.below(0x60)
                                : r.next() & 0x7fff;
  if (exponent == 0x7fff && r.chance(50)) exponent = 0x3fff;
  if (r.chance(80) && exponent != 0) out[0] |= u64{1} << 63;
  out[1] = exponent | (r.chance(50) ? 0x8000 : 0);
}
void vector(Random& r, u64 out[2]) {
  for (unsigned i = 0; i < 2; ++i) {
    switch (r.below(4)) {
      case 0:
        out[i] = float64(r);
        break;
      case 1:
        out[i] = u64{float32(r)} | u64{float32(r)} << 32;
        break;
      case 2:
        out[i] = integer(r);
        break;
      default:
        out[i] = r.next();
        break;
    }
  }
}

u64 data_address(Random& r, bool writable_only) {
  const u64 end = writable_only || r.chance(90) ? kWritableBytes : kDataBytes;
  switch (r.below(10)) {
    case 0:
      return kDataBase + end - 1 - r.below(32);  // reaches over the end of its rights
    case 1:
      return kDataBase + 0x1000 - r.below(32);  // crosses pages
    case 2:
      return kDataBase + 0x800 + r.below(64);  // unaligned
    case 3:
      return r.chance(30) ? kDataBase + kDataBytes - r.below(64) : kDataBase + 0x400;
    case 4:
      return r.chance(30) ? integer(r) : kDataBase + 0x600;
    default:
      return kDataBase + 0x40 + (r.below(0x1d00) & ~u64{63});
  }
}

void make_float_state(Random& r, Context& c) {
  FxArea& fx = c.fx;
  fx.fcw = static_cast<u16>(0x40 | (r.chance(70) ? 0x3f : r.below(64)) | pick(r, {0u, 2u, 3u, 3u}) << 8 |
                            r.below(4) << 10);
  fx.fsw = static_cast<u16>(r.below(8) << 11 | (r.next() & 0x4700));
  if (r.chance(30))
    fx.fsw |= static_cast<u16>(r.below(128) & (r.chance(10) ? 0x7fu : (fx.fcw & 0x3fu) | 0x40u));
  if ((fx.fsw & ~fx.fcw & 0x3f) != 0) fx.fsw |= 0x8080;
  fx.ftw = static_cast<u8>(r.chance(50)   ? 0xff
                           : r.chance(70) ? 0x7f >> r.below(3) << ((fx.fsw >> 11) & 7)
                                          : r.next());
  fx.fop = static_cast<u16>(r.next() & 0x7ff);
  fx.fip = r.next() & 0x7fffffffffff;
  fx.fdp = r.next() & 0x7fffffffffff;
  fx.mxcsr = static_cast<u32>((r.chance(60) ? 0x1f80 : r.next() & 0x1f80) | (r.next() & 0x6000) |
                              (r.chance(30) ? 0x40 : 0) | (r.chance(30) ? 0x8000 : 0) |
                              (r.chance(30) ? r.next() & 63 : 0) | (r.chance(5) ? 0x20000 : 0)) &
             NativeCpu::mxcsr_mask();
  fx.mxcsr_mask = 0x2ffff;
  for (auto& st : fx.st) float80(r, st);
  for (auto& xmm : fx.xmm) vector(r, xmm);
  for (auto& high : c.ymm_high) vector(r, high);
}

bool is_fused(std::string_view name) { return name.starts_with("VFM") || name.starts_with("VFNM"); }
/// An addend that takes away all of a product but its rounding error.
u64 cancelling(u64 a, u64 b, bool is_double, Random& r) {
  u64 c = 0;
  if (is_double) {
    c = std::bit_cast<u64>(std::bit_cast<double>(a) * std::bit_cast<double>(b));
  } else {
    c = std::bit_cast<u32>(std::bit_cast<float>(static_cast<u32>(a)) *
                           std::bit_cast<float>(static_cast<u32>(b)));
  }
  if (r.chance(30)) c += r.below(3) - 1;
  return r.chance(70) ? c ^ (is_double ? u64{1} << 63 : u64{1} << 31) : c;
}

/// For FMA: operands of which the product and the addend nearly cancel. `third`: operand 3 if it is in
/// memory.
void make_fused_operands(Random& r, std::string_view name, const cpu::Insn& insn, Context& c, u8* third) {
  const bool is_double = name.back() == 'D';
  const size_t digits = name.find_first_of("123");
  const auto lane = [&](unsigned operand, unsigned i) {
    const unsigned bytes = i * (is_double ? 8 : 4);
    if (operand == 3 && third != nullptr) return third + bytes;
    const u8 reg = insn.op[operand - 1];
    return reinterpret_cast<u8*>(bytes < 16 ? c.fx.xmm[reg] : c.ymm_high[reg]) + bytes % 16;
  };
  for (unsigned i = 0; i < (is_double ? 4u : 8u); ++i) {
    const u64 a = is_double ? float64(r) : float32(r), b = is_double ? float64(r) : float32(r);
    const u64 values[3] = {a, b, cancelling(a, b, is_double, r)};
    for (unsigned k = 0; k < 3; ++k)
      std::memcpy(lane(static_cast<unsigned>(name[digits + k] - '0'), i), &values[k], is_double ? 8 : 4);
  }
}

/// Indices of a gather: mostly near each other, now and then anywhere; as doublewords and as quadwords.
void make_indices(Random& r, const cpu::Insn& insn, Context& c) {
  const bool quadwords = r.chance(50);
  const bool wild = r.chance(20);
  u64* parts[2] = {c.fx.xmm[insn.index], c.ymm_high[insn.index]};
  for (u64* part : parts) {
    for (unsigned i = 0; i < 2; ++i) {
      const auto one = [&] { return wild && r.chance(20) ? r.next() : (r.next() & 0x1ff) - 0x100; };
      part[i] = quadwords ? one() : (one() & 0xffffffff) | one() << 32;
    }
  }
}

/// What the base of GS adds to `e`'s operand, if it has that prefix.
u64 gs_base(Mode mode, const Encoding& e) {
  const bool overridden = std::find(e.bytes, e.bytes + 4, u8{0x65}) != e.bytes + 4;
  return !overridden ? 0 : mode == Mode::k64 ? kGsBase : kGsBase32;
}

constexpr u16 kSelectors[] = {0,    1,    3,        kData, kData - 3, kData - 1, kCode32, kCode64,
                              0x10, 0x18, kLdtData, 4,     0x0f,      0x83,      0x1b,    kData};
bool loads_segment(std::string_view name, const cpu::Insn& insn, const Form& form) {
  return name == "LDS" || name == "LES" || name == "LGS" ||
         ((name == "MOV" || name == "POP") && form.text.find(" sreg") != std::string::npos && insn.op[0] < 6);
}

}  // namespace

void fill_memory(Random& random, u8* memory) {
  u64 v[2];
  for (u64 i = 0; i < kDataBytes; i += 16) {
    if (random.chance(30)) {
      float80(random, v);
      v[1] = (v[1] & 0xffff) | random.next() << 16;
    } else {
      vector(random, v);
    }
    std::memcpy(memory + i, v, 16);
  }
}

void make_registers(Random& random, Context& c) {
  std::memset(static_cast<void*>(&c), 0, sizeof c);
  make_float_state(random, c);
  for (u64& r : c.gpr)
    r = random.chance(40)   ? kDataBase + 0x400 + 64 * random.below(0x60)
        : random.chance(10) ? data_address(random, false)
                            : integer(random);
  c.rflags =
      0x202 | (random.next() & 0x8d5) | (random.chance(15) ? 0x400 : 0) | (random.chance(4) ? 0x40000 : 0);
}

Encoding make_code(Random& random, const Form& form) {
  Encoding e = form.encodings[random.below(form.encodings.size())];
  if (e.disp_offset != 0) {
    const u64 from = e.relative ? kCodeStart + e.length : gs_base(form.mode, e);
    const u64 disp = data_address(random, true) - from;
    store_le_n(e.bytes + e.disp_offset, disp, e.disp_bytes);
  }
  for (unsigned i = 0; i < e.imm_bytes; ++i) {
    e.bytes[e.imm_offset + i] = static_cast<u8>(random.chance(30) ? random.below(32) : integer(random));
  }
  return e;
}

void make_case(Random& random, const Form& form, const cpu::Insn& insn, Context& c, u8* memory) {
  std::memset(static_cast<void*>(&c), 0, sizeof c);
  make_float_state(random, c);
  for (u64& r : c.gpr) r = random.chance(20) ? data_address(random, true) : integer(random);
  const std::string_view name = cpu::isa::rows()[insn.row].name;
  u8* fresh = nullptr;  // where the memory operand has been put
  u16 gs = kLdtData;
  c.gpr[cpu::kRsp] =
      random.chance(95) ? kDataBase + 0x800 + (random.below(0x1000) & ~u64{7}) : data_address(random, false);
  // What string and other implicit operands use.
  if (!form.has_memory) {
    for (const auto reg : {cpu::kRsi, cpu::kRdi, cpu::kRbx}) {
      if (random.chance(80)) c.gpr[reg] = data_address(random, reg == cpu::kRdi);
    }
    if (name == "LEAVE" || name == "ENTER") c.gpr[cpu::kRbp] = data_address(random, false);
    if (form.repeated && random.chance(95)) c.gpr[cpu::kRcx] = random.below(48);
  } else {
    const u64 segment_base = insn.segment() != cpu::kGs ? 0 : form.mode == Mode::k64 ? kGsBase : kGsBase32;
    const u64 next = kCodeStart + insn.length;
    const bool direct = insn.base == cpu::kZeroRegister && insn.index == cpu::kZeroRegister;
    const u64 target =
        insn.base == cpu::kRip || direct
            ? segment_base + (((direct ? 0 : next) + static_cast<u64>(i64{insn.disp})) & insn.address_mask())
            : data_address(random, true);
    if (form.vsib) make_indices(random, insn, c);
    const u64 index = form.vsib || insn.index == cpu::kZeroRegister ? 0
                      : random.chance(80)                           ? c.gpr[insn.index] & 63
                                                                    : c.gpr[insn.index];
    if (insn.index < 16 && !form.vsib) c.gpr[insn.index] = index;
    if (insn.base < 16) {
      c.gpr[insn.base] =
          (target - segment_base - static_cast<u64>(i64{insn.disp}) - (index << insn.scale_shift())) &
          insn.address_mask();
      // Over the end of a segment.
      if (form.mode == Mode::k32 && insn.segment() == cpu::kGs && random.chance(25)) {
        const u64 n = 1 + random.below(kLdtDataSegments - 1);
        gs = static_cast<u16>(8 * n + kLdtData);
        const u64 inside = random.chance(80) ? random.below(36) : 16 * random.below(36);
        c.gpr[insn.base] = (kLdtSegments[n].limit + u64{1} - inside - static_cast<u64>(i64{insn.disp}) -
                            (index << insn.scale_shift())) &
                           insn.address_mask();
      }
    }
    // A register bit index moves the operand; it must not land on the page that the instruction itself lies
    // on.
    if (name.starts_with("BT") && insn.op[1] < 16 && insn.op[1] != insn.base && insn.op[1] != insn.index) {
      u64& bit_index = c.gpr[insn.op[1]];
      const u64 bytes = 1u << insn.operand_log2();
      const auto units =
          sign_extend(bit_index, static_cast<unsigned>(8 * bytes)) >> (3 + insn.operand_log2());
      const u64 moved = target + static_cast<u64>(units) * bytes;
      if (moved - kCodePage + 4096 < 3 * u64{4096}) bit_index &= 0xfff;
    }
    // A fresh operand there; for indirect branches mostly a good target.
    if (target - kDataBase < kDataBytes - 32) {
      u64 v[4];
      vector(random, v);
      vector(random, v + 2);
      if (random.chance(40)) float80(random, v);
      if (form.branch && random.chance(80)) v[0] = kCodePage + 0x100 + random.below(32);
      std::memcpy(memory + (target - kDataBase), v, 32);
      fresh = memory + (target - kDataBase);
      if (name == "LDMXCSR" && random.chance(80))
        store_le<u32>(memory + (target - kDataBase), static_cast<u32>(random.next() & 0x2ffff));
      if (loads_segment(name, insn, form))
        store_le(fresh + (name == "MOV" ? 0u : insn.operand_bytes()), pick(random, kSelectors));
    }
  }
  if (is_fused(name) && random.chance(40)) {
    const bool in_memory = insn.op[2] == cpu::kMemOperand;
    const bool reachable = fresh != nullptr || !in_memory;
    if (reachable) make_fused_operands(random, name, insn, c, fresh);
  }
  if (form.branch) {
    for (unsigned i = 0; i < 16; ++i) {
      if (i != cpu::kRsp && i != insn.base && i != cpu::kRcx && random.chance(60))
        c.gpr[i] = kCodePage + 0x100 + random.below(32);
    }
  }
  const u64 stack = c.gpr[cpu::kRsp];
  if (stack - kDataBase < kDataBytes - 8) {
    u64 top = load_le<u64>(memory + (stack - kDataBase));
    if (name.starts_with("POPF")) top &= ~u64{0x40100};  // no TF, no AC
    if (form.branch) top = kCodePage + 0x200 + random.below(32);
    if (loads_segment(name, insn, form)) top = (top & ~u64{0xffff}) | pick(random, kSelectors);
    store_le(memory + (stack - kDataBase), top);
  }
  if (name == "MOV" && loads_segment(name, insn, form) && insn.op[1] < 16)
    c.gpr[insn.op[1]] = pick(random, kSelectors);
  if (form.mode == Mode::k32) {
    for (unsigned i = 0; i < 16; ++i) c.gpr[i] = i < 8 ? c.gpr[i] & 0xffffffff : 0;
    c.ds = c.es = kData;
    c.gs = gs;
  }
  c.rflags =
      0x202 | (random.next() & 0x8d5) | (random.chance(20) ? 0x400 : 0) | (random.chance(5) ? 0x40000 : 0);
}

}  // namespace orrery::silicon
