#include "tests/silicon/sequence.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "base/bits.h"
#include "cpu/isa/table.h"
#include "tests/silicon/native_cpu.h"

namespace orrery::silicon {
namespace {

namespace trait = cpu::isa::trait;
constexpr unsigned kMaxBytes = 15;

bool is_data(u64 address) { return address - kDataBase < kWritableBytes; }

enum Group : unsigned { kInteger, kX87, kMmx, kSse, kAvx };
Group group_of(const cpu::isa::Row& row) {
  if (row.traits & trait::kAvx) return kAvx;
  if (row.traits & trait::kX87) return kX87;
  if (row.traits & trait::kMmx) return kMmx;
  return row.traits & trait::kSse ? kSse : kInteger;
}

bool is_usable(const Form& form, bool undefined_too) {
  const cpu::isa::Row& row = cpu::isa::rows()[form.row];
  if ((row.flags_undefined != 0 || varies_by_vendor(form)) && !undefined_too) return false;
  // Approximations, and circular functions.
  if ((row.traits & trait::kUndefinedResult) != 0 && group_of(row) != kInteger) return false;
  if (row.name == "LDS" || row.name == "LES" || row.name == "LGS") return false;
  return form.text.find(" sreg") == std::string::npos || row.name == "PUSH";
}

/// Whether `e` seldom faults if its memory operand is good.
bool is_peaceful(const Form& form, const Encoding& e, Random& r) {
  const std::string_view name = cpu::isa::rows()[form.row].name;
  const auto starts = [&](std::string_view text) { return name.starts_with(text); };
  const bool harsh = starts("UD") || starts("DIV") || starts("IDIV") || name == "AAM" || name == "BOUND" ||
                     name == "INTO" || starts("POPF") || starts("FXRSTOR") || starts("FRSTOR") ||
                     starts("FLD") || starts("LDMXCSR") || starts("VLDMXCSR") || form.vsib ||
                     (form.repeated && (cpu::isa::rows()[form.row].traits & trait::kString) != 0);
  const bool harmless_load = name == "FLD" || (starts("FLD") && !form.has_memory);
  if (harsh && !harmless_load && r.chance(85)) return false;
  const bool gs = std::find(e.bytes, e.bytes + 4, u8{0x65}) != e.bytes + 4;
  return form.mode == Mode::k64 || gs == (e.address_bits == 16);
}

/// Where REX or the second byte of VEX lies, or none.
struct ExtensionByte {
  u8* at = nullptr;
  bool inverted = false;
};
ExtensionByte extension_of(Piece& p, Mode mode) {
  for (u8* b = p.bytes; b != p.bytes + kMaxBytes; ++b) {
    if (*b == 0xc4 && (mode == Mode::k64 || b[1] >= 0xc0)) return {b + 1, true};
    if (mode == Mode::k64 && (*b & 0xf0) == 0x40) return {b, false};
    const bool prefix = *b == 0x65 || *b == 0x66 || *b == 0x67 || *b == 0xf0 || *b == 0xf2 || *b == 0xf3;
    if (!prefix) return {};
  }
  return {};
}

i64 displacement(Random& r) {
  switch (r.below(8)) {
    case 0:
      return static_cast<i64>(r.below(256)) - 128;
    case 1:
      return static_cast<i64>(r.below(0x1000)) - 0x800;
    case 2:
      return static_cast<i64>(8 * r.below(64)) - 256;
    default:
      return static_cast<i64>(32 * r.below(32)) - 512;
  }
}

void patch_branch(Piece& p, u64 from, u64 to) {
  using Patch = Piece::Patch;
  const u64 relative = to - (from + p.length);
  switch (p.patch) {
    case Patch::kNone:
      break;
    case Patch::kRelative8:
      p.bytes[p.patch_offset] = static_cast<u8>(relative);
      break;
    case Patch::kRelative32:
      store_le<u32>(p.bytes + p.patch_offset, static_cast<u32>(relative));
      break;
    case Patch::kAbsolute32:
      store_le<u32>(p.bytes + p.patch_offset, static_cast<u32>(to));
      break;
    case Patch::kRipData:
      store_le<u32>(p.bytes + p.patch_offset, static_cast<u32>(p.data - (from + p.length)));
      break;
  }
}

}  // namespace

std::vector<u8> Sequence::code() const {
  std::vector<u64> starts;
  u64 at = kCodeStart;
  for (const Piece& p : pieces) {
    starts.push_back(at);
    at += p.length;
  }
  starts.push_back(at);
  std::vector<u8> out;
  for (size_t i = 0; i < pieces.size(); ++i) {
    Piece p = pieces[i];
    u64 to = starts[std::min<size_t>(p.target, pieces.size())];
    // A short branch leads as far as it can.
    for (size_t t = p.target; p.patch == Piece::Patch::kRelative8 && t > i + 1 && to - starts[i + 1] > 127;
         --t)
      to = starts[std::min(t - 1, pieces.size())];
    patch_branch(p, starts[i], to);
    out.insert(out.end(), p.bytes, p.bytes + p.length);
  }
  return out;
}

Sequence Sequence::without(size_t n) const {
  Sequence s = *this;
  s.pieces.erase(s.pieces.begin() + static_cast<std::ptrdiff_t>(n));
  for (Piece& p : s.pieces) {
    if (p.target > n) --p.target;
  }
  return s;
}

bool is_careful(u64 state_seed) { return state_seed % 8 < 5; }

void make_start(Mode mode, u64 state_seed, Context& c) {
  Random r(state_seed ^ 0x5e9e4ce5);
  make_registers(r, c);
  if (is_careful(state_seed)) {
    c.fx.mxcsr = (c.fx.mxcsr & ~0x20000u) | 0x1f80;
    c.fx.fcw |= 0x3f;
    c.fx.fsw &= static_cast<u16>(~0x80ff);
    c.rflags &= ~u64{0x40000};
    for (const unsigned i : {cpu::kRbx, cpu::kRsi, cpu::kRdi})
      c.gpr[i] = kDataBase + 0x800 + 64 * r.below(0x40);
  }
  c.gpr[cpu::kRsp] = r.chance(97) ? kDataBase + 0x800 + 8 * r.below(0x200) : c.gpr[cpu::kRsp];
  for (unsigned i = 0; i < 16; ++i) {  // indices of gathers
    if (!r.chance(15)) continue;
    for (unsigned k = 0; k < 2; ++k) {
      c.fx.xmm[i][k] &= 0x000000ff'000000ff;
      c.ymm_high[i][k] &= 0x000000ff'000000ff;
    }
  }
  if (mode == Mode::k32) {
    for (unsigned i = 0; i < 16; ++i) c.gpr[i] = i < 8 ? c.gpr[i] & 0xffffffff : 0;
    c.ds = c.es = kData;
    c.gs = kLdtData;
  }
}

void make_memory(u64 state_seed, u8* memory) {
  Random r((state_seed / kSharedMemory) ^ 0x3e30f1);
  fill_memory(r, memory);
}

struct SequenceMaker::Draft {
  Random random;
  Sequence sequence;
  Context start;
  std::vector<u8> pointers;  // registers that point to data, and are mostly left alone
  u16 kept = 0;              // those, as a mask
  bool careful = false;      // most of it shall run to its end
  i8 counter = -1;           // of the loop: nothing else writes it
  u16 loop_start = 0;
  unsigned wanted = 0;  // pieces
  std::vector<u8> few;  // registers that the sequence mostly works on; none: on all
};

SequenceMaker::SequenceMaker(Mode mode, bool undefined_too, std::string_view favoured)
    : mode_(mode), undefined_too_(undefined_too), forms_(make_forms(mode)) {
  constexpr std::string_view kNames[kGroups] = {"integer", "x87", "mmx", "sse", "avx"};
  if (const auto* const at = std::find(std::begin(kNames), std::end(kNames), favoured);
      at != std::end(kNames)) {
    for (u8& w : weights_) w = 6;
    weights_[at - kNames] = 76;
  }
  const auto add = [](std::vector<Choice>& to, const Form& form) {
    if (to.empty() || to.back().forms[0]->row != form.row) to.emplace_back();
    to.back().forms.push_back(&form);
  };
  for (const Form& form : forms_) {
    if (!is_usable(form, undefined_too)) continue;
    const cpu::isa::Row& r = cpu::isa::rows()[form.row];
    if (!NativeCpu::has_vectors_of(r, form.text.find("ymm") != std::string::npos)) continue;
    if (!form.branch) {
      add(groups_[group_of(r)], form);
    } else if (const u8 bytes = form.encodings[0].branch_bytes; bytes == 0) {
      add(indirect_, form);
    } else if (bytes != 2) {
      add(relative_, form);
    }
  }
}

std::vector<std::string_view> SequenceMaker::rows() const {
  std::vector<std::string_view> out;
  const auto take = [&](const std::vector<Choice>& choices) {
    for (const Choice& c : choices) out.push_back(cpu::isa::rows()[c.forms[0]->row].name);
  };
  for (const auto& group : groups_) take(group);
  take(relative_);
  take(indirect_);
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

/// Gives the memory operand of `piece` a base, an index and a displacement, mostly in the data pages.
void SequenceMaker::place_operand(Draft& d, const Form& form, const Encoding& e, Piece& p) const {
  Random& r = d.random;
  const u8 modrm = e.bytes[e.modrm_offset];
  const bool has_disp_only = e.disp_offset != 0 && (modrm & 0xc7) != 0x05;  // moffs, or 16-bit
  if (e.modrm_offset == 0 || (modrm & 0xc0) == 0xc0 || e.address_bits == 16 || has_disp_only) {
    if (e.disp_offset != 0 && !e.relative) {
      const u64 data = kDataBase + 32 * r.below(kWritableBytes / 32);
      store_le_n(p.bytes + e.disp_offset, e.address_bits == 16 ? data - kGsBase32 : data, e.disp_bytes);
    }
    return;
  }
  const unsigned imm_bytes = form.branch ? 0 : e.imm_bytes;
  u8 immediates[8];
  std::memcpy(immediates, p.bytes + e.length - imm_bytes, imm_bytes);
  const ExtensionByte extension = extension_of(p, mode_);
  const unsigned registers = extension.at != nullptr && mode_ == Mode::k64 ? 16 : 8;
  unsigned at = e.modrm_offset;
  if (!form.vsib && r.chance(d.careful && d.pointers[0] >= registers ? 100 : 8)) {  // RIP-relative or direct
    p.bytes[at++] = (modrm & 0x38) | 5;
    p.data =
        static_cast<u32>(kDataBase + 32 * r.below(kWritableBytes / 32) + (r.chance(20) ? r.below(32) : 0));
    if (mode_ == Mode::k64) {
      p.patch = Piece::Patch::kRipData;
      p.patch_offset = static_cast<u8>(at);
    }
    store_le<u32>(p.bytes + at, p.data);
    at += 4;
  } else {
    u8 base = static_cast<u8>(r.below(registers));
    if (!d.pointers.empty() && (d.careful || r.chance(90))) {
      const u8 pointer = d.pointers[r.below(d.pointers.size())];
      if (pointer < registers)
        base = pointer;
      else if (d.careful)
        base = d.pointers[0];
    }
    const bool indexed = form.vsib || r.chance(d.careful ? 1 : 10);
    const u8 index = static_cast<u8>(r.below(registers));
    const bool has_index = form.vsib || (indexed && index != cpu::kRsp);
    const i64 disp = d.careful && r.chance(97) ? static_cast<i64>(32 * r.below(32)) - 512 : displacement(r);
    const bool short_disp = disp == static_cast<i8>(disp);
    const bool sib = has_index || (base & 7) == 4;
    p.bytes[at++] = static_cast<u8>((modrm & 0x38) | (short_disp ? 0x40 : 0x80) | (sib ? 4 : base & 7));
    if (sib) p.bytes[at++] = static_cast<u8>(r.below(4) << 6 | (has_index ? index & 7 : 4) << 3 | (base & 7));
    store_le_n(p.bytes + at, static_cast<u64>(disp), short_disp ? 1 : 4);
    at += short_disp ? 1 : 4;
    if (registers == 16) {
      const u8 x = extension.inverted ? 0x40 : 2, b = extension.inverted ? 0x20 : 1;
      const bool want_x = has_index && index >= 8, want_b = base >= 8;
      *extension.at = static_cast<u8>((*extension.at & ~(x | b)) | (want_x != extension.inverted ? x : 0) |
                                      (want_b != extension.inverted ? b : 0));
    }
  }
  std::memcpy(p.bytes + at, immediates, imm_bytes);
  p.length = static_cast<u8>(at + imm_bytes);
}

Piece SequenceMaker::make_piece(Draft& d, const Form& form, const Encoding& e) const {
  Piece p;
  std::memcpy(p.bytes, e.bytes, e.length);
  p.length = e.length;
  for (unsigned i = 0; i < e.imm_bytes; ++i)
    p.bytes[e.imm_offset + i] = static_cast<u8>(d.random.chance(40) ? d.random.below(32) : d.random.next());
  if (form.has_memory) place_operand(d, form, e, p);
  return p;
}

void SequenceMaker::add_instruction(Draft& d) const {
  Random& r = d.random;
  while (true) {
    u64 draw = r.below(100);
    unsigned g = 0;
    while (draw >= weights_[g]) draw -= weights_[g++];
    if (groups_[g].empty()) continue;
    const Choice& choice = groups_[g][r.below(groups_[g].size())];
    const Form& form = *choice.forms[r.below(choice.forms.size())];
    const Encoding& e = form.encodings[r.below(form.encodings.size())];
    if (d.counter >= 0 && ((e.gprs_written >> d.counter) & 1) != 0) continue;
    const bool moves_on = (cpu::isa::rows()[form.row].traits & trait::kString) != 0 && !form.repeated;
    if ((e.gprs_written & d.kept) != 0 && !moves_on && (d.careful || r.chance(90))) continue;
    if (d.careful && !is_peaceful(form, e, r)) continue;
    Piece p = make_piece(d, form, e);
    if (p.length > kMaxBytes) continue;
    d.sequence.pieces.push_back(p);
    return;
  }
}

namespace {

/// An instruction with a register, and another or memory.
class EverydayPiece {
 public:
  /// `bits`: 8, 16, 32 or 64, of the operands. Opcodes of 8-bit operands are one less than the others'.
  EverydayPiece(Mode mode, unsigned bits) : mode_(mode), bits_(bits) {}
  void opcode(std::initializer_list<u8> bytes) { opcode_ = bytes; }
  void registers(u8 reg, u8 rm) {
    reg_ = reg;
    rm_ = rm;
  }
  void memory(u8 reg, u8 base, i32 displacement) {
    registers(reg, base);
    displacement_ = displacement;
  }
  void immediate(u32 value, unsigned bytes) {
    immediate_ = value;
    immediate_bytes_ = bytes;
  }
  /// `has_extension`: what stands for a register is part of the opcode.
  Piece make(bool has_extension = false) const {
    Piece p;
    const auto put = [&p](u64 byte) { p.bytes[p.length++] = static_cast<u8>(byte); };
    if (bits_ == 16) put(0x66);
    if (mode_ == Mode::k64) {
      const bool low_byte = bits_ == 8 && ((!has_extension && reg_ >= 4) || (!displacement_ && rm_ >= 4));
      const unsigned rex = (bits_ == 64 ? 8u : 0u) | (reg_ >= 8 ? 4u : 0u) | (rm_ >= 8 ? 1u : 0u);
      if (rex != 0 || low_byte) put(0x40 | rex);
    }
    for (const u8 byte : opcode_) put(byte);
    put((displacement_ ? 0x80u : 0xc0u) | (reg_ & 7u) << 3 | (rm_ & 7u));
    if (displacement_) {
      if ((rm_ & 7) == 4) put(0x24);
      store_le<u32>(p.bytes + p.length, static_cast<u32>(*displacement_));
      p.length += 4;
    }
    store_le_n(p.bytes + p.length, immediate_, immediate_bytes_);
    p.length = static_cast<u8>(p.length + immediate_bytes_);
    return p;
  }

 private:
  Mode mode_;
  unsigned bits_;
  std::vector<u8> opcode_;
  u8 reg_ = 0, rm_ = 0;
  std::optional<i32> displacement_;
  u64 immediate_ = 0;
  unsigned immediate_bytes_ = 0;
};

}  // namespace

void SequenceMaker::add_everyday(Draft& d) const {
  Random& r = d.random;
  const auto any = [&] { return d.few[r.below(d.few.size())]; };
  const auto changed = [&] {
    u8 reg = any();
    while (reg == d.counter) reg = any();
    return reg;
  };
  // Of 32-bit code's registers only four have low bytes.
  const u64 width = r.below(8);
  const unsigned word = mode_ == Mode::k64 ? 64 : 32;
  const bool has_bytes =
      mode_ == Mode::k64 || std::all_of(d.few.begin(), d.few.end(), [](u8 reg) { return reg < cpu::kRsp; });
  const unsigned bits = width == 0 && has_bytes ? 8 : width == 1 ? 16 : width < 5 ? 32 : word;
  const u8 wide = bits == 8 ? 0 : 1;
  EverydayPiece piece(mode_, bits);
  const auto opcode = [&](unsigned byte) { piece.opcode({static_cast<u8>(byte | wide)}); };
  const u8 arithmetic = static_cast<u8>(r.below(8));  // ADD OR ADC SBB AND SUB XOR CMP
  const bool has_memory = !d.pointers.empty() && r.chance(35);
  const u8 pointer = d.pointers.empty() ? u8{0} : d.pointers[r.below(d.pointers.size())];
  const auto displacement = static_cast<i32>(8 * r.below(128)) - 512;
  const u8 to = changed(), from = r.chance(20) ? to : any();
  // An operand that is only read may be the loop's counter.
  const auto operands = [&](u8 reg, u8 rm) {
    if (has_memory) {
      piece.memory(reg, pointer, displacement);
    } else {
      piece.registers(reg, rm);
    }
  };
  bool has_extension = false;
  const auto extension = [&](u8 number) {
    has_extension = true;
    operands(number, to);
  };
  switch (r.below(undefined_too_ ? 14 : 13)) {
    case 0:
    case 1:
    case 2:
      opcode(8u * arithmetic);  // to memory, or a register
      operands(from, to);
      break;
    case 3:
      opcode(8u * arithmetic + 2);  // from
      operands(to, from);
      break;
    case 4:
      piece.opcode({static_cast<u8>(bits == 8 ? 0x80 : 0x83)});
      extension(arithmetic);
      piece.immediate(static_cast<u32>(r.chance(30) ? 0 : r.below(256)), 1);
      break;
    case 5:
      opcode(0x84);  // TEST
      operands(from, to);
      break;
    case 6:
      if (r.chance(50)) {
        opcode(0xf6);  // NOT, NEG
        extension(static_cast<u8>(2 + r.below(2)));
      } else {
        opcode(0xfe);  // INC, DEC
        extension(static_cast<u8>(r.below(2)));
      }
      break;
    case 7:
      opcode(0x8a);  // MOV from
      operands(to, from);
      break;
    case 8:
      opcode(0x88);  // MOV to
      operands(from, to);
      break;
    case 9:
      opcode(0xc6);
      extension(0);
      piece.immediate(static_cast<u32>(r.next()), std::min(bits / 8, 4u));
      break;
    case 10:
      if (bits == 8) return add_everyday(d);
      piece.opcode({0x8d});  // LEA
      piece.memory(to, from, static_cast<i32>(r.below(256)) - 128);
      break;
    case 11:
      if (bits == 8) {
        piece.opcode({0x0f, static_cast<u8>(0x90 + r.below(16))});  // SETcc
        extension(0);
      } else {
        piece.opcode({0x0f, static_cast<u8>(0x40 + r.below(16))});  // CMOVcc
        operands(to, from);
      }
      break;
    case 12: {
      // Equality is what most ask for.
      Piece jump{.bytes = {0x0f, static_cast<u8>(0x80 + (r.chance(50) ? 4 + r.below(2) : r.below(16)))},
                 .length = 6,
                 .patch = Piece::Patch::kRelative32,
                 .patch_offset = 2};
      jump.target = static_cast<u16>(d.sequence.pieces.size() + 1 + r.below(5));
      d.sequence.pieces.push_back(jump);
      return;
    }
    default:
      opcode(0xc0);  // SHL, SHR, SAR
      extension(std::array<u8, 3>{4, 5, 7}[r.below(3)]);
      piece.immediate(static_cast<u32>(r.below(bits)), 1);
      break;
  }
  d.sequence.pieces.push_back(piece.make(has_extension));
}

void SequenceMaker::add_branch(Draft& d) const {
  using Patch = Piece::Patch;
  Random& r = d.random;
  auto& pieces = d.sequence.pieces;
  const auto later = [&](size_t from) {
    const size_t span = std::max<size_t>(d.wanted, from + 1) - from;
    return static_cast<u16>(from + 1 + r.below(std::min<size_t>(span, 8)));
  };
  const u64 kind = r.below(d.careful ? 97 : 100);
  if (kind < 80) {
    const Choice& choice = relative_[r.below(relative_.size())];
    const Form& form = *choice.forms[r.below(choice.forms.size())];
    const Encoding& e = form.encodings[r.below(form.encodings.size())];
    if (d.counter >= 0 && ((e.gprs_written >> d.counter) & 1) != 0) return add_instruction(d);
    Piece p;
    std::memcpy(p.bytes, e.bytes, e.length);
    p.length = e.length;
    p.patch = e.branch_bytes == 1 ? Patch::kRelative8 : Patch::kRelative32;
    p.patch_offset = e.branch_offset;
    p.target = later(pieces.size());
    pieces.push_back(p);
  } else if (kind < 97) {
    // MOV r32, target; JMP or CALL r; or PUSH target; RET.
    const bool by_stack = r.chance(40);
    u8 reg = static_cast<u8>(r.below(8));
    if (by_stack || (reg != cpu::kRsp && reg != d.counter && ((d.kept >> reg) & 1) == 0)) {
      Piece first;
      first.bytes[0] = by_stack ? 0x68 : static_cast<u8>(0xb8 + reg);
      first.length = 5;
      first.patch = Patch::kAbsolute32;
      first.patch_offset = 1;
      first.target = later(pieces.size() + 1);
      pieces.push_back(first);
      Piece second;
      second.bytes[0] = by_stack ? 0xc3 : 0xff;
      second.bytes[1] = static_cast<u8>((r.chance(50) ? 0xe0 : 0xd0) + reg);
      second.length = by_stack ? 1 : 2;
      pieces.push_back(second);
    } else {
      add_instruction(d);
    }
  } else {
    const Choice& choice = indirect_[r.below(indirect_.size())];
    const Form& form = *choice.forms[r.below(choice.forms.size())];
    pieces.push_back(make_piece(d, form, form.encodings[r.below(form.encodings.size())]));
  }
}

Sequence SequenceMaker::make(u64 seed) const {
  Draft d{.random = Random(seed),
          .sequence = {.mode = mode_, .state_seed = seed, .pieces = {}},
          .start = {},
          .pointers = {},
          .few = {}};
  Random& r = d.random;
  auto& pieces = d.sequence.pieces;
  make_start(mode_, seed, d.start);
  for (u8 i = 0; i < (mode_ == Mode::k64 ? 16 : 8); ++i) {
    if (i != cpu::kRsp && is_data(d.start.gpr[i]) && d.pointers.size() < 5) d.pointers.push_back(i);
  }
  d.careful = is_careful(seed);
  for (const u8 p : d.pointers) d.kept |= static_cast<u16>(1u << p);
  d.kept |= 1u << cpu::kRsp;
  d.wanted = static_cast<unsigned>(2 + r.below(29));
  if (r.chance(30)) {
    for (u8 i = 0; i < (mode_ == Mode::k64 ? 16 : 8); ++i) {
      if (((d.kept >> i) & 1) == 0) d.few.push_back(i);
    }
    while (d.few.size() > 3) d.few.erase(d.few.begin() + static_cast<std::ptrdiff_t>(r.below(d.few.size())));
    if (d.few.size() < 2) d.few.clear();
  }
  const bool loops = d.wanted >= 5 && r.chance(30);
  const size_t loop_at = loops ? r.below(d.wanted / 2) : ~size_t{0};
  const size_t loop_length = 1 + r.below(d.wanted / 2);
  bool open = false;
  while (pieces.size() < d.wanted) {
    if (d.counter < 0 && pieces.size() >= loop_at && !open) {
      const u8 reg = r.chance(40) ? u8{cpu::kRcx} : static_cast<u8>(r.below(8));
      if (((d.kept >> reg) & 1) == 0) {
        Piece p;  // MOV reg, rounds
        p.bytes[0] = static_cast<u8>(0xb8 + reg);
        p.bytes[1] = static_cast<u8>(1 + r.below(7));
        p.length = 5;
        pieces.push_back(p);
        d.counter = static_cast<i8>(reg);
        d.loop_start = static_cast<u16>(pieces.size());
        open = true;
      }
    }
    if (open && pieces.size() >= d.loop_start + loop_length) {
      // AND reg, 7: a branch may have led past the MOV.
      const Piece bound{.bytes = {0x83, static_cast<u8>(0xe0 + d.counter), 7}, .length = 3};
      Piece p;
      p.patch = Piece::Patch::kRelative32;
      p.target = d.loop_start;
      if (d.counter == cpu::kRcx && r.chance(50)) {  // LOOP over a long jump
        pieces.push_back(bound);
        pieces.push_back({.bytes = {0xe2, 2}, .length = 2});
        pieces.push_back({.bytes = {0xeb, 5}, .length = 2});
        p.bytes[0] = 0xe9;
        p.length = 5;
        p.patch_offset = 1;
      } else {  // DEC reg; AND; JNZ
        pieces.push_back({.bytes = {0xff, static_cast<u8>(0xc8 + d.counter)}, .length = 2});
        pieces.push_back(bound);
        p.bytes[0] = 0x0f;
        p.bytes[1] = 0x85;
        p.length = 6;
        p.patch_offset = 2;
      }
      pieces.push_back(p);
      open = false;
    } else if (!d.few.empty() && r.chance(90)) {
      add_everyday(d);
    } else if (r.chance(14)) {
      add_branch(d);
    } else {
      add_instruction(d);
    }
  }
  return d.sequence;
}

std::string corpus_line(Mode mode, u64 state_seed, const std::vector<u8>& code) {
  std::string out = fmt::format("{} {} ", mode == Mode::k64 ? 64 : 32, state_seed);
  for (const u8 b : code) out += fmt::format("{:02x}", b);
  return out;
}

std::optional<CorpusCase> parse_corpus_line(std::string_view line) {
  const size_t first = line.find(' '), second = line.find(' ', first + 1);
  if (first == std::string_view::npos || second == std::string_view::npos) return std::nullopt;
  CorpusCase c{};
  const std::string_view mode = line.substr(0, first);
  if (mode != "64" && mode != "32") return std::nullopt;
  c.mode = mode == "64" ? Mode::k64 : Mode::k32;
  std::from_chars(line.data() + first + 1, line.data() + second, c.state_seed);
  std::string_view hex = line.substr(second + 1);
  hex = hex.substr(0, hex.find_first_not_of("0123456789abcdef"));
  for (; hex.size() >= 2; hex.remove_prefix(2)) {
    u8 b = 0;
    std::from_chars(hex.data(), hex.data() + 2, b, 16);
    c.code.push_back(b);
  }
  if (c.code.empty() || !hex.empty() || c.code.size() > kCodeBytes / 2) return std::nullopt;
  return c;
}

}  // namespace orrery::silicon
