// IN and OUT. INS and OUTS: string.cpp. [SDM2 IN, OUT], [SDM1 19]
#include "cpu/exec/io.h"

#include "cpu/exec/common.h"
#include "cpu/system/debug.h"

namespace orrery::cpu::exec {

bool io_allowed(Vcpu& cpu, u16 port, unsigned size) {
  if (!cpu.protected_mode()) return true;
  if (!cpu.vm86() && cpu.cpl() <= cpu.iopl()) return true;
  const Segment& tss = cpu.state.seg[kTr];
  // Only a 32- or 64-bit TSS has a map; its offset stands at byte 102.
  const bool has_map = tss.usable() && (tss.type() & 8) != 0 && tss.limit >= 103;
  if (has_map) {
    u16 map_offset;
    if (!cpu.read_linear<u16>(tss.base + 102, map_offset, Privilege::kImplicit)) return false;
    const u64 byte = map_offset + port / 8u;
    if (byte + 1 <= tss.limit) {
      u16 map;  // two bytes, since an access may straddle them
      if (!cpu.read_linear<u16>(tss.base + byte, map, Privilege::kImplicit)) return false;
      if (((map >> (port % 8)) & low_mask(size)) == 0) return true;
    }
  }
  cpu.raise(kGP, 0);
  return false;
}

namespace {

/// A trap behind the instruction [SDM3 17.3.1.3].
void note_port(Vcpu& cpu, u16 port, unsigned size) {
  if (!breakpoints_enabled(cpu.state)) return;
  if (const u32 hit = port_breakpoints(cpu.state, port, size); hit != 0) {
    cpu.state.pending_db |= hit;
    cpu.set_attention();
  }
}

}  // namespace

u64 port_in(Vcpu& cpu, u16 port, unsigned size) {
  note_port(cpu, port, size);
  return cpu.services().ports.read(port, size);
}

void port_out(Vcpu& cpu, u16 port, u64 value, unsigned size) {
  note_port(cpu, port, size);
  cpu.services().ports.write(port, value, size);
}

namespace {

u16 port_operand(const Vcpu& cpu, const Insn& insn, unsigned n) {
  return insn.op[n] == kImmOperand ? static_cast<u16>(insn.imm & 0xff) : cpu.reg<u16>(kRdx);
}

template <class T>
Outcome in(Vcpu& cpu, const Insn& insn) {
  const u16 port = port_operand(cpu, insn, 1);
  if (!io_allowed(cpu, port, sizeof(T))) return Outcome::kFault;
  cpu.set_reg<T>(kRax, static_cast<T>(port_in(cpu, port, sizeof(T))));
  return Outcome::kEndTrace;
}
template <class T>
Outcome out(Vcpu& cpu, const Insn& insn) {
  const u16 port = port_operand(cpu, insn, 0);
  if (!io_allowed(cpu, port, sizeof(T))) return Outcome::kFault;
  port_out(cpu, port, cpu.reg<T>(kRax), sizeof(T));
  return Outcome::kEndTrace;
}

}  // namespace

Handler select_in(const Insn&, const DecodedForm& f) {
  return f.size_bits[0] == 8 ? &in<u8> : f.size_bits[0] == 16 ? &in<u16> : &in<u32>;
}
Handler select_out(const Insn&, const DecodedForm& f) {
  return f.size_bits[1] == 8 ? &out<u8> : f.size_bits[1] == 16 ? &out<u16> : &out<u32>;
}

}  // namespace orrery::cpu::exec
