# SPDX-License-Identifier: Apache-2.0
# The verb serve: src/server over the public headers alone, where libmicrohttpd is.
if(OUTFLOW_SERVER STREQUAL "OFF")
  message(STATUS "outflow serve: switched off")
  return()
endif()
pkg_check_modules(MICROHTTPD IMPORTED_TARGET libmicrohttpd>=0.9.71)
pkg_check_modules(SECCOMP IMPORTED_TARGET libseccomp) # optional: system calls of decoders
if(NOT MICROHTTPD_FOUND)
  if(OUTFLOW_SERVER STREQUAL "ON")
    message(FATAL_ERROR "OUTFLOW_SERVER is ON, and libmicrohttpd is not here: tools/setup")
  endif()
  message(STATUS "outflow serve: left out, libmicrohttpd is not here")
  return()
endif()
message(STATUS "outflow serve: libmicrohttpd ${MICROHTTPD_VERSION}, "
               "decoders' system calls ${SECCOMP_FOUND}")

# Files that are part of the program.
set(page ${PROJECT_SOURCE_DIR}/src/server/page)
set(embedded page_html=${page}/page.html page_css=${page}/page.css page_js=${page}/page.js
             openapi_json=${PROJECT_SOURCE_DIR}/docs/openapi.json)
list(TRANSFORM embedded REPLACE "^[^=]*=" "" OUTPUT_VARIABLE embedded_files)
string(REPLACE ";" "," embedded_list "${embedded}")
add_custom_command(OUTPUT ${PROJECT_BINARY_DIR}/src/server/page_files.c
  COMMAND ${CMAKE_COMMAND} -DFILES=${embedded_list} -DOUTPUT=${PROJECT_BINARY_DIR}/src/server/page_files.c
          -P ${CMAKE_CURRENT_LIST_DIR}/embed.cmake
  DEPENDS ${embedded_files} ${CMAKE_CURRENT_LIST_DIR}/embed.cmake VERBATIM)

file(GLOB OUTFLOW_SERVER_SOURCES CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/server/*.c)
add_library(outflow_server OBJECT ${OUTFLOW_SERVER_SOURCES} ${PROJECT_BINARY_DIR}/src/server/page_files.c)
target_include_directories(outflow_server PRIVATE ${PROJECT_SOURCE_DIR}/include
                           ${PROJECT_SOURCE_DIR}/src)
set_target_properties(outflow_server PROPERTIES POSITION_INDEPENDENT_CODE ON)
set(OUTFLOW_SERVER_LIBRARIES PkgConfig::MICROHTTPD PkgConfig::CJSON Threads::Threads)
if(SECCOMP_FOUND)
  list(APPEND OUTFLOW_SERVER_LIBRARIES PkgConfig::SECCOMP)
  target_compile_definitions(outflow_server PRIVATE OUTFLOW_SECCOMP)
endif()
target_link_libraries(outflow_server PRIVATE outflow_flags ${OUTFLOW_SERVER_LIBRARIES})
target_sources(outflow_cli PRIVATE ${PROJECT_SOURCE_DIR}/src/cli/serve.c)
target_compile_definitions(outflow_cli PRIVATE OUTFLOW_SERVER)
set(OUTFLOW_SERVER_OBJECTS $<TARGET_OBJECTS:outflow_server>)
target_sources(outflow_program PRIVATE ${OUTFLOW_SERVER_OBJECTS})
target_link_libraries(outflow_program PRIVATE ${OUTFLOW_SERVER_LIBRARIES})
