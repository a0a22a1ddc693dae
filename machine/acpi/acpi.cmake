# The DSDT: ASL compiled by iasl to a C array that acpi_tables.cpp includes.
find_program(IASL iasl REQUIRED)
set(ORRERY_ACPI_DIR ${CMAKE_BINARY_DIR}/acpi)
file(MAKE_DIRECTORY ${ORRERY_ACPI_DIR})
add_custom_command(
  OUTPUT ${ORRERY_ACPI_DIR}/dsdt_minimal.hex
  COMMAND ${IASL} -vs -we -tc -p ${ORRERY_ACPI_DIR}/dsdt_minimal ${CMAKE_SOURCE_DIR}/machine/acpi/dsdt_minimal.asl > ${ORRERY_ACPI_DIR}/iasl.log
  DEPENDS ${CMAKE_SOURCE_DIR}/machine/acpi/dsdt_minimal.asl
  COMMENT "Compiling the DSDT")
target_sources(orrery_machine PRIVATE ${ORRERY_ACPI_DIR}/dsdt_minimal.hex)
target_include_directories(orrery_machine PRIVATE ${ORRERY_ACPI_DIR})
