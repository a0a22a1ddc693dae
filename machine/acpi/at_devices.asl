// Devices of the AT, within the ISA or LPC bridge.
Device (COM1)
{
    Name (_HID, EisaId ("PNP0501"))
    Name (_UID, One)
    Name (_CRS, ResourceTemplate ()
    {
        IO (Decode16, 0x03F8, 0x03F8, 0x00, 0x08)
        IRQNoFlags () { 4 }
    })
}
Device (RTC)
{
    Name (_HID, EisaId ("PNP0B00"))
    Name (_CRS, ResourceTemplate ()
    {
        IO (Decode16, 0x0070, 0x0070, 0x01, 0x02)
        IRQNoFlags () { 8 }
    })
}
Device (TMR)
{
    Name (_HID, EisaId ("PNP0100"))
    Name (_CRS, ResourceTemplate ()
    {
        IO (Decode16, 0x0040, 0x0040, 0x01, 0x04)
        IRQNoFlags () { 0 }
    })
}
Device (PIC)
{
    Name (_HID, EisaId ("PNP0000"))
    Name (_CRS, ResourceTemplate ()
    {
        IO (Decode16, 0x0020, 0x0020, 0x01, 0x02)
        IO (Decode16, 0x00A0, 0x00A0, 0x01, 0x02)
        IRQNoFlags () { 2 }
    })
}
Device (FPU)
{
    Name (_HID, EisaId ("PNP0C04"))
    Name (_CRS, ResourceTemplate ()
    {
        IO (Decode16, 0x00F0, 0x00F0, 0x01, 0x01)
        IRQNoFlags () { 13 }
    })
}
