# The tester runs guest instructions natively, so it exists on x86-64 hosts only.
if(NOT CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  set_target_properties(test_silicon PROPERTIES EXCLUDE_FROM_ALL ON)
  set_tests_properties(silicon PROPERTIES DISABLED ON)
  return()
endif()
enable_language(ASM)
foreach(part native_stub.S native_cpu.cpp emulated_cpu.cpp forms.cpp cases.cpp compare.cpp sequence.cpp)
  target_sources(test_silicon PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/silicon/${part})
endforeach()
# It tests instructions, not machines.
set_target_properties(test_silicon PROPERTIES LINK_LIBRARIES "orrery_cpu;orrery_jit;GTest::gtest;GTest::gtest_main;orrery_pch")
target_compile_definitions(test_silicon PRIVATE ORRERY_SILICON_CORPUS="${CMAKE_CURRENT_SOURCE_DIR}/silicon/corpus")
add_test(NAME instruction_coverage COMMAND ${Python3_EXECUTABLE} ${CMAKE_SOURCE_DIR}/tools/instruction_coverage.py --brief
                                           --silicon $<TARGET_FILE:test_silicon>)
set_tests_properties(instruction_coverage PROPERTIES LABELS quick SKIP_RETURN_CODE 77)
