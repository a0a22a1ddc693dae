// What a translation is made of: a block of host code for a run of guest instructions, the places where it
// may leave to the engine, and the jumps that lead on to other blocks.
//
// A block belongs to guest bytes in a frame of RAM, and holds at whatever linear address that frame is
// mapped: TranslatorSlots::code_page has the page's, and addresses of code are counted from there. So
// processes share the translations of what they share.
#pragma once

#include "cpu/decode/decoder.h"
#include "cpu/vcpu.h"

namespace orrery::jit {

/// What a translation depends on besides its bytes.
namespace block_key {
inline constexpr u32 kDecodeMask = 0xff;   // cpu::decode_key
inline constexpr unsigned kViewShift = 8;  // privilege view: Vcpu::view_index, 2 bits
inline constexpr u32 kViewMask = 3 << kViewShift;
inline constexpr u32 kNativeSimd =
    1 << 10;  // every MXCSR exception is masked, so SIMD can't trap on the host
inline constexpr u32 kNativeX87 =
    1 << 11;  // every x87 exception is masked and none is pending, so x87 and MMX can't trap on the host
inline constexpr u32 kNoGroups = 1 << 12;  // every memory access is checked by itself
// 32-bit code: CS, DS, ES and SS span 4 GiB from 0 and let everything through that they can; FS, or GS, spans
// 4 GiB; it does so from a page's start, so that what reaches over its end reaches over a page's.
inline constexpr u32 kFlat32 = 1 << 13, kOpenFs = 1 << 14, kOpenGs = 1 << 15, kPagedFs = 1 << 16,
                     kPagedGs = 1 << 17;
inline constexpr u32 kEnd = 1 << 18;
/// Whether the code is 64-bit code; else 32-bit code.
constexpr bool is_wide(u32 key) { return (key & cpu::decode_key::kBitsMask) == cpu::decode_key::kBits64; }
constexpr u32 view_of(u32 key) { return (key & kViewMask) >> kViewShift; }
/// The privilege view at CPL 0 with SMAP, by RFLAGS.AC.
constexpr u32 view_of_supervisor(bool ac) { return ac ? 2 : 1; }
}  // namespace block_key

using BlockId = u32;
using LinkId = u32;
using SiteId = u32;
inline constexpr u32 kNone = 0xffffffff;
/// Ids count within a unit of the cache, whose number stands above them; all 29 bits fit above an ExitKind.
inline constexpr unsigned kUnitShift = 26, kUnits = 8;

/// Why translated code came back to its engine; what belongs to it stands above the low three bits of its
/// result: an id, or, where a call led out, the arena offset behind that.
enum class ExitKind : u32 {
  kSite,       // an instruction's handler is wanted: the id of its site
  kSiteAt,     // the same, where a call led out
  kLink,       // a direct jump that leads nowhere yet; where a call led out
  kIndirect,   // RIP is stored; no table entry leads there
  kBudget,     // the block would run over the budget; it has been paid for, and nothing has run; likewise
  kGone,       // the block has been dropped, or was made of another second page; nothing has run; likewise
  kBadReturn,  // a return to an address that is not canonical: its site's id; RSP has moved on already
  kLeft,       // a site's handler has left the block: RIP is the state's
};
inline constexpr unsigned kExitKindBits = 3, kExitKinds = 8;
/// CALL rel32, and JMP rel32, which a connected link makes of it.
inline constexpr u8 kCallOpcode = 0xe8, kJumpOpcode = 0xe9;
inline constexpr u32 kCallBytes = 5;

/// An instruction that may leave its block to run its handler, and where the block goes on behind it.
struct Site {
  BlockId block = kNone;
  u16 index = 0;        // of the instruction in its block
  bool native = false;  // the instruction runs natively otherwise
  u16 paid_ahead = 0;   // ticks that a loop has paid for turns behind this one
  u32 exit = 0;         // arena offset behind the last call that leads out of it; 0: none does
  u32 resume = 0;       // arena offset; kNone: the handler always ends the block
  LinkId link = kNone;  // a jump's, which is connected to where the handler has gone
};

/// A direct jump out of a block.
struct Link {
  static constexpr u32 kNoFrame = 0x7fffffff;  // no frame has this number
  BlockId block = kNone;                       // that it leaves
  BlockId to = kNone;                          // that it is patched to
  u64 target = 0;                              // guest address, from the block's page on
  u32 key_bits = 0;                            // kNoGroups: that version of the target is wanted
  u32 jump = 0;                                // arena offset of the patched rel32
  u32 exit = 0;                                // arena offset behind the call that leads out while unpatched
  u32 frame = kNone;  // arena offset of the guard's 32-bit immediate; kNone: within the page, no guard
  i8 ticks_back = 0;  // what the ADD before the jump adds while unpatched; 0: there is none that may change
  LinkId next_incoming = kNone, previous_incoming = kNone;
  /// Unpatched, it is that call itself; else it jumps there.
  bool leads_out() const { return exit == jump + 4; }
};

/// What a block that was made of one page begins with, if it counts no more than this: SUB of its ticks, with
/// an immediate of one byte. Behind it stands the jump to where the block goes if there are fewer.
inline constexpr u32 kPayBytes = 5, kMostPaidByByte = 127;

struct Block {
  const u8* host = nullptr;   // of the first guest byte; null: dropped
  const u8* host2 = nullptr;  // of the second page, if its only instruction crosses into it
  u32 key = 0;
  u32 code = 0;  // arena offset
  u32 code_bytes = 0;
  u16 count = 0;  // guest instructions
  u16 bytes = 0;  // guest bytes, from the first to the last; with those that jumps within skip
  u16 offset_in_page = 0;
  bool uses_vectors = false;
  bool patched = false;  // it is in PatchedBlocks
  u32 first_insn = 0;    // in its unit's pool, with the unit above kUnitShift
  LinkId first_link = kNone;
  SiteId first_site = kNone;
  u16 links = 0, sites = 0;
  LinkId incoming = kNone;
  u32 next_in_frame[2] = {kNone, kNone};  // nodes of the lists of its frames: block id * 2 + which
  BlockId next_in_bucket = kNone;
};

/// A place in a vCPU's table of indirect targets: the frame, the block key, the offset in the page.
/// Not 0, since no key is.
inline constexpr unsigned kPlaceKeyShift = 12, kPlaceFrameShift = 32;
constexpr u64 place_of(u64 frame, u64 offset, u32 key) {
  return frame << kPlaceFrameShift | u64{key} << kPlaceKeyShift | offset;
}
/// How far a place is shifted right to mix its frame into its index.
inline constexpr unsigned kPlaceFold = 31;
constexpr u32 jump_index(u64 place) {
  return static_cast<u32>((place ^ (place >> kPlaceFold)) & (cpu::Vcpu::JumpTable::kEntries - 1));
}

}  // namespace orrery::jit
