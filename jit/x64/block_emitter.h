// BlockEmitter: host code for one scanned block.
//
// At every entry and exit of a block the arithmetic flags are in TranslatorSlots::flags_image, and the
// guest's registers where registers.h says. Within a block the flags may be in EFLAGS, in the image, or both;
// memory checks use EFLAGS up, so flags that somebody may still want are saved first
// (analysis/flag_liveness.h), or the check does without (check_keeping_eflags).
//
// An instruction that cannot go on natively (a page that is not in the TLB, a device, a fault, an
// unusual form) leaves at its *site*, before it has changed anything: the engine runs its handler and comes
// back behind it.
#pragma once

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "base/bits.h"
#include "cpu/vcpu.h"
#include "jit/analysis/memory_groups.h"
#include "jit/block.h"
#include "jit/block_scan.h"
#include "jit/host_profile.h"
#include "jit/x64/stubs.h"

namespace orrery::jit {
enum class DeferredFlags : u8;
}  // namespace orrery::jit

namespace orrery::jit::x64 {

/// How an instruction's flags are made again; or, of JZ and JNZ, what they are known to be where it leads, or
/// behind it.
struct FlagRecipe {
  enum class Kind : u8 {
    kNone,
    kAgain,        // it changes nothing but flags: run it once more
    kTestResult,   // they depend on its result alone
    kCompareKept,  // compare its memory operand's value, which was kept, once more
    kUndo,         // undo it on a copy, and redo it
    kAddKept,      // the same; what its destination held was kept
    kShiftKept,    // shift what its destination held, which was kept, once more
    kStoreKept,    // undo it on what it has stored, which was kept, and redo it
    kZero,         // those of a result of zero: behind JNZ, or where JZ leads
  };
  Kind kind = Kind::kNone;
  u32 registers = 0;  // that must not have changed: general ones, vector registers from bit 16
};
FlagRecipe recipe_of(const GuestInsn& g);
/// How the flags of `g`, which can be deferred, are.
DeferredFlags deferred_as(const GuestInsn& g);
/// MUL and IMUL set CF and OF to the same, and leave the other flags as they were.
inline bool is_multiplication(ZydisMnemonic m) { return m == ZYDIS_MNEMONIC_MUL || m == ZYDIS_MNEMONIC_IMUL; }
inline bool is_shift(ZydisMnemonic m) {
  return m == ZYDIS_MNEMONIC_SHL || m == ZYDIS_MNEMONIC_SHR || m == ZYDIS_MNEMONIC_SAR;
}
/// A relative CALL or a RET, run natively.
inline bool is_call_or_return(const GuestInsn& g) {
  const bool relative = g.operands[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE;
  return g.plan == Plan::kBranch &&
         (g.z.mnemonic == ZYDIS_MNEMONIC_RET || (g.z.mnemonic == ZYDIS_MNEMONIC_CALL && relative));
}
inline bool is_high_byte(ZydisRegister reg) { return reg >= ZYDIS_REGISTER_AH && reg <= ZYDIS_REGISTER_BH; }
/// Whether the last step of `g`, a rotation by CL, can be taken again on the host: ROL or ROR of a register
/// whose low byte has a name, and not RCX.
inline bool has_last_step(const GuestInsn& g) {
  const cpu::OperandView& to = g.operands[0];
  return (g.z.mnemonic == ZYDIS_MNEMONIC_ROL || g.z.mnemonic == ZYDIS_MNEMONIC_ROR) &&
         to.type == ZYDIS_OPERAND_TYPE_REGISTER && !is_high_byte(to.reg.value) &&
         guest_number(to.reg.value) != cpu::kRcx;
}
/// By how much `g`, a shift or rotation by an immediate, shifts.
inline unsigned shift_count(const GuestInsn& g) {
  return static_cast<unsigned>(g.operands[1].imm.value.u & (g.operands[0].size == 64 ? 63 : 31));
}
/// The bit of a general register, or from bit 16 on of a vector register, in a set; 0 for other registers.
u32 register_bit(ZydisRegister reg);
/// The general registers that `g` may change, and from bit 16 on the vector registers.
u32 registers_written(const GuestInsn& g);

/// What a block is made of besides its code.
struct EmittedBlock {
  std::vector<Site> sites;  // `block` is left to the caller; arena offsets count from the block's code
  std::vector<Link> links;  // likewise
  std::vector<u32> starts;  // where each instruction's code begins
  bool uses_vectors = false;
};

/// The environment of an emission, the same for all blocks.
struct EmitterContext {
  const CodeArena& arena;
  const Stubs& stubs;
  const cpu::Vcpu::Layout& layout;
  u64 host_features;  // bit n: isa::Feature n
  bool has_pext;      // and quickly
  bool counts_ticks;  // TranslatorConfig
  bool single_cpu;    // the machine has one
  HostProfile host_profile;
};

class BlockEmitter {
 public:
  struct Request {
    BlockId block = 0;
    u64 start = 0;  // offset in the page
    u32 key = 0;
    SiteId first_site = 0;
    LinkId first_link = 0;
    IndirectStubs indirect;
    u32 next_underflow = 0;           // of the privilege view behind a block that ends with STAC or CLAC
    const u8* host = nullptr;         // the guest's code
    u32 frame = 0;                    // of the block's page
    std::optional<u32> second_frame;  // of the second page of an instruction that crosses into it
  };
  BlockEmitter(const EmitterContext& context, asmjit::x86::Assembler& a, const Request& request,
               std::span<GuestInsn> insns, EmittedBlock& out);

  /// False if AsmJit could not encode instruction `failed()`; nothing of the code may be used then.
  bool emit();
  size_t failed() const { return current_; }
  /// After relocation: fills in offsets.
  void finish(const asmjit::CodeHolder& code);

 private:
  /// kRecipe: neither has them, but `emit_recipe(producer_)` makes them.
  /// kOverflow: the image has all, EFLAGS CF and OF.
  enum class Flags : u8 { kImage, kHost, kBoth, kRecipe, kOverflow };
  static constexpr size_t kNoProducer = ~size_t{0}, kPlain = kNoProducer - 1;
  static constexpr u32 kMaxLoopInsns = 32;
  static constexpr size_t kNoSite = ~size_t{0}, kNoRefill = ~size_t{0};
  /// FIP, FOP, FCS, and FDP and FDS, as they ought to be: those of these instructions. Null: the state has
  /// them. `moved`: what to add to the address of `data`, whose registers have moved on.
  struct X87Pointers {
    const GuestInsn* instruction = nullptr;
    const GuestInsn* data = nullptr;
    i32 moved = 0;
    bool operator==(const X87Pointers&) const = default;
  };
  struct PendingSite {
    asmjit::Label entry;
    asmjit::Label resume;  // where the engine comes back to
    asmjit::Label behind;  // the code behind the instruction
    u16 index;
    u16 turn;
    bool resumes;
    bool in_line;  // a handler's: `resume` is `behind`
    bool native;
    Flags flags;           // that the code behind expects
    size_t recipe;         // for the flags at `entry`; kNoProducer: the image has them
    u32 saved_registers;   // likewise
    bool x87_loaded;       // when the code behind runs
    X87Pointers pointers;  // at `entry`
    i32 stack_moves;       // likewise
    u32 exit = 0;          // Site::exit
    /// Whoever leaves here need not do anything first.
    bool leaves_at_once() const {
      return recipe == kNoProducer && turn == 0 && pointers == X87Pointers{} && stack_moves == 0;
    }
    /// Nothing has to be loaded on the way back.
    bool resumes_behind() const {
      return !in_line && !x87_loaded && (flags == Flags::kImage || flags == Flags::kRecipe);
    }
  };
  struct PendingLink {
    asmjit::Label entry;  // of the cold path to it, unless `in_line`
    asmjit::Label exit;   // where it leads while it leads nowhere, unless `leads_out` (exit_of)
    u32 jump = 0;         // offset of what is patched
    u32 frame = 0;        // offset behind the guard's immediate; 0: no guard
    size_t site;          // whose handler does what the jump does; kNoSite: nothing but RIP is missing
    u64 target;
    Flags flags;     // at `entry`
    bool af_is_set;  // likewise
    size_t recipe;
    u32 saved_registers;  // likewise
    u32 ticks_back;       // of the instructions that a side exit leaves out
    u32 key_bits;
    u16 turn;
    bool in_line;
    bool call;                  // not a jump
    X87Pointers pointers;       // at `entry`
    i32 stack_moves;            // likewise
    u8 opcode_bytes = 1;        // of what is patched
    bool leads_out = false;     // Link::leads_out
    size_t refill = kNoRefill;  // the one whose `miss` is `entry`, if there is one
  };
  /// Of an indirect call: where its return address goes, from the address in call_slot() on.
  struct CallSlot {
    i32 offset = 0;
    asmjit::Label miss;  // for a target that is not canonical
  };
  struct Aligned {
    u8 group;
    i64 position;
    unsigned alignment;
  };
  /// Where the host finds an access that has been checked: from kAddress on, which is its address, or, if
  /// there is a `base`, the distance from what that register has.
  struct HostPlace {
    i32 offset = 0;
    Gp base = {};
    asmjit::x86::Mem of(unsigned bytes) const {
      return base.isValid() ? asmjit::x86::ptr(base, kAddress, 0, offset, bytes)
                            : asmjit::x86::ptr(kAddress, offset, bytes);
    }
  };
  /// Where an access looks for its page.
  struct PagePlace {
    PageSource source = PageSource::kEntry;
    i32 at = 0;                // of a recent page, from kState on
    asmjit::Label guess = {};  // of a guess: behind the instruction that has it
  };
  /// How code addresses the fields of an entry of the quick TLB; of a recent page, which is one half of such
  /// an entry, those of that half.
  struct EntryOperand {
    Gp base, index = {};
    u32 shift = 0;
    i32 offset = 0;
    asmjit::x86::Mem field(i32 of) const {
      return index.isValid() ? asmjit::x86::qword_ptr(base, index, shift, offset + of)
                             : asmjit::x86::qword_ptr(base, offset + of);
    }
  };
  /// An access outside of the page that it was compared with. Its linear address is in kAddress or, by
  /// distance, in kIndex.
  struct Refill {
    asmjit::Label cold, checked, miss;
    asmjit::x86::Mem page;  // of the entry
    PagePlace place = {};
    unsigned bytes, alignment;
    bool write;
    bool by_distance = false;    // kAddress says where the entry is, and becomes its distance
    bool is_difference = false;  // `page` has been subtracted from the linear address
    bool keeps_eflags = false;   // they are live, and `kept` has what belongs in rcx
    size_t site;                 // whose entry `miss` is; kNoSite: it is another place
  };
  /// A page of code that was not in the quick TLB, or leads to another frame, or whose link is not connected.
  struct CodeFill {
    asmjit::Label cold, retry, miss;
  };

  // block_emitter.cpp
  /// Takes the ticks of what comes next; to `none_left` if there are not so many.
  void pay(u32 ticks, const asmjit::Label& none_left);
  void give_back(u32 ticks);
  /// Memory groups and live flags, which depend on the instructions' plans.
  void analyse();
  /// Whether an instruction has been found that must run its handler for the sake of its flags.
  bool leave_flags_to_handlers();
  void emit_insns();
  void emit_insn(GuestInsn& g);
  /// The way out of the current instruction before it has changed anything; the flags are in the image.
  asmjit::Label site(bool resumes);
  bool has_site() const {
    return !sites_.empty() && sites_.back().index == current_ && sites_.back().turn == turn_;
  }
  void new_site(bool resumes);
  asmjit::Label first_turn_resume(size_t index) const;
  void leave_at_site(size_t number);
  /// The cold paths that leave at site `number`, and the one that comes back.
  void emit_site(size_t number);
  /// Whether code that is there jumps to `label`, which is to come.
  bool is_wanted(const asmjit::Label& label) const {
    return a_.code()->labelEntry(label)->links() != nullptr;
  }
  void call_stub(u32 offset) { a_.call(address_of(offset)); }
  void handler_site(const GuestInsn& g);
  void emit_cold();
  enum class LinkPath : bool { kInLine, kCold };
  /// Addresses of code, `target` as well, are counted from the block's page on.
  PendingLink& new_link(u64 target, LinkPath path = LinkPath::kInLine);
  const asmjit::Label& exit_of(PendingLink& link) {
    if (!link.exit.isValid()) link.exit = a_.newLabel();
    return link.exit;
  }
  /// Where the host finds what lies at `offset` of the arena.
  asmjit::Imm address_of(u32 offset) const {
    return asmjit::imm(reinterpret_cast<u64>(context_.arena.executable(offset)));
  }
  void emit_link(PendingLink& link);
  /// Moves on to the page of the link's target, if that is another one and the quick TLB leads to the frame
  /// that the link was connected for. Uses kIndex, kScratch and EFLAGS.
  void emit_page_guard(PendingLink& link);
  /// Whether the quick TLB leads from the page at kScratch to `frame`; else to `miss`. Uses kIndex and
  /// EFLAGS. Returns the offset where the 32-bit immediate with the frame ends.
  u32 check_frame(u32 frame, const asmjit::Label& miss);
  void emit_code_fills();
  asmjit::x86::Mem code_page() const {
    return asmjit::x86::qword_ptr(kState, ORRERY_SLOT(context_.layout, code_page));
  }
  /// The linear address of what lies at `offset` from the block's page on.
  void code_address(const Gp& to, u64 offset);
  u64 end_of(const GuestInsn& g) const { return request_.start + g.offset + g.insn.length; }
  static bool in_page(u64 offset) { return offset < memory::kPageBytes; }

  /// What the functions of these names say of an instruction of the block, said once.
  struct FlagFacts {
    u64 defined, read;
    bool changes;
    FlagRecipe recipe;
  };
  const FlagFacts& facts_of(const GuestInsn& g) const {
    return facts_[static_cast<size_t>(&g - insns_.data())];
  }
  u64 flags_defined(const GuestInsn& g) const { return facts_of(g).defined; }
  u64 flags_read(const GuestInsn& g) const { return facts_of(g).read; }
  bool changes_flags(const GuestInsn& g) const { return facts_of(g).changes; }
  /// Jcc, run natively.
  bool is_jcc(const GuestInsn& g) const { return g.plan == Plan::kBranch && flags_read(g) != 0; }
  const FlagRecipe& recipe_of(const GuestInsn& g) const { return facts_of(g).recipe; }
  bool knows_zero(const GuestInsn& g) const { return recipe_of(g).kind == FlagRecipe::Kind::kZero; }

  // flags.cpp
  /// JZ and JNZ behind an instruction that leaves nothing but what its result, or difference, is: their
  /// recipe becomes kZero.
  void find_known_zeros();
  /// Before EFLAGS are used up: they are saved, or a recipe will do.
  void before_check();
  void after_check() {
    if (flags_ != Flags::kRecipe) flags_ = Flags::kImage;
  }
  /// To the image, if it does not have them: deferred, if what set them is known and its registers have
  /// stayed. Uses kScratch.
  void save_flags();
  /// The same, never deferred.
  void save_plain_flags();
  /// To EFLAGS, if they do not have those of `wanted`. Uses kIndex and kScratch.
  void need_flags(u64 wanted = cpu::rflags::kArithmetic);
  void emit_save_flags();
  /// From a plain image.
  void emit_restore_flags();
  /// Whether the flags of instruction `producer` can be deferred while its registers have what it left.
  bool can_defer(size_t producer) const;
  /// SF ZF AF PF CF of a plain image.
  asmjit::x86::Mem image_flags() const {
    return asmjit::x86::byte_ptr(kState, ORRERY_SLOT(context_.layout, flags_image) + 1);
  }
  i32 flags_operand(i32 n) const { return ORRERY_SLOT(context_.layout, flags_operands) + 8 * n; }
  /// The flags of `producer`, whose recipe holds, to the image. Uses kIndex, kScratch and EFLAGS.
  void emit_recipe_to_image(size_t producer);
  /// The instruction whose recipe makes the flags that EFLAGS or a recipe have now, or none.
  size_t deferred_producer() const;
  /// The same for a way out of the block, which has EFLAGS as they are.
  size_t side_exit_producer() const {
    const size_t producer = deferred_producer();
    const bool good = producer != kNoProducer && (flags_ == Flags::kRecipe || can_defer(producer));
    return good ? producer : kNoProducer;
  }
  void set_producer(size_t producer) {
    producer_ = producer;
    saved_registers_ = 0;
  }
  /// The registers that the recipe of `producer` needs as they are.
  u32 registers_needed(size_t producer) const {
    return recipe_of(insns_[producer]).registers & ~saved_registers_;
  }
  /// Whether the registers that the recipe of `producer` needs have stayed until now.
  bool registers_stayed(size_t producer) const;
  /// Whether the recipe for the flags in EFLAGS holds wherever somebody looks at them from here on.
  bool recipe_suffices() const;
  /// Whether the recipe of `producer`, which holds before `from`, does so wherever somebody looks.
  bool recipe_holds(size_t producer, size_t from) const;
  /// Makes the flags of instruction `producer` in EFLAGS. Uses kIndex and kScratch.
  void emit_recipe(size_t producer);
  /// CMP or TEST `g` with the value of its memory operand in `kept`.
  void compare_kept(const GuestInsn& g, const Gp& kept);
  /// The shift `g`, whose count is an immediate, of `value`.
  void shift_again(const GuestInsn& g, const Gp& value);
  /// The shift or rotation `g` of `to` by `count`, with the profile's OF.
  void shift_by(const GuestInsn& g, const asmjit::Operand& to, unsigned count);
  /// Whether the shift `g` by CL needs defer_shift_by_cl.
  bool defers_shift_by_cl(const GuestInsn& g) const;
  /// Behind a shift by CL of what is now in kScratch: gives the image its flags, if the count is not 0. Uses
  /// kScratch and EFLAGS.
  void defer_shift_by_cl(const GuestInsn& g);
  /// Whether `g`, which always sets AF, leaves it 0 in EFLAGS.
  bool clears_af(const GuestInsn& g) const {
    return !context_.host_profile.is_same() && is_shift(g.z.mnemonic);
  }
  /// af_is_set_ behind `g`, which has changed EFLAGS.
  void note_af(const GuestInsn& g);
  /// Whether `g` is TZCNT or LZCNT, the host clears OF, and somebody wants it.
  bool keeps_overflow(const GuestInsn& g) const;
  /// EFLAGS to the image, with the OF that has been put into `kept`.
  void save_with_overflow();
  /// Whether `g` is one of BMI that leaves PF, and BEXTR AF, otherwise than the profile, and somebody wants
  /// it.
  bool lacks_parity(const GuestInsn& g) const;
  /// EFLAGS to the image, with PF by what `g` has put into `result`.
  void save_with_parity(const GuestInsn& g, const Gp& result);
  /// Whether the shift or rotation `g` by an immediate has to be done in two steps.
  bool is_stepped(const GuestInsn& g) const;
  /// Whether `g`, run natively, looks at EFLAGS or uses them up before anything else: a check, a way out.
  bool uses_flags_up(const GuestInsn& g) const;
  /// Whether flags that EFLAGS have now are going to be saved at instruction `from` or behind it.
  bool are_saved_from(size_t from) const;
  /// Whether `g`, one of the block's, keeps in flags_operands what its flags can be made of and is lost
  /// later. It sets all of them and looks at none, so that nobody needs what is there for the flags before;
  /// behind its handler, which keeps nothing, the block is left.
  bool keeps_for_flags(const GuestInsn& g) const;
  bool has_kept(size_t index) const { return (kept_ >> index & 1) != 0; }
  /// Which of flags_operands it keeps: what it loses, or has in memory.
  unsigned kept_operand(const GuestInsn& g) const;
  /// Whether the rotation `g` needs repeat_last_step.
  bool repeats_last_step(const GuestInsn& g) const;
  /// Behind a rotation by CL of `to`: takes its last step once more, if the count is not 0, for the profile's
  /// OF. Uses kScratch.
  void repeat_last_step(const GuestInsn& g, const Gp& to);

  // deferred_flags.cpp
  /// Saves the registers that `g` is about to overwrite and that the flags in EFLAGS could be made from.
  void save_before(const GuestInsn& g);
  /// Whether operand `n` of `producer` is in flags_operands.
  bool is_saved(size_t producer, unsigned n) const;
  /// Puts `o`, operand `n` of an instruction, there. Uses kScratch.
  void save_operand(unsigned n, const cpu::OperandView& o);
  /// Saves the flags of `producer`: those operands that are not there yet, and what it was. Leaves EFLAGS
  /// alone. Uses kScratch.
  void emit_deferred(size_t producer);
  /// Makes the flags of `producer`, which have been saved so in this block, in EFLAGS.
  void emit_restore_deferred(size_t producer);
  /// The same, while some of its operands are in their registers only. Uses kIndex and kScratch.
  void emit_recipe_from_saved(size_t producer);
  /// Makes the flags of `g`, which can be deferred, in EFLAGS: the first operand, or the result, is in
  /// kScratch, the second is `b`.
  void emit_deferred_again(const GuestInsn& g, const asmjit::Operand& b);

  // loop.cpp
  /// Whether the block's last instruction jumps back to its first, and flags need not be saved on the way:
  /// fills in loop_producer_.
  void find_loop();
  bool is_loop() const { return loop_producer_ != kNoProducer; }
  /// Ticks that have been paid in turn `turn` for those behind it.
  u16 paid_ahead(u16 turn) const {
    return turn == 0 ? u16{0} : static_cast<u16>((turns_ - turn) * static_cast<unsigned>(insns_.size()));
  }
  /// Whether instruction `index` is the comparison of a loop whose memory operand is kept for its flags:
  /// behind its handler nothing has kept it, so the block is left there.
  bool keeps_operand(size_t index) const {
    return is_loop() && index == loop_producer_ &&
           recipe_of(insns_[index]).kind == FlagRecipe::Kind::kCompareKept;
  }
  /// The block once more, for its second turn and later ones.
  void emit_loop();
  /// Finds for guest registers of the loop that live in the state a host register whose guest's it has no use
  /// for.
  void find_exchanges();
  /// From the registers as kHostOf says to those of later turns, and back. Leave EFLAGS alone.
  void emit_exchange();
  void emit_exchange_back();
  /// What is emitted next runs in turn `turn`.
  void use_registers_of(u16 turn);

  // memory.cpp
  /// The linear address of `mem` into `to` (LEA: the effective one). Uses kIndex and kAddress; a segment's
  /// base changes EFLAGS.
  void linear_address(const cpu::OperandView::Memory& mem, unsigned address_width, const GuestInsn& g,
                      const Gp& to);
  /// Checks the current instruction's access, unless that has been done, and says where the host finds it;
  /// `address` puts its linear address into a register. May use kIndex, kScratch and EFLAGS, saving flags
  /// that are wanted.
  template <class Address>
  HostPlace access(unsigned bytes, bool write, unsigned alignment, Address address);
  /// The host register with what instruction `index` counts its address from, if its check may leave a
  /// distance in kAddress; so the address is not waited for so long.
  Gp base_for_distance(size_t index) const;
  HostPlace place_by_distance(const Gp& base) const;
  /// Whether the address of `g`, the current instruction, may stay in kIndex until memory is accessed, for
  /// want of a base that has it.
  bool may_keep_linear(const GuestInsn& g) const;
  /// `place` without a base: kAddress becomes the address, and is that of no group any more.
  HostPlace without_base(const HostPlace& place);
  /// Whether `g` cannot access memory by a base.
  static bool needs_address(const GuestInsn& g);
  /// Whether `g` does not use kAddress but for its access.
  bool leaves_address_alone(const GuestInsn& g) const;
  /// Whether kAddress is sure to stay that of group number `number` from its check to its last access.
  bool stays_held(u8 number) const;
  /// The check of group number `number`, before the current instruction.
  void check_group(u8 number, bool keep_eflags);
  /// Lets the check of a group stand before an instruction whose flags would have to be saved for it.
  void hoist_checks();
  bool has_hoisted_check(size_t index) const {
    return std::any_of(groups_.groups.begin(), groups_.groups.end(),
                       [index](const MemoryGroup& g) { return g.is_hoisted_to(index); });
  }
  bool has_hoisted_check_of_another(size_t index, u8 number) const {
    for (u8 n = 0; n < groups_.groups.size(); ++n) {
      if (n != number && groups_.groups[n].is_hoisted_to(index)) return true;
    }
    return false;
  }
  void emit_hoisted_checks();
  /// An access of the same group, a multiple of `alignment` away, has been checked.
  bool known_to_be_aligned(const GroupedAccess& access, unsigned alignment) const {
    return std::any_of(aligned_.begin(), aligned_.end(), [&](const Aligned& a) {
      return a.group == access.group && a.alignment >= alignment &&
             (access.position - a.position) % alignment == 0;
    });
  }
  i32 window(unsigned group) const {
    static_assert(std::extent_v<decltype(cpu::Vcpu::TranslatorSlots::windows)> == kMaxGroups);
    return ORRERY_SLOT(context_.layout, windows) + static_cast<i32>(8 * group);
  }
  /// The entry at `place`, or that of the page of `address`; `temporary` says where it is. Uses EFLAGS.
  EntryOperand find_entry(const PagePlace& place, bool write, const Gp& temporary, const Gp& address);
  /// The guess of `place` into `temporary`: where the entry is, from kState on. The first is any.
  void emit_guess(const PagePlace& place, const Gp& temporary);
  /// The index of the page of `address` in FastCode. Uses EFLAGS.
  void find_code_index(const Gp& index, const Gp& address);
  /// Whether instruction `index` of a loop may well access the page that it accessed the turn before.
  bool turn_stays_in_page(size_t index) const;
  /// Whether its read, or write, may well access the page that it accessed last time.
  bool stays_in_page(size_t index, bool write) const;
  /// Where the read, or write, of instruction `index` looks for its page.
  PagePlace page_place(size_t index, bool write);
  void check_alignment(const Gp& address, unsigned alignment, const asmjit::Label& miss);
  /// Checks `bytes` at kAddress against the quick TLB and makes it a host address; what does not pass goes to
  /// `miss`. Uses kIndex, kScratch and EFLAGS. The access is the current instruction's, or that of `index`.
  void check_access(unsigned bytes, bool write, unsigned alignment, const asmjit::Label& miss) {
    check_access_of(current_, bytes, write, alignment, miss);
  }
  void check_access_of(size_t index, unsigned bytes, bool write, unsigned alignment,
                       const asmjit::Label& miss);
  /// The same for `bytes` at `base` plus `displacement`: kAddress becomes the distance from there to the
  /// host.
  void check_by_distance(size_t index, const Gp& base, i32 displacement, unsigned bytes, bool write,
                         unsigned alignment, const asmjit::Label& miss);
  /// The same for what is at kIndex, which stays there. Uses kScratch, too.
  void check_at_index(unsigned bytes, bool write, unsigned alignment, const asmjit::Label& miss);
  /// Of both. `linear` is lost: kIndex, or a copy of it.
  void load_distance(const Gp& linear, const PagePlace& place, const EntryOperand& entry, unsigned bytes,
                     bool write, unsigned alignment, const asmjit::Label& miss);
  /// Of `label`: the site whose entry it is, or kNoSite.
  size_t site_of(const asmjit::Label& label) const {
    return has_site() && sites_.back().entry.id() == label.id() ? sites_.size() - 1 : kNoSite;
  }
  /// `falls_through`: its `miss` comes next.
  void emit_refill(const Refill& r, bool falls_through = false);
  /// Whether EFLAGS ought to survive the check of the current instruction's access: an instruction behind it,
  /// or itself, looks at them, and they could only be saved plain.
  bool keeps_eflags() const;
  /// check_access that leaves EFLAGS as they are; at `miss` the image has them. Uses kIndex, kScratch and
  /// `kept`.
  void check_keeping_eflags(unsigned bytes, bool write, const asmjit::Label& miss);
  /// A way out of the current instruction to which check_keeping_eflags may go.
  asmjit::Label site_for_image() {
    const Flags flags = std::exchange(flags_, Flags::kImage);
    const asmjit::Label entry = site(true);
    flags_ = flags;
    return entry;
  }

  // rewrite.cpp
  void rewrite(const GuestInsn& g);
  /// Keeps what keeps_for_flags says, before `g` runs; whether that has run `g` as well.
  bool keep_for_flags(const GuestInsn& g, const HostPlace& place);
  /// The same behind `g`.
  void keep_what_was_stored(const GuestInsn& g, const HostPlace& place);
  void load_effective_address(const GuestInsn& g);
  /// The live constant of `g` into kScratch, as `bytes` bytes.
  void read_constant(const GuestInsn& g, unsigned bytes);
  void load_guest(const Gp& host, u8 guest) { a_.mov(host, asmjit::x86::qword_ptr(kState, 8 * guest)); }
  /// The host register that has the guest's, or `temporary`, which it is loaded into.
  Gp value_of(u8 guest, const Gp& temporary) {
    if (host_of(guest) != kNoHost) return gp(host_of(guest), 8);
    load_guest(temporary, guest);
    return temporary;
  }
  u8 host_of(u8 guest) const { return host_of_[guest]; }
  /// Whether `o` is a general register that lives in the state.
  bool lives_in_state(const cpu::OperandView& o) const;
  unsigned operand_in_state(const GuestInsn& g) const;
  /// Whether `g` has as many operands that live in the state as there are temporaries.
  bool has_three_in_state(const GuestInsn& g) const {
    return std::count_if(g.operands, g.operands + g.z.operand_count,
                         [this](const auto& o) { return lives_in_state(o); }) > 2;
  }
  void store_guest(u8 guest, const Gp& host) { a_.mov(asmjit::x86::qword_ptr(kState, 8 * guest), host); }

  // branch.cpp
  void emit_branch(const GuestInsn& g);
  void conditional_jump(const GuestInsn& g);
  void jump_by_count(const GuestInsn& g);
  void leave_by_handler(PendingLink& link);
  void final_jump(const GuestInsn& g, u64 target);
  void jump_indirect(const GuestInsn& g, bool call);
  void ret(const GuestInsn& g);
  /// Behind a host's call, whose return address predicts the guest's: where the return of the guest's call
  /// `g` lands, most likely from this page if that is where the call went.
  void land(const GuestInsn& g, bool from_this_page);
  void call_relative(const GuestInsn& g, u64 target);
  /// Ends the block with a link.
  void leave_to(u64 target);
  void push_constant(u64 value);
  /// Pushes the guest's return address `back`: into `slot` of its stack, and onto the host's, if `land` will
  /// look at it.
  void push_for_call(const asmjit::x86::Mem& slot, const Gp& back);
  /// Where the host address of the stack's slot waits while an indirect call looks for its target.
  asmjit::x86::Mem call_slot() const { return asmjit::x86::qword_ptr(kState, 8 * cpu::kRip); }
  /// Into kIndex: how the block's last instruction leaves if its target is not canonical.
  void set_bad_target(ExitKind kind);
  /// Where `g`, an indirect jump or call, has its target in memory, checked. Uses all temporaries and EFLAGS.
  HostPlace target_in_memory(const GuestInsn& g, const asmjit::Label& miss);
  /// A register or checked memory operand into kAddress.
  void load_target(const GuestInsn& g, const asmjit::Label& miss);

  // stack.cpp
  void emit_stack(const GuestInsn& g);
  Gp word(const Gp& reg) const { return gp(reg.id(), word_); }
  /// The address of the stack's next slot.
  void slot_below(const Gp& to) {
    a_.lea(word(to), asmjit::x86::ptr(gp(kHostOf[cpu::kRsp], 8), -static_cast<i32>(word_)));
  }
  /// Moves the guest's RSP on: at once, or when the next instruction looks at it.
  void move_stack(i32 by) {
    stack_moves_ += by;
    if (!delays_stack_) settle_stack();
  }
  /// Brings RSP to where the instructions before have moved it.
  void settle_stack() { emit_stack_moves(std::exchange(stack_moves_, 0)); }
  /// Leaves EFLAGS alone.
  void emit_stack_moves(i32 by) {
    const Gp sp = gp(kHostOf[cpu::kRsp], 8);
    if (by != 0) a_.lea(word(sp), asmjit::x86::ptr(sp, by));
  }
  /// Whether `g`, the current instruction, is a push or pop behind whose handler the block is left, so that
  /// RSP may move on later.
  bool is_grouped_push_or_pop(const GuestInsn& g) const;
  /// Whether `g`, the current instruction, may run while RSP has still to be moved on: it does not look at it
  /// but for accesses that a check before has cleared, and whoever leaves the block there moves it first.
  bool leaves_stack_alone(const GuestInsn& g) const;
  /// By how much `g` moves RSP, if that is all that anybody notices of it.
  std::optional<i32> mere_stack_move(const GuestInsn& g) const;
  void push(const GuestInsn& g);
  void pop(const GuestInsn& g);
  void leave();

  // system.cpp
  void emit_system(const GuestInsn& g);
  void push_flags();
  void set_interrupt_flag(const GuestInsn& g);
  void read_register(const GuestInsn& g);
  void read_time_stamp(const GuestInsn& g);
  void change_view(const GuestInsn& g);

  // string.cpp
  void string(const GuestInsn& g);
  void load_string(unsigned bytes, const asmjit::Label& miss);
  /// The host address of the element at `pointer` into kAddress; it and, if repeated, all others are
  /// accessible. Then kScratch has their bytes. Uses kIndex and EFLAGS.
  void check_string(bool write, unsigned bytes, bool repeated, const Gp& pointer, const asmjit::Label& miss);

  // bit_string.cpp
  void bit_string(const GuestInsn& g);

  // divide.cpp
  void divide(const GuestInsn& g);

  // x87.cpp
  void x87(const GuestInsn& g);
  /// The guest's x87 state into the host's, if it may not be there. Uses temporaries and EFLAGS, saving flags
  /// that are wanted.
  void need_x87();
  void call_load_x87() { a_.call(address_of(context_.stubs.load_x87)); }
  /// Before `g`: stores the pointers if `g` may leave the block in line, or loses what they are made of. Side
  /// exits store them.
  void keep_x87_pointers(const GuestInsn& g);
  void flush_x87_pointers() {
    store_x87_pointers(x87_pointers_);
    x87_pointers_ = {};
  }
  /// Leaves EFLAGS alone. Uses the temporaries.
  void store_x87_pointers(const X87Pointers& pointers);

  const EmitterContext& context_;
  asmjit::x86::Assembler& a_;
  const Request request_;
  const unsigned view_;  // of the block's privilege
  const unsigned word_;  // bytes of a pointer and of a stack slot: 8, or 4 in 32-bit code
  std::span<GuestInsn> insns_;
  EmittedBlock& out_;
  std::vector<FlagFacts> facts_;
  size_t current_ = 0;
  Flags flags_ = Flags::kImage;
  /// AF is 1, whatever EFLAGS say, behind a shift on a host that clears it (host_profile.h).
  bool af_is_set_ = false;
  /// What the image is known to be: plain, or deferred by this instruction; else kNoProducer.
  size_t image_ = kNoProducer;
  size_t producer_ = kNoProducer;  // the last instruction that set flags, if it set all, or a JNZ behind it
  u32 saved_registers_ = 0;        // of its operands: these are in flags_operands as it had them
  u64 kept_ = 0;                   // bit n: instruction n, one with keeps_for_flags, has been emitted
  std::vector<PendingSite> sites_;
  std::vector<PendingLink> links_;
  std::vector<u32> starts_;
  MemoryGroups groups_;
  std::vector<Aligned> aligned_;
  u8 held_group_ = GroupedAccess::kNoGroup;   // whose host address, or distance, is in kAddress
  u32 kept_windows_ = 0;                      // bit n: and in window(n)
  u32 by_distance_ = 0;                       // bit n: it is the distance for group n
  X87Pointers x87_pointers_, loop_pointers_;  // now; at a loop's jump back
  bool x87_loaded_ = false;
  asmjit::Label unknown_;                 // when an indirect jump's target is not in the table
  std::optional<CallSlot> unknown_call_;  // that jump is a call
  asmjit::Label found_return_;            // where the host's return from the block's call goes on
  asmjit::Label lost_;                    // when the return from it leads elsewhere
  asmjit::Label moved_, returned_;        // when the return from it leads to another mapping of this page
  std::vector<bool> steady_addresses_;    // of a loop, by instruction
  size_t loop_producer_ = kNoProducer;  // whose flags the last jump, back to the first instruction, looks at
  asmjit::Label loop_entry_, loop_head_, loop_budget_;
  struct Exchange {
    u8 in, out;
  };
  std::vector<Exchange> exchanges_;  // of a loop's later turns
  std::array<u8, 16> host_of_ = std::to_array(kHostOf);
  std::vector<Refill> refills_;
  size_t refilled_ = 0;  // those before it have been emitted, but for those that belong to no site
  std::vector<CodeFill> code_fills_;
  u16 turn_ = 0;   // of the second version, from 1 on, while that is emitted ...
  u16 turns_ = 0;  // ... of so many
  asmjit::Label next_turn_;
  i32 stack_moves_ = 0;        // by how much RSP has still to be moved on
  bool delays_stack_ = false;  // the current instruction leaves that to the next
  bool ended_ = false;         // the last instruction has left the block
  bool failed_ = false;        // AsmJit refused an instruction
};

template <class Address>
BlockEmitter::HostPlace BlockEmitter::access(unsigned bytes, bool write, unsigned alignment,
                                             Address address) {
  const GroupedAccess& grouped = groups_.accesses[current_];
  if (grouped.group == GroupedAccess::kNoGroup) {
    held_group_ = GroupedAccess::kNoGroup;
    if (alignment == 1 && keeps_eflags()) {
      address(kAddress);
      check_keeping_eflags(bytes, write, site_for_image());
      return {};
    }
    before_check();
    HostPlace place;
    if (const Gp base = base_for_distance(current_); base.isValid() && !needs_address(insns_[current_])) {
      check_by_distance(current_, base, static_cast<i32>(grouped.displacement), bytes, write, alignment,
                        site(true));
      place = place_by_distance(base);
    } else if (may_keep_linear(insns_[current_])) {
      address(kIndex);
      check_at_index(bytes, write, alignment, site(true));
      place.base = kIndex;
    } else {
      address(kAddress);
      check_access(bytes, write, alignment, site(true));
    }
    after_check();
    return place;
  }
  const MemoryGroup& group = groups_.groups[grouped.group];
  if (group.check == current_) {
    const bool keep = keeps_eflags();
    if (!keep) before_check();
    check_group(grouped.group, keep);
    if (!keep) after_check();
  } else if (held_group_ != grouped.group) {
    DCHECK((kept_windows_ >> grouped.group & 1) != 0);
    if ((kept_windows_ >> grouped.group & 1) == 0) failed_ = true;  // then its handler runs
    a_.mov(kAddress, asmjit::x86::qword_ptr(kState, window(grouped.group)));
  }
  held_group_ = grouped.group;
  const bool by_distance = (by_distance_ >> grouped.group & 1) != 0;
  const HostPlace place = by_distance ? place_by_distance(gp(host_of(grouped.base), 8))
                                      : HostPlace{.offset = static_cast<i32>(grouped.position - group.low)};
  if (alignment > 1 && !known_to_be_aligned(grouped, alignment)) {
    before_check();
    const bool as_it_is = !by_distance && place.offset % static_cast<i32>(alignment) == 0;
    const Gp low = as_it_is ? kAddress : kIndex;
    if (!as_it_is) a_.lea(low, place.of(bytes));
    check_alignment(low, alignment, site(true));
    after_check();
    aligned_.push_back({grouped.group, grouped.position, alignment});
  }
  return by_distance && needs_address(insns_[current_]) ? without_base(place) : place;
}

/// Whether `g` runs natively, but for its operands: x87 by Plan::kX87, MMX by Plan::kRewrite.
bool x87_is_native(const EmitterContext& context, u32 key, const GuestInsn& g);
bool mmx_is_native(const EmitterContext& context, u32 key, const GuestInsn& g);
bool string_is_native(const GuestInsn& g);
bool is_bit_string(const GuestInsn& g);
/// Where the state has a control register that reads as it is there, from kState on.
std::optional<i32> control_register_at(ZydisRegister reg);
/// How `g` is translated in a block with this key.
Plan make_plan(const EmitterContext& context, u32 key, const GuestInsn& g);
/// Flags that `g`, run natively, leaves otherwise than the profile: if somebody looks at them, its handler
/// has to run.
u64 flags_left_to_handler(const HostProfile& host, const GuestInsn& g);
/// The memory operand that `g` accesses, or null.
const cpu::OperandView* memory_operand(const GuestInsn& g);
/// What the access of `g`, `bytes` long, must be aligned to to run natively.
unsigned required_alignment(const GuestInsn& g, unsigned bytes);
/// AsmJit's instruction for a Zydis mnemonic; 0 if there is none.
u32 host_instruction(ZydisMnemonic mnemonic);

}  // namespace orrery::jit::x64
