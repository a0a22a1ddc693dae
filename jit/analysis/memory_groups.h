// Memory groups: accesses of a block off the same base, a few hundred bytes apart at most, that one check can
// stand for. A register that is only moved on by constants stays the same base, so a run of pushes is one
// group, and accesses off its copies belong to it. Those off a base and a scaled index are a group while
// neither changes otherwise. Absolute addresses, and those off RIP, are grouped by page.
//
// Nothing between a group's first and last access may change a translation: a handler ends all groups.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "jit/block_scan.h"

namespace orrery::jit {

inline constexpr unsigned kMaxGroups = 6;

struct MemoryGroup {
  u16 first = 0, last = 0;  // instructions
  bool write = false;       // any of them writes
  i64 low = 0, high = 0;    // bytes covered, as positions
  u16 check = 0;            // before which instruction the check stands: `first`, or one before that
  bool is_hoisted_to(size_t i) const { return check == i && first != i; }
};

/// Where an instruction accesses memory: `base` + `displacement` now. Positions of accesses of one group
/// differ by as much as their addresses.
struct GroupedAccess {
  u8 group = kNoGroup;
  u8 base = kNoBase;     // guest register; kCodeBase: the page of the code; kAbsoluteBase: address 0;
                         // kIndexedBase: its operand's base and index
  i64 displacement = 0;  // of the access, from the base's value now
  i64 position = 0;
  u16 bytes = 0;
  static constexpr u8 kNoGroup = 0xff;
  static constexpr u8 kCodeBase = 16, kAbsoluteBase = 17, kIndexedBase = 18;
  static constexpr u8 kNoBase = 0xff;  // there is no access, or none so simple
};

struct MemoryGroups {
  std::vector<MemoryGroup> groups;
  std::vector<GroupedAccess> accesses;  // by instruction
  /// Instruction `i` accesses memory that the check before another has cleared.
  bool is_member(size_t i) const {
    return accesses[i].group != GroupedAccess::kNoGroup && groups[accesses[i].group].check != i;
  }
  /// The check of some group has been before instruction `i`, or stands there, and the group goes on behind
  /// it.
  bool open_behind(size_t i) const;
};

/// What `g` adds to its destination, a general register of at least 32 bits, if that is a constant.
std::optional<i64> constant_step(const GuestInsn& g);
/// By how much `g` moves its destination, of the mode's width, on, if that is a constant.
std::optional<i64> constant_move(const GuestInsn& g);

/// Where the instructions of a block that begins at `start` of its page access memory, and the first
/// `max_groups` groups of two accesses and more. Bit n of `interchangeable`: accesses off register n may be
/// in a group with those off another such register that has the same value: what the group's check leaves can
/// be added to either.
MemoryGroups find_memory_groups(u64 start, std::span<const GuestInsn> insns, size_t max_groups,
                                u32 interchangeable);

}  // namespace orrery::jit
