# SPDX-License-Identifier: Apache-2.0
# ThreadSanitizer knows OpenMP's synchronisation only through Archer, which clang's libomp loads by
# itself, and must ignore libraries that are not instrumented (libomp, oneDNN): the preset's
# TSAN_OPTIONS. gcc's libgomp has no such thing. These two tests show that the set-up is right:
# no report from correct loops, and a report from a race.
if(NOT OUTFLOW_SANITIZE MATCHES thread)
  return()
endif()
foreach(variant clean race)
  add_executable(tsan_${variant} tsan/loops.c)
  target_link_libraries(tsan_${variant} PRIVATE outflow_flags OpenMP::OpenMP_C)
  add_test(NAME tsan_${variant} COMMAND tsan_${variant})
endforeach()
target_compile_definitions(tsan_race PRIVATE RACE)
set_tests_properties(tsan_clean tsan_race PROPERTIES LABELS threads)
set_tests_properties(tsan_race PROPERTIES PASS_REGULAR_EXPRESSION "data race")
