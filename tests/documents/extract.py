#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Turns the code blocks of the documents into programs, so that what they show is what compiles.

    tests/documents/extract.py FOLDER      writes the programs into FOLDER, and their list, files.cmake
    tests/documents/extract.py --check     only reads: languages, commands, presets, JSON

A C++ block becomes a Catch2 test case of its page, or, where it has a main(), a program whose
output is the text block that follows. What a reader is spared stands in comments before the block,
which the page does not show when rendered:

    <!-- given: CODE -->               stands before the block's code; its #includes come first
    <!-- then: CODE -->                stands after it: CHECK(...) what the text promises
    <!-- continues -->                 the block goes on where the page's last one ended
    <!-- at namespace scope -->        the block is not a function's: a specialisation, a type
    <!-- needs: eigen -->              the block is left out where the backend was not found
    <!-- not compiled: REASON -->      the block is no code that stands anywhere

A CMake block becomes a project with a target `trainer`, built and run against the installed package.
"""

import json
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
COMMENT = re.compile(r"^<!--\s*(given|then|needs|continues|at namespace scope|not compiled)"
                     r"\s*(?::(.*?))?-->", re.DOTALL | re.MULTILINE)
FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LANGUAGES = {"cpp", "cmake", "sh", "text", "json", "python", "ini"}
COMMANDS = {"apt-get", "cmake", "conan", "ctest", "cc", "g++", "clang++", "git", "pip", "pkg-config",
            "python3", "sudo", "vcpkg", "cp", "cd", "mkdir", "align_tiny_lm", "debootstrap"}


class Block:
    """A fenced block of a page, and the comments right before it."""

    def __init__(self, page, text, match, marks):
        self.page = page
        self.language, self.code = match[1], match[2]
        self.line = text.count("\n", 0, match.start(2)) + 1
        self.marks = marks
        self.end = match.end()
        self.place = f"{page}:{self.line}"

    def lines(self):
        return [f'#line {self.line} "{ROOT / self.page}"', *self.code.splitlines()]


def pages():
    found = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True)
    names = found.stdout.splitlines()  # none in a release's archive
    return names or [p.relative_to(ROOT).as_posix()
                     for p in (ROOT / "README.md", *sorted(ROOT.glob("docs/*.md")))]


def blocks(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    found, marks, at = [], {}, 0
    for item in re.finditer(f"{COMMENT.pattern}|{FENCE.pattern}", text, re.DOTALL | re.MULTILINE):
        if item[0].startswith("<!--"):
            if marks and text[at:item.start()].strip():
                raise SystemExit(f"{page}: a mark that no block follows: {marks}")
            mark = COMMENT.match(item[0])
            marks[mark[1]] = marks.get(mark[1], "") + (mark[2] or "")
        else:
            if marks and text[at:item.start()].strip():
                raise SystemExit(f"{page}: a mark that no block follows: {marks}")
            found.append(Block(page, text, FENCE.match(text, item.start()), marks))
            marks = {}
        at = item.end()
    return found


def hoisted(lines):
    """(#include lines, the others)."""
    includes = [line.strip() for line in lines if line.lstrip().startswith("#include")]
    return includes, ["" if line.lstrip().startswith("#include") else line for line in lines]


def unit(page, chunks):
    """One translation unit: `chunks` are lists of blocks, each list one function or one file scope."""
    includes, body = [], []
    for chunk in chunks:
        lines = []
        for block in chunk:
            lines += block.marks.get("given", "").splitlines() + block.lines()
            lines += block.marks.get("then", "").splitlines()
        more, lines = hoisted(lines)
        includes += [i for i in more if i not in includes]
        if "at namespace scope" in chunk[0].marks:
            body += lines
        else:
            body += [f'TEST_CASE("{chunk[0].place}", "[documents]") {{', *lines, "}"]
    return "\n".join([f"// Made from {page} by tests/documents/extract.py.",
                      '#include "support/catch.hpp"', "#include <prefopt/prefopt.hpp>",
                      *includes, *body, ""])


def extract(folder):
    units, listed = {}, []
    for page in pages():
        stem = page.removesuffix(".md").replace("/", "_")
        all_blocks = blocks(page)
        for index, block in enumerate(all_blocks):
            if "not compiled" in block.marks:
                continue
            if block.language == "cmake":
                listed.append(("cmake", f"{stem}_{block.line}"))
                project(folder / f"{stem}_{block.line}", block)
            elif block.language == "cpp" and "int main(" in block.code:
                following = all_blocks[index + 1] if index + 1 < len(all_blocks) else None
                shown = following.code if following and following.language == "text" else ""
                write(folder / f"{stem}_{block.line}.txt", shown)
                write(folder / f"{stem}_{block.line}.cpp", "\n".join(block.lines()) + "\n")
                listed.append(("program", f"{stem}_{block.line}"))
            elif block.language == "cpp":
                needs = block.marks.get("needs", "").strip() or "plain"
                chunks = units.setdefault((page, stem, needs), [])
                if "continues" in block.marks:
                    if not chunks:
                        raise SystemExit(f"{block.place}: continues what?")
                    chunks[-1].append(block)
                else:
                    chunks.append([block])
    for (page, stem, needs), chunks in units.items():
        write(folder / f"{stem}_{needs}.cpp", unit(page, chunks))
        listed.append((needs, f"{stem}_{needs}"))
    kinds = sorted({kind for kind, _ in listed})
    lines = ["set(prefopt_document_kinds " + " ".join(kinds) + ")"]
    for kind in kinds:
        names = " ".join(name for of, name in listed if of == kind)
        lines.append(f"set(prefopt_documents_{kind} {names})")
    write(folder / "files.cmake", "\n".join(lines) + "\n")


def project(folder, block):
    """What a reader has around a CMake block: a project, a program, and the sources beside it."""
    lines = ["cmake_minimum_required(VERSION 3.24)", "project(document LANGUAGES CXX)",
             "add_executable(trainer main.cpp)", *block.marks.get("given", "").splitlines(),
             block.code, *block.marks.get("then", "").splitlines(),
             "enable_testing()", "add_test(NAME trainer COMMAND trainer)"]
    write(folder / "CMakeLists.txt", "\n".join(lines) + "\n")
    write(folder / "main.cpp", (ROOT / "tests/consumer/main.cpp").read_text(encoding="utf-8"))
    link = folder / "prefopt"  # for add_subdirectory(prefopt)
    if not link.is_symlink():
        link.symlink_to(ROOT, target_is_directory=True)


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def faults(block, presets):
    """What is wrong with a block that needs no compiler to see."""
    if block.language not in LANGUAGES:
        yield f"a block of the language '{block.language}'; known are {sorted(LANGUAGES)}"
    if "not compiled" in block.marks and not block.marks["not compiled"].strip():
        yield "not compiled, and no reason"
    if block.language == "json":
        try:
            json.loads(block.code)
        except ValueError as error:
            yield f"no JSON: {error}"
    if block.language != "sh":
        return
    code = re.sub(r"\\\n", " ", block.code)
    for command in re.split(r"\n|&&|\|\||;", re.sub(r"#.*", "", code)):
        words = [w for w in command.split() if not re.match(r"[A-Z_]+=", w)]
        if not words:
            continue
        if words[0].startswith(("./", "build/")):  # made by an earlier line
            continue
        if "/" in words[0]:
            file = ROOT / words[0]
            if not (file.is_file() and file.stat().st_mode & 0o100):
                yield f"{words[0]} is no program of the repository"
        elif words[0] not in COMMANDS:
            yield f"{words[0]} is no command known here"
        for option, name in zip(words, words[1:]):
            if option == "--preset" and name not in presets:
                yield f"there is no preset {name}"


def check():
    described = json.loads((ROOT / "CMakePresets.json").read_text(encoding="utf-8"))
    presets = {preset["name"] for preset in described["configurePresets"]}
    wrong, counts, left_out = [], {}, []
    for page in pages():
        for block in blocks(page):
            counts[block.language] = counts.get(block.language, 0) + 1
            wrong += [f"{block.place}: {fault}" for fault in faults(block, presets)]
            if "not compiled" in block.marks:
                left_out.append(f"{block.place}: {block.marks['not compiled'].strip()}")
    print("documents:", ", ".join(f"{n} {name or '?'}" for name, n in sorted(counts.items())),
          "blocks;", len(left_out), "not compiled", *left_out, sep=" ")
    print(*wrong, sep="\n", end="\n" if wrong else "", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    if sys.argv[1] == "--check":
        sys.exit(check())
    extract(pathlib.Path(sys.argv[1]).resolve())
