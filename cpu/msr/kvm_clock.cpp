#include "cpu/msr/kvm_clock.h"

namespace orrery::cpu {

void write_kvm_wall_clock(Vcpu& cpu, u64 address) {
  u8 raw[12];
  store_le<u32>(raw, 2);  // even: not being written
  store_le<u32>(raw + 4, static_cast<u32>(cpu.services().wall_clock_base));
  store_le<u32>(raw + 8, 0);
  cpu.services().memory.write_bytes(address, raw);
  cpu.state.kvm_wall_clock = address;
}

void write_kvm_system_time(Vcpu& cpu, u64 value) {
  cpu.state.kvm_system_time = value;
  if ((value & 1) == 0) return;
  cpu.state.kvm_system_time_version += 2;
  u8 raw[32] = {};
  store_le<u32>(raw, static_cast<u32>(cpu.state.kvm_system_time_version));
  store_le<u64>(raw + 8, cpu.read_tsc());                           // tsc_timestamp
  store_le<u64>(raw + 16, cpu.services().events.clock().now().ns);  // system_time
  const u64 multiplier = static_cast<u64>((static_cast<u128>(1'000'000'000) << 32) / cpu.services().tsc_hz);
  store_le<u32>(raw + 24, static_cast<u32>(multiplier));  // ns = tsc * multiplier >> 32
  raw[28] = 0;                                            // tsc_shift
  raw[29] = 1;                                            // flags: stable across CPUs
  cpu.services().memory.write_bytes(value & ~u64{1}, raw);
}

}  // namespace orrery::cpu
