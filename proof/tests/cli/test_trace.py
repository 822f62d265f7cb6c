# SPDX-License-Identifier: MIT
"""TRACEPARENT goes through `run` as it is, and who waits sees the trace of the holder."""
import json
import subprocess

import pytest

ID, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACE = f"00-{ID}-{PARENT}-01"


def holds(rig, *words, trace=TRACE):
    proc = rig.start("run", *words, "k", "sh", "-c", 'echo "$TRACEPARENT"; cat', stdin=subprocess.PIPE,
                     env={"TRACEPARENT": trace})
    assert proc.line() == trace
    return proc


def test_who_waits_sees_the_trace_of_the_holder(rig):
    holds(rig)
    seen = rig.show("k")
    assert seen["trace_id"] == ID and seen["program"] == "sh"
    assert f"\ntrace     {ID}\n" in rig.run("show", "k").out
    [listed] = map(json.loads, rig.run("ls", "--json").out.splitlines())
    assert listed["key"] == "k" and listed["trace_id"] == ID
    assert f"trace={ID}" in rig.run("ls").out
    done = rig.run("run", "-n", "k", "true")
    assert done.code == 75 and f"trace={ID}" in done.err


def test_each_holder_and_each_waiter_has_a_trace_of_its_own(rig):
    other = ID[::-1]
    holds(rig, "-s")
    holds(rig, "-s", trace=TRACE.replace(ID, other))
    rig.start("run", "k", "true", env={"TRACEPARENT": TRACE.replace(ID, "ab" * 16)})
    seen = rig.until_waiting("k")
    assert {holder["trace_id"] for holder in seen["holders"]} == {ID, other}
    assert [waiter["trace_id"] for waiter in seen["waiters"]] == ["ab" * 16]


def test_a_label_of_ones_own_is_left_alone(sqlite):
    holds(sqlite, "--owner", "mine")
    seen = sqlite.show("k")
    assert seen["owner"] == "mine" and "trace_id" not in seen


@pytest.mark.parametrize("trace", [
    "", "x", ID, TRACE[:-1], TRACE + "1", TRACE + "-x", TRACE.upper(), "ff" + TRACE[2:], "0" + TRACE,
    f"00-{'0' * 32}-{PARENT}-01", f"00-{ID}-{'0' * 16}-01", f"00-{ID}-{PARENT}-0g", f"00-{ID}\x1b-{PARENT}-01",
    f"00-{ID}0-{PARENT}-01", f"00-{ID[:-1]}-{PARENT}-01"])
def test_what_is_no_trace_is_not_shown(sqlite, trace):
    holds(sqlite, trace=trace)
    seen = sqlite.show("k")
    assert "trace" not in seen["owner"] and "trace_id" not in seen and seen["program"] == "sh"


def test_a_later_version_may_say_more(sqlite):
    holds(sqlite, trace=f"01-{ID}-{PARENT}-00-more")
    assert sqlite.show("k")["trace_id"] == ID


def test_a_trace_in_a_label_is_believed_only_in_its_form(sqlite):
    for label, told in ((f"a@b 1 x trace={ID}", ID), (f"a@b 1 x trace={ID}0", None), ("a@b 1 x trace=z" + ID[1:], None),
                        (f"trace={ID}", None)):
        proc = holds(sqlite, "--owner", label)
        assert sqlite.show("k").get("trace_id") == told
        proc.popen.stdin.close()
        assert proc.wait() == 0
