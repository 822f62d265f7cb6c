# SPDX-License-Identifier: MIT
"""The Chinese pages: punctuated as Chinese is, and in step with the English ones."""
import re

import pytest

from pages import SOURCE, markdown_blocks

CHINESE = [SOURCE / "README.zh-CN.md", SOURCE / "docs/tutorial.zh-CN.md"]
HAN = "\u4e00-\u9fff"
CODE = "\ue000"  # stands for a code span
WIDE = "\u3001-\u3011\uff00-\uff60“”"  # full-width punctuation


def paragraphs(path):
    """Lines without code blocks. A code span is a word, whatever is in it; so is a manual page."""
    text = path.read_text(encoding="utf-8")
    text = re.sub(r"```.*?```", lambda block: re.sub(r".+", "", block.group()), text, flags=re.S)
    text = re.sub(r"`[^`\n]*`|\b\w+\(\d\)", CODE, text)
    return re.sub(r"\]\([^)\s]*\)", "]", text).splitlines()


@pytest.mark.parametrize("path", CHINESE, ids=lambda p: p.name)
def test_punctuation_is_full_width(path):
    half = re.compile(f"[{HAN}{WIDE}{CODE}\\]*][,:;?!()]|[,:;?!()][{HAN}{WIDE}{CODE}]")
    blank = re.compile(f" [{WIDE}]|[\u3001-\u3011\uff00-\uff60] (?!\\|)")
    wrong = [f"{path.name}:{number}: {line}" for number, line in enumerate(paragraphs(path), 1)
             if half.search(line) or blank.search(line)]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("path", CHINESE, ids=lambda p: p.name)
def test_punctuation_in_examples_is_full_width(path):
    half = re.compile(f"[{HAN}”][,:;?!]|[,:;?!][{HAN}“]")
    wrong = [f"{example}: {example.text}" for example in markdown_blocks(path)
             if half.search(example.text)]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("path", CHINESE, ids=lambda p: p.name)
def test_no_line_breaks_within_a_phrase(path):
    """A line break is shown as a blank, and Chinese has none between its words."""
    lines = [re.sub(r"^(> |- )", "", line) for line in paragraphs(path)]
    wrong = [f"{path.name}:{number}: {line}" for number, (line, after)
             in enumerate(zip(lines, lines[1:]), 1)
             if re.search(f"[{HAN}]$", line) and re.match(f"[{HAN}]", after)
             or line and re.match(f"[{WIDE}]", after) and after[0] not in "“《"]
    assert not wrong, "\n".join(wrong)


def without_words(example):
    """An example without what is translated: comments and texts in quotes."""
    text = re.sub(r"/\*.*?\*/|(?:^|(?<=\s))(?:#|//).*", "", example.text)
    return re.sub(r'"[^"]*"', '""', re.sub(r"[ \t]+$", "", text, flags=re.M)).strip()


def test_the_readmes_are_in_step():
    english, chinese = SOURCE / "README.md", SOURCE / "README.zh-CN.md"
    blocks = [[(e.language, e.what, without_words(e)) for e in markdown_blocks(path)]
              for path in (english, chinese)]
    assert blocks[1] == blocks[0]
    links = [set(re.findall(r"\]\(([^)\s]+)\)", path.read_text("utf-8")))
             for path in (english, chinese)]
    translated = {"docs/tutorial.md": "docs/tutorial.zh-CN.md", "README.zh-CN.md": "README.md"}
    assert {translated.get(link, link) for link in links[0]} <= links[1]
    tables = [re.findall(r"^\|[-|]+\|$", path.read_text("utf-8"), re.M) for path in (english, chinese)]
    assert len(tables[1]) == len(tables[0]) + 1  # and the tutorial's steps beside pawl's
