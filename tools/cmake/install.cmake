# SPDX-License-Identifier: Apache-2.0
# What `cmake --install` puts where: library, header, program, models, documents, and the two ways
# to find them (find_package(outflow) and pkg-config outflow).
include(CMakePackageConfigHelpers)

# Components (cmake --install BUILD --component NAME): runtime, the shared library with its MPI
# modules; dev, headers and the static library; models; tools, the program. Without one, all.
install(TARGETS outflow EXPORT outflowTargets
        LIBRARY COMPONENT runtime NAMELINK_COMPONENT dev)
install(DIRECTORY include/outflow DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT dev
        FILES_MATCHING PATTERN "*.h")
# For static linking through pkg-config --static.
set_target_properties(outflow_static PROPERTIES OUTPUT_NAME outflow)
install(TARGETS outflow_static ARCHIVE COMPONENT dev)
if(TARGET outflow_program)
  install(TARGETS outflow_program RUNTIME COMPONENT tools)
endif()
install(DIRECTORY models DESTINATION ${CMAKE_INSTALL_DATADIR}/outflow COMPONENT models OPTIONAL
        FILES_MATCHING PATTERN "*.safetensors" PATTERN "*.md")
install(FILES README.md LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT runtime)
install(DIRECTORY docs DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT dev)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/outflow)
install(EXPORT outflowTargets NAMESPACE outflow:: DESTINATION ${package_dir} COMPONENT dev)
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/outflowConfig.cmake.in
                              ${PROJECT_BINARY_DIR}/outflowConfig.cmake
                              INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/outflowConfigVersion.cmake
                                 COMPATIBILITY SameMajorVersion)
install(FILES ${PROJECT_BINARY_DIR}/outflowConfig.cmake
              ${PROJECT_BINARY_DIR}/outflowConfigVersion.cmake DESTINATION ${package_dir}
        COMPONENT dev)

# outflow.pc finds its prefix from its own place, so an installed tree can be moved.
set(pkgconfig_dir ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
if(IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}")
  set(OUTFLOW_PC_PREFIX ${CMAKE_INSTALL_PREFIX})
else()
  file(RELATIVE_PATH up /prefix/${pkgconfig_dir} /prefix)
  string(REGEX REPLACE "/$" "" up "${up}")
  set(OUTFLOW_PC_PREFIX "\${pcfiledir}/${up}")
endif()
foreach(kind LIB INCLUDE)
  if(IS_ABSOLUTE "${CMAKE_INSTALL_${kind}DIR}")
    set(OUTFLOW_PC_${kind}DIR ${CMAKE_INSTALL_${kind}DIR})
  else()
    set(OUTFLOW_PC_${kind}DIR "\${prefix}/${CMAKE_INSTALL_${kind}DIR}")
  endif()
endforeach()
set(OUTFLOW_PC_PICTURES "")
foreach(format JPEG WEBP TIFF JP2 HEIF)
  if(${format} IN_LIST OUTFLOW_PICTURE_FORMATS)
    foreach(library IN LISTS ${format}_LIBRARIES)
      string(APPEND OUTFLOW_PC_PICTURES "-l${library} ")
    endforeach()
  endif()
endforeach()
configure_file(${CMAKE_CURRENT_LIST_DIR}/outflow.pc.in ${PROJECT_BINARY_DIR}/outflow.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/outflow.pc DESTINATION ${pkgconfig_dir} COMPONENT dev)
