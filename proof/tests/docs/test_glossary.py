# SPDX-License-Identifier: MIT
"""docs/glossary.md: its words are used, and those that were replaced are in no name any more."""
import re

import pytest

from pages import MAN, MARKDOWN, SOURCE

PAGE = (SOURCE / "docs/glossary.md").read_text("utf-8")
WORDS, NOT_ANY_MORE = PAGE.split("## Not any more")


def rows(text):
    """The first two columns of each row of its tables."""
    found = re.findall(r"^\| ([^|]+?) \| ([^|]+?) \|", text, re.M)
    return [row for row in found if row[0] not in ("word", "not") and "---" not in row[0]]


CODE = ("src", "include", "proof", "contrib", "examples", "bindings", "scripts")

# What is no name, in each language: comments, strings, and what is written inside them.
TEXT = r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\''
C_LIKE = rf"/\*.*?\*/|//[^\n]*|{TEXT}"
NO_NAMES = {
    ".c": C_LIKE, ".h": C_LIKE, ".hpp": C_LIKE, ".cpp": C_LIKE, ".java": C_LIKE,
    ".go": rf"{C_LIKE}|`[^`]*`", ".js": rf"{C_LIKE}|`[^`]*`", ".cjs": rf"{C_LIKE}|`[^`]*`", ".ts": C_LIKE,
    ".py": rf'[furb]*"""(?:\\.|.)*?"""|#[^\n]*|{TEXT}', ".lua": rf"--[^\n]*|{TEXT}", ".sql": rf"--[^\n]*|{TEXT}",
}


def sources():
    for top in CODE:
        for path in sorted((SOURCE / top).rglob("*")):
            is_ours = not {"corpus", "node_modules", "build"} & set(path.relative_to(SOURCE).parts)
            if is_ours and path.is_file() and language(path):
                yield path


def language(path):
    """What its name ends in. A script says in its first line that it is Python."""
    if path.suffix in NO_NAMES:
        return path.suffix
    is_python = path.parent.name == "scripts" and not path.suffix and "python" in path.open().readline()
    return ".py" if is_python else None


def names_in(text, ending):
    """The identifiers outside of comments and strings, as small words with underscores between them."""
    code = re.sub(NO_NAMES[ending], " ", text, flags=re.S)
    parted = (re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name) for name in re.findall(r"[A-Za-z_]\w*", code))
    return {name.lower() for name in parted}


def uses_of(word, names):
    """The names of which it is a part, also in the plural."""
    return [name for name in names if word in name and {word, word + "s"} & set(name.split("_"))]


NAMES = {path: names_in(path.read_text("utf-8"), language(path)) for path in sources()}


@pytest.mark.parametrize("ending, text", [
    (".c", "int ghost; /* hope */ f(\"blame\");"), (".go", "deafGhost := `hope\nhope` // blame"),
    (".py", 'ghost = f"""hope\n\'"""  # blame'), (".cjs", "aGhost(`hope ${1}`, 'blame') /* hope\n */"),
    (".lua", "local ghost = 'hope' -- blame"), (".sql", "CALL pawl.ghost('hope'); -- blame")])
def test_a_name_is_seen_in_each_language(ending, text):
    names = names_in(text, ending)
    assert [word for word in ("ghost", "hope", "blame") if uses_of(word, names)] == ["ghost"]


@pytest.mark.parametrize("ending", [".c", ".h", ".py", ".go", ".cjs", ".lua", ".sql"])
def test_each_language_is_read(ending):
    assert len(set().union(*(names for path, names in NAMES.items() if path.suffix == ending))) > 50


def test_each_word_is_explained_once():
    words = [word for cell, _ in rows(WORDS) for word in cell.split(", ")]
    assert len(words) > 40
    assert not [word for word in set(words) if words.count(word) > 1]


def test_each_word_is_used():
    """In the code, in the documents or in the manual, wherever readers meet it."""
    texts = [path.read_text("utf-8") for path in (*MARKDOWN, *MAN) if path.name != "glossary.md"]
    texts += [path.read_text("utf-8") for path in NAMES]
    together = re.sub(r"\s+", " ", " ".join(texts)).lower()
    unused = [word for cell, _ in rows(WORDS) for word in cell.split(", ")
              if not re.search(rf"(?<![a-z]){re.escape(word)}", together)]
    assert not unused, unused


@pytest.mark.parametrize("word", [word for cell, _ in rows(NOT_ANY_MORE) for word in cell.split(", ")])
def test_what_was_replaced_does_not_come_back(word):
    wrong = [f"{path.relative_to(SOURCE)}: {name}" for path, names in NAMES.items()
             for name in sorted(uses_of(word, names))]
    assert not wrong, "\n".join(wrong)
