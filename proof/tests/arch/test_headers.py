# SPDX-License-Identifier: MIT
"""The public headers: usable alone, from C99 and C++, documented."""
import re
import subprocess

import pytest
import tree

HEADERS = ["pawl/composed.h", "pawl/composed.hpp", "pawl/config.h", "pawl/metrics.h", "pawl/pawl.h", "pawl/pawl.hpp", "pawl/result.hpp", "pawl/store.h",
           "pawl/trace.h", "pawl/types.h"]
LANGUAGES = {
    "c99": ["gcc", "-std=c99", "-xc"],
    "c11": ["gcc", "-std=c11", "-xc"],
    "c++11": ["g++", "-std=c++11", "-xc++"],
    "c++17": ["g++", "-std=c++17", "-xc++"],
    "c++20": ["g++", "-std=c++20", "-xc++"],
}


def test_these_are_all_the_headers():
    assert HEADERS == sorted(str(p)[len("include/"):] for p in tree.files("include", suffixes=(".h", ".hpp")))


@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_compiles_alone(header, language):
    if header.endswith(".hpp") and language not in ("c++17", "c++20"):
        return  # it is of newer C++ alone
    program = f'#include <{header}>\n#include <{header}>\n'
    command = LANGUAGES[language] + ["-fsyntax-only", "-Wall", "-Wextra", "-Wpedantic", "-Werror",
                                     f"-I{tree.SOURCE}/include", "-"]
    done = subprocess.run(command, input=program, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def documented(header):
    """(function, the comment above it); functions without a line between share theirs."""
    comment = ""
    tokens = re.finditer(r"/\*.*?\*/|^#(?:[^\n\\]|\\.)*|\bPAWL_API\b[^;#]*?;", tree.read(header),
                         re.S | re.M)
    for token in tokens:
        text = token.group(0)
        if text.startswith("/*"):
            comment = text
        elif text.startswith("PAWL_API"):
            name = re.search(r"\b(pawl_\w+)\s*\(", text)
            if name:
                yield name.group(1), comment


def test_every_function_says_since_when():
    functions = [f for header in HEADERS for f in documented(f"include/{header}")]
    assert len(functions) > 30
    since = re.compile(r"Since\s+(?:\*\s*)?\d+\.\d+")
    tree.none([name for name, comment in functions if not since.search(comment)])


def test_the_version_is_one():
    major, minor, patch = (
        re.search(rf"PAWL_VERSION_{part}\s+(\d+)", tree.read("include/pawl/pawl.h")).group(1)
        for part in ("MAJOR", "MINOR", "PATCH"))
    version = f"{major}.{minor}.{patch}"
    assert f'PAWL_VERSION       "{version}"' in tree.read("include/pawl/pawl.h")
    assert f"version: '{version}'" in tree.read("meson.build")
