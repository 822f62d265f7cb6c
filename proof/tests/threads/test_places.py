# SPDX-License-Identifier: MIT
"""Where mistakes are planted is found by the code alone, and each place of planted.py is there once."""
import os
import pathlib

import pytest
from places import places, replaced
from planted import PLANTED

SOURCE = pathlib.Path(os.environ["PAWL_SOURCE"])
CODE = "    lock(m); /* nobody's turn */\n    if (a->b != 'x') // never\n        say(\"/* it's */\",\n            2);\n    unlock(m);\n"


@pytest.mark.parametrize("code", [
    "lock(m);\n    if (a->b != 'x') say(\"/* it's */\", 2);", "lock(m); /* another remark */ if (a->b != 'x')",
    "    unlock(m);\n", "if (a->b!='x')say(\"/* it's */\",2);"])
def test_comments_and_layout_are_nothing(code):
    assert len(places(CODE, code)) == 1


@pytest.mark.parametrize("code", ["lock(n);", "loc", "say(\"\", 2);", "lock(m); unlock(m);", "/* nobody's turn */", ""])
def test_other_code_is_not_found(code):
    assert not places(CODE, code)


def test_one_place_is_replaced_and_the_rest_stays():
    assert replaced(CODE, "say(\"/* it's */\", 2);\n", "tell();\n") == (
        "    lock(m); /* nobody's turn */\n    if (a->b != 'x') // never\n        tell();\n    unlock(m);\n")
    for code in ("m", "n"):
        with pytest.raises(ValueError, match=f"{2 if code == 'm' else 0} times"):
            replaced(CODE, code, "")


@pytest.mark.parametrize("mistake", PLANTED, ids=lambda mistake: mistake[0])
def test_each_mistake_has_its_places(mistake):
    texts = {}
    for name, code, instead in mistake[2]:
        texts[name] = replaced(texts.get(name) or (SOURCE / name).read_text("utf-8"), code, instead)
    for name, text in texts.items():
        assert text != (SOURCE / name).read_text("utf-8"), name
