# SPDX-License-Identifier: MIT
"""docs/laws.md names what enforces and what tests each law; comments cite only what exists."""
import re

import pytest

from pages import SOURCE
from test_text import anchors

LAWS = (SOURCE / "docs/laws.md").read_text("utf-8")
SECTIONS = re.findall(r"^## Law (\d+): .*?\n(.*?)(?=^## |\Z)", LAWS, re.M | re.S)
NUMBERS = [int(number) for number, _ in SECTIONS]

# Design papers that are not in the repository, and how they were cited.
FOREIGN = re.compile(r"\b(DESIGN|PROOF|KINDS|STORES|STYLE|FIELD-BUGS)(\.md| [A-Z]?\d)")
CITED_LAWS = re.compile(r"\b[Ll]aws? (\d+)(?:(?:, (\d+))*(?:,? and (\d+)))?")
CITED_PAGES = re.compile(r"\b(docs/[\w.-]+\.md)(?:#([\w-]+))?")


def texts():
    """Each file of ours in which somebody could cite something, and what it says."""
    ending = re.compile(r"\.(c|h|lua|py|md|go|sh|[137]|build)$|^scripts/\w+$")
    for top in sorted(SOURCE.iterdir()):
        if top.name.startswith((".", "build")):
            continue
        for path in [top] if top.is_file() else sorted(top.rglob("*")):
            name = str(path.relative_to(SOURCE))
            if path.is_file() and ending.search(name) and name != "proof/tests/docs/test_laws.py":
                yield name, path.read_text("utf-8", errors="replace")


def test_the_laws_are_numbered_without_a_gap():
    assert NUMBERS == list(range(1, 11))


@pytest.mark.parametrize("number, text", SECTIONS, ids=[n for n, _ in SECTIONS])
def test_each_law_has_places_that_exist(number, text):
    for kind in ("Enforced", "Tested"):
        named = re.search(rf"^- {kind}: (.*?)(?=^- |\Z)", text, re.M | re.S)
        assert named, f"law {number} does not say where it is {kind.lower()}"
        files = 0
        source = None
        for name in re.findall(r"`([^`]+)`", named[1]):
            if "/" in name:
                assert (SOURCE / name).is_file(), f"law {number}: {name}"
                source = (SOURCE / name).read_text("utf-8")
                files += 1
            else:
                assert source and re.search(rf"\b{re.escape(name)}\b", source), \
                    f"law {number}: {name} is not in the file that is named before it"
        assert files


def test_cited_laws_exist():
    wrong = []
    cited = set()
    for path, text in texts():
        for match in CITED_LAWS.finditer(text):
            numbers = {int(n) for n in re.findall(r"\d+", match[0])}
            cited |= numbers
            if not numbers <= set(NUMBERS):
                wrong.append(f"{path}: {match[0]}")
    assert not wrong, wrong
    assert cited >= set(NUMBERS), "a law that nothing cites"


def test_no_paper_from_outside_is_cited():
    wrong = [f"{path}: {match[0]}" for path, text in texts() for match in FOREIGN.finditer(text)]
    assert not wrong, wrong


def test_cited_pages_exist():
    wrong = []
    for path, text in texts():
        for name, anchor in CITED_PAGES.findall(text):
            page = SOURCE / name
            if not page.is_file() or (anchor and anchor not in anchors(page)):
                wrong.append(f"{path}: {name}#{anchor}")
    assert not wrong, wrong
