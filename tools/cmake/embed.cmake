# SPDX-License-Identifier: Apache-2.0
# Writes files as C arrays: of_NAME[] and of_NAME_size.
#
#   cmake -DFILES=NAME=PATH,NAME=PATH -DOUTPUT=FILE.c -P embed.cmake
string(REPLACE "," ";" pairs "${FILES}")
set(text "#include \"server/page.h\"\n")
foreach(pair ${pairs})
  string(REGEX MATCH "^([^=]*)=(.*)$" unused "${pair}")
  set(name ${CMAKE_MATCH_1})
  file(READ ${CMAKE_MATCH_2} bytes HEX)
  string(LENGTH "${bytes}" digits)
  math(EXPR size "${digits} / 2")
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
  string(APPEND text "const unsigned char of_${name}[] = {${bytes}};\n"
                     "const size_t of_${name}_size = ${size};\n")
endforeach()
file(WRITE ${OUTPUT} "${text}")
