// FXSAVE, FXRSTOR, the XSAVE family, XGETBV, XSETBV, LDMXCSR, STMXCSR. [SDM1 10.5, 13], [APM2 11.5], [SDM2]
//
// FOP, FIP and FDP are always written, as zeros unless an exception is pending (AMD's XSAVEERPTR).
// Not modelled: XSAVEOPT's and XSAVES' modified optimisation; EFER.FFXSR outside CPL 0 in 64-bit mode.
#include "cpu/exec/fp_stack.h"
#include "cpu/exec/fp_xsave.h"

namespace orrery::cpu::exec {

u64 xsave::in_use(const CpuState& s) {
  u64 bits = 0;
  bool x87 = s.fcw != 0x37f || s.fsw != 0 || s.ftw != 0 || s.fop != 0 || s.fip != 0 || s.fdp != 0;
  for (const Float80& r : s.fpr) x87 |= r.significand != 0 || r.sign_exponent != 0;
  if (x87) bits |= xcr0::X87;
  u64 low = 0, high = 0;
  for (const Vec& v : s.vec) {
    low |= v.q[0] | v.q[1];
    high |= v.q[2] | v.q[3];
  }
  if (low != 0) bits |= xcr0::SSE;
  if (high != 0) bits |= xcr0::AVX;
  if (s.pkru != 0) bits |= xcr0::PKRU;
  return bits;
}

namespace {

using namespace xsave;

inline constexpr unsigned kMxcsrOffset = 24, kX87RegistersOffset = 32, kXmmOffset = 160;

/// The image of an area, its parts filled and written piece by piece; the other bytes of memory stay.
struct Image {
  alignas(64) u8 bytes[kMaxBytes] = {};
  template <class T>
  void put(unsigned offset, T v) {
    __builtin_memcpy(bytes + offset, &v, sizeof v);
  }
  template <class T>
  T get(unsigned offset) const {
    T v;
    __builtin_memcpy(&v, bytes + offset, sizeof v);
    return v;
  }
};

unsigned xmm_count(const Vcpu& cpu) { return cpu.long64() ? 16 : 8; }

void put_x87(const CpuState& s, bool wide, Image& image) {
  image.put<u16>(0, s.fcw);
  image.put<u16>(2, s.fsw);
  image.put<u16>(4, s.ftw);
  if ((s.fsw & fsw::ES) == 0) {
    // AMD saves the last instruction's pointers only while an exception is pending; zeros otherwise.
    // [APM2 11.4.4]
  } else if (wide) {
    image.put<u16>(6, s.fop);
    image.put<u64>(8, s.fip);
    image.put<u64>(16, s.fdp);
  } else {
    image.put<u16>(6, s.fop);
    image.put<u64>(8, (s.fip & 0xffffffff) | u64{s.fcs} << 32);
    image.put<u64>(16, (s.fdp & 0xffffffff) | u64{s.fds} << 32);
  }
  const unsigned top = (s.fsw >> fsw::kTopShift) & 7;
  for (unsigned i = 0; i < 8; ++i) {
    image.put<u64>(kX87RegistersOffset + 16 * i, s.fpr[(top + i) & 7].significand);
    image.put<u64>(kX87RegistersOffset + 16 * i + 8, s.fpr[(top + i) & 7].sign_exponent);
  }
}
void take_x87(Vcpu& cpu, bool wide, const Image& image) {
  CpuState& s = cpu.state;
  const unsigned bits = cpu.model().linear_address_bits;
  s.fcw = static_cast<u16>((image.get<u16>(0) & 0x1f3f) | 0x40);
  s.fsw = image.get<u16>(2);
  s.ftw = image.get<u8>(4);
  s.fop = image.get<u16>(6) & 0x7ff;
  // Wide pointers are made canonical.
  s.fip = wide ? static_cast<u64>(sign_extend(image.get<u64>(8), bits)) : image.get<u32>(8);
  s.fdp = wide ? static_cast<u64>(sign_extend(image.get<u64>(16), bits)) : image.get<u32>(16);
  s.fcs = wide ? u16{0} : image.get<u16>(12);
  s.fds = wide ? u16{0} : image.get<u16>(20);
  const unsigned top = (s.fsw >> fsw::kTopShift) & 7;
  for (unsigned i = 0; i < 8; ++i) {
    s.fpr[(top + i) & 7].significand = image.get<u64>(kX87RegistersOffset + 16 * i);
    s.fpr[(top + i) & 7].sign_exponent = image.get<u16>(kX87RegistersOffset + 16 * i + 8);
  }
  update_x87_summary(s);
}
void initialise_x87(CpuState& s) {
  s.fcw = 0x37f;
  s.fsw = s.fop = s.fcs = s.fds = 0;
  s.ftw = 0;
  s.fip = s.fdp = 0;
  for (Float80& r : s.fpr) r = Float80{};
}
void put_sse(const Vcpu& cpu, Image& image) {
  for (unsigned i = 0; i < xmm_count(cpu); ++i)
    __builtin_memcpy(image.bytes + kXmmOffset + 16 * i, &cpu.state.vec[i], 16);
}
void take_sse(Vcpu& cpu, const Image& image) {
  for (unsigned i = 0; i < xmm_count(cpu); ++i)
    __builtin_memcpy(&cpu.state.vec[i], image.bytes + kXmmOffset + 16 * i, 16);
}
bool valid_mxcsr(u32 v) { return (v & ~mxcsr::kWritable) == 0; }

/// #GP(0) unless the operand is aligned to `bytes`.
bool aligned(Vcpu& cpu, const Insn& insn, unsigned bytes) { return cpu.check_aligned(insn, bytes); }

// ---- MXCSR ----
Outcome ldmxcsr(Vcpu& cpu, const Insn& insn) {
  u32 v = 0;
  if (!cpu.read(insn, v)) return Outcome::kFault;
  if (!valid_mxcsr(v)) return cpu.raise(kGP, 0);
  cpu.state.mxcsr = v;
  return Outcome::kNext;
}
Outcome stmxcsr(Vcpu& cpu, const Insn& insn) {
  return cpu.write(insn, cpu.state.mxcsr) ? Outcome::kNext : Outcome::kFault;
}

// ---- FXSAVE, FXRSTOR ----
/// An area whose first doubleword is out of reach raises what that raises; misaligned ones raise #GP(0), and
/// where alignment is checked and doublewords are misaligned, too, #AC. [SDM2 FXSAVE]
bool fxsave_aligned(Vcpu& cpu, const Insn& insn) {
  const SegmentIndex segment = insn.segment();
  const u64 address = cpu.effective_address(insn);
  u64 linear = address + cpu.segment_base(segment);
  if (!cpu.long64()) {
    if (!cpu.segment_linear(segment, address, 4, Access::kRead, linear)) return false;
  } else if (!cpu.canonical(linear)) {
    cpu.raise(segment == kSs ? kSS_ : kGP, 0);
    return false;
  }
  if (aligned(cpu, insn, 16)) return true;
  if (cpu.alignment_checked() && (linear & 3) != 0) cpu.raise(kAC, 0);
  return false;
}

/// Behind its last byte an area is checked piece by piece, in order; their offsets wrap at the address size.
struct FxPiece {
  u8 bytes[16];
};
constexpr unsigned kFxPiece = sizeof(FxPiece);
u64 fx_piece(const Vcpu& cpu, const Insn& insn, unsigned at) {
  return (cpu.effective_address(insn) + at) & insn.address_mask();
}
/// With EFER.FFXSR, CPL 0 in 64-bit mode skips the XMM registers. [APM2 11.5.2]
bool fast_fxsr(const Vcpu& cpu) {
  return (cpu.state.efer & efer::FFXSR) != 0 && cpu.cpl() == 0 && cpu.long64();
}

template <bool kWide>
Outcome fxsave(Vcpu& cpu, const Insn& insn) {
  if (!fxsave_aligned(cpu, insn)) return Outcome::kFault;
  Image image;
  put_x87(cpu.state, kWide, image);
  image.put<u32>(kMxcsrOffset, cpu.state.mxcsr);
  image.put<u32>(kMxcsrOffset + 4, mxcsr::kWritable);
  unsigned bytes = kXmmOffset;
  if (!fast_fxsr(cpu)) {
    put_sse(cpu, image);
    bytes += 16 * xmm_count(cpu);
  }
  if (!probe_last_byte(cpu, insn, kLegacyBytes, Access::kWrite)) return Outcome::kFault;
  for (unsigned at = 0; at < bytes; at += kFxPiece) {
    if (!cpu.write(insn.segment(), fx_piece(cpu, insn, at), image.get<FxPiece>(at))) return Outcome::kFault;
  }
  return Outcome::kNext;
}
template <bool kWide>
Outcome fxrstor(Vcpu& cpu, const Insn& insn) {
  if (!fxsave_aligned(cpu, insn)) return Outcome::kFault;
  Image image;
  if (!probe_last_byte(cpu, insn, kLegacyBytes, Access::kRead)) return Outcome::kFault;
  for (unsigned at = 0; at < kLegacyBytes; at += kFxPiece) {
    FxPiece piece;
    if (!cpu.read(insn.segment(), fx_piece(cpu, insn, at), piece)) return Outcome::kFault;
    image.put(at, piece);
  }
  const u32 new_mxcsr = image.get<u32>(kMxcsrOffset);
  if (!valid_mxcsr(new_mxcsr)) return cpu.raise(kGP, 0);
  take_x87(cpu, kWide, image);
  cpu.state.mxcsr = new_mxcsr;
  if (!fast_fxsr(cpu)) take_sse(cpu, image);
  return Outcome::kNext;
}

// ---- XSAVE family ----
bool xsave_available(Vcpu& cpu) {
  if ((cpu.state.cr4 & cr4::OSXSAVE) == 0) {
    cpu.raise(kUD);
    return false;
  }
  if ((cpu.state.cr0 & cr0::TS) != 0) {
    cpu.raise(kNM);
    return false;
  }
  return true;
}
u64 requested(const Vcpu& cpu) { return (cpu.state.gpr[kRdx] << 32) | (cpu.state.gpr[kRax] & 0xffffffff); }

enum class Save : u8 { kPlain, kOptimised, kCompacted, kSupervisor };

template <Save kKind, bool kWide>
Outcome save_area(Vcpu& cpu, const Insn& insn) {
  constexpr bool kCompact = kKind == Save::kCompacted || kKind == Save::kSupervisor;
  if (!xsave_available(cpu)) return Outcome::kFault;
  if (kKind == Save::kSupervisor && cpu.cpl() != 0) return cpu.raise(kGP, 0);
  if (!aligned(cpu, insn, 64)) return Outcome::kFault;
  const CpuState& s = cpu.state;
  const u64 wanted = requested(cpu) & (s.xcr0 | (kKind == Save::kSupervisor ? s.xss : 0));
  const u64 used = in_use(s);
  u64 stored = kKind == Save::kPlain ? wanted : wanted & used;
  if (kCompact && (wanted & xcr0::SSE) != 0 && s.mxcsr != mxcsr::kDefault) stored |= xcr0::SSE;

  const u64 address = cpu.effective_address(insn);
  const SegmentIndex segment = insn.segment();
  const unsigned bytes = kCompact ? compacted_bytes(wanted) : standard_bytes(wanted);
  if (!probe_last_byte(cpu, insn, bytes, Access::kWrite)) return Outcome::kFault;
  if (!cpu.probe_write(segment, address, bytes)) return Outcome::kFault;
  u64 state_bv = stored, compact_bv = wanted | (u64{1} << 63);
  if (!kCompact) {
    if (!cpu.read(segment, address + kLegacyBytes, state_bv)) return Outcome::kFault;
    state_bv = (state_bv & ~wanted) | (wanted & used);
  }

  // The area was checked as a whole, so that the pieces below can't fault.
  Image image;
  const auto piece = [&](unsigned to, unsigned from, unsigned size) {
    return cpu.write_bytes(segment, address + to, image.bytes + from, size);
  };
  bool ok = true;
  if ((stored & xcr0::X87) != 0) {
    put_x87(s, kWide, image);
    ok = ok && piece(0, 0, kMxcsrOffset) && piece(kX87RegistersOffset, kX87RegistersOffset, 128);
  }
  if ((stored & xcr0::SSE) != 0) {
    put_sse(cpu, image);
    ok = ok && piece(kXmmOffset, kXmmOffset, 16 * xmm_count(cpu));
  }
  if (kCompact ? (stored & xcr0::SSE) != 0 : (wanted & (xcr0::SSE | xcr0::AVX)) != 0) {
    image.put<u32>(kMxcsrOffset, s.mxcsr);
    image.put<u32>(kMxcsrOffset + 4, mxcsr::kWritable);
    ok = ok && piece(kMxcsrOffset, kMxcsrOffset, 8);
  }
  if ((stored & xcr0::AVX) != 0) {
    for (unsigned i = 0; i < xmm_count(cpu); ++i)
      __builtin_memcpy(image.bytes + kAvxOffset + 16 * i, &s.vec[i].q[2], 16);
    ok = ok && piece(kAvxOffset, kAvxOffset, 16 * xmm_count(cpu));
  }
  if ((stored & xcr0::PKRU) != 0) {
    image.put<u64>(kPkruOffset, s.pkru);
    ok = ok && piece(kCompact ? compacted_bytes(wanted & ~xcr0::PKRU) : kPkruOffset, kPkruOffset, kPkruBytes);
  }
  ok = ok && cpu.write(segment, address + kLegacyBytes, state_bv);
  if (kCompact) ok = ok && cpu.write(segment, address + kLegacyBytes + 8, compact_bv);
  return ok ? Outcome::kNext : Outcome::kFault;
}

template <bool kSupervisor, bool kWide>
Outcome restore_area(Vcpu& cpu, const Insn& insn) {
  if (!xsave_available(cpu)) return Outcome::kFault;
  if (kSupervisor && cpu.cpl() != 0) return cpu.raise(kGP, 0);
  if (!aligned(cpu, insn, 64)) return Outcome::kFault;
  CpuState& s = cpu.state;
  const u64 enabled = s.xcr0 | (kSupervisor ? s.xss : 0);
  const u64 wanted = requested(cpu) & enabled;
  const u64 address = cpu.effective_address(insn);
  const SegmentIndex segment = insn.segment();

  u64 header[8];
  if (!cpu.read_bytes(segment, address + kLegacyBytes, header, kHeaderBytes)) return Outcome::kFault;
  const u64 state_bv = header[0], compact_bv = header[1];
  const bool compact = (compact_bv >> 63) != 0;
  bool bad = (state_bv & ~enabled) != 0;
  if (compact) {
    const u64 listed = compact_bv & ~(u64{1} << 63);
    bad |= (listed & ~enabled) != 0 || (state_bv & ~listed) != 0;
    for (unsigned i = 2; i < 8; ++i) bad |= header[i] != 0;
  } else {
    bad |= kSupervisor || compact_bv != 0 || header[2] != 0;
  }
  if (bad) return cpu.raise(kGP, 0);

  Image image;
  const u64 loaded = wanted & state_bv;
  const u64 listed = compact ? compact_bv & enabled : enabled;
  const bool loads_mxcsr = compact ? (loaded & xcr0::SSE) != 0 : (wanted & (xcr0::SSE | xcr0::AVX)) != 0;
  const auto piece = [&](unsigned from, unsigned to, unsigned size) {
    return cpu.read_bytes(segment, address + from, image.bytes + to, size);
  };
  if ((loaded & (xcr0::X87 | xcr0::SSE)) != 0 || loads_mxcsr) {
    if (!piece(0, 0, kLegacyBytes)) return Outcome::kFault;
  }
  if ((loaded & xcr0::AVX) != 0 && !piece(kAvxOffset, kAvxOffset, kAvxBytes)) return Outcome::kFault;
  if ((loaded & xcr0::PKRU) != 0) {
    const unsigned from = compact ? compacted_bytes(listed & ~xcr0::PKRU) : kPkruOffset;
    if (!piece(from, kPkruOffset, kPkruBytes)) return Outcome::kFault;
  }
  if (loads_mxcsr && !valid_mxcsr(image.get<u32>(kMxcsrOffset))) return cpu.raise(kGP, 0);

  if ((wanted & xcr0::X87) != 0) {
    if ((loaded & xcr0::X87) != 0)
      take_x87(cpu, kWide, image);
    else
      initialise_x87(s);
  }
  // A component that the area does not hold gets its initial value, which `image` already is for these.
  if ((wanted & xcr0::SSE) != 0) {
    if ((loaded & xcr0::SSE) == 0) std::fill_n(image.bytes + kXmmOffset, 256, u8{0});
    take_sse(cpu, image);
  }
  if (loads_mxcsr)
    s.mxcsr = image.get<u32>(kMxcsrOffset);
  else if (compact && (wanted & xcr0::SSE) != 0)
    s.mxcsr = mxcsr::kDefault;
  if ((wanted & xcr0::AVX) != 0) {
    for (unsigned i = 0; i < xmm_count(cpu); ++i)
      __builtin_memcpy(&s.vec[i].q[2], image.bytes + kAvxOffset + 16 * i, 16);
  }
  if ((wanted & xcr0::PKRU) != 0) {
    const u32 pkru = image.get<u32>(kPkruOffset);
    if (pkru != s.pkru) {
      cpu.set_pkru(pkru);
      return Outcome::kEndTrace;
    }
  }
  return Outcome::kNext;
}

// ---- XCR0 ----
Outcome xgetbv(Vcpu& cpu, const Insn&) {
  if ((cpu.state.cr4 & cr4::OSXSAVE) == 0) return cpu.raise(kUD);
  u64 value = 0;
  switch (cpu.reg<u32>(kRcx)) {
    case 0:
      value = cpu.state.xcr0;
      break;
    case 1:
      if (!cpu.model().has(isa::Feature::kXsavec)) return cpu.raise(kGP, 0);
      value = cpu.state.xcr0 & in_use(cpu.state);
      break;
    default:
      return cpu.raise(kGP, 0);
  }
  cpu.set_reg<u32>(kRax, static_cast<u32>(value));
  cpu.set_reg<u32>(kRdx, static_cast<u32>(value >> 32));
  return Outcome::kNext;
}
Outcome xsetbv(Vcpu& cpu, const Insn&) {
  if ((cpu.state.cr4 & cr4::OSXSAVE) == 0) return cpu.raise(kUD);
  if (cpu.cpl() != 0 || cpu.reg<u32>(kRcx) != 0) return cpu.raise(kGP, 0);
  const u64 value = requested(cpu);
  if (!valid_xcr0(cpu.model(), value)) return cpu.raise(kGP, 0);
  cpu.state.xcr0 = value;
  cpu.mode_changed();
  return Outcome::kEndTrace;
}

}  // namespace

#define ONE_FORM(name, ...) \
  Handler select_##name(const Insn&, const DecodedForm&) { return &__VA_ARGS__; }
ONE_FORM(ldmxcsr, ldmxcsr)
ONE_FORM(stmxcsr, stmxcsr)
ONE_FORM(fxsave, fxsave<false>)
ONE_FORM(fxsave64, fxsave<true>)
ONE_FORM(fxrstor, fxrstor<false>)
ONE_FORM(fxrstor64, fxrstor<true>)
ONE_FORM(xsave, save_area<Save::kPlain, false>)
ONE_FORM(xsave64, save_area<Save::kPlain, true>)
ONE_FORM(xsaveopt, save_area<Save::kOptimised, false>)
ONE_FORM(xsaveopt64, save_area<Save::kOptimised, true>)
ONE_FORM(xsavec, save_area<Save::kCompacted, false>)
ONE_FORM(xsavec64, save_area<Save::kCompacted, true>)
ONE_FORM(xsaves, save_area<Save::kSupervisor, false>)
ONE_FORM(xsaves64, save_area<Save::kSupervisor, true>)
ONE_FORM(xrstor, restore_area<false, false>)
ONE_FORM(xrstor64, restore_area<false, true>)
ONE_FORM(xrstors, restore_area<true, false>)
ONE_FORM(xrstors64, restore_area<true, true>)
ONE_FORM(xgetbv, xgetbv)
ONE_FORM(xsetbv, xsetbv)

}  // namespace orrery::cpu::exec
