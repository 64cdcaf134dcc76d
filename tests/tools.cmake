# SPDX-License-Identifier: Apache-2.0
# The scripts of tools/ that users run.
if(TARGET outflow_program)
  foreach(tool datasets demo options reproduce train_models)
    add_test(NAME tools_${tool}
             COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/tools/${tool}.sh ${PROJECT_SOURCE_DIR}
                     $<TARGET_FILE:outflow_program>)
    set_tests_properties(tools_${tool} PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 300)
  endforeach()
endif()
