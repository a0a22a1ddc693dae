// ACPI tables of a board: RSDP, RSDT, XSDT, FADT, FACS, MADT, MCFG, WAET, the HPET's if there is one, and the
// DSDT.
//
// Documents: [ACPI 6.4 5.2], [PCI Firmware 3.2 4.1.2] for MCFG, [HPET 3.2.4], [WAET 1.0].
// Not modelled: SRAT and SLIT (one node), SSDTs.
#pragma once

#include <vector>

#include "base/types.h"
#include "machine/config.h"
#include "memory/address_space.h"

namespace orrery::machine {

/// CPUs with local APIC ids 0 .. cpus - 1; at most kMaxAcpiCpus, which is what the DSDTs declare.
inline constexpr u32 kMaxAcpiCpus = 8;

/// What the tables say of a board besides the common addresses of machine/address_map.h.
struct AcpiPlatform {
  BoardKind board;  // chooses the DSDT
  u32 cpus;
  u64 ecam_start;
  u16 gpe0_bytes;  // of the whole block
  bool has_keyboard_controller;
  bool has_hpet;
};

/// All tables as they lie from physical address `base` on; the RSDP is the first. `base` is a multiple of 64.
std::vector<u8> build_acpi_tables(const AcpiPlatform& platform, u64 base);
/// Puts them where an operating system looks, and returns the address of the RSDP.
PhysAddr write_acpi_tables(memory::AddressSpace& memory, const AcpiPlatform& platform);

}  // namespace orrery::machine
