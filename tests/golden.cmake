# SPDX-License-Identifier: Apache-2.0
# Whole models against reference vectors, which live beside the project. golden_check is always
# built; without the vectors its tests are reported as skipped.
add_executable(golden_check golden/golden_check.c)
target_link_libraries(golden_check PRIVATE outflow_internal m)
set(golden_programs golden_check)
if(TARGET outflow_emulated) # AVX-512 executed through SIMDe on any machine
  add_executable(golden_check_simde golden/golden_check.c)
  target_include_directories(golden_check_simde PRIVATE ${PROJECT_SOURCE_DIR}/src
                             ${PROJECT_SOURCE_DIR}/simd)
  target_link_libraries(golden_check_simde PRIVATE outflow_emulated outflow_flags
                        OpenMP::OpenMP_C PkgConfig::CJSON m)
  list(APPEND golden_programs golden_check_simde)
endif()

set(golden_dir ${PROJECT_SOURCE_DIR}/../shared/golden)
foreach(case additive-lu affine-lu affine-plain affine-shuffle class-conditional dense-fixed gray
             patch)
  set(prefix ${golden_dir}/glow-${case})
  if(case STREQUAL "patch")
    set(prefix ${golden_dir}/patch-glow)
  endif()
  foreach(program ${golden_programs})
    string(REPLACE golden_check golden test ${program}_${case})
    if(EXISTS ${prefix}.model.safetensors)
      if(program STREQUAL "golden_check_simde")
        add_test(NAME ${test} COMMAND ${program} --isa avx512 ${prefix})
      else()
        add_test(NAME ${test} COMMAND ${program} ${prefix})
      endif()
    else()
      add_test(NAME ${test} COMMAND ${CMAKE_COMMAND} -E echo
               "SKIPPED: no reference vectors at ${prefix}")
      set_tests_properties(${test} PROPERTIES SKIP_REGULAR_EXPRESSION "SKIPPED")
    endif()
  endforeach()
endforeach()
