# SPDX-License-Identifier: Apache-2.0
# Image formats whose decoder is a library of its own: each is read where the library is found, and
# can be left out. PNG, BMP, GIF, TGA and PNM are always read, JPEG too.
set(OUTFLOW_PICTURE_FORMATS "")
set(OUTFLOW_PICTURE_LIBRARIES "")
set(OUTFLOW_PICTURE_DEFINITIONS "")

# picture_format(JPEG "libjpeg-turbo: ..." module...)
function(picture_format name what)
  option(OUTFLOW_${name} "${what}" ON)
  if(OUTFLOW_${name})
    pkg_check_modules(${name} QUIET IMPORTED_TARGET ${ARGN})
  endif()
  if(OUTFLOW_${name} AND ${name}_FOUND)
    message(STATUS "${what}: yes")
    set(OUTFLOW_PICTURE_FORMATS ${OUTFLOW_PICTURE_FORMATS} ${name} PARENT_SCOPE)
    set(OUTFLOW_PICTURE_LIBRARIES ${OUTFLOW_PICTURE_LIBRARIES} PkgConfig::${name} PARENT_SCOPE)
    set(OUTFLOW_PICTURE_DEFINITIONS ${OUTFLOW_PICTURE_DEFINITIONS} OUTFLOW_${name} PARENT_SCOPE)
  elseif(OUTFLOW_${name})
    message(STATUS "${what}: no, ${ARGN} not found")
  else()
    message(STATUS "${what}: no, left out")
  endif()
endfunction()

picture_format(JPEG "JPEG by libjpeg-turbo, else by stb_image" libjpeg)
picture_format(WEBP "WebP, and the score complexity-webp, by libwebp" libwebp libwebpdemux)
picture_format(TIFF "TIFF by libtiff" "libtiff-4>=4.5")
picture_format(JP2 "JPEG 2000 by OpenJPEG" "libopenjp2>=2.5")
# Not unless it is asked for: the codecs of video below libheif (dav1d, libde265) print to standard error
# when a file is damaged, and lose memory over some.
option(OUTFLOW_HEIF "AVIF and HEIC by libheif" OFF)
picture_format(HEIF "AVIF and HEIC by libheif" "libheif>=1.12")
