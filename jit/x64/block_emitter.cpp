// The frame of a block: budget, flags, sites and links.
#include "jit/x64/block_emitter.h"

#include "cpu/isa/table.h"
#include "jit/analysis/flag_liveness.h"

namespace orrery::jit::x64 {

using namespace asmjit;
using namespace asmjit::x86;

namespace {

/// The distance of a group's page is added to whichever of its bases an access has.
constexpr u32 kRegistersInHost = [] {
  u32 set = 0;
  for (unsigned reg = 0; reg < std::size(kHostOf); ++reg) {
    if (kHostOf[reg] != kNoHost) set |= 1u << reg;
  }
  return set;
}();

}  // namespace

BlockEmitter::BlockEmitter(const EmitterContext& context, Assembler& a, const Request& request,
                           std::span<GuestInsn> insns, EmittedBlock& out)
    : context_(context),
      a_(a),
      request_(request),
      view_(block_key::view_of(request.key)),
      word_(block_key::is_wide(request.key) ? 8 : 4),
      insns_(insns),
      out_(out) {}

bool BlockEmitter::emit() {
  const size_t most = insns_.size() + 8;  // but for loops
  starts_.reserve(most);
  facts_.reserve(insns_.size());
  sites_.reserve(most);
  links_.reserve(most);
  refills_.reserve(most);
  analyse();
  // A handler in the place of an instruction looks at all flags before it.
  while (leave_flags_to_handlers()) analyse();
  find_loop();
  if (is_loop()) {
    loop_entry_ = a_.newLabel();
    loop_head_ = a_.newLabel();
  }
  const auto count = static_cast<u32>(insns_.size());
  const Label budget = a_.newLabel();
  // An instruction that goes on in the next page was translated from two pages.
  const Label gone = a_.newLabel();
  if (request_.second_frame) {
    code_address(kScratch, memory::kPageBytes);
    check_frame(*request_.second_frame, gone);
  }
  pay(count, budget);
  Label load = a_.newLabel(), loaded = a_.newLabel();
  out_.uses_vectors = std::any_of(insns_.begin(), insns_.end(), [](const GuestInsn& g) {
    constexpr u32 kVector = cpu::isa::trait::kSse | cpu::isa::trait::kAvx;
    const bool vector =
        uses_vectors(g) || ((cpu::isa::rows()[g.insn.row].traits & kVector) != 0 && !uses_mmx(g));
    return g.plan == Plan::kRewrite && vector;
  });
  Label load_x87;
  if (std::any_of(insns_.begin(), insns_.end(), [](const GuestInsn& g) { return needs_x87(g); })) {
    load_x87 = a_.newLabel();
    x87_loaded_ = true;
  }
  if (out_.uses_vectors) {
    a_.cmp(byte_ptr(kState, ORRERY_SLOT(context_.layout, vectors_loaded)), 0);
    a_.je(load);
    a_.bind(loaded);
  }
  const Label x87_loaded = a_.newLabel();
  if (load_x87.isValid()) {
    a_.cmp(byte_ptr(kState, ORRERY_SLOT(context_.layout, x87_loaded)), 0);
    a_.je(load_x87);
    a_.bind(x87_loaded);
  }
  emit_insns();
  if (is_loop() && !failed_) emit_loop();
  if (failed_) return false;
  emit_cold();
  if (loop_budget_.isValid()) {
    a_.bind(loop_budget_);
    use_registers_of(1);
    saved_registers_ = 0;
    emit_recipe_to_image(loop_producer_);
    store_x87_pointers(loop_pointers_);
    emit_exchange_back();
    use_registers_of(0);
    give_back((turns_ - 1u) * count);
  }
  if (is_wanted(budget) || loop_budget_.isValid()) {
    a_.bind(budget);
    call_stub(context_.stubs.budget);
  }
  if (request_.second_frame) {
    a_.bind(gone);
    call_stub(context_.stubs.gone);
  }
  if (out_.uses_vectors) {
    a_.bind(load);
    a_.call(address_of(context_.stubs.load_vectors));
    a_.jmp(loaded);
  }
  if (load_x87.isValid()) {
    a_.bind(load_x87);
    call_load_x87();
    a_.jmp(x87_loaded);
  }
  return !failed_;
}

void BlockEmitter::analyse() {
  facts_.clear();
  for (const GuestInsn& g : insns_)
    facts_.push_back({jit::flags_defined(g), jit::flags_read(g), jit::changes_flags(g), x64::recipe_of(g)});
  find_known_zeros();
  const bool grouped = (request_.key & block_key::kNoGroups) == 0;
  groups_ = find_memory_groups(request_.start, insns_, grouped ? kMaxGroups : 0, kRegistersInHost);
  hoist_checks();
  find_live_flags(insns_, [this](const GuestInsn& g) { return uses_flags_up(g); });
}

bool BlockEmitter::leave_flags_to_handlers() {
  bool any = false;
  for (GuestInsn& g : insns_) {
    if ((g.flags_live_after & flags_left_to_handler(context_.host_profile, g)) == 0) continue;
    g.plan = Plan::kHandler;
    any = true;
  }
  return any;
}

void BlockEmitter::pay(u32 ticks, const Label& none_left) {
  if (!context_.counts_ticks) return;
  const size_t begin = a_.offset();
  a_.sub(qword_ptr(kState, context_.layout.ticks_left), ticks);
  DCHECK(ticks > kMostPaidByByte || a_.offset() - begin == kPayBytes);
  a_.js(none_left);
}

void BlockEmitter::give_back(u32 ticks) {
  if (context_.counts_ticks && ticks != 0) a_.add(qword_ptr(kState, context_.layout.ticks_left), ticks);
}

void BlockEmitter::emit_insns() {
  ended_ = false;
  image_ = kNoProducer;
  held_group_ = GroupedAccess::kNoGroup;
  stack_moves_ = 0;
  for (current_ = 0; current_ < insns_.size(); ++current_) {
    if (turn_ == 0) starts_.push_back(static_cast<u32>(a_.offset()));
    emit_insn(insns_[current_]);
    if (failed_) return;
  }
  if (ended_) return;
  settle_stack();
  flush_x87_pointers();
  leave_to(end_of(insns_.back()));
}

void BlockEmitter::emit_insn(GuestInsn& g) {
  // The x87 pointers may be counted from RSP.
  const bool may_delay = x87_pointers_ == X87Pointers{};
  if (const auto by = mere_stack_move(g); by && may_delay) {
    stack_moves_ += *by;
    return;
  }
  const bool leaves_alone = may_delay && leaves_stack_alone(g);
  delays_stack_ = leaves_alone || (may_delay && is_grouped_push_or_pop(g));
  if (!leaves_alone) settle_stack();
  emit_hoisted_checks();
  save_before(g);
  keep_x87_pointers(g);
  const bool holds = leaves_address_alone(g);
  if (!holds) held_group_ = GroupedAccess::kNoGroup;
  switch (g.plan) {
    case Plan::kHandler:
      handler_site(g);
      return;
    case Plan::kNothing:
      return;
    case Plan::kRewrite:
      rewrite(g);
      break;
    case Plan::kDivide:
      divide(g);
      break;
    case Plan::kBranch:
      emit_branch(g);
      break;
    case Plan::kStack:
      emit_stack(g);
      break;
    case Plan::kSystem:
      emit_system(g);
      break;
    case Plan::kX87:
      x87(g);
      break;
    case Plan::kBitString:
      bit_string(g);
      break;
    case Plan::kString:
      string(g);
      break;
  }
  if (!holds) held_group_ = GroupedAccess::kNoGroup;
  // Where the engine comes back to behind this instruction.
  if (has_site() && sites_.back().resumes) {
    held_group_ = GroupedAccess::kNoGroup;
    PendingSite& site = sites_.back();
    site.behind = a_.newLabel();
    site.flags = flags_;
    site.x87_loaded = x87_loaded_;
    a_.bind(site.behind);
    if (turn_ == 0 && site.resumes_behind()) a_.bind(site.resume);
  }
}

Label BlockEmitter::site(bool resumes) {
  DCHECK(flags_ != Flags::kHost);
  // Whoever comes back would move RSP once more.
  DCHECK(!resumes || stack_moves_ == 0);
  if (resumes && stack_moves_ != 0) failed_ = true;
  if (!has_site()) new_site(resumes);
  return sites_.back().entry;
}

void BlockEmitter::new_site(bool resumes) {
  sites_.push_back({.entry = a_.newLabel(),
                    .resume = turn_ != 0 ? first_turn_resume(current_) : a_.newLabel(),
                    .behind = {},
                    .index = static_cast<u16>(current_),
                    .turn = turn_,
                    .resumes = resumes && !groups_.open_behind(current_) && !keeps_operand(current_) &&
                               !keeps_for_flags(insns_[current_]),
                    .in_line = false,
                    .native = true,
                    .flags = Flags::kImage,
                    .recipe = flags_ == Flags::kRecipe ? producer_ : kNoProducer,
                    .saved_registers = saved_registers_,
                    .x87_loaded = false,
                    .pointers = x87_pointers_,
                    .stack_moves = stack_moves_});
}

// Behind a site, the second version of a loop goes on in the first.
Label BlockEmitter::first_turn_resume(size_t index) const {
  const auto first =
      std::find_if(sites_.begin(), sites_.end(), [index](const PendingSite& s) { return s.index == index; });
  CHECK(first != sites_.end());
  return first->resume;
}

void BlockEmitter::leave_at_site(size_t number) {
  const u32 id = request_.first_site + static_cast<u32>(number);
  a_.mov(kAddress.r32(), (id << kExitKindBits) | static_cast<u32>(ExitKind::kSite));
  a_.jmp(address_of(context_.stubs.site));
}

void BlockEmitter::handler_site(const GuestInsn& g) {
  flush_x87_pointers();
  save_flags();
  const bool last = current_ + 1 == insns_.size();
  const bool ends = (cpu::isa::rows()[g.insn.row].traits & cpu::isa::trait::kEndsTrace) != 0 || !g.valid;
  site(!(last && ends));
  sites_.back().in_line = true;
  sites_.back().native = false;
  leave_at_site(sites_.size() - 1);
  flags_ = Flags::kImage;
  image_ = kPlain;
  x87_loaded_ = false;
  if (last && ends) {
    ended_ = true;
  } else if (sites_.back().resumes) {
    a_.bind(sites_.back().resume);
  }
}

void BlockEmitter::leave_to(u64 target) {
  save_flags();
  flags_ = Flags::kImage;
  ended_ = true;
  if (turn_ != 0) emit_exchange_back();
  give_back(paid_ahead(turn_));
  PendingLink& link = new_link(target);
  emit_page_guard(link);
  emit_link(link);
}

BlockEmitter::PendingLink& BlockEmitter::new_link(u64 target, LinkPath path) {
  const bool in_line = path == LinkPath::kInLine;
  links_.push_back({.entry = in_line ? Label() : a_.newLabel(),
                    .exit = {},
                    .site = kNoSite,
                    .target = target,
                    .flags = flags_,
                    .af_is_set = af_is_set_,
                    .recipe = side_exit_producer(),
                    .saved_registers = saved_registers_,
                    .ticks_back = 0,
                    .key_bits = 0,
                    .turn = turn_,
                    .in_line = in_line,
                    .call = false,
                    .pointers = x87_pointers_,
                    .stack_moves = stack_moves_});
  return links_.back();
}

void BlockEmitter::code_address(const Gp& to, u64 offset) {
  a_.mov(to, code_page());
  if (word_ == 4) {
    if (const auto near = static_cast<i32>(static_cast<u32>(offset)); near != 0)
      a_.lea(to.r32(), ptr(to, near));
    return;
  }
  const auto distance = static_cast<i64>(offset);
  const i32 near = static_cast<i32>(std::clamp<i64>(distance, INT32_MIN, INT32_MAX));
  if (near != 0) a_.lea(to, ptr(to, near));
  if (near != distance) a_.lea(to, ptr(to, static_cast<i32>(distance - near)));
}

u32 BlockEmitter::check_frame(u32 frame, const Label& miss) {
  const i32 code = context_.layout.codes[view_] + static_cast<i32>(offsetof(cpu::FastCode, entries));
  const CodeFill fill{.cold = a_.newLabel(), .retry = a_.newLabel(), .miss = miss};
  a_.bind(fill.retry);
  find_code_index(kIndex, kScratch);
  a_.mov(kIndex, qword_ptr(kState, kIndex, 3, code));
  a_.sub(kIndex, kScratch);
  a_.long_().cmp(kIndex, frame);
  const auto end = static_cast<u32>(a_.offset());
  a_.jne(fill.cold);
  code_fills_.push_back(fill);
  return end;
}

void BlockEmitter::emit_code_fills() {
  for (const CodeFill& fill : code_fills_) {
    a_.bind(fill.cold);
    a_.call(address_of(context_.stubs.fill_code));
    a_.je(fill.retry);
    a_.jmp(fill.miss);
  }
  code_fills_.clear();
}

void BlockEmitter::emit_page_guard(PendingLink& link) {
  if (in_page(link.target)) return;
  code_address(kScratch, align_down(link.target, memory::kPageBytes));
  link.frame = check_frame(Link::kNoFrame, exit_of(link));
  a_.mov(code_page(), kScratch);
}

void BlockEmitter::emit_link(PendingLink& link) {
  link.jump = static_cast<u32>(a_.offset());
  link.leads_out = !link.call && link.frame == 0;
  if (link.leads_out) {
    call_stub(context_.stubs.link);
  } else if (link.call) {
    a_.call(exit_of(link));
  } else {
    a_.long_().jmp(exit_of(link));
  }
}

void BlockEmitter::emit_site(size_t number) {
  PendingSite& s = sites_[number];
  use_registers_of(s.turn);
  const auto next = [this] {
    while (refilled_ < refills_.size() && refills_[refilled_].site == kNoSite) ++refilled_;
    return refilled_ < refills_.size() ? refills_[refilled_].site : kNoSite;
  };
  bool entered = false;
  while (next() == number) {
    const Refill& r = refills_[refilled_++];
    emit_refill(r, next() != number);
    s.exit = static_cast<u32>(a_.offset());
    entered = !s.leaves_at_once();
  }
  if (entered || is_wanted(s.entry)) {
    a_.bind(s.entry);
    saved_registers_ = s.saved_registers;
    if (s.recipe != kNoProducer) emit_recipe_to_image(s.recipe);
    store_x87_pointers(s.pointers);
    emit_stack_moves(s.stack_moves);
    if (s.turn != 0) emit_exchange_back();
    call_stub(context_.stubs.called_site);
    s.exit = static_cast<u32>(a_.offset());
  }
  if (!s.resumes || s.turn != 0 || s.resumes_behind()) return;
  a_.bind(s.resume);
  if (s.x87_loaded) call_load_x87();
  if (s.flags != Flags::kImage && s.flags != Flags::kRecipe) emit_restore_flags();
  a_.jmp(s.behind);
}

void BlockEmitter::emit_cold() {
  emit_code_fills();
  if (unknown_.isValid()) {
    a_.bind(unknown_);
    if (unknown_call_) {
      if (word_ == 8) emit_canonical_check(a_, kAddress, unknown_call_->miss);
      code_address(kScratch, end_of(insns_.back()));
      a_.mov(kIndex, call_slot());
      push_for_call(ptr(kIndex, unknown_call_->offset, word_), kScratch);
      a_.call(address_of(request_.indirect.jump));
      a_.jmp(found_return_);
    } else {
      set_bad_target(ExitKind::kSite);
      a_.jmp(address_of(request_.indirect.jump));
    }
  }
  if (lost_.isValid()) {
    a_.bind(lost_);
    a_.jmp(address_of(request_.indirect.jump));
  }
  if (moved_.isValid()) {
    a_.bind(moved_);
    a_.mov(code_page(), kScratch);
    a_.jmp(returned_);
  }
  // Nothing but what stands before may lead to a site.
  for (size_t i = 0; i < sites_.size(); ++i) {
    if (!sites_[i].in_line) emit_site(i);
  }
  for (PendingLink& link : links_) {
    if (!link.in_line) {
      if (link.refill != kNoRefill) emit_refill(refills_[link.refill], true);
      a_.bind(link.entry);
      use_registers_of(link.turn);
      saved_registers_ = link.saved_registers;
      if (link.recipe != kNoProducer) {
        emit_recipe_to_image(link.recipe);
      } else if (link.flags == Flags::kHost) {
        af_is_set_ = link.af_is_set;
        emit_save_flags();
      }
      store_x87_pointers(link.pointers);
      emit_stack_moves(link.stack_moves);
      if (link.turn != 0) emit_exchange_back();
      emit_page_guard(link);
      give_back(link.ticks_back);
      emit_link(link);
    }
    if (link.leads_out) continue;
    a_.bind(link.exit);
    call_stub(link.site != kNoSite ? context_.stubs.called_site : context_.stubs.link);
  }
  use_registers_of(0);
  emit_code_fills();
  DCHECK(std::all_of(refills_.begin() + static_cast<std::ptrdiff_t>(refilled_), refills_.end(),
                     [](const Refill& r) { return r.site == kNoSite; }));
}

void BlockEmitter::finish(const CodeHolder& code) {
  out_.starts = std::move(starts_);
  const auto offset = [&code](const Label& label) { return static_cast<u32>(code.labelOffset(label)); };
  for (const PendingSite& s : sites_) {
    out_.sites.push_back({.block = request_.block,
                          .index = s.index,
                          .native = s.native,
                          .paid_ahead = paid_ahead(s.turn),
                          .exit = s.exit,
                          .resume = s.resumes ? offset(s.resume) : kNone});
  }
  for (size_t i = 0; i < links_.size(); ++i) {
    const PendingLink& l = links_[i];
    const bool gives_back = context_.counts_ticks && l.ticks_back <= kMostPaidByByte;
    DCHECK(l.ticks_back == 0 || l.opcode_bytes == 1);
    if (l.site != kNoSite) out_.sites[l.site].link = request_.first_link + static_cast<u32>(i);
    out_.links.push_back({.block = request_.block,
                          .to = kNone,
                          .target = l.target,
                          .key_bits = l.key_bits,
                          .jump = l.jump + l.opcode_bytes,
                          .exit = (l.leads_out ? l.jump : offset(l.exit)) + kCallBytes,
                          .frame = l.frame != 0 ? l.frame - 4 : kNone,
                          .ticks_back = gives_back ? static_cast<i8>(l.ticks_back) : i8{0},
                          .next_incoming = kNone});
  }
}

}  // namespace orrery::jit::x64
