# SPDX-License-Identifier: Apache-2.0
# tools/export_pytorch.py, where a Python with torch is at hand; else the test says that it skips.
find_package(Python3 COMPONENTS Interpreter)
include(${CMAKE_CURRENT_LIST_DIR}/peers_environment.cmake)
foreach(python /usr/bin/python3 ${Python3_EXECUTABLE} ${peers_python})
  if(NOT OUTFLOW_TORCH_PYTHON AND EXISTS ${python})
    execute_process(COMMAND ${python} -c "import numpy, torch" RESULT_VARIABLE failed
                    OUTPUT_QUIET ERROR_QUIET)
    if(failed EQUAL 0)
      set(OUTFLOW_TORCH_PYTHON ${python} CACHE FILEPATH "Python that imports torch")
    endif()
  endif()
endforeach()

add_executable(model_check model_check.c)
target_link_libraries(model_check PRIVATE outflow_internal)

if(OUTFLOW_TORCH_PYTHON)
  set(python ${OUTFLOW_TORCH_PYTHON})
elseif(Python3_EXECUTABLE)
  set(python ${Python3_EXECUTABLE})
endif()
if(python)
  add_test(NAME export_pytorch COMMAND ${python} ${CMAKE_CURRENT_SOURCE_DIR}/export_test.py
           $<TARGET_FILE:model_check> ${PROJECT_SOURCE_DIR}/../shared/golden)
  set_tests_properties(export_pytorch PROPERTIES SKIP_RETURN_CODE 77)
else()
  message(STATUS "SKIPPED: the test of tools/export_pytorch.py needs Python 3")
endif()
