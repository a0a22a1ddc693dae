// Segment descriptors: reading them from the GDT and LDT, and loading segment registers with the manual's
// checks. [SDM3 3.4, 5], [APM2 4]
#pragma once

#include <optional>

#include "cpu/vcpu.h"

namespace orrery::cpu {

inline constexpr u16 kSelectorRplMask = 3;
inline constexpr u16 kSelectorTi = 4;
inline bool is_null_selector(u16 selector) { return (selector & ~kSelectorRplMask) == 0; }
/// The error code that names a selector.
inline u32 selector_error(u16 selector) { return selector & 0xfffcu; }

/// An 8-byte descriptor, and its upper half when it is a system descriptor in long mode.
struct Descriptor {
  u64 low = 0;
  u64 high = 0;
  u64 table_address = 0;  // linear

  u32 attributes() const { return static_cast<u32>(bits(low, 47, 40) | (bits(low, 55, 52) << 12)); }
  u32 limit() const {
    const u32 raw = static_cast<u32>(bits(low, 15, 0) | (bits(low, 51, 48) << 16));
    return (attributes() & seg_attr::kG) != 0 ? (raw << 12) | 0xfff : raw;
  }
  u64 base() const { return bits(low, 39, 16) | (bits(low, 63, 56) << 24) | (high & 0xffffffff) << 32; }
  unsigned type() const { return static_cast<unsigned>(bits(low, 43, 40)); }
  unsigned dpl() const { return static_cast<unsigned>(bits(low, 46, 45)); }
  bool present() const { return bit(low, 47); }
  bool is_system() const { return !bit(low, 44); }
  bool is_code() const { return !is_system() && bit(low, 43); }
  bool is_conforming() const { return bit(low, 42); }
  bool is_readable_or_writable() const { return bit(low, 41); }
  bool is_long() const { return bit(low, 53); }
  bool is_default_big() const { return bit(low, 54); }
  /// Long mode: the type field of the upper half is zero, so that it is no descriptor of its own
  /// [SDM3 3.5.2].
  bool upper_half_is_plain() const { return bits(high, 44, 40) == 0; }
  // Gates.
  u16 gate_selector() const { return static_cast<u16>(bits(low, 31, 16)); }
  u64 gate_offset() const { return bits(low, 15, 0) | (bits(low, 63, 48) << 16) | (high & 0xffffffff) << 32; }

  Segment to_segment(u16 selector) const {
    return {.base = base(), .limit = limit(), .attributes = attributes(), .selector = selector};
  }
};

/// Reads the descriptor that `selector` names. Outside its table: raises `vector`(selector). `wide` reads 16
/// bytes (system descriptors in long mode).
bool read_descriptor(Vcpu& cpu, u16 selector, Descriptor& out, Vector vector, bool wide = false);
/// The same without faults; false if there is none that could be read. For LAR, LSL, VERR, VERW.
enum class Peek : u8 { kFound, kMissing, kFault };
Peek peek_descriptor(Vcpu& cpu, u16 selector, Descriptor& out);
/// Sets the Accessed bit in memory, if it is clear.
bool mark_accessed(Vcpu& cpu, Descriptor& descriptor);

/// MOV, POP, LxS to ES, SS, DS, FS, GS in every mode. Raises and returns false on a violation.
bool load_data_segment(Vcpu& cpu, SegmentIndex index, u16 selector);
/// A segment register in real and virtual-8086 mode.
void load_real_segment(Vcpu& cpu, SegmentIndex index, u16 selector);
/// Puts a checked code segment into CS with RPL and CPL `cpl`.
void set_code_segment(Vcpu& cpu, const Descriptor& descriptor, u16 selector, unsigned cpl);
/// A null SS as 64-bit stack switches leave it.
void set_null_stack_segment(Vcpu& cpu, unsigned cpl);

bool load_ldtr(Vcpu& cpu, u16 selector);
bool load_tr(Vcpu& cpu, u16 selector);

}  // namespace orrery::cpu
