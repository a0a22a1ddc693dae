// The host's calling convention is the System V ABI's: rdi, rsi; rbx, rbp, r12 to r15 are kept.
#include "jit/x64/stubs.h"

#include "jit/flags_image.h"

namespace orrery::jit::x64 {
namespace {

using namespace asmjit;
using namespace asmjit::x86;

constexpr unsigned kVectors = 16;

Mem vector_half(unsigned number, unsigned half) {
  return xmmword_ptr(kState, ORRERY_STATE(vec) + static_cast<i32>(number * sizeof(cpu::Vec) + 16 * half));
}
Mem vector(unsigned number) {
  return ymmword_ptr(kState, ORRERY_STATE(vec) + static_cast<i32>(number * sizeof(cpu::Vec)));
}

// Upper halves that are 0 must be known to be: with others, legacy SSE waits for what its destination held.
void load_vector_registers(Assembler& a) {
  const Label full = a.newLabel(), done = a.newLabel();
  a.vmovups(xmm0, vector_half(0, 1));
  for (unsigned i = 1; i < kVectors; ++i) a.vorps(xmm0, xmm0, vector_half(i, 1));
  a.vptest(xmm0, xmm0);
  a.jnz(full);
  a.vzeroupper();
  for (unsigned i = 0; i < kVectors; ++i) a.vmovups(xmm(i), vector_half(i, 0));
  a.jmp(done);
  a.bind(full);
  for (unsigned i = 0; i < kVectors; ++i) a.vmovups(ymm(i), vector(i));
  a.bind(done);
}

void save_vector_registers(Assembler& a) {
  for (unsigned i = 0; i < kVectors; ++i) a.vmovups(vector(i), ymm(i));
  a.vzeroupper();
}

void load_vectors(Assembler& a, const cpu::Vcpu::Layout& layout) {
  a.stmxcsr(dword_ptr(kState, ORRERY_SLOT(layout, host_mxcsr)));
  a.ldmxcsr(dword_ptr(kState, ORRERY_STATE(mxcsr)));
  load_vector_registers(a);
  a.mov(byte_ptr(kState, ORRERY_SLOT(layout, vectors_loaded)), 1);
}

void save_vectors(Assembler& a, const cpu::Vcpu::Layout& layout) {
  save_vector_registers(a);
  a.stmxcsr(dword_ptr(kState, ORRERY_STATE(mxcsr)));
  a.ldmxcsr(dword_ptr(kState, ORRERY_SLOT(layout, host_mxcsr)));
  a.mov(byte_ptr(kState, ORRERY_SLOT(layout, vectors_loaded)), 0);
}

void load_registers(Assembler& a) {
  for (unsigned i = 0; i < 16; ++i) {
    if (kHostOf[i] != kNoHost) a.mov(gpq(kHostOf[i]), qword_ptr(kState, static_cast<i32>(8 * i)));
  }
}

void save_registers(Assembler& a) {
  for (unsigned i = 0; i < 16; ++i) {
    if (kHostOf[i] != kNoHost) a.mov(qword_ptr(kState, static_cast<i32>(8 * i)), gpq(kHostOf[i]));
  }
}

// Back to the caller of `enter`, the registers saved.
void leave(Assembler& a, const cpu::Vcpu::Layout& layout) {
  a.mov(rsp, qword_ptr(kState, ORRERY_SLOT(layout, native_stack)));
  a.add(rsp, 8);
  for (const Gp& reg : {r15, r14, r13, r12, rbp, rbx}) a.pop(reg);
  a.ret();
}

// Calls a function of the engine's with rdx, the guest's registers saved. Uses rbx.
void call_native(Assembler& a, const cpu::Vcpu::Layout& layout, i32 function) {
  a.mov(rdi, qword_ptr(kState, ORRERY_SLOT(layout, engine)));
  a.mov(rsi, kState);
  a.mov(rbx, rsp);
  a.mov(rsp, qword_ptr(kState, ORRERY_SLOT(layout, native_stack)));
  a.call(qword_ptr(kState, function));
  a.mov(rsp, rbx);
}

Mem kept(const cpu::Vcpu::Layout& layout, unsigned n) {
  return qword_ptr(kState, ORRERY_SLOT(layout, kept) + static_cast<i32>(8 * n));
}

// Calls a Find of the engine's, which uses no floating point (MXCSR is the guest's), with `linear`. All
// registers stay; ZF: it is there now. Uses kept[0] and kept[1].
void call_find(Assembler& a, const cpu::Vcpu::Layout& layout, i32 function, const Gp& linear) {
  const Label integers = a.newLabel(), saved = a.newLabel();
  const Mem address = kept(layout, 0), found = kept(layout, 1);
  a.mov(address, kAddress);
  save_registers(a);
  a.mov(rdx, linear);
  a.cmp(byte_ptr(kState, ORRERY_SLOT(layout, vectors_loaded)), 0);
  a.je(saved);
  save_vector_registers(a);
  a.bind(saved);
  call_native(a, layout, function);
  a.mov(found, rax);
  a.cmp(byte_ptr(kState, ORRERY_SLOT(layout, vectors_loaded)), 0);
  a.je(integers);
  load_vector_registers(a);
  a.bind(integers);
  load_registers(a);
  a.mov(kAddress, address);
  a.cmp(found, 1);
}

Imm host_address(const CodeArena& arena, u32 offset) {
  return imm(reinterpret_cast<u64>(arena.executable(offset)));
}

/// For which accesses a refill is, and so where it finds their linear address (Stubs::Refills).
struct RefillKind {
  unsigned view;
  bool write;
  PageSource source;
  bool by_distance;
  Gp linear() const { return by_distance ? kIndex : kAddress; }
  /// What points at the guess or the recent page.
  Gp other() const { return by_distance ? kAddress : kIndex; }
};

/// A sieve looks for another page at every other store: all kinds are whole, without a call within. What a
/// refill that fails does: it leaves as `called_site`, if there is one, or returns without ZF.
u32 emit_refill(CodeArena& arena, const cpu::Vcpu::Layout& layout, const RefillKind& kind,
                std::optional<u32> called_site) {
  const Mem first = kept(layout, 0), second = kept(layout, 1);
  const Gp linear = kind.linear();
  return emit_stub(arena, [&](Assembler& a) {
    const Label probe = a.newLabel(), absent = a.newLabel(), fail = a.newLabel();
    const auto give_up = [&] {
      if (called_site) {
        a.jmp(host_address(arena, *called_site));
      } else {
        a.test(rsp, rsp);
        a.ret();
      }
    };
    a.bind(probe);
    a.mov(first, rax);
    a.mov(second, rcx);
    emit_entry_offset(a, rax, linear);
    a.lea(rax, ptr(kState, rax, 0, layout.views[kind.view]));
    a.mov(rcx, linear);
    a.sub(rcx, qword_ptr(rax, page_field(kind.write)));
    a.cmp(rcx, kScratch);
    a.ja(absent);
    a.mov(rcx, qword_ptr(rax, distance_field(kind.write)));
    if (kind.source == PageSource::kGuess) {
      a.sub(rax, kState);
      a.add(kind.other(), qword_ptr(kState, ORRERY_SLOT(layout, code_to_writable)));
      a.mov(dword_ptr(kind.other()), eax);
    }
    if (kind.source == PageSource::kRecent) {
      a.mov(rax, qword_ptr(rax, page_field(kind.write)));
      a.mov(qword_ptr(kind.other(), offsetof(cpu::FastView::Mapping, page)), rax);
      a.mov(qword_ptr(kind.other(), offsetof(cpu::FastView::Mapping, distance)), rcx);
      a.mov(byte_ptr(kState, layout.recent_used[kind.view]), 1);
    }
    if (kind.by_distance) {
      a.mov(kAddress, rcx);
    } else {
      a.add(kAddress, rcx);
    }
    a.mov(rax, first);
    a.mov(rcx, second);
    a.cmp(eax, eax);
    a.ret();
    a.bind(absent);
    a.cmp(rcx, 4095);
    a.jbe(fail);  // it goes on in the next page
    a.mov(rcx, linear);
    a.and_(rcx, -4096);
    a.cmp(rcx, qword_ptr(kState, layout.refused_pages[kind.view] + (kind.write ? 8 : 0)));
    a.je(fail);
    a.mov(rax, first);
    a.mov(rcx, second);
    const i32 fill = kind.write ? ORRERY_SLOT(layout, fill_write) : ORRERY_SLOT(layout, fill_read);
    call_find(a, layout, fill, linear);
    a.je(probe);
    give_up();
    a.bind(fail);
    a.mov(rax, first);
    a.mov(rcx, second);
    give_up();
  });
}

Stubs::Refills::Kind emit_refills(CodeArena& arena, const cpu::Vcpu::Layout& layout, const RefillKind& kind,
                                  std::optional<u32> called_site) {
  Stubs::Refills::Kind out{.of_bytes = emit_refill(arena, layout, kind, called_site)};
  for (unsigned n = 0; n < Stubs::Refills::kSizes; ++n) {
    out.of_size[n] = emit_stub(arena, [&](Assembler& a) {
      a.mov(kScratch.r32(), 4096 - (1u << n));
      a.jmp(host_address(arena, out.of_bytes));
    });
  }
  return out;
}

Stubs::Refills emit_refills(CodeArena& arena, const cpu::Vcpu::Layout& layout, unsigned view, bool write,
                            std::optional<u32> called_site) {
  Stubs::Refills out;
  for (u8 number = 0; number < kPageSources; ++number) {
    const PageSource source{number};
    for (const bool by_distance : {false, true}) {
      if (by_distance && source == PageSource::kGuess) continue;
      out.kinds[number][by_distance ? 1 : 0] = emit_refills(
          arena, layout, {.view = view, .write = write, .source = source, .by_distance = by_distance},
          called_site);
    }
  }
  const Stubs::Refills::Kind& distance = out.kinds[static_cast<u8>(PageSource::kEntry)][1];
  for (unsigned n = 0; n < Stubs::Refills::kSizes; ++n) {
    out.difference_of_size[n] = emit_stub(arena, [&](Assembler& a) {
      a.add(kIndex, qword_ptr(kState, kAddress, 0, layout.views[view] + page_field(write)));
      a.jmp(host_address(arena, distance.of_size[n]));
    });
  }
  return out;
}

u32 emit_fill_code(CodeArena& arena, const cpu::Vcpu::Layout& layout) {
  return emit_stub(arena, [&](Assembler& a) {
    call_find(a, layout, ORRERY_SLOT(layout, fill_code), kScratch);
    a.ret();
  });
}

// The operation that is deferred, with rax for a and kIndex for b.
void emit_deferred_operation(Assembler& a, DeferredFlags what, unsigned bytes) {
  const Gp x = gp(0, bytes), y = gp(kIndexId, bytes);
  switch (what) {
    case DeferredFlags::kResult:
      a.test(x, x);
      break;
    case DeferredFlags::kTest:
      a.test(x, y);
      break;
    case DeferredFlags::kCompare:
      a.cmp(x, y);
      break;
    case DeferredFlags::kAdd:
      a.sub(x, y);
      a.add(x, y);
      break;
    case DeferredFlags::kSub:
      a.add(x, y);
      a.sub(x, y);
      break;
    case DeferredFlags::kNeg:
      a.neg(x);
      a.neg(x);
      break;
    case DeferredFlags::kShl:
    case DeferredFlags::kShr:
    case DeferredFlags::kSar:
      // OF is that of the last step.
      a.xchg(rcx, kIndex);
      a.dec(ecx);
      for (const bool last : {false, true}) {
        const Operand count = last ? Operand(imm(1)) : Operand(cl);
        const InstId shift = what == DeferredFlags::kShl   ? Inst::kIdShl
                             : what == DeferredFlags::kShr ? Inst::kIdShr
                                                           : Inst::kIdSar;
        CHECK(a.emit(shift, x, count) == kErrorOk);
      }
      a.xchg(rcx, kIndex);
      break;
  }
}

u32 emit_load_flags(CodeArena& arena, const cpu::Vcpu::Layout& layout) {
  const auto image = [&](i32 byte) { return byte_ptr(kState, ORRERY_SLOT(layout, flags_image) + byte); };
  const auto operand = [&](i32 n) { return qword_ptr(kState, ORRERY_SLOT(layout, flags_operands) + 8 * n); };
  return emit_stub(arena, [&](Assembler& a) {
    const Label deferred = a.newLabel(), lahf = a.newLabel(), give = a.newLabel();
    const Label second = a.newLabel(), table = a.newLabel(), as_lahf = a.newLabel();
    a.mov(kScratch, rax);
    a.movzx(eax, word_ptr(kState, ORRERY_SLOT(layout, flags_image)));
    a.cmp(al, flags_image::kFirstCode);
    a.jae(deferred);
    const Label plain = a.newLabel();
    a.bind(plain);
    a.cmp(image(flags_image::kHasOverflow), 1);
    a.jne(give);
    a.mov(al, image(flags_image::kOverflow));
    a.and_(ah, static_cast<u32>(~cpu::rflags::CF & 0xff));
    a.or_(ah, al);
    a.bind(give);
    a.add(al, 127);  // OF := bit 0
    a.sahf();
    a.mov(rax, kScratch);
    a.ret();

    a.bind(deferred);
    a.mov(kIndex, operand(1));
    a.test(al, flags_image::kShortOperand);
    a.jz(second);
    a.movsx(kIndex, word_ptr(kState, ORRERY_SLOT(layout, flags_image) + flags_image::kOperandShift / 8));
    a.bind(second);
    a.and_(eax, static_cast<u32>(~flags_image::kShortOperand & 0xff));
    a.push(kAddress);
    a.lea(kAddress, ptr(table));
    a.mov(kAddress, ptr(kAddress, rax, 3, -8 * flags_image::kFirstCode));
    a.mov(rax, operand(0));
    a.jmp(kAddress);
    Label operations[kDeferredFlags * 4];
    for (unsigned n = 0; n < kDeferredFlags * 4; ++n) {
      operations[n] = a.newLabel();
      a.bind(operations[n]);
      const auto what = static_cast<DeferredFlags>(n / 4);
      emit_deferred_operation(a, what, 1u << n % 4);
      if (what == DeferredFlags::kShl || what == DeferredFlags::kShr || what == DeferredFlags::kSar) {
        // Intel's processors clear AF.
        a.lahf();
        a.seto(al);
        a.or_(ah, static_cast<u32>(cpu::rflags::AF));
        a.jmp(as_lahf);
      } else {
        a.jmp(lahf);
      }
    }
    a.bind(lahf);
    a.lahf();
    a.seto(al);
    a.bind(as_lahf);
    a.pop(kAddress);
    a.jmp(plain);
    a.align(AlignMode::kData, 8);
    a.bind(table);
    for (const Label& operation : operations) a.embedLabel(operation, 8);
  });
}

}  // namespace

void emit_code_index(Assembler& a, const Gp& index, const Gp& address) {
  a.mov(index.r32(), address.r32());
  a.shr(index.r32(), 12);
  a.and_(index.r32(), static_cast<u32>(cpu::FastCode::kIndexMask));
}

void emit_entry_offset(Assembler& a, const Gp& offset, const Gp& address) {
  constexpr u32 kBytes = sizeof(cpu::FastView::Entry);
  a.mov(offset.r32(), address.r32());
  a.shr(offset.r32(), 12 - std::countr_zero(kBytes));
  a.and_(offset.r32(), static_cast<u32>(cpu::FastView::kIndexMask * kBytes));
}

void emit_canonical_check(Assembler& a, const Gp& address, const Label& miss) {
  a.mov(kScratch, address);
  a.sar(kScratch, 47);
  a.add(kScratch, 1);
  a.cmp(kScratch, 1);
  a.ja(miss);
}

namespace {

using JumpTable = cpu::Vcpu::JumpTable;

using Targets = cpu::Vcpu::JumpTable::Targets;

/// Targets::place_of `address`. Uses EFLAGS.
void emit_target_place(Assembler& a, const Gp& place, const Gp& address) {
  a.mov(place.r32(), address.r32());
  a.and_(place.r32(), Targets::kPlaceMask);
}

Mem targets_field(const cpu::Vcpu::Layout& layout, u32 key, size_t field) {
  const size_t view = block_key::view_of(key) * sizeof(Targets);
  return qword_ptr(kState, layout.jump_table + static_cast<i32>(offsetof(JumpTable, targets) + view + field));
}

Mem target_field(const cpu::Vcpu::Layout& layout, u32 key, const Gp& place, size_t field) {
  Mem at = targets_field(layout, key, offsetof(Targets, entries) + field);
  at.setIndex(place, 0);
  return at;
}

// By its frame, whatever page it is seen in now: JumpTable::place.
Mem emit_find_place(Assembler& a, const cpu::Vcpu::Layout& layout, u32 key, const Label& miss) {
  const i32 code = layout.codes[block_key::view_of(key)];
  const auto entry = [&](size_t offset) {
    return qword_ptr(kState, kScratch, 3, layout.jump_table + static_cast<i32>(offset));
  };
  // The code page must be in the quick TLB, and canonical by that ...
  emit_code_index(a, kScratch, kAddress);
  a.mov(kIndex, qword_ptr(kState, kScratch, 3, code + static_cast<i32>(offsetof(cpu::FastCode, entries))));
  a.mov(kScratch, kAddress);
  a.and_(kScratch, -4096);
  a.sub(kIndex, kScratch);
  a.cmp(kIndex, static_cast<i32>(cpu::FastCode::kFrames));
  a.jae(miss);
  a.shl(kIndex, kPlaceFrameShift);
  a.sub(kScratch, kAddress);
  a.sub(kIndex, kScratch);
  a.add(kIndex, static_cast<i32>(key << kPlaceKeyShift));
  // ... and the table must know where the translation of that place is.
  a.mov(kScratch, kIndex);
  a.shr(kScratch, kPlaceFold);
  a.xor_(kScratch, kIndex);
  a.and_(kScratch.r32(), JumpTable::kEntries - 1);
  a.cmp(entry(offsetof(JumpTable, place)), kIndex);
  a.jne(miss);
  return entry(offsetof(JumpTable, code));
}

}  // namespace

// Nothing of what leads to the target waits for anything but the address: the host has guessed it, but the
// sooner it knows better the less is lost.
Mem emit_find_target(Assembler& a, const cpu::Vcpu::Layout& layout, u32 key, const Label& miss) {
  emit_target_place(a, kIndex, kAddress);
  a.cmp(target_field(layout, key, kIndex, offsetof(Targets::Target, linear)), kAddress);
  a.jne(miss);
  return target_field(layout, key, kIndex, offsetof(Targets::Target, code));
}

void emit_move_to_page(Assembler& a, const cpu::Vcpu::Layout& layout) {
  a.and_(kAddress, -4096);
  a.mov(qword_ptr(kState, ORRERY_SLOT(layout, code_page)), kAddress);
}

namespace {

/// Puts the guest's registers into CpuState: the general ones, and the vector registers and the x87 state if
/// they are in the host's. Uses rcx, rdx and EFLAGS.
class StateSaver {
 public:
  StateSaver(Assembler& assembler, const cpu::Vcpu::Layout& machine) : a_(assembler), layout_(machine) {
    save_registers(a_);
    a_.cmp(byte_ptr(kState, ORRERY_SLOT(layout_, vectors_loaded)), 0);
    a_.jne(vectors_);
    a_.bind(vectors_saved_);
    a_.cmp(byte_ptr(kState, ORRERY_SLOT(layout_, x87_loaded)), 0);
    a_.jne(x87_);
    a_.bind(x87_saved_);
  }
  /// Where nothing falls through: what the code above jumps to.
  void emit_rest() const {
    a_.bind(vectors_);
    save_vectors(a_, layout_);
    a_.jmp(vectors_saved_);
    a_.bind(x87_);
    save_x87(a_, layout_);
    a_.jmp(x87_saved_);
  }

 private:
  Assembler& a_;
  const cpu::Vcpu::Layout& layout_;
  const Label vectors_ = a_.newLabel(), vectors_saved_ = a_.newLabel();
  const Label x87_ = a_.newLabel(), x87_saved_ = a_.newLabel();
};

// Of the address behind a call in `address`. Uses `other` and EFLAGS.
void emit_called_result(Assembler& a, const CodeArena& arena, const Gp& address, const Gp& other,
                        ExitKind kind) {
  a.mov(other, host_address(arena, 0));
  a.sub(address, other);
  a.shl(address, kExitKindBits);
  a.or_(address, static_cast<u32>(kind));
}

// What was called goes on by a return, so that the host's guesses of other returns stay right.
u32 emit_site(CodeArena& arena, const cpu::Vcpu::Layout& layout, bool called) {
  return emit_stub(arena, [&](Assembler& a) {
    const Label load = a.newLabel(), loaded = a.newLabel(), left = a.newLabel(), same = a.newLabel();
    if (called) a.pop(kAddress);
    const StateSaver saver(a, layout);
    a.mov(rdx, kAddress);
    if (called) emit_called_result(a, arena, rdx, rcx, ExitKind::kSiteAt);
    call_native(a, layout, ORRERY_SLOT(layout, run_site));
    a.test(rax, rax);
    a.jz(left);
    a.mov(qword_ptr(kState, ORRERY_SLOT(layout, entry)), rax);
    a.test(edx, static_cast<u32>(Resume::kNoReturns));
    a.jz(same);
    a.mov(rsp, qword_ptr(kState, ORRERY_SLOT(layout, return_stack)));
    a.push(qword_ptr(kState, ORRERY_SLOT(layout, underflow)));
    a.bind(same);
    a.test(edx, static_cast<u32>(Resume::kWithVectors));
    a.jnz(load);
    a.bind(loaded);
    load_registers(a);
    if (called) {
      a.push(qword_ptr(kState, ORRERY_SLOT(layout, entry)));
      a.ret();
    } else {
      a.jmp(qword_ptr(kState, ORRERY_SLOT(layout, entry)));
    }
    a.bind(left);
    a.mov(eax, static_cast<u32>(ExitKind::kLeft));
    leave(a, layout);
    saver.emit_rest();  // what comes behind the site loads x87
    a.bind(load);
    load_vectors(a, layout);
    a.jmp(loaded);
  });
}

}  // namespace

Stubs emit_stubs(CodeArena& arena, const cpu::Vcpu::Layout& layout) {
  Stubs stubs;
  stubs.exit = emit_stub(arena, [&](Assembler& a) {
    const StateSaver saver(a, layout);
    a.mov(rax, kAddress);
    leave(a, layout);
    saver.emit_rest();
  });
  stubs.site = emit_site(arena, layout, false);
  stubs.called_site = emit_site(arena, layout, true);
  const auto emit_called = [&](ExitKind kind) {
    return emit_stub(arena, [&](Assembler& a) {
      a.pop(kAddress);
      emit_called_result(a, arena, kAddress, kIndex, kind);
      a.jmp(host_address(arena, stubs.exit));
    });
  };
  stubs.link = emit_called(ExitKind::kLink);
  stubs.budget = emit_called(ExitKind::kBudget);
  stubs.gone = emit_called(ExitKind::kGone);
  const u32 enter = emit_stub(arena, [&](Assembler& a) {
    for (const Gp& reg : {rbx, rbp, r12, r13, r14, r15}) a.push(reg);
    a.sub(rsp, 8);  // a multiple of 16, for what is called
    a.mov(kState, rdi);
    a.mov(qword_ptr(kState, ORRERY_SLOT(layout, entry)), rsi);
    a.mov(qword_ptr(kState, ORRERY_SLOT(layout, native_stack)), rsp);
    a.mov(rsp, qword_ptr(kState, ORRERY_SLOT(layout, return_stack)));
    a.push(qword_ptr(kState, ORRERY_SLOT(layout, underflow)));
    load_registers(a);
    a.jmp(qword_ptr(kState, ORRERY_SLOT(layout, entry)));
  });
  stubs.load_vectors = emit_stub(arena, [&](Assembler& a) {
    load_vectors(a, layout);
    a.ret();
  });
  stubs.load_x87 = emit_stub(arena, [&](Assembler& a) {
    load_x87(a, layout);
    a.ret();
  });
  for (unsigned view = 0; view < 3; ++view) {
    for (const bool write : {false, true}) {
      for (const bool leaves : {false, true}) {
        const auto called_site = leaves ? std::optional(stubs.called_site) : std::nullopt;
        stubs.refills[view][write ? 1 : 0][leaves ? 1 : 0] =
            emit_refills(arena, layout, view, write, called_site);
      }
    }
  }
  stubs.fill_code = emit_fill_code(arena, layout);
  stubs.read_time_stamp = emit_stub(arena, [&](Assembler& a) {
    call_find(a, layout, ORRERY_SLOT(layout, read_time_stamp), kScratch);
    a.ret();
  });
  stubs.load_flags = emit_load_flags(arena, layout);
  stubs.enter = reinterpret_cast<Enter>(reinterpret_cast<u64>(arena.executable(enter)));
  return stubs;
}

namespace {

// What is found is put into the first table; what is not is looked at in the end.
u32 emit_indirect_jump(CodeArena& arena, const cpu::Vcpu::Layout& layout, const Stubs& stubs, u32 key) {
  return emit_stub(arena, [&](Assembler& a) {
    const Label miss = a.newLabel(), look = a.newLabel(), bad = a.newLabel();
    const Label noted = a.newLabel();
    const auto field = [&](size_t offset) { return target_field(layout, key, kScratch, offset); };
    const Mem count = targets_field(layout, key, offsetof(Targets, note_count));
    Mem note = targets_field(layout, key, offsetof(Targets, noted));
    note.setIndex(kIndex, 2);
    note.setSize(4);
    a.mov(dword_ptr(kState, ORRERY_SLOT(layout, bad_target)), kIndex.r32());
    a.bind(look);
    a.mov(kIndex, emit_find_place(a, layout, key, miss));
    emit_target_place(a, kScratch, kAddress);
    a.mov(field(offsetof(Targets::Target, linear)), kAddress);
    a.mov(field(offsetof(Targets::Target, code)), kIndex);
    a.mov(kIndex, count);
    a.inc(count);
    a.cmp(kIndex, Targets::kNoted);
    a.jae(noted);
    a.mov(note, kScratch.r32());
    a.bind(noted);
    emit_move_to_page(a, layout);
    a.jmp(field(offsetof(Targets::Target, code)));
    a.bind(miss);
    emit_canonical_check(a, kAddress, bad);
    call_find(a, layout, ORRERY_SLOT(layout, find_target), kAddress);
    a.je(look);
    a.mov(qword_ptr(kState, 8 * cpu::kRip), kAddress);
    a.mov(kAddress.r32(), static_cast<u32>(ExitKind::kIndirect));
    a.jmp(host_address(arena, stubs.exit));
    a.bind(bad);
    a.mov(kAddress.r32(), dword_ptr(kState, ORRERY_SLOT(layout, bad_target)));
    a.jmp(host_address(arena, stubs.site));
  });
}

}  // namespace

IndirectStubs emit_indirect_stubs(CodeArena& arena, const cpu::Vcpu::Layout& layout, const Stubs& stubs,
                                  u32 key) {
  IndirectStubs at;
  at.jump = emit_indirect_jump(arena, layout, stubs, key);
  at.underflow = emit_stub(arena, [&](Assembler& a) {
    a.sub(rsp, 8);  // its address stays there
    a.jmp(host_address(arena, at.jump));
  });
  return at;
}

}  // namespace orrery::jit::x64
