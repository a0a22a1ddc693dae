// A block that jumps back to itself gets a second version for all turns but the first. In it the flags of
// the turn before are a recipe (flags.cpp), so that nothing is saved at the jump; and guest registers that
// live in the state have host registers of guest registers that the loop has no use for. Whoever leaves it
// puts them back. (Stubs may be called meanwhile: they leave all registers as they are.)
#include "jit/analysis/flag_liveness.h"
#include "jit/analysis/loop_addresses.h"
#include "jit/x64/block_emitter.h"

namespace orrery::jit::x64 {

using namespace asmjit;
using namespace asmjit::x86;

namespace {

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
    if (is_jcc(g)) continue;
    if (g.plan != Plan::kRewrite && g.plan != Plan::kStack && g.plan != Plan::kX87) return;
    if (g.plan != Plan::kStack && changes_flags(g)) {
      producer = flags_defined(g) == cpu::rflags::kArithmetic ? i : kNoProducer;
      written_since = 0;
    } else {
      written_since |= registers_written(g);
    }
  }
  if (producer == kNoProducer || (recipe_of(insns_[producer]).registers & written_since) != 0) return;
  if (!recipe_holds(producer, 0)) return;
  loop_producer_ = producer;
  steady_addresses_ = find_steady_addresses(insns_);
  find_exchanges();
}

void BlockEmitter::find_exchanges() {
  u32 used = 1u << cpu::kRsp;
  for (const GuestInsn& g : insns_) {
    for (unsigned i = 0; i < g.z.operand_count; ++i) {
      const cpu::OperandView& o = g.operands[i];
      if (o.type == ZYDIS_OPERAND_TYPE_REGISTER) used |= register_bit(o.reg.value);
      if (o.type == ZYDIS_OPERAND_TYPE_MEMORY) used |= register_bit(o.mem.base) | register_bit(o.mem.index);
    }
  }
  constexpr size_t kMost = std::extent_v<decltype(cpu::Vcpu::TranslatorSlots::displaced)>;
  u8 out = 0;
  for (u8 in = 0; in < 16 && exchanges_.size() < kMost; ++in) {
    if (kHostOf[in] != kNoHost || (used >> in & 1) == 0) continue;
    while (out < 16 && (kHostOf[out] == kNoHost || (used >> out & 1) != 0)) ++out;
    if (out == 16) return;
    exchanges_.push_back({in, out++});
  }
}

void BlockEmitter::emit_exchange() {
  for (size_t i = 0; i < exchanges_.size(); ++i) {
    const Gp host = gpq(kHostOf[exchanges_[i].out]);
    a_.mov(qword_ptr(kState, ORRERY_SLOT(context_.layout, displaced) + static_cast<i32>(8 * i)), host);
    load_guest(host, exchanges_[i].in);
  }
}

void BlockEmitter::emit_exchange_back() {
  for (size_t i = 0; i < exchanges_.size(); ++i) {
    const Gp host = gpq(kHostOf[exchanges_[i].out]);
    store_guest(exchanges_[i].in, host);
    a_.mov(host, qword_ptr(kState, ORRERY_SLOT(context_.layout, displaced) + static_cast<i32>(8 * i)));
  }
}

void BlockEmitter::use_registers_of(u16 turn) {
  host_of_ = std::to_array(kHostOf);
  if (turn == 0) return;
  for (const Exchange& e : exchanges_) {
    host_of_[e.in] = kHostOf[e.out];
    host_of_[e.out] = kNoHost;
  }
}

// The count of ticks is read and written once for several turns: from one time to the next the host takes
// longer than for a short turn.
void BlockEmitter::emit_loop() {
  const auto count = static_cast<u32>(insns_.size());
  turns_ = static_cast<u16>(std::clamp(kMaxLoopInsns / 2 / count, 1u, kMaxTurns));
  loop_budget_ = a_.newLabel();
  a_.bind(loop_entry_);
  emit_exchange();
  use_registers_of(1);
  a_.bind(loop_head_);
  pay(turns_ * count, loop_budget_);
  for (turn_ = 1; turn_ <= turns_ && !failed_; ++turn_) {
    flags_ = Flags::kRecipe;
    set_producer(loop_producer_);
    x87_pointers_ = loop_pointers_;
    aligned_.clear();
    next_turn_ = a_.newLabel();
    emit_insns();
    a_.bind(next_turn_);
  }
  use_registers_of(0);
}

}  // namespace orrery::jit::x64
