// Vcpu: one logical processor: its state, its view of memory, and what its surroundings give it.
//
// Instruction handlers (cpu/exec/) reach everything through this class. A memory access that faults returns
// false with `fault()` set; the handler then returns Outcome::kFault and must not have changed anything.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "base/entropy.h"
#include "base/event_queue.h"
#include "base/irq_line.h"
#include "cpu/cpuid/model.h"
#include "cpu/insn.h"
#include "cpu/paging/tlb.h"
#include "cpu/state.h"
#include "memory/address_space.h"

namespace orrery::cpu {

class LocalApic;
class DecodeCache;

enum class Access : u8 { kRead, kWrite, kExecute };

/// Whose rights a linear access uses.
enum class Privilege : u8 {
  kCurrent,   // explicit: CPL, with RFLAGS.AC for SMAP
  kImplicit,  // implicit supervisor (descriptor tables, TSS): SMAP applies whatever AC says [SDM3 4.6]
  kUser,      // as CPL 3 (stack of a ring-3 far return)
};

/// The machine around a vCPU; all outlive it.
struct VcpuServices {
  memory::Ram& ram;
  memory::AddressSpace& memory;
  memory::AddressSpace& ports;
  EventQueue& events;
  Entropy& entropy;
  DecodeCache& decode_cache;
  const CpuModel& model;
  u64 tsc_hz = 0;
  u32 cpu_count = 1;
  u64 wall_clock_base = 0;  // seconds since 1970 at virtual time 0
};

/// A memory destination translated for writing before anything changes.
struct WriteTarget {
  u8* host = nullptr;  // null: commit through the slow path
  u64 linear = 0;
};

class Vcpu final : public memory::FrameListener, public memory::MapListener {
 public:
  Vcpu(u32 id, const VcpuServices& services);
  ~Vcpu() override;
  /// A vCPU is six megabytes of tables, looked at all over.
  static void* operator new(size_t bytes);
  static void operator delete(void* at, size_t bytes);
  Vcpu(const Vcpu&) = delete;
  Vcpu& operator=(const Vcpu&) = delete;

  /// A translator's table of indirect targets, which translated code reads and fills.
  struct JumpTable {
    static constexpr unsigned kEntries = 32768;
    std::array<u64, kEntries> place{};  // the translator's name for where an entry leads from; 0: nowhere
    std::array<u64, kEntries> code{};
    std::array<u32, kEntries> block{};
    /// Where linear addresses lead in one privilege view. All of it holds for one FastBank::code_generation
    /// and one key of the translator's: who enters translated code looks whether they are the same.
    struct Targets {
      struct Target {
        u64 linear;  // of an entry without a target: one that stands elsewhere
        u64 code;
      };
      static constexpr unsigned kEntries = 16384;
      /// Where `linear` stands, in bytes. What is called lies at multiples of 16 mostly.
      static constexpr u32 kPlaceMask = (kEntries - 1) * sizeof(Target);
      static constexpr u32 place_of(u64 linear) { return static_cast<u32>(linear) & kPlaceMask; }
      static constexpr u32 index_of(u64 linear) { return place_of(linear) / u32{sizeof(Target)}; }
      static constexpr u64 nowhere(u32 index) { return index == 0 ? sizeof(Target) : 0; }
      static constexpr unsigned kNoted = 4096;
      Targets() { entries[0].linear = nowhere(0); }
      void forget(u32 index) { entries[index].linear = nowhere(index); }
      void clear();

      std::array<Target, kEntries> entries{};
      /// The places of the entries that were put in, while they fit.
      std::array<u32, kNoted> noted{};
      u64 note_count = 0;
      u64 generation = 0;
      u64 key = 0;
    };
    std::array<Targets, 3> targets;
  } jump_table;
  /// FXSAVE's image or FLDENV's, for the x87 state on its way between guest and host.
  alignas(16) u8 x87_image[512]{};
  /// What a translator keeps at a fixed distance from `state`. Not part of the machine's state. What
  /// translated code uses most stands last: together with `ticks_left` it is within reach of an 8-bit
  /// displacement.
  struct TranslatorSlots {
    u64 code_to_writable = 0;                     // from where translated code runs to where it is written
    u64 page_bits = ~u64{4095};                   // for PEXT: the bits of an address that name its page,
    u64 index_bits = FastView::kIndexMask << 12;  // and those that make its index in the quick TLB
    u64 entry = 0;                                // where translated code is entered
    u64 engine = 0;                               // the translator and ...
    u64 run_site = 0;                             // ... its functions: run an instruction's handler,
    u64 fill_read = 0;                            // fill the quick TLB for a read,
    u64 fill_write = 0;                           // for a write,
    u64 fill_code = 0;                            // for a page of code,
    u64 find_target = 0;                          // put an indirect target into the jump table,
    u64 read_time_stamp = 0;                      // and read the time stamp counter ...
    u64 time_stamp = 0;                           // ... into this
    u64 kept[2] = {};                             // registers of the stubs that call them, and of checks
    u64 displaced[4] = {};      // guest registers that a loop has no use for while another has their place
    u64 underflow = 0;          // where a return leads that has no call
    u64 native_stack = 0;       // the host's stack pointer when translated code was entered
    u64 interrupt_waiting = 0;  // for RFLAGS.IF
    u64 kept_operand = 0;       // what a loop's last comparison read from memory
    u64 return_stack = 0;       // behind the stack for return addresses of translated calls
    u32 host_mxcsr = 0;
    u16 host_fcw = 0;
    // The bits of an address that make its index: times the size of an entry, and for PEXT.
    u64 index_mask = FastView::kIndexMask * sizeof(FastView::Entry);
    u64 code_index_bits = FastCode::kIndexMask << 12;
    u64 x87_loaded = 0;      // the guest's x87 state, but for its pointers, is in the host's
    u64 bad_target = 0;      // how a jump or return leaves whose target is not canonical
    u64 code_page = 0;       // linear address of the page that the running block lies in
    u64 vectors_loaded = 0;  // the guest's vector registers and MXCSR are in the host's
    u64 windows[6] = {};  // host addresses, or distances, of what one check has cleared for several accesses
    // The arithmetic flags, as jit/flags_image.h has them.
    u64 flags_image = 0;
    u64 flags_operands[2] = {};
  };
  alignas(32) TranslatorSlots translator;
  /// Ticks until the engine must come back; counted down by one per retired instruction. The timeline reads
  /// it.
  i64 ticks_left = 0;
  CpuState state;

  u32 id() const { return id_; }
  const CpuModel& model() const { return services_.model; }
  const VcpuServices& services() const { return services_; }
  LocalApic& apic() { return *apic_; }
  const LocalApic& apic() const { return *apic_; }
  bool is_bsp() const { return id_ == 0; }

  // ---- Modes, derived from the state by `mode_changed` ----
  bool long64() const { return long64_; }  // 64-bit code segment
  bool long_mode() const { return (state.efer & efer::LMA) != 0; }
  bool protected_mode() const { return (state.cr0 & cr0::PE) != 0; }
  bool vm86() const { return (state.rflags & rflags::VM) != 0; }
  bool real_mode() const { return !protected_mode(); }
  unsigned code_bits() const { return code_bits_; }  // 16, 32 or 64
  unsigned cpl() const { return state.cpl; }
  unsigned iopl() const { return static_cast<unsigned>((state.rflags & rflags::IOPL) >> rflags::kIoplShift); }
  /// The base that addresses through `segment` get: in 64-bit mode that of FS and GS only.
  u64 segment_base(SegmentIndex segment) const {
    return long64_ ? flat_base_[segment] : state.seg[segment].base;
  }
  /// After any change of CR0, CR3's mode, CR4, EFER, CS, SS, XCR0, CPL, RFLAGS.AC or RFLAGS.VM.
  void mode_changed();
  /// The part of a trace's key that follows from the mode (see DecodeCache).
  u32 decode_key() const { return decode_key_; }

  // ---- Faults ----
  /// Records a fault and says so; handlers end with `return cpu.raise(kUD)`.
  Outcome raise(Vector vector) {
    fault_ = Fault{.vector = vector};
    return Outcome::kFault;
  }
  Outcome raise(Vector vector, u32 error_code) {
    fault_ = Fault{.vector = vector, .has_error_code = true, .error_code = error_code};
    return Outcome::kFault;
  }
  Outcome raise(const Fault& fault) {
    fault_ = fault;
    return Outcome::kFault;
  }
  const Fault& fault() const { return fault_; }

  // ---- Registers ----
  template <class T>
  T reg(u8 number) const {
    if constexpr (sizeof(T) == 1) {
      return static_cast<T>(reinterpret_cast<const u8*>(state.gpr)[number]);
    } else {
      return static_cast<T>(state.gpr[number]);
    }
  }
  /// A 32-bit write clears the upper half; narrower ones keep the rest. 8-bit `number` is a byte offset.
  template <class T>
  void set_reg(u8 number, T value) {
    if constexpr (sizeof(T) == 1) {
      reinterpret_cast<u8*>(state.gpr)[number] = static_cast<u8>(value);
    } else if constexpr (sizeof(T) == 2) {
      state.gpr[number] = (state.gpr[number] & ~u64{0xffff}) | static_cast<u16>(value);
    } else if constexpr (sizeof(T) == 4) {
      state.gpr[number] = static_cast<u32>(value);
    } else {
      state.gpr[number] = static_cast<u64>(value);
    }
  }

  // ---- Memory operands ----
  u64 effective_address(const Insn& insn) const {
    return (state.gpr[insn.base] + (state.gpr[insn.index] << insn.scale_shift()) +
            static_cast<u64>(i64{insn.disp})) &
           insn.address_mask();
  }
  template <class T>
  bool read(const Insn& insn, T& out) {
    return read(insn.segment(), effective_address(insn), out);
  }
  template <class T>
  bool write(const Insn& insn, const T& value) {
    return write(insn.segment(), effective_address(insn), value);
  }
  template <class T>
  bool read(SegmentIndex segment, u64 offset, T& out) {
    u64 linear = offset + flat_base_[segment];
    if (!long64_ && !segment_linear(segment, offset, sizeof(T), Access::kRead, linear)) return false;
    const unsigned i = FastBank::index_of(linear);
    const u64 in_page = linear - view_->entries[i].read.page;
    if (in_page <= 4096 - sizeof(T)) [[likely]] {
      __builtin_memcpy(&out, reinterpret_cast<const u8*>(linear + view_->entries[i].read.distance),
                       sizeof(T));
      return true;
    }
    return read_slow(segment, linear, &out, sizeof(T));
  }
  template <class T>
  bool write(SegmentIndex segment, u64 offset, const T& value) {
    u64 linear = offset + flat_base_[segment];
    if (!long64_ && !segment_linear(segment, offset, sizeof(T), Access::kWrite, linear)) return false;
    const unsigned i = FastBank::index_of(linear);
    const u64 in_page = linear - view_->entries[i].write.page;
    if (in_page <= 4096 - sizeof(T)) [[likely]] {
      __builtin_memcpy(reinterpret_cast<u8*>(linear + view_->entries[i].write.distance), &value, sizeof(T));
      return true;
    }
    return write_slow(segment, linear, &value, sizeof(T));
  }
  /// Reads a destination that will be written: faults as a write. `commit` cannot fail.
  template <class T>
  bool read_for_write(const Insn& insn, T& old, WriteTarget& target) {
    return read_for_write(insn.segment(), effective_address(insn), old, target);
  }
  template <class T>
  bool read_for_write(SegmentIndex segment, u64 offset, T& old, WriteTarget& target) {
    u64 linear = offset + flat_base_[segment];
    if (!long64_ && !segment_linear(segment, offset, sizeof(T), Access::kWrite, linear)) return false;
    const unsigned i = FastBank::index_of(linear);
    const u64 in_page = linear - view_->entries[i].write.page;
    target.linear = linear;
    if (in_page <= 4096 - sizeof(T)) [[likely]] {
      target.host = reinterpret_cast<u8*>(linear + view_->entries[i].write.distance);
      __builtin_memcpy(&old, target.host, sizeof(T));
      return true;
    }
    target.host = nullptr;
    return read_for_write_slow(segment, linear, &old, sizeof(T));
  }
  template <class T>
  void commit(const WriteTarget& target, const T& value) {
    if (target.host != nullptr) [[likely]] {
      __builtin_memcpy(target.host, &value, sizeof(T));
    } else {
      commit_slow(target.linear, &value, sizeof(T));
    }
  }
  /// Host address of `bytes` (up to a page) at `linear`, if the quick TLB lets all of them through; else
  /// null.
  u8* quick_host(u64 linear, u64 bytes, Access access) {
    const FastView::Entry& entry = view_->entries[FastBank::index_of(linear)];
    const FastView::Mapping& mapping = access == Access::kWrite ? entry.write : entry.read;
    return linear - mapping.page <= 4096 - bytes ? reinterpret_cast<u8*>(linear + mapping.distance) : nullptr;
  }
  /// Checks that `size` bytes at segment:offset can be written, raising what a write would; changes A/D bits
  /// only.
  bool probe_write(SegmentIndex segment, u64 offset, unsigned size);
  /// Byte-granular forms for operands of other sizes (10-byte x87, XSAVE areas: `size` up to 4096).
  bool read_bytes(SegmentIndex segment, u64 offset, void* out, unsigned size);
  bool write_bytes(SegmentIndex segment, u64 offset, const void* data, unsigned size);

  /// SSE's alignment rule: #GP(0) unless 16- (or 32-) byte aligned. Linear address counts.
  bool check_aligned(const Insn& insn, unsigned alignment) {
    const u64 linear = effective_address(insn) + segment_base(insn.segment());
    if ((linear & (alignment - 1)) == 0) [[likely]]
      return true;
    raise(kGP, 0);
    return false;
  }

  /// Misaligned operands raise #AC: RFLAGS.AC, CR0.AM and CPL 3. [SDM3 6.15]
  bool alignment_checked() const { return fill_bank_ == nullptr; }

  /// System accesses by linear address with a privilege of their own. [SDM3 4.6.1]
  template <class T>
  bool read_linear(u64 linear, T& out, Privilege privilege) {
    return read_linear_bytes(linear, &out, sizeof(T), privilege);
  }
  template <class T>
  bool write_linear(u64 linear, const T& value, Privilege privilege) {
    return write_linear_bytes(linear, &value, sizeof(T), privilege);
  }
  bool read_linear_bytes(u64 linear, void* out, unsigned size, Privilege privilege);
  bool write_linear_bytes(u64 linear, const void* data, unsigned size, Privilege privilege);

  /// Segmentation of legacy modes and the canonical check are in these; see paging/mmu.cpp.
  bool segment_linear(SegmentIndex segment, u64 offset, u64 size, Access access, u64& linear);
  bool canonical(u64 address) const {
    return static_cast<u64>(sign_extend(address, canonical_bits_)) == address;
  }

  /// What segment and table bases and MSRs may hold: the widest address that the CPU has, whatever CR4.LA57
  /// says.
  bool canonical_base(u64 address) const {
    return static_cast<u64>(sign_extend(address, model().linear_address_bits)) == address;
  }

  // ---- Paging ----
  /// Translates or raises. `*entry`, if wanted, is the architectural TLB entry used (null without paging).
  bool translate(u64 linear, Access access, Privilege privilege, u64& physical, TlbEntry** entry = nullptr);
  /// Without faults, A/D updates or TLB fills; for debuggers.
  bool translate_quietly(u64 linear, u64& physical) const;
  void flush_tlb_page(u64 linear);
  void flush_tlb_all();         // global entries too
  void flush_tlb_non_global();  // MOV CR3
  void flush_tlb_pcid(u16 pcid);
  void flush_tlb_page_pcid(u64 linear, u16 pcid);
  /// WRPKRU and XRSTOR: what the quick TLB allows by keys whose rights change goes.
  void set_pkru(u32 value);
  /// Drops everything derived from the architectural TLB.
  void flush_fast();
  /// The same, but for global pages.
  void flush_fast_non_global();
  /// Loads the PAE page-directory pointers from CR3; raises #GP(0) on reserved bits. [SDM3 4.4.1]
  bool load_pdptes(u64 cr3);
  u16 current_pcid() const {
    return (state.cr4 & cr4::PCIDE) != 0 ? static_cast<u16>(state.cr3 & cr3::kPcidMask) : u16{0};
  }

  // ---- Fetch ----
  /// Host address of the code byte at `linear`, or null: faulting (raised) or not RAM (`*from_io` set).
  const u8* fetch_host(u64 linear, bool* from_io);
  /// Fills the quick TLB for data or code from the architectural one, without a walk. Whether it lets
  /// accesses to the page through now and did not before.
  bool quick_fill(u64 linear, Access access);
  bool quick_fill_code(u64 page);
  /// Host address of the code byte at `linear` if the quick TLB has its page; else null.
  static constexpr u64 kLastPageOf4GiB = 0xfffff000;
  const u8* quick_code_host(u64 linear) {
    if (fill_bank_ == nullptr) return nullptr;
    const u64 in_page = linear % memory::kPageBytes;
    const u64 frame = fill_bank_->code().frame_of(linear - in_page);
    if (frame >= FastCode::kFrames) return nullptr;
    return services_.ram.data() + frame * memory::kPageBytes + in_page;
  }
  /// The quick TLB bank of the current privilege view, 0 to 2; 3 when there is none (alignment checks).
  unsigned view_index() const {
    return fill_bank_ == nullptr ? 3 : static_cast<unsigned>(fill_bank_ - banks_);
  }
  /// FastBank's, of privilege view `view`, 0 to 2.
  u64 code_generation(unsigned view) const { return banks_[view].code_generation(); }
  /// Distances from `state`, in bytes, that translated code uses; the same for every Vcpu.
  struct Layout {
    i32 ticks_left, translator, x87_image, flat_bases, view, fill_bank, banks[3], views[3], codes[3],
        recent_pages[3], recent_used[3], refused_pages[3], jump_table;
  };
  Layout layout();
  DecodeCache& decode_cache() { return services_.decode_cache; }

  // ---- Time and attention ----
  Tick now_tick() const { return services_.events.clock().tick(); }
  /// The guest's TSC without TSC_OFFSET adjustments by virtualization.
  u64 read_tsc() const;
  /// Makes the engine look at interrupts, shadows and stops before the next instruction.
  void set_attention() {
    attention_ = true;
    trace_stale |= kTraceLost;
  }
  bool attention() const { return attention_; }
  void clear_attention() { attention_ = false; }
  /// Ends the slice after the running instruction, so that the machine can act.
  void end_slice_soon();
  /// This vCPU gives up the rest of its quantum (PAUSE, HLT, MWAIT).
  bool yield_requested = false;
  /// Leave the running trace after this instruction: attention is wanted or its page is no longer in the TLB
  /// (kTraceLost), or code has been written, this or other. So every engine acts at the same instruction.
  static constexpr u8 kTraceLost = 1, kCodeWritten = 2;
  u8 trace_stale = 0;

  // ---- Interrupt inputs ----
  void set_nmi();
  void set_init();
  void set_sipi(u8 vector);
  /// The 8259's INTR wire.
  void set_extint(bool level);
  bool extint() const { return extint_; }
  /// A message of delivery mode ExtINT: one external interrupt whose vector the 8259 has [SDM3 10.6.1].
  void post_extint();
  bool extint_posted() const { return extint_posted_; }
  void take_posted_extint() { extint_posted_ = false; }
  /// IGNNE# changes.
  void set_ignne(bool level) { state.ignne = level; }
  /// Where FERR# goes.
  void set_ferr_line(IrqLine line) { ferr_line_ = line; }
  /// A waiting instruction met an x87 error with CR0.NE clear: FERR# rises, and the processor stops before
  /// the instruction until an interrupt. [SDM1 D.2.1]
  void report_ferr();
  /// Lowers FERR# once no error is pending any more.
  void update_ferr() {
    if (state.ferr && (state.fsw & fsw::ES) == 0) lower_ferr();
  }
  void set_interrupt_acknowledge(InterruptAcknowledge& source) { acknowledge_ = &source; }
  InterruptAcknowledge* interrupt_acknowledge() { return acknowledge_; }
  /// Something could be taken right now: wakes a halted vCPU. Does not look at shadows.
  bool has_wake_event() const;
  /// An interrupt would be taken if RFLAGS.IF were set and no shadow held it back.
  bool interrupt_waiting() const;

  /// RFLAGS have been loaded, or NMIs unblocked: attention, if there is something now to attend to.
  void flags_loaded();

  /// MONITOR: watches the line of `physical` for stores of any vCPU or device, until one comes or an event is
  /// taken.
  void arm_monitor(u64 physical);

  /// Power-on or INIT [SDM3 9.1.1].
  void reset(bool init);

  /// A triple fault or another shutdown condition; the machine resets or stops.
  bool shutdown() const { return state.activity == Activity::kShutdown; }

  // ---- Debugger ----
  struct Watch {
    u64 address;
    u64 length;
    bool on_read;
    bool on_write;
  };
  std::vector<u64> breakpoints;  // sorted
  std::vector<Watch> watches;
  bool watch_hit = false;
  u64 watch_address = 0;
  /// Breakpoints or watches changed: quick paths are rebuilt.
  void debug_points_changed();
  bool debugging() const { return !breakpoints.empty() || !watches.empty(); }

  // ---- Triple-fault report ----
  struct FaultRecord {
    Tick tick;
    Fault fault;
    u64 rip;
    u64 rsp;
    u64 cr2;
    u16 cs;
  };
  /// The last exceptions taken, oldest first.
  std::vector<FaultRecord> recent_faults() const;
  void record_fault(const Fault& fault);
  /// Where the last runs of instructions began, oldest first: for reports, not part of the state.
  void note_branch_target() { branch_targets_[branch_count_++ % kBranchTargets] = state.gpr[kRip]; }
  std::vector<u64> recent_branch_targets() const;
  /// Why delivery of the last exception failed, one line.
  std::string delivery_failure;

  void visit_state(StateVisitor& v);

  // memory::FrameListener, memory::MapListener
  void frame_guarded(memory::Frame frame) override;
  void code_written(memory::Frame frame, u64 offset, u64 size) override;
  bool monitored_written(memory::Frame frame, u64 offset, u64 size) override;
  void map_changed() override;

 private:
  bool read_slow(SegmentIndex segment, u64 linear, void* out, unsigned size);
  bool write_slow(SegmentIndex segment, u64 linear, const void* data, unsigned size);
  bool read_for_write_slow(SegmentIndex segment, u64 linear, void* out, unsigned size);
  void commit_slow(u64 linear, const void* data, unsigned size);
  bool access_checks(SegmentIndex segment, u64 linear, unsigned size);
  /// Linear addresses of programs outside 64-bit mode have 32 bits, and go round. [SDM3 3.3]
  u64 wrapped(u64 linear) const { return long64_ ? linear : linear & 0xffffffffu; }
  /// The same for system structures, which have 64 in all of long mode; there they must be canonical.
  bool system_linear(u64& linear, unsigned size);
  void fill_fast(u64 linear, u64 physical, const TlbEntry* entry);
  void physical_read(u64 physical, void* out, unsigned size);
  void physical_write(u64 physical, const void* data, unsigned size);
  /// Whether DR0..DR3 watch data in this page: its accesses stay on the slow path.
  bool data_breakpoint_in(u64 page) const;
  void lower_ferr();
  bool watching() const { return !watches.empty() || (state.dr7 & dr7::kEnableMask) != 0; }
  void note_watch(u64 linear, unsigned size, Access access);
  bool walk(u64 linear, Access access, Privilege privilege, TlbEntry& result);
  bool page_fault(u64 linear, Access access, Privilege privilege, u32 bits);
  bool is_apic_page(u64 physical) const;
  bool allowed(const TlbEntry& entry, Access access, Privilege privilege) const;
  /// The same without a walk: a first write has to set the dirty bit.
  bool allowed_at_once(const TlbEntry& entry, Access access, Privilege privilege) const {
    return allowed(entry, access, privilege) && (access != Access::kWrite || entry.dirty);
  }
  /// Host address of code in RAM, put into the quick TLB if there is one for the view; null: it is not RAM.
  const u8* fill_fast_code(u64 linear, u64 physical, const TlbEntry* entry);
  bool pkey_allowed(const TlbEntry& entry, Access access, Privilege privilege) const;

  const u32 id_;
  const VcpuServices services_;
  std::unique_ptr<LocalApic> apic_;
  InterruptAcknowledge* acknowledge_ = nullptr;
  Fault fault_{};

  // Derived from the state.
  u64 flat_base_[8] = {};  // segment bases that apply in 64-bit mode (FS, GS), else 0
  bool long64_ = false;
  unsigned code_bits_ = 16;
  unsigned canonical_bits_ = 48;
  u32 decode_key_ = 0;
  FastView* view_ = nullptr;
  u32 fast_keys_ = 0;              // bit n: entries of user pages with protection key n may be in the banks
  FastBank* fill_bank_ = nullptr;  // what view_ belongs to; null for the view that is never filled
  bool attention_ = true;
  bool extint_ = false;               // part of the state: visited
  bool extint_posted_ = false;        // so is this
  IrqLine ferr_line_;                 // level: state.ferr
  const u8* monitor_host_ = nullptr;  // the armed line in RAM; derived

  // Views: user, supervisor, supervisor with AC, and one that is never filled.
  FastBank banks_[3];
  FastBank empty_bank_;
  Tlb tlb_;

  FaultRecord faults_[8] = {};
  unsigned fault_count_ = 0;
  static constexpr unsigned kBranchTargets = 16;
  u64 branch_targets_[kBranchTargets] = {};
  u64 branch_count_ = 0;
};

}  // namespace orrery::cpu
