# SPDX-License-Identifier: MIT
"""The tutorial's pages name tests: they exist, and both languages name the same ones."""
import os
import re
from pathlib import Path

SOURCE = Path(os.environ["PAWL_SOURCE"])
PAGES = [SOURCE / "docs/tutorial.md", SOURCE / "docs/tutorial.zh-CN.md"]


def named(page):
    return re.findall(r"`((?:Test[A-Z]|test_)\w+)`", page.read_text("utf-8"))


def defined():
    names = set()
    for top in ("bindings", "examples", "proof/tests"):
        for path in (SOURCE / top).rglob("*_test.go"):
            names |= set(re.findall(r"^func (Test\w+)\(", path.read_text("utf-8"), re.M))
        for path in (SOURCE / top).rglob("test_*.py"):
            names |= set(re.findall(r"^def (test_\w+)\(", path.read_text("utf-8"), re.M))
    return names


def test_every_test_that_is_named_exists():
    for page in PAGES:
        assert len(named(page)) >= 12
        assert set(named(page)) <= defined(), page.name


def test_every_flaw_has_its_test():
    flaws = {name for name in defined() if name.startswith("TestFlaw")}
    for page in PAGES:
        assert flaws == {name for name in named(page) if name.startswith("TestFlaw")}


def test_both_languages_say_the_same():
    english, chinese = PAGES
    assert named(english) == named(chinese)
    tables = [re.findall(r"^\|.*\|$", page.read_text("utf-8"), re.M) for page in PAGES]
    assert len(tables[0]) == len(tables[1])
    code = [re.findall(r"```(?:ini|go)\n(.*?)```", page.read_text("utf-8"), re.S) for page in PAGES]
    plain = [[re.sub(r"//.*", "", block) for block in blocks] for blocks in code]
    assert plain[0] == plain[1]


def test_what_is_quoted_is_what_pawl_says():
    """The messages in the tables are in the sources."""
    sources = "".join(p.read_text("utf-8") for p in (SOURCE / "contrib/beego/config").glob("*.c"))
    for quoted in ("expected ] at the end of the line", "conn: expected host:port",
                   'no field \\"', "expected one of"):
        assert quoted in sources
        for page in PAGES:
            assert quoted.replace('\\"', '"') in page.read_text("utf-8")
