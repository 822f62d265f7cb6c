# SPDX-License-Identifier: MIT
"""Short runs on real servers. The long ones, with their figures, are in docs/testing.md."""
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest
from history import TORTURE, torture

BUILD = os.environ["PAWL_BUILD"]
HELD, GUILTY, THIN = 0, 1, 2
SETUPS = ["redis-none", "redis-none-guard", "redis-rdb", "redis-everysec", "redis-everysec-guard",
          "redis-always", "redis-replica", "redis-clock"]
SQLITE_SETUPS = ["sqlite", "sqlite-hostile", "sqlite-spaces", "sqlite-users"]


@pytest.fixture
def redis():
    if not shutil.which("redis-server"):
        print("SKIP: redis-server is not installed", file=sys.stderr)
        pytest.skip("redis-server is not installed")


def verdicts(result):
    return dict(re.findall(r"^([\w-]+) .* (held|GUILTY|TOO THIN)$", result.stdout, re.M))


def say_what_was_skipped(said):
    """A fault or setup that this machine cannot have is no failure, but it is said."""
    for line in dict.fromkeys(re.findall(r"^SKIPPED.*$", said, re.M)):
        print(line, file=sys.stderr)


def torture_enough(store, seconds, tmp_path):
    """On a busy machine a setup may be too thin to prove anything; then it alone goes on for longer.
    (the verdicts, whether all held, what was said)"""
    judged, said = {}, ""
    for factor in (1, 4, 16):
        result = torture("--seconds", seconds * factor, "--store", store, "--dir",
                         tmp_path / str(factor))
        judged.update(verdicts(result))
        said += result.stdout + result.stderr
        store = ",".join(name for name, verdict in judged.items() if verdict == "TOO THIN")
        if result.returncode != THIN:
            break
    return judged, result.returncode == HELD, said


def values_were_heard(tmp_path):
    return any(re.search(r" heard \d+ \d+ [1-9]", history.read_text())
               for history in tmp_path.rglob("worker-*"))


def composed_worked(tmp_path):
    """In some setup a job was done, a latch opened, two passed a barrier."""
    told = "".join(history.read_text() for history in tmp_path.rglob("worker-*"))
    return all(re.search(words, told)
               for words in (r" ended \d+ 0 0\n", r" left \d+ \d+ 0\n", r" met \d+ [1-9]\d* 0\n"))


def test_redis(redis, tmp_path):
    judged, held, said = torture_enough("redis", 2, tmp_path)
    assert held, said
    assert judged == {name: "held" for name in SETUPS}
    assert values_were_heard(tmp_path) and composed_worked(tmp_path)
    say_what_was_skipped(said)


def test_sqlite(tmp_path):
    judged, held, said = torture_enough("sqlite", 3, tmp_path)
    assert held, said
    skipped = re.findall(r"^SKIPPED: (sqlite[\w-]*):", said, re.M)
    assert "sqlite" not in skipped and "sqlite-hostile" not in skipped
    assert judged == {name: "held" for name in SQLITE_SETUPS if name not in skipped}
    assert values_were_heard(tmp_path) and composed_worked(tmp_path)
    say_what_was_skipped(said)


@pytest.mark.parametrize("store,ttl", [("etcd", 2000), ("memcached", 600), ("postgres", 2000), ("zookeeper", 2000),
                                       ("mariadb", 2000), ("postgres-clock", 2000), ("mariadb-clock", 2000)])
def test_servers(store, ttl, tmp_path):
    """A client is patient for a sixth of its ttl. A request to etcd is a write or two that wait for a disk, which
    others use here, too, and a database that was just started, or a JVM, is slow on a busy machine: leases that are
    short make a client give up its connection each time, and who has none is passed by. Each fault of a server, and
    some of the network's and the workers'."""
    faults = "restart-server,stop-server,kill-worker,stop-worker,net-cut,net-lose"
    if store in ("postgres", "mariadb"):
        faults += ",end-statements,end-sessions"
    if store.endswith("-clock"):
        faults = "clock-step,restart-server,kill-worker,net-cut"
    for seconds in (2, 8, 32):
        result = torture("--seconds", seconds, "--store", store, "--ttl", ttl, "--grants", 20, "--faults",
                         faults, "--dir", tmp_path / str(seconds))
        if "that server is not installed" in result.stderr:
            print(f"SKIP: {store} is not installed", file=sys.stderr)
            pytest.skip(f"{store} is not installed")
        if result.returncode != THIN:
            break
    assert result.returncode == HELD, result.stdout + result.stderr
    assert verdicts(result) == {store: "held"}
    assert store not in ("postgres", "mariadb") or values_were_heard(tmp_path)


def test_the_tutorials_lock_is_found_guilty(redis, tmp_path):
    result = torture("--algorithm", "tutorial", "--store", "redis-always", "--seconds", 3,
                     "--faults", "stop-worker,net-delay", "--dir", tmp_path)
    assert result.returncode == GUILTY, result.stdout + result.stderr
    assert verdicts(result) == {"redis-always": "GUILTY"}
    assert "exclusion" in result.stdout


def test_a_run_with_too_few_grants_is_refused(tmp_path):
    result = torture("--seconds", 1, "--store", "sqlite", "--faults", "kill-worker", "--grants",
                     1_000_000, "--dir", tmp_path)
    assert result.returncode == THIN, result.stdout + result.stderr


def children_of(pid):
    listed = subprocess.run(["ps", "--ppid", str(pid), "-o", "pid="], capture_output=True,
                            text=True, check=False).stdout
    return [int(word) for word in listed.split()]


def is_gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_nothing_survives_it(redis, tmp_path, number):
    """Ended early, all its processes end as well; asked to end, it removes what it made."""
    env = dict(os.environ, TMPDIR=str(tmp_path))
    with subprocess.Popen([TORTURE, "--seconds", "60", "--store", "redis-none"], env=env,
                          stdout=subprocess.PIPE, text=True) as run:
        patience = time.monotonic() + 30
        while len(children_of(run.pid)) < 8 and time.monotonic() < patience:
            assert run.poll() is None
        children = children_of(run.pid)
        run.send_signal(number)
        assert run.wait(20) == (128 + number if number == signal.SIGINT else -number)
    while not all(map(is_gone, children)) and time.monotonic() < patience:
        pass
    assert len(children) >= 8 and all(map(is_gone, children))
    if number == signal.SIGINT:
        assert not list(tmp_path.iterdir())


def test_pawl_torture_is_pawl_torture():
    pawl = os.path.join(BUILD, "pawl")
    if not os.path.exists(pawl):
        pytest.skip("the command was not built")
    by_verb = subprocess.run([pawl, "torture", "--help"], capture_output=True, text=True,
                             check=False)
    assert by_verb.returncode == 0
    assert by_verb.stdout == torture("--help").stdout
    refused = subprocess.run([pawl, "-S", "memory:", "torture"], capture_output=True, text=True,
                             check=False)
    assert refused.returncode == 64 and "servers of its own" in refused.stderr
