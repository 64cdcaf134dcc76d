# SPDX-License-Identifier: Apache-2.0
# Whole models against reference vectors: those of golden/vectors, which golden/make_vectors.py made,
# and larger ones that may lie beside the project; without the latter a test says that it skips.
add_executable(golden_check golden/golden_check.c)
target_link_libraries(golden_check PRIVATE outflow_internal m)
if(TARGET outflow_emulated) # AVX-512 executed through SIMDe on any machine
  add_executable(golden_check_simde golden/golden_check.c)
  target_include_directories(golden_check_simde PRIVATE ${PROJECT_SOURCE_DIR}/src
                             ${PROJECT_SOURCE_DIR}/simd)
  target_link_libraries(golden_check_simde PRIVATE outflow_emulated outflow_flags
                        OpenMP::OpenMP_C PkgConfig::CJSON m)
endif()

# Tests golden_NAME and golden_simde_NAME for each NAME.model.safetensors of a folder, whose number
# goes into `count`.
function(add_golden_tests folder prefix count)
  file(GLOB models CONFIGURE_DEPENDS ${folder}/*.model.safetensors)
  foreach(model ${models})
    string(REPLACE .model.safetensors "" vector ${model})
    get_filename_component(name ${vector} NAME)
    add_test(NAME golden_${prefix}${name} COMMAND golden_check ${vector})
    if(TARGET golden_check_simde)
      add_test(NAME golden_simde_${prefix}${name}
               COMMAND golden_check_simde --isa avx512 ${vector})
    endif()
  endforeach()
  list(LENGTH models found)
  set(${count} ${found} PARENT_SCOPE)
endfunction()

add_golden_tests(${CMAKE_CURRENT_SOURCE_DIR}/golden/vectors "" found)
if(found EQUAL 0)
  message(FATAL_ERROR "tests/golden/vectors is empty; tests/golden/make_vectors.py makes it")
endif()

set(golden_shared ${PROJECT_SOURCE_DIR}/../shared/golden)
add_golden_tests(${golden_shared} shared_ found)
if(found EQUAL 0)
  message(STATUS "SKIPPED: no reference vectors at ${golden_shared}; those of tests/golden are used")
  add_test(NAME golden_shared COMMAND ${CMAKE_COMMAND} -E echo
           "SKIPPED: no reference vectors at ${golden_shared}")
  set_tests_properties(golden_shared PROPERTIES SKIP_REGULAR_EXPRESSION "SKIPPED")
endif()
