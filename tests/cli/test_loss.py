# SPDX-License-Identifier: MIT
"""Loss: the command is stopped before the store could give the lock to somebody else.

Times are compared on the clock of this machine, which the private server shares. A
lease that the server had at instant t with p ms to go ends at t + p at the earliest.
"""
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from harness import PAWL, is_alive, reporter, wait_dead


def lease_end(world, key):
    """The earliest instant at which the server may give the key away; the server stands then."""
    at = time.monotonic()
    left_ms = int(world.server.cli("PTTL", "pawl:" + key))
    world.server.stop()
    assert left_ms > 0
    return at + left_ms / 1000


def test_store_gone_the_command_is_told_in_time(redis):
    proc = redis.start("run", "-t", "1500ms", "-g", "500ms", "k", *reporter("TERM"),
                       stdin=subprocess.PIPE)
    proc.expect("ready")
    end = lease_end(redis, "k")
    proc.expect("TERM 1")
    told = time.monotonic()
    assert told < end
    proc.popen.stdin.write(b"exit 0\n")
    proc.popen.stdin.flush()
    assert proc.wait() == 76, "whatever the command returned"
    assert "SIGTERM to the command" in proc.errors()


def test_a_command_that_ignores_term_is_killed_in_time(redis):
    proc = redis.start("run", "-t", "1500ms", "-g", "500ms", "k", *reporter("TERM"),
                       stdin=subprocess.PIPE)
    pid = int(proc.expect("ready").split()[1])
    end = lease_end(redis, "k")
    proc.expect("TERM 1")
    dead = wait_dead(pid)
    assert dead < end, f"{(dead - end) * 1000:.0f} ms too late"
    assert proc.wait() == 76
    assert "SIGKILL" in proc.errors()


def test_everything_that_it_started_is_killed_in_time(redis):
    """Grandchildren, one of them in a group of its own: all hear TERM, and ignore it."""
    script = """
import os, signal
def heard(number, frame):
    os.write(1, f"TERM {os.getpid()}\\n".encode())
signal.signal(signal.SIGTERM, heard)
for own_group in (False, True):
    if os.fork() == 0:
        if own_group:
            os.setpgid(0, 0)
        if os.fork() == 0:
            os.write(1, f"pid {os.getpid()}\\n".encode())
        while True:
            signal.pause()
os.write(1, f"pid {os.getpid()}\\n".encode())
while True:
    signal.pause()
"""
    proc = redis.start("run", "-t", "1500ms", "-g", "300ms", "k", sys.executable, "-c", script)
    pids = [int(proc.expect("pid").split()[1]) for _ in range(3)]
    end = lease_end(redis, "k")
    heard = set()
    while not heard >= set(pids):
        heard.add(int(proc.expect("TERM").split()[1]))
    for pid in pids:
        assert wait_dead(pid) < end
    assert proc.wait() == 76


def test_on_lost_kill_gives_no_warning(redis):
    proc = redis.start("run", "-t", "1200ms", "--on-lost", "kill", "k", *reporter("TERM"),
                       stdin=subprocess.PIPE)
    pid = int(proc.expect("ready").split()[1])
    end = lease_end(redis, "k")
    assert wait_dead(pid) < end
    assert proc.wait() == 76
    rest = proc.popen.stdout.read().decode() + proc.buffer.decode()
    assert "TERM" not in rest


@pytest.mark.parametrize("action, code", [("notify", 76), ("ignore", 3)])
def test_on_lost_notify_and_ignore_let_it_run(redis, action, code):
    proc = redis.start("run", "-t", "900ms", "--on-lost", action, "k", *reporter("TERM"),
                       stdin=subprocess.PIPE)
    pid = int(proc.expect("ready").split()[1])
    end = lease_end(redis, "k")
    proc.expect("fd doubt")
    proc.expect("fd lost")
    assert time.monotonic() < end, "told before the store could give it away"
    assert is_alive(pid)
    redis.server.cont()
    redis.until_free("k")
    proc.popen.stdin.write(b"exit 3\n")
    proc.popen.stdin.flush()
    assert proc.wait() == code
    rest = proc.popen.stdout.read().decode() + proc.buffer.decode()
    assert "TERM" not in rest


def test_a_store_that_comes_back_in_time_is_no_loss(redis):
    proc = redis.start("run", "-t", "3s", "-g", "300ms", "k", *reporter("TERM"),
                       stdin=subprocess.PIPE)
    proc.expect("ready")
    redis.server.stop()
    proc.expect("fd doubt")
    redis.server.cont()
    proc.expect("fd held")
    proc.popen.stdin.write(b"exit 0\n")
    proc.popen.stdin.flush()
    assert proc.wait() == 0
    assert proc.errors() == "", "silence on success"


def test_a_store_that_dies_and_returns_empty(redis):
    """The lock is gone from the store; the holder finds out and nobody is resurrected."""
    proc = redis.start("run", "-t", "1500ms", "-g", "300ms", "k", *reporter("TERM"),
                       stdin=subprocess.PIPE)
    pid = int(proc.expect("ready").split()[1])
    redis.server.cli("DEL", "pawl:k")
    proc.expect("TERM 1")
    wait_dead(pid)
    assert proc.wait() == 76


def test_a_broken_lock_stops_its_command_at_the_next_renewal(world):
    proc = world.start("run", "-t", "900ms", "k", *reporter("TERM"), stdin=subprocess.PIPE)
    proc.expect("ready")
    fence = world.show("k")["fence"]
    broken = time.monotonic()
    assert world.run("break", "k", "--fence", fence).code == 0
    taker = world.start("hold", "k", stdin=subprocess.PIPE)
    assert int(taker.expect("held").split()[1]) > fence
    told = {proc.expect(("fd lost", "TERM")), proc.expect(("fd lost", "TERM"))}
    assert told == {"fd lost", "TERM 1"}
    assert time.monotonic() - broken < 5
    proc.popen.stdin.write(b"exit 0\n")
    proc.popen.stdin.flush()
    assert proc.wait() == 76
    assert "lost" in proc.errors()
    assert world.show("k")["held"], "the new holder's lock was not touched"


def test_a_lock_broken_just_before_the_end_is_reported(world):
    """The release compares: that the command ended well does not mean that it was protected."""
    proc = world.start("run", "k", *reporter(), stdin=subprocess.PIPE)
    proc.expect("ready")
    assert world.run("break", "k", "--fence", world.show("k")["fence"]).code == 0
    proc.popen.stdin.write(b"exit 0\n")
    proc.popen.stdin.flush()
    assert proc.wait() == 76


def test_lost_exit_code(world):
    proc = world.start("run", "--lost-exit-code", "9", "k", *reporter(), stdin=subprocess.PIPE)
    proc.expect("ready")
    assert world.run("break", "k", "--fence", world.show("k")["fence"]).code == 0
    proc.popen.stdin.write(b"exit 0\n")
    proc.popen.stdin.flush()
    assert proc.wait() == 9


@pytest.mark.parametrize("action", ["term", "notify"])
def test_a_pawl_that_was_stopped_first_of_all_notices(world, action):
    """kill -STOP for three ttls, then CONT. The command, which ran on, is told."""
    ttl = 0.4
    read, write = os.pipe()
    proc = world.start("run", "-t", f"{ttl}", "--on-lost", action, "--json-events", write, "k",
                       *reporter("TERM"), stdin=subprocess.PIPE, pass_fds=[write])
    os.close(write)
    pid = int(proc.expect("ready").split()[1])
    stopped = time.monotonic()
    os.kill(proc.pid, signal.SIGSTOP)
    # on Redis and on SQLite alike: a holder that stands still is passed over after its ttl
    taker = world.start("hold", "k", stdin=subprocess.PIPE)
    taker.expect("held")
    assert time.monotonic() - stopped < ttl + 2
    time.sleep(max(0.0, stopped + 3 * ttl - time.monotonic()))  # the length of the pause is the test
    assert is_alive(pid)
    os.kill(proc.pid, signal.SIGCONT)
    if action == "term":
        wait_dead(pid)  # the deadline is long past: KILL follows TERM at once
    else:
        proc.expect("fd lost")
        proc.popen.stdin.write(b"exit 0\n")
        proc.popen.stdin.flush()
    assert proc.wait() == 76
    assert world.show("k")["held"], "the new holder's lock was not touched"
    with os.fdopen(read) as pipe:
        events = [json.loads(line)["event"] for line in pipe]
    after_start = events[events.index("started") + 1:]
    assert after_start[0] in ("lost", "doubt"), events
    assert "lost" in after_start and "held" not in after_start, events


def test_hold_says_when_it_is_lost(world):
    proc = world.start("hold", "-t", "600ms", "k", stdin=subprocess.PIPE)
    fence = proc.expect("held").split()[1]
    assert world.run("break", "k", "--fence", fence).code == 0
    assert proc.wait() == 76
    assert "lost" in proc.errors()


def test_a_daemon_in_a_session_of_its_own_survives_a_loss_unless_it_is_held_for(sqlite):
    script = f'setsid sh -c "echo daemon \\$\\$; exec sleep 1000" & wait; exec sleep 1000'
    for flags, survives in (([], True), (["--hold-descendants"], False)):
        proc = sqlite.start("run", "-t", "600ms", *flags, "k", "sh", "-c", script)
        daemon = int(proc.expect("daemon").split()[1])
        assert sqlite.run("break", "k", "--fence", sqlite.show("k")["fence"]).code == 0
        assert proc.wait() == 76
        if survives:
            assert is_alive(daemon)
            os.kill(daemon, signal.SIGKILL)
        wait_dead(daemon)


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
