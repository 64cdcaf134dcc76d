# SPDX-License-Identifier: Apache-2.0
# bench/compare_peers with the peers that are installed; without any, the test says that it skips.
if(Python3_EXECUTABLE AND NOT OUTFLOW_SANITIZE)
  add_test(NAME compare_peers COMMAND ${Python3_EXECUTABLE} -B
           ${CMAKE_CURRENT_SOURCE_DIR}/peers_test.py ${PROJECT_BINARY_DIR}
           ${PROJECT_SOURCE_DIR}/../shared/golden)
  set_tests_properties(compare_peers PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 300)
else()
  message(STATUS "SKIPPED: the test of bench/compare_peers needs Python 3 and, because it loads "
                 "the library into Python, a build without sanitizers")
endif()
