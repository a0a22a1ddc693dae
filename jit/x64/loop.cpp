// A block that jumps back to itself gets a second version for all turns but the first. In it the flags of
// the turn before are a recipe (flags.cpp), so that nothing is saved at the jump.
#include "jit/analysis/flag_liveness.h"
#include "jit/x64/block_emitter.h"

namespace orrery::jit::x64 {

using namespace asmjit;
using namespace asmjit::x86;

namespace {

constexpr u32 kMaxLoopInsns = 32;
constexpr u32 kMaxTurns = 4;

}  // namespace

void BlockEmitter::find_loop() {
  const GuestInsn& last = insns_.back();
  if (last.plan != Plan::kBranch || flags_read(last) == 0 || end_of(last) + last.insn.imm != request_.start ||
      insns_.size() > kMaxLoopInsns || request_.second_frame) {
    return;
  }
  size_t producer = kNoProducer;
  u32 written_since = 0;
  for (size_t i = 0; i + 1 < insns_.size(); ++i) {
    const GuestInsn& g = insns_[i];
    if (g.plan == Plan::kNothing) continue;
    // A jump out, but not one whose handler runs.
    if (g.plan == Plan::kBranch && flags_read(g) != 0) continue;
    if (g.plan != Plan::kRewrite && g.plan != Plan::kStack && g.plan != Plan::kX87) return;
    if (g.plan != Plan::kStack && changes_flags(g)) {
      producer = flags_defined(g) == cpu::rflags::kArithmetic ? i : kNoProducer;
      written_since = 0;
    } else {
      written_since |= registers_written(g);
    }
  }
  if (producer == kNoProducer || (recipe_of(insns_[producer]).registers & written_since) != 0) return;
  if (recipe_holds(producer, 0)) loop_producer_ = producer;
}

// Whether an address that is made of `reg` is likely in the page that it was in a turn before.
bool BlockEmitter::turn_steps_little(ZydisRegister reg) const {
  constexpr i64 kLittle = 256;
  if (reg == ZYDIS_REGISTER_NONE || reg == ZYDIS_REGISTER_RIP || reg == ZYDIS_REGISTER_EIP) return true;
  const u8 guest = guest_number(reg);
  i64 step = 0;
  for (const GuestInsn& g : insns_) {
    if (g.plan == Plan::kNothing || (registers_written(g) >> guest & 1) == 0) continue;
    if (const auto by = constant_move(g); by && guest_number(g.operands[0].reg.value) == guest) {
      step += *by;
    } else if (g.z.mnemonic != ZYDIS_MNEMONIC_ADD || memory_operand(g) != nullptr) {
      return false;  // it may be anything
    }
  }
  return std::abs(step) <= kLittle;
}

// The count of ticks is read and written once for several turns: from one time to the next the host takes
// longer than for a short turn.
void BlockEmitter::emit_loop() {
  const auto count = static_cast<u32>(insns_.size());
  turns_ = static_cast<u16>(std::clamp(kMaxLoopInsns / 2 / count, 1u, kMaxTurns));
  loop_budget_ = a_.newLabel();
  a_.bind(loop_head_);
  pay(turns_ * count, loop_budget_);
  for (turn_ = 1; turn_ <= turns_ && !failed_; ++turn_) {
    flags_ = Flags::kRecipe;
    producer_ = loop_producer_;
    x87_pointers_ = loop_pointers_;
    aligned_.clear();
    next_turn_ = a_.newLabel();
    emit_insns();
    a_.bind(next_turn_);
  }
}

}  // namespace orrery::jit::x64
