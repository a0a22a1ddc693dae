// Passes over the loop, each with what the one before it found at the end of a turn, until that is what it
// began with.
#include "jit/analysis/loop_addresses.h"

#include <algorithm>
#include <array>
#include <optional>

#include "jit/analysis/memory_groups.h"

namespace orrery::jit {
namespace {

/// How a value differs from that of the turn before.
enum class Change : u8 { kNone, kLittle, kAny };

/// The most that the constants which a turn adds to a register may come to: scaled by eight, half a page.
constexpr i64 kLittleStep = 256;
/// What steps a little does so shifted by no more than this.
constexpr u64 kLittleShift = 4;

class Finder {
 public:
  explicit Finder(std::span<const GuestInsn> loop) : loop_(loop) {
    for (const GuestInsn& g : loop) {
      for_registers_written(g, [this](u8 reg) { written_ |= 1u << reg; });
      if (const auto by = constant_step(g)) steps_[destination(g)] += *by;
    }
  }

  std::vector<bool> run() {
    std::array<Change, 16> before{};
    do {
      before = now_;
      for (const GuestInsn& g : loop_) follow(g);
      for (size_t i = 0; i < now_.size(); ++i) now_[i] = std::max(now_[i], before[i]);
    } while (now_ != before);
    std::vector<bool> steady;
    steady.reserve(loop_.size());
    for (const GuestInsn& g : loop_) {
      const cpu::OperandView* const memory = operand_in_memory(g);
      steady.push_back(memory == nullptr || change_of_address(memory->mem) != Change::kAny);
      follow(g);
    }
    return steady;
  }

 private:
  template <class Callback>
  static void for_registers_written(const GuestInsn& g, Callback callback) {
    if (g.plan == Plan::kNothing) return;
    for (unsigned i = 0; i < g.z.operand_count; ++i) {
      const cpu::OperandView& o = g.operands[i];
      if (is_general_register(o) && (o.actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) != 0)
        callback(guest_number(o.reg.value));
    }
  }
  static const cpu::OperandView* operand_in_memory(const GuestInsn& g) {
    for (unsigned i = 0; i < g.z.operand_count_visible; ++i) {
      if (g.operands[i].type == ZYDIS_OPERAND_TYPE_MEMORY) return &g.operands[i];
    }
    return nullptr;
  }
  static u8 destination(const GuestInsn& g) { return guest_number(g.operands[0].reg.value); }

  Change change_of(ZydisRegister reg) const {
    return is_general_base(reg) ? now_[guest_number(reg)] : Change::kNone;
  }
  Change change_of_address(const cpu::OperandView::Memory& mem) const {
    return std::max(change_of(mem.base), change_of(mem.index));
  }
  bool stays(ZydisRegister reg) const {
    return !is_general_base(reg) || (written_ >> guest_number(reg) & 1) == 0;
  }
  /// What is read through registers that stay is what it was, unless the loop stores there.
  Change read_from(const cpu::OperandView::Memory& mem) const {
    if (!stays(mem.base) || !stays(mem.index)) return Change::kAny;
    const bool stored = std::any_of(loop_.begin(), loop_.end(), [&mem](const GuestInsn& g) {
      const cpu::OperandView* const to = operand_in_memory(g);
      return to != nullptr && (to->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) != 0 &&
             to->mem.base == mem.base && to->mem.index == mem.index && to->mem.disp.value == mem.disp.value;
    });
    return stored ? Change::kAny : Change::kNone;
  }
  Change change_of_value(const cpu::OperandView& o) const {
    if (o.type == ZYDIS_OPERAND_TYPE_IMMEDIATE) return Change::kNone;
    if (o.type == ZYDIS_OPERAND_TYPE_MEMORY) return read_from(o.mem);
    return is_general_register(o) ? change_of(o.reg.value) : Change::kAny;
  }

  void follow(const GuestInsn& g) {
    if (g.plan == Plan::kNothing) return;
    if (g.plan == Plan::kStack) {
      // The stack moves there and back.
      for_registers_written(g, [this](u8 reg) {
        if (reg != cpu::kRsp) now_[reg] = Change::kAny;
      });
      return;
    }
    if (writes_register(g)) {
      const u8 to = destination(g);
      if (const auto after = change_made_by(g, now_[to])) {
        now_[to] = *after;
        return;
      }
    }
    for_registers_written(g, [this](u8 reg) { now_[reg] = Change::kAny; });
  }

  /// Of the destination, if it is all that `g` writes.
  std::optional<Change> change_made_by(const GuestInsn& g, Change to) const {
    if (constant_step(g))
      return std::abs(steps_[destination(g)]) <= kLittleStep ? std::max(to, Change::kLittle) : Change::kAny;
    switch (g.z.mnemonic) {
      case ZYDIS_MNEMONIC_MOV:
      case ZYDIS_MNEMONIC_MOVZX:
      case ZYDIS_MNEMONIC_MOVSX:
      case ZYDIS_MNEMONIC_MOVSXD:
        return change_of_value(g.operands[1]);
      case ZYDIS_MNEMONIC_LEA:
        return change_of_address(g.operands[1].mem);
      case ZYDIS_MNEMONIC_ADD:
      case ZYDIS_MNEMONIC_SUB:
        return std::max({to, change_of_value(g.operands[1]), Change::kLittle});
      case ZYDIS_MNEMONIC_SHL:
        if (g.operands[1].type != ZYDIS_OPERAND_TYPE_IMMEDIATE || g.operands[1].imm.value.u > kLittleShift)
          return std::nullopt;
        return to;
      default:
        return std::nullopt;
    }
  }

  std::span<const GuestInsn> loop_;
  u32 written_ = 0;
  std::array<i64, 16> steps_{};
  std::array<Change, 16> now_{};
};

}  // namespace

std::vector<bool> find_steady_addresses(std::span<const GuestInsn> loop) { return Finder(loop).run(); }

}  // namespace orrery::jit
