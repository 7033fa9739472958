# SPDX-License-Identifier: Apache-2.0

import os

from conan import ConanFile
from conan.tools.build import check_min_cppstd
from conan.tools.files import copy, get
from conan.tools.layout import basic_layout

required_conan_version = ">=2.0"


class PrefoptConan(ConanFile):
    name = "prefopt"
    description = "Preference-optimization losses for C++20 trainers"
    license = "Apache-2.0"
    url = "https://github.com/conan-io/conan-center-index"
    homepage = "@HOMEPAGE@"
    topics = ("machine-learning", "preference-optimization", "dpo", "header-only")
    package_type = "header-library"
    settings = "os", "arch", "compiler", "build_type"
    no_copy_source = True

    def layout(self):
        basic_layout(self, src_folder="src")

    def package_id(self):
        self.info.clear()

    def validate(self):
        check_min_cppstd(self, 20)

    def source(self):
        get(self, **self.conan_data["sources"][self.version], strip_root=True)

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
