# SPDX-License-Identifier: MIT
"""The command on memcached: what it does there, and what it refuses in one sentence."""
import os
import shutil
import socket
import subprocess
import time

import pytest

from free_port import free_port
from harness import PATIENCE, Rig

pytestmark = pytest.mark.skipif(not shutil.which("memcached"),
                                reason="there is no memcached on this machine")


def start(*words):
    command = ["memcached", "-t", "2", "-m", "16", *words]
    if os.geteuid() == 0:
        command += ["-u", "root"]
    return subprocess.Popen(command)


def await_it(connect):
    until = time.monotonic() + PATIENCE
    while True:
        try:
            connect().close()
            return
        except OSError:
            assert time.monotonic() < until
            time.sleep(0.01)


@pytest.fixture
def path(tmp_path):
    where = str(tmp_path / "memcached.sock")
    popen = start("-s", where)

    def connect():
        peer = socket.socket(socket.AF_UNIX)
        peer.connect(where)
        return peer

    await_it(connect)
    yield where
    popen.kill()
    popen.wait()


@pytest.fixture
def memcached(path, tmp_path):
    rig = Rig(f"memcached+unix://{path}?guard=off", tmp_path)
    yield rig
    rig.close()


def test_run_keeps_others_out_and_gives_back(memcached):
    proc = memcached.start("run", "k", "sh", "-c", "echo mine $PAWL_FENCE; read line",
                           stdin=subprocess.PIPE)
    first = proc.expect("mine ")
    assert memcached.run("run", "--wait", "0", "k", "true").code != 0
    assert "mine" not in memcached.run("show", "j").out
    waiter = memcached.start("run", "k", "sh", "-c", "echo next $PAWL_FENCE")
    proc.popen.stdin.write(b"end\n")
    proc.popen.stdin.flush()
    assert proc.wait() == 0
    second = waiter.expect("next ")
    assert waiter.wait() == 0
    assert int(str(second).split()[-1]) > int(str(first).split()[-1])


def test_what_memcached_cannot_is_refused_in_one_sentence(memcached):
    for words, part in [
            (["ls"], "cannot list its items"),
            (["run", "--shared", "k", "true"], "exclusive locks alone"),
            (["once", "--every", "1h", "k", "true"], "beside a lock"),
            (["latch", "l", "--count", "1", "--down"], "beside a lock"),
            (["lead", "k", "true"], "beside a lock")]:
        done = memcached.run(*words)
        assert done.code != 0, words
        assert part in done.err and done.err.count("\n") == 1, (words, done.err)


def test_require_refuses_what_memcached_does_not_promise(memcached):
    assert memcached.run("run", "--require", "fence", "k", "true").code == 0
    for promise in ("fair", "push", "list", "durable-fence", "instant-release"):
        done = memcached.run("run", "--require", f"fence,{promise}", "k", "echo", "ran")
        assert done.code == 78 and f"does not promise {promise}" in done.err and done.out == ""


def test_doctor_tells_what_endangers_locks_there(memcached):
    done = memcached.run("doctor")
    assert "-M" in done.out and "guard=off" in done.out and "forgets all of them" in done.out


def test_show_and_break(memcached):
    proc = memcached.start("run", "k", "sh", "-c", "echo mine; exec sleep 100")
    proc.expect("mine")
    seen = memcached.show("k")
    assert seen["held"] and seen["waiting"] == 0
    done = memcached.run("break", "k", "--fence", seen["fence"])
    assert done.code == 0, done.err
    assert proc.wait() == 76  # its lease is lost, and the command was stopped


def test_a_ttl_longer_than_the_guard_is_refused(path, tmp_path):
    rig = Rig(f"memcached+unix://{path}", tmp_path)
    done = rig.run("run", "--ttl", "1m", "k", "true")
    assert done.code != 0 and "guard_ms" in done.err


def test_beegos_memcache_is_opened(tmp_path):
    port = free_port()
    popen = start("-l", "127.0.0.1", "-p", str(port))
    try:
        await_it(lambda: socket.create_connection(("127.0.0.1", port), PATIENCE))
        (tmp_path / "app.conf").write_text(
            f"[cache]\nadapter = memcache\nconn = 127.0.0.1:{port}\nkey = shop\n", encoding="ascii")
        rig = Rig("memory:", tmp_path)
        done = rig.run("doctor", "--config", str(tmp_path / "app.conf"))
        assert "memcached 1." in done.out, done.err
    finally:
        popen.kill()
        popen.wait()


def test_the_restart_guard_is_counted(path, tmp_path):
    """A server that is new may be one that has forgotten all."""
    rig = Rig(f"memcached+unix://{path}?guard_ms=30000", tmp_path)
    text = tmp_path / "pawl.prom"
    assert rig.run("run", "-n", "--metrics", text, "k", "true").code == 75
    seen = dict(line.split() for line in text.read_text().splitlines() if line.startswith("pawl_guard"))
    assert seen["pawl_guard_active"] == "1" and seen["pawl_guards_total"] == "1"
    assert 0 < float(seen["pawl_guard_left_seconds"]) <= 34


def test_bench_leaves_out_what_the_store_has_not(memcached):
    done = memcached.run("bench", "-d", "50ms", "-j", "2", "--only", "uncontended,readers,permits")
    assert done.code == 0, done.err
    assert "readers is left out: memcached+unix://" in done.err and "has no shared locks" in done.err
    assert "permits is left out: memcached+unix://" in done.err and "has no semaphores" in done.err
    assert "1 client" in done.out and "permits" not in done.out
    nothing = memcached.run("bench", "--only", "permits")
    assert nothing.code == 78 and "has no semaphores" in nothing.err
