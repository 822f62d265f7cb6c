# SPDX-License-Identifier: MIT
"""pawl.redislock beside redis-py: redis-py's own tests of its lock, and what they do not ask."""
import asyncio
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
redislock_aio = pytest.importorskip("pawl.redislock_aio")

SOURCE = pathlib.Path(os.environ["PAWL_SOURCE"])
sys.path.insert(0, str(SOURCE / "proof/ports"))
from free_port import free_port  # noqa: E402

CACHE = pathlib.Path(os.environ["PAWL_BUILD"]) / "bindings-python/redis-py"
VERSION = "8.1.0"
RUNNER = ["pytest==8.3.5", "pytest-asyncio==0.25.3", "async-timeout==5.0.1"]
PATIENCE = 20


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
    port = free_port()
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
        yield client


@pytest.fixture
def name(request):
    """Each test has a lock of its own: a server that is emptied grants nothing until the leases have run out."""
    return request.node.name


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


def run_theirs(server, tmp_path, tests, *plugins, settings="", path=()):
    """{test: whether all of its runs passed}, and what was printed"""
    top = their_source()
    ini = tmp_path / "settings.ini"
    ini.write_text(f"[pytest]\n{settings}")
    folders = [SOURCE / "proof/tests/python", top, *path]
    env = dict(os.environ, PYTHONPATH=":".join(map(str, folders)))
    done = subprocess.run([sys.executable, "-m", "pytest", "-q", "-rA", "-c", ini, "--rootdir", top,
                           *[word for plugin in plugins for word in ("-p", plugin)], "-p", "no:cacheprovider", tests,
                           f"--redis-url=redis://127.0.0.1:{server}/9"],
                          cwd=top, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    results = {}
    for result, name in re.findall(r"^(\w+) \S+::(test_\w+)", done.stdout, re.M):
        results[name] = results.get(name, True) and result == "PASSED"
    return results, done.stdout


def judge(results, printed, what):
    failed = {name for name, passed in results.items() if not passed}
    named, page = deviations()
    assert failed == named & set(results), printed
    assert f"{len(results) - len(failed)} of {len(results)} {what}" in page and VERSION in page


def test_redis_pys_own_tests(server, tmp_path):
    results, printed = run_theirs(server, tmp_path, "tests/test_lock.py", "in_place_of_redis_py")
    assert set(results) >= deviations()[0]
    judge(results, printed, "pass")


def runner_of_coroutines():
    """A folder with a pytest that runs them, fetched once: no test of ours needs it."""
    site = CACHE / "site"
    if site.is_dir():
        return site
    CACHE.mkdir(parents=True, exist_ok=True)
    made = CACHE / f"site-{os.getpid()}"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--retries", "1", "--timeout", "15", "--target", str(made),
               *RUNNER]
    try:
        got = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=90)
        why = got.stdout.strip()[-200:] if got.returncode else None
    except subprocess.TimeoutExpired:
        why = "pip takes too long"
    if why:
        shutil.rmtree(made, ignore_errors=True)
        print(f"SKIP: pytest-asyncio cannot be had from PyPI: {why}")
        pytest.skip(f"pytest-asyncio cannot be had from PyPI: {why}")
    made.rename(site)
    return site


def test_redis_pys_own_tests_of_asyncio(server, tmp_path):
    results, printed = run_theirs(server, tmp_path, "tests/test_asyncio/test_lock.py", "in_place_of_redis_py",
                                  "in_place_of_redis_py_aio", path=[runner_of_coroutines()],
                                  settings="asyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n")
    assert len(results) > 20, printed
    judge(results, printed, "of asyncio pass")


def test_both_kinds_exclude_each_other(r, name):
    theirs, ours = r.lock(name, timeout=10), r.lock(name, timeout=10, lock_class=redislock.Lock)
    with theirs:
        assert ours.acquire(blocking=False) is False and ours.locked() and not ours.owned()
        with pytest.raises(redis.exceptions.LockError):
            with r.lock(name, blocking_timeout=0.1, lock_class=redislock.Lock):
                pass
    with ours:
        assert theirs.acquire(blocking=False) is False and ours.fence > 0
        assert r.get(name) == ours.local.token
    assert theirs.acquire(blocking=False)


def test_it_is_renewed(r, name):
    with r.lock(name, timeout=6, lock_class=redislock.Lock) as lock:
        least, end = r.pttl(name), time.monotonic() + PATIENCE
        while r.pttl(name) <= least:
            assert lock.owned() and time.monotonic() < end
            least = min(least, r.pttl(name))
            time.sleep(0.01)  # nothing tells that it was renewed


def test_a_loss_is_redis_pys_error(r, name):
    with pytest.raises(redis.exceptions.LockNotOwnedError) as lost:
        with r.lock(name, timeout=10, lock_class=redislock.Lock):
            r.delete(name)
    assert isinstance(lost.value.__cause__, pawl.Lost)


def test_tasks_exclude_each_other_and_threads(server, r, name):
    aio = pytest.importorskip("redis.asyncio")

    async def main():
        async with aio.Redis(port=server) as client:
            ours, theirs = client.lock(name, timeout=60, lock_class=redislock_aio.Lock), client.lock(name, timeout=60)
            async with ours as held:
                assert held is ours and await ours.owned() and await ours.locked() and ours.fence > 0
                assert r.get(name) == ours.local.token
                assert not await theirs.acquire(blocking=False)
                assert not r.lock(name, lock_class=redislock.Lock).acquire(blocking=False)
                assert await ours.extend(60) and r.pttl(name) > 60000
                assert await ours.reacquire() and r.pttl(name) <= 60000
            assert await theirs.acquire(blocking=False)
            assert not await ours.acquire(blocking_timeout=0)
            with pytest.raises(redis.exceptions.LockError):
                await ours.release()
            await theirs.release()
            with pytest.raises(redis.exceptions.LockNotOwnedError) as lost:
                async with ours:
                    r.delete(name)
            assert isinstance(lost.value.__cause__, pawl.Lost)
            with pytest.raises(NotImplementedError):
                await ours.acquire(token="mine")
            assert redislock_aio.client_of(client) is redislock_aio.client_of(client)
            with redislock_aio._core.opening:
                clients = dict(redislock_aio._clients[asyncio.get_running_loop()])
            await redislock_aio.close()
            assert clients and all(one.closed for one in clients.values())

    asyncio.run(main())


def test_a_cancelled_release_has_released(server, name):
    aio = pytest.importorskip("redis.asyncio")

    async def main():
        async with aio.Redis(port=server) as client:
            lock = client.lock(name, timeout=60, lock_class=redislock_aio.Lock)
            assert await lock.acquire()
            release = asyncio.create_task(lock.release())
            await asyncio.sleep(0)  # it has begun
            release.cancel()
            with pytest.raises(asyncio.CancelledError):
                await release
            assert lock.local.token is None and not await lock.owned()
            again = client.lock(name, timeout=60, lock_class=redislock_aio.Lock)
            async with again:
                assert again.fence > lock.fence
            await redislock_aio.close()

    asyncio.run(main())


def test_a_server_that_is_away_is_redis_pys_error():
    gone = redis.Redis(port=free_port())
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
