# SPDX-License-Identifier: MIT
"""The suite notices each single way in which a store breaks the contract: the hostile store
(proof/torture/hostile) stands before the memory store and is hostile in that way alone. What
rule 7 allows, pushes that are lost or late, is not among them."""
import os
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

BUILD = Path(os.environ["PAWL_BUILD"])
SUITE = BUILD / "proof/tests/conformance/conformance"
MODULE = BUILD / "pawl-store-hostile.so"

# How it is hostile: the case that notices, and what is said.
NOTICED = {
    "never": ("each_answer_comes_once_and_in_time", r"rule 2: request 1 has no answer"),
    "late": ("each_answer_comes_once_and_in_time",
             r"rule 2: request 1 is answered \d\d\d\d+ ms after its time"),
    "lost": ("requests_take_effect_in_the_order_of_submit", r"9 != (0x)?0\b"),
    "twice": ("each_answer_comes_once_and_in_time", r"rule 2: request \d is answered twice"),
    "id": ("each_answer_comes_once_and_in_time",
           r"rule 2: an answer to request \d+, which nobody made"),
    "order": ("requests_take_effect_in_the_order_of_submit", r"2 != (0x)?0\b"),
    "inside": ("each_answer_comes_once_and_in_time",
               r"rule 1: the store calls the host from inside a call of the host"),
    "thread": ("each_answer_comes_once_and_in_time", r"the store calls the host on another thread"),
    "untidy": ("a_burst_is_answered_once_each", r"the link goes down with requests unanswered"),
    "again": ("each_answer_comes_once_and_in_time", r"the link is said to be up, and was"),
    "after": ("each_answer_comes_once_and_in_time", r"the store calls the host after close"),
}


def play(only, case):
    environment = {key: value for key, value in os.environ.items() if key != "CMOCKA_MESSAGE_OUTPUT"}
    return subprocess.run([SUITE, "hostile", MODULE, case], text=True,
                          capture_output=True, check=False, timeout=110,
                          env=dict(environment, TEST_HOSTILE=only))


def test_each_single_hostility_is_noticed_and_named():
    games = [(only, case) for only, (case, _) in NOTICED.items()]
    games += sorted({("nothing", case) for _, case in games})
    with ThreadPoolExecutor(len(games)) as pool:  # they sleep, mostly
        results = dict(zip(games, pool.map(lambda game: play(*game), games)))
    for (only, case), result in results.items():
        said = result.stdout + result.stderr
        if only == "nothing":
            assert result.returncode == 0 and f"[       OK ] {case}" in said, said
        else:
            assert result.returncode != 0, f"{only}: not noticed\n{said}"
            assert re.search(NOTICED[only][1], said), f"{only}: something else was noticed\n{said}"


@pytest.mark.parametrize("only", ["noting", ""])
def test_a_hostility_that_does_not_exist_is_refused(only):
    result = play(only, "each_answer_comes_once_and_in_time")
    assert result.returncode != 0 and "knows no only=" in result.stdout + result.stderr
