# SPDX-License-Identifier: Apache-2.0
# tools/convert_weights.py, where a Python with numpy is at hand; else the tests say that they skip.
find_package(Python3 COMPONENTS Interpreter)
include(${CMAKE_CURRENT_LIST_DIR}/peers_environment.cmake)
foreach(python /usr/bin/python3 ${Python3_EXECUTABLE} ${peers_python})
  if(NOT OUTFLOW_NUMPY_PYTHON AND EXISTS ${python})
    execute_process(COMMAND ${python} -c "import numpy" RESULT_VARIABLE failed
                    OUTPUT_QUIET ERROR_QUIET)
    if(failed EQUAL 0)
      set(OUTFLOW_NUMPY_PYTHON ${python} CACHE FILEPATH "Python that imports numpy")
    endif()
  endif()
endforeach()

add_executable(model_check model_check.c)
target_link_libraries(model_check PRIVATE outflow_internal)

if(OUTFLOW_NUMPY_PYTHON)
  set(python ${OUTFLOW_NUMPY_PYTHON})
elseif(Python3_EXECUTABLE)
  set(python ${Python3_EXECUTABLE})
else()
  set(python "")
endif()
if(python AND TARGET outflow_program)
  foreach(part checkpoints command engine layouts vectors)
    add_test(NAME convert_${part}
             COMMAND ${python} ${CMAKE_CURRENT_SOURCE_DIR}/convert/${part}_test.py
                     $<TARGET_FILE:model_check> $<TARGET_FILE:outflow_program>)
    set_tests_properties(convert_${part} PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 300)
  endforeach()
else()
  message(STATUS "SKIPPED: the tests of tools/convert_weights.py need Python 3 and the program")
endif()
