// String instructions: MOVS STOS LODS CMPS SCAS INS OUTS with REP, REPE, REPNE. [SDM2], [APM3 3]
//
// Ticks (docs/determinism.md): a repeated MOVS, STOS or LODS costs one tick per started group of at most 64
// bytes; a group never crosses a page of either operand (an element that does is a group by itself). CMPS,
// SCAS, INS and OUTS cost one per iteration. The instruction can be interrupted between groups only.
#include "cpu/exec/common.h"
#include "cpu/exec/io.h"
#include "cpu/flags.h"

namespace orrery::cpu::exec {
namespace {

constexpr u64 kGroupBytes = 64;

/// Debug traps come after each iteration [SDM3 17.3.1.4]: a group is one element while there may be some.
inline u64 group_limit(const Vcpu& cpu, u64 count) {
  const bool one = (cpu.state.rflags & rflags::TF) != 0 || (cpu.state.dr7 & dr7::kEnableMask) != 0;
  return one ? 1 : count;
}

inline bool repeated(const Insn& insn) { return insn.has(insn_flag::kRep) || insn.has(insn_flag::kRepne); }

inline void set_address_reg(Vcpu& cpu, u8 reg, u64 value, u64 mask) {
  u64& r = cpu.state.gpr[reg];
  r = mask == 0xffff ? (r & ~mask) | (value & mask) : value & mask;
}

template <class T>
inline i64 step_of(const Vcpu& cpu) {
  return (cpu.state.rflags & rflags::DF) != 0 ? -static_cast<i64>(sizeof(T)) : static_cast<i64>(sizeof(T));
}

/// How many elements from `offset` on (in direction `step`) lie in one page with the first; at least one.
template <class T>
inline u64 elements_in_page(u64 linear, i64 step) {
  const u64 in_page = linear & (memory::kPageBytes - 1);
  if (step > 0) return std::max<u64>(1, (memory::kPageBytes - in_page) / sizeof(T));
  if (in_page + sizeof(T) > memory::kPageBytes) return 1;
  return in_page / sizeof(T) + 1;
}

/// How many whole groups of a repeated forward MOVS or STOS may be done at once: they lie in their pages and
/// leave a tick and an element for the step-by-step way, which knows every way to end.
inline u64 whole_groups(const Vcpu& cpu, u64 bytes_left, u64 bytes_in_pages) {
  if (!cpu.long64() || (cpu.state.rflags & (rflags::DF | rflags::TF)) != 0 ||
      (cpu.state.dr7 & dr7::kEnableMask) != 0 || cpu.ticks_left <= 1 || bytes_left == 0) {
    return 0;
  }
  return std::min(
      {(bytes_left - 1) / kGroupBytes, bytes_in_pages / kGroupBytes, static_cast<u64>(cpu.ticks_left - 1)});
}
inline u64 bytes_to_page_end(u64 linear) { return memory::kPageBytes - (linear & (memory::kPageBytes - 1)); }

/// Copies ascending elements; where the destination overlaps what follows, later elements are copies of
/// copies.
inline void copy_forward(u8* to, const u8* from, u64 bytes, u64 element_bytes) {
  const u64 ahead = reinterpret_cast<u64>(to) - reinterpret_cast<u64>(from);
  if (ahead >= bytes) {
    std::memmove(to, from, bytes);
  } else {
    u8 element[8];
    for (u64 i = 0; i < bytes; i += element_bytes) {
      std::memcpy(element, from + i, element_bytes);
      std::memcpy(to + i, element, element_bytes);
    }
  }
}

/// A fault in the middle of a group: the elements before it have been done and stay done.
inline void keep_elements(Vcpu& cpu, const Insn& insn, u64 done) {
  if (done == 0 || !repeated(insn)) return;
  set_address_reg(cpu, kRcx, cpu.state.gpr[kRcx] - done, insn.address_mask());
}

/// Stops between two iterations; RIP stays, and an event that comes now pushes RF set.
inline Outcome restart(Vcpu& cpu) {
  cpu.state.in_repeat = true;
  return Outcome::kRestart;
}

/// Runs `group(max_elements) -> elements done, 0 on a fault` until the count or the ticks run out; before
/// each, `at_once(count) -> {elements, groups}` does whole groups.
struct AtOnce {
  u64 elements = 0;
  u64 groups = 0;
};
template <class Group, class Quick>
Outcome repeat_groups(Vcpu& cpu, const Insn& insn, Group group, Quick at_once) {
  const u64 mask = insn.address_mask();
  if (!repeated(insn)) return group(u64{1}) == 0 ? Outcome::kFault : Outcome::kNext;
  cpu.state.in_repeat = false;
  while (true) {
    u64 count = cpu.state.gpr[kRcx] & mask;
    if (count == 0) return Outcome::kNext;
    if (const AtOnce done = at_once(count); done.groups != 0) {
      count -= done.elements;
      set_address_reg(cpu, kRcx, count, mask);
      cpu.ticks_left -= static_cast<i64>(done.groups);
    }
    const u64 done = group(group_limit(cpu, count));
    if (done == 0) return Outcome::kFault;
    set_address_reg(cpu, kRcx, count - done, mask);
    if (count == done) return Outcome::kNext;
    // This group's tick; the last group's is the instruction's own.
    if (--cpu.ticks_left <= 0 || cpu.attention() || cpu.trace_stale != 0) return restart(cpu);
  }
}

template <class T>
Outcome movs(Vcpu& cpu, const Insn& insn) {
  const u64 mask = insn.address_mask();
  const i64 step = step_of<T>(cpu);
  const SegmentIndex source_segment = insn.segment();
  return repeat_groups(
      cpu, insn,
      [&](u64 limit) -> u64 {
        u64 from = cpu.state.gpr[kRsi] & mask;
        u64 to = cpu.state.gpr[kRdi] & mask;
        // Pages are counted on linear addresses.
        const u64 from_linear = from + cpu.segment_base(source_segment);
        const u64 to_linear = to + cpu.segment_base(kEs);
        u64 n = std::min<u64>(limit, kGroupBytes / sizeof(T));
        n = std::min({n, elements_in_page<T>(from_linear, step), elements_in_page<T>(to_linear, step)});
        for (u64 i = 0; i < n; ++i) {
          T value;
          if (!cpu.read<T>(source_segment, from, value) || !cpu.write<T>(kEs, to, value)) {
            if (i != 0) set_address_reg(cpu, kRsi, from, mask);
            if (i != 0) set_address_reg(cpu, kRdi, to, mask);
            keep_elements(cpu, insn, i);
            return 0;
          }
          from = (from + static_cast<u64>(step)) & mask;
          to = (to + static_cast<u64>(step)) & mask;
        }
        set_address_reg(cpu, kRsi, from, mask);
        set_address_reg(cpu, kRdi, to, mask);
        return n;
      },
      [&](u64 count) -> AtOnce {
        const u64 from = (cpu.state.gpr[kRsi] & mask) + cpu.segment_base(source_segment);
        const u64 to = cpu.state.gpr[kRdi] & mask;
        const u64 bytes =
            kGroupBytes *
            whole_groups(cpu, count * sizeof(T), std::min(bytes_to_page_end(from), bytes_to_page_end(to)));
        if (bytes == 0) return {};
        const u8* const source = cpu.quick_host(from, bytes, Access::kRead);
        u8* const target = cpu.quick_host(to, bytes, Access::kWrite);
        if (source == nullptr || target == nullptr) return {};
        copy_forward(target, source, bytes, sizeof(T));
        set_address_reg(cpu, kRsi, cpu.state.gpr[kRsi] + bytes, mask);
        set_address_reg(cpu, kRdi, to + bytes, mask);
        return {bytes / sizeof(T), bytes / kGroupBytes};
      });
}

template <class T>
Outcome stos(Vcpu& cpu, const Insn& insn) {
  const u64 mask = insn.address_mask();
  const i64 step = step_of<T>(cpu);
  const T value = cpu.reg<T>(kRax);
  return repeat_groups(
      cpu, insn,
      [&](u64 limit) -> u64 {
        u64 to = cpu.state.gpr[kRdi] & mask;
        u64 n = std::min<u64>(limit, kGroupBytes / sizeof(T));
        n = std::min(n, elements_in_page<T>(to + cpu.segment_base(kEs), step));
        for (u64 i = 0; i < n; ++i) {
          if (!cpu.write<T>(kEs, to, value)) {
            if (i != 0) set_address_reg(cpu, kRdi, to, mask);
            keep_elements(cpu, insn, i);
            return 0;
          }
          to = (to + static_cast<u64>(step)) & mask;
        }
        set_address_reg(cpu, kRdi, to, mask);
        return n;
      },
      [&](u64 count) -> AtOnce {
        const u64 to = cpu.state.gpr[kRdi] & mask;
        const u64 bytes = kGroupBytes * whole_groups(cpu, count * sizeof(T), bytes_to_page_end(to));
        u8* const target = bytes == 0 ? nullptr : cpu.quick_host(to, bytes, Access::kWrite);
        if (target == nullptr) return {};
        for (u64 i = 0; i < bytes; i += sizeof(T)) std::memcpy(target + i, &value, sizeof(T));
        set_address_reg(cpu, kRdi, to + bytes, mask);
        return {bytes / sizeof(T), bytes / kGroupBytes};
      });
}

template <class T>
Outcome lods(Vcpu& cpu, const Insn& insn) {
  const u64 mask = insn.address_mask();
  const i64 step = step_of<T>(cpu);
  return repeat_groups(
      cpu, insn,
      [&](u64 limit) -> u64 {
        u64 from = cpu.state.gpr[kRsi] & mask;
        u64 n = std::min<u64>(limit, kGroupBytes / sizeof(T));
        n = std::min(n, elements_in_page<T>(from + cpu.segment_base(insn.segment()), step));
        T value{};
        for (u64 i = 0; i < n; ++i) {
          const T last = value;
          if (!cpu.read<T>(insn.segment(), from, value)) {
            if (i != 0) set_address_reg(cpu, kRsi, from, mask);
            if (i != 0) cpu.set_reg<T>(kRax, last);
            keep_elements(cpu, insn, i);
            return 0;
          }
          from = (from + static_cast<u64>(step)) & mask;
        }
        cpu.set_reg<T>(kRax, value);
        set_address_reg(cpu, kRsi, from, mask);
        return n;
      },
      [](u64) -> AtOnce { return {}; });
}

/// One iteration at a time; `iterate` returns false on a fault. Conditional repeats end on ZF.
template <bool kConditional, class Iterate>
Outcome repeat_each(Vcpu& cpu, const Insn& insn, Iterate iterate) {
  const u64 mask = insn.address_mask();
  if (!repeated(insn)) return iterate() ? Outcome::kNext : Outcome::kFault;
  cpu.state.in_repeat = false;
  while (true) {
    const u64 count = cpu.state.gpr[kRcx] & mask;
    if (count == 0) return Outcome::kNext;
    if (!iterate()) return Outcome::kFault;
    set_address_reg(cpu, kRcx, count - 1, mask);
    if (count == 1) return Outcome::kNext;
    if constexpr (kConditional) {
      const bool zf = (cpu.state.rflags & rflags::ZF) != 0;
      if (zf != insn.has(insn_flag::kRep)) return Outcome::kNext;
    }
    if (--cpu.ticks_left <= 0 || cpu.attention() || cpu.trace_stale != 0) return restart(cpu);
  }
}

template <class T>
Outcome cmps(Vcpu& cpu, const Insn& insn) {
  const u64 mask = insn.address_mask();
  const i64 step = step_of<T>(cpu);
  return repeat_each<true>(cpu, insn, [&] {
    const u64 first = cpu.state.gpr[kRsi] & mask;
    const u64 second = cpu.state.gpr[kRdi] & mask;
    T a;
    T b;
    if (!cpu.read<T>(insn.segment(), first, a) || !cpu.read<T>(kEs, second, b)) return false;
    set_arithmetic(cpu.state, sub_flags(a, b, static_cast<T>(a - b)));
    set_address_reg(cpu, kRsi, first + static_cast<u64>(step), mask);
    set_address_reg(cpu, kRdi, second + static_cast<u64>(step), mask);
    return true;
  });
}

template <class T>
Outcome scas(Vcpu& cpu, const Insn& insn) {
  const u64 mask = insn.address_mask();
  const i64 step = step_of<T>(cpu);
  const T a = cpu.reg<T>(kRax);
  return repeat_each<true>(cpu, insn, [&] {
    const u64 at = cpu.state.gpr[kRdi] & mask;
    T b;
    if (!cpu.read<T>(kEs, at, b)) return false;
    set_arithmetic(cpu.state, sub_flags(a, b, static_cast<T>(a - b)));
    set_address_reg(cpu, kRdi, at + static_cast<u64>(step), mask);
    return true;
  });
}

template <class T>
Outcome ins(Vcpu& cpu, const Insn& insn) {
  const u64 mask = insn.address_mask();
  const i64 step = step_of<T>(cpu);
  const u16 port = cpu.reg<u16>(kRdx);
  if (!io_allowed(cpu, port, sizeof(T))) return Outcome::kFault;
  return repeat_each<false>(cpu, insn, [&] {
    const u64 to = cpu.state.gpr[kRdi] & mask;
    // The destination is checked before the port is read: reading has effects.
    if (!cpu.probe_write(kEs, to, sizeof(T))) return false;
    const T value = static_cast<T>(port_in(cpu, port, sizeof(T)));
    if (!cpu.write<T>(kEs, to, value)) return false;
    set_address_reg(cpu, kRdi, to + static_cast<u64>(step), mask);
    return true;
  });
}

template <class T>
Outcome outs(Vcpu& cpu, const Insn& insn) {
  const u64 mask = insn.address_mask();
  const i64 step = step_of<T>(cpu);
  const u16 port = cpu.reg<u16>(kRdx);
  if (!io_allowed(cpu, port, sizeof(T))) return Outcome::kFault;
  return repeat_each<false>(cpu, insn, [&] {
    const u64 from = cpu.state.gpr[kRsi] & mask;
    T value;
    if (!cpu.read<T>(insn.segment(), from, value)) return false;
    port_out(cpu, port, value, sizeof(T));
    set_address_reg(cpu, kRsi, from + static_cast<u64>(step), mask);
    return true;
  });
}

}  // namespace

// MOVSD and CMPSD are SSE2 mnemonics too: their rows choose by opcode (sse_*.cpp).
#define ORRERY_STRING(name)                                                              \
  Handler select_##name##b(const Insn&, const DecodedForm&) { return name<u8>; }         \
  Handler select_##name##w(const Insn&, const DecodedForm&) { return name<u16>; }        \
  Handler select_##name##d_string(const Insn&, const DecodedForm&) { return name<u32>; } \
  Handler select_##name##q(const Insn&, const DecodedForm&) { return name<u64>; }
ORRERY_STRING(movs)
ORRERY_STRING(stos)
ORRERY_STRING(lods)
ORRERY_STRING(cmps)
ORRERY_STRING(scas)
#undef ORRERY_STRING
Handler select_insb(const Insn&, const DecodedForm&) { return ins<u8>; }
Handler select_insw(const Insn&, const DecodedForm&) { return ins<u16>; }
Handler select_insd(const Insn&, const DecodedForm&) { return ins<u32>; }
Handler select_outsb(const Insn&, const DecodedForm&) { return outs<u8>; }
Handler select_outsw(const Insn&, const DecodedForm&) { return outs<u16>; }
Handler select_outsd(const Insn&, const DecodedForm&) { return outs<u32>; }

}  // namespace orrery::cpu::exec
