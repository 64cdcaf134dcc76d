# SPDX-License-Identifier: Apache-2.0
# bench/compare_peers: its parts, and all of it with the peers that are installed; without any, the
# test says that it skips.
if(Python3_EXECUTABLE AND NOT OUTFLOW_SANITIZE)
  # The peers' environment has numpy and onnx; without it, what needs them is left out.
  include(${CMAKE_CURRENT_LIST_DIR}/peers_environment.cmake)
  set(python ${Python3_EXECUTABLE})
  if(peers_python)
    set(python ${peers_python})
  endif()
  add_test(NAME compare_peers_parts COMMAND ${python} -B
           ${CMAKE_CURRENT_SOURCE_DIR}/peers_parts_test.py ${PROJECT_BINARY_DIR})
  add_test(NAME compare_detectors_parts COMMAND ${Python3_EXECUTABLE} -B
           ${CMAKE_CURRENT_SOURCE_DIR}/detectors_parts_test.py)
  set_tests_properties(compare_detectors_parts PROPERTIES SKIP_RETURN_CODE 77)
  add_test(NAME compare_peers COMMAND ${Python3_EXECUTABLE} -B
           ${CMAKE_CURRENT_SOURCE_DIR}/peers_test.py ${PROJECT_BINARY_DIR}
           ${PROJECT_SOURCE_DIR}/../shared/golden)
  set_tests_properties(compare_peers PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 900)
else()
  message(STATUS "SKIPPED: the test of bench/compare_peers needs Python 3 and, because it loads "
                 "the library into Python, a build without sanitizers")
endif()
