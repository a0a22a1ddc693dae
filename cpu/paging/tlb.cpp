#include "cpu/paging/tlb.h"

namespace orrery::cpu {

TlbEntry* Tlb::find(u64 linear, u16 pcid) {
  TlbEntry* set = &small_[small_set(linear) * kSmallWays];
  for (unsigned way = 0; way < kSmallWays; ++way) {
    if (matches(set[way], align_down(linear, 1u << 12), pcid)) return &set[way];
  }
  if (!any_large_) return nullptr;
  set = &large_[large_set(linear) * kLargeWays];
  for (unsigned way = 0; way < kLargeWays; ++way) {
    if (matches(set[way], align_down(linear, 1u << 21), pcid)) return &set[way];
  }
  for (TlbEntry& e : huge_) {
    if (matches(e, align_down(linear, 1u << 30), pcid)) return &e;
  }
  return nullptr;
}

TlbEntry* Tlb::insert(const TlbEntry& entry, TlbEntry& evicted) {
  TlbEntry* set = nullptr;
  unsigned ways = 0;
  u8* next = nullptr;
  if (entry.size_log2 == 12) {
    const unsigned index = small_set(entry.page);
    set = &small_[index * kSmallWays];
    ways = kSmallWays;
    next = &small_next_[index];
  } else if (entry.size_log2 == 21) {
    const unsigned index = large_set(entry.page);
    set = &large_[index * kLargeWays];
    ways = kLargeWays;
    next = &large_next_[index];
  } else {
    set = huge_.data();
    ways = kHugeEntries;
    next = &huge_next_;
  }
  if (entry.size_log2 != 12) any_large_ = true;
  // A global page is the same in every address space: none may keep another for it.
  if (entry.global) {
    for (unsigned way = 0; way < ways; ++way) {
      if (set[way].page == entry.page && !matches(set[way], entry.page, entry.pcid))
        set[way].page = TlbEntry::kInvalid;
    }
  }
  for (unsigned way = 0; way < ways; ++way) {
    if (matches(set[way], entry.page, entry.pcid)) {
      evicted = set[way];
      set[way] = entry;
      set[way].stamp = now_;
      return &set[way];
    }
  }
  TlbEntry* victim = std::find_if(set, set + ways, [this](const TlbEntry& e) { return !valid(e); });
  if (victim == set + ways) {
    victim = &set[*next % ways];
    *next = static_cast<u8>((*next + 1) % ways);
    evicted = *victim;
  } else {
    evicted.page = TlbEntry::kInvalid;
  }
  *victim = entry;
  victim->stamp = now_;
  return victim;
}

bool Tlb::flush_page(u64 linear, u16 pcid) {
  bool large = false;
  while (TlbEntry* e = find(linear, pcid)) {
    large = large || e->size_log2 != 12;
    e->page = TlbEntry::kInvalid;
  }
  return large;
}

void Tlb::flush_pcid(u16 pcid) { pcid_flushed_[pcid] = ++now_; }

void Tlb::flush_non_global() { non_global_flushed_ = ++now_; }

void Tlb::flush_all() {
  all_flushed_ = non_global_flushed_ = ++now_;
  any_large_ = false;
}

void Tlb::visit_state(StateVisitor& v) {
  v.begin("tlb", 2);
  const auto entry = [this, &v](TlbEntry& e) {
    if (!v.loading() && !valid(e)) e.page = TlbEntry::kInvalid;
    v.field("page", e.page);
    if (e.page == TlbEntry::kInvalid) return;
    v.field("physical", e.physical);
    v.field("pcid", e.pcid);
    v.field("size_log2", e.size_log2);
    v.field("user", e.user);
    v.field("writable", e.writable);
    v.field("no_execute", e.no_execute);
    v.field("dirty", e.dirty);
    v.field("global", e.global);
    v.field("key", e.key);
    v.require(e.pcid < pcid_flushed_.size(), "PCID");
    e.pcid = static_cast<u16>(e.pcid % pcid_flushed_.size());
    e.stamp = now_;
    v.require(e.size_log2 == 12 || e.size_log2 == 21 || e.size_log2 == 30, "page size");
  };
  for (TlbEntry& e : small_) entry(e);
  for (TlbEntry& e : large_) entry(e);
  for (TlbEntry& e : huge_) entry(e);
  v.array("small_next", small_next_);
  v.array("large_next", large_next_);
  v.field("huge_next", huge_next_);
  if (v.loading()) any_large_ = true;
  v.end();
}

template <class Each>
void FastBank::for_each(Fills& fills, unsigned all, Each each) {
  if (fills.count <= fills.index.size()) {
    for (size_t i = 0; i < fills.count; ++i) each(fills.index[i]);
  } else {
    for (unsigned i = 0; i < all; ++i) each(i);
  }
  fills.count = 0;
}

FastView::Entry FastBank::nowhere(unsigned i) {
  alignas(4096) static u8 zeros[4096], sink[4096];
  const u64 page = invalid_page(i);
  return {.read = {.page = page, .distance = reinterpret_cast<u64>(zeros) - page},
          .write = {.page = page, .distance = reinterpret_cast<u64>(sink) - page}};
}

void FastBank::flush() {
  forget_recent();
  forget_refused();
  for_each(fills_, FastView::kEntries, [this](unsigned i) { invalidate(i); });
  for_each(global_fills_, FastView::kEntries, [this](unsigned i) { invalidate(i); });
  if (code_fills_.count + global_code_fills_.count != 0) ++code_generation_;
  for_each(code_fills_, FastCode::kEntries, [this](unsigned i) { clear_code(i); });
  for_each(global_code_fills_, FastCode::kEntries, [this](unsigned i) { clear_code(i); });
}

void FastBank::flush_non_global() {
  forget_recent();
  forget_refused();
  for_each(fills_, FastView::kEntries, [this](unsigned i) {
    if (!global_[i]) invalidate(i);
  });
  if (code_fills_.count != 0) ++code_generation_;
  for_each(code_fills_, FastCode::kEntries, [this](unsigned i) {
    if (!code_global_[i]) clear_code(i);
  });
}

void FastBank::drop_writes_to(u64 host_page) {
  if (recent_used_ != 0) {
    for (size_t i = 1; i < recent_.size(); i += 2) {
      if (recent_[i].host() == host_page) forget_recent(i);
    }
  }
  for (u16 i = first_writer(host_page); i != kNoWriter;) {
    FastView::Entry& entry = view_.entries[i];
    const u16 next = neighbours_[i].next;
    if (entry.write.host() == host_page) {
      unlist_writer(i);
      entry.write = no_entry(i).write;
    }
    i = next;
  }
}

}  // namespace orrery::cpu
