// ACPI tables of the `minimal` board: RSDP, RSDT, XSDT, FADT, FACS, MADT, MCFG, WAET and the DSDT.
//
// Documents: [ACPI 6.4 5.2], [PCI Firmware 3.2 4.1.2] for MCFG, [WAET 1.0].
// Not modelled: SRAT and SLIT (one node), HPET (none on this board), SSDTs.
#pragma once

#include <vector>

#include "base/types.h"

namespace orrery::machine {

/// CPUs with local APIC ids 0 .. cpus - 1; at most kMaxAcpiCpus, which is what the DSDT declares.
inline constexpr u32 kMaxAcpiCpus = 8;

/// All tables as they lie from physical address `base` on; the RSDP is the first. `base` is a multiple of 64.
std::vector<u8> build_acpi_tables(u32 cpus, u64 base);

}  // namespace orrery::machine
