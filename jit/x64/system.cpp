// The system instructions that a kernel runs all the time, at CPL 0 (blocks at CPL 1 and 2 are not
// translated; at CPL 3 the handlers run).
#include "jit/x64/block_emitter.h"

namespace orrery::jit::x64 {

using namespace asmjit;
using namespace asmjit::x86;

std::optional<i32> control_register_at(ZydisRegister reg) {
  switch (reg) {
    case ZYDIS_REGISTER_CR0:
      return ORRERY_STATE(cr0);
    case ZYDIS_REGISTER_CR2:
      return ORRERY_STATE(cr2);
    case ZYDIS_REGISTER_CR3:
      return ORRERY_STATE(cr3);
    case ZYDIS_REGISTER_CR4:
      return ORRERY_STATE(cr4);
    default:
      return std::nullopt;
  }
}

void BlockEmitter::emit_system(const GuestInsn& g) {
  if (g.z.mnemonic == ZYDIS_MNEMONIC_MOV) {
    read_register(g);
    return;
  }
  save_flags();
  switch (g.z.mnemonic) {
    case ZYDIS_MNEMONIC_CLD:
      a_.and_(dword_ptr(kState, ORRERY_STATE(rflags)), ~static_cast<u32>(cpu::rflags::DF));
      break;
    case ZYDIS_MNEMONIC_STD:
      a_.or_(dword_ptr(kState, ORRERY_STATE(rflags)), static_cast<u32>(cpu::rflags::DF));
      break;
    case ZYDIS_MNEMONIC_RDPKRU: {
      const Label miss = site(true);
      a_.test(ecx, ecx);
      a_.jnz(miss);
      a_.test(dword_ptr(kState, ORRERY_STATE(cr4)), static_cast<u32>(cpu::cr4::PKE));
      a_.jz(miss);
      a_.mov(eax, dword_ptr(kState, ORRERY_STATE(pkru)));
      a_.xor_(edx, edx);
      break;
    }
    case ZYDIS_MNEMONIC_RDTSC:
    case ZYDIS_MNEMONIC_RDTSCP:
      read_time_stamp(g);
      break;
    case ZYDIS_MNEMONIC_STI:
      set_interrupt_flag(g);
      break;
    case ZYDIS_MNEMONIC_STAC:
    case ZYDIS_MNEMONIC_CLAC:
      change_view(g);
      break;
    case ZYDIS_MNEMONIC_CLI:
      a_.and_(dword_ptr(kState, ORRERY_STATE(rflags)), ~static_cast<u32>(cpu::rflags::IF));
      break;
    case ZYDIS_MNEMONIC_SWAPGS: {
      const Mem base = qword_ptr(
          kState, ORRERY_STATE(seg) +
                      static_cast<i32>(cpu::kGs * sizeof(cpu::Segment) + offsetof(cpu::Segment, base)));
      const Mem other = qword_ptr(kState, ORRERY_STATE(kernel_gs_base));
      a_.mov(kIndex, base);
      a_.mov(kScratch, other);
      a_.mov(base, kScratch);
      a_.mov(qword_ptr(kState, context_.layout.flat_bases + 8 * cpu::kGs), kScratch);
      a_.mov(other, kIndex);
      break;
    }
    default:
      push_flags();
      break;
  }
  flags_ = Flags::kImage;
}

// MOV from a segment register or a control register, which are what the state has.
void BlockEmitter::read_register(const GuestInsn& g) {
  const u8 guest = guest_number(g.operands[0].reg.value);
  if (const auto control = control_register_at(g.operands[1].reg.value)) {
    a_.mov(word(kScratch), ptr(kState, *control, word_));
  } else {
    const auto segment = static_cast<i32>(g.operands[1].reg.value - ZYDIS_REGISTER_ES);
    a_.movzx(kScratch.r32(),
             word_ptr(kState, ORRERY_STATE(seg) + segment * static_cast<i32>(sizeof(cpu::Segment)) +
                                  static_cast<i32>(offsetof(cpu::Segment, selector))));
  }
  if (g.operands[0].size == 16) {
    kHostOf[guest] == kNoHost ? a_.mov(word_ptr(kState, 8 * guest), kScratch.r16())
                              : a_.mov(gp(kHostOf[guest], 2), kScratch.r16());
  } else if (kHostOf[guest] == kNoHost) {
    store_guest(guest, kScratch);
  } else {
    a_.mov(gpq(kHostOf[guest]), kScratch);
  }
}

// RDTSC and RDTSCP. What the block has paid for this instruction and those behind it has not passed yet.
void BlockEmitter::read_time_stamp(const GuestInsn& g) {
  a_.mov(kScratch.r32(), static_cast<u32>(insns_.size() - current_) + paid_ahead(turn_));
  a_.call(address_of(context_.stubs.read_time_stamp));
  a_.jne(site(true));
  a_.mov(eax, dword_ptr(kState, ORRERY_SLOT(context_.layout, time_stamp)));
  a_.mov(edx, dword_ptr(kState, ORRERY_SLOT(context_.layout, time_stamp) + 4));
  if (g.z.mnemonic == ZYDIS_MNEMONIC_RDTSCP) a_.mov(ecx, dword_ptr(kState, ORRERY_STATE(tsc_aux)));
}

// STI. Its shadow covers the next instruction, which runs in any case, because the block has the ticks for
// it: nobody sees the shadow if no interrupt waits now.
void BlockEmitter::set_interrupt_flag(const GuestInsn& g) {
  if (current_ + 1 == insns_.size()) {
    handler_site(g);
    return;
  }
  a_.cmp(byte_ptr(kState, ORRERY_SLOT(context_.layout, interrupt_waiting)), 0);
  a_.jne(site(true));
  a_.or_(dword_ptr(kState, ORRERY_STATE(rflags)), static_cast<u32>(cpu::rflags::IF));
}

// STAC and CLAC with SMAP, the last of their block: what follows has another privilege view, and another
// block key. Return addresses of the host lead to blocks of this one's, so they are forgotten.
void BlockEmitter::change_view(const GuestInsn& g) {
  const u64 next = end_of(g);
  if (current_ + 1 != insns_.size() || !in_page(next)) {
    handler_site(g);
    return;
  }
  a_.test(dword_ptr(kState, ORRERY_STATE(cr4)), static_cast<u32>(cpu::cr4::SMAP));
  a_.jz(site(true));
  const bool set = g.z.mnemonic == ZYDIS_MNEMONIC_STAC;
  const Mem flags = dword_ptr(kState, ORRERY_STATE(rflags));
  if (set) {
    a_.or_(flags, static_cast<u32>(cpu::rflags::AC));
  } else {
    a_.and_(flags, ~static_cast<u32>(cpu::rflags::AC));
  }
  const u32 view = block_key::view_of_supervisor(set);
  a_.lea(kAddress, ptr(kState, context_.layout.views[view]));
  a_.mov(qword_ptr(kState, context_.layout.view), kAddress);
  a_.lea(kAddress, ptr(kState, context_.layout.banks[view]));
  a_.mov(qword_ptr(kState, context_.layout.fill_bank), kAddress);
  a_.mov(rsp, qword_ptr(kState, ORRERY_SLOT(context_.layout, return_stack)));
  a_.mov(kAddress, address_of(request_.next_underflow));
  a_.push(kAddress);
  leave_to(next);
}

// PUSHFD and PUSHFQ: the arithmetic flags come from the image, the others from the state, VM and RF are 0.
void BlockEmitter::push_flags() {
  using namespace cpu::rflags;
  const i32 image = ORRERY_SLOT(context_.layout, flags_image);
  if (image_ != kPlain) {
    need_flags();
    emit_save_flags();
    image_ = kPlain;
  }
  slot_below(kAddress);
  check_access(word_, true, 1, site(true));
  a_.mov(kScratch.r32(), dword_ptr(kState, ORRERY_STATE(rflags)));
  a_.and_(kScratch.r32(), static_cast<u32>(~(kArithmetic | VM | RF)));
  a_.movzx(kIndex.r32(), byte_ptr(kState, image + 1));
  a_.or_(kScratch.r32(), kIndex.r32());
  a_.movzx(kIndex.r32(), byte_ptr(kState, image));
  a_.shl(kIndex.r32(), 11);
  a_.or_(kScratch.r32(), kIndex.r32());
  a_.mov(ptr(kAddress, 0, word_), word(kScratch));
  move_stack(-static_cast<i32>(word_));
}

}  // namespace orrery::jit::x64
