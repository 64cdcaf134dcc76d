# SPDX-License-Identifier: Apache-2.0
# The Python package: built in a folder of its own beside this build, then pytest. Skipped, with a
# message, where Python's headers or packages are missing (tools/setup --python).
add_test(NAME python COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/python/run
         ${PROJECT_SOURCE_DIR} ${PROJECT_BINARY_DIR} $<TARGET_FILE:outflow_program>)
set_tests_properties(python PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 900)
