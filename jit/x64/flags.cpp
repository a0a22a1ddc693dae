// The arithmetic flags between EFLAGS and their image, and recipes: how to make the flags of an instruction
// once more from registers that still hold what it left, or from what was kept of its operands as it ran.
//
// A memory check mostly uses EFLAGS up (memory.cpp), and only what leaves the block there looks at the flags
// of the instruction before. While a recipe for them holds, nothing is saved on the way that stays.
#include "cpu/isa/table.h"
#include "jit/analysis/flag_liveness.h"
#include "jit/flags_image.h"
#include "jit/x64/block_emitter.h"

namespace orrery::jit::x64 {

using namespace asmjit;
using namespace asmjit::x86;

constexpr unsigned kFirstVector = 16;

u32 register_bit(ZydisRegister reg) {
  switch (register_class(reg)) {
    case ZYDIS_REGCLASS_GPR8:
    case ZYDIS_REGCLASS_GPR16:
    case ZYDIS_REGCLASS_GPR32:
    case ZYDIS_REGCLASS_GPR64:
      return 1u << guest_number(reg);
    case ZYDIS_REGCLASS_XMM:
    case ZYDIS_REGCLASS_YMM:
      return 1u << (kFirstVector + register_id(reg));
    default:
      return 0;
  }
}

u32 registers_written(const GuestInsn& g) {
  // These have no operands.
  if (g.z.mnemonic == ZYDIS_MNEMONIC_VZEROALL || g.z.mnemonic == ZYDIS_MNEMONIC_VZEROUPPER)
    return 0xffffu << kFirstVector;
  u32 set = 0;
  for (unsigned i = 0; i < g.z.operand_count; ++i) {
    const cpu::OperandView& o = g.operands[i];
    if (o.type == ZYDIS_OPERAND_TYPE_REGISTER && (o.actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) != 0)
      set |= register_bit(o.reg.value);
  }
  return set;
}

namespace {

/// A register that the recipes' temporaries can hold a copy of: any but AH to BH.
bool is_copied(const cpu::OperandView& o) {
  return o.type == ZYDIS_OPERAND_TYPE_REGISTER && register_bit(o.reg.value) != 0 &&
         !(o.reg.value >= ZYDIS_REGISTER_AH && o.reg.value <= ZYDIS_REGISTER_BH);
}

// CMP and TEST of general operands, one of them in memory, can keep its value for later.
FlagRecipe compared_with_memory(const GuestInsn& g) {
  if (g.z.mnemonic != ZYDIS_MNEMONIC_CMP && g.z.mnemonic != ZYDIS_MNEMONIC_TEST) return {};
  const bool first = g.operands[0].type == ZYDIS_OPERAND_TYPE_MEMORY;
  const cpu::OperandView& other = g.operands[first ? 1 : 0];
  if (other.type == ZYDIS_OPERAND_TYPE_IMMEDIATE) return {FlagRecipe::Kind::kCompareKept, 0};
  if (!is_copied(other)) return {};
  return {FlagRecipe::Kind::kCompareKept, register_bit(other.reg.value)};
}

// What a general operand is added to, or the like, in memory.
FlagRecipe stored_to_memory(const GuestInsn& g) {
  switch (g.z.mnemonic) {
    case ZYDIS_MNEMONIC_ADD:
    case ZYDIS_MNEMONIC_SUB:
    case ZYDIS_MNEMONIC_AND:
    case ZYDIS_MNEMONIC_OR:
    case ZYDIS_MNEMONIC_XOR:
      break;
    default:
      return {};
  }
  if (g.operands[0].type != ZYDIS_OPERAND_TYPE_MEMORY) return {};
  const cpu::OperandView& from = g.operands[1];
  if (from.type == ZYDIS_OPERAND_TYPE_IMMEDIATE) return {FlagRecipe::Kind::kStoreKept, 0};
  if (!is_copied(from)) return {};
  return {FlagRecipe::Kind::kStoreKept, register_bit(from.reg.value)};
}

}  // namespace

FlagRecipe recipe_of(const GuestInsn& g) {
  if (g.plan != Plan::kRewrite || g.live_constant != 0 || flags_defined(g) != cpu::rflags::kArithmetic ||
      g.insn.has(cpu::insn_flag::kLock))
    return {};
  using Kind = FlagRecipe::Kind;
  const cpu::OperandView& to = g.operands[0];
  const cpu::OperandView& from = g.operands[1];
  if (to.type != ZYDIS_OPERAND_TYPE_REGISTER) {
    const FlagRecipe compared = compared_with_memory(g);
    return compared.kind != Kind::kNone ? compared : stored_to_memory(g);
  }
  const u32 to_bit = register_bit(to.reg.value);
  const bool from_register = from.type == ZYDIS_OPERAND_TYPE_REGISTER;
  const bool from_memory = from.type == ZYDIS_OPERAND_TYPE_MEMORY;
  const u32 both = to_bit | (from_register ? register_bit(from.reg.value) : 0);
  switch (g.z.mnemonic) {
    case ZYDIS_MNEMONIC_CMP:
    case ZYDIS_MNEMONIC_TEST:
    case ZYDIS_MNEMONIC_COMISS:
    case ZYDIS_MNEMONIC_COMISD:
    case ZYDIS_MNEMONIC_UCOMISS:
    case ZYDIS_MNEMONIC_UCOMISD:
    case ZYDIS_MNEMONIC_VCOMISS:
    case ZYDIS_MNEMONIC_VCOMISD:
    case ZYDIS_MNEMONIC_VUCOMISS:
    case ZYDIS_MNEMONIC_VUCOMISD:
    case ZYDIS_MNEMONIC_PTEST:
    case ZYDIS_MNEMONIC_VPTEST:
      return from_memory ? compared_with_memory(g) : FlagRecipe{FlagRecipe::Kind::kAgain, both};
    case ZYDIS_MNEMONIC_AND:
    case ZYDIS_MNEMONIC_OR:
    case ZYDIS_MNEMONIC_XOR:
      return is_copied(to) ? FlagRecipe{FlagRecipe::Kind::kTestResult, to_bit} : FlagRecipe{};
    case ZYDIS_MNEMONIC_ADD:
    case ZYDIS_MNEMONIC_SUB:
      if (!is_copied(to) || (from_register && !is_copied(from))) return {};
      // What was subtracted from itself was as good as XOR.
      if (from_memory || (from_register && register_bit(from.reg.value) == to_bit)) {
        if (g.z.mnemonic == ZYDIS_MNEMONIC_ADD) return {Kind::kAddKept, to_bit};
        return from_memory ? FlagRecipe{} : FlagRecipe{Kind::kTestResult, to_bit};
      }
      return {Kind::kUndo, both};
    case ZYDIS_MNEMONIC_SHL:
    case ZYDIS_MNEMONIC_SHR:
    case ZYDIS_MNEMONIC_SAR:
      return is_copied(to) ? FlagRecipe{Kind::kShiftKept, 0} : FlagRecipe{};
    case ZYDIS_MNEMONIC_NEG:
      return is_copied(to) ? FlagRecipe{FlagRecipe::Kind::kUndo, to_bit} : FlagRecipe{};
    default:
      return {};
  }
}

namespace {

bool is_logic(ZydisMnemonic m) {
  return m == ZYDIS_MNEMONIC_AND || m == ZYDIS_MNEMONIC_OR || m == ZYDIS_MNEMONIC_XOR;
}

bool is_kept(FlagRecipe::Kind kind) {
  return kind == FlagRecipe::Kind::kCompareKept || kind == FlagRecipe::Kind::kAddKept ||
         kind == FlagRecipe::Kind::kShiftKept || kind == FlagRecipe::Kind::kStoreKept;
}

}  // namespace

void BlockEmitter::find_known_zeros() {
  const auto tells_result = [](ZydisMnemonic m) {
    return is_logic(m) || m == ZYDIS_MNEMONIC_CMP || m == ZYDIS_MNEMONIC_TEST || m == ZYDIS_MNEMONIC_SUB ||
           m == ZYDIS_MNEMONIC_NEG;
  };
  bool known = false;
  for (const GuestInsn& g : insns_) {
    const bool asks = g.z.mnemonic == ZYDIS_MNEMONIC_JZ || g.z.mnemonic == ZYDIS_MNEMONIC_JNZ;
    if (known && asks && is_jcc(g)) {
      facts_[static_cast<size_t>(&g - insns_.data())].recipe = {FlagRecipe::Kind::kZero, 0};
    } else if (changes_flags(g)) {
      known = flags_defined(g) == cpu::rflags::kArithmetic && tells_result(g.z.mnemonic);
    }
  }
}

bool BlockEmitter::uses_flags_up(const GuestInsn& g) const {
  const auto index = static_cast<size_t>(&g - insns_.data());
  if (has_hoisted_check(index)) return true;
  const bool checked = groups_.is_member(index);
  if (g.plan == Plan::kStack) return !checked || g.operands[0].type == ZYDIS_OPERAND_TYPE_MEMORY;
  if (g.z.mnemonic == ZYDIS_MNEMONIC_FLDCW) return true;
  if (g.plan != Plan::kRewrite && g.plan != Plan::kX87) return g.plan != Plan::kNothing;
  const cpu::OperandView* const memory = memory_operand(g);
  return memory != nullptr && (!checked || required_alignment(g, memory->size / 8) > 1);
}

bool BlockEmitter::are_saved_from(size_t from) const {
  for (size_t i = from; i < insns_.size(); ++i) {
    const GuestInsn& g = insns_[i];
    if (is_jcc(g)) {
      if (i + 1 == insns_.size()) return !is_loop();
      if (knows_zero(g) && g.z.mnemonic == ZYDIS_MNEMONIC_JNZ) return false;
      continue;  // its way out saves them
    }
    if (uses_flags_up(g)) return true;
    if (g.plan == Plan::kNothing || g.plan == Plan::kStack) continue;
    if (flags_defined(g) == cpu::rflags::kArithmetic) return false;
    if (changes_flags(g)) return true;
  }
  return true;
}

bool BlockEmitter::keeps_for_flags(const GuestInsn& g) const {
  if (!is_kept(recipe_of(g).kind)) return false;
  DCHECK(flags_defined(g) == cpu::rflags::kArithmetic && flags_read(g) == 0);
  const auto index = static_cast<size_t>(&g - insns_.data());
  return !keeps_operand(index) && g.flags_live_after != 0 && are_saved_from(index + 1);
}

unsigned BlockEmitter::kept_operand(const GuestInsn& g) const {
  switch (recipe_of(g).kind) {
    case FlagRecipe::Kind::kCompareKept:
      return g.operands[0].type == ZYDIS_OPERAND_TYPE_MEMORY ? 0 : 1;
    case FlagRecipe::Kind::kAddKept:
      return 1;
    default:
      return 0;
  }
}

bool BlockEmitter::recipe_suffices() const {
  // One from the turn before is not followed.
  if (producer_ == kNoProducer || producer_ >= current_) return false;
  return registers_stayed(producer_) && recipe_holds(producer_, current_);
}

bool BlockEmitter::registers_stayed(size_t producer) const {
  const u32 registers = registers_needed(producer);
  for (size_t i = producer + 1; i < current_; ++i) {
    if (insns_[i].plan != Plan::kNothing && (registers_written(insns_[i]) & registers) != 0) return false;
  }
  return true;
}

bool BlockEmitter::recipe_holds(size_t producer, size_t from) const {
  const FlagRecipe recipe = recipe_of(insns_[producer]);
  if (recipe.kind == FlagRecipe::Kind::kNone) return false;
  // Of those that need it, the one that ends a loop's turn keeps its value as well.
  const bool ends_turn = recipe.kind == FlagRecipe::Kind::kCompareKept && from == 0;
  if (is_kept(recipe.kind) && !has_kept(producer) && !ends_turn) return false;
  bool intact = true;
  for (size_t i = from; i < insns_.size() && intact; ++i) {
    const GuestInsn& g = insns_[i];
    if (g.plan == Plan::kNothing) continue;
    if (g.plan == Plan::kBranch) return flags_read(g) != 0;  // a conditional jump makes them again
    const bool native = g.plan == Plan::kRewrite || g.plan == Plan::kX87;
    if (!native && g.plan != Plan::kStack) return false;
    if (native) {
      if (flags_read(g) != 0 || flags_defined(g) == cpu::rflags::kArithmetic) return true;
      // In a loop's later turns, a multiplication saves those that it leaves alone.
      if (changes_flags(g)) return from == 0 && g.plan == Plan::kRewrite && is_multiplication(g.z.mnemonic);
    }
    intact = (registers_written(g) & registers_needed(producer)) == 0;
  }
  return false;
}

void BlockEmitter::emit_recipe(size_t producer) {
  const GuestInsn& g = insns_[producer];
  const cpu::OperandView& to = g.operands[0];
  const FlagRecipe recipe = recipe_of(g);
  if (recipe.kind == FlagRecipe::Kind::kZero) {
    a_.cmp(kState, kState);
    return;
  }
  if (saved_registers_ != 0) {
    emit_recipe_from_saved(producer);
    return;
  }
  if (recipe.kind == FlagRecipe::Kind::kAgain) {
    const Flags flags = flags_;
    const size_t before = producer_;
    rewrite(g);
    flags_ = flags;
    producer_ = before;
    return;
  }
  if (recipe.kind == FlagRecipe::Kind::kCompareKept) {
    const unsigned kept_bytes = memory_operand(g)->size / 8;
    a_.mov(kScratch, qword_ptr(kState, has_kept(producer) ? flags_operand(static_cast<i32>(kept_operand(g)))
                                                          : ORRERY_SLOT(context_.layout, kept_operand)));
    compare_kept(g, gp(kScratchId, kept_bytes));
    return;
  }
  if (recipe.kind == FlagRecipe::Kind::kShiftKept) {
    a_.mov(kScratch, qword_ptr(kState, flags_operand(0)));
    shift_again(g, gp(kScratchId, to.size / 8));
    return;
  }
  const unsigned bytes = to.size / 8;
  const auto copy = [&](const cpu::OperandView& o, const Gp& temporary) {
    const u8 guest = guest_number(o.reg.value);
    if (host_of(guest) == kNoHost) {
      load_guest(temporary, guest);
    } else {
      a_.mov(temporary, gpq(host_of(guest)));
    }
  };
  const Gp result = gp(kScratchId, bytes);
  if (recipe.kind == FlagRecipe::Kind::kStoreKept) {
    a_.mov(kScratch, qword_ptr(kState, flags_operand(0)));
  } else {
    copy(to, kScratch);
  }
  if (recipe.kind == FlagRecipe::Kind::kTestResult || is_logic(g.z.mnemonic)) {
    a_.test(result, result);
    return;
  }
  if (g.z.mnemonic == ZYDIS_MNEMONIC_NEG) {
    a_.neg(result);
    a_.neg(result);
    return;
  }
  const cpu::OperandView& from = g.operands[1];
  const bool add = g.z.mnemonic == ZYDIS_MNEMONIC_ADD;
  const auto both_ways = [&](const auto& by) {
    if (add) {
      a_.sub(result, by);
      a_.add(result, by);
    } else {
      a_.add(result, by);
      a_.sub(result, by);
    }
  };
  if (recipe.kind == FlagRecipe::Kind::kAddKept) {
    both_ways(ptr(kState, flags_operand(1), bytes));
  } else if (from.type == ZYDIS_OPERAND_TYPE_REGISTER) {
    copy(from, kIndex);
    both_ways(gp(kIndexId, bytes));
  } else {
    both_ways(imm(from.imm.value.s));
  }
}

void BlockEmitter::compare_kept(const GuestInsn& g, const Gp& kept) {
  const bool first = g.operands[0].type == ZYDIS_OPERAND_TYPE_MEMORY;
  const cpu::OperandView& other = g.operands[first ? 1 : 0];
  const u32 id = host_instruction(g.z.mnemonic);
  Operand by = imm(other.imm.value.s);
  if (other.type == ZYDIS_OPERAND_TYPE_REGISTER) {
    by = gp(value_of(guest_number(other.reg.value), kIndex).id(), kept.size());
  }
  if ((first ? a_.emit(id, kept, by) : a_.emit(id, by, kept)) != kErrorOk) failed_ = true;
}

void BlockEmitter::before_check() {
  if (flags_ != Flags::kHost) return;
  if (recipe_suffices()) {
    flags_ = Flags::kRecipe;
  } else {
    save_flags();
  }
}

void BlockEmitter::save_flags() {
  if (flags_ != Flags::kRecipe && flags_ != Flags::kHost) return;
  if (const size_t producer = deferred_producer(); producer != kNoProducer && can_defer(producer)) {
    emit_deferred(producer);
    flags_ = flags_ == Flags::kHost ? Flags::kBoth : Flags::kImage;
    image_ = producer;
    return;
  }
  save_plain_flags();
}

void BlockEmitter::save_plain_flags() {
  if (flags_ == Flags::kRecipe) {
    emit_recipe(producer_);
    flags_ = Flags::kHost;
    af_is_set_ = clears_af(insns_[producer_]);
  }
  if (flags_ != Flags::kHost) return;
  emit_save_flags();
  flags_ = Flags::kBoth;
  image_ = kPlain;
}

void BlockEmitter::emit_save_flags() {
  a_.mov(kScratch, rax);
  a_.lahf();
  a_.seto(al);
  if (af_is_set_) a_.or_(ah, static_cast<u32>(cpu::rflags::AF));
  a_.movzx(eax, ax);
  a_.mov(qword_ptr(kState, ORRERY_SLOT(context_.layout, flags_image)), rax);
  if (af_is_set_) {
    a_.add(al, 127);  // OF := bit 0
    a_.sahf();
    af_is_set_ = false;
  }
  a_.mov(rax, kScratch);
}

size_t BlockEmitter::deferred_producer() const {
  if (flags_ == Flags::kRecipe) return producer_;
  const bool known = flags_ == Flags::kHost && producer_ != kNoProducer && producer_ < current_ &&
                     recipe_of(insns_[producer_]).kind != FlagRecipe::Kind::kNone;
  return known && registers_stayed(producer_) ? producer_ : kNoProducer;
}

bool BlockEmitter::can_defer(size_t producer) const {
  const GuestInsn& g = insns_[producer];
  switch (recipe_of(g).kind) {
    case FlagRecipe::Kind::kTestResult:
    case FlagRecipe::Kind::kUndo:
    case FlagRecipe::Kind::kZero:
      return true;
    case FlagRecipe::Kind::kAgain:
      return (g.z.mnemonic == ZYDIS_MNEMONIC_CMP || g.z.mnemonic == ZYDIS_MNEMONIC_TEST) &&
             is_copied(g.operands[0]) &&
             (g.operands[1].type == ZYDIS_OPERAND_TYPE_IMMEDIATE || is_copied(g.operands[1]));
    case FlagRecipe::Kind::kCompareKept:
    case FlagRecipe::Kind::kAddKept:
    case FlagRecipe::Kind::kShiftKept:
    case FlagRecipe::Kind::kStoreKept:
      return has_kept(producer);
    case FlagRecipe::Kind::kNone:
      return false;
  }
  return false;
}

// By a count of one the host's encoding is another, with the same flags.
void BlockEmitter::shift_again(const GuestInsn& g, const Gp& value) { shift_by(g, value, shift_count(g)); }

// The profile's OF is that of the last step.
void BlockEmitter::shift_by(const GuestInsn& g, const Operand& to, unsigned count) {
  const auto shift = [&](unsigned by) {
    if (a_.emit(host_instruction(g.z.mnemonic), to, imm(by)) != kErrorOk) failed_ = true;
  };
  if (context_.host_profile.is_same() || count < 2) {
    shift(count);
    return;
  }
  shift(count - 1);
  shift(1);
}

bool BlockEmitter::defers_shift_by_cl(const GuestInsn& g) const {
  constexpr u64 kOthers = cpu::rflags::AF | cpu::rflags::OF;
  return !context_.host_profile.is_same() && is_shift(g.z.mnemonic) && (g.flags_live_after & kOthers) != 0 &&
         g.operands[1].type == ZYDIS_OPERAND_TYPE_REGISTER;
}

void BlockEmitter::defer_shift_by_cl(const GuestInsn& g) {
  const unsigned bytes = g.operands[0].size / 8;
  const Label same = a_.newLabel();
  const u32 mask = bytes == 8 ? 63 : 31;
  a_.test(cl, mask);
  a_.jz(same);
  a_.mov(qword_ptr(kState, flags_operand(0)), kScratch);
  a_.movzx(kScratch.r32(), cl);
  a_.and_(kScratch.r32(), mask);
  a_.mov(qword_ptr(kState, flags_operand(1)), kScratch);
  a_.mov(qword_ptr(kState, ORRERY_SLOT(context_.layout, flags_image)),
         flags_image::code_of(deferred_as(g), bytes));
  a_.bind(same);
  flags_ = Flags::kImage;
  image_ = kNoProducer;
}

void BlockEmitter::note_af(const GuestInsn& g) {
  const cpu::isa::Row& row = cpu::isa::rows()[g.insn.row];
  const bool changes_af = ((row.flags_written | row.flags_undefined) & cpu::rflags::AF) != 0;
  switch (g.z.mnemonic) {
    case ZYDIS_MNEMONIC_SHL:
    case ZYDIS_MNEMONIC_SHR:
    case ZYDIS_MNEMONIC_SAR:
      // By CL, nobody looks; by 0, nothing changes.
      if (flags_defined(g) == cpu::rflags::kArithmetic) af_is_set_ = clears_af(g);
      break;
    case ZYDIS_MNEMONIC_BT:
    case ZYDIS_MNEMONIC_BTS:
    case ZYDIS_MNEMONIC_BTR:
    case ZYDIS_MNEMONIC_BTC:
      break;  // undefined, and kept
    default:
      if (changes_af) af_is_set_ = false;
      break;
  }
}

bool BlockEmitter::is_stepped(const GuestInsn& g) const {
  switch (g.z.mnemonic) {
    case ZYDIS_MNEMONIC_SHL:
    case ZYDIS_MNEMONIC_SHR:
    case ZYDIS_MNEMONIC_SAR:
    case ZYDIS_MNEMONIC_ROL:
    case ZYDIS_MNEMONIC_ROR:
    case ZYDIS_MNEMONIC_RCL:
    case ZYDIS_MNEMONIC_RCR:
      return !context_.host_profile.is_same() && (g.flags_live_after & cpu::rflags::OF) != 0 &&
             g.operands[1].type == ZYDIS_OPERAND_TYPE_IMMEDIATE && shift_count(g) > 1;
    default:
      return false;
  }
}

bool BlockEmitter::repeats_last_step(const GuestInsn& g) const {
  return !context_.host_profile.is_same() && (g.flags_live_after & cpu::rflags::OF) != 0 &&
         g.operands[1].type == ZYDIS_OPERAND_TYPE_REGISTER && has_last_step(g);
}

// EFLAGS have the flags that a rotation leaves alone: JRCXZ tells whether there was one.
void BlockEmitter::repeat_last_step(const GuestInsn& g, const Gp& to) {
  const Label none = a_.newLabel();
  a_.mov(kScratch, rcx);
  a_.lea(ecx, ptr(0, rcx, to.size() == 8 ? 2 : 3));  // what counts is left in CL
  a_.movzx(ecx, cl);
  a_.short_().jecxz(rcx, none);
  if (g.z.mnemonic == ZYDIS_MNEMONIC_ROL) {
    a_.ror(to, 1);
    a_.rol(to, 1);
  } else {
    a_.rol(to, 1);
    a_.ror(to, 1);
  }
  a_.bind(none);
  a_.mov(rcx, kScratch);
}

void BlockEmitter::save_with_overflow() {
  save_plain_flags();
  a_.and_(image_flags(), static_cast<u32>(cpu::rflags::CF | cpu::rflags::ZF));  // the others become 0
  a_.mov(kScratch.r8(), byte_ptr(kState, ORRERY_SLOT(context_.layout, kept)));
  a_.mov(byte_ptr(kState, ORRERY_SLOT(context_.layout, flags_image)), kScratch.r8());
  flags_ = Flags::kImage;
}

bool BlockEmitter::lacks_parity(const GuestInsn& g) const {
  switch (g.z.mnemonic) {
    case ZYDIS_MNEMONIC_ANDN:
    case ZYDIS_MNEMONIC_BEXTR:
    case ZYDIS_MNEMONIC_BLSI:
    case ZYDIS_MNEMONIC_BLSMSK:
    case ZYDIS_MNEMONIC_BLSR:
    case ZYDIS_MNEMONIC_BZHI:
      return !context_.host_profile.is_same() &&
             (g.flags_live_after & (cpu::rflags::PF | cpu::rflags::AF)) != 0;
    default:
      return false;
  }
}

void BlockEmitter::save_with_parity(const GuestInsn& g, const Gp& result) {
  save_plain_flags();
  a_.test(result.r8(), result.r8());
  a_.setp(kScratch.r8());
  a_.shl(kScratch.r8(), 2);
  a_.and_(image_flags(), static_cast<u32>(~(cpu::rflags::PF | cpu::rflags::AF) & 0xff));
  a_.or_(image_flags(), kScratch.r8());
  if (g.z.mnemonic == ZYDIS_MNEMONIC_BEXTR) a_.or_(image_flags(), static_cast<u32>(cpu::rflags::AF));
  flags_ = Flags::kImage;
}

bool BlockEmitter::keeps_overflow(const GuestInsn& g) const {
  return !context_.host_profile.is_same() && (g.flags_live_after & cpu::rflags::OF) != 0 &&
         (g.z.mnemonic == ZYDIS_MNEMONIC_TZCNT || g.z.mnemonic == ZYDIS_MNEMONIC_LZCNT);
}

void BlockEmitter::emit_recipe_to_image(size_t producer) {
  if (can_defer(producer)) {
    emit_deferred(producer);
  } else {
    emit_recipe(producer);
    af_is_set_ = clears_af(insns_[producer]);
    emit_save_flags();
  }
}

void BlockEmitter::need_flags(u64 wanted) {
  constexpr u64 kCarryAndOverflow = cpu::rflags::CF | cpu::rflags::OF;
  if (flags_ == Flags::kRecipe) {
    emit_recipe(producer_);
    flags_ = Flags::kHost;
    af_is_set_ = clears_af(insns_[producer_]);
  }
  if (flags_ == Flags::kOverflow && (wanted & ~kCarryAndOverflow) != 0) flags_ = Flags::kImage;
  if (flags_ != Flags::kImage) return;
  af_is_set_ = false;
  if (image_ == kPlain) {
    emit_restore_flags();
  } else if (image_ != kNoProducer) {
    emit_restore_deferred(image_);
    af_is_set_ = clears_af(insns_[image_]);
  } else {
    a_.call(address_of(context_.stubs.load_flags));
  }
  flags_ = Flags::kBoth;
}

void BlockEmitter::emit_restore_flags() {
  a_.mov(kScratch, rax);
  a_.movzx(eax, word_ptr(kState, ORRERY_SLOT(context_.layout, flags_image)));
  a_.add(al, 127);  // OF := bit 0
  a_.sahf();
  a_.mov(rax, kScratch);
}

}  // namespace orrery::jit::x64
