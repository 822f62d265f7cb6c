# SPDX-License-Identifier: MIT
"""run -F: the command takes the place of the process that was started; pawl stands beside it."""
import json
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from harness import BUILD, PAWL, Proc, is_alive, reporter, wait_dead


def children(pid):
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def beside(rig, key="k"):
    """The pid of the pawl that holds the lock: its label says it."""
    return int(re.search(r"\S+@\S+ (\d+) ", rig.show(key)["holders"][0]["owner"]).group(1))


def start(rig, *flags, command=None):
    proc = rig.start("run", "-F", *flags, "k", *(command or reporter("USR1")),
                     stdin=subprocess.PIPE)
    assert proc.expect("ready") == f"ready {proc.pid}"
    return proc


def test_the_command_has_our_number_and_no_child(rig):
    proc = start(rig)
    assert children(proc.pid) == []
    assert proc.line().startswith("fd held ")
    assert Path(f"/proc/{proc.pid}/environ").read_text().count("PAWL_TOKEN=") == 1
    assert os.readlink(f"/proc/{beside(rig)}/exe") == os.path.realpath(PAWL)
    assert rig.run("run", "-n", "k", "true").code == 75
    proc.kill(signal.SIGUSR1)  # it is the command's own
    assert proc.expect("USR1") == "USR1 1"
    proc.say(b"exit 7\n")
    assert proc.wait() == 7
    rig.until_free("k")
    assert proc.errors() == ""


def test_a_death_by_signal_is_seen_as_it_is(sqlite):
    proc = start(sqlite)
    proc.kill(signal.SIGKILL)
    assert proc.wait() == -signal.SIGKILL
    sqlite.until_free("k")


def test_the_lease_is_renewed_and_the_environment_tells_of_it(sqlite):
    proc = start(sqlite, "-t", "2s", command=["sh", "-c", f"echo ready $$; {PAWL} check; cat"])
    first = sqlite.show("k")["holders"][0]["remaining_ms"]
    sqlite.until("k", lambda lock: lock["holders"][0]["remaining_ms"] > first)  # renewed
    proc.popen.stdin.close()
    assert proc.wait() == 0


def test_who_gets_no_lock_or_no_command_exits_as_ever(sqlite):
    holder = start(sqlite)
    busy = sqlite.run("run", "-F", "-n", "k", "true")
    assert busy.code == 75 and "busy" in busy.err
    assert sqlite.run("run", "-F", "-n", "-E", "0", "k", "false").code == 0
    holder.say(b"exit 0\n")
    assert holder.wait() == 0
    for command, code in ("/no/such", 127), ("/etc/passwd", 126):
        failed = sqlite.run("run", "-F", "k", command)
        assert failed.code == code and f"cannot run {command}" in failed.err
        sqlite.until_free("k")


def test_who_is_killed_while_it_waits_leaves_the_queue(rig):
    holder = start(rig)
    waiter = rig.start("run", "-F", "k", "true")
    rig.until_waiting("k")
    waiter.kill(signal.SIGTERM)
    assert waiter.wait() == -signal.SIGTERM
    rig.until_waiting("k", 0)
    holder.say(b"exit 0\n")
    assert holder.wait() == 0


# Ends at TERM, and leaves a child of another session behind that does not.
LEAVES_ONE = """
import os, signal
ready, done = os.pipe()
if os.fork() == 0:
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.write(done, b"x")
    while True:
        signal.pause()
os.read(ready, 1)
os.write(1, f"ready {os.getpid()}\\n".encode())
signal.pause()
"""


@pytest.mark.parametrize("store, end", [("redis", "lost"), ("sqlite", "killed"),
                                        ("redis", "killed"), ("sqlite", "stands still")])
def test_all_of_it_is_stopped_when_the_lock_cannot_be_kept(request, store, end):
    """By pawl, or by its guardian; also what the command has left behind when it ended at TERM."""
    rig = request.getfixturevalue(store)
    proc = start(rig, "-t", "4s", "-g", "1s", command=["python3", "-c", LEAVES_ONE])
    left = children(proc.pid)
    assert len(left) == 1
    fence = rig.show("k")["holders"][0]["fence"]
    keeper = beside(rig)
    if end == "lost":
        assert rig.run("break", "k", "--fence", str(fence)).code == 0
    else:
        os.kill(keeper, signal.SIGKILL if end == "killed" else signal.SIGSTOP)
    wait_dead(left[0])
    assert proc.wait() in (-signal.SIGTERM, -signal.SIGKILL)
    if end == "stands still":
        os.kill(keeper, signal.SIGCONT)
    wait_dead(keeper)
    assert ("lost" if end == "lost" else "SIG") in proc.errors()


def test_without_its_guardian_it_goes_on(sqlite):
    proc = start(sqlite)
    guardian = children(beside(sqlite))
    assert len(guardian) == 1
    os.kill(guardian[0], signal.SIGKILL)
    wait_dead(guardian[0])
    proc.say(b"exit 3\n")
    assert proc.wait() == 3
    sqlite.until_free("k")


def test_events_say_that_the_code_is_unknown(sqlite):
    read, write = os.pipe()
    proc = Proc([PAWL, "run", "-F", "--json-events", str(write), "k", "sh", "-c", f"exec {write}>&-"],
                sqlite.env(), pass_fds=[write])
    sqlite.procs.append(proc)
    os.close(write)
    proc.wait()
    with os.fdopen(read) as pipe:
        events = [json.loads(line) for line in pipe]
    assert [e["event"] for e in events] == ["waiting", "acquired", "started", "exited", "released"]
    assert events[2]["pid"] == proc.pid and events[3]["code"] is None


@pytest.mark.parametrize("flag", [["--hold-descendants"], ["--foreground"], ["--reentrant"],
                                  ["--lost-exit-code", "9"]])
def test_what_does_not_go_with_it(sqlite, flag):
    done = sqlite.run("run", "-F", *flag, "k", "true")
    assert done.code == 64 and "exclude each other" in done.err and done.out == ""


@pytest.mark.parametrize("store", [False, True])
def test_flock_becomes_the_command_too(sqlite, store):
    flock = BUILD / "pawl-flock"
    url = ["-S", sqlite.url] if store else []
    env = {"PAWL_STORE": ""}
    path = sqlite.tmp / "file"
    proc = sqlite.start(*url, "-F", path, "sh", "-c", "echo $$; cat; exit 4", program=flock,
                        stdin=subprocess.PIPE, env=env)
    assert int(proc.line()) == proc.pid
    assert subprocess.run(["flock", "-n", path, "true"]).returncode == 1
    if store:
        assert sqlite.show(str(path))["held"]
    proc.popen.stdin.close()
    assert proc.wait() == 4
    assert subprocess.run(["flock", path, "true"]).returncode == 0
    refused = sqlite.run("-F", "-o", path, "true", program=flock, env=env)
    assert refused.code == 64 and "exclude each other" in refused.err
