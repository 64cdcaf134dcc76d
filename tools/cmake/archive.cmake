# SPDX-License-Identifier: Apache-2.0
# libarchive: the shared library, or of the static one those objects that reading images needs. The
# shared one brings libxml2 along, and with that ICU (30 MB), for a format that is never read.
pkg_check_modules(ARCHIVE REQUIRED IMPORTED_TARGET libarchive)
option(OUTFLOW_ARCHIVE_STATIC "Link the static libarchive, for the Python wheel" OFF)
if(NOT OUTFLOW_ARCHIVE_STATIC)
  return()
endif()

find_library(ARCHIVE_OBJECTS libarchive.a HINTS ${ARCHIVE_STATIC_LIBRARY_DIRS} REQUIRED)
# pkg-config names what any part of it may need; the linker keeps what these parts do, and a library
# that is not here is one of the others, or else the extension does not load.
set(libraries ${ARCHIVE_OBJECTS} -Wl,--push-state,--as-needed)
foreach(name IN LISTS ARCHIVE_STATIC_LIBRARIES)
  find_library(ARCHIVE_LIBRARY_${name} ${name} HINTS ${ARCHIVE_STATIC_LIBRARY_DIRS})
  if(NOT name STREQUAL archive AND ARCHIVE_LIBRARY_${name})
    list(APPEND libraries ${ARCHIVE_LIBRARY_${name}})
  endif()
endforeach()
set_target_properties(PkgConfig::ARCHIVE PROPERTIES
                      INTERFACE_LINK_LIBRARIES "${libraries};-Wl,--pop-state")
