# SPDX-License-Identifier: MIT
"""Goal: who takes part in a `once`, `latch`, `barrier` or `lead` may be killed, or stand still
beyond its lease, between any two steps at the store: nothing counts twice, and nobody waits for it.
Method: stage.c gives it the signal at its first step, its second one and so on, until it ends
before. Its leases are broken then, as if their time were over. In SQLite a step may be in a
transaction, and who stands still there keeps everybody out: so that is tried on Redis only."""
import os
import signal

import pytest

from harness import BUILD, PATIENCE, PAWL

EVERY = ("--every", "8000h", "-E", "9")
SLOW = 2 * PATIENCE
FEWEST = 2  # no participant comes by with fewer steps

both = pytest.mark.parametrize("rig, number", [
    ("sqlite", signal.SIGKILL), ("redis", signal.SIGKILL), ("redis", signal.SIGSTOP)],
    indirect=["rig"])


def start(rig, stage, number, verb, *words):
    """The process that has got the signal, or None if it ended before that step."""
    env = {"LD_PRELOAD": str(BUILD / "proof/tests/cli/pawl-test-stage.so"),
           "STAGE": str(stage), "STAGE_SIGNAL": str(int(number)),
           "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"}
    proc = rig.start(verb, "--owner", "dying", *words, env=env)
    how = os.waitid(os.P_PID, proc.pid, os.WEXITED | os.WSTOPPED | os.WNOWAIT)
    if how.si_code != os.CLD_EXITED and how.si_status == number:
        return proc
    assert how.si_code == os.CLD_EXITED and stage > FEWEST, (how, stage)
    return None


def stages(rig, number, *words):
    """A key and a process for each step, the last one of which was not reached any more."""
    for stage in range(1, 200):
        key = f"k{stage}"
        yield key, start(rig, stage, number, *[key if w == "KEY" else w for w in words])


def end_its_leases(rig, *keys):
    for key in keys:
        for holder in rig.show(key).get("holders", []):
            if holder["owner"] == "dying":
                assert rig.run("break", key, "--fence", holder["fence"]).code == 0


def go_on(proc, number):
    """Its exit code, when it has gone on if it stood still."""
    if number == signal.SIGSTOP:
        proc.kill(signal.SIGCONT)
    return proc.wait(SLOW)


@both
def test_a_run_counts_once(rig, number):
    job = ("sh", "-c", f'echo "$0" >> "{rig.tmp}/$PAWL_KEY"')
    for key, dying in stages(rig, number, "once", "KEY", *EVERY, *job, "dying"):
        if not dying:
            return
        end_its_leases(rig, key)
        other = rig.run("once", key, *EVERY, "-w", "50s", *job, "other", timeout=SLOW)
        code = go_on(dying, number)
        runs = (rig.tmp / key).read_text().split()
        assert (other.code, sorted(runs)) in [(0, ["other"]), (0, ["dying", "other"]),
                                              (9, ["dying"])], (key, other.err)
        assert other.code == 9 or code != 0, f"{key}: both count"
        assert "succeeded" in rig.run("once", key, "--last").out


def latch_of(key):
    return "latch", key, "--count", "2"


@both
def test_a_count_counts_once(rig, number):
    for key, dying in stages(rig, number, *latch_of("KEY"), "--down"):
        if not dying:
            return
        end_its_leases(rig, key)
        waits = rig.start(*latch_of(key))
        left = rig.run(*latch_of(key), "--left").out
        code = go_on(dying, number)
        left_at_last = rig.run(*latch_of(key), "--left").out
        fits = {0: ["1\n"], 76: [left], -number: [left]}.get(code, ["1\n", "2\n"])
        assert left_at_last in fits, (key, code)
        rest = rig.run(*latch_of(key), "--down", "--by", left_at_last.strip(), timeout=SLOW)
        assert rest.code == 0, (key, rest.err)
        assert waits.wait(SLOW) == 0, key


@both
def test_a_round_opens_or_is_broken(rig, number):
    for stage in range(1, 200):
        key = f"k{stage}"
        barrier = ("barrier", key, "--parties", "2")
        stays = rig.start(*barrier)
        rig.until(key, lambda seen: seen.get("holder_count") == 1)
        dying = start(rig, stage, number, *barrier)
        if not dying:
            assert stays.wait(SLOW) == 0
            return
        end_its_leases(rig, key, key + ".gate")
        comes = rig.start(*barrier)
        code = stays.wait(SLOW)
        assert code in (0, 76), (key, stays.errors())
        last = rig.start(*barrier)  # for who came into a round of its own
        assert comes.wait(SLOW) in (0, code), (key, comes.errors())
        last.kill(signal.SIGTERM)
        last.wait(SLOW)
        dying.kill(signal.SIGTERM)
        assert go_on(dying, number) != 0 or code == 0, key
        parties = [rig.start(*barrier) for _ in range(2)]
        assert [p.wait(SLOW) for p in parties] == [0, 0], key


@both
def test_another_one_leads(rig, number):
    term = ("--restart", "never")
    for key, dying in stages(rig, number, "lead", "KEY", *term, "--value", "one", "true"):
        if not dying:
            return
        end_its_leases(rig, key)
        other = rig.run("lead", key, *term, "--value", "two", PAWL, "lead", key, "--who",
                        timeout=SLOW)
        assert other.code == 0 and other.out.endswith(": two\n"), (key, other.out, other.err)
        go_on(dying, number)
        assert rig.run("lead", key, "--who").out == "nobody leads\n"
