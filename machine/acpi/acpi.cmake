# The DSDTs: ASL compiled by iasl to C arrays that acpi_tables.cpp includes.
find_program(IASL iasl REQUIRED)
set(ORRERY_ACPI_DIR ${CMAKE_BINARY_DIR}/acpi)
set(ORRERY_ASL ${CMAKE_SOURCE_DIR}/machine/acpi)
file(MAKE_DIRECTORY ${ORRERY_ACPI_DIR})

# q35's interrupt routing, which is regular and long: slot n has its pins on PIRQ E + (n + pin) mod 4, the chipset's slots
# from 25 on theirs on PIRQ A + pin. ASL has no loops over names.
set(letters A B C D E F G H)
set(routes_apic "")
set(routes_pic "")
foreach(slot RANGE 0 31)
  foreach(pin RANGE 0 3)
    set(pirq ${pin})
    if(slot LESS 25)
      math(EXPR pirq "4 + (${slot} + ${pin}) % 4")
    endif()
    math(EXPR gsi "16 + ${pirq}")
    list(GET letters ${pirq} letter)
    math(EXPR address "(${slot} << 16) | 0xffff" OUTPUT_FORMAT HEXADECIMAL)
    string(APPEND routes_apic "    Package (4) { ${address}, ${pin}, Zero, ${gsi} },\n")
    string(APPEND routes_pic "    Package (4) { ${address}, ${pin}, \\_SB.LNK${letter}, Zero },\n")
  endforeach()
endforeach()
file(CONFIGURE OUTPUT ${ORRERY_ACPI_DIR}/prt_q35.asl CONTENT
"Name (PRTA, Package (128) {\n${routes_apic}})\nName (PRTP, Package (128) {\n${routes_pic}})\n")
set(links "")
set(uid 0)
foreach(letter ${letters})
  string(APPEND links "Device (LNK${letter})
{
    Name (_HID, EisaId (\"PNP0C0F\"))
    Name (_UID, ${uid})
    Method (_PRS, 0, NotSerialized) { Return (PPRS) }
    Method (_STA, 0, NotSerialized) { Return (PSTA (\\_SB.PCI0.LPC.PRQ${letter})) }
    Method (_DIS, 0, NotSerialized) { \\_SB.PCI0.LPC.PRQ${letter} |= 0x80 }
    Method (_CRS, 0, NotSerialized) { Return (PCRS (\\_SB.PCI0.LPC.PRQ${letter})) }
    Method (_SRS, 1, NotSerialized) { \\_SB.PCI0.LPC.PRQ${letter} = PSRS (Arg0) }
}
")
  math(EXPR uid "${uid} + 1")
endforeach()
file(CONFIGURE OUTPUT ${ORRERY_ACPI_DIR}/links_q35.asl CONTENT "${links}")

foreach(name dsdt_minimal dsdt_q35)
  add_custom_command(
    OUTPUT ${ORRERY_ACPI_DIR}/${name}.hex
    COMMAND ${IASL} -vs -we -tc -I ${ORRERY_ASL}/ -I ${ORRERY_ACPI_DIR}/ -p ${ORRERY_ACPI_DIR}/${name} ${ORRERY_ASL}/${name}.asl > ${ORRERY_ACPI_DIR}/${name}.log
    DEPENDS ${ORRERY_ASL}/${name}.asl ${ORRERY_ASL}/cpus.asl ${ORRERY_ASL}/at_devices.asl
            ${ORRERY_ACPI_DIR}/prt_q35.asl ${ORRERY_ACPI_DIR}/links_q35.asl
    COMMENT "Compiling ${name}")
  target_sources(orrery_machine PRIVATE ${ORRERY_ACPI_DIR}/${name}.hex)
endforeach()
target_include_directories(orrery_machine PRIVATE ${ORRERY_ACPI_DIR})
