# SPDX-License-Identifier: Apache-2.0
# Fails if an object compiled for the x86-64 baseline contains AVX or AVX-512 registers.
#   cmake -D OBJDUMP=objdump -D OBJECTS=list.txt -D ALLOWED=regex -P isa_leak.cmake
# OBJECTS: paths, one a line; those that match ALLOWED may contain them.
file(STRINGS ${OBJECTS} objects)
set(checked 0)
set(wide 0)
foreach(object IN LISTS objects)
  if(NOT object MATCHES "\\.(o|obj)$")
    continue()
  endif()
  execute_process(COMMAND ${OBJDUMP} -d --no-show-raw-insn ${object}
                  OUTPUT_VARIABLE code RESULT_VARIABLE status)
  if(NOT status EQUAL 0)
    message(SEND_ERROR "${OBJDUMP} failed on ${object}")
  endif()
  string(REGEX MATCH "[^\n]*%([yz]mm|k[0-7])[^\n]*" found "${code}")
  if(object MATCHES "${ALLOWED}")
    if(found)
      math(EXPR wide "${wide} + 1")
    endif()
  else()
    math(EXPR checked "${checked} + 1")
    if(found)
      message(SEND_ERROR "${object}: ${found}")
    endif()
  endif()
endforeach()
# Guards against a test that looks at nothing, or for the wrong thing.
if(checked EQUAL 0 OR wide EQUAL 0)
  message(SEND_ERROR "looked at ${checked} baseline objects and ${wide} wide ones")
endif()
message(STATUS "${checked} baseline objects without wide registers, ${wide} others with")
