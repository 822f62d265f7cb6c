# SPDX-License-Identifier: MIT
"""Loss: the command is stopped before the store could give the lock to somebody else.

Times are compared on the clocks of this machine, which the private server shares. A
lease that the server had at instant t with p ms to go ends at t + p at the earliest.
"""
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from harness import is_alive, reporter, slow, start_loners, wait_dead


# What is done "in time" has a tenth of it: for pawl to get to run on a busy machine, and for us to see it.
TTL = "4s"

# The server's clock in ms, and what the key has to go: together, however late the answer is read.
NOW_AND_LEFT = """
local now = redis.call('TIME')
return {math.floor(now[1] * 1000 + now[2] / 1000), redis.call('PTTL', KEYS[1])}
"""


def lease_end(rig, key):
    """The earliest instant at which the server may give the key away; the server stands then."""
    now_ms, left_ms = map(int, rig.server.cli("EVAL", NOW_AND_LEFT, "1", "pawl:" + key).split())
    rig.server.stop()
    assert left_ms > 0
    return time.monotonic() + (now_ms + left_ms) / 1000 - time.time()


def test_store_gone_the_command_is_told_in_time(redis):
    proc = redis.start("run", "-t", TTL, "-g", "500ms", "k", *reporter("TERM"),
                       stdin=subprocess.PIPE)
    proc.expect("ready")
    end = lease_end(redis, "k")
    proc.expect("TERM 1")
    told = time.monotonic()
    assert told < end
    proc.say(b"exit 0\n")
    assert proc.wait() == 76, "whatever the command returned"
    assert "SIGTERM to the command" in proc.errors()


def test_a_command_that_ignores_term_is_killed_in_time(redis):
    proc = redis.start("run", "-t", TTL, "-g", "500ms", "k", *reporter("TERM"),
                       stdin=subprocess.PIPE)
    pid = int(proc.expect("ready").split()[1])
    end = lease_end(redis, "k")
    proc.expect("TERM 1")
    dead = wait_dead(pid)
    assert dead < end, f"{(dead - end) * 1000:.0f} ms too late"
    assert proc.wait() == 76
    assert "SIGKILL" in proc.errors()


VERBS = [("run",), ("once", "--every", "1d"), ("lead", "--restart", "never")]


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb[0])
def test_with_a_delay_it_is_stopped_so_long_before_the_lease_ends(redis, verb):
    """And the lease is left to run out, though the store can be told again."""
    proc = redis.start(*verb, "-t", TTL, "-g", "300ms", "--lock-delay", "700ms", "k",
                       *reporter("TERM"), stdin=subprocess.PIPE)
    pid = int(proc.expect("ready").split()[1])
    end = lease_end(redis, "k")
    assert wait_dead(pid) < end - 0.7
    redis.server.cont()
    assert proc.wait() == 76
    left_ms = int(redis.server.cli("PTTL", "pawl:k"))
    assert left_ms > 0 or time.monotonic() > end  # a machine that stood still
    if verb[0] == "once":
        assert "never" in redis.run("once", "--last", "k").out


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb[0])
def test_with_a_delay_the_lease_outlives_who_was_killed(sqlite, verb):
    proc = sqlite.start(*verb, "-t", "8s", "--lock-delay", "3s", "k", "sh", "-c", "echo $$; cat",
                        stdin=subprocess.PIPE)
    pid = int(proc.line())
    proc.kill(signal.SIGKILL)
    wait_dead(pid)
    assert sqlite.show("k")["held"]
    assert sqlite.run("run", "-n", "k", "true").code == 75
    # an end of its own is clean
    assert sqlite.run(*verb, "--lock-delay", "8s", "other", "true").code == 0
    assert sqlite.run("run", "-n", "other", "true").code == 0


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
    proc = redis.start("run", "-t", TTL, "-g", "300ms", "k", sys.executable, "-c", script)
    pids = [int(proc.expect("pid").split()[1]) for _ in range(3)]
    end = lease_end(redis, "k")
    heard = set()
    while not heard >= set(pids):
        heard.add(int(proc.expect("TERM").split()[1]))
    for pid in pids:
        assert wait_dead(pid) < end
    assert proc.wait() == 76


def test_on_lost_kill_gives_no_warning(redis):
    proc = redis.start("run", "-t", TTL, "--on-lost", "kill", "k", *reporter("TERM"),
                       stdin=subprocess.PIPE)
    pid = int(proc.expect("ready").split()[1])
    end = lease_end(redis, "k")
    assert wait_dead(pid) < end
    assert proc.wait() == 76
    rest = proc.popen.stdout.read().decode() + proc.buffer.decode()
    assert "TERM" not in rest


@pytest.mark.parametrize("action, code", [("notify", 76), ("ignore", 3)])
def test_on_lost_notify_and_ignore_let_it_run(redis, action, code):
    proc = redis.start("run", "-t", TTL, "--on-lost", action, "k", *reporter("TERM"),
                       stdin=subprocess.PIPE)
    pid = int(proc.expect("ready").split()[1])
    end = lease_end(redis, "k")
    proc.expect("fd doubt")
    proc.expect("fd lost")
    assert time.monotonic() < end, "told before the store could give it away"
    assert is_alive(pid)
    redis.server.cont()
    redis.until_free("k")
    proc.say(b"exit 3\n")
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
    proc.say(b"exit 0\n")
    assert proc.wait() == 0
    assert proc.errors() == "", "silence on success"


def trouble_and_recovery(redis, *flags, verb=("run",)):
    """A run that has been sent a TERM, and then was renewed after all."""
    proc = redis.start(*verb, "-t", "6s", "-g", "2s", *flags, "k", *reporter("TERM"),
                       stdin=subprocess.PIPE, pass_fds=[int(flags[1])] if flags else [])
    proc.expect("ready")
    redis.server.stop()
    proc.expect("TERM 1")
    redis.server.cont()
    proc.expect("fd held")
    return proc


def test_a_second_trouble_is_told_and_stopped_like_the_first(redis):
    read, write = os.pipe()
    proc = trouble_and_recovery(redis, "--json-events", str(write))
    os.close(write)
    redis.server.stop()
    assert {proc.expect(("fd doubt", "TERM")) for _ in range(2)} == {"fd doubt", "TERM 2"}
    assert proc.wait() == 76
    with os.fdopen(read) as pipe:
        events = [json.loads(line) for line in pipe]
    told = [e["event"] for e in events if e["event"] not in ("waiting", "acquired", "started")]
    again = told.index("held") + 1
    assert sorted(told[:again]) == ["doubt", "held", "term"], told
    assert sorted(told[again:again + 3]) == ["doubt", "kill", "term"], told
    for event in events:
        if event["event"] in ("doubt", "term", "kill"):
            assert "answer" in event["reason"], "a deadline that is still to come is no reason"


def test_a_recovery_takes_back_what_a_second_term_would_mean(redis):
    """The first TERM was ours; the user's first one is passed on, and his second one kills."""
    proc = trouble_and_recovery(redis)
    proc.kill(signal.SIGTERM)
    proc.expect("TERM 2")
    proc.kill(signal.SIGTERM)
    assert proc.wait() == 76, "it was sent a TERM for the lock's sake: its work is not whole"
    rest = proc.popen.stdout.read().decode() + proc.buffer.decode()
    assert "TERM 3" not in rest


@pytest.mark.parametrize("code", [0, 3])
def test_a_once_that_was_stopped_and_recovered_does_not_count(redis, code):
    """The store is told the same as the user, also where a failure counts."""
    once = ("once", "--every", "8000h", "--keep-on-failure")
    proc = trouble_and_recovery(redis, verb=once)
    proc.say(f"exit {code}\n".encode())
    assert proc.wait() == 76
    assert "k: stopped: the run does not count" in proc.errors()
    assert not redis.show("k")["held"]
    assert "never" in redis.run("once", "--last", "k").out
    assert redis.run(*once, "k", "echo", "ran").out == "ran\n"


def test_a_run_that_recovered_says_that_it_was_stopped(redis):
    proc = trouble_and_recovery(redis)
    proc.say(b"exit 0\n")
    assert proc.wait() == 76
    assert not redis.show("k")["held"]
    assert proc.errors().count("SIGTERM to the command") == 1


@pytest.mark.parametrize("what", ["end", "signal", "yield", "break"])
def test_no_news_waits_for_a_renewal(rig, what):
    """With this ttl the next look at the clock is hours away: a late wake-up cannot hide."""
    proc = rig.start("run", "-t", "24h", "-g", "0.1", "k", *reporter("TERM"),
                     stdin=subprocess.PIPE)
    pid = int(proc.expect("ready").split()[1])
    if what == "signal":
        proc.kill(signal.SIGTERM)
        proc.expect("TERM 1")
    if what == "yield":
        rig.start("run", "k", "true")
        proc.expect("fd yield")
    if what == "break":
        assert rig.run("break", "k", "--fence", rig.show("k")["fence"]).code == 0
        proc.expect("fd lost")
        wait_dead(pid)
    proc.say(b"exit 3\n")
    assert proc.wait() == (76 if what == "break" else 3)


def test_a_store_that_dies_and_returns_empty(redis):
    """The lock is gone from the store; the holder finds out and nobody is resurrected."""
    proc = redis.start("run", "-t", "1500ms", "-g", "300ms", "k", *reporter("TERM"),
                       stdin=subprocess.PIPE)
    pid = int(proc.expect("ready").split()[1])
    redis.server.cli("DEL", "pawl:k")
    proc.expect("TERM 1")
    wait_dead(pid)
    assert proc.wait() == 76


def test_a_broken_lock_stops_its_command_at_the_next_renewal(rig):
    proc = rig.start("run", "-t", "2s", "k", *reporter("TERM"), stdin=subprocess.PIPE)
    proc.expect("ready")
    fence = rig.show("k")["fence"]
    broken = time.monotonic()
    assert rig.run("break", "k", "--fence", fence).code == 0
    taker = rig.start("hold", "k", stdin=subprocess.PIPE)
    assert int(taker.expect("held").split()[1]) > fence
    told = {proc.expect(("fd lost", "TERM")), proc.expect(("fd lost", "TERM"))}
    assert told == {"fd lost", "TERM 1"}
    assert time.monotonic() - broken < 5
    proc.say(b"exit 0\n")
    assert proc.wait() == 76
    assert "lost" in proc.errors()
    assert rig.show("k")["held"], "the new holder's lock was not touched"


def test_a_loss_names_who_broke_the_lock(rig):
    read, write = os.pipe()
    proc = rig.start("run", "-t", "60s", "--json-events", write, "k", *reporter("TERM"),
                     stdin=subprocess.PIPE, pass_fds=[write])
    os.close(write)
    proc.expect("ready")
    done = rig.run("--owner", "eve@host 42", "break", "k", "--fence", rig.show("k")["fence"])
    assert done.code == 0, done.err
    proc.expect("TERM 1")    # at once, not a third of a minute later
    proc.say(b"exit 0\n")
    assert proc.wait() == 76
    assert "broken by eve@host 42" in proc.errors()
    with os.fdopen(read) as pipe:
        told = {event["event"]: event for event in map(json.loads, pipe)}
    assert told["lost"]["reason"] == "broken by eve@host 42"


def test_a_lock_broken_just_before_the_end_is_reported(rig):
    """The release compares: that the command ended well does not mean that it was protected."""
    proc = rig.start("run", "k", *reporter(), stdin=subprocess.PIPE)
    proc.expect("ready")
    assert rig.run("break", "k", "--fence", rig.show("k")["fence"]).code == 0
    proc.say(b"exit 0\n")
    assert proc.wait() == 76


def test_a_term_after_the_loss_speaks_of_no_time_that_remains(rig):
    """What the deadline would have been is of no more use."""
    read, write = os.pipe()
    proc = rig.start("run", "-t", "2s", "--json-events", write, "k", *reporter(),
                     stdin=subprocess.PIPE, pass_fds=[write])
    os.close(write)
    proc.expect("ready")
    assert rig.run("break", "k", "--fence", rig.show("k")["fence"]).code == 0
    assert proc.wait() == 76
    with os.fdopen(read) as pipe:
        told = {event["event"]: event for event in map(json.loads, pipe)}
    assert "remaining_ms" not in told["term"] and told["term"]["reason"] == told["lost"]["reason"]


def test_lost_exit_code(rig):
    proc = rig.start("run", "--lost-exit-code", "9", "k", *reporter(), stdin=subprocess.PIPE)
    proc.expect("ready")
    assert rig.run("break", "k", "--fence", rig.show("k")["fence"]).code == 0
    proc.say(b"exit 0\n")
    assert proc.wait() == 9


@pytest.mark.parametrize("action", ["term", "notify"])
def test_a_pawl_that_was_stopped_first_of_all_notices(rig, action):
    """kill -STOP for longer than a ttl, then CONT. The guardian has killed the command, unless it
    was asked not to; then the command, which ran on, is told."""
    ttl = 2  # the margin before its end is a tenth of it: for the guardian to get to run, and for us to see it
    read, write = os.pipe()
    proc = rig.start("run", "-t", f"{ttl}", "--on-lost", action, "--json-events", write, "k",
                     *reporter("TERM"), stdin=subprocess.PIPE, pass_fds=[write])
    os.close(write)
    pid = int(proc.expect("ready").split()[1])
    stopped = time.monotonic()
    os.kill(proc.pid, signal.SIGSTOP)
    # on Redis and on SQLite alike: a holder that stands still is passed over after its ttl
    taker = rig.start("hold", "k", stdin=subprocess.PIPE)
    taker.expect("held")
    assert is_alive(pid) == (action == "notify"), "killed before the next holder came"
    assert time.monotonic() - stopped < ttl + 2
    time.sleep(max(0.0, stopped + 1.5 * ttl - time.monotonic()))  # the length of the pause is the test
    os.kill(proc.pid, signal.SIGCONT)
    if action == "notify":
        proc.expect("fd lost")
        proc.popen.stdin.write(b"exit 0\n")
        proc.popen.stdin.flush()
    assert proc.wait() == 76
    assert ("SIGKILL" in proc.errors()) == (action == "term")
    assert rig.show("k")["held"], "the new holder's lock was not touched"
    with os.fdopen(read) as pipe:
        events = [json.loads(line)["event"] for line in pipe]
    after_start = events[events.index("started") + 1:]
    if action == "term":
        assert after_start.pop(0) == "kill", "the guardian's"
    assert after_start[0] in ("lost", "doubt"), events
    assert "lost" in after_start and "held" not in after_start, events


def test_a_verbose_hold_says_why_it_is_not_renewed(redis):
    proc = redis.start("hold", "-v", "-t", "4s", "k", stdin=subprocess.PIPE,
                       stderr=subprocess.STDOUT)
    proc.expect("held ")
    redis.server.stop()
    assert "answer" in proc.expect("pawl: k: renewal overdue: ")
    redis.server.cont()
    proc.popen.stdin.close()
    assert proc.wait() == 0


def test_hold_says_when_it_is_lost(rig):
    proc = rig.start("hold", "-t", "2s", "k", stdin=subprocess.PIPE)
    fence = proc.expect("held").split()[1]
    assert rig.run("break", "k", "--fence", fence).code == 0
    assert proc.wait() == 76
    assert "lost" in proc.errors()


def test_hold_that_stood_still_says_why_it_is_lost(redis):
    proc = redis.start("hold", "-v", "-t", "1500ms", "k", stdin=subprocess.PIPE,
                       stderr=subprocess.STDOUT)
    proc.expect("held ")
    redis.server.stop()
    why = proc.expect("pawl: k: renewal overdue: ").split(": ", 3)[3].strip()
    os.kill(proc.popen.pid, signal.SIGSTOP)
    redis.server.cont()
    redis.until_free("k")
    os.kill(proc.popen.pid, signal.SIGCONT)
    assert why in proc.expect("pawl: k: lost: ")
    assert proc.wait() == 76


@pytest.mark.parametrize("action", ["term", "kill"])
def test_a_session_of_its_own_is_no_escape(redis, action):
    """As of setsid or su -c: only who had lost its parent before is a daemon."""
    proc, pids = start_loners(redis, ["-t", TTL, "-g", "400ms", "--on-lost", action],
                              "child", "fork")
    end = lease_end(redis, "k")
    for pid in pids:
        assert wait_dead(pid) < end
    assert proc.wait() == 76


def test_a_daemon_survives_a_loss_unless_it_is_held_for(sqlite):
    for flags, survives in (([], True), (["--hold-descendants"], False)):
        proc, pids = start_loners(sqlite, ["-t", "2s", *flags], "daemon", "fork")
        assert sqlite.run("break", "k", "--fence", sqlite.show("k")["fence"]).code == 0
        assert proc.wait() == 76
        for pid in pids:
            assert is_alive(pid) == survives
            if survives:
                os.kill(pid, signal.SIGKILL)
            wait_dead(pid)


# ---- Lost before the command has begun -----------------------------------------------------

@pytest.mark.parametrize("action, code", [("term", 76), ("ignore", 76)])
def test_no_command_after_a_loss_that_came_before_it(rig, action, code):
    """The fence file takes longer than the lease, and nobody renews meanwhile."""
    read, write = os.pipe()
    done = rig.run("run", "-t", "600ms", "--on-lost", action, "--fence-file",
                   rig.tmp / "fence", "--json-events", write, "k", "echo", "ran",
                   env=slow("SLOW_RENAME", 1500), pass_fds=[write])
    os.close(write)
    assert done.out == "" and done.code == code
    assert "lost before the command was started" in done.err
    with os.fdopen(read) as pipe:
        events = [json.loads(line)["event"] for line in pipe]
    assert "lost" in events and "started" not in events


def test_a_lease_that_was_nearly_used_up_is_renewed_before_the_command_starts(rig):
    proc = rig.start("run", "-t", "3s", "-g", "1s", "--fence-file", rig.tmp / "fence", "k",
                     *reporter(), env=slow("SLOW_RENAME", 1900), stdin=subprocess.PIPE)
    proc.expect("ready")
    assert int(proc.expect("fd held").split()[2]) > 1000, "more than the grace"
    proc.say(b"exit 0\n")
    assert proc.wait() == 0, proc.errors()


def test_renewed_while_the_commands_file_is_being_loaded(rig):
    began = time.monotonic()
    done = rig.run("run", "-t", "1s", "k", "echo", "ran", env=slow("SLOW_EXEC", 2500))
    assert time.monotonic() - began > 2.4
    assert done.code == 0 and done.out == "ran\n", done.err


def test_a_command_whose_file_loads_too_slowly_never_begins(redis):
    """The clock is looked at before exec; exec itself can take long, so the killer comes, too."""
    read, write = os.pipe()
    proc = redis.start("run", "-t", "1s", "--json-events", write, "k", "echo", "ran",
                       env=slow("SLOW_EXEC", 3000), pass_fds=[write])
    os.close(write)
    with os.fdopen(read) as pipe:
        while json.loads(pipe.readline())["event"] != "acquired":
            pass
        redis.server.stop()
    assert proc.wait() == 76
    assert proc.line() == ""


def test_the_clock_is_looked_at_last_of_all_before_exec(rig):
    """Between fork and exec, while pawl stands still and cannot kill."""
    read, write = os.pipe()
    proc = rig.start("run", "-t", "600ms", "--json-events", write, "k", "echo", "ran",
                     env=slow("SLOW_SETPGID", 700), pass_fds=[write])
    os.close(write)
    with os.fdopen(read) as pipe:
        while json.loads(pipe.readline())["event"] != "acquired":
            pass
        proc.kill(signal.SIGSTOP)
        time.sleep(2.4)  # four ttls
        proc.kill(signal.SIGCONT)
    assert proc.wait() == 76
    assert proc.line() == ""


def test_a_signal_that_comes_before_the_command_is_kept_for_it(sqlite):
    """The command has no number yet when pawl gets it."""
    read, write = os.pipe()
    proc = sqlite.start("run", "--json-events", write, "k", "cat", env=slow("SLOW_SETPGID", 500),
                        stdin=subprocess.PIPE, pass_fds=[write])
    os.close(write)
    with os.fdopen(read) as pipe:
        while json.loads(pipe.readline())["event"] != "acquired":
            pass
        proc.kill(signal.SIGUSR1)
        assert proc.wait() == 128 + signal.SIGUSR1
