// DSDT of the `q35` board. Addresses and interrupts are those of machine/address_map.h and machine/board_q35.cpp.
// The byte after NCPU is patched with the number of CPUs before the table goes to the guest.
DefinitionBlock ("", "DSDT", 2, "ORRERY", "ORRERYPC", 1)
{
    Name (NCPU, 0x7F)
    Name (PICM, Zero)
    Method (_PIC, 1, NotSerialized)
    {
        PICM = Arg0
    }

    // Soft off: SLP_TYP 7 of the ICH9.
    Name (\_S5, Package (4) { 7, 7, 0, 0 })

    Scope (\_SB)
    {
        Include ("cpus.asl")

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
                DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, Cacheable, ReadWrite,
                             0, 0x000A0000, 0x000BFFFF, 0, 0x00020000)
                DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, NonCacheable, ReadWrite,
                             0, 0xC0000000, 0xFDFFFFFF, 0, 0x3E000000)
            })

            // Native PCI Express hot plug and the like are left to the system: there is none here.
            Method (_OSC, 4, NotSerialized)
            {
                CreateDWordField (Arg3, 0, CDW1)
                If (Arg0 == ToUUID ("33DB4D5B-1FF7-401C-9657-7441C03DD766"))
                {
                    CreateDWordField (Arg3, 8, CDW3)
                    CDW3 &= 0x1D
                    If (Arg1 != One) { CDW1 |= 0x08 }
                }
                Else
                {
                    CDW1 |= 0x04
                }
                Return (Arg3)
            }

            // PRTA: pins of I/O APIC, PIRQA is 16. PRTP: through the links below.
            Include ("prt_q35.asl")
            Method (_PRT, 0, NotSerialized)
            {
                If (PICM) { Return (PRTA) }
                Return (PRTP)
            }

            // The chipset's own ranges.
            Device (MRES)
            {
                Name (_HID, EisaId ("PNP0C02"))
                Name (_UID, One)
                Name (_CRS, ResourceTemplate ()
                {
                    Memory32Fixed (ReadWrite, 0xB0000000, 0x10000000)
                    Memory32Fixed (ReadWrite, 0xFED1C000, 0x00004000)
                    IO (Decode16, 0x0600, 0x0600, 0x01, 0x80)
                    IO (Decode16, 0x00B2, 0x00B2, 0x01, 0x02)
                    IO (Decode16, 0x0092, 0x0092, 0x01, 0x01)
                    IO (Decode16, 0x04D0, 0x04D0, 0x01, 0x02)
                })
            }

            Device (LPC)
            {
                Name (_ADR, 0x001F0000)
                OperationRegion (PIRQ, PCI_Config, 0x60, 0x0C)
                Field (PIRQ, ByteAcc, NoLock, Preserve)
                {
                    PRQA, 8, PRQB, 8, PRQC, 8, PRQD, 8,
                    Offset (0x08),
                    PRQE, 8, PRQF, 8, PRQG, 8, PRQH, 8
                }

                Include ("at_devices.asl")
                Device (KBD)
                {
                    Name (_HID, EisaId ("PNP0303"))
                    Name (_CRS, ResourceTemplate ()
                    {
                        IO (Decode16, 0x0060, 0x0060, 0x01, 0x01)
                        IO (Decode16, 0x0064, 0x0064, 0x01, 0x01)
                        IRQNoFlags () { 1 }
                    })
                }
                Device (MOU)
                {
                    Name (_HID, EisaId ("PNP0F13"))
                    Name (_CRS, ResourceTemplate ()
                    {
                        IRQNoFlags () { 12 }
                    })
                }
                Device (HPET)
                {
                    Name (_HID, EisaId ("PNP0103"))
                    Name (_UID, Zero)
                    Name (_CRS, ResourceTemplate ()
                    {
                        Memory32Fixed (ReadWrite, 0xFED00000, 0x00000400)
                    })
                }
            }
        }

        // What a PIRQ may be steered to at the 8259 pair, and where one is.
        Name (PPRS, ResourceTemplate ()
        {
            IRQ (Level, ActiveLow, Shared) { 5, 10, 11 }
        })
        Name (PBUF, ResourceTemplate ()
        {
            IRQ (Level, ActiveLow, Shared) { }
        })
        Method (PSTA, 1, NotSerialized)
        {
            If (Arg0 & 0x80) { Return (0x09) }
            Return (0x0B)
        }
        Method (PCRS, 1, Serialized)
        {
            CreateWordField (PBUF, One, INTM)
            INTM = Zero
            If (!(Arg0 & 0x80)) { INTM = (One << (Arg0 & 0x0F)) }
            Return (PBUF)
        }
        // The register's value for what _SRS is given.
        Method (PSRS, 1, NotSerialized)
        {
            CreateWordField (Arg0, One, INTM)
            FindSetRightBit (INTM, Local0)
            If (Local0 == Zero) { Return (0x80) }
            Return (Local0 - One)
        }
        Include ("links_q35.asl")
    }
}
