// The address map: every fixed physical address, port and interrupt number of the PC, in one table.
//
// Boards wire from here and the ACPI tables are written from here, so the two can't disagree.
// Documents: [IBM PC AT TR], [ICH9 datasheet 9.3], [ACPI 6.4 4.8], [PCI 3.0 3.2.2.3.2].
#pragma once

#include "base/types.h"

namespace orrery::machine::address_map {

// Physical memory.
inline constexpr u64 kLegacyVideoStart = 0xa0000;  // nothing here on boards without VGA
inline constexpr u64 kLegacyRomStart = 0xc0000;    // RAM on `minimal`, PAM decides on `q35`
inline constexpr u64 kLegacyRomEnd = 0x100000;
inline constexpr u64 kAcpiTablesStart = 0xe0000;  // RSDP and tables, found by scanning [ACPI 5.2.5.1]
inline constexpr u64 kAcpiTablesEnd = 0x100000;
inline constexpr u64 kLowRamEnd = 0xc0000000;       // RAM above moves to 4 GiB
inline constexpr u64 kPciWindowStart = 0xc0000000;  // 32-bit BARs
inline constexpr u64 kPciWindowEnd = 0xe0000000;
inline constexpr u64 kEcamStart = 0xe0000000;  // bus 0 .. 255
inline constexpr u64 kEcamBytes = 0x10000000;
// `q35` as QEMU, SeaBIOS and OVMF have it: ECAM below the BARs. More RAM than fits below it leaves a wider
// hole.
inline constexpr u64 kQ35EcamStart = 0xb0000000;
inline constexpr u64 kQ35WideHoleStart = 0x80000000;
inline constexpr u64 kQ35PciWindowStart = 0xc0000000;
inline constexpr u64 kQ35PciWindowEnd = 0xfe000000;
inline constexpr u64 kQ35ChipsetStart = 0xfed1c000;  // behind RCBA
inline constexpr u64 kIoApicStart = 0xfec00000;
inline constexpr u64 kIoApicBytes = 0x1000;
inline constexpr u64 kHpetStart = 0xfed00000;  // no HPET on `minimal`
inline constexpr u64 kHpetBytes = 0x400;
inline constexpr u64 kLocalApicStart = 0xfee00000;  // the CPUs decode it; MSI writes go here too
inline constexpr u64 kLocalApicBytes = 0x1000;
inline constexpr u64 kHighRamStart = 0x100000000;
inline constexpr u64 kPciWindow64Bytes = u64{1} << 34;  // above the high RAM, for large BARs

// Ports.
inline constexpr u16 kPicMasterPort = 0x20;
inline constexpr u16 kPitPort = 0x40;
inline constexpr u16 kI8042DataPort = 0x60;
inline constexpr u16 kSystemControlBPort = 0x61;
inline constexpr u16 kI8042CommandPort = 0x64;
inline constexpr u16 kRtcPort = 0x70;
inline constexpr u16 kPostCodePort = 0x80;
inline constexpr u16 kSystemControlAPort = 0x92;
inline constexpr u16 kPicSlavePort = 0xa0;
inline constexpr u16 kSmiCommandPort = 0xb2;
inline constexpr u16 kDebugConsolePort = 0xe9;
inline constexpr u16 kFpuErrorPort = 0xf0;
inline constexpr u16 kDebugExitPort = 0xf4;
inline constexpr u16 kCom1Port = 0x3f8;
inline constexpr u16 kDebugConsole2Port = 0x402;
inline constexpr u16 kElcrPort = 0x4d0;
inline constexpr u16 kAcpiPmPort = 0x600;  // PM1 event, control, timer, GPE0: acpi_pm.h has offsets
inline constexpr u16 kPciConfigAddressPort = 0xcf8;
inline constexpr u16 kResetControlPort = 0xcf9;
inline constexpr u16 kPciConfigDataPort = 0xcfc;
inline constexpr u16 kPciIoWindowStart = 0xc000;  // I/O BARs
inline constexpr u32 kPciIoWindowEnd = 0x10000;

// ISA interrupts: inputs of the 8259 pair, and pins of the I/O APIC except that IRQ 0 is pin 2.
inline constexpr unsigned kPitIrq = 0;
inline constexpr unsigned kKeyboardIrq = 1;
inline constexpr unsigned kCascadeIrq = 2;
inline constexpr unsigned kCom1Irq = 4;
inline constexpr unsigned kRtcIrq = 8;
inline constexpr unsigned kSciIrq = 9;
inline constexpr unsigned kMouseIrq = 12;
inline constexpr unsigned kFpuErrorIrq = 13;
inline constexpr unsigned kPicIoApicPin = 0;  // the 8259 pair's INTR
inline constexpr unsigned kPitIoApicPin = 2;
inline constexpr unsigned kFirstPciGsi = 16;  // INTx lines of `minimal`, PIRQA to PIRQH of `q35`

inline constexpr u8 kIoApicId = 0xf0;  // clear of local APIC ids

}  // namespace orrery::machine::address_map
