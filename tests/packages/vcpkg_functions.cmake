# SPDX-License-Identifier: Apache-2.0
#
# Stand-ins for the functions of vcpkg that the portfile calls: they do to the files what vcpkg's
# do, for a port of one build type on Linux, and refuse arguments that vcpkg's would not know.

function(vcpkg_arguments keywords)
    cmake_parse_arguments(arg "" "${keywords}" "OPTIONS;FILE_LIST" ${ARGN})
    if(arg_UNPARSED_ARGUMENTS)
        message(FATAL_ERROR "vcpkg knows no argument ${arg_UNPARSED_ARGUMENTS} there")
    endif()
    foreach(keyword IN LISTS keywords ITEMS OPTIONS FILE_LIST)
        set(arg_${keyword} "${arg_${keyword}}" PARENT_SCOPE)
    endforeach()
endfunction()

# Unpacks below the build trees; an archive has one folder at its top, which goes.
function(vcpkg_extract_source_archive result)
    vcpkg_arguments("ARCHIVE" ${ARGN})
    set(folder "${CURRENT_BUILDTREES_DIR}/src/unpacked")
    file(ARCHIVE_EXTRACT INPUT "${arg_ARCHIVE}" DESTINATION "${folder}")
    file(GLOB top "${folder}/*")
    list(LENGTH top count)
    if(NOT count EQUAL 1 OR NOT IS_DIRECTORY "${top}")
        message(FATAL_ERROR "the archive has not one folder at its top: ${top}")
    endif()
    file(RENAME "${top}" "${CURRENT_BUILDTREES_DIR}/src/prefopt.clean")
    set(${result} "${CURRENT_BUILDTREES_DIR}/src/prefopt.clean" PARENT_SCOPE)
endfunction()

function(vcpkg_cmake_configure)
    vcpkg_arguments("SOURCE_PATH" ${ARGN})
    run("configure the port" "${CMAKE_COMMAND}" -S "${arg_SOURCE_PATH}"
        -B "${CURRENT_BUILDTREES_DIR}/${TARGET_TRIPLET}-rel" -G Ninja -DCMAKE_BUILD_TYPE=Release
        "-DCMAKE_CXX_COMPILER=${COMPILER}" "-DCMAKE_INSTALL_PREFIX=${CURRENT_PACKAGES_DIR}"
        -DBUILD_SHARED_LIBS=OFF -DCMAKE_INSTALL_LIBDIR:STRING=lib
        -DCMAKE_INSTALL_BINDIR:STRING=bin -DCMAKE_EXPORT_NO_PACKAGE_REGISTRY=ON
        -DCMAKE_ERROR_ON_ABSOLUTE_INSTALL_DESTINATION=ON -DFETCHCONTENT_FULLY_DISCONNECTED=ON
        ${arg_OPTIONS})
endfunction()

function(vcpkg_cmake_install)
    vcpkg_arguments("" ${ARGN})
    run("install the port" "${CMAKE_COMMAND}"
        --build "${CURRENT_BUILDTREES_DIR}/${TARGET_TRIPLET}-rel" --target install)
endfunction()

# The package files go two levels below the prefix, and say so; a folder `cmake` that is left goes.
function(vcpkg_cmake_config_fixup)
    vcpkg_arguments("CONFIG_PATH" ${ARGN})
    set(to "${CURRENT_PACKAGES_DIR}/share/${PORT}")
    file(GLOB files "${CURRENT_PACKAGES_DIR}/${arg_CONFIG_PATH}/*")
    file(COPY ${files} DESTINATION "${to}")
    file(REMOVE_RECURSE "${CURRENT_PACKAGES_DIR}/${arg_CONFIG_PATH}")
    get_filename_component(above "${CURRENT_PACKAGES_DIR}/${arg_CONFIG_PATH}" DIRECTORY)
    if(above MATCHES "/cmake$")
        file(REMOVE_RECURSE "${above}")
    endif()
    set(up "get_filename_component(_IMPORT_PREFIX \"\${_IMPORT_PREFIX}\" PATH)\n")
    file(GLOB files "${to}/*.cmake")
    foreach(file IN LISTS files)
        file(READ "${file}" text)
        string(REPLACE "${up}${up}${up}" "${up}${up}" text "${text}")
        string(REPLACE "/../../../\" ABSOLUTE)" "/../../\" ABSOLUTE)" text "${text}")
        string(REPLACE "${CURRENT_PACKAGES_DIR}" "\${_IMPORT_PREFIX}" text "${text}")
        file(WRITE "${file}" "${text}")
    endforeach()
endfunction()

# Every .pc file starts with a prefix relative to itself, and pkg-config must accept it.
function(vcpkg_fixup_pkgconfig)
    vcpkg_arguments("" ${ARGN})
    file(GLOB_RECURSE files "${CURRENT_PACKAGES_DIR}/*.pc")
    foreach(file IN LISTS files)
        get_filename_component(folder "${file}" DIRECTORY)
        get_filename_component(name "${file}" NAME_WE)
        file(RELATIVE_PATH up "${folder}" "${CURRENT_PACKAGES_DIR}")
        string(REGEX REPLACE "/$" "" up "${up}")
        file(READ "${file}" text)
        string(REPLACE "${CURRENT_PACKAGES_DIR}" "\${prefix}" text "${text}")
        string(REGEX REPLACE "(^|\n)prefix[ \t]*=[^\n]*" "" text "${text}")
        file(WRITE "${file}" "prefix=\${pcfiledir}/${up}\n${text}")
        run("pkg-config" "${CMAKE_COMMAND}" -E env "PKG_CONFIG_PATH=${folder}"
            pkg-config --print-errors --exists ${name})
    endforeach()
endfunction()

function(vcpkg_install_copyright)
    vcpkg_arguments("" ${ARGN})
    file(INSTALL "${arg_FILE_LIST}" DESTINATION "${CURRENT_PACKAGES_DIR}/share/${PORT}"
         RENAME copyright)
endfunction()
