// The TLBs of one vCPU.
//
// `Tlb` is the architectural one: fixed geometry, filled only by architectural accesses in program order,
// replacement by validity and fill count alone, so that the stale entries a guest can observe are the same in
// every engine. `FastBank` is a quick subset of it for one privilege view: when an architectural entry goes
// or loses a permission, the fast ones made from it go too. [SDM3 4.10], [APM2 5.5]
#pragma once

#include <algorithm>
#include <array>
#include <vector>

#include "base/bits.h"
#include "base/state_visitor.h"
#include "base/types.h"

namespace orrery::cpu {

/// A translation with the rights of the whole walk combined.
struct TlbEntry {
  u64 page = kInvalid;  // linear page address (aligned to the page's size)
  u64 physical = 0;     // physical page address, same alignment
  u16 pcid = 0;
  u8 size_log2 = 12;  // 12, 21 or 30
  bool user = false;
  bool writable = false;
  bool no_execute = false;
  bool dirty = false;
  bool global = false;
  u8 key = 0;                         // protection key
  u64 stamp = 0;                      // Tlb's: when it was put in
  static constexpr u64 kInvalid = 1;  // never a page address
};

class Tlb {
 public:
  static constexpr unsigned kSmallSets = 1024, kSmallWays = 4;  // 4 KiB pages
  static constexpr unsigned kLargeSets = 64, kLargeWays = 4;    // 2 and 4 MiB pages (4 MiB as two)
  static constexpr unsigned kHugeEntries = 16;                  // 1 GiB pages

  /// The entry that translates `linear` in address space `pcid`, or null.
  TlbEntry* find(u64 linear, u16 pcid);
  /// Puts `entry` in; it replaces an entry for the same page, an invalid one, or the set's next in turn.
  /// `evicted` gets a copy of what was there (its page is kInvalid if nothing was).
  TlbEntry* insert(const TlbEntry& entry, TlbEntry& evicted);
  /// The entries for `linear`, of any size, in `pcid` and the global ones [INVLPG]. True if one of a large
  /// page went.
  bool flush_page(u64 linear, u16 pcid);
  /// Global entries stay.
  void flush_pcid(u16 pcid);
  void flush_non_global();
  void flush_all();

  void visit_state(StateVisitor& v);

 private:
  static unsigned small_set(u64 linear) { return static_cast<unsigned>(linear >> 12) % kSmallSets; }
  static unsigned large_set(u64 linear) { return static_cast<unsigned>(linear >> 21) % kLargeSets; }
  bool valid(const TlbEntry& e) const {
    const u64 flushed = e.global ? all_flushed_ : std::max(non_global_flushed_, pcid_flushed_[e.pcid]);
    return e.page != TlbEntry::kInvalid && e.stamp >= flushed;
  }
  bool matches(const TlbEntry& e, u64 page, u16 pcid) const {
    return e.page == page && (e.global || e.pcid == pcid) && valid(e);
  }
  std::array<TlbEntry, kSmallSets * kSmallWays> small_;
  std::array<TlbEntry, kLargeSets * kLargeWays> large_;
  std::array<TlbEntry, kHugeEntries> huge_;
  std::array<u8, kSmallSets> small_next_{};
  std::array<u8, kLargeSets> large_next_{};
  u8 huge_next_ = 0;
  bool any_large_ = false;  // derived: whether large_ or huge_ may hold something
  // A flush is a stamp that older entries don't reach; the state has what is left of them.
  u64 now_ = 0, all_flushed_ = 0, non_global_flushed_ = 0;
  std::array<u64, 4096> pcid_flushed_{};
};

/// The quick entries of one privilege view, by FastBank::index_of: an access is let through when
/// (linear - page) <= 4096 - access bytes, and the host has it at the linear address plus `distance`.
struct FastView {
  // So many because a program's heap, libraries and stack lie anywhere to one another: of 8192, most fills
  // displaced a page in use.
  static constexpr unsigned kEntries = 32768;
  static constexpr u64 kIndexMask = kEntries - 1;
  struct Mapping {
    u64 page;
    u64 distance;
    u64 host() const { return page + distance; }
  };
  struct Entry {
    Mapping read, write;
  };
  std::array<Entry, kEntries> entries;
};
static_assert(sizeof(FastView::Entry) == 32);  // two lie in a cache line

/// The same for code pages, which have entries of their own: data does not evict them. An entry is the page's
/// address plus the number of its frame of RAM, which is below kFrames. Pages of one index are twice that
/// apart, so that an entry less another page's address is not the number of a frame; nor is it for an entry
/// without a page.
struct FastCode {
  static constexpr unsigned kEntries = 8192;
  static constexpr u64 kIndexMask = kEntries - 1;
  static constexpr u64 kFrames = u64{1} << 24;  // 64 GiB; frames beyond are not found by these
  static_assert(2 * kFrames == kEntries * u64{4096});
  static constexpr u64 none(unsigned i) { return (u64{i} << 12) + kFrames; }
  /// A page whose frame can't be told, for all that.
  static constexpr u64 not_found(unsigned i) { return none(i) + 1; }
  std::array<u64, kEntries> entries;
  /// The frame of `page`, or something that is kFrames or more.
  u64 frame_of(u64 page) const { return entries[(page >> 12) & kIndexMask] - page; }
};

class FastBank {
 public:
  FastBank() {
    none_ = {nowhere(0), nowhere(kNowhereIndex)};
    for (unsigned i = 0; i < FastView::kEntries; ++i) view_.entries[i] = no_entry(i);
    for (unsigned i = 0; i < FastCode::kEntries; ++i) clear_code(i);
    recent_used_ = 1;
    forget_recent();
    writers_.fill(kNoWriter);
  }
  FastBank(const FastBank&) = delete;
  FastBank& operator=(const FastBank&) = delete;
  /// Copies of what let the last accesses of loops through. Translated code spreads them over these: reads
  /// over the even ones, writes over the odd ones.
  static constexpr unsigned kRecentPages = 128;
  FastView::Mapping* recent_pages() { return recent_.data(); }
  /// Translated code sets it to 1 with every page that it puts in.
  u8& recent_used() { return recent_used_; }
  /// The pages of the last read and write that could not be filled for: trying again would be in vain.
  const u64* refused_pages() const { return refused_.data(); }
  void refuse(u64 page, bool write) { refused_[write ? 1 : 0] = page; }
  static unsigned code_index_of(u64 linear) {
    return static_cast<unsigned>((linear >> 12) & FastCode::kIndexMask);
  }
  FastCode& code() { return code_; }
  /// Another one whenever a code page has left the architectural TLB that had an entry here since the last
  /// one: what was found by such entries may not hold any more. An entry that another page's takes the place
  /// of is only forgotten.
  const u64& code_generation() const { return code_generation_; }
  void fill_code(u64 page, u64 frame, bool global) {
    const unsigned i = code_index_of(page);
    code_.entries[i] = frame < FastCode::kFrames ? page + frame : FastCode::not_found(i);
    code_global_[i] = global;
    (global ? global_code_fills_ : code_fills_).note(i);
  }
  static unsigned index_of(u64 linear) {
    return static_cast<unsigned>((linear >> 12) & FastView::kIndexMask);
  }
  FastView& view() { return view_; }
  /// The page that an entry at index `i` has where it has none: one of two in the hole between the canonical
  /// halves, and not of that index. Who looks at an entry by a guess can find it there (docs/limits.md).
  static constexpr u64 invalid_page(unsigned i) { return kNowhere + (i == kNowhereIndex ? 4096 : 0); }
  void invalidate(unsigned i) {
    unlist_writer(i);
    view_.entries[i] = no_entry(i);
  }
  struct Rights {
    bool read, write, global;
  };
  void fill(u64 page, u64 host, const Rights& rights) {
    const unsigned i = index_of(page);
    if (rights.read && refused_[0] == page) refused_[0] = kNotAPage;
    if (rights.write && refused_[1] == page) refused_[1] = kNotAPage;
    unlist_writer(i);
    FastView::Entry& entry = view_.entries[i];
    const FastView::Mapping mapping{.page = page, .distance = host - page};
    entry.read = rights.read ? mapping : no_entry(i).read;
    entry.write = rights.write ? mapping : no_entry(i).write;
    global_[i] = rights.global;
    (rights.global ? global_fills_ : fills_).note(i);
    if (rights.write) list_writer(i);
  }
  void flush_page(u64 linear) {
    forget_refused(align_down(linear, u64{4096}));
    invalidate(index_of(linear));
    flush_code(code_index_of(linear));
    if (recent_used_ != 0) forget_recent_page(align_down(linear, u64{4096}));
  }
  void flush();
  /// Entries of global pages stay.
  void flush_non_global();
  /// Drops write tags whose host page is `host_page`.
  void drop_writes_to(u64 host_page);

 private:
  static constexpr u64 kNowhere = 0x3c91'7be2'f05d'6000;
  static constexpr unsigned kNowhereIndex = (kNowhere >> 12) & FastView::kIndexMask;
  /// What an entry without a page has at index `i`: reads find zeros there, or what was written, and writes
  /// are lost.
  static FastView::Entry nowhere(unsigned i);
  const FastView::Entry& no_entry(unsigned i) const { return none_[i == kNowhereIndex ? 1 : 0]; }
  /// An entry that lets writes through is in the list of its host page's hash.
  static constexpr u16 kNoWriter = 0xffff;
  static_assert(FastView::kEntries <= kNoWriter);
  u16& first_writer(u64 host_page) { return writers_[(host_page >> 12) & FastView::kIndexMask]; }
  void list_writer(unsigned i) {
    u16& first = first_writer(view_.entries[i].write.host());
    neighbours_[i] = {.next = first, .previous = kNoWriter};
    if (first != kNoWriter) neighbours_[first].previous = static_cast<u16>(i);
    first = static_cast<u16>(i);
  }
  void unlist_writer(unsigned i) {
    const FastView::Entry& entry = view_.entries[i];
    if (entry.write.page == invalid_page(i)) return;
    const auto [next, previous] = neighbours_[i];
    (previous == kNoWriter ? first_writer(entry.write.host()) : neighbours_[previous].next) = next;
    if (next != kNoWriter) neighbours_[next].previous = previous;
  }
  void forget_refused() { refused_.fill(kNotAPage); }
  void forget_refused(u64 page) { std::replace(refused_.begin(), refused_.end(), page, u64{kNotAPage}); }
  void forget_recent() {
    if (recent_used_ == 0) return;
    for (size_t i = 0; i < recent_.size(); ++i) forget_recent(i);
    recent_used_ = 0;
  }
  void forget_recent(size_t i) { recent_[i] = i % 2 == 0 ? none_[0].read : none_[0].write; }
  void forget_recent_page(u64 page) {
    for (size_t i = 0; i < recent_.size(); ++i) {
      if (recent_[i].page == page) forget_recent(i);
    }
  }
  /// The entry at `i` may be another page's, which has taken the place of the one that goes. If there is
  /// none, none has been since the last generation.
  void flush_code(unsigned i) {
    if (code_.entries[i] == FastCode::none(i)) return;
    ++code_generation_;
    clear_code(i);
  }
  void clear_code(unsigned i) { code_.entries[i] = FastCode::none(i); }

  alignas(64) FastView view_;
  std::array<FastView::Mapping, kRecentPages> recent_;
  u8 recent_used_ = 0;
  std::array<FastView::Entry, 2> none_;
  static constexpr u64 kNotAPage = 1;
  std::array<u64, 2> refused_{kNotAPage, kNotAPage};
  FastCode code_{};
  u64 code_generation_ = 1;
  /// The indices filled since the last flush, while they fit.
  struct Fills {
    std::array<u16, 8192> index{};
    size_t count = 0;
    void note(unsigned i) {
      if (count < index.size()) index[count] = static_cast<u16>(i);
      ++count;
    }
  };
  template <class Each>
  static void for_each(Fills& fills, unsigned all, Each each);
  Fills fills_, global_fills_, code_fills_, global_code_fills_;
  std::array<bool, FastView::kEntries> global_{};
  /// Entries that let writes through to host pages of one hash are in a list: its first, and the others.
  std::array<u16, FastView::kEntries> writers_;
  struct Neighbours {
    u16 next, previous;
  };
  std::array<Neighbours, FastView::kEntries> neighbours_{};  // of those entries only
  std::array<bool, FastCode::kEntries> code_global_{};
};

}  // namespace orrery::cpu
