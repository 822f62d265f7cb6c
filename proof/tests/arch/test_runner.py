# SPDX-License-Identifier: MIT
"""scripts/test counts what the programs really print, and leaves nothing out."""
import importlib.machinery
import importlib.util
import json
import os
import shutil
import subprocess

import pytest

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


def test_a_failure_says_why_at_the_end():
    tally = runner.Tally()
    said = "ERROR: the lock was not granted"
    tally.add("plain", {"name": "x", "result": "FAIL", "stdout": "\n" * 50 + said + "\n" + CMOCKA})
    assert tally.failures == [f"plain: x (FAIL, 1 failed)\n    {said}\n    [  FAILED  ] c"]
    assert runner.what_it_said("a\n" * 9 + "Segmentation fault\n")[-1] == "Segmentation fault"


def test_a_silent_program_is_one_case():
    assert tally_of() == (1, 0, 0)
    assert tally_of(result="SKIP", stdout="SKIP: no moon") == (0, 0, 1)


def test_reasons_are_found():
    assert runner.skip_reasons(CMOCKA) == ["there is no moon"]
    assert runner.skip_reasons(PYTEST) == ["tests/test_x.py:3: no moon"]


def test_a_skip_that_does_not_say_why_has_failed():
    silent = CMOCKA.replace("  FAILED  ] c", "  SKIPPED ] c").replace("FAILED  ] 1", "SKIPPED ] 1")
    assert runner.silent_skips(silent) == ["c"] and runner.silent_skips(CMOCKA) == []
    assert tally_of(stdout=silent) == (1, 1, 1)
    assert tally_of(result="SKIP") == (0, 1, 0)
    assert tally_of(result="SKIP", stdout="SKIP: ") == (0, 1, 0)
    assert tally_of(stdout="1..2\nok 1 - a\nok 2 # SKIP\n") == (1, 1, 0)


# ---- Nothing is left out ----------------------------------------------------------------


def names_of_tests(directory):
    told = subprocess.run(["meson", "introspect", directory, "--tests"], check=True, text=True,
                          stdout=subprocess.PIPE).stdout
    return [test["name"] for test in json.loads(told)]


@pytest.fixture
def configures_only(tmp_path, monkeypatch):
    """A ninja that compiles nothing: what it would compile is not the question here."""
    ninja = tmp_path / "bin/ninja"
    ninja.parent.mkdir()
    ninja.write_text(f'#!/bin/sh\n[ "$1" != --version ] || exec {shutil.which("ninja")} "$@"\n')
    ninja.chmod(0o755)
    monkeypatch.setenv("PATH", f"{ninja.parent}:{os.environ['PATH']}")
    monkeypatch.delenv("MESON_ARGS", raising=False)


def test_a_build_without_tests_gets_them(configures_only, tmp_path, monkeypatch):
    """`make demo` on a machine without cmocka configures no tests; `make test` comes next."""
    directory = str(tmp_path / "build")
    subprocess.run([tree.SOURCE / "scripts/build", directory, "-q", "-Dtests=disabled"], check=True)
    assert not names_of_tests(directory)
    monkeypatch.setitem(runner.FLAVOURS, "plain", (directory, [], 1))
    assert runner.build("plain")
    suites = names_of_tests(directory)
    for area in ("engine", "conformance sqlite", "conformance redis", "cli-run", "sim", "torture"):
        assert [name for name in suites if name.startswith(area)], f"{area}: {suites}"


def test_one_program_more_than_processors_runs_at_once(monkeypatch):
    monkeypatch.delenv("MESON_TESTTHREADS", raising=False)
    monkeypatch.setattr(runner.os, "sched_getaffinity", lambda pid: {0, 1})
    assert runner.programs_at_once() == 3
    monkeypatch.setenv("MESON_TESTTHREADS", "8")
    assert runner.programs_at_once() == 8


def test_a_flavour_that_runs_nothing_has_failed(monkeypatch, capsys):
    good = {"name": "x", "result": "OK", "stdout": "[       OK ] a\n"}
    ran = {"plain": [], "asan": [good]}
    monkeypatch.setattr(runner, "build", lambda flavour: True)
    monkeypatch.setattr(runner, "run", lambda flavour, extra: (0, ran[flavour]))
    assert runner.main(["plain", "asan"]) == 1
    assert "1 passed, 1 failed, 0 skipped" in capsys.readouterr().out
    ran["plain"] = [good]
    assert runner.main(["plain", "asan"]) == 0
