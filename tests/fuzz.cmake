# SPDX-License-Identifier: Apache-2.0
# Fuzz targets: every fuzz/fuzz_NAME.c defines LLVMFuzzerTestOneInput.
#
# Seeds of a target: the files in fuzz/seeds/NAME, and what the program fuzz/seeds_NAME.c, if there
# is one, writes into the folder it is given. fuzz/NAME.dict, if there is one, is its dictionary.
#
# With OUTFLOW_FUZZ (clang) the test fuzz_NAME lets libFuzzer run for OUTFLOW_FUZZ_SECONDS; the
# corpus stays in the build folder, so that runs build on each other. Without it, the test
# fuzz_NAME_replay runs the target over its seeds and over simple mutations of them.
file(GLOB FUZZ_TARGETS CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/fuzz/fuzz_*.c)
if(NOT TARGET outflow_server)
  list(FILTER FUZZ_TARGETS EXCLUDE REGEX "/fuzz_server.c$")
endif()

if(OUTFLOW_FUZZ)
  set(OUTFLOW_FUZZ_SECONDS 20 CACHE STRING "Seconds that a test of a fuzz target runs")
  if(NOT CMAKE_C_COMPILER_ID MATCHES "Clang" OR NOT OUTFLOW_SANITIZE MATCHES "address")
    message(FATAL_ERROR "OUTFLOW_FUZZ needs clang and OUTFLOW_SANITIZE=address,undefined: "
                        "use the preset 'fuzz'")
  endif()
  target_compile_options(outflow_objects PRIVATE -fsanitize=fuzzer-no-link)
endif()

add_custom_target(fuzz_targets) # all of them, and nothing else
foreach(source ${FUZZ_TARGETS})
  get_filename_component(target ${source} NAME_WE)
  string(REPLACE "fuzz_" "" name ${target})
  set(generator ${CMAKE_CURRENT_SOURCE_DIR}/fuzz/seeds_${name}.c)
  set(dictionary ${CMAKE_CURRENT_SOURCE_DIR}/fuzz/${name}.dict)
  set(made ${CMAKE_CURRENT_BINARY_DIR}/fuzz/${name}.seeds)
  set(corpus ${CMAKE_CURRENT_BINARY_DIR}/fuzz/${name}.corpus)
  file(MAKE_DIRECTORY ${made} ${corpus})

  set(seeds ${made})
  if(IS_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR}/fuzz/seeds/${name})
    list(APPEND seeds ${CMAKE_CURRENT_SOURCE_DIR}/fuzz/seeds/${name})
  endif()

  add_executable(${target} ${source})
  target_link_libraries(${target} PRIVATE outflow_internal)
  add_dependencies(fuzz_targets ${target})
  if(OUTFLOW_FUZZ)
    target_compile_options(${target} PRIVATE -fsanitize=fuzzer)
    target_link_options(${target} PRIVATE -fsanitize=fuzzer)
    set(options -max_total_time=${OUTFLOW_FUZZ_SECONDS} -rss_limit_mb=1024 -timeout=10
                -print_final_stats=1 -artifact_prefix=${corpus}.crash-)
    if(EXISTS ${dictionary})
      list(APPEND options -dict=${dictionary})
    endif()
    set(test ${target})
    add_test(NAME ${test} COMMAND ${target} ${options} ${corpus} ${seeds})
  else()
    target_sources(${target} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/fuzz/replay.c)
    set(test ${target}_replay)
    add_test(NAME ${test} COMMAND ${target} ${seeds})
  endif()

  if(EXISTS ${generator})
    add_executable(fuzz_seeds_${name} ${generator})
    target_link_libraries(fuzz_seeds_${name} PRIVATE outflow_internal)
    add_dependencies(fuzz_targets fuzz_seeds_${name})
    add_test(NAME fuzz_seeds_${name} COMMAND fuzz_seeds_${name} ${made})
    # encoders of others (x265) leak
    set_tests_properties(fuzz_seeds_${name} PROPERTIES FIXTURES_SETUP fuzz_seeds_${name}
                         ENVIRONMENT ASAN_OPTIONS=detect_leaks=0)
    set_tests_properties(${test} PROPERTIES FIXTURES_REQUIRED fuzz_seeds_${name})
  endif()
endforeach()

# The server's parsers are the program's, not the library's.
if(TARGET fuzz_server)
  foreach(part infer_parse lift multipart)
    target_sources(fuzz_server PRIVATE ${PROJECT_SOURCE_DIR}/src/server/${part}.c)
  endforeach()
endif()
