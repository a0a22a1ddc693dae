// The slow half of a vCPU's memory accesses: segmentation of legacy modes, canonical and alignment checks,
// translation through the TLB, device registers, page crossing, and the filling of the quick paths.
// [SDM3 3, 4], [SDM1 3.3.7.1]
#include "cpu/apic/local_apic.h"
#include "cpu/decode/decoder.h"
#include "cpu/system/debug.h"
#include "cpu/vcpu.h"

namespace orrery::cpu {
namespace {

/// The alignment that #AC wants of an operand of `size` bytes: its own size, but at most 16. [SDM3 6.15 #AC],
/// [APM2 8.2.18]
unsigned natural_alignment(unsigned size) { return std::min(std::bit_floor(size), 16u); }

u64 bytes_to_page_end(u64 linear) { return memory::kPageBytes - (linear & (memory::kPageBytes - 1)); }

}  // namespace

void Vcpu::mode_changed() {
  const Segment& cs = state.seg[kCs];
  long64_ = long_mode() && (cs.attributes & seg_attr::kL) != 0;
  code_bits_ = long64_ ? 64 : (cs.attributes & seg_attr::kDb) != 0 ? 32 : 16;
  canonical_bits_ = (state.cr4 & cr4::LA57) != 0 ? 57 : 48;
  for (u64& base : flat_base_) base = 0;
  flat_base_[kFs] = state.seg[kFs].base;
  flat_base_[kGs] = state.seg[kGs].base;

  u32 key = code_bits_ == 64   ? decode_key::kBits64
            : code_bits_ == 32 ? decode_key::kBits32
                               : decode_key::kBits16;
  if (real_mode() || vm86()) key |= decode_key::kRealOrVm86;
  if ((state.cr0 & cr0::EM) != 0) key |= decode_key::kEm;
  if ((state.cr0 & cr0::TS) != 0) key |= decode_key::kTs;
  if ((state.cr0 & cr0::MP) != 0) key |= decode_key::kMp;
  if ((state.cr4 & cr4::OSFXSR) != 0) key |= decode_key::kOsfxsr;
  constexpr u64 kAvxState = xcr0::SSE | xcr0::AVX;
  if ((state.cr4 & cr4::OSXSAVE) != 0 && (state.xcr0 & kAvxState) == kAvxState)
    key |= decode_key::kAvxEnabled;
  decode_key_ = key;

  const bool alignment_checked =
      state.cpl == 3 && (state.cr0 & cr0::AM) != 0 && (state.rflags & rflags::AC) != 0;
  const bool smap = (state.cr4 & cr4::SMAP) != 0;
  if (alignment_checked) {
    fill_bank_ = nullptr;
    view_ = &empty_bank_.view();
  } else {
    fill_bank_ = state.cpl == 3                             ? &banks_[0]
                 : smap && (state.rflags & rflags::AC) != 0 ? &banks_[2]
                                                            : &banks_[1];
    view_ = &fill_bank_->view();
  }
}

bool Vcpu::segment_linear(SegmentIndex segment, u64 offset, u64 size, Access access, u64& linear) {
  const Segment& s = state.seg[segment];
  bool good = true;
  if (protected_mode() && !vm86()) {
    const u32 type = s.attributes;
    if (!s.usable()) {
      good = false;
    } else if (access == Access::kWrite) {
      good = (type & seg_attr::kCode) == 0 && (type & seg_attr::kWritable) != 0;
    } else if (access == Access::kRead) {
      good = (type & seg_attr::kCode) == 0 || (type & seg_attr::kReadable) != 0;
    }
  }
  const u64 last = offset + size - 1;
  if (good) {
    if ((s.attributes & (seg_attr::kCode | seg_attr::kExpandDown)) == seg_attr::kExpandDown) {
      const u64 top = (s.attributes & seg_attr::kDb) != 0 ? 0xffffffffu : 0xffffu;
      good = offset > s.limit && last <= top;
    } else {
      good = last <= s.limit;
    }
  }
  if (!good) {
    raise(segment == kSs ? kSS_ : kGP, 0);
    return false;
  }
  linear = (s.base + offset) & 0xffffffffu;
  return true;
}

bool Vcpu::access_checks(SegmentIndex segment, u64 linear, unsigned size) {
  if (long_mode() && (!canonical(linear) || !canonical(linear + size - 1))) {
    raise(segment == kSs ? kSS_ : kGP, 0);
    return false;
  }
  if (fill_bank_ == nullptr && size > 1) {  // RFLAGS.AC, CR0.AM, CPL 3 [SDM3 6.15, #AC]
    if ((linear & (natural_alignment(size) - 1)) != 0) {
      raise(kAC, 0);
      return false;
    }
  }
  return true;
}

bool Vcpu::translate(u64 linear, Access access, Privilege privilege, u64& physical, TlbEntry** used) {
  if (used != nullptr) *used = nullptr;
  if ((state.cr0 & cr0::PG) == 0) {
    physical = linear & 0xffffffffu;
    return true;
  }
  TlbEntry* entry = tlb_.find(linear, current_pcid());
  if (entry == nullptr || !allowed_at_once(*entry, access, privilege)) {
    TlbEntry walked;
    if (!walk(linear, access, privilege, walked)) {
      // A page fault drops what is cached for the page [SDM3 4.10.4.1].
      if (entry != nullptr) flush_tlb_page(linear);
      return false;
    }
    TlbEntry evicted;
    entry = tlb_.insert(walked, evicted);
    if (evicted.page != TlbEntry::kInvalid) {
      // Fetching needs the entry of the code page: without it the next instruction is fetched anew.
      const u64 code = (long64_ ? 0 : state.seg[kCs].base) + state.gpr[kRip] - 1;
      if (align_down(code, u64{1} << evicted.size_log2) == evicted.page) trace_stale |= kTraceLost;
      if (evicted.size_log2 == 12) {
        for (FastBank& bank : banks_) bank.flush_page(evicted.page);
      } else {
        flush_fast();
      }
    }
  }
  if (used != nullptr) *used = entry;
  physical = entry->physical + (linear - entry->page);
  return true;
}

bool Vcpu::data_breakpoint_in(u64 page) const {
  if ((state.dr7 & dr7::kEnableMask) == 0) return false;
  for (unsigned i = 0; i < 4; ++i) {
    const bool enabled = bits(state.dr7, 2 * i + 1, 2 * i) != 0;
    const bool data = bits(state.dr7, 17 + 4 * i, 16 + 4 * i) != 0;
    // A breakpoint is aligned to its length, so it lies in one page.
    if (enabled && data && align_down(state.dr[i], memory::kPageBytes) == page) return true;
  }
  return false;
}

void Vcpu::fill_fast(u64 linear, u64 physical, const TlbEntry* entry) {
  if (fill_bank_ == nullptr) return;
  const u64 page = align_down(linear, memory::kPageBytes);
  for (const Watch& watch : watches) {
    if (watch.address < page + memory::kPageBytes && watch.address + watch.length > page) return;
  }
  if (data_breakpoint_in(page)) return;
  const u64 physical_page = align_down(physical, memory::kPageBytes);
  const memory::FlatRange& range = services_.memory.find(physical_page);
  if (range.host == nullptr || range.end - physical_page < memory::kPageBytes || is_apic_page(physical_page))
    return;
  u8* const host = range.host + (physical_page - range.start);
  bool readable = true;
  bool writable =
      range.kind == memory::FlatRange::Kind::kRam && range.ram->flags(range.ram->frame_of(host)) == 0;
  if (entry != nullptr) {
    if (entry->user) fast_keys_ |= 1u << entry->key;
    readable = allowed(*entry, Access::kRead, Privilege::kCurrent);
    writable = writable && allowed_at_once(*entry, Access::kWrite, Privilege::kCurrent);
  }
  fill_bank_->fill(page, reinterpret_cast<u64>(host),
                   {.read = readable, .write = writable, .global = entry != nullptr && entry->global});
}

bool Vcpu::is_apic_page(u64 physical) const {
  return apic_->mmio_enabled() && align_down(physical, memory::kPageBytes) == apic_->base();
}

void Vcpu::physical_read(u64 physical, void* out, unsigned size) {
  if (is_apic_page(physical)) [[unlikely]] {
    apic_->mmio_read(static_cast<u32>(physical & 0xfff), out, size);
    return;
  }
  if (size <= 8) {
    store_le_n(out, services_.memory.read(physical, size), size);
  } else {
    services_.memory.read_bytes(physical, {static_cast<u8*>(out), size});
  }
}

void Vcpu::physical_write(u64 physical, const void* data, unsigned size) {
  if (is_apic_page(physical)) [[unlikely]] {
    apic_->mmio_write(static_cast<u32>(physical & 0xfff), data, size);
    return;
  }
  if (size <= 8) {
    services_.memory.write(physical, load_le_n(data, size), size);
  } else {
    services_.memory.write_bytes(physical, {static_cast<const u8*>(data), size});
  }
}

void Vcpu::note_watch(u64 linear, unsigned size, Access access) {
  for (const Watch& watch : watches) {
    const bool overlaps = watch.address < linear + size && watch.address + watch.length > linear;
    if (overlaps && (access == Access::kWrite ? watch.on_write : watch.on_read)) {
      watch_hit = true;
      watch_address = watch.address;
      set_attention();
    }
  }
  if (const u32 hit = data_breakpoints(state, linear, size, access); hit != 0) {
    state.pending_db |= hit;
    set_attention();
  }
}

bool Vcpu::read_slow(SegmentIndex segment, u64 linear, void* out, unsigned size) {
  if (!access_checks(segment, linear, size)) return false;
  u64 physical = 0;
  TlbEntry* entry = nullptr;
  const u64 in_page = bytes_to_page_end(linear);
  if (in_page >= size) {
    if (!translate(linear, Access::kRead, Privilege::kCurrent, physical, &entry)) return false;
    fill_fast(linear, physical, entry);
    if (const u8* const host = quick_host(linear, size, Access::kRead)) {
      std::memcpy(out, host, size);
    } else {
      physical_read(physical, out, size);
    }
  } else {
    const auto first = static_cast<unsigned>(in_page);
    const u64 second_linear = wrapped(linear + first);
    u64 second = 0;
    if (!translate(linear, Access::kRead, Privilege::kCurrent, physical) ||
        !translate(second_linear, Access::kRead, Privilege::kCurrent, second)) {
      return false;
    }
    physical_read(physical, out, first);
    physical_read(second, static_cast<u8*>(out) + first, size - first);
  }
  if (watching()) note_watch(linear, size, Access::kRead);
  return true;
}

bool Vcpu::write_slow(SegmentIndex segment, u64 linear, const void* data, unsigned size) {
  if (!access_checks(segment, linear, size)) return false;
  u64 physical = 0;
  TlbEntry* entry = nullptr;
  const u64 in_page = bytes_to_page_end(linear);
  if (in_page >= size) {
    if (!translate(linear, Access::kWrite, Privilege::kCurrent, physical, &entry)) return false;
    fill_fast(linear, physical, entry);
    if (u8* const host = quick_host(linear, size, Access::kWrite)) {
      std::memcpy(host, data, size);
    } else {
      physical_write(physical, data, size);
    }
  } else {
    const auto first = static_cast<unsigned>(in_page);
    const u64 second_linear = wrapped(linear + first);
    u64 second = 0;
    if (!translate(linear, Access::kWrite, Privilege::kCurrent, physical) ||
        !translate(second_linear, Access::kWrite, Privilege::kCurrent, second)) {
      return false;
    }
    physical_write(physical, data, first);
    physical_write(second, static_cast<const u8*>(data) + first, size - first);
  }
  if (watching()) note_watch(linear, size, Access::kWrite);
  return true;
}

bool Vcpu::probe_write(SegmentIndex segment, u64 offset, unsigned size) {
  u64 linear = offset + flat_base_[segment];
  if (!long64_ && !segment_linear(segment, offset, size, Access::kWrite, linear)) return false;
  if (quick_host(linear, size, Access::kWrite) != nullptr) return true;
  if (!access_checks(segment, linear, size)) return false;
  u64 physical = 0;
  for (u64 at = linear; at - linear < size; at = align_down(at, memory::kPageBytes) + memory::kPageBytes) {
    if (!translate(wrapped(at), Access::kWrite, Privilege::kCurrent, physical)) return false;
  }
  return true;
}

bool Vcpu::read_for_write_slow(SegmentIndex segment, u64 linear, void* out, unsigned size) {
  if (!access_checks(segment, linear, size)) return false;
  const auto first = static_cast<unsigned>(std::min<u64>(size, bytes_to_page_end(linear)));
  u64 physical = 0;
  u64 second = 0;
  if (!translate(linear, Access::kWrite, Privilege::kCurrent, physical)) return false;
  if (first < size) {
    const u64 second_linear = wrapped(linear + first);
    if (!translate(second_linear, Access::kWrite, Privilege::kCurrent, second)) return false;
  }
  physical_read(physical, out, first);
  if (first < size) physical_read(second, static_cast<u8*>(out) + first, size - first);
  if (watching()) note_watch(linear, size, Access::kRead);
  return true;
}

void Vcpu::commit_slow(u64 linear, const void* data, unsigned size) {
  // Translated for writing by read_for_write_slow in the same instruction: cannot fault now.
  const bool written = write_slow(kDs, linear, data, size);
  DCHECK(written);
  static_cast<void>(written);
}

bool Vcpu::read_bytes(SegmentIndex segment, u64 offset, void* out, unsigned size) {
  u64 linear = offset + flat_base_[segment];
  if (!long64_ && !segment_linear(segment, offset, size, Access::kRead, linear)) return false;
  return read_slow(segment, linear, out, size);
}

bool Vcpu::write_bytes(SegmentIndex segment, u64 offset, const void* data, unsigned size) {
  u64 linear = offset + flat_base_[segment];
  if (!long64_ && !segment_linear(segment, offset, size, Access::kWrite, linear)) return false;
  return write_slow(segment, linear, data, size);
}

bool Vcpu::system_linear(u64& linear, unsigned size) {
  if (!long_mode()) {
    linear &= 0xffffffffu;
  } else if (!canonical(linear) || !canonical(linear + size - 1)) {
    raise(kGP, 0);
    return false;
  }
  return true;
}

bool Vcpu::read_linear_bytes(u64 linear, void* out, unsigned size, Privilege privilege) {
  if (!system_linear(linear, size)) return false;
  auto* bytes = static_cast<u8*>(out);
  for (unsigned done = 0; done < size;) {
    const u64 at = long_mode() ? linear + done : (linear + done) & 0xffffffffu;
    const auto part = static_cast<unsigned>(std::min<u64>(size - done, bytes_to_page_end(at)));
    u64 physical = 0;
    if (!translate(at, Access::kRead, privilege, physical)) return false;
    physical_read(physical, bytes + done, part);
    done += part;
  }
  if (watching()) note_watch(linear, size, Access::kRead);
  return true;
}

bool Vcpu::write_linear_bytes(u64 linear, const void* data, unsigned size, Privilege privilege) {
  if (!system_linear(linear, size)) return false;
  const auto first = static_cast<unsigned>(std::min<u64>(size, bytes_to_page_end(linear)));
  const u64 second_linear = long_mode() ? linear + first : (linear + first) & 0xffffffffu;
  u64 physical = 0;
  u64 second = 0;
  if (!translate(linear, Access::kWrite, privilege, physical)) return false;
  if (first < size && !translate(second_linear, Access::kWrite, privilege, second)) return false;
  physical_write(physical, data, first);
  if (first < size) physical_write(second, static_cast<const u8*>(data) + first, size - first);
  if (watching()) note_watch(linear, size, Access::kWrite);
  return true;
}

const u8* Vcpu::fetch_host(u64 linear, bool* from_io) {
  *from_io = false;
  if (const u8* const quick = quick_code_host(linear)) [[likely]]
    return quick;
  if (long_mode() && !canonical(linear)) {
    raise(kGP, 0);
    return nullptr;
  }
  u64 physical = 0;
  TlbEntry* entry = nullptr;
  if (!translate(linear, Access::kExecute, Privilege::kCurrent, physical, &entry)) return nullptr;
  const u8* const host = fill_fast_code(linear, physical, entry);
  *from_io = host == nullptr;
  return host;
}

// The last page below 4 GiB gets no quick entry, so that nothing but an engine's own loop leads there: 32-bit
// code that runs over its end exceeds CS, which translated code does not look at.
const u8* Vcpu::fill_fast_code(u64 linear, u64 physical, const TlbEntry* entry) {
  const memory::FlatRange& range = services_.memory.find(physical);
  if (range.host == nullptr || range.ram != &services_.ram ||
      align_up(physical + 1, memory::kPageBytes) > range.end) {
    return nullptr;
  }
  const u8* const host = range.host + (physical - range.start);
  const u64 page = align_down(linear, memory::kPageBytes);
  if (fill_bank_ != nullptr && page != kLastPageOf4GiB)
    fill_bank_->fill_code(page, services_.ram.frame_of(host), entry != nullptr && entry->global);
  return host;
}

bool Vcpu::quick_fill(u64 linear, Access access) {
  if (fill_bank_ == nullptr || quick_host(align_down(linear, memory::kPageBytes), 1, access) != nullptr)
    return false;
  const TlbEntry* const entry = tlb_.find(linear, current_pcid());
  if (entry != nullptr && allowed_at_once(*entry, access, Privilege::kCurrent))
    fill_fast(linear, entry->physical + (linear - entry->page), entry);
  if (quick_host(linear, 1, access) != nullptr) return true;
  fill_bank_->refuse(align_down(linear, memory::kPageBytes), access == Access::kWrite);
  return false;
}

bool Vcpu::quick_fill_code(u64 page) {
  if (fill_bank_ == nullptr || quick_code_host(page) != nullptr) return false;
  const TlbEntry* const entry = tlb_.find(page, current_pcid());
  if (entry == nullptr || !allowed(*entry, Access::kExecute, Privilege::kCurrent)) return false;
  return fill_fast_code(page, entry->physical + (page - entry->page), entry) != nullptr &&
         quick_code_host(page) != nullptr;
}

void Vcpu::set_pkru(u32 value) {
  const u32 changed = state.pkru ^ value;
  state.pkru = value;
  for (unsigned key = 0; key < 16; ++key) {
    if (((changed >> (2 * key)) & 3) != 0 && ((fast_keys_ >> key) & 1) != 0) {
      flush_fast();
      return;
    }
  }
}

void Vcpu::flush_fast() {
  fast_keys_ = 0;
  for (FastBank& bank : banks_) bank.flush();
}

void Vcpu::flush_fast_non_global() {
  for (FastBank& bank : banks_) bank.flush_non_global();
}

void Vcpu::flush_tlb_page_pcid(u64 linear, u16 pcid) {
  if (tlb_.flush_page(linear, pcid)) {
    flush_fast();
  } else {
    for (FastBank& bank : banks_) bank.flush_page(linear);
  }
}

void Vcpu::flush_tlb_page(u64 linear) { flush_tlb_page_pcid(linear, current_pcid()); }

void Vcpu::flush_tlb_all() {
  tlb_.flush_all();
  flush_fast();
}

void Vcpu::flush_tlb_non_global() {
  tlb_.flush_non_global();
  flush_fast_non_global();
}

void Vcpu::flush_tlb_pcid(u16 pcid) {
  tlb_.flush_pcid(pcid);
  flush_fast_non_global();
}

void Vcpu::frame_guarded(memory::Frame frame) {
  const u64 host_page = reinterpret_cast<u64>(services_.ram.data()) + frame * memory::kPageBytes;
  for (FastBank& bank : banks_) bank.drop_writes_to(host_page);
}

void Vcpu::code_written(memory::Frame, u64, u64) { trace_stale |= kCodeWritten; }

void Vcpu::map_changed() {
  flush_fast();
  trace_stale |= kTraceLost;
}

void Vcpu::debug_points_changed() {
  std::sort(breakpoints.begin(), breakpoints.end());
  flush_fast();
  set_attention();
}

}  // namespace orrery::cpu
