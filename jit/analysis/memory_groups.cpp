// One pass forward, following how each register moves.
#include "jit/analysis/memory_groups.h"

#include <algorithm>
#include <limits>
#include <optional>

namespace orrery::jit {
namespace {

/// A group that straddles two pages always fails, so it may not be large.
constexpr i64 kMaxSpanBytes = 512;
constexpr u8 kRegisters = 16;

/// A register's value is that of `version` plus `shift`.
struct Moving {
  u32 version = 0;
  i64 shift = 0;
};

/// What two addresses have in common that differ by a constant.
struct Origin {
  u32 version = 0;  // of the base; absolute, or none: 0
  u32 index_version = 0;
  u8 scale = 0;  // of the index; 0: there is none
  i64 page = 0;  // absolute: its page
  bool operator==(const Origin&) const = default;
};

struct OpenGroup {
  u8 base;
  Origin origin;
  u8 group;
  i64 displacement;  // of the first access ...
  i64 position;      // ... and its position
};

/// One access of `g` that a group may hold: base, displacement, size, direction; with kIndexedBase, what that
/// is made of.
struct Access {
  u8 base;
  i64 displacement;
  u16 bytes;
  bool write;
  ZydisRegister register_base = ZYDIS_REGISTER_NONE, index = ZYDIS_REGISTER_NONE;
  u8 scale = 0;
};

/// An address of the mode's width, without a base of a thread's or a processor's.
bool is_near(const cpu::OperandView& o, const GuestInsn& g) {
  return o.type == ZYDIS_OPERAND_TYPE_MEMORY && g.z.address_width == 8 * word_bytes(g) &&
         o.mem.segment != ZYDIS_REGISTER_FS && o.mem.segment != ZYDIS_REGISTER_GS;
}

bool plain(const cpu::OperandView& o, const GuestInsn& g) {
  return is_near(o, g) && o.mem.index == ZYDIS_REGISTER_NONE && o.mem.type == ZYDIS_MEMOP_TYPE_MEM;
}

/// Whether `g` writes a register as wide as an address first.
bool has_mode_width(const GuestInsn& g) {
  return writes_register(g) && g.operands[0].size == 8 * word_bytes(g);
}

/// What LEA makes is a register and a constant.
bool is_sum(const cpu::OperandView& o, const GuestInsn& g) {
  return is_near(o, g) && o.mem.index == ZYDIS_REGISTER_NONE && is_general_base(o.mem.base);
}

std::optional<Access> access_of(u64 start, const GuestInsn& g) {
  const auto word_size = static_cast<u16>(word_bytes(g));
  const i64 word = word_size;
  if (g.plan == Plan::kStack) {
    if (g.z.mnemonic == ZYDIS_MNEMONIC_PUSH) return Access{cpu::kRsp, -word, word_size, true};
    if (g.z.mnemonic == ZYDIS_MNEMONIC_POP) return Access{cpu::kRsp, 0, word_size, false};
    return std::nullopt;
  }
  if (g.plan == Plan::kBranch) {
    const bool relative = g.operands[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE;
    if (g.z.mnemonic == ZYDIS_MNEMONIC_RET) return Access{cpu::kRsp, 0, word_size, false};
    if (g.z.mnemonic == ZYDIS_MNEMONIC_CALL && relative) return Access{cpu::kRsp, -word, word_size, true};
    return std::nullopt;
  }
  if ((g.plan != Plan::kRewrite && g.plan != Plan::kX87) || g.z.mnemonic == ZYDIS_MNEMONIC_LEA)
    return std::nullopt;
  for (unsigned i = 0; i < g.z.operand_count; ++i) {
    const cpu::OperandView& o = g.operands[i];
    if (o.type != ZYDIS_OPERAND_TYPE_MEMORY) continue;
    const auto bytes = static_cast<u16>(o.size / 8);
    const bool write = (o.actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) != 0;
    if (o.mem.index != ZYDIS_REGISTER_NONE && is_near(o, g) && o.mem.type == ZYDIS_MEMOP_TYPE_MEM) {
      return Access{
          GroupedAccess::kIndexedBase, o.mem.disp.value, bytes, write, o.mem.base, o.mem.index, o.mem.scale};
    }
    if (!plain(o, g)) return std::nullopt;
    if (o.mem.base == ZYDIS_REGISTER_RIP) {
      const u64 address = start + g.offset + g.insn.length + static_cast<u64>(o.mem.disp.value);
      return Access{GroupedAccess::kCodeBase, static_cast<i64>(address), bytes, write};
    }
    if (o.mem.base == ZYDIS_REGISTER_NONE)
      return Access{GroupedAccess::kAbsoluteBase, o.mem.disp.value, bytes, write};
    return Access{guest_number(o.mem.base), o.mem.disp.value, bytes, write};
  }
  return std::nullopt;
}

}  // namespace

std::optional<i64> constant_step(const GuestInsn& g) {
  if (!writes_register(g)) return std::nullopt;
  const cpu::OperandView &to = g.operands[0], &by = g.operands[1];
  switch (g.z.mnemonic) {
    case ZYDIS_MNEMONIC_ADD:
      return by.type == ZYDIS_OPERAND_TYPE_IMMEDIATE ? std::optional(by.imm.value.s) : std::nullopt;
    case ZYDIS_MNEMONIC_SUB:
      return by.type == ZYDIS_OPERAND_TYPE_IMMEDIATE ? std::optional(-by.imm.value.s) : std::nullopt;
    case ZYDIS_MNEMONIC_INC:
      return 1;
    case ZYDIS_MNEMONIC_DEC:
      return -1;
    case ZYDIS_MNEMONIC_LEA: {
      const bool itself =
          is_general_base(by.mem.base) && guest_number(by.mem.base) == guest_number(to.reg.value);
      return itself && by.mem.index == ZYDIS_REGISTER_NONE ? std::optional(by.mem.disp.value) : std::nullopt;
    }
    default:
      return std::nullopt;
  }
}

std::optional<i64> constant_move(const GuestInsn& g) {
  const bool moves = has_mode_width(g) && (g.z.mnemonic != ZYDIS_MNEMONIC_LEA || is_sum(g.operands[1], g));
  return moves ? constant_step(g) : std::nullopt;
}

namespace {

class Finder {
 public:
  Finder(u64 start, std::span<const GuestInsn> insns, size_t max_groups, u32 interchangeable)
      : start_(start), insns_(insns), max_groups_(max_groups), interchangeable_(interchangeable) {
    out_.accesses.resize(insns.size());
    for (Moving& m : moving_) m.version = ++next_version_;
  }
  MemoryGroups run() {
    for (size_t i = 0; i < insns_.size(); ++i) {
      const GuestInsn& g = insns_[i];
      if (g.plan == Plan::kHandler || g.plan == Plan::kString || g.plan == Plan::kBitString) {
        open_.clear();
        for (Moving& m : moving_) m = {++next_version_, 0};
        continue;
      }
      if (const auto access = access_of(start_, g)) place(i, *access);
      if (g.plan == Plan::kBranch) last_jump_ = i;
      follow(g);
    }
    keep_groups();
    return std::move(out_);
  }

 private:
  void place(size_t i, const Access& a) {
    // No register moves it.
    const bool absolute = a.base == GroupedAccess::kCodeBase || a.base == GroupedAccess::kAbsoluteBase;
    Origin origin;
    i64 position = a.displacement;
    if (absolute) {
      origin.page = position >> 12;
    } else if (a.base == GroupedAccess::kIndexedBase) {
      if (a.register_base != ZYDIS_REGISTER_NONE) {
        const Moving& base = moving_[guest_number(a.register_base)];
        origin.version = base.version;
        position += base.shift;
      }
      const Moving& index = moving_[guest_number(a.index)];
      origin.index_version = index.version;
      origin.scale = a.scale;
      position += a.scale * index.shift;
    } else {
      origin.version = moving_[a.base].version;
      position += moving_[a.base].shift;
    }
    out_.accesses[i] = {GroupedAccess::kNoGroup, a.base, a.displacement, position, a.bytes};
    // An absolute access that crosses its page can't share the page's check.
    if (absolute && ((position + a.bytes - 1) >> 12) != origin.page) return;
    const i64 end = position + a.bytes;
    for (OpenGroup& open : open_) {
      if (open.origin != origin || !may_share(open.base, a.base)) continue;
      MemoryGroup& group = out_.groups[open.group];
      const i64 low = std::min(group.low, position), high = std::max(group.high, end);
      if (high - low > (absolute ? 4096 : kMaxSpanBytes)) continue;
      // What is read before a jump may lie in a page that can't be written, since then the jump is taken.
      const bool on_stack = a.base == cpu::kRsp || open.base == cpu::kRsp;
      if (a.write && !group.write && !on_stack && group.first < last_jump_) continue;
      // The first access checks from the lowest byte, which an address must be able to hold.
      if (!absolute && open.displacement - (open.position - low) < std::numeric_limits<i32>::min()) continue;
      group.low = low;
      group.high = high;
      group.last = static_cast<u16>(i);
      group.write = group.write || a.write;
      out_.accesses[i].group = open.group;
      return;
    }
    if (out_.groups.size() >= GroupedAccess::kNoGroup) return;
    const auto number = static_cast<u8>(out_.groups.size());
    const auto index = static_cast<u16>(i);
    out_.groups.push_back({index, index, a.write, position, end, index});
    open_.push_back({a.base, origin, number, a.displacement, position});
    out_.accesses[i].group = number;
  }

  /// Whether one check can stand for accesses off both, if they have the same value.
  bool may_share(u8 one, u8 other) const {
    if (one == other) return true;
    return one < kRegisters && other < kRegisters && (interchangeable_ >> one & 1) != 0 &&
           (interchangeable_ >> other & 1) != 0;
  }

  /// What the destination of `g`, a copy or LEA of another register, is then.
  std::optional<Moving> copy_made_by(const GuestInsn& g) const {
    const cpu::OperandView &to = g.operands[0], &from = g.operands[1];
    if (!has_mode_width(g)) return std::nullopt;
    if (g.z.mnemonic == ZYDIS_MNEMONIC_MOV && from.type == ZYDIS_OPERAND_TYPE_REGISTER &&
        register_class(from.reg.value) == register_class(to.reg.value))
      return moving_[guest_number(from.reg.value)];
    if (g.z.mnemonic != ZYDIS_MNEMONIC_LEA || !is_sum(from, g)) return std::nullopt;
    const Moving& base = moving_[guest_number(from.mem.base)];
    return Moving{base.version, base.shift + from.mem.disp.value};
  }

  void follow(const GuestInsn& g) {
    if (g.plan == Plan::kNothing) return;
    if (g.plan == Plan::kStack && g.z.mnemonic == ZYDIS_MNEMONIC_PUSH) {
      moving_[cpu::kRsp].shift -= word_bytes(g);
      return;
    }
    if (g.plan == Plan::kStack && g.z.mnemonic == ZYDIS_MNEMONIC_POP) {
      moving_[cpu::kRsp].shift += word_bytes(g);
      const u8 to = guest_number(g.operands[0].reg.value);
      moving_[to] = {++next_version_, 0};
      return;
    }
    if (const auto by = constant_move(g)) {
      moving_[guest_number(g.operands[0].reg.value)].shift += *by;
      return;
    }
    if (const auto copy = copy_made_by(g)) {
      moving_[guest_number(g.operands[0].reg.value)] = *copy;
      return;
    }
    for (unsigned i = 0; i < g.z.operand_count; ++i) {
      const cpu::OperandView& o = g.operands[i];
      if (is_general_register(o) && (o.actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) != 0)
        moving_[guest_number(o.reg.value)] = {++next_version_, 0};
    }
  }

  void keep_groups() {
    std::vector<MemoryGroup> kept;
    std::vector<u8> renumbered(out_.groups.size(), GroupedAccess::kNoGroup);
    for (size_t n = 0; n < out_.groups.size() && kept.size() < max_groups_; ++n) {
      if (out_.groups[n].first == out_.groups[n].last) continue;
      renumbered[n] = static_cast<u8>(kept.size());
      kept.push_back(out_.groups[n]);
    }
    for (GroupedAccess& a : out_.accesses) {
      if (a.group != GroupedAccess::kNoGroup) a.group = renumbered[a.group];
    }
    out_.groups = std::move(kept);
  }

  const u64 start_;
  std::span<const GuestInsn> insns_;
  const size_t max_groups_;
  const u32 interchangeable_;
  MemoryGroups out_;
  std::vector<OpenGroup> open_;
  Moving moving_[kRegisters];
  u32 next_version_ = 0;
  size_t last_jump_ = 0;
};

}  // namespace

bool MemoryGroups::open_behind(size_t i) const {
  return std::any_of(groups.begin(), groups.end(),
                     [i](const MemoryGroup& g) { return g.check <= i && g.last > i; });
}

MemoryGroups find_memory_groups(u64 start, std::span<const GuestInsn> insns, size_t max_groups,
                                u32 interchangeable) {
  return Finder(start, insns, max_groups, interchangeable).run();
}

}  // namespace orrery::jit
