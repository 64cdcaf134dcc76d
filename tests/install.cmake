# SPDX-License-Identifier: Apache-2.0
# Checks of the project around the code: what is installed, exported, and who uses whom.
separate_arguments(example_flags NATIVE_COMMAND "${CMAKE_C_FLAGS}")
if(OUTFLOW_SANITIZE)
  list(APPEND example_flags -fsanitize=${OUTFLOW_SANITIZE})
endif()

add_test(NAME layer_order
         COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/layers.sh ${PROJECT_SOURCE_DIR}
                 $<TARGET_OBJECTS:outflow_objects> ${OUTFLOW_SERVER_OBJECTS}
         COMMAND_EXPAND_LISTS)
if(TARGET outflow_program)
  # The same program with the shared library.
  add_executable(program_shared $<TARGET_OBJECTS:outflow_cli> ${OUTFLOW_SERVER_OBJECTS})
  target_link_libraries(program_shared PRIVATE outflow outflow_flags OpenMP::OpenMP_C PkgConfig::CJSON m
                        ${OUTFLOW_SERVER_LIBRARIES})
  add_test(NAME program_symbols
           COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/program_symbols.sh $<TARGET_FILE:outflow>
                   $<TARGET_FILE:outflow_program> $<TARGET_FILE:program_shared>
                   $<TARGET_OBJECTS:outflow_cli> ${OUTFLOW_SERVER_OBJECTS}
           COMMAND_EXPAND_LISTS)
  add_test(NAME api
           COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/api/run.sh ${PROJECT_SOURCE_DIR}
                   ${PROJECT_BINARY_DIR} ${CMAKE_CURRENT_BINARY_DIR}/api ${CMAKE_C_COMPILER}
                   ${example_flags})
  add_test(NAME install
           COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/install/run.sh ${PROJECT_BINARY_DIR}
                   ${CMAKE_CURRENT_BINARY_DIR}/install ${CMAKE_C_COMPILER} ${example_flags})
  set_tests_properties(install PROPERTIES RUN_SERIAL TRUE)
  add_test(NAME readme_commands
           COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/readme.sh ${PROJECT_SOURCE_DIR}/README.md
                   ${PROJECT_BINARY_DIR} ${CMAKE_CURRENT_BINARY_DIR}/readme)
endif()
if(NOT OUTFLOW_SANITIZE)
  # Sanitizers export symbols of their own.
  file(GLOB headers CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/include/outflow/*.h)
  add_test(NAME exported_symbols
           COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/symbols.sh $<TARGET_FILE:outflow> ${headers})
endif()
