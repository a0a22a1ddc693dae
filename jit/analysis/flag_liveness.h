// Which arithmetic flags somebody may still look at, behind each instruction of a block. A place where the
// block may be left (a fault, a handler, a jump) looks at all of them.
#pragma once

#include <span>

#include "jit/block_scan.h"

namespace orrery::jit {

/// The arithmetic flags that `g`, run natively, always gives a new value.
u64 flags_defined(const GuestInsn& g);
/// Those whose values decide what `g` does.
u64 flags_read(const GuestInsn& g);
/// Whether running `g` natively leaves any arithmetic flag changed.
bool changes_flags(const GuestInsn& g);

/// Fills `flags_live_after`. `may_leave(g)` tells whether the block may be left at `g` before it has run.
template <class MayLeave>
void find_live_flags(std::span<GuestInsn> insns, MayLeave may_leave) {
  u64 live = cpu::rflags::kArithmetic;
  for (size_t i = insns.size(); i-- > 0;) {
    GuestInsn& g = insns[i];
    g.flags_live_after = live;
    live = may_leave(g) ? cpu::rflags::kArithmetic : (live & ~flags_defined(g)) | flags_read(g);
  }
}

}  // namespace orrery::jit
