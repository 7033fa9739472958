# SPDX-License-Identifier: Apache-2.0
#
# A Conan hook: the rules of ConanCenter's own hook that a header-only recipe can break, by their
# numbers there. It stands in where that hook cannot be had, and is not it.

import fnmatch
import os
import re

from conan.tools.files import load


def require(condition, rule, sentence):
    if not condition:
        raise Exception(f"KB-{rule}: {sentence}")


def pre_export(conanfile):
    folder = conanfile.recipe_folder
    text = load(conanfile, os.path.join(folder, "conanfile.py"))
    for attribute in ("url", "license", "description", "homepage", "topics"):
        require(getattr(conanfile, attribute, None), "H001", f"no {attribute}")
    require(not getattr(conanfile, "author", None), "H001", "recipes have no author")
    require(conanfile.url == "https://github.com/conan-io/conan-center-index", "H001", "url")
    for topic in conanfile.topics:
        require(topic not in ("conan", conanfile.name) and topic == topic.lower(), "H001",
                f"topic {topic}")
    require("header-only" in conanfile.topics, "H001", "topics name header-only")
    require(re.search(r"^    name = ", text, re.M), "H002", "the recipe names itself")
    require(not re.search(r"^    (version|user|channel) *=", text, re.M), "H002",
            "the recipe has no version of its own")
    require(conanfile.no_copy_source, "H003", "headers need no copy")
    size = sum(os.path.getsize(os.path.join(path, file))
               for path, _, files in os.walk(folder) for file in files)
    require(size < 256 * 1024, "H006", f"the recipe takes {size} bytes")
    require(not getattr(conanfile, "exports", None), "H014", "the recipe exports nothing")
    require(not getattr(conanfile, "exports_sources", None), "H014", "the recipe exports nothing")
    require(os.path.exists(os.path.join(folder, "test_package", "conanfile.py")), "H015",
            "a test package")
    require("#!" not in text and "coding:" not in text and "pylint" not in text, "H016",
            "no lines for tools")
    require(list(conanfile.conan_data) == ["sources"], "H017", "conandata.yml has sources")
    source = conanfile.conan_data["sources"][conanfile.version]
    require(sorted(source) == ["sha256", "url"], "H017", "an address and a digest")
    require("@" not in text, "H017", "the recipe is filled in")
    require("system_requirements" not in text, "H018", "no system packages")
    cmake = load(conanfile, os.path.join(folder, "test_package", "CMakeLists.txt"))
    require(re.search(r"^cmake_minimum_required\(VERSION 3\.(1[5-9]|2\d)\)$", cmake, re.M), "H021",
            "the test package says which CMake it takes")
    require("find_package(prefopt CONFIG REQUIRED)" in cmake, "H021", "and finds the package")


def post_package(conanfile):
    folder = conanfile.package_folder
    license = os.path.join(folder, "licenses", "LICENSE")
    require(os.path.exists(license) and os.path.getsize(license), "H009", "a licence")
    require(set(os.listdir(folder)) <= {"include", "lib", "licenses", "conaninfo.txt",
                                        "conanmanifest.txt"}, "H010", os.listdir(folder))
    for path, _, files in os.walk(folder):
        for file in files:
            for pattern in ("Find*.cmake", "*Config.cmake", "*-config.cmake", "*.pc", "*.a", "*.so",
                            "*.pdb", "*.la"):
                require(not fnmatch.fnmatch(file, pattern), "H012", f"{path}/{file}")
            require(len(os.path.relpath(os.path.join(path, file), folder)) < 160, "H028", file)


def post_package_info(conanfile):
    for folder in conanfile.cpp_info.includedirs:
        require(os.path.isdir(os.path.join(conanfile.package_folder, folder)), "H031", folder)
    require(not conanfile.cpp_info.libs, "H024", "no libraries")
    print("ConanCenter's rules: kept")
