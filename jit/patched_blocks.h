// PatchedBlocks: blocks of code that is written again and again with other constants: immediates, and the
// displacements of LEA. Such a block reads them from the guest's memory when it runs. So a store of nothing
// else leaves it as it is; and one that was dropped comes back if all else is there again.
#pragma once

#include <unordered_map>
#include <vector>

#include "jit/block.h"
#include "jit/block_scan.h"

namespace orrery::jit {

/// The constant of `g` that its translation can read when it runs: the last bytes of an instruction whose
/// operands are otherwise registers. `code`: its first byte. 0: it has none.
u8 live_constant_bytes(const GuestInsn& g, const u8* code);

class PatchedBlocks {
 public:
  /// `insns` are those of the block at `place` (jit::place_of), whose code begins at `code`.
  void add(u64 place, BlockId id, const u8* code, const std::vector<GuestInsn>& insns);
  /// A store to `size` bytes, `offset` bytes from the block's first one. Whether the block may stay: they are
  /// a constant's, and there have not been so many stores that they had better take the quick path.
  bool may_stay(u64 place, i64 offset, u64 size);
  /// The block has been dropped; the host bytes at its entry, which are another's meanwhile.
  struct Entry {
    u8 bytes[kCallBytes];
  };
  void note_drop(u64 place, const Entry& entry);

  /// What became of the place of a dropped block.
  struct Revival {
    enum class Kind : u8 { kUnknown, kSame, kReshaped } kind = Kind::kUnknown;
    BlockId id = kNone;
    Entry entry = {};
  };
  /// kSame: the block holds again for what is now at `code`. kReshaped: it never will, and is forgotten.
  Revival revive(u64 place, const u8* code);
  /// Forgets blocks [first, first + count).
  void forget(BlockId first, u32 count);

 private:
  struct Patched {
    BlockId id = kNone;
    bool dropped = false;
    u32 stays = 0;  // so many more stores
    Entry entry = {};
    std::vector<u8> code;  // when it was translated or revived last
    std::vector<u8> kept;  // 0xff for each byte that has to stay
  };
  std::unordered_map<u64, Patched> blocks_;
};

}  // namespace orrery::jit
