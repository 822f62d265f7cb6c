# SPDX-License-Identifier: MIT
"""pawl.redislock beside redis-py: redis-py's own tests of its lock, and what they do not ask."""
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tarfile
import time

import pytest

import pawl

redis = pytest.importorskip("redis")
redislock = pytest.importorskip("pawl.redislock")

SOURCE = pathlib.Path(os.environ["PAWL_SOURCE"])
CACHE = pathlib.Path(os.environ["PAWL_BUILD"]) / "bindings-python/redis-py"
VERSION = "8.1.0"
PATIENCE = 20


def port_that_is_free():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until_it_answers(port):
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1) as link:
                link.sendall(b"PING\r\n")
                if link.recv(7) == b"+PONG\r\n":
                    return
        except OSError:
            time.sleep(0.01)  # nothing tells when it listens
    raise AssertionError("redis-server does not answer")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    if not shutil.which("redis-server"):
        print("SKIP: there is no redis-server")
        pytest.skip("there is no redis-server")
    port = port_that_is_free()
    process = subprocess.Popen(["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "",
                                "--dir", str(tmp_path_factory.mktemp("redis"))], stdout=subprocess.DEVNULL)
    try:
        until_it_answers(port)
        yield port
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def r(server):
    with redis.Redis(port=server) as client:
        client.flushall()
        yield client


def fetch():
    """Why not, or None. pip builds the package's metadata, so it may take a while."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--retries", "1", "--timeout", "15", "--no-deps",
               "--no-binary", "redis", "--dest", str(CACHE), f"redis=={VERSION}"]
    try:
        got = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=90)
    except subprocess.TimeoutExpired:
        return "pip takes too long"
    return got.stdout.strip()[-200:] if got.returncode else None


def their_source():
    """Fetched once. They are not ours to hand out, so they are not in the tree."""
    top = CACHE / f"redis-{VERSION}"
    if top.is_dir():
        return top
    CACHE.mkdir(parents=True, exist_ok=True)
    why = fetch()
    if why:
        print(f"SKIP: redis-py's tests cannot be had from PyPI: {why}")
        pytest.skip(f"redis-py's tests cannot be had from PyPI: {why}")
    with tarfile.open(CACHE / f"redis-{VERSION}.tar.gz") as archive:
        archive.extractall(CACHE)
    return top


def deviations():
    """The tests that docs/from-redis-py.md names."""
    page = (SOURCE / "docs/from-redis-py.md").read_text("utf-8")
    return set(re.findall(r"^\| `(test_\w+)` \|", page, re.M)), page


def test_redis_pys_own_tests(server, tmp_path):
    top = their_source()
    settings = tmp_path / "empty.ini"
    settings.write_text("[pytest]\n")
    env = dict(os.environ, PYTHONPATH=f"{SOURCE}/proof/tests/python:{top}")
    done = subprocess.run([sys.executable, "-m", "pytest", "-q", "-rA", "-c", settings, "--rootdir", top,
                           "-p", "in_place_of_redis_py", "-p", "no:cacheprovider", "tests/test_lock.py",
                           f"--redis-url=redis://127.0.0.1:{server}/9"],
                          cwd=top, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    results = dict((name, result) for result, name in re.findall(r"^(\w+) \S+::(test_\w+)", done.stdout, re.M))
    failed = {name for name, result in results.items() if result != "PASSED"}
    named, page = deviations()
    assert failed == named, done.stdout
    assert f"{len(results) - len(failed)} of {len(results)} pass" in page and VERSION in page


def test_both_kinds_exclude_each_other(r):
    theirs, ours = r.lock("x", timeout=10), r.lock("x", timeout=10, lock_class=redislock.Lock)
    with theirs:
        assert ours.acquire(blocking=False) is False and ours.locked() and not ours.owned()
        with pytest.raises(redis.exceptions.LockError):
            with r.lock("x", blocking_timeout=0.1, lock_class=redislock.Lock):
                pass
    with ours:
        assert theirs.acquire(blocking=False) is False and ours.fence > 0
        assert r.get("x") == ours.local.token
    assert theirs.acquire(blocking=False)


def test_it_is_renewed(r):
    with r.lock("x", timeout=0.3, lock_class=redislock.Lock) as lock:
        until = time.monotonic() + 1
        while time.monotonic() < until:
            assert r.exists("x") and lock.owned()


def test_a_loss_is_redis_pys_error(r):
    with pytest.raises(redis.exceptions.LockNotOwnedError) as lost:
        with r.lock("x", timeout=10, lock_class=redislock.Lock):
            r.delete("x")
    assert isinstance(lost.value.__cause__, pawl.Lost)


def test_a_server_that_is_away_is_redis_pys_error():
    gone = redis.Redis(port=port_that_is_free())
    with pytest.raises(redis.exceptions.ConnectionError):
        gone.lock("x", lock_class=redislock.Lock).acquire(blocking_timeout=0.1)


@pytest.mark.parametrize("theirs, ours", [
    ("redis://h:7/3", "redis://h:7/3?prefix="),
    ("redis://:p%40ss@h", "redis://:p%40ss@h:6379/0?prefix="),
    ("redis://u:p@[::1]/", "redis://u:p@[::1]:6379/0?prefix="),
    ("unix:///s?db=2", "redis+unix:///s?prefix=&db=2"),
    ("rediss://h?ssl_ca_certs=/ca", "rediss://h:6379/0?prefix=&tls_ca=%2Fca"),
    ("rediss://h?ssl_cert_reqs=none", "rediss://h:6379/0?prefix=&tls_verify=none"),
])
def test_the_server_of_a_client(theirs, ours):
    assert redislock.url_of(redis.Redis.from_url(theirs)) == ours


def test_a_server_that_is_not_known():
    with pytest.raises(TypeError, match="is not known"):
        redislock.Lock(object(), "x")

    class Own(redislock.Lock):
        client = pawl.Client("memory:")

    with Own(object(), "x") as lock:
        assert lock.owned()
