# SPDX-License-Identifier: MIT
"""What may go wrong with the kinds of lock is refused in one line, and nothing changes.

Its twin for the functions of the library is proof/tests/runtime/test_refused.c.
"""
import subprocess

import pytest
from harness import PAWL

USAGE, CONFIG, BUSY, LOST = 64, 78, 75, 76


def holds(rig, *flags):
    proc = rig.start("run", *flags, "k", "--", "sh", "-c", 'echo "$PAWL_FENCE"; cat',
                       stdin=subprocess.PIPE)
    return proc, int(proc.line())


def picture(rig, key="k"):
    """What does not change while nothing happens."""
    seen = rig.show(key)
    return [seen["held"], seen["waiting"], seen.get("slots"), seen.get("holder_count"),
            [(h["mode"], h.get("units"), h["fence"]) for h in seen.get("holders", [])]]


def refused(rig, code, sentence, *words, key="k"):
    """The command ends with that code and says one line; nothing of the key has changed."""
    before = picture(rig, key)
    done = rig.run(*words)
    assert done.code == code and done.out == "", (done.code, done.out, done.err)
    assert sentence in done.err and done.err.count("\n") == 1, done.err
    assert picture(rig, key) == before


def test_another_capacity_than_the_names(rig):
    holder, _ = holds(rig, "-N", "3")
    for slots in "4", "2":
        for wait in [], ["-n"]:
            refused(rig, CONFIG, f"it has 3, asked for were {slots}",
                    "run", *wait, "-N", slots, "k", "true")
    holder.popen.stdin.close()
    assert holder.wait() == 0


@pytest.mark.parametrize("mode", ["-x", "-s", "-U"])
def test_another_family(rig, mode):
    holder, _ = holds(rig, "-N", "3")
    refused(rig, CONFIG, "in use as", "run", mode, "k", "true")
    holder.popen.stdin.close()
    assert holder.wait() == 0
    holder, _ = holds(rig, mode)
    refused(rig, CONFIG, "in use as", "run", "-N", "3", "k", "true")
    holder.popen.stdin.close()
    assert holder.wait() == 0


def test_no_units_or_more_than_there_are(rig):
    refused(rig, USAGE, "there are only 3 slots", "run", "-N", "3", "--units", "4", "k", "true")
    refused(rig, USAGE, "a number from 1 to 1024", "run", "-N", "3", "--units", "0", "k", "true")
    refused(rig, USAGE, "a number from 1 to 1024", "run", "-N", "0", "k", "true")
    refused(rig, USAGE, "a number from 1 to 1024", "run", "-N", "1025", "k", "true")
    refused(rig, USAGE, "--units needs -N", "run", "--units", "2", "k", "true")
    refused(rig, USAGE, "exclude each other", "run", "-s", "-N", "2", "k", "true")


def test_a_key_twice_or_65_keys(rig):
    refused(rig, USAGE, "-k b: it is given twice",
            "run", "-k", "a", "-k", "b", "-k", "b", "--", "true", key="b")
    many = [word for i in range(65) for word in ("-k", f"k{i}")]
    refused(rig, USAGE, "at most 64", "run", *many, "--", "true", key="k0")


def test_a_barrier_or_a_latch_of_0(rig):
    refused(rig, USAGE, "a number from 1 to 1000 is wanted", "barrier", "k", "--parties", "0")
    refused(rig, USAGE, "a number from 1 to 1000 is wanted", "barrier", "k", "--parties", "1001")
    refused(rig, USAGE, "--parties N is wanted", "barrier", "k")
    for words in ["--count", "0"], ["--count", "3", "--down", "--by", "0"]:
        refused(rig, USAGE, "a number from 1 to 1000000 is wanted", "latch", "k", *words)
    refused(rig, USAGE, "--by 4: the latch counts from 3", "latch", "k", "--count", "3", "--down",
            "--by", "4")
    assert rig.run("latch", "k", "--count", "3", "--left").out == "3\n"


def test_a_value_above_4096_bytes(rig):
    refused(rig, USAGE, "--value: at most 4096 bytes",
            "lead", "k", "--value", "x" * 4097, "--", "true")
    done = rig.run("lead", "k", "--restart", "never", "--value", "x" * 4096, "--", "true")
    assert done.code == 0, done.err


def test_a_run_inside_a_run_of_the_same_key(rig):
    """It would wait for itself for ever."""
    done = rig.run("run", "k", "--", str(PAWL), "run", "k", "true")
    assert done.code == BUSY and "already held by an ancestor" in done.err, done.err
    done = rig.run("run", "--reentrant", "k", "true")
    assert done.code == 0, done.err
