// CpuModel: what a named CPU is: features, vendor, CPUID leaves, address widths. Independent of the host.
#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "base/types.h"
#include "cpu/isa/table.h"

namespace orrery::cpu {

struct CpuModel {
  std::string_view name;
  u64 features;               // bit n: isa::Feature n
  u8 physical_address_bits;   // MAXPHYADDR
  u8 linear_address_bits;     // 48 or 57
  bool amd;                   // vendor profile: AMD's behaviour where the vendors differ
  u32 family_model_stepping;  // CPUID 1 EAX
  std::string_view brand;
  bool kvm_signature = true;
  bool has(isa::Feature feature) const { return (features >> static_cast<unsigned>(feature)) & 1; }
};

/// The named models: x86-64-v2, x86-64-v3, x86-64-v3-la57.
std::span<const CpuModel> cpu_models();
std::optional<CpuModel> find_cpu_model(std::string_view name);

struct CpuidResult {
  u32 eax, ebx, ecx, edx;
};
class Vcpu;
/// What CPUID returns on `cpu` now (some leaves reflect CR4, XCR0, the APIC id). [SDM2 CPUID], [APM3 E]
CpuidResult cpuid(const Vcpu& cpu, u32 leaf, u32 subleaf);

}  // namespace orrery::cpu
