# SPDX-License-Identifier: Apache-2.0
#
# prefopt from this tree for Conan 2: `conan create . -s compiler.cppstd=20`. Headers only, so there
# is one package for every setting, and it requires nothing. CMake sees the names that an installed
# prefopt has; prefopt_find_backends comes with find_package(prefopt).

import os
import re

from conan import ConanFile
from conan.tools.build import check_min_cppstd
from conan.tools.files import copy, load
from conan.tools.layout import basic_layout

required_conan_version = ">=2.0"


class PrefoptConan(ConanFile):
    name = "prefopt"
    description = "Preference-optimization losses for C++20 trainers"
    license = "Apache-2.0"
    topics = ("machine-learning", "preference-optimization", "dpo", "header-only")
    package_type = "header-library"
    settings = "os", "arch", "compiler", "build_type"
    no_copy_source = True
    exports_sources = "include/*", "cmake/prefopt-backends.cmake", "LICENSE"

    def set_version(self):
        header = load(self, os.path.join(self.recipe_folder, "include/prefopt/version.hpp"))
        numbers = re.findall(r"#define PREFOPT_VERSION_(?:MAJOR|MINOR|PATCH) (\d+)", header)
        self.version = ".".join(numbers)

    def layout(self):
        basic_layout(self)

    def package_id(self):
        self.info.clear()

    def validate(self):
        check_min_cppstd(self, 20)

    def package(self):
        copy(self, "LICENSE", self.source_folder, os.path.join(self.package_folder, "licenses"))
        copy(self, "include/*", self.source_folder, self.package_folder)
        copy(self, "prefopt-backends.cmake", os.path.join(self.source_folder, "cmake"),
             os.path.join(self.package_folder, "lib", "cmake", "prefopt"))

    def package_info(self):
        self.cpp_info.set_property("cmake_file_name", "prefopt")
        self.cpp_info.set_property("cmake_target_name", "prefopt::prefopt")
        self.cpp_info.set_property("cmake_build_modules",
                                   ["lib/cmake/prefopt/prefopt-backends.cmake"])
        self.cpp_info.set_property("pkg_config_name", "prefopt")
        self.cpp_info.bindirs = []
        self.cpp_info.libdirs = []
