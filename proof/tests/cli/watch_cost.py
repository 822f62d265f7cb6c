# SPDX-License-Identifier: MIT
"""What it costs a Redis server to be watched, counted by the server itself.

    PAWL_BUILD=build python3 proof/tests/cli/watch_cost.py --locks 10000 --waiters 10000

The tests do the same with fewer locks, and compare the counts with what they must be.
"""
import argparse
import contextlib
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from harness import BUILD, RedisServer, Rig, clean_env

LOOKS = 3


@contextlib.contextmanager
def crowd(rig, locks, waiters):
    """So many locks are held, and so many wait for them."""
    proc = rig.start(rig.url, locks, waiters, program=str(BUILD / "proof/tests/cli/pawl-test-crowd"),
                       stdin=subprocess.PIPE)
    proc.expect("ready", timeout=300)
    yield
    proc.end()


def counts(server):
    """How often each command was called, by clients and by scripts: {name: calls}"""
    said = server.cli("info", "commandstats")
    return {name: int(calls) for name, calls in re.findall(r"^cmdstat_([\w|]+):calls=(\d+)", said, re.M)}


def between(before, after):
    seen = {name: calls - before.get(name, 0) for name, calls in after.items()}
    return {name: calls for name, calls in seen.items() if calls and not name.startswith("info")}


def looks(rig, count):
    """pawl stat looks so often: what the server was asked, and the lines."""
    before = counts(rig.server)
    done = rig.run("stat", "--json", "-c", count, "-i", "100ms", timeout=600)
    assert done.code == 0, done.err
    return between(before, counts(rig.server)), [json.loads(line) for line in done.out.splitlines()]


def of_one_look(rig):
    """What each further look asks the server: {command: calls}. What a start asks is left out. How many pages SCAN
    has may change while the server's table grows; all else is the same each time."""
    (first, _), (more, lines) = looks(rig, 1), looks(rig, 1 + LOOKS)
    further = {name: more[name] - first.get(name, 0) for name in more}
    assert all(calls % LOOKS == 0 for name, calls in further.items() if name != "scan"), further
    return {name: -(-calls // LOOKS) for name, calls in further.items() if calls}, lines


def commands_per_second(rig, seconds):
    """While pawl stat looks as often as it may."""
    proc = rig.start("stat", "-i", "100ms")
    proc.line()
    proc.line()
    began, before = time.monotonic(), counts(rig.server)
    proc.line(timeout=600)
    while time.monotonic() - began < seconds:
        proc.line(timeout=600)
    after, took = counts(rig.server), time.monotonic() - began
    proc.end()
    return sum(between(before, after).values()) / took


def lock(rig):
    """(p50 in us, pairs a second) of somebody who takes a lock of his own again and again."""
    done = subprocess.run([BUILD / "pawl-bench", "-S", rig.url, "--json", "--only", "uncontended", "-d", "2s"],
                          env=clean_env(), check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=600)
    [phase] = json.loads(done.stdout)["phases"]
    return phase["p50_us"], phase["pairs_per_second"]


def beside_others(rig, rounds):
    """A lock alone and watched, in turn: the medians, and by how much the watched one is slower."""
    alone, watched = [], []
    for _ in range(rounds):
        alone.append(lock(rig))
        proc = rig.start("stat", "-i", "1s")
        proc.line()
        watched.append(lock(rig))
        proc.end()
    for i, what in enumerate(("p50 in us", "pairs a second")):
        before, after = (statistics.median(one[i] for one in all_) for all_ in (alone, watched))
        print(f"{what}: alone {before:.1f}, watched {after:.1f}, {100 * (after / before - 1):+.1f} %")


def first_picture(rig, locks):
    """How long it takes from the start of pawl top until its table is there."""
    from test_top import Terminal
    began = time.monotonic()
    top = Terminal(rig)
    top.shows(f"1 held {locks} ")
    took = time.monotonic() - began
    top.end()
    return took


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--locks", type=int, default=10000)
    options.add_argument("--waiters", type=int, default=10000)
    options.add_argument("--seconds", type=float, default=10)
    options.add_argument("--rounds", type=int, default=5, help="of a lock alone and watched")
    options = options.parse_args()
    with tempfile.TemporaryDirectory() as tmp:
        server = RedisServer(Path(tmp))
        rig = Rig(server.url, Path(tmp))
        rig.server = server
        try:
            with crowd(rig, options.locks, options.waiters):
                one, lines = of_one_look(rig)
                rate = commands_per_second(rig, options.seconds)
                print(f"held {lines[-1]['held']}, waiting {lines[-1]['waiting']}, "
                      f"a look takes {lines[-1]['took_ms']} ms")
                print(f"one look: {one}")
                print(f"pawl top shows them after {first_picture(rig, options.locks):.1f} s")
                beside_others(rig, options.rounds)
                print(f"watched without a pause between looks but the least: {rate:.0f} commands a second")
        finally:
            rig.close()
            server.end()
    return 0


if __name__ == "__main__":
    sys.exit(main())
