// CRC32: the iSCSI polynomial 11EDC6F41, bit-reflected. [SDM2 CRC32]
//
// Not modelled: nothing.
#include <array>

#include "cpu/exec/common.h"

namespace orrery::cpu::exec {
namespace {

constexpr std::array<u32, 256> make_table() {
  std::array<u32, 256> table{};
  for (u32 i = 0; i < 256; ++i) {
    u32 v = i;
    for (int k = 0; k < 8; ++k) v = (v >> 1) ^ ((v & 1) != 0 ? 0x82f63b78u : 0u);
    table[i] = v;
  }
  return table;
}
constexpr std::array<u32, 256> kTable = make_table();

template <class T>
Outcome crc32(Vcpu& cpu, const Insn& insn) {
  T data{};
  if (!read_operand(cpu, insn, 1, data)) return Outcome::kFault;
  u32 crc = cpu.reg<u32>(insn.op[0]);
  for (unsigned i = 0; i < sizeof(T); ++i) {
    crc = (crc >> 8) ^ kTable[(crc ^ static_cast<u8>(u64{data} >> (8 * i))) & 0xff];
  }
  cpu.set_reg<u64>(insn.op[0], crc);
  return Outcome::kNext;
}

}  // namespace

Handler select_crc32(const Insn&, const DecodedForm& f) { return ORRERY_BY_SIZE(f.size_bits[1], crc32); }

}  // namespace orrery::cpu::exec
