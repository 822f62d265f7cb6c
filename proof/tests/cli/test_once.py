# SPDX-License-Identifier: MIT
"""`once`: at most one run of a command with success in a period, in all of the fleet."""
import signal
import subprocess

LONG = "8000h"  # its end is not seen by a test


def test_one_run_in_a_period(rig):
    first = rig.run("once", "job", "--every", LONG, "--", "echo", "ran")
    assert (first.code, first.out, first.err) == (0, "ran\n", "")
    again = rig.run("once", "--every", LONG, "job", "echo", "ran")
    assert (again.code, again.out, again.err) == (0, "", "")
    told = rig.run("once", "-v", "-E", "9", "--every", LONG, "job", "echo", "ran")
    assert told.code == 9 and "done in this period already" in told.err


def test_who_ran_last_and_when(rig):
    before = rig.run("once", "job", "--every", LONG, "--last")
    assert before.code == 0 and "never" in before.out and "due       yes" in before.out
    assert rig.run("once", "--owner", "ann", "job", "--every", LONG, "true").code == 0
    after = rig.run("once", "job", "--every", LONG, "--last")
    assert "succeeded" in after.out and "ann" in after.out and "due       no" in after.out


def test_who_ran_last_is_told_without_the_length_of_a_period(rig):
    assert "never" in rig.run("once", "job", "--last").out
    assert rig.run("once", "--owner", "ann", "job", "--every", LONG, "true").code == 0
    told = rig.run("once", "--last", "job")
    assert told.code == 0 and "succeeded" in told.out and "ann" in told.out
    assert "due" not in told.out and "next" not in told.out


def test_a_failure_gives_the_period_back(rig):
    failed = rig.run("once", "job", "--every", LONG, "-c", "exit 3")
    assert failed.code == 3
    assert "failed" in rig.run("once", "job", "--every", LONG, "--last").out
    assert rig.run("once", "job", "--every", LONG, "echo", "ran").out == "ran\n"


def test_a_failure_that_counts(rig):
    assert rig.run("once", "--keep-on-failure", "--every", LONG, "job", "false").code == 1
    assert rig.run("once", "job", "--every", LONG, "echo", "ran").out == ""


def test_the_next_period(rig):
    for i in range(3):
        proc = rig.run("once", "job", "--every", "200ms", "-E", "9", "echo", "ran")
        while proc.code == 9:
            proc = rig.run("once", "job", "--every", "200ms", "-E", "9", "echo", "ran")
        assert (proc.code, proc.out) == (0, "ran\n"), i


def test_nobody_runs_beside_another(rig):
    first = rig.start("once", "job", "--every", LONG, "--", "sh", "-c", "echo on; cat; exit 1",
                      stdin=subprocess.PIPE)
    assert first.line() == "on"
    busy = rig.run("once", "-E", "9", "--every", LONG, "job", "echo", "ran")
    assert (busy.code, busy.out) == (9, "")
    waits = rig.start("once", "-w", "30s", "--every", LONG, "job", "echo", "took over")
    rig.until_waiting("job")
    first.popen.stdin.close()
    assert first.wait() == 1
    assert waits.line() == "took over" and waits.wait() == 0
    assert rig.run("once", "job", "--every", LONG, "echo", "ran").out == ""


def test_a_runner_that_is_killed_has_done_nothing(rig):
    first = rig.start("once", "job", "--every", LONG, "-t", "1s", "--", "sh", "-c",
                      "echo on; exec sleep 1000")
    assert first.line() == "on"
    first.kill(signal.SIGKILL)
    first.wait()
    second = rig.run("once", "-w", "30s", "--every", LONG, "job", "echo", "took over")
    assert (second.code, second.out) == (0, "took over\n")
    assert "succeeded" in rig.run("once", "job", "--every", LONG, "--last").out


def test_an_interrupted_wait_leaves_nothing_behind(rig):
    first = rig.start("once", "job", "--every", LONG, "--", "sh", "-c", "echo on; cat",
                      stdin=subprocess.PIPE)
    assert first.line() == "on"
    waits = rig.start("once", "-w", "1h", "--every", LONG, "job", "echo", "ran")
    rig.until_waiting("job")
    waits.kill(signal.SIGTERM)
    assert waits.wait() == 128 + signal.SIGTERM
    rig.until_waiting("job", 0)
    first.popen.stdin.close()
    assert first.wait() == 0
    assert "succeeded" in rig.run("once", "job", "--every", LONG, "--last").out


def test_a_run_that_lost_its_lock_does_not_count(rig):
    first = rig.start("once", "job", "--every", LONG, "--", "sh", "-c", "echo on; cat",
                      stdin=subprocess.PIPE)
    assert first.line() == "on"
    assert rig.run("break", "job", "--fence", rig.show("job")["fence"]).code == 0
    assert first.wait() == 76
    assert "due       yes" in rig.run("once", "job", "--every", LONG, "--last").out


def test_a_run_that_the_guard_holds_up_is_not_passed_over_in_silence(redis):
    """A server that has just started, with guard=on: nobody runs the job, and nobody may."""
    guarded = f"{redis.url}?guard=on&guard_ms=600000"
    done = redis.run("-S", guarded, "once", "job", "--every", "1d", "echo", "ran")
    assert done.code == 75 and "(restart guard)" in done.err and not done.out, done.err
    done = redis.run("-S", guarded, "run", "-n", "-E", "0", "job", "echo", "ran")
    assert done.code == 0 and "(restart guard)" in done.err and not done.out, done.err


def test_wrong_calls(sqlite):
    for words, said in [
            (["once", "job", "true"], "--every"), (["once"], "KEY"),
            (["once", "--every", "1ms", "job", "true"], "100ms"),
            (["once", "--every", "0", "job", "true"], "100ms"),
            (["once", "--every", "0", "--last", "job"], "100ms"),
            (["once", "--every", "9000h", "job", "true"], "at most a year"),
            (["once", "--every", "1h", "job"], "a command is wanted")]:
        done = sqlite.run(*words)
        assert done.code == 64 and said in done.err, (words, done.err)
        assert done.err.count("\n") == 1
