// Stubs: the shared pieces of host code: into translated code and out of it, and the lookup of indirect
// targets.
#pragma once

#include "cpu/vcpu.h"
#include "jit/block.h"
#include "jit/code_arena.h"
#include "jit/x64/registers.h"

namespace orrery::jit::x64 {

/// Runs translated code at `code`; the result is an ExitKind with its id above it.
using Enter = u64 (*)(cpu::CpuState* state, const void* code);

/// Where translated code goes on behind a site; no code: it doesn't.
struct Resume {
  const void* code = nullptr;
  u64 flags = 0;
  /// The code takes it that the guest's vector registers are in the host's.
  static constexpr u64 kWithVectors = 1;
  /// Return addresses of the host are forgotten: it is the start of a block, or they may not hold any more.
  static constexpr u64 kNoReturns = 2;
};
/// Runs a site's handler; called from translated code with the guest's registers in CpuState. `exit` is its
/// ExitKind with its id above it, `engine` TranslatorSlots::engine.
using RunSite = Resume (*)(void* engine, cpu::CpuState* state, u64 exit);
/// TranslatorSlots::fill_read and the like. 1: what was looked for is there now; else 0.
using Find = u64 (*)(void* engine, cpu::CpuState* state, u64 linear);

/// Where an access looks for its page: at the quick TLB's entry of its address, at the one that a guess
/// names, or at a recent page (FastBank::recent_pages).
enum class PageSource : u8 { kEntry, kGuess, kRecent };
inline constexpr unsigned kPageSources = 3;
/// A guess is a constant of the code, of as many bytes: how far behind kState the entry is.
inline constexpr unsigned kGuessBytes = 4;

struct Stubs {
  Enter enter = nullptr;  // the guest's vector registers are in CpuState
  u32 exit = 0;           // arena offsets: kAddress holds the result
  u32 site = 0;           // likewise: calls TranslatorSlots::run_site and goes on with its result
  /// Called, and don't return: `site`, which goes on elsewhere, and, for three kinds of exit, `exit`, with
  /// the arena offset behind the call. So there is nothing to be said of a place there but that it calls.
  u32 called_site = 0, link = 0, budget = 0, gone = 0;
  u32 load_vectors = 0;  // called; uses EFLAGS
  u32 load_x87 = 0;      // called; uses the temporaries and EFLAGS
  /// Called for an access whose page was not where it was looked for. ZF: it may access memory now. They
  /// leave everything alone but what is said here, kScratch and EFLAGS.
  struct Refills {
    static constexpr unsigned kSizes = 6;
    struct Kind {
      u32 of_bytes = 0;          // 4096 less their number is in kScratch
      u32 of_size[kSizes] = {};  // 1, 2, 4, 8, 16 and 32 bytes
    };
    /// The linear address is in kAddress, which becomes the host address; or [1], by distance, in kIndex, and
    /// kAddress becomes the distance. The other of the two points at the guess or the recent page that was
    /// looked at, if it was one; it becomes this page's. (Guesses have no base to be at a distance from.)
    Kind kinds[kPageSources][2];
    /// By distance, but the page of the entry that kAddress names has been subtracted from the linear
    /// address.
    u32 difference_of_size[kSizes] = {};
  };
  /// By privilege view; [1]: of a write; [1]: instead of returning without ZF, it leaves as `called_site`.
  Refills refills[3][2][2];
  /// Called: EFLAGS become the guest's arithmetic flags, whatever form they have (flags_image.h). Uses
  /// kIndex, kScratch and a word of the host's stack.
  u32 load_flags = 0;
  /// Called: puts the time stamp counter of as many ticks ago as kScratch says into TranslatorSlots, and sets
  /// ZF; or clears it, if it may not be read.
  u32 read_time_stamp = 0;
  /// Called: puts the page at kScratch into the quick TLB of code, and sets ZF; or clears it, if that can't
  /// be or it was there.
  u32 fill_code = 0;
};

/// Emits one piece of code at the end of the arena; checks that it was encoded without errors.
template <class Emit>
u32 emit_stub(CodeArena& arena, Emit emit) {
  asmjit::CodeHolder code;
  code.init(asmjit::Environment::host(), reinterpret_cast<u64>(arena.executable(arena.used())));
  asmjit::x86::Assembler a(&code);
  emit(a);
  CHECK(code.flatten() == asmjit::kErrorOk && code.resolveUnresolvedLinks() == asmjit::kErrorOk &&
        code.relocateToBase(code.baseAddress()) == asmjit::kErrorOk);
  const auto bytes = static_cast<u32>(code.codeSize());
  const u32 at = arena.take(bytes);
  CHECK(code.copyFlattenedData(arena.writable(at), bytes) == asmjit::kErrorOk);
  return at;
}

Stubs emit_stubs(CodeArena& arena, const cpu::Vcpu::Layout& layout);
/// The guest's x87 state into the host's, unless it is there; else the host's stack is empty. Uses the
/// temporaries and EFLAGS.
void load_x87(asmjit::x86::Assembler& a, const cpu::Vcpu::Layout& layout);
/// Back into CpuState, leaving the host's stack empty and its own control word. Uses rcx, rdx and EFLAGS.
void save_x87(asmjit::x86::Assembler& a, const cpu::Vcpu::Layout& layout);
/// The index in FastCode of the page of `address`. Uses EFLAGS.
void emit_code_index(asmjit::x86::Assembler& a, const Gp& index, const Gp& address);
/// Where the entry of the page of `address` is in FastView, in bytes. Uses EFLAGS.
void emit_entry_offset(asmjit::x86::Assembler& a, const Gp& offset, const Gp& address);
/// Fields of FastView::Entry for reads, or writes.
constexpr i32 page_field(bool write) {
  return static_cast<i32>(
      (write ? offsetof(cpu::FastView::Entry, write) : offsetof(cpu::FastView::Entry, read)) +
      offsetof(cpu::FastView::Mapping, page));
}
constexpr i32 distance_field(bool write) {
  return page_field(write) + static_cast<i32>(offsetof(cpu::FastView::Mapping, distance) -
                                              offsetof(cpu::FastView::Mapping, page));
}
/// Where the address of the translation of a guest RIP in kAddress is, for blocks with `key`; to `miss`, with
/// kAddress as it was, if JumpTable::targets does not have it. Uses kIndex and EFLAGS.
asmjit::x86::Mem emit_find_target(asmjit::x86::Assembler& a, const cpu::Vcpu::Layout& layout, u32 key,
                                  const asmjit::Label& miss);
/// Moves on to the page of the guest RIP in kAddress, which is lost. Uses EFLAGS.
void emit_move_to_page(asmjit::x86::Assembler& a, const cpu::Vcpu::Layout& layout);
/// To `miss` unless bits 47 to 63 of `address` are equal. Uses kScratch and EFLAGS.
void emit_canonical_check(asmjit::x86::Assembler& a, const Gp& address, const asmjit::Label& miss);

/// What blocks of one key share to find the translation of a guest RIP in kAddress.
struct IndirectStubs {
  /// Jumps there, or leaves with ExitKind::kIndirect, RIP stored; if it is not canonical, at the site that
  /// kIndex names, with an ExitKind below it.
  u32 jump = 0;
  u32 underflow = 0;  // the same for a return without a call: it is the first return address of the stack
};
IndirectStubs emit_indirect_stubs(CodeArena& arena, const cpu::Vcpu::Layout& layout, const Stubs& stubs,
                                  u32 key);

/// Displacement of a field of CpuState or TranslatorSlots from kState.
#define ORRERY_STATE(field) (static_cast<i32>(offsetof(cpu::CpuState, field)))
#define ORRERY_SLOT(layout, field) \
  ((layout).translator + static_cast<i32>(offsetof(cpu::Vcpu::TranslatorSlots, field)))

}  // namespace orrery::jit::x64
