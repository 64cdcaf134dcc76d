# SPDX-License-Identifier: Apache-2.0
# Runs of several processes, once for each MPI library that a module was built for.
function(outflow_mpi_skip name reason)
  message(WARNING "Tests of several ranks are left out: ${reason}")
  add_test(NAME mpi_${name} COMMAND ${CMAKE_COMMAND} -E echo "skipped: ${reason}")
  set_tests_properties(mpi_${name} PROPERTIES SKIP_REGULAR_EXPRESSION "skipped: ")
endfunction()

function(outflow_mpi_test module)
  find_program(OUTFLOW_LAUNCHER_${module} NAMES ${ARGN})
  if(NOT OUTFLOW_LAUNCHER_${module})
    outflow_mpi_skip(${module} "there is no launcher of it (${ARGN})")
    return()
  endif()
  set(scripts ranks ranks_score)
  if(NOT OUTFLOW_SANITIZE)
    list(APPEND scripts ranks_library)
  endif()
  if(module STREQUAL openmpi)
    list(APPEND scripts ranks_network)
  endif()
  foreach(script ${scripts})
    add_test(NAME mpi_${script}_${module}
             COMMAND ${POSIX_SHELL} ${CMAKE_CURRENT_SOURCE_DIR}/mpi/test_${script}.sh
                     $<TARGET_FILE:outflow_program> $<TARGET_FILE_DIR:cli_make_model>
                     ${OUTFLOW_LAUNCHER_${module}} $<TARGET_FILE:mpi_ranks_check>
                     $<TARGET_SONAME_FILE:outflow>)
    # MPI libraries keep memory to the end
    set_tests_properties(mpi_${script}_${module} PROPERTIES TIMEOUT 600 SKIP_RETURN_CODE 77
                         ENVIRONMENT "ASAN_OPTIONS=detect_leaks=0")
  endforeach()
endfunction()

if(OUTFLOW_SANITIZE MATCHES "thread")
  outflow_mpi_skip(ranks "the thread sanitizer does not know what an MPI library does")
  return()
endif()
# Finds the library by LD_LIBRARY_PATH alone, and lies in another folder.
add_executable(mpi_ranks_check mpi/ranks_check.c)
set_target_properties(mpi_ranks_check PROPERTIES OUTPUT_NAME ranks_check SKIP_BUILD_RPATH TRUE
                      RUNTIME_OUTPUT_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/mpi)
target_link_libraries(mpi_ranks_check PRIVATE outflow outflow_flags m)

if(NOT OUTFLOW_MPI_MODULES)
  outflow_mpi_skip(ranks "there is no MPI library; tools/setup --mpi installs one")
endif()
foreach(module ${OUTFLOW_MPI_MODULES})
  if(module STREQUAL openmpi)
    outflow_mpi_test(openmpi mpirun.openmpi mpirun)
  elseif(module STREQUAL mpich)
    outflow_mpi_test(mpich mpiexec.mpich mpiexec)
  else()
    outflow_mpi_test(mpi mpiexec mpirun)
  endif()
endforeach()
