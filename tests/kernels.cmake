# SPDX-License-Identifier: Apache-2.0
# Checks of the hand-written kernels: on this machine's instruction sets, with AVX-512 emulated,
# and of what the compiler made of the sources.

file(GLOB KERNEL_CHECK CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/kernel_check/*.c)
add_executable(kernel_check ${KERNEL_CHECK})
target_link_libraries(kernel_check PRIVATE outflow_internal m)
add_test(NAME kernel_check COMMAND kernel_check --seed 1)

# The lower rungs must run on the machines they are for: no wider instruction in baseline objects.
find_program(OBJDUMP objdump)
function(add_leak_test name target allowed)
  file(GENERATE OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/${name}.txt
       CONTENT "$<JOIN:$<TARGET_OBJECTS:${target}>,\n>\n")
  add_test(NAME ${name} COMMAND ${CMAKE_COMMAND} -D OBJDUMP=${OBJDUMP} -D ALLOWED=${allowed}
           -D OBJECTS=${CMAKE_CURRENT_BINARY_DIR}/${name}.txt
           -P ${CMAKE_CURRENT_SOURCE_DIR}/kernel_check/isa_leak.cmake)
endfunction()
set(CHECK_LEAKS FALSE)
if(NOT OUTFLOW_X86)
  message(STATUS "Not x86-64: kernel tests cover the scalar kernels only")
elseif(NOT OBJDUMP)
  message(WARNING "objdump not found: the isa_leak tests are left out")
elseif("${CMAKE_C_FLAGS}" MATCHES "-m(arch|avx|cpu)")
  message(WARNING "CMAKE_C_FLAGS raise the baseline: the isa_leak tests are left out")
else()
  set(CHECK_LEAKS TRUE)
  add_leak_test(isa_leak outflow_objects "simd/avx(2|512|512_bf16)/")
endif()

find_path(SIMDE_INCLUDE_DIR simde/x86/avx512.h)
if(NOT OUTFLOW_X86)
  return()
elseif(NOT SIMDE_INCLUDE_DIR)
  message(WARNING "SIMDe not found (libsimde-dev): the tests of emulated AVX-512 are left out")
  return()
endif()

# The whole library again, its AVX-512 files compiled for any machine. Source properties belong to
# a directory: those of the top one do not reach this target.
add_library(outflow_emulated STATIC ${OUTFLOW_SOURCES} ${OUTFLOW_AVX2} ${OUTFLOW_AVX512})
outflow_library_settings(outflow_emulated)
target_compile_definitions(outflow_emulated PRIVATE OF_AVX512_EMULATED)
set_source_files_properties(${OUTFLOW_AVX2} PROPERTIES COMPILE_OPTIONS "-mavx2;-mfma")
set_source_files_properties(${OUTFLOW_AVX512} PROPERTIES
  COMPILE_OPTIONS "-mno-avx;-Wno-psabi"
  INCLUDE_DIRECTORIES ${CMAKE_CURRENT_SOURCE_DIR}/simde)
target_include_directories(outflow_emulated SYSTEM PRIVATE ${SIMDE_INCLUDE_DIR})
target_include_directories(outflow_emulated INTERFACE ${PROJECT_SOURCE_DIR}/src
                           ${PROJECT_SOURCE_DIR}/simd)
target_link_libraries(outflow_emulated PUBLIC outflow_flags OpenMP::OpenMP_C PkgConfig::CJSON
                      PkgConfig::PNG)

add_executable(kernel_check_simde ${KERNEL_CHECK})
target_link_libraries(kernel_check_simde PRIVATE outflow_emulated m)
add_test(NAME kernel_check_simde COMMAND kernel_check_simde --seed 2 --isa avx512)
if(CHECK_LEAKS)
  add_leak_test(isa_leak_simde outflow_emulated "simd/avx2/")
endif()

# The shims of simde/immintrin.h, each on its own.
add_library(shim_cases OBJECT simde/shim_cases.c)
target_compile_definitions(shim_cases PRIVATE CASES=shim_cases)
target_compile_options(shim_cases PRIVATE -mno-avx -Wno-psabi)
target_include_directories(shim_cases PRIVATE simde)
target_include_directories(shim_cases SYSTEM PRIVATE ${SIMDE_INCLUDE_DIR})
target_link_libraries(shim_cases PRIVATE outflow_flags)
add_library(native_cases OBJECT simde/shim_cases.c)
target_compile_definitions(native_cases PRIVATE CASES=native_cases)
target_compile_options(native_cases PRIVATE -mavx2 -mfma -mavx512f -mavx512bw -mavx512dq
                       -mavx512vl)
target_link_libraries(native_cases PRIVATE outflow_flags)
add_executable(test_shims simde/test_shims.c $<TARGET_OBJECTS:shim_cases>
               $<TARGET_OBJECTS:native_cases>)
target_link_libraries(test_shims PRIVATE outflow_internal m)
add_test(NAME test_shims COMMAND test_shims)
