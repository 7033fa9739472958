#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The version stands in include/prefopt/version.hpp. Every other place is compared with it here.

A place is a file and how the version is written there; one that is not found is a fault, too. What
names a version of prefopt anywhere else is compared as well. Each run first breaks every place, in
memory, to see that it would notice.
"""

import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
FULL, MINOR = r"(\d+\.\d+\.\d+)", r"(\d+\.\d+)\b"

# (file, how it is written there), the first match counts.
PLACES = [
    ("CHANGELOG.md", rf"^## {FULL} - "),
    ("README.md", rf"find_package\(prefopt {MINOR}"),
    ("README.md", rf"prefopt-{FULL}\.tar\.gz"),
    ("README.md", rf"prefopt/\[>={MINOR}"),
    ("cmake/packaging/README.md", rf"prefopt-{FULL}\.tar\.gz"),
    ("cmake/packaging/vcpkg/prefopt/vcpkg.json", rf'^  "version": "{FULL}"'),
    ("tests/consumer/managed/conanfile.txt", rf"^prefopt/\[>={MINOR}"),
    ("tests/consumer/installed/CMakeLists.txt", rf"find_package\(prefopt {MINOR} CONFIG REQUIRED"),
]

# These hold no number: they read the header.
READERS = [
    ("CMakeLists.txt", r"include/prefopt/version\.hpp"),
    ("cmake/amalgamate.py", r"prefopt/version\.hpp"),
    ("cmake/release.sh", r"prefopt/version\.hpp"),
    ("cmake/packaging/conan-center/fill.cmake", r"prefopt/version\.hpp"),
    ("conanfile.py", r"prefopt/version\.hpp"),
]

# How a version of prefopt is named anywhere.
ANYWHERE = re.compile(
    r"find_package\(prefopt (\d+\.\d+(?:\.\d+)?)"
    r"|\bprefopt/\[>=(\d+\.\d+)"
    r"|--atleast-version=(\d+\.\d+) prefopt"
    r"|\bprefopt(?:/|-| |@|:|_v?)v?(\d+\.\d+\.\d+)\b"
    r"|releases/download/v(\d+\.\d+\.\d+)"
    r"|GIT_TAG v(\d+\.\d+\.\d+)")
# A package that must not be found.
OTHERS = {("tests/consumer/installed/CMakeLists.txt", "0.9")}


def problems(read, files):
    """What is wrong, a sentence each. `read` gives a file's text."""
    numbers = re.findall(r"#define PREFOPT_VERSION_(MAJOR|MINOR|PATCH) (\d+)",
                         read("include/prefopt/version.hpp"))
    if [name for name, _ in numbers] != ["MAJOR", "MINOR", "PATCH"]:
        return ["include/prefopt/version.hpp: MAJOR, MINOR and PATCH, in this order, not found"]
    version = [number for _, number in numbers]

    def differs(found):
        parts = found.split(".")
        return parts != version[:len(parts)]

    wrong = []
    for file, pattern in PLACES:
        found = re.search(pattern, read(file), re.MULTILINE)
        if not found:
            wrong.append(f"{file}: no version is found by {pattern}")
        elif differs(found[1]):
            wrong.append(f"{file}: {found[1]}, version.hpp says {'.'.join(version)}")
    for file, pattern in READERS:
        if not re.search(pattern, read(file)):
            wrong.append(f"{file}: does not read the version header")
    listed = {file for file, _ in PLACES}
    for file in files:
        for found in ANYWHERE.finditer(read(file)):
            number = next(group for group in found.groups() if group)
            if differs(number) and (file, number) not in OTHERS and file not in listed:
                wrong.append(f"{file}: names prefopt {number}, which is not the version")
    return wrong


def text_of(file):
    path = ROOT / file
    try:
        return path.read_text(encoding="utf-8")
    except (FileNotFoundError, UnicodeDecodeError):
        return ""


def unnoticed():
    """The places that could change, or go, without a word from `problems`."""
    blind = []
    for file, pattern in PLACES + READERS:
        now = re.search(pattern, text_of(file), re.MULTILINE)[0]
        for then in ("", re.sub(r"\d+\.\d+", "9.9", now)):
            def read(name, file=file, then=then, now=now):
                return text_of(name).replace(now, then) if name == file else text_of(name)
            if now != then and not any(p.startswith(file) for p in problems(read, [])):
                blind.append(f"{file}: with '{then}' for '{now}' nothing is wrong")
    return blind


def tracked():
    """The files of the repository, or of a release's archive."""
    if not (ROOT / ".git").exists():
        return [p.relative_to(ROOT).as_posix() for p in ROOT.rglob("*") if p.is_file()]
    return subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True,
                          text=True).stdout.splitlines()


def main():
    files = [f for f in tracked() if f not in ("tests/versions.py", "CHANGELOG.md")]
    wrong = problems(text_of, files) or unnoticed()
    for sentence in wrong:
        print(sentence, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
