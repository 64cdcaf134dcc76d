# SPDX-License-Identifier: Apache-2.0
# Whole command lines: one shell script per file tests/cli/test_*.sh, run in a folder of its own.
foreach(helper make_model make_variant make_textures corrupt_model json_get weights)
  add_executable(cli_${helper} cli/${helper}.c)
  set_target_properties(cli_${helper} PROPERTIES OUTPUT_NAME ${helper}
                        RUNTIME_OUTPUT_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/cli)
  target_link_libraries(cli_${helper} PRIVATE outflow_internal)
endforeach()
target_sources(cli_make_variant PRIVATE unit/flow_variants.c)
target_link_libraries(cli_make_variant PRIVATE PkgConfig::CMOCKA)

find_program(POSIX_SHELL NAMES sh REQUIRED)
file(GLOB CLI_TESTS CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/cli/test_*.sh)
foreach(script ${CLI_TESTS})
  get_filename_component(name ${script} NAME_WE)
  string(REGEX REPLACE "^test_" "cli_" name ${name})
  add_test(NAME ${name} COMMAND ${POSIX_SHELL} ${script} $<TARGET_FILE:outflow_program>
           $<TARGET_FILE_DIR:cli_make_model>)
  set_tests_properties(${name} PROPERTIES TIMEOUT 300 SKIP_RETURN_CODE 77)
endforeach()

# The program's own text functions, which are not in the library.
add_executable(cli_check_text cli/check_text.c ${PROJECT_SOURCE_DIR}/src/cli/rows.c
               ${PROJECT_SOURCE_DIR}/src/cli/terminal/words.c
               ${PROJECT_SOURCE_DIR}/src/cli/terminal/command_line.c)
target_link_libraries(cli_check_text PRIVATE outflow_internal PkgConfig::CMOCKA)
add_test(NAME cli_text COMMAND cli_check_text)
