# Guest programs: GNU as, preprocessed, linked as multiboot ELF64. `orrery_guest_programs(<target> <folder> <sources>...)`
# assembles them into <folder> before <target>.
# Guest programs are x86-64 whatever the host is.
find_program(ORRERY_X86_CXX NAMES x86_64-linux-gnu-g++ g++ REQUIRED)
find_program(ORRERY_X86_LD NAMES x86_64-linux-gnu-ld ld REQUIRED)

function(orrery_guest_programs target folder)
  file(MAKE_DIRECTORY ${folder})
  set(images)
  file(GLOB includes CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/guest/*.inc)
  foreach(source ${ARGN})
    get_filename_component(name ${source} NAME_WE)
    add_custom_command(
      OUTPUT ${folder}/${name}.elf
      COMMAND ${ORRERY_X86_CXX} -c -I${CMAKE_CURRENT_SOURCE_DIR}/guest -o ${folder}/${name}.o ${source}
      COMMAND ${ORRERY_X86_LD} -N -m elf_x86_64 -Ttext=0x100000 --build-id=none --no-warn-rwx-segments -z noexecstack -e _start
              -o ${folder}/${name}.elf ${folder}/${name}.o
      DEPENDS ${source} ${includes}
      VERBATIM)
    list(APPEND images ${folder}/${name}.elf)
  endforeach()
  add_custom_target(${target}_programs DEPENDS ${images})
  add_dependencies(${target} ${target}_programs)
endfunction()

set(ORRERY_GUEST_PROGRAMS ${CMAKE_CURRENT_BINARY_DIR}/guest_programs)
file(GLOB guest_sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/guest/*.S)
orrery_guest_programs(test_guest ${ORRERY_GUEST_PROGRAMS} ${guest_sources})
target_compile_definitions(test_guest PRIVATE ORRERY_GUEST_PROGRAMS="${ORRERY_GUEST_PROGRAMS}")
