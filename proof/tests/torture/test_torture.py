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


def say_what_was_skipped(result):
    """A fault or setup that this machine cannot have is no failure, but it is said."""
    for line in re.findall(r"^SKIPPED.*$", result.stdout, re.M):
        print(line, file=sys.stderr)


def torture_enough(store, seconds, tmp_path):
    """On a busy machine a run may be too thin to prove anything; then it goes on for longer."""
    for factor in (1, 4, 16):
        result = torture("--seconds", seconds * factor, "--store", store, "--dir",
                         tmp_path / str(factor))
        if result.returncode != THIN:
            break
    return result


def test_redis(redis, tmp_path):
    result = torture_enough("redis", 2, tmp_path)
    assert result.returncode == HELD, result.stdout + result.stderr
    assert verdicts(result) == {name: "held" for name in SETUPS}
    say_what_was_skipped(result)


def test_sqlite(tmp_path):
    result = torture_enough("sqlite", 3, tmp_path)
    assert result.returncode == HELD, result.stdout + result.stderr
    skipped = re.findall(r"^SKIPPED: (sqlite[\w-]*):", result.stdout, re.M)
    assert "sqlite" not in skipped and "sqlite-hostile" not in skipped
    assert verdicts(result) == {name: "held" for name in SQLITE_SETUPS if name not in skipped}
    say_what_was_skipped(result)


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
