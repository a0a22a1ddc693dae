// Memory operands: the linear address, and its check.
//
// Each is compared with an entry of the quick TLB: that of its address, or, where it may well stay in its
// page, the one that let it through last time, for which it need not wait. Loops have a copy of that, the
// rest a constant that says where it is: the copies have to be searched when a page leaves, so they are few,
// and a constant of code that runs takes long to change (docs/performance.md). If it is another page's, a
// stub looks for that of the address, has it filled from the TLB proper if need be, and notes which it was;
// what it can't do is the handler's.
#include <bit>

#include "jit/analysis/flag_liveness.h"
#include "jit/x64/block_emitter.h"

namespace orrery::jit::x64 {

using namespace asmjit;
using namespace asmjit::x86;

void BlockEmitter::linear_address(const cpu::OperandView::Memory& mem, unsigned address_width,
                                  const GuestInsn& g, const Gp& to) {
  const bool narrow = address_width == 32;
  const Gp result = narrow ? to.r32() : to;
  const auto disp = static_cast<i32>(mem.disp.value);
  if (mem.base == ZYDIS_REGISTER_RIP || mem.base == ZYDIS_REGISTER_EIP) {
    code_address(to, end_of(g) + static_cast<u64>(mem.disp.value));
    if (narrow) a_.mov(result, result);
  } else {
    const bool has_base = mem.base != ZYDIS_REGISTER_NONE;
    const bool has_index = mem.index != ZYDIS_REGISTER_NONE;
    const u32 shift = mem.scale == 8 ? 3 : mem.scale == 4 ? 2 : mem.scale == 2 ? 1 : 0;
    const Gp base = has_base ? value_of(guest_number(mem.base), kAddress) : Gp();
    const Gp index = has_index ? value_of(guest_number(mem.index), kIndex) : Gp();
    if (g.live_constant != 0) {
      read_constant(g, 8);
      if (has_index) a_.lea(kScratch, ptr(kScratch, index, shift));
      a_.lea(result, has_base ? ptr(base, kScratch) : ptr(kScratch));
    } else if (has_base && has_index) {
      a_.lea(result, ptr(base, index, shift, disp));
    } else if (has_index) {
      Mem operand = ptr(0, index, shift);
      operand.setOffset(disp);
      a_.lea(result, operand);
    } else if (has_base && disp != 0) {
      a_.lea(result, ptr(base, disp));
    } else if (has_base) {
      a_.mov(result, narrow ? base.r32() : base);
    } else {
      a_.mov(to, narrow ? static_cast<u64>(static_cast<u32>(disp)) : static_cast<u64>(mem.disp.value));
    }
  }
  if (g.z.mnemonic != ZYDIS_MNEMONIC_LEA &&
      (mem.segment == ZYDIS_REGISTER_FS || mem.segment == ZYDIS_REGISTER_GS)) {
    const auto segment = mem.segment == ZYDIS_REGISTER_FS ? cpu::kFs : cpu::kGs;
    const i32 base =
        ORRERY_STATE(seg) + static_cast<i32>(segment * sizeof(cpu::Segment) + offsetof(cpu::Segment, base));
    a_.add(word(to), ptr(kState, base, word_));
  }
}

// The check of a whole group: from the lowest byte to the highest, in one page. If it fails, the block goes
// on as the version of itself that checks every access.
void BlockEmitter::check_group(u8 number, bool keep_eflags) {
  const MemoryGroup& group = groups_.groups[number];
  const GroupedAccess& here = groups_.accesses[group.first];
  const Flags flags = flags_;
  if (keep_eflags) flags_ = Flags::kImage;
  PendingLink& link = new_link(request_.start + insns_[current_].offset, LinkPath::kCold);
  link.ticks_back = static_cast<u32>(insns_.size() - current_) + paid_ahead(turn_);
  link.key_bits = block_key::kNoGroups;
  flags_ = flags;
  const Label miss = link.entry;
  const auto span = static_cast<unsigned>(group.high - group.low);
  const auto lowest = here.displacement - (here.position - group.low);
  // x87's operands would need the address made each time.
  bool has_x87 = false;
  for (size_t i = group.first; i <= group.last; ++i)
    has_x87 |= groups_.accesses[i].group == number && insns_[i].plan == Plan::kX87;
  const Gp base = keep_eflags || has_x87 ? Gp() : base_for_distance(group.first);
  if (base.isValid()) {
    by_distance_ |= 1u << number;
    check_by_distance(group.first, base, static_cast<i32>(lowest), span, group.write, 1, miss);
  } else {
    by_distance_ &= ~(1u << number);
    if (here.base == GroupedAccess::kIndexedBase) {
      const GuestInsn& g = insns_[group.first];
      cpu::OperandView::Memory mem = memory_operand(g)->mem;
      mem.disp.value = lowest;
      linear_address(mem, g.z.address_width, g, kAddress);
    } else if (here.base == GroupedAccess::kCodeBase) {
      code_address(kAddress, static_cast<u64>(lowest));
    } else if (here.base != GroupedAccess::kAbsoluteBase) {
      a_.lea(word(kAddress), ptr(value_of(here.base, kAddress), static_cast<i32>(lowest)));
    } else if (word_ == 8) {
      a_.mov(kAddress, lowest);
    } else {
      a_.mov(kAddress.r32(), static_cast<u32>(lowest));
    }
    if (keep_eflags) {
      check_keeping_eflags(span, group.write, miss);
    } else {
      check_access_of(group.first, span, group.write, 1, miss);
    }
  }
  link.refill = refills_.size() - 1;
  kept_windows_ &= ~(1u << number);
  if (stays_held(number)) return;
  a_.mov(qword_ptr(kState, window(number)), kAddress);
  kept_windows_ |= 1u << number;
}

bool BlockEmitter::leaves_address_alone(const GuestInsn& g) const {
  switch (g.plan) {
    case Plan::kNothing:
    case Plan::kStack:
      return true;
    case Plan::kBranch:
      return is_jcc(g) || is_call_or_return(g);
    case Plan::kRewrite:
      break;
    default:
      return false;
  }
  if (g.z.mnemonic != ZYDIS_MNEMONIC_LEA) return true;
  const cpu::OperandView& to = g.operands[0];
  const cpu::OperandView::Memory& mem = g.operands[1].mem;
  const auto in_host = [this](ZydisRegister reg) {
    return reg == ZYDIS_REGISTER_NONE || reg == ZYDIS_REGISTER_RIP || reg == ZYDIS_REGISTER_EIP ||
           host_of(guest_number(reg)) != kNoHost;
  };
  return to.size >= 32 && in_host(to.reg.value) && in_host(mem.base);
}

bool BlockEmitter::stays_held(u8 number) const {
  const MemoryGroup& group = groups_.groups[number];
  if (x87_pointers_.data != nullptr) return false;  // who stores them makes their address in kAddress
  for (size_t i = group.check; i <= group.last; ++i) {
    const GuestInsn& g = insns_[i];
    const bool ours = groups_.accesses[i].group == number;
    if (!leaves_address_alone(g) || has_hoisted_check_of_another(i, number)) return false;
    switch (g.plan) {
      case Plan::kBranch:
        if (is_call_or_return(g) && i != group.last) return false;
        break;
      case Plan::kStack:
        if (!ours || g.operands[0].type == ZYDIS_OPERAND_TYPE_MEMORY) return false;
        break;
      case Plan::kRewrite:
        // Three registers that live in the state would have kAddress as well.
        if (needs_address(g) || needs_x87(g) || has_three_in_state(g) ||
            (memory_operand(g) != nullptr && !ours))
          return false;
        break;
      default:
        break;
    }
  }
  return true;
}

Gp BlockEmitter::base_for_distance(size_t index) const {
  const u8 base = groups_.accesses[index].base;
  if (word_ != 8 || base >= GroupedAccess::kCodeBase) return {};
  return host_of(base) == kNoHost ? Gp() : gp(host_of(base), 8);
}

BlockEmitter::HostPlace BlockEmitter::place_by_distance(const Gp& base) const {
  const GroupedAccess& access = groups_.accesses[current_];
  const i32 moved = access.base == cpu::kRsp ? stack_moves_ : 0;
  return {.offset = static_cast<i32>(access.displacement) + moved, .base = base};
}

// Worth it where somebody waits for what is read. What `rewrite` does between the check and the access must
// not need kIndex: no register that lives in the state, no flags to be loaded.
bool BlockEmitter::may_keep_linear(const GuestInsn& g) const {
  if (g.plan != Plan::kRewrite || word_ != 8 || needs_address(g)) return false;
  if (flags_read(g) != 0 || (changes_flags(g) && flags_defined(g) != cpu::rflags::kArithmetic)) return false;
  const cpu::OperandView& memory = *memory_operand(g);
  if ((memory.actions & ZYDIS_OPERAND_ACTION_MASK_READ) == 0) return false;
  const ZydisRegister base = memory.mem.base;
  const bool in_code = base == ZYDIS_REGISTER_RIP || base == ZYDIS_REGISTER_EIP;
  if (in_code || (base == ZYDIS_REGISTER_NONE && memory.mem.index == ZYDIS_REGISTER_NONE)) return false;
  return std::none_of(g.operands, g.operands + g.z.operand_count,
                      [this](const auto& o) { return lives_in_state(o); });
}

BlockEmitter::HostPlace BlockEmitter::without_base(const HostPlace& place) {
  a_.lea(kAddress, place.of(8));
  held_group_ = GroupedAccess::kNoGroup;
  return {};
}

// AH to BH and the low bytes change places meanwhile; x87's operands are encoded here.
bool BlockEmitter::needs_address(const GuestInsn& g) {
  if (g.plan == Plan::kX87) return true;
  if (g.plan != Plan::kRewrite) return false;
  return std::any_of(g.operands, g.operands + g.z.operand_count, [](const auto& o) {
    return o.type == ZYDIS_OPERAND_TYPE_REGISTER && is_high_byte(o.reg.value);
  });
}

void BlockEmitter::emit_hoisted_checks() {
  for (u8 number = 0; number < groups_.groups.size(); ++number) {
    if (!groups_.groups[number].is_hoisted_to(current_)) continue;
    before_check();
    check_group(number, false);
    after_check();
    held_group_ = number;
  }
}

// Between an instruction and the one that replaces its flags a check has them saved, for nobody else. Where
// they can't be made again that is dear: then it stands before the first instruction, if its base is the same
// there. It sees what it would see: nothing between changes a translation.
void BlockEmitter::hoist_checks() {
  constexpr size_t kFarthest = 16;
  for (MemoryGroup& group : groups_.groups) {
    const u8 base = groups_.accesses[group.first].base;
    if (base == GroupedAccess::kIndexedBase) continue;
    bool worth = false;
    for (size_t i = group.first; i-- > 0 && group.first - i <= kFarthest;) {
      const GuestInsn& g = insns_[i];
      if (g.plan == Plan::kNothing) continue;
      if (g.plan != Plan::kRewrite || needs_x87(g)) break;
      if (base < GroupedAccess::kCodeBase && (registers_written(g) >> base & 1) != 0) break;
      if (!worth && changes_flags(g)) {
        if (recipe_of(g).kind != FlagRecipe::Kind::kNone) break;
        worth = true;
      }
      const bool saved = uses_flags_up(g);
      if (worth && (saved || i == 0 || (flags_read(g) == 0 && flags_defined(g) == cpu::rflags::kArithmetic)))
        group.check = static_cast<u16>(i);
      if (saved || group.check == i) break;
    }
  }
}

BlockEmitter::PagePlace BlockEmitter::page_place(size_t index, bool write) {
  if (turn_stays_in_page(index)) {
    // Spread by place, so that no two of a loop share one; later turns use what the first has.
    constexpr u32 kPlaces = cpu::FastBank::kRecentPages / 2;
    static_assert(kPlaces == 64 && kPlaces > kMaxLoopInsns);
    const u32 block = request_.frame << 12 | static_cast<u32>(request_.start);
    const u32 number =
        2 * ((((block * 0x9e3779b1u) >> 26) + static_cast<u32>(index)) % kPlaces) + (write ? 1 : 0);
    return {.source = PageSource::kRecent,
            .at = context_.layout.recent_pages[view_] +
                  static_cast<i32>(number * sizeof(cpu::FastView::Mapping))};
  }
  if (!stays_in_page(index, write)) return {};
  return {.source = PageSource::kGuess, .guess = a_.newLabel()};
}

BlockEmitter::EntryOperand BlockEmitter::find_entry(const PagePlace& place, bool write, const Gp& temporary,
                                                    const Gp& address) {
  switch (place.source) {
    case PageSource::kGuess:
      emit_guess(place, temporary);
      return {.base = kState, .index = temporary};
    case PageSource::kRecent:
      return {.base = kState, .offset = place.at - page_field(write)};
    case PageSource::kEntry:
      break;
  }
  if (context_.has_pext) {
    a_.rorx(temporary.r32(), address.r32(), 12 - std::countr_zero(sizeof(cpu::FastView::Entry)));
    a_.and_(temporary.r32(), dword_ptr(kState, ORRERY_SLOT(context_.layout, index_mask)));
  } else {
    emit_entry_offset(a_, temporary, address);
  }
  return {.base = kState, .index = temporary, .offset = context_.layout.views[view_]};
}

// A refill changes it in one store within eight aligned bytes, so code that runs has the old one, as long as
// the host does not notice that its code was written at another address, or the new one, but no mixture.
// Either names an entry of this view's, and is compared.
void BlockEmitter::emit_guess(const PagePlace& place, const Gp& temporary) {
  constexpr u64 kWord = 8, kOpcodeBytes = 2;
  static constexpr std::array<std::array<u8, 3>, 3> kNops{{{0x90}, {0x66, 0x90}, {0x0f, 0x1f, 0x00}}};
  const u64 in_word = (a_.code()->baseAddress() + a_.offset() + kOpcodeBytes) % kWord;
  if (in_word > kWord - kGuessBytes)
    CHECK(a_.embed(kNops[kWord - in_word - 1].data(), kWord - in_word) == kErrorOk);
  const size_t begin = a_.offset();
  a_.mov(temporary.r32(), context_.layout.views[view_]);
  CHECK(a_.offset() == begin + kOpcodeBytes + kGuessBytes);
  a_.bind(place.guess);
}

void BlockEmitter::find_code_index(const Gp& index, const Gp& address) {
  if (context_.has_pext) {
    a_.pext(index, address, qword_ptr(kState, ORRERY_SLOT(context_.layout, code_index_bits)));
  } else {
    emit_code_index(a_, index, address);
  }
}

bool BlockEmitter::turn_stays_in_page(size_t index) const {
  const GuestInsn& g = insns_[index];
  return is_loop() && g.plan != Plan::kString && g.plan != Plan::kBitString && steady_addresses_[index];
}

// What lies beside code, at a fixed address, or from a thread's or a processor's base on. With more
// processors than one their bases take turns. The stack is not among it: a function finds it in another page
// as often as it is called from elsewhere; PUSH and POP have it besides their operand.
bool BlockEmitter::stays_in_page(size_t index, bool write) const {
  const GuestInsn& g = insns_[index];
  const cpu::OperandView* const memory = memory_operand(g);
  const bool pushes = write && (g.plan == Plan::kBranch || g.plan == Plan::kSystem);
  if (memory == nullptr || pushes || g.plan == Plan::kStack || g.plan == Plan::kBitString) return false;
  const ZydisRegister base = memory->mem.base, segment = memory->mem.segment;
  const bool has_own_base = segment == ZYDIS_REGISTER_FS || segment == ZYDIS_REGISTER_GS;
  if (has_own_base && !context_.single_cpu) return false;
  if (base == ZYDIS_REGISTER_RIP || base == ZYDIS_REGISTER_EIP) return true;
  if (base != ZYDIS_REGISTER_NONE) return false;
  // Jumps through tables: a table of them is small.
  return memory->mem.index == ZYDIS_REGISTER_NONE || g.plan == Plan::kBranch;
}

void BlockEmitter::check_access_of(size_t index, unsigned bytes, bool write, unsigned alignment,
                                   const Label& miss) {
  const PagePlace place = page_place(index, write);
  const EntryOperand entry = find_entry(place, write, kIndex, kAddress);
  const Refill refill{.cold = a_.newLabel(),
                      .checked = a_.newLabel(),
                      .miss = miss,
                      .page = entry.field(page_field(write)),
                      .place = place,
                      .bytes = bytes,
                      .alignment = alignment,
                      .write = write,
                      .site = site_of(miss)};
  a_.mov(kScratch, kAddress);
  a_.sub(kScratch, refill.page);
  a_.cmp(kScratch, 4096 - bytes);
  a_.ja(refill.cold);
  check_alignment(kScratch, alignment, miss);
  a_.add(kAddress, entry.field(distance_field(write)));
  a_.bind(refill.checked);
  refills_.push_back(refill);
}

void BlockEmitter::check_by_distance(size_t index, const Gp& base, i32 displacement, unsigned bytes,
                                     bool write, unsigned alignment, const Label& miss) {
  const PagePlace place = page_place(index, write);
  if (displacement != 0) a_.lea(kIndex, ptr(base, displacement));
  const EntryOperand entry = find_entry(place, write, kAddress, displacement == 0 ? base : kIndex);
  if (displacement == 0) a_.mov(kIndex, base);
  load_distance(kIndex, place, entry, bytes, write, alignment, miss);
}

void BlockEmitter::check_at_index(unsigned bytes, bool write, unsigned alignment, const Label& miss) {
  const PagePlace place = page_place(current_, write);
  const EntryOperand entry = find_entry(place, write, kAddress, kIndex);
  a_.mov(kScratch, kIndex);
  load_distance(kScratch, place, entry, bytes, write, alignment, miss);
}

// The access waits for neither subtraction nor addition.
void BlockEmitter::load_distance(const Gp& linear, const PagePlace& place, const EntryOperand& entry,
                                 unsigned bytes, bool write, unsigned alignment, const Label& miss) {
  const Refill refill{.cold = a_.newLabel(),
                      .checked = a_.newLabel(),
                      .miss = miss,
                      .page = entry.field(page_field(write)),
                      .place = place,
                      .bytes = bytes,
                      .alignment = alignment,
                      .write = write,
                      .by_distance = true,
                      .is_difference = linear == kIndex,
                      .site = site_of(miss)};
  a_.sub(linear, refill.page);
  a_.cmp(linear, 4096 - bytes);
  a_.ja(refill.cold);
  check_alignment(linear, alignment, miss);
  a_.mov(kAddress, entry.field(distance_field(write)));
  a_.bind(refill.checked);
  refills_.push_back(refill);
}

bool BlockEmitter::keeps_eflags() const {
  const bool plain = flags_ == Flags::kHost && !af_is_set_ && deferred_producer() == kNoProducer;
  if (!plain || !context_.has_pext || word_ != 8 || turn_stays_in_page(current_)) return false;
  const cpu::OperandView* const memory = memory_operand(insns_[current_]);
  if (memory != nullptr &&
      (memory->mem.segment == ZYDIS_REGISTER_FS || memory->mem.segment == ZYDIS_REGISTER_GS))
    return false;
  for (size_t i = current_; i < insns_.size(); ++i) {
    const GuestInsn& g = insns_[i];
    if (g.plan == Plan::kNothing || g.plan == Plan::kStack) continue;
    if (is_jcc(g)) return true;
    if (g.plan != Plan::kRewrite) return false;
    if (flags_read(g) != 0) return true;
    if (flags_defined(g) == cpu::rflags::kArithmetic) return false;
    if (changes_flags(g)) return true;
  }
  return false;
}

// JRCXZ looks at no flags. Until then rcx waits in the state.
void BlockEmitter::check_keeping_eflags(unsigned bytes, bool write, const Label& miss) {
  // kIndex is a quarter of where the entry is.
  const EntryOperand entry{
      .base = kState, .index = kIndex, .shift = 2, .offset = context_.layout.views[view_]};
  const Refill refill{.cold = a_.newLabel(),
                      .checked = a_.newLabel(),
                      .miss = miss,
                      .page = entry.field(page_field(write)),
                      .bytes = bytes,
                      .alignment = 1,
                      .write = write,
                      .keeps_eflags = true,
                      .site = site_of(miss)};
  const Label within = a_.newLabel();
  const Mem saved_rcx = qword_ptr(kState, ORRERY_SLOT(context_.layout, kept));
  const Mem bits = qword_ptr(kState, ORRERY_SLOT(context_.layout, page_bits));
  a_.pext(kIndex, kAddress, qword_ptr(kState, ORRERY_SLOT(context_.layout, index_bits)));
  a_.lea(kIndex, ptr(0, kIndex, 3));
  a_.mov(kScratch, refill.page);
  a_.not_(kScratch);
  a_.lea(kScratch, ptr(kAddress, kScratch, 0, 1));  // what SUB would leave
  // First and last byte are in the page: neither has bits above it. (What lies just below must not pass.)
  a_.mov(saved_rcx, rcx);
  a_.pext(rcx, kScratch, bits);
  if (bytes > 1) {
    a_.lea(kScratch, ptr(kScratch, static_cast<i32>(bytes) - 1));
    a_.pext(kScratch, kScratch, bits);
    a_.lea(rcx, ptr(rcx, kScratch));
  }
  a_.short_().jecxz(rcx, within);
  a_.jmp(refill.cold);
  a_.bind(within);
  a_.mov(rcx, saved_rcx);
  a_.mov(kScratch, entry.field(distance_field(write)));
  a_.lea(kAddress, ptr(kAddress, kScratch));
  a_.bind(refill.checked);
  refills_.push_back(refill);
  // The cold path may have changed what form the image has.
  image_ = kNoProducer;
}

void BlockEmitter::check_alignment(const Gp& address, unsigned alignment, const Label& miss) {
  if (alignment == 1) return;
  a_.test(address.r32(), alignment - 1);
  a_.jnz(miss);
}

void BlockEmitter::emit_refill(const Refill& r, bool falls_through) {
  const bool leaves = r.site != kNoSite && sites_[r.site].leaves_at_once();
  const Stubs::Refills& stubs = context_.stubs.refills[view_][r.write ? 1 : 0][leaves ? 1 : 0];
  a_.bind(r.cold);
  if (r.keeps_eflags) {
    a_.mov(rcx, qword_ptr(kState, ORRERY_SLOT(context_.layout, kept)));
    af_is_set_ = false;
    emit_save_flags();
  }
  const Gp linear = r.by_distance ? kIndex : kAddress;
  const auto size = static_cast<unsigned>(std::countr_zero(r.bytes));
  const bool has_size = std::has_single_bit(r.bytes) && size < Stubs::Refills::kSizes;
  const bool by_index = r.place.source == PageSource::kEntry;
  const bool stub_adds = r.is_difference && by_index && has_size && r.alignment == 1;
  if (r.is_difference && !stub_adds) a_.add(linear, r.page);
  check_alignment(linear, r.alignment, r.miss);
  if (r.place.source == PageSource::kGuess) {
    CHECK(!r.by_distance);
    a_.lea(kIndex, ptr(r.place.guess, -static_cast<i32>(kGuessBytes)));
  } else if (r.place.source == PageSource::kRecent) {
    a_.lea(r.by_distance ? kAddress : kIndex, ptr(kState, r.place.at));
  }
  const Stubs::Refills::Kind& stub = stubs.kinds[static_cast<u8>(r.place.source)][r.by_distance ? 1 : 0];
  if (!has_size) a_.mov(kScratch.r32(), 4096 - r.bytes);
  call_stub(stub_adds ? stubs.difference_of_size[size] : has_size ? stub.of_size[size] : stub.of_bytes);
  if (falls_through && !leaves && !r.keeps_eflags) {
    a_.je(r.checked);
    return;
  }
  if (!leaves) a_.jne(r.miss);
  if (r.keeps_eflags) emit_restore_flags();
  a_.jmp(r.checked);
}

}  // namespace orrery::jit::x64
