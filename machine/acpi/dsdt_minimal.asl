// DSDT of the `minimal` board. Addresses and interrupts are those of machine/address_map.h.
// The byte after NCPU is patched with the number of CPUs before the table goes to the guest.
DefinitionBlock ("", "DSDT", 2, "ORRERY", "ORRERYPC", 1)
{
    Name (NCPU, 0x7F)
    Name (PICM, Zero)
    Method (_PIC, 1, NotSerialized)
    {
        PICM = Arg0
    }

    // Soft off: SLP_TYP 5.
    Name (\_S5, Package (4) { 5, 5, 0, 0 })

    Scope (\_SB)
    {
        Include ("cpus.asl")

        // Reserves the ECAM window, as a firmware must.
        Device (MRES)
        {
            Name (_HID, EisaId ("PNP0C02"))
            Name (_UID, One)
            Name (_CRS, ResourceTemplate ()
            {
                Memory32Fixed (ReadWrite, 0xE0000000, 0x10000000)
                IO (Decode16, 0x0600, 0x0600, 0x01, 0x80)
                IO (Decode16, 0x00B2, 0x00B2, 0x01, 0x02)
                IO (Decode16, 0x04D0, 0x04D0, 0x01, 0x02)
            })
        }

        Device (PCI0)
        {
            Name (_HID, EisaId ("PNP0A08"))
            Name (_CID, EisaId ("PNP0A03"))
            Name (_UID, Zero)
            Name (_BBN, Zero)
            Name (_CCA, One)
            Name (_CRS, ResourceTemplate ()
            {
                WordBusNumber (ResourceProducer, MinFixed, MaxFixed, PosDecode, 0, 0x0000, 0x00FF, 0, 0x0100)
                IO (Decode16, 0x0CF8, 0x0CF8, 0x01, 0x08)
                WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange,
                        0, 0x0000, 0x0CF7, 0, 0x0CF8)
                WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange,
                        0, 0x0D00, 0xFFFF, 0, 0xF300)
                DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, NonCacheable, ReadWrite,
                             0, 0xC0000000, 0xDFFFFFFF, 0, 0x20000000)
            })
            // Every device's four pins: swizzled onto GSI 16..19, or IRQ 10 and 11 in PIC mode.
            Method (_PRT, 0, Serialized)
            {
                Local0 = Package (128) {}
                Local1 = Zero
                While (Local1 < 128)
                {
                    Local2 = Package (4) { 0, 0, 0, 0 }
                    Local3 = (Local1 >> 2)
                    Local4 = (Local1 & 3)
                    Local5 = ((Local3 + Local4) & 3)
                    Local2 [0] = ((Local3 << 16) | 0xFFFF)
                    Local2 [1] = Local4
                    If (PICM) { Local2 [3] = (16 + Local5) }
                    Else { Local2 [3] = (10 + (Local5 & 1)) }
                    Local0 [Local1] = Local2
                    Local1++
                }
                Return (Local0)
            }

            Device (ISA)
            {
                Name (_ADR, 0x001F0000)
                Include ("at_devices.asl")
            }
        }
    }
}
