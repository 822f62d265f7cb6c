# SPDX-License-Identifier: MIT
"""docs/glossary.md: its words are used, and those that were replaced are in no name any more."""
import re

import pytest

from pages import MAN, MARKDOWN, SOURCE

PAGE = (SOURCE / "docs/glossary.md").read_text("utf-8")
WORDS, NOT_ANY_MORE = PAGE.split("## Not any more")
CODE = ("src", "include", "proof", "contrib", "examples")


def rows(text):
    """The first two columns of each row of its tables."""
    found = re.findall(r"^\| ([^|]+?) \| ([^|]+?) \|", text, re.M)
    return [row for row in found if row[0] not in ("word", "not") and "---" not in row[0]]


def sources():
    for top in CODE:
        for path in sorted((SOURCE / top).rglob("*")):
            if path.suffix in (".c", ".h") and "corpus" not in path.parts:
                yield path


def names_of(path):
    """The identifiers outside of comments and strings, in small letters."""
    text = path.read_text("utf-8")
    text = re.sub(r'/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', " ", text, flags=re.S)
    return {name.lower() for name in re.findall(r"[A-Za-z_]\w*", text)}


NAMES = {path: names_of(path) for path in sources()}


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


def is_part_of(word, name):
    """Whether it is one of the words that make up the name, also in the plural."""
    return re.search(rf"(?:^|_){word}s?(?:_|$)", name)


@pytest.mark.parametrize("word", [word for cell, _ in rows(NOT_ANY_MORE) for word in cell.split(", ")])
def test_what_was_replaced_does_not_come_back(word):
    wrong = [f"{path.relative_to(SOURCE)}: {name}" for path, names in NAMES.items()
             for name in sorted(names) if is_part_of(word, name)]
    assert not wrong, "\n".join(wrong)
