// Deferred flags: instead of flags, the operands of the instruction that set them go into the state, and a
// code that says what it was. Hardly anybody looks (jit/flags_image.h). Operands stay in their registers
// until those are overwritten; the rest is stored where the block is left.
#include "jit/flags_image.h"
#include "jit/x64/block_emitter.h"

namespace orrery::jit::x64 {

using namespace asmjit;
using namespace asmjit::x86;

DeferredFlags deferred_as(const GuestInsn& g) {
  switch (g.z.mnemonic) {
    case ZYDIS_MNEMONIC_CMP:
      return DeferredFlags::kCompare;
    case ZYDIS_MNEMONIC_TEST:
      return g.operands[1].type == ZYDIS_OPERAND_TYPE_REGISTER &&
                     g.operands[1].reg.value == g.operands[0].reg.value
                 ? DeferredFlags::kResult
                 : DeferredFlags::kTest;
    case ZYDIS_MNEMONIC_ADD:
      return DeferredFlags::kAdd;
    case ZYDIS_MNEMONIC_SUB:
      return recipe_of(g).kind == FlagRecipe::Kind::kTestResult ? DeferredFlags::kResult
                                                                : DeferredFlags::kSub;
    case ZYDIS_MNEMONIC_NEG:
      return DeferredFlags::kNeg;
    case ZYDIS_MNEMONIC_SHL:
      return DeferredFlags::kShl;
    case ZYDIS_MNEMONIC_SHR:
      return DeferredFlags::kShr;
    case ZYDIS_MNEMONIC_SAR:
      return DeferredFlags::kSar;
    default:
      return DeferredFlags::kResult;
  }
}

namespace {

/// How many operands they are counted from.
unsigned operands_of(DeferredFlags what) {
  return what == DeferredFlags::kResult || what == DeferredFlags::kNeg ? 1 : 2;
}

}  // namespace

void BlockEmitter::save_before(const GuestInsn& g) {
  if (flags_ != Flags::kHost) return;
  const size_t producer = deferred_producer();
  if (producer == kNoProducer || !can_defer(producer)) return;
  const u32 lost = registers_written(g) & registers_needed(producer);
  if (lost == 0 || !are_saved_from(current_)) return;
  const GuestInsn& made = insns_[producer];
  for (unsigned n = 0; n < operands_of(deferred_as(made)); ++n) {
    const cpu::OperandView& o = made.operands[n];
    if (o.type != ZYDIS_OPERAND_TYPE_REGISTER || is_saved(producer, n)) continue;
    if ((register_bit(o.reg.value) & lost) != 0) save_operand(n, o);
  }
  saved_registers_ |= lost;
}

bool BlockEmitter::is_saved(size_t producer, unsigned n) const {
  const GuestInsn& g = insns_[producer];
  if (has_kept(producer) && n == kept_operand(g)) return true;
  const cpu::OperandView& o = g.operands[n];
  return o.type == ZYDIS_OPERAND_TYPE_REGISTER && (register_bit(o.reg.value) & saved_registers_) != 0;
}

void BlockEmitter::save_operand(unsigned n, const cpu::OperandView& o) {
  a_.mov(qword_ptr(kState, flags_operand(static_cast<i32>(n))),
         value_of(guest_number(o.reg.value), kScratch));
}

void BlockEmitter::emit_deferred(size_t producer) {
  const GuestInsn& g = insns_[producer];
  const cpu::OperandView& to = g.operands[0];
  const cpu::OperandView& from = g.operands[1];
  const Mem whole = qword_ptr(kState, ORRERY_SLOT(context_.layout, flags_image));
  if (knows_zero(g)) {
    a_.mov(whole, static_cast<i32>(flags_image::of_flags(cpu::rflags::ZF | cpu::rflags::PF)));
    return;
  }
  const DeferredFlags what = deferred_as(g);
  i32 image = flags_image::code_of(what, to.size / 8);
  if (recipe_of(g).kind == FlagRecipe::Kind::kShiftKept) {
    image |=
        flags_image::kShortOperand | static_cast<i32>(shift_count(g)) * (1 << flags_image::kOperandShift);
    a_.mov(whole, image);
    return;
  }
  const auto store = [&](unsigned n, const cpu::OperandView& o) {
    if (!is_saved(producer, n)) save_operand(n, o);
  };
  store(0, to);
  if (operands_of(what) == 2) {
    if (from.type != ZYDIS_OPERAND_TYPE_IMMEDIATE) {
      store(1, from);
    } else if (const i64 value = from.imm.value.s; value == static_cast<i16>(value)) {
      image |= flags_image::kShortOperand | static_cast<i32>(value) * (1 << flags_image::kOperandShift);
    } else {
      a_.mov(qword_ptr(kState, flags_operand(1)), static_cast<i32>(value));
    }
  }
  a_.mov(whole, image);
}

void BlockEmitter::emit_recipe_from_saved(size_t producer) {
  const GuestInsn& g = insns_[producer];
  const unsigned bytes = g.operands[0].size / 8;
  const auto value = [&](unsigned n, const Gp& temporary) -> Gp {
    if (is_saved(producer, n)) {
      a_.mov(temporary, qword_ptr(kState, flags_operand(static_cast<i32>(n))));
      return temporary;
    }
    return value_of(guest_number(g.operands[n].reg.value), temporary);
  };
  const Gp a = value(0, kScratch);
  if (a != kScratch) a_.mov(kScratch, a);
  Operand b;
  if (operands_of(deferred_as(g)) == 2) {
    const cpu::OperandView& from = g.operands[1];
    if (from.type == ZYDIS_OPERAND_TYPE_IMMEDIATE) {
      b = imm(from.imm.value.s);
    } else {
      b = gp(value(1, kIndex).id(), bytes);
    }
  }
  emit_deferred_again(g, b);
}

void BlockEmitter::emit_restore_deferred(size_t producer) {
  const GuestInsn& g = insns_[producer];
  if (knows_zero(g)) {
    emit_recipe(producer);
    return;
  }
  const cpu::OperandView& from = g.operands[1];
  const unsigned bytes = g.operands[0].size / 8;
  if (deferred_as(g) == DeferredFlags::kResult) {
    a_.cmp(ptr(kState, flags_operand(0), bytes), 0);  // as TEST with itself does
    return;
  }
  a_.mov(kScratch, qword_ptr(kState, flags_operand(0)));
  Operand b = ptr(kState, flags_operand(1), bytes);
  if (from.type == ZYDIS_OPERAND_TYPE_IMMEDIATE) b = imm(from.imm.value.s);
  emit_deferred_again(g, b);
}

// `b` is not looked at where there is no second operand.
void BlockEmitter::emit_deferred_again(const GuestInsn& g, const Operand& b) {
  const Gp a = gp(kScratchId, g.operands[0].size / 8);
  const auto emit = [&](InstId id) {
    if (a_.emit(id, a, b) != kErrorOk) failed_ = true;
  };
  switch (deferred_as(g)) {
    case DeferredFlags::kResult:
      a_.test(a, a);
      break;
    case DeferredFlags::kTest:
      if (b.isMem()) {
        a_.test(b.as<Mem>(), a);
      } else {
        emit(Inst::kIdTest);
      }
      break;
    case DeferredFlags::kCompare:
      emit(Inst::kIdCmp);
      break;
    case DeferredFlags::kAdd:
      emit(Inst::kIdSub);
      emit(Inst::kIdAdd);
      break;
    case DeferredFlags::kSub:
      emit(Inst::kIdAdd);
      emit(Inst::kIdSub);
      break;
    case DeferredFlags::kNeg:
      a_.neg(a);
      a_.neg(a);
      break;
    case DeferredFlags::kShl:
    case DeferredFlags::kShr:
    case DeferredFlags::kSar:
      shift_again(g, a);
      break;
  }
}

}  // namespace orrery::jit::x64
