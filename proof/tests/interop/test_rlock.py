# SPDX-License-Identifier: MIT
"""Redisson's RLock is a hash, so it and pawl's lock exclude each other as types do: who comes second is
refused by the server, waits for nothing and changes nothing, and pawl says in one sentence whose fault it
is. By hand always; by the real Redisson with PAWL_INTEROP=all and in CI."""
import os
import signal
import subprocess
import threading
import time

import pytest
from test_interop import CHOSEN, ROUNDS, Scene

WRONG_TYPE = 65
BOTH = ["by hand", *(["redisson's rlock"] if "redisson" in CHOSEN else [])]
SAYS = "the key pawl:k holds something that is not pawl's; choose another name or prefix"


@pytest.fixture(params=BOTH)
def scene(request, tmp_path):
    made = Scene(tmp_path, request.param)
    yield made
    made.end()


def test_pawl_is_refused_what_redisson_holds(scene):
    other = scene.other(60000)
    assert other.say("acquire") == "yes"
    for flags in ("-n",), ("-w", "10s"), ("-s", "-n"), ("-N", "3", "-n"):
        done = scene.redis.run("run", *flags, scene.key, "echo", "inside")
        assert (done.code, done.out) == (WRONG_TYPE, "") and SAYS in done.err, done.err
        assert len(done.err.splitlines()) == 1
    assert scene.redis.run("show", scene.key).code == WRONG_TYPE
    assert other.say("release") == "yes", "it was left alone"
    assert scene.fence() > 0


def test_redisson_is_refused_what_pawl_holds(scene):
    fence = scene.fence()
    other = scene.other(60000)
    holder = scene.holder("-t", "500ms")
    holder.expect("held")
    for _ in range(3):
        assert other.say("acquire") == "WRONGTYPE"
        time.sleep(0.3)  # it is renewed meanwhile
    assert scene.redis.show(scene.key)["held"]
    holder.popen.stdin.close()
    assert holder.wait() == 0
    scene.redis.until_free(scene.key)
    assert other.say("acquire") == "yes", "nothing of pawl's is in its way"
    assert other.say("release") == "yes"
    assert scene.fence() > fence


def test_pawl_gives_back_nothing_of_redissons(scene):
    """A holder that was stopped past its ttl; Redisson came after it."""
    other = scene.other(60000)
    holder = scene.holder("-t", "300ms")
    holder.expect("held")
    os.kill(holder.popen.pid, signal.SIGSTOP)
    try:
        until = time.monotonic() + 60
        while other.say("acquire") != "yes":
            assert time.monotonic() < until
            time.sleep(0.05)
    finally:
        os.kill(holder.popen.pid, signal.SIGCONT)
    assert holder.wait() == 76 and "lost" in holder.errors()
    assert other.say("release") == "yes", "its lock was still there"


def test_a_waiter_is_told_when_redisson_comes_before_it(scene):
    """It had waited for a lock that somebody removed by hand."""
    other = scene.other(60000)
    holder = scene.holder("-t", "30s")
    holder.expect("held")
    waiter = scene.holder("-t", "6s")  # it asks again after 2 s
    scene.redis.until_waiting(scene.key)
    assert other.say("acquire") == "WRONGTYPE"
    scene.server.cli("del", "pawl:k")
    assert other.say("acquire") == "yes"
    assert waiter.wait() == WRONG_TYPE and SAYS in waiter.errors()
    assert other.say("release") == "yes"


def test_nobody_is_in_with_redisson(scene):
    """Who is in makes a directory, which fails if it is there. Who is refused tries again."""
    inside = scene.redis.tmp / "inside"
    other = scene.other(10000)
    codes = []

    def run_pawl():
        while codes.count(0) < ROUNDS and set(codes) <= {0, WRONG_TYPE}:
            codes.append(scene.redis.run("run", "-w", "30s", scene.key, "sh", "-c",
                                         f"mkdir {inside} && rmdir {inside}").code)

    thread = threading.Thread(target=run_pawl)
    thread.start()
    try:
        done = 0
        while done < ROUNDS:
            if other.say("acquire") != "yes":
                continue
            inside.mkdir()
            inside.rmdir()
            assert other.say("release") == "yes"
            done += 1
            time.sleep(0.02)
    finally:
        thread.join()
    assert set(codes) <= {0, WRONG_TYPE} and codes.count(0) == ROUNDS
