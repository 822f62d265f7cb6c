# SPDX-License-Identifier: MIT
"""Locks of other libraries beside pawl's, on the same keys of one real server, in both directions.

The libraries are the real ones, in programs of their own that are asked line by line. redis-py is
always there, Redisson in CI; with PAWL_INTEROP=all all are fetched and built, which takes minutes. One
that the registries do not bring here is skipped, and the reason said.
"""
import os
import pathlib
import subprocess
import sys
import threading
import time

import pytest

ROOT = pathlib.Path(os.environ.get("PAWL_SOURCE", "."))
sys.path.insert(0, str(ROOT / "proof/tests/cli"))
sys.path.insert(0, str(ROOT / "proof/bench"))
sys.path.insert(0, str(ROOT / "proof/ports"))
from free_port import free_port  # noqa: E402
from harness import BUILD, PATIENCE, Proc, RedisServer, Rig, clean_env  # noqa: E402
from suite import peers  # noqa: E402

CACHE = BUILD.absolute() / "bench/cache"
ROUNDS = 8


def go(library):
    peer = peers.go_peer(CACHE, "interop", "github.com/go-redsync/redsync/v4", "")
    return [*peer.command, library]


def node():
    return peers.node_peer(CACHE, "node-redlock", "redlock", "interop.js", "").command


def redisson(kind):
    peer = peers.MAKERS["redisson"](CACHE)
    return [*peer.command[:-1], "InteropRedisson", kind]


LIBRARIES = {
    "redis-py": lambda: [sys.executable, str(ROOT / "proof/tests/interop/redis_py.py")],
    "redsync": lambda: go("redsync"),
    "redislock": lambda: go("redislock"),
    "rueidislock": lambda: go("rueidislock"),
    "node-redlock": node,
    "redisson": lambda: redisson("bucket"),  # RBucket.setIfAbsent: a plain key
    # Not of the kind below: see test_rlock.py.
    "redisson's rlock": lambda: redisson("lock"),
    "by hand": lambda: [sys.executable, str(ROOT / "proof/tests/interop/hash_lock.py")],
}
PLAIN = list(LIBRARIES)[:-2]
CHOSEN = (PLAIN if os.environ.get("PAWL_INTEROP") == "all"
          else ["redis-py", "redisson"] if os.environ.get("PAWL_CI") else ["redis-py"])
RENEWS = {"rueidislock"}  # these never run out while their program lives
# The name that the library is given for pawl's, and pawl's own. rueidislock makes keys of its own.
NAMES = {"rueidislock": ("k", "0:k")}


class Other:
    """The lock of a library, in a process of its own."""

    def __init__(self, command, port, name, ttl_ms):
        self.proc = Proc([*command, f"127.0.0.1:{port}", name, str(ttl_ms)], clean_env(),
                         stdin=subprocess.PIPE)

    def say(self, word):
        self.proc.say(f"{word}\n".encode())
        return self.proc.line()

    def ask(self, word):
        answer = self.say(word)
        assert answer in ("yes", "no"), answer or self.proc.errors()
        return answer == "yes"

    def get_in(self):
        until = time.monotonic() + PATIENCE
        while not self.ask("acquire"):
            assert time.monotonic() < until, "it never got in"


class Scene:
    def __init__(self, tmp, library):
        try:
            self.command = LIBRARIES[library]()
        except peers.Skipped as why:
            print(f"SKIP: {library}: {why}", file=sys.stderr)
            pytest.skip(f"{library}: {why}")
        self.name, self.key = NAMES.get(library, ("pawl:k", "k"))
        self.port = free_port()
        self.server = RedisServer(tmp, "--port", str(self.port))
        self.redis = Rig(self.server.url, tmp)

    def other(self, ttl_ms):
        other = Other(self.command, self.port, self.name, ttl_ms)
        self.redis.procs.append(other.proc)
        return other

    def end(self):
        self.redis.close()
        self.server.end()

    def holder(self, *flags):
        return self.redis.start("hold", *flags, self.key, stdin=subprocess.PIPE)

    def fence(self):
        done = self.redis.run("run", "-w", "30s", self.key, "sh", "-c", "echo $PAWL_FENCE")
        assert done.code == 0, done.err
        return int(done.out)


@pytest.fixture(params=CHOSEN)
def scene(request, tmp_path):
    made = Scene(tmp_path, request.param)
    yield made
    made.end()


def test_whoever_holds_keeps_the_other_out(scene):
    fence = scene.fence()
    other = scene.other(60000)
    assert other.ask("acquire")
    assert scene.redis.run("run", "-n", scene.key, "true").code == 75
    assert "not by pawl" in scene.redis.run("show", scene.key).out
    assert other.ask("release")
    scene.redis.until_free(scene.key)
    assert scene.fence() > fence, "theirs has none, and ours grows on"

    holder = scene.holder()
    holder.expect("held")
    assert not other.ask("acquire")
    holder.popen.stdin.close()
    assert holder.wait() == 0
    other.get_in()
    assert other.ask("release")


def test_who_waits_for_pawl_is_handed_what_another_gave_back(scene):
    other = scene.other(60000)
    assert other.ask("acquire")
    waiter = scene.holder("-t", "1s")
    scene.redis.until_waiting(scene.key)
    assert other.ask("release")
    waiter.expect("held")
    assert not other.ask("acquire")


def test_a_lock_that_ran_out_is_not_given_back_by_who_had_it(scene, request):
    if any(f"[{name}]" in request.node.name for name in RENEWS):
        return  # it does not run out
    other = scene.other(300)
    other.get_in()  # at the second try, if the first one took its whole time
    holder = scene.holder("-t", "10s")
    holder.expect("held")
    assert not other.ask("release"), "it was pawl's"
    assert scene.redis.show(scene.key)["held"]
    assert scene.redis.run("run", "-n", scene.key, "true").code == 75


def test_nobody_is_in_with_the_other(scene):
    """Who is in makes a directory, which fails if it is there."""
    inside = scene.redis.tmp / "inside"
    other = scene.other(10000)
    codes = []

    def run_pawl():
        for _ in range(ROUNDS):
            done = scene.redis.run("run", "-t", "300ms", "-w", "30s", scene.key, "sh", "-c",
                                   f"mkdir {inside} && rmdir {inside}")
            codes.append(done.code)

    thread = threading.Thread(target=run_pawl)
    thread.start()
    try:
        for _ in range(ROUNDS):
            other.get_in()
            inside.mkdir()
            inside.rmdir()
            assert other.ask("release")
    finally:
        thread.join()
    assert codes == [0] * ROUNDS
