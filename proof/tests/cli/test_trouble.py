# SPDX-License-Identifier: MIT
"""Stores in trouble: one line that says what and where, an exit code of its own, no command run."""
import json
import os
import socket
import subprocess
import sys
import threading
import time

import pytest

from harness import PATIENCE, PAWL, PAWL_FLOCK, RedisServer, Rig, reporter


def refused(rig, code, said, *flags, url=None):
    """No command runs, and every verb says the same."""
    where = ["-S", url] if url else []
    done = rig.run(*where, "run", *flags, "k", "echo", "ran")
    assert done.code == code, (done.code, done.err)
    assert done.out == "" and done.err.count("\n") == 1, done.err
    assert said in done.err, done.err
    looked = rig.run(*where, "show", *flags, "k")
    return done.err, looked


def test_down(sqlite):
    path = f"{sqlite.tmp}/none"
    _, looked = refused(sqlite, 69, path, "--store-timeout", "200ms", url=f"redis+unix://{path}")
    assert looked.code == 69
    _, looked = refused(sqlite, 69, "127.0.0.1:1", "--store-timeout", "200ms",
                        url="redis://127.0.0.1:1")
    assert looked.code == 69


def test_what_does_not_heal_is_told_at_once(sqlite):
    """A directory that is not there; no verb waits for it, with or without a limit."""
    began = time.monotonic()
    file = f"{sqlite.tmp}/none/locks.db"
    refused(sqlite, 69, file, "--store-timeout", "60s", url=f"sqlite:{file}")
    assert sqlite.run("-S", f"sqlite:{file}", "run", "-w", "60s", "k", "true").code == 69
    assert sqlite.run("-S", f"sqlite:{file}", "--store-timeout", "60s", "show", "k").code == 69
    assert time.monotonic() - began < 50


def closed_port():
    """A port of this machine at which nobody listens; the socket keeps others away from it."""
    kept = socket.socket()
    kept.bind(("127.0.0.1", 0))
    return kept, kept.getsockname()[1]


ASKING = [["show", "k"], ["ls"], ["doctor"], ["wait", "-n", "k"], ["break", "k", "--fence", "1"]]


@pytest.mark.parametrize("words", [["run", "-n", "k", "echo", "ran"], ["run", "-w", "0", "k", "true"],
                                   ["acquire", "-n", "k"], ["hold", "--timeout", "0", "k"], *ASKING],
                         ids=lambda words: words[0])
def test_who_does_not_wait_is_told_of_a_refused_port_at_once(sqlite, words):
    """Not after the store's time-out, which is endless here; who waits still looks through it."""
    kept, port = closed_port()
    with kept:
        done = sqlite.run("-S", f"redis://127.0.0.1:{port}", "--store-timeout", "forever", *words)
    assert done.code == 69 and done.out == "" and done.err.count("\n") == 1
    assert "Connection refused" in done.err and "PAWL_ERR_UNAVAILABLE" in done.err


def silent_port():
    """A port at which connections stay without an answer: nobody accepts, and the queue is full."""
    kept = socket.socket()
    kept.bind(("127.0.0.1", 0))
    kept.listen(0)
    filling = [socket.socket() for _ in range(3)]
    for one in filling:
        one.setblocking(False)
        one.connect_ex(kept.getsockname())
    return [kept, *filling], kept.getsockname()[1]


@pytest.mark.parametrize("words", ASKING, ids=lambda words: words[0])
def test_who_does_not_wait_waits_for_a_silent_port_as_long_as_it_said(sqlite, words):
    kept, port = silent_port()
    began = time.monotonic()
    done = sqlite.run("-S", f"redis://127.0.0.1:{port}", "--store-timeout", "400ms", *words)
    # pawl's clock is the faster one of two, and may be some ms ahead of this one.
    assert 0.3 <= time.monotonic() - began < PATIENCE
    assert done.code == 69 and done.out == "" and done.err.count("\n") == 1
    assert f"127.0.0.1:{port}" in done.err and "PAWL_ERR_UNAVAILABLE" in done.err
    for one in kept:
        one.close()


def test_flock_without_waiting_is_told_of_a_refused_port_at_once(sqlite):
    kept, port = closed_port()
    with kept:
        began = time.monotonic()
        done = sqlite.run("-n", sqlite.tmp / "file", "true", program=PAWL_FLOCK,
                          env={"PAWL_STORE": f"redis://127.0.0.1:{port}"})
    assert done.code == 69 and "Connection refused" in done.err, done.err
    assert time.monotonic() - began < PATIENCE


def test_a_host_that_does_not_exist(sqlite):
    refused(sqlite, 69, "no-such-host.invalid", "--store-timeout", "1s",
            url="redis://no-such-host.invalid")


def test_wrong_password(redis):
    redis.server.cli("CONFIG", "SET", "requirepass", "right")
    line, looked = refused(redis, 77, "redis.sock")
    assert looked.code == 77
    line, _ = refused(redis, 77, "redis.sock", url=f"redis+unix://:n0tIt@{redis.server.socket}")
    assert "n0tIt" not in line


def test_a_permission_that_is_missing_is_named(redis):
    redis.server.cli("ACL", "SETUSER", "tom", "on", ">pw", "~*", "&*", "+@all", "-evalsha", "-eval")
    line, _ = refused(redis, 77, "eval", url=f"redis+unix://tom:pw@{redis.server.socket}")
    assert "pw@" not in line


def test_whoever_may_only_read_redis_looks(redis):
    rules = ["~pawl:*", "~{pawl:*", "+eval", "+evalsha", "+get", "+pttl", "+time", "+zcard",
             "+zrange", "+hmget", "+scan"]
    redis.server.cli("ACL", "SETUSER", "tom", "reset", "on", ">pw", "-@all", *rules)
    url = f"redis+unix://tom:pw@{redis.server.socket}"
    assert redis.run("acquire", "-t", "60s", "k").code == 0
    line, looked = refused(redis, 77, "+set +del", url=url)
    assert "pw@" not in line
    assert looked.code == 0 and "held" in looked.out, looked
    assert "k" in redis.run("-S", url, "ls").out
    began = time.monotonic()
    assert redis.run("-S", url, "run", "-w", "60s", "k", "true").code == 77
    assert time.monotonic() - began < 50, "refused at once, not after the time to wait"
    done = redis.run("-S", url, "doctor")
    assert done.code == 78 and "+set" in done.out, done


def test_a_key_of_another_type(redis):
    redis.server.cli("LPUSH", "pawl:k", "x")
    _, looked = refused(redis, 65, "k")
    assert redis.server.cli("LRANGE", "pawl:k", "0", "-1") == "x", "untouched"


def test_a_replica(redis):
    redis.server.cli("CONFIG", "SET", "replica-serve-stale-data", "yes")
    redis.server.cli("REPLICAOF", "127.0.0.1", "1")
    refused(redis, 73, "redis.sock", "--store-timeout", "500ms")


def test_out_of_memory(redis):
    redis.server.cli("CONFIG", "SET", "maxmemory", "1")
    refused(redis, 73, "redis.sock", "--store-timeout", "500ms")


def queued_behind_a_holder(redis, *flags):
    holder = redis.start("hold", "k", stdin=subprocess.PIPE)
    holder.expect("held")
    waiter = redis.start("run", *flags, "k", "echo", "ran")
    redis.until_waiting("k")
    return holder, waiter


@pytest.mark.parametrize("wait", [["-w", "4s"], []], ids=["limited", "unlimited"])
def test_an_outage_while_queued_is_no_busy(redis, wait):
    """Else "run -w 5s -E 0" in a crontab reports success, and the job never ran."""
    _, waiter = queued_behind_a_holder(redis, *wait, "-E", "0", "--store-timeout", "1s")
    redis.server.popen.kill()
    assert waiter.wait() == 69
    said = waiter.errors()
    assert waiter.line() == "" and said.count("\n") == 1 and "PAWL_ERR_UNAVAILABLE" in said, said


def test_an_outage_is_waited_out_only_if_that_was_asked_for(redis):
    holder, waiter = queued_behind_a_holder(redis, "--store-timeout", "forever")
    redis.server.stop()
    time.sleep(1)  # the length of the outage is the test
    assert waiter.popen.poll() is None
    redis.server.cont()
    holder.popen.stdin.close()
    waiter.expect("ran")
    assert waiter.wait() == 0


def test_a_wait_is_not_longer_than_it_said_though_the_store_is_silent(redis):
    """The limit is that of the process: asking who holds, and leaving the queue, are in it."""
    began = time.monotonic()
    _, waiter = queued_behind_a_holder(redis, "-w", "2s")
    redis.server.stop()
    assert waiter.wait() in (69, 75)
    assert time.monotonic() - began < 2 + 1.5, "the old overrun was two seconds"
    assert waiter.line() == ""


def looker(redis, *flags):
    """`pawl wait` for a lock that is held, after its first look."""
    assert redis.run("acquire", "k", "-t", "60s").code == 0
    proc = redis.start("wait", *flags, "k")
    time.sleep(0.3)  # what it has seen by now does not matter, only that it looks
    return proc


def test_to_look_goes_on_after_a_short_outage(redis):
    proc = looker(redis, "--store-timeout", "20s")
    redis.server.end()
    time.sleep(0.5)
    assert proc.popen.poll() is None, "the first broken connection ended it"
    redis.server.start()  # it has forgotten the lock
    assert proc.wait() == 0


@pytest.mark.parametrize("flags", [("--store-timeout", "1s"), ("-w", "1s")])
def test_to_look_ends_with_the_stores_time_out(redis, flags):
    proc = looker(redis, *flags)
    began = time.monotonic()
    redis.server.popen.kill()
    assert proc.wait() == 69
    assert time.monotonic() - began < 1 + 1.5
    said = proc.errors()
    assert said.count("\n") == 1 and "PAWL_ERR_UNAVAILABLE" in said, said


def test_a_loss_says_why(redis):
    """On each line and in each event, without -v."""
    for verb in (["run"], ["hold"]):
        read, write = os.pipe()
        flags = ["--json-events", write] if verb == ["run"] else []
        command = ["sh", "-c", "echo held; exec sleep 1000"] if verb == ["run"] else []
        proc = redis.start(*verb, "-t", "1s", *flags, "k-" + verb[0], *command,
                           stdin=subprocess.PIPE, pass_fds=[write])
        os.close(write)
        proc.expect("held")
        redis.server.stop()
        assert proc.wait() == 76
        redis.server.cont()
        lines = [l for l in proc.errors().splitlines() if "lost" in l or "SIGTERM" in l]
        assert lines and all("answer" in l or "renew" in l for l in lines), lines
        assert not any("deadline has passed" in l for l in lines), lines
        with os.fdopen(read) as pipe:
            events = [json.loads(line) for line in pipe]
        for event in events:
            if event["event"] in ("doubt", "term", "kill", "lost"):
                assert event["reason"], event


def test_a_loss_at_a_server_that_cannot_save_says_so(redis, request):
    """MISCONF: the server refuses writes, renewals too, as long as its snapshots fail."""
    folder = redis.tmp / "data"
    folder.mkdir()
    redis.server.end()
    redis.server = RedisServer(redis.tmp, "--dir", str(folder), "--save", "3600 1")
    request.addfinalizer(redis.server.end)
    proc = redis.start("run", "-t", "1s", "k", "sh", "-c", "echo held; exec sleep 1000")
    proc.expect("held")
    folder.rmdir()
    redis.server.cli("BGSAVE")
    until = time.monotonic() + PATIENCE
    while "rdb_last_bgsave_status:err" not in redis.server.cli("INFO", "persistence"):
        assert time.monotonic() < until
    assert proc.wait() == 76
    lines = [line for line in proc.errors().splitlines() if "lost" in line]
    assert lines and all("cannot save to its disk" in line for line in lines), lines
    done = redis.run("doctor")
    assert done.code != 0 and "MISCONF" in done.out, done.out
    redis.server.cli("CONFIG", "SET", "stop-writes-on-bgsave-error", "no")
    assert redis.run("run", "-w", "10s", "k", "true").code == 0


def test_busy_is_an_event_with_its_reason(rig):
    holder = rig.start("hold", "k", "--owner", "the holder", stdin=subprocess.PIPE)
    holder.expect("held")
    read, write = os.pipe()
    done = rig.run("run", "-n", "--json-events", write, "k", "echo", "ran", pass_fds=[write])
    os.close(write)
    with os.fdopen(read) as pipe:
        last = [json.loads(line) for line in pipe][-1]
    assert done.code == 75 and last["event"] == "busy" and "held by the holder" in last["reason"]


class Listener:
    """A server that says `answer` to whatever it hears, or nothing at all."""

    def __init__(self, path, answer):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(path)
        self.socket.listen()
        self.answer = answer
        self.kept = []
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        while True:
            try:
                peer, _ = self.socket.accept()
            except OSError:
                return
            self.kept.append(peer)
            if self.answer:
                try:
                    peer.recv(4096)
                    peer.sendall(self.answer)
                except OSError:
                    pass

    def close(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self.thread.join(10)
        for peer in self.kept:
            peer.close()


@pytest.fixture
def listener(tmp_path):
    made = []

    def make(answer):
        made.append(Listener(f"{tmp_path}/fake", answer))
        return f"redis+unix://{tmp_path}/fake"
    yield make
    for one in made:
        one.close()


def test_a_server_that_accepts_and_never_answers(sqlite, listener):
    url = listener(b"")
    began = time.monotonic()
    refused(sqlite, 69, "fake", "--store-timeout", "500ms", url=url)
    assert time.monotonic() - began < 15


@pytest.mark.parametrize("tls", [False, True])
def test_who_waits_for_a_silent_server_is_told_what_was_tried(sqlite, tls):
    """Not only that it has not answered: the attempt to connect ends before the call does."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        port = mute.getsockname()[1]
        url = f"redis{'s' * tls}://127.0.0.1:{port}"
        done = sqlite.run("-S", url, "--store-timeout", "2s", "run", "k", "echo", "ran")
    assert done.code == 69 and done.out == ""
    assert ("does a server without TLS listen there" if tls else "did not answer") in done.err, done.err


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-OpenSSH\r\n"])
def test_a_server_that_is_no_redis(sqlite, listener, answer):
    refused(sqlite, 78, "fake", "--store-timeout", "2s", url=listener(answer))


def test_sqlite_corrupt(sqlite):
    (sqlite.tmp / "locks.db").write_bytes(b"this is no database, by no means\n" * 200)
    _, looked = refused(sqlite, 65, "locks.db")
    assert looked.code == 65


def test_sqlite_of_somebody_else(sqlite):
    import sqlite3
    db = sqlite3.connect(sqlite.tmp / "locks.db")
    db.execute("PRAGMA application_id=12345")
    db.execute("CREATE TABLE mine(x)")
    db.commit()
    db.close()
    done = sqlite.run("run", "k", "echo", "ran")
    assert done.code in (65, 78) and done.out == "" and "locks.db" in done.err, done.code


def test_sqlite_of_a_newer_version(sqlite):
    import sqlite3
    assert sqlite.run("run", "k", "true").code == 0
    db = sqlite3.connect(sqlite.tmp / "locks.db")
    db.execute("PRAGMA user_version=9999")
    db.commit()
    db.close()
    _, looked = refused(sqlite, 78, "locks.db")
    assert looked.code == 78


def test_sqlite_where_there_is_no_directory(sqlite):
    done = sqlite.run("-S", f"sqlite:{sqlite.tmp}/none/locks.db", "run", "--store-timeout", "300ms", "k",
                      "echo", "ran")
    assert done.code not in (0, 1, 64, 75, 76) and done.out == ""
    assert done.err.count("\n") == 1 and "none" in done.err


@pytest.mark.skipif(os.geteuid() == 0 and not os.path.exists("/usr/bin/setpriv"),
                    reason="root may write anywhere, and there is no setpriv")
def test_whoever_may_only_read_sqlite_looks(open_sqlite):
    sqlite = open_sqlite
    assert sqlite.run("acquire", "-t", "60s", "k").code == 0
    sqlite.tmp.chmod(0o555)
    for path in sqlite.tmp.iterdir():
        path.chmod(0o444)
    prefix = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] \
        if os.geteuid() == 0 else []
    def pawl(*words):
        return subprocess.run([*prefix, PAWL, *words], env=sqlite.env(), text=True, timeout=60,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    began = time.monotonic()
    done = pawl("run", "-w", "60s", "--store-timeout", "60s", "k", "echo", "ran")
    broken = pawl("break", "--fence", "1", "k")
    assert time.monotonic() - began < 50, "refused at once, not after the time to wait"
    listed, shown, examined = pawl("ls"), pawl("show", "k"), pawl("doctor")
    sqlite.tmp.chmod(0o755)
    assert done.returncode == 77 and done.stdout == "", done
    assert "locks.db" in done.stderr and "only ls, show and doctor" in done.stderr, done
    assert done.stderr.count("\n") == 1, done
    assert broken.returncode == 77, broken
    assert listed.returncode == 0 and "k" in listed.stdout, listed
    assert shown.returncode == 0 and "held" in shown.stdout, shown
    assert examined.returncode == 78 and "only ls, show and doctor" in examined.stdout, examined


def test_every_error_names_itself(sqlite):
    """For scripts that must tell apart what shares an exit code."""
    done = sqlite.run("-S", "nosuch:", "ls")
    assert done.err.rstrip().endswith("[PAWL_ERR_SCHEME]")
    done = sqlite.run("-S", f"redis+unix://{sqlite.tmp}/none", "--store-timeout", "100ms", "ls")
    assert done.err.rstrip().endswith("[PAWL_ERR_UNAVAILABLE]")


# ---- A disk without room ----------------------------------------------------------------

@pytest.fixture
def small_disk(tmp_path):
    """A file system of one megabyte, which only root can make."""
    place = tmp_path / "disk"
    place.mkdir()
    made = os.geteuid() == 0 and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", place], check=False).returncode == 0
    if not made:
        print("SKIP: a small disk needs root, and mount(8)", file=sys.stderr)
        pytest.skip("a small disk needs root, and mount(8)")
    rig = Rig(f"sqlite:{place}/locks.db", place)
    yield rig
    rig.close()
    subprocess.run(["umount", "-l", place], check=True)


def fill(place):
    """Until not one more byte has room; the path of what takes it."""
    path = place / "ballast"
    with open(path, "wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):
        while True:
            file.write(bytes(4096))
    return path


def test_a_job_outlives_a_disk_that_is_full_for_a_while(small_disk):
    """Renewals need no room: the lock outlives three ttls of a full disk, without a word."""
    ttl = 0.9
    proc = small_disk.start("run", "-t", f"{ttl}", "k", *reporter("TERM"), stdin=subprocess.PIPE)
    proc.expect("ready")
    fence = small_disk.show("k")["fence"]
    ballast = fill(small_disk.tmp)
    full_since = time.monotonic()
    while time.monotonic() - full_since < 3 * ttl:
        seen = small_disk.show("k")
        assert seen["held"] and seen["fence"] == fence
        assert small_disk.run("run", "-n", "k", "true").code == 75
    ballast.unlink()
    proc.say(b"exit 4\n")
    assert proc.wait() == 4
    assert proc.errors() == ""
    assert not small_disk.show("k")["held"]


def test_busy_because_of_the_guard_is_said_so(redis):
    """A server that has just started: with guard=on it may have forgotten any lock. The lock is
    free, and was never held."""
    guarded = f"{redis.url}?guard=on&guard_ms=600000"
    for command in (["run", "-n", "k", "true"], ["hold", "-n", "k"],
                    ["acquire", "-n", "k"], ["run", "-n", "-k", "a", "-k", "b", "true"]):
        done = redis.run("-S", guarded, *command)
        assert done.code == 75 and "grants nothing for " in done.err, done.err
        assert "(restart guard)" in done.err and done.err.count("\n") == 1, done.err


@pytest.mark.parametrize("how", [
    "mv {0} {0}.moved; ln -s {0}.moved {0}",
    "mkdir {0}.d; mv {0} {0}.d/db; ln -s {0}.d/db {0}.link; ln -s db.link {0}",
])
def test_nothing_is_granted_by_a_link_to_where_the_database_was_moved(sqlite, how):
    """Who has it open writes to the log beside its old name, and others read the one beside the new."""
    path = sqlite.url.removeprefix("sqlite:")
    holder = sqlite.start("hold", "-t", "1h", "k", stdin=subprocess.PIPE)
    holder.expect("held ")
    how = how.replace("db.link", os.path.basename(path) + ".link")
    subprocess.run(["sh", "-ec", how.format(path)], check=True)
    for key in ("k", "free"):
        done = sqlite.run("run", "-n", key, "echo", "two")
        assert done.code == 69 and f"{path} was removed or replaced" in done.err and not done.out, done.err
    holder.popen.stdin.close()
    holder.wait()
    assert sqlite.run("run", "-w", "20s", "k", "echo", "one").out == "one\n"
