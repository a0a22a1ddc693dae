// The processors, within \_SB: the board's NCPU says how many there are.
Device (C000)
{
    Name (_HID, "ACPI0007")
    Name (_UID, 0)
    Method (_STA, 0, NotSerialized) { If (NCPU > 0) { Return (0x0F) } Return (Zero) }
}
Device (C001)
{
    Name (_HID, "ACPI0007")
    Name (_UID, 1)
    Method (_STA, 0, NotSerialized) { If (NCPU > 1) { Return (0x0F) } Return (Zero) }
}
Device (C002)
{
    Name (_HID, "ACPI0007")
    Name (_UID, 2)
    Method (_STA, 0, NotSerialized) { If (NCPU > 2) { Return (0x0F) } Return (Zero) }
}
Device (C003)
{
    Name (_HID, "ACPI0007")
    Name (_UID, 3)
    Method (_STA, 0, NotSerialized) { If (NCPU > 3) { Return (0x0F) } Return (Zero) }
}
Device (C004)
{
    Name (_HID, "ACPI0007")
    Name (_UID, 4)
    Method (_STA, 0, NotSerialized) { If (NCPU > 4) { Return (0x0F) } Return (Zero) }
}
Device (C005)
{
    Name (_HID, "ACPI0007")
    Name (_UID, 5)
    Method (_STA, 0, NotSerialized) { If (NCPU > 5) { Return (0x0F) } Return (Zero) }
}
Device (C006)
{
    Name (_HID, "ACPI0007")
    Name (_UID, 6)
    Method (_STA, 0, NotSerialized) { If (NCPU > 6) { Return (0x0F) } Return (Zero) }
}
Device (C007)
{
    Name (_HID, "ACPI0007")
    Name (_UID, 7)
    Method (_STA, 0, NotSerialized) { If (NCPU > 7) { Return (0x0F) } Return (Zero) }
}
