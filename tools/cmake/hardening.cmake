# SPDX-License-Identifier: Apache-2.0
# What makes errors in memory harder to exploit, in all that is built with `outflow_flags`:
# overwritten stacks and overlong copies end the process, jumps have known targets, tables of
# addresses cannot be written once the program runs, and its own address is not known. Costs less
# than can be measured. tests/hardening.sh looks at what is built.
option(OUTFLOW_HARDENING "Compile and link with the protections of compiler and linker" ON)

# Sanitizers bring their own, and want none of these beside them.
if(OUTFLOW_HARDENING AND NOT OUTFLOW_SANITIZE)
  include(CheckCCompilerFlag)
  include(CheckLinkerFlag)
  include(CheckPIESupported)
  check_pie_supported(LANGUAGES C)
  foreach(flag -fstack-protector-strong -fstack-clash-protection -fcf-protection)
    string(MAKE_C_IDENTIFIER "OUTFLOW_HAS${flag}" known)
    check_c_compiler_flag(${flag} ${known})
    if(${known})
      target_compile_options(outflow_flags INTERFACE ${flag})
    endif()
  endforeach()
  # Its checks are made by the optimizer. Some distributions' compilers define it themselves.
  target_compile_options(outflow_flags INTERFACE
    "$<$<CONFIG:Release,RelWithDebInfo,MinSizeRel>:-U_FORTIFY_SOURCE;-D_FORTIFY_SOURCE=2>")
  check_linker_flag(C "-Wl,-z,relro,-z,now,-z,noexecstack" OUTFLOW_HAS_RELRO)
  if(OUTFLOW_HAS_RELRO)
    target_link_options(outflow_flags INTERFACE -Wl,-z,relro,-z,now,-z,noexecstack)
  endif()
endif()
