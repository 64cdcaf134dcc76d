# SPDX-License-Identifier: Apache-2.0
# The library itself needs no MPI: what speaks it is a module (outflow_openmpi.so, outflow_mpich.so,
# outflow_mpi.so for any other), loaded when a launcher has started several processes. Sets
# OUTFLOW_MPI_MODULES to the names of those that are built.
set(OUTFLOW_MPI_MODULES "")

function(outflow_mpi_module name)
  add_library(outflow_${name} MODULE ${PROJECT_SOURCE_DIR}/src/ranks/mpi/transport.c)
  set_target_properties(outflow_${name} PROPERTIES PREFIX "")
  target_include_directories(outflow_${name} PRIVATE ${PROJECT_SOURCE_DIR}/src)
  target_link_libraries(outflow_${name} PRIVATE outflow_flags ${ARGN})
  install(TARGETS outflow_${name} LIBRARY DESTINATION ${OUTFLOW_MODULE_DIR}
          COMPONENT runtime)
  set(OUTFLOW_MPI_MODULES ${OUTFLOW_MPI_MODULES} ${name} PARENT_SCOPE)
endfunction()

if(OUTFLOW_MPI AND TARGET outflow_program)
  pkg_check_modules(OPENMPI QUIET IMPORTED_TARGET ompi-c)
  pkg_check_modules(MPICH QUIET IMPORTED_TARGET mpich)
  if(OPENMPI_FOUND)
    outflow_mpi_module(openmpi PkgConfig::OPENMPI)
  endif()
  if(MPICH_FOUND)
    outflow_mpi_module(mpich PkgConfig::MPICH)
  endif()
  if(NOT OUTFLOW_MPI_MODULES)
    find_package(MPI QUIET COMPONENTS C)
    if(MPI_C_FOUND)
      outflow_mpi_module(mpi MPI::MPI_C)
    endif()
  endif()
  if(NOT OUTFLOW_MPI_MODULES AND NOT OUTFLOW_MPI STREQUAL "AUTO")
    message(FATAL_ERROR "OUTFLOW_MPI is ${OUTFLOW_MPI}, but there is no MPI library; tools/setup "
                        "--mpi installs one")
  endif()
  message(STATUS "MPI modules: ${OUTFLOW_MPI_MODULES}")
endif()
