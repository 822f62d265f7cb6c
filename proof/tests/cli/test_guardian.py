# SPDX-License-Identifier: MIT
"""pawl itself is killed or stands still: the guardian stops the command in its place."""
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from harness import BUILD, PAWL, Proc, is_alive, reporter, start_loners, wait_dead


@pytest.mark.parametrize("action", ["term", "kill"])
def test_killed_pawl_leaves_nothing_behind(rig, action):
    """SIGKILL of pawl and its whole group: all that the command started is dead when the next
    holder has the lock, whatever session it has, and though it ignores TERM."""
    proc, pids = start_loners(rig, ["-t", "2s", "-g", "300ms", "--on-lost", action],
                              "child", "fork")
    taker = rig.start("hold", "k", stdin=subprocess.PIPE)
    rig.until_waiting("k")
    os.killpg(proc.pid, signal.SIGKILL)
    taker.expect("held")
    assert [is_alive(pid) for pid in pids] == [False, False]


def events_of(pipe):
    return [json.loads(line) for line in pipe]


@pytest.mark.parametrize("name", ["k", b"\xff\xfe raw"], ids=["plain", "raw"])
@pytest.mark.parametrize("action, said", [("term", ["term", "kill"]), ("kill", ["kill"])])
def test_the_guardian_goes_on_with_the_events(rig, name, action, said):
    """Who reads --json-events learns what became of the command, not only that pawl is gone."""
    read, write = os.pipe()
    proc = Proc([PAWL, "run", "-t", "2s", "-g", "300ms", "--on-lost", action, "--json-events",
                 str(write), name, *reporter("TERM")],
                rig.env(), stdin=subprocess.PIPE, pass_fds=[write])
    rig.procs.append(proc)
    os.close(write)
    pid = int(proc.expect("ready").split()[1])
    proc.kill(signal.SIGKILL)
    wait_dead(pid)
    with os.fdopen(read) as pipe:
        events = events_of(pipe)
    by_guardian = [e for e in events if e.get("by") == "guardian"]
    assert [e["event"] for e in by_guardian] == said and by_guardian == events[-len(said):]
    for event in by_guardian:
        assert event["reason"] == "pawl was killed"
        assert {k: v for k, v in event.items() if k.startswith("key")} == \
            {k: v for k, v in events[0].items() if k.startswith("key")}
        assert event["time_ms"] >= events[0]["time_ms"]
    if action == "term":
        assert 0 < by_guardian[0]["remaining_ms"] <= 2000
    assert "remaining_ms" not in by_guardian[-1]


def test_the_guardian_says_that_pawl_stands_still(rig):
    read, write = os.pipe()
    proc = rig.start("run", "-t", "2s", "--json-events", write, "k", *reporter("TERM"),
                     stdin=subprocess.PIPE, pass_fds=[write])
    os.close(write)
    pid = int(proc.expect("ready").split()[1])
    proc.kill(signal.SIGSTOP)
    wait_dead(pid)
    with os.fdopen(read) as pipe:
        while (event := json.loads(pipe.readline()))["event"] != "kill":
            pass
    assert event["by"] == "guardian" and event["reason"] == "pawl stands still"


@pytest.mark.skipif(b"__asan_init" in Path(PAWL).read_bytes() or
                    b"__tsan_init" in Path(PAWL).read_bytes(),
                    reason="a sanitizer has its own malloc")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_the_guardian_allocates_nothing(rig, number):
    """It may have been forked while another thread was inside malloc, which then never ends."""
    read, write = os.pipe()
    proc = rig.start("run", "-t", "2s", "--json-events", write, "k", *reporter("TERM"),
                     env={"LD_PRELOAD": str(BUILD / "proof/tests/cli/pawl-test-no-malloc.so")},
                     stdin=subprocess.PIPE, pass_fds=[write])
    os.close(write)
    pid = int(proc.expect("ready").split()[1])
    proc.kill(number)
    wait_dead(pid)
    proc.kill(signal.SIGKILL)
    with os.fdopen(read) as pipe:
        assert events_of(pipe)[-1]["event"] == "kill"
    said = proc.errors()
    assert "SIGKILL to the command" in said and "allocates" not in said, said


def test_killed_pawl_spares_daemons(sqlite):
    proc, pids = start_loners(sqlite, ["-t", "2s", "-g", "100ms"], "daemon")
    taker = sqlite.start("hold", "k", stdin=subprocess.PIPE)
    sqlite.until_waiting("k")
    proc.kill(signal.SIGKILL)
    taker.expect("held")
    assert is_alive(pids[0])
    os.kill(pids[0], signal.SIGKILL)


def test_a_daemon_stays_one_whatever_else_of_it_changes(sqlite):
    """A process is known by its number and by when it was born."""
    proc, pids = start_loners(sqlite, [], "daemon", "grows")
    assert sqlite.run("break", "k", "--fence", sqlite.show("k")["fence"]).code == 0
    assert proc.wait() == 76
    assert is_alive(pids[0])
    os.kill(pids[0], signal.SIGKILL)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may change its user")
def test_killed_pawl_reaches_other_users(rig):
    """The kernel forgets PR_SET_PDEATHSIG when the user changes."""
    prefix = ["setpriv", "--reuid=65534", "--clear-groups"]
    proc, pids = start_loners(rig, ["-t", "2s", "-g", "300ms"], "child", prefix=prefix)
    taker = rig.start("hold", "k", stdin=subprocess.PIPE)
    rig.until_waiting("k")
    proc.kill(signal.SIGKILL)
    taker.expect("held")
    assert not is_alive(pids[0])


def test_killed_pawl_keeps_the_lock_of_a_command_that_outlives_a_loss(sqlite):
    """--on-lost notify: the command runs on; nobody takes the lock back before its time."""
    proc = sqlite.start("run", "-t", "6s", "--on-lost", "notify", "k", *reporter("TERM"),
                        stdin=subprocess.PIPE)
    proc.expect("ready")
    taker = sqlite.start("hold", "k", stdin=subprocess.PIPE)
    sqlite.until_waiting("k")
    killed = time.monotonic()
    proc.kill(signal.SIGKILL)
    assert proc.expect(("TERM", "fd end")) == "fd end"
    assert sqlite.run("run", "-n", "k", "true").code == 75
    taker.expect("held")
    # What pawl had been told of: up to a third of a ttl ago, less the margin, and however late it was.
    assert time.monotonic() - killed > 1.0, "not before the lease ran out"
    proc.say(b"exit 0\n")


def test_the_lock_is_free_as_soon_as_the_command_of_a_killed_pawl_is_gone(sqlite):
    proc = sqlite.start("run", "-t", "60s", "k", "sh", "-c", "echo ready; exec sleep 1000")
    proc.expect("ready")
    taker = sqlite.start("hold", "k", stdin=subprocess.PIPE)
    sqlite.until_waiting("k")
    killed = time.monotonic()
    proc.kill(signal.SIGKILL)
    taker.expect("held")
    assert time.monotonic() - killed < 20, "long before its ttl"


def test_a_killed_guardian_ends_the_command(rig):
    proc = rig.start("run", "k", *reporter(), stdin=subprocess.PIPE)
    pid = int(proc.expect("ready").split()[1])
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        guardian = int(stat.read().rpartition(")")[2].split()[1])
    assert guardian != proc.pid
    os.kill(guardian, signal.SIGKILL)
    wait_dead(pid)
    assert proc.wait() == 128 + signal.SIGTERM
    assert "guardian" in proc.errors()
    assert not rig.show("k")["held"]


def test_strangers_among_our_children_are_left_alone(sqlite):
    """A shell that becomes pawl by exec leaves it children that are none of its business."""
    script = f"sleep 1000 & echo stranger $!; exec {PAWL} run -t 600ms --hold-descendants k " \
             "sh -c 'echo go; exec sleep 1000'"
    proc = sqlite.start("-c", script, program="/bin/sh")
    stranger = int(proc.expect("stranger").split()[1])
    proc.expect("go")
    assert sqlite.run("break", "k", "--fence", sqlite.show("k")["fence"]).code == 0
    assert proc.wait() == 76
    assert is_alive(stranger)
    os.kill(stranger, signal.SIGKILL)
