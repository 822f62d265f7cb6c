# SPDX-License-Identifier: MIT
"""The manual pages and the Markdown files, as the tests see them.

How a block says what becomes of it:

  Markdown   ```sh run        the second word of the opening fence
  manual     .\\" example: sh run      the line before .Bd -literal

  run     runs in an empty directory, on a new SQLite store, and must succeed
  redis   the same on a new Redis server; redis-cli talks to it
  installed   the first, in Python, where its binding is installed: proof/tests/python
  shown   is only shown

C is compiled, linked and run; further words are libraries to link. A block of
code without such a word is an error, so that none escapes by being forgotten.
"""
import os
import re
from pathlib import Path

SOURCE = Path(os.environ.get("PAWL_SOURCE", Path(__file__).resolve().parents[3]))
BUILD = Path(os.environ.get("PAWL_BUILD", SOURCE / "build"))

MAN = sorted((SOURCE / "man").glob("*.[1-9]"))
MARKDOWN = [SOURCE / name for name in (
    "README.md", "README.zh-CN.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")] + [
    SOURCE / "docs" / name for name in
    ("architecture.md", "glossary.md", "internals.md", "laws.md", "protocol.md", "guarantees.md", "fencing.md", "tutorial.md",
     "tutorial.zh-CN.md", "recipes.md", "from-flock.md", "from-redis-py.md",
     "from-consul-lock.md", "composed.md", "operations.md", "modes.md", "comparison.md",
     "testing.md", "performance.md")]

CODE_LANGUAGES = ("sh", "bash", "c", "sql", "python", "lua", "console")
WHAT = ("run", "redis", "installed", "shown")


class Example:
    def __init__(self, path, line, words, text):
        self.path, self.line, self.text = path, line, text
        self.language = words[0]
        self.what = words[1] if len(words) > 1 else None
        self.libraries = words[2:]

    def __str__(self):
        return f"{self.path.relative_to(SOURCE)}:{self.line}"


def markdown_blocks(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    at = 0
    while at < len(lines):
        fence = re.match(r"^( *)```(.*)$", lines[at])
        at += 1
        if not fence:
            continue
        start, words = at, fence.group(2).split()
        while not re.match(r"^ *```$", lines[at]):
            at += 1
        text = "\n".join(line[len(fence.group(1)):] for line in lines[start:at]) + "\n"
        at += 1
        yield Example(path, start, words or ["text"], text)


def plain(line):
    """A line of a literal mdoc block as it is printed."""
    assert "\\" not in line.replace("\\e", "").replace("\\&", ""), line
    return line.replace("\\&", "").replace("\\e", "\\")


def man_blocks(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    for at, line in enumerate(lines):
        if not line.startswith(".Bd -literal"):
            continue
        mark = re.match(r'^\.\\" example: (.*)$', lines[at - 1])
        end = lines.index(".Ed", at)
        text = "\n".join(plain(body) for body in lines[at + 1:end]) + "\n"
        words = mark.group(1).split() if mark else ["?"]
        yield Example(path, at + 1, ["text", "shown"] if words == ["shown"] else words, text)


def examples():
    for path in MARKDOWN:
        if path.exists():
            yield from markdown_blocks(path)
    for path in MAN:
        yield from man_blocks(path)


# ---- mdoc, as far as the tests need it ----------------------------------------------

def sections(path):
    """{'COMMANDS/run': [lines]}; lines before the first .Ss belong to 'COMMANDS'."""
    found, name, lines = {}, "", []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith('.\\"'):
            continue
        head = re.match(r"^\.(Sh|Ss) (.*)$", line)
        if not head:
            lines.append(line)
            continue
        top = name.split("/")[0]
        name = head.group(2) if head.group(1) == "Sh" else f"{top}/{head.group(2)}"
        lines = found.setdefault(name, [])
    return found


def options_in(lines):
    """The options that a tagged list describes: '-n', '--nonblock'."""
    options = set()
    for line in lines:
        if line.startswith(".It Fl"):
            options |= {"-" + word for word in re.findall(r"\bFl (\S+)", line)}
    return options


def prototypes(path):
    """{function: 'return type(arguments)'} of .Ft, .Fn, .Fo, .Fa."""
    found, kind, name, arguments = {}, "", None, []
    in_synopsis = False

    def words(text):
        return [a or b for a, b in re.findall(r'"([^"]*)"|(\S+)', text)]

    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith(".Sh"):
            in_synopsis = line == ".Sh SYNOPSIS"
        if not in_synopsis:
            continue
        if line.startswith(".Ft "):
            kind = " ".join(words(line[4:]))
        elif line.startswith(".Fn "):
            name, *arguments = words(line[4:])
            found[name] = squeeze(f"{kind} {name}({', '.join(arguments)})")
        elif line.startswith(".Fo "):
            name, arguments = line[4:].strip(), []
        elif line.startswith(".Fa ") and name:
            arguments += words(line[4:])
        elif line.startswith(".Fc"):
            found[name] = squeeze(f"{kind} {name}({', '.join(arguments)})")
    return found


def squeeze(declaration):
    """One spelling for blanks and stars."""
    declaration = re.sub(r"\s+", " ", declaration.strip())
    return re.sub(r" ?\* ?", " *", declaration).replace("* *", "**").replace("( ", "(")


def header_prototypes(path):
    text = re.sub(r"/\*.*?\*/", " ", path.read_text(encoding="utf-8"), flags=re.S)
    found = {}
    for match in re.finditer(r"PAWL_API\s+(?:PAWL_MUST_USE\s+)?([^;#]*?\b(pawl_\w+)\s*\([^;]*\));",
                             text):
        found[match.group(2)] = squeeze(match.group(1))
    return found
