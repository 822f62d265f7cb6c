# SPDX-License-Identifier: MIT
"""The counting of scripts/test, on what the programs really print."""
import importlib.machinery
import importlib.util

import tree

loader = importlib.machinery.SourceFileLoader("runner", str(tree.SOURCE / "scripts/test"))
runner = importlib.util.module_from_spec(importlib.util.spec_from_loader("runner", loader))
loader.exec_module(runner)

CMOCKA = """[==========] Running 3 test(s).
[ RUN      ] a
[       OK ] a
[ RUN      ] b
SKIP: there is no moon
[  SKIPPED ] b
[ RUN      ] c
[  FAILED  ] c
[==========] 3 test(s) run.
[  PASSED  ] 1 test(s).
[  SKIPPED ] 1 test(s), listed below:
[  SKIPPED ] b
[  FAILED  ] 1 test(s), listed below:
[  FAILED  ] c
"""
PYTEST = "..s.\nSKIPPED [1] tests/test_x.py:3: no moon\n3 passed, 1 skipped in 0.12s\n"


def tally_of(**program):
    tally = runner.Tally()
    tally.add("plain", dict({"name": "x", "result": "OK"}, **program))
    return tally.passed, tally.failed, tally.skipped


def test_cmocka():
    assert tally_of(stdout=CMOCKA, result="FAIL") == (1, 1, 1)


def test_pytest():
    assert tally_of(stdout=PYTEST) == (3, 0, 1)
    assert tally_of(stdout="F\n1 failed, 2 passed, 1 error in 1.0s", result="FAIL") == (2, 2, 0)


def test_tap():
    assert tally_of(stdout="1..3\nok 1 - a\nnot ok 2 - b\nok 3 # SKIP no moon\n",
                    result="FAIL") == (1, 1, 1)


def test_a_crash_is_a_failure():
    assert tally_of(stdout="[ RUN      ] a\n[       OK ] a\n[ RUN      ] b\n",
                    result="FAIL") == (1, 1, 0)
    assert tally_of(result="TIMEOUT") == (0, 1, 0)
    assert tally_of(stdout=PYTEST, result="ERROR") == (3, 1, 1)


def test_a_silent_program_is_one_case():
    assert tally_of() == (1, 0, 0)
    assert tally_of(result="SKIP", stdout="SKIP: no moon") == (0, 0, 1)


def test_reasons_are_found():
    assert runner.skip_reasons(CMOCKA) == ["there is no moon"]
    assert runner.skip_reasons(PYTEST) == ["tests/test_x.py:3: no moon"]
