# SPDX-License-Identifier: Apache-2.0
# Pictures of all kinds as Pillow decodes them: with python3-pil and python3-numpy, or with the Python
# that OUTFLOW_PILLOW_PYTHON names.
set(OUTFLOW_PILLOW_PYTHON "" CACHE FILEPATH "Python with Pillow and NumPy; else python3")
find_program(PYTHON3 python3)
set(python ${PYTHON3})
if(OUTFLOW_PILLOW_PYTHON)
  set(python ${OUTFLOW_PILLOW_PYTHON})
endif()
if(python)
  add_executable(decode_picture pictures/decode_picture.c)
  target_link_libraries(decode_picture PRIVATE outflow_internal)
  set(left_out "")
  foreach(format IN ITEMS WEBP:WebP TIFF:TIFF "JP2:JPEG 2000" HEIF:AVIF HEIF:HEIC)
    string(REGEX MATCH "^[^:]*" option ${format})
    if(NOT option IN_LIST OUTFLOW_PICTURE_FORMATS)
      string(REGEX REPLACE "^[^:]*:" "" name ${format})
      list(APPEND left_out ${name})
    endif()
  endforeach()
  add_test(NAME pictures COMMAND ${python} ${CMAKE_CURRENT_SOURCE_DIR}/pictures/pictures_test.py
           $<TARGET_FILE:decode_picture> ${left_out})
  set_tests_properties(pictures PROPERTIES SKIP_RETURN_CODE 77)
endif()
