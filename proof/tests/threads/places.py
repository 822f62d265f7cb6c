# SPDX-License-Identifier: MIT
"""Where a piece of C stands in a source: compared word by word, so that comments and layout may change."""
import re

COMMENT = r"/\*.*?\*/|//[^\n]*"
WORD = re.compile(rf'{COMMENT}|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|\w+|[^\w\s]', re.S)


def words(text):
    """(word, where it begins, where it ends) of each word and sign of the code."""
    return [(m[0], *m.span()) for m in WORD.finditer(text) if not re.match(COMMENT, m[0], re.S)]


def places(text, code):
    """(begin, end) of each place at which the code stands."""
    there, wanted = words(text), [word for word, _, _ in words(code)]
    names = [word for word, _, _ in there]
    return [(there[at][1], there[at + len(wanted) - 1][2]) for at in range(len(names) - len(wanted) + 1)
            if wanted and names[at:at + len(wanted)] == wanted]


def replaced(text, code, instead):
    """The text with other code at the one place where the code stands; ValueError if it is not one."""
    found = places(text, code)
    if len(found) != 1:
        raise ValueError(f"the code occurs {len(found)} times: {code!r}")
    begin, end = found[0]
    return text[:begin] + instead.strip() + text[end:]
