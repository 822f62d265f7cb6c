# SPDX-License-Identifier: MIT
"""The source tree as the architecture tests see it."""
import os
import re
import subprocess
from pathlib import Path

SOURCE = Path(os.environ.get("PAWL_SOURCE", Path(__file__).resolve().parents[3]))
BUILD = Path(os.environ.get("PAWL_BUILD", SOURCE / "build"))


def files(*tops, suffixes=(".c", ".h")):
    """Files below the given directories, relative to the tree."""
    found = []
    for top in tops:
        for path in sorted((SOURCE / top).rglob("*")):
            if "corpus" in path.parts:  # bytes for the fuzzers
                continue
            if path.suffix in suffixes and path.is_file():
                found.append(path.relative_to(SOURCE))
    return found


def read(path):
    return (SOURCE / path).read_text(encoding="utf-8")


def code(path):
    """The file with comments, strings and characters blanked; lines stay where they are."""
    def blank(match):
        return re.sub(r"[^\n]", " ", match.group(0))
    pattern = r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\''
    text = read(path)
    # an #include keeps its name
    return re.sub(pattern, lambda m: m.group(0) if is_include(text, m) else blank(m), text,
                  flags=re.S)


def is_include(text, match):
    start = text.rfind("\n", 0, match.start()) + 1
    return re.match(r"\s*#\s*include\s*$", text[start:match.start()]) is not None


def calls(path, names):
    """(line, name) of each call of one of the functions."""
    pattern = re.compile(r"(?<![\w.>])(" + "|".join(names) + r")\s*\(")
    for number, line in enumerate(code(path).splitlines(), 1):
        for match in pattern.finditer(line):
            yield number, match.group(1)


def run(*command):
    done = subprocess.run(command, cwd=BUILD, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout


def none(wrong):
    """Fails with all of them, one a line."""
    assert not wrong, "\n" + "\n".join(map(str, wrong))
