# SPDX-License-Identifier: Apache-2.0
# The program with failing calls and a record of what it writes (faults/inject.c), and what is tested
# with it. The whole: faults/inject_test.py and faults/power_cut_test.py without --most.
find_program(PYTHON3 python3)
if(NOT TARGET outflow_program OR NOT PYTHON3)
  return()
endif()
set(faults ${CMAKE_CURRENT_SOURCE_DIR}/faults)
get_target_property(parts outflow_program SOURCES)
get_target_property(libraries outflow_program LINK_LIBRARIES)
add_executable(outflow_faults ${parts} ${faults}/inject.c)
set_source_files_properties(${faults}/inject.c PROPERTIES COMPILE_OPTIONS
  "-U_FORTIFY_SOURCE;$<$<C_COMPILER_ID:Clang>:-Wno-reserved-identifier>")
target_link_libraries(outflow_faults PRIVATE ${libraries})
set(wrapped malloc calloc realloc aligned_alloc strdup strndup open_memstream mmap pthread_create open
            fopen opendir read pread write fclose fflush rename unlink fsync close)
list(TRANSFORM wrapped PREPEND "LINKER:--wrap=")
target_link_options(outflow_faults PRIVATE ${wrapped})

foreach(test inject:2 power_cut:10)
  string(REGEX REPLACE ":.*" "" name ${test})
  string(REGEX REPLACE ".*:" "" most ${test})
  add_test(NAME faults_${name} COMMAND ${PYTHON3} ${faults}/${name}_test.py --most ${most}
           $<TARGET_FILE:outflow_faults> $<TARGET_FILE_DIR:cli_make_model>)
  set_tests_properties(faults_${name} PROPERTIES TIMEOUT 300)
endforeach()
