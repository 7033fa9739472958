#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes prefopt.hpp, the whole library in one file, from include/.

    cmake/amalgamate.py [--source DIR] [--output prefopt.hpp] [--program FILE] [--forward DIR]

What <prefopt/prefopt.hpp> reaches comes first and always. Every other header (an adapter, an
executor, testing/) is a section that its user asks for with PREFOPT_WITH_<NAME>, since it needs a
backend or costs compile time. Texts that are included once per instruction set are repeated where
they are included. Standard headers move to the top of their section, so that none is first
included inside a region.

--program FILE makes a program of one file instead: FILE, the library in place of its #include
<prefopt.hpp>, ready to be pasted.

--forward DIR writes prefopt/*.hpp into DIR, each forwarding to the one file: with it in front of
include/, the suite tests the one file.
"""

import argparse
import pathlib
import re
import sys

INCLUDE = re.compile(r'\s*#\s*include\s*(?P<what><[^>]+>|"[^"]+"|[A-Z_]+)')
NAMES_A_TEXT = re.compile(
    r"\s*#\s*define\s+(?P<name>PREFOPT_\w+)\s+(?P<what><prefopt/[^>]+>|PREFOPT_\w+)\s*$")
UNDEF = re.compile(r"\s*#\s*undef\s+(?P<name>\w+)")
OPENS = re.compile(r"\s*#\s*if")
CLOSES = re.compile(r"\s*#\s*endif")
SPDX = "// SPDX-License-" + "Identifier: Apache-2.0"  # in two parts: not this file's own


def fail(sentence):
    sys.exit(f"amalgamate: {sentence}")


class Section:
    """One stretch of the file: the text of headers, and the standard headers they want."""

    def __init__(self):
        self.outside = set()
        self.lines = []


class Amalgamation:
    def __init__(self, root):
        self.root = root
        self.done = set()  # headers that stand in the file
        self.texts = set()  # kernels that stand in it once, with their comments
        self.names = {}  # PREFOPT_KERNELS -> <prefopt/simd/row_kernels.inc>

    def read(self, name):
        path = self.root / name
        if not path.is_file():
            fail(f"{name} is included and does not exist")
        lines = path.read_text(encoding="utf-8").splitlines()
        if lines[0] != SPDX:
            fail(f"{name} does not begin with its licence")
        return lines[2:] if lines[1] == "//" else lines[1:]

    def reached(self, name, into):
        """The headers that `name` includes, itself last."""
        if name in into or not name.endswith(".hpp"):
            return
        for line in self.read(name):
            found = INCLUDE.match(line)
            if found and found["what"].startswith("<prefopt/"):
                self.reached(found["what"][1:-1], into)
        into.append(name)

    def header(self, name, section):
        if name not in self.done:
            self.done.add(name)
            section.lines += ["", f"// ---- {name} ----", "//"]
            self.text(name, self.read(name), section)

    def text(self, name, lines, section):
        kernel = not name.endswith(".hpp")
        bare = kernel and name in self.texts  # a copy: its comments stand above
        self.texts.add(name)
        depth = 0
        for line in lines:
            depth += bool(OPENS.match(line)) - bool(CLOSES.match(line))
            include, named, undef = INCLUDE.match(line), NAMES_A_TEXT.match(line), UNDEF.match(line)
            if line.strip() == "#pragma once" or (bare and line.lstrip().startswith("//")):
                continue
            if named:
                self.names[named["name"]] = named["what"]
            elif undef and undef["name"] in self.names:
                del self.names[undef["name"]]
            elif include:
                self.include(name, include["what"], depth, line, section)
            else:
                section.lines.append(line)
        if depth != 0:
            fail(f"{name}: #if and #endif do not match")

    def include(self, name, what, depth, line, section):
        while what in self.names:
            what = self.names[what]
        if what.startswith("<prefopt/"):
            target = what[1:-1]
            if target.endswith(".hpp"):
                if depth != 0:
                    fail(f"{name}: {what} is included on a condition")
                self.header(target, section)
            else:
                self.text(target, self.read(target), section)
        elif not what.startswith("<"):
            fail(f"{name}: cannot follow #include {what}")
        elif depth != 0:
            section.lines.append(line)  # on its condition, where it stands
        else:
            section.outside.add(line.strip())


def switch(name):
    """What asks for prefopt/ROOM/NAME.hpp; a part of one, prefopt/ROOM/NAME/PART.hpp, comes with it."""
    return "PREFOPT_WITH_" + "_".join(pathlib.PurePath(name).with_suffix("").parts[2:]).upper()


def squeezed(lines):
    """At most one empty line in a row."""
    kept = []
    for line in lines:
        if line or (kept and kept[-1]):
            kept.append(line)
    return kept


def amalgamate(root):
    make = Amalgamation(root)
    everything = sorted(p.relative_to(root).as_posix() for p in root.rglob("prefopt/**/*.hpp"))
    always = []
    make.reached("prefopt/prefopt.hpp", always)
    # What neither is asked for by name nor reached, the core: `view` alone, say.
    optional_rooms = ("adapters", "executors", "testing")
    optional = [h for h in everything if h.split("/")[1] in optional_rooms and h not in always]
    always += [h for h in everything if h not in always and h not in optional]
    reaches = {}
    for name in optional:
        reaches[name] = []
        make.reached(name, reaches[name])

    version = dict(re.findall(r"#define PREFOPT_VERSION_(\w+) (\d+)",
                              (root / "prefopt/version.hpp").read_text(encoding="utf-8")))
    version = "{MAJOR}.{MINOR}.{PATCH}".format(**version)
    if len({switch(h) for h in optional}) != len(optional):
        fail("two optional headers have one name")

    main = Section()
    for name in always:
        make.header(name, main)
    out = [SPDX, "//",
           f"// prefopt {version} in one file, made by cmake/amalgamate.py: do not edit. C++20.",
           "//",
           "// What needs a backend, or more of the standard library, stands behind a macro, to be",
           "// defined before the #include:", "//"]
    out += [f"//     {switch(h):32} {h}" for h in optional if h.count("/") == 2]
    out += ["", "#ifndef PREFOPT_SINGLE_HEADER", "#define PREFOPT_SINGLE_HEADER", ""]
    out += sorted(main.outside) + main.lines + ["", "#endif  // PREFOPT_SINGLE_HEADER"]

    ordered = []  # a section after those that it needs
    for name in optional:
        ordered += [h for h in reaches[name] if h in optional and h not in ordered]
    for name in ordered:
        section = Section()
        make.header(name, section)
        wanted = " || ".join(f"defined({switch(h)})" for h in optional if name in reaches[h])
        guard = switch(name).replace("_WITH_", "_HAS_")
        out += ["", f"#if ({wanted}) && !defined({guard})", f"#define {guard}", ""]
        out += sorted(section.outside) + section.lines + ["", f"#endif  // {guard}"]
    return squeezed(out), everything, optional


def program(path, header):
    """The program's text, `header` without its comments in place of #include <prefopt.hpp>."""
    lines = path.read_text(encoding="utf-8").splitlines()
    at = lines.index("#include <prefopt.hpp>")
    bare = [line for line in header if not line.lstrip().startswith("//")]
    return squeezed(lines[:at] + bare + lines[at + 1:])


def main():
    own = pathlib.Path(__file__).resolve().parent.parent
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", type=pathlib.Path, default=own, help="the repository's root")
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path("prefopt.hpp"))
    parser.add_argument("--program", type=pathlib.Path, help="a program to write it into")
    parser.add_argument("--forward", type=pathlib.Path, help="a folder for forwarding headers")
    options = parser.parse_args()

    lines, everything, optional = amalgamate(options.source / "include")
    if options.program:
        lines = program(options.program, lines)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text("\n".join(lines) + "\n", encoding="utf-8")
    if options.forward:
        for name in everything:
            text = f'#include "{options.output.resolve()}"\n'
            if name in optional:
                text = f"#define {switch(name)}\n" + text
            path = options.forward / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{SPDX}\n{text}", encoding="utf-8")


if __name__ == "__main__":
    main()
