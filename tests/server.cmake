# SPDX-License-Identifier: Apache-2.0
# outflow serve, by clients that are written in Python with its standard library alone.
if(NOT TARGET outflow_server)
  return()
endif()
find_package(Python3 COMPONENTS Interpreter)
file(GLOB SERVER_TESTS CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/server/*_test.py)
foreach(script ${SERVER_TESTS})
  get_filename_component(name ${script} NAME_WE)
  string(REGEX REPLACE "^(.*)_test$" "server_\\1" name ${name})
  if(Python3_Interpreter_FOUND)
    add_test(NAME ${name} COMMAND Python3::Interpreter ${script})
  else()
    add_test(NAME ${name} COMMAND sh -c "echo 'SKIPPED: there is no python3'; exit 77")
  endif()
  set_tests_properties(${name} PROPERTIES TIMEOUT 600 SKIP_RETURN_CODE 77 ENVIRONMENT
    "OUTFLOW_PROGRAM=$<TARGET_FILE:outflow_program>;OUTFLOW_HELPERS=$<TARGET_FILE_DIR:cli_make_model>;OUTFLOW_SOURCE=${PROJECT_SOURCE_DIR};OUTFLOW_SANITIZED=${OUTFLOW_SANITIZE};OUTFLOW_MODELS=${PROJECT_SOURCE_DIR}/models")
endforeach()
