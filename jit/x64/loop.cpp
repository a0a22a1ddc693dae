// A block that jumps back to itself gets a second version for all turns but the first. In it the flags of
// the turn before are a recipe (flags.cpp), so that nothing is saved at the jump, and each access has the
// page of its last turn in a slot.
//
// A slot holds what the quick TLB held; nothing changes that but code outside of the block. Such code comes
// back into the first version, which goes through the whole block once more before the second goes on.
#include "jit/analysis/flag_liveness.h"
#include "jit/x64/block_emitter.h"

namespace orrery::jit::x64 {

using namespace asmjit;
using namespace asmjit::x86;

namespace {

constexpr size_t kMaxLoopInsns = 32;
constexpr size_t kSlots = std::extent_v<decltype(cpu::Vcpu::TranslatorSlots::pages)>;
constexpr size_t kTag = offsetof(cpu::Vcpu::PageSlot, tag), kDelta = offsetof(cpu::Vcpu::PageSlot, delta);

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

void BlockEmitter::emit_loop() {
  in_loop_ = true;
  loop_head_ = a_.newLabel();
  loop_budget_ = a_.newLabel();
  flags_ = Flags::kRecipe;
  producer_ = loop_producer_;
  x87_pointers_ = loop_pointers_;
  a_.bind(loop_head_);
  a_.sub(qword_ptr(kState, context_.layout.ticks_left), static_cast<u32>(insns_.size()));
  a_.js(loop_budget_);
  const size_t caches = page_caches_.size();
  turn_caches_ = 0;
  aligned_.clear();
  emit_insns();
  DCHECK(turn_caches_ == caches);
}

void BlockEmitter::set_pages_known(bool known) {
  if (is_loop()) a_.mov(byte_ptr(kState, ORRERY_SLOT(context_.layout, pages_known)), known ? 1 : 0);
}

void BlockEmitter::remember_page(size_t slot, bool write) {
  a_.mov(kScratch, qword_ptr(kState, kIndex, 0, entry_tag(write)));
  a_.mov(qword_ptr(kState, page_slot(slot, kTag)), kScratch);
  a_.mov(kScratch, qword_ptr(kState, kIndex, 0, entry_delta()));
  a_.mov(qword_ptr(kState, page_slot(slot, kDelta)), kScratch);
}

void BlockEmitter::check_loop_access(unsigned bytes, bool write, unsigned alignment, const Label& miss) {
  const size_t slot = turn_caches_;
  if (slot == kSlots) {
    check_entry(bytes, write, alignment, miss);
    return;
  }
  ++turn_caches_;
  if (!in_loop_) {
    page_caches_.push_back(
        {.cold = a_.newLabel(), .checked = a_.newLabel(), .miss = {}, .bytes = bytes, .write = write});
    check_entry(bytes, write, alignment, miss);
    remember_page(slot, write);
    return;
  }
  PageCache& c = page_caches_[slot];
  c.miss = miss;
  compare_page(bytes, qword_ptr(kState, page_slot(slot, kTag)), c.cold);
  a_.bind(c.checked);
  apply_delta(alignment, qword_ptr(kState, page_slot(slot, kDelta)), miss);
}

void BlockEmitter::emit_loop_cold() {
  if (!is_loop()) return;
  // The first turn ends here, with the flags in EFLAGS.
  a_.bind(loop_entry_);
  emit_save_flags();
  a_.cmp(byte_ptr(kState, ORRERY_SLOT(context_.layout, pages_known)), 0);
  a_.jne(loop_head_);
  store_x87_pointers(loop_pointers_);
  a_.jmp(first_turn_);
  for (size_t slot = 0; slot < page_caches_.size(); ++slot) {
    const PageCache& c = page_caches_[slot];
    a_.bind(c.cold);
    find_entry();
    compare_page(c.bytes, qword_ptr(kState, kIndex, 0, entry_tag(c.write)), c.miss);
    remember_page(slot, c.write);
    a_.jmp(c.checked);
  }
}

}  // namespace orrery::jit::x64
