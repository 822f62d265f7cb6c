# SPDX-License-Identifier: MIT
"""The counter service: no increment is lost, whoever oversleeps, and bad clients do not hurt it."""
import concurrent.futures
import json
import os
import re
import resource
import select
import signal
import socket
import sqlite3
import subprocess
import sys
import time

import pytest

from fleet import PATIENCE, PROGRAM, SLOW, SOURCE, die_with_me, until


# ---- Counting -------------------------------------------------------------------------------


@pytest.mark.parametrize("store", ["sqlite", "redis"])
def test_three_instances_under_load_lose_nothing(store, request, tmp_path):
    command = [sys.executable, os.path.join(SOURCE, "examples", "counter", "run"), "--port", "0",
               "--seconds", "3", "--program", PROGRAM]
    if store == "redis":
        command += ["--store", request.getfixturevalue("on_redis").store]
    env = {k: v for k, v in os.environ.items() if k != "PAWL_STORE"}
    run = subprocess.run(command, cwd=tmp_path, env=env, stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, text=True, timeout=10 * PATIENCE)
    assert run.returncode == 0, run.stdout
    assert "Every increment survived." in run.stdout
    survived = int(re.search(r"survived +(\d+)", run.stdout).group(1))
    assert survived > 50, run.stdout
    assert "refused" not in run.stdout and "without an answer" not in run.stdout, run.stdout


@pytest.fixture
def demonstration(tmp_path):
    """examples/counter/run, when its three instances have started, and their addresses."""
    env = {k: v for k, v in os.environ.items() if k != "PAWL_STORE"}
    process = subprocess.Popen([sys.executable, os.path.join(SOURCE, "examples", "counter", "run"),
                                "--port", "0", "--seconds", "3", "--program", PROGRAM], env=env,
                               cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               text=True, preexec_fn=die_with_me)
    process.addresses = [process.stdout.readline().split("/")[2] for _ in range(3)]
    yield process
    process.terminate()
    process.wait(3 * PATIENCE)
    process.stdout.close()


def children(process):
    with open(f"/proc/{process.pid}/task/{process.pid}/children", encoding="ascii") as pids:
        return [int(pid) for pid in pids.read().split()]


@pytest.mark.parametrize("victim", [0, 2])
def test_the_demonstration_survives_an_instance(demonstration, victim):
    time.sleep(0.5)  # the load runs; the outcome is the same if it does not yet
    os.kill(children(demonstration)[victim], signal.SIGKILL)
    said = demonstration.communicate(timeout=3 * PATIENCE)[0]
    assert demonstration.returncode == 0, said
    assert "Every increment survived." in said and "Traceback" not in said


def test_the_demonstration_leaves_nothing_behind(demonstration):
    assert "browser" in demonstration.stdout.readline()
    pids = children(demonstration)
    demonstration.terminate()
    said = demonstration.communicate(timeout=3 * PATIENCE)[0]
    assert "Traceback" not in said
    assert len(pids) == 3 and not [pid for pid in pids if os.path.exists(f"/proc/{pid}")]


def test_increments_are_shared(fleet):
    a, b = fleet.start(), fleet.start()
    assert a.get("/add") == "1"
    assert b.get("/add") == "2"
    status, text, first = a.ask("/add", "POST")
    assert (status, text) == (200, "3")
    second = b.ask("/add", "POST")[2]
    assert int(second["X-Fence"]) > int(first["X-Fence"])
    assert a.get("/counter") == b.get("/counter") == "4"


def has_read(witness, owner):
    """Whether that instance holds the lock, and the counter has seen its fence."""
    state = json.loads(witness.get("/state"))
    return state["held"] and state["owner"] == owner and state["seen_fence"] == state["fence"]


@pytest.mark.parametrize("successor_work_ms", [0, 4000], ids=["has-written", "has-only-read"])
def test_a_holder_that_overslept_cannot_lose_an_update(fleet, successor_work_ms):
    """It is stopped between reading and writing until another has the lock, and wakes then."""
    paused = fleet.start("--ttl", "500", "--work", "2000")
    other = fleet.start("--work", str(successor_work_ms))
    with concurrent.futures.ThreadPoolExecutor() as pool:
        late = pool.submit(paused.ask, "/add")
        until(lambda: has_read(other, "counter 1"), "counter 1 has read")
        paused.signal(signal.SIGSTOP)
        early = pool.submit(other.ask, "/add")
        if successor_work_ms:
            until(lambda: has_read(other, "counter 2"), "counter 2 has read")
            assert not early.done()
        else:
            assert early.result(PATIENCE)[:2] == (200, "1")
        paused.signal(signal.SIGCONT)
        status, text, _ = late.result(PATIENCE)
        assert status == 503 and "another holder came: not counted" in text
        assert early.result(PATIENCE)[:2] == (200, "1")
    assert other.get("/counter") == "1"
    assert paused.metric('counter_adds_total{result="stale"}') == 1
    assert paused.metric("counter_locks_lost_total") == 1
    assert paused.get("/add") == "2"  # it has recovered


def test_a_holder_that_dies_blocks_nobody_for_long(fleet):
    victim, other = fleet.start("--ttl", "1000", "--work", "60000"), fleet.start()
    with concurrent.futures.ThreadPoolExecutor() as pool:
        lost = pool.submit(victim.ask, "/add")
        until(lambda: has_read(other, "counter 1"), "counter 1 has read")
        victim.process.kill()
        assert other.ask("/add")[:2] == (200, "1")
        assert lost.exception(PATIENCE)
    victim.process.wait()
    fleet.instances.remove(victim)
    victim.process.stdout.close()
    victim.log.close()


def test_an_operators_stop_lets_the_last_answers_out(on_sqlite):
    instance = on_sqlite.start("--work", "500")
    with concurrent.futures.ThreadPoolExecutor() as pool:
        last = pool.submit(instance.ask, "/add")
        until(lambda: instance.metric("counter_adds_waiting") == 1, "the request is there")
        instance.signal(signal.SIGTERM)
        assert last.result(PATIENCE)[:2] == (200, "1")
    assert instance.process.wait(PATIENCE) == 0


# ---- HTTP -------------------------------------------------------------------------------------


def test_methods(on_sqlite):
    instance = on_sqlite.start()
    for path in ("/", "/counter", "/health", "/metrics", "/state"):
        for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
            status, _, headers = instance.ask(path, method)
            assert (status, headers["Allow"]) == (405, "GET, HEAD"), (method, path)
        until(instance.healthy, "it is healthy")
        status, text, _ = instance.ask(path, "HEAD")
        assert (status, text) == (200, "")
    for method in ("HEAD", "PUT", "DELETE"):
        status, _, headers = instance.ask("/add", method)
        assert (status, headers["Allow"]) == (405, "GET, POST")
    assert instance.get("/counter") == "0"
    assert instance.ask("/nowhere")[0] == 404
    assert instance.ask("/add/")[0] == 404
    assert instance.ask("/add?x=1")[0] == 200
    assert instance.ask("/", "BREW")[0] in (400, 405, 501)
    assert instance.healthy()


def test_oversized_requests(on_sqlite):
    instance = on_sqlite.start()
    until(instance.healthy, "it is healthy")
    assert instance.ask("/add", "POST", b"x" * 1000)[0] == 200
    assert instance.ask("/add", "POST", b"x" * 5000)[0] == 413
    for text in (b"POST /add HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999999\r\n\r\n",
                 b"POST /add HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
                 b"POST /add HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\n"
                 + b"x" * 9000,
                 b"GET /" + b"x" * 20000 + b" HTTP/1.1\r\n\r\n",
                 b"GET / HTTP/1.1\r\n" + b"X-Y: z\r\n" * 5000 + b"\r\n",
                 b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + os.urandom(500),
                 b"\r\n\r\n\0\0\0", b"GET\r\n\r\n"):
        with instance.connect() as connection:
            try:
                connection.sendall(text)
                connection.shutdown(1)
                while connection.recv(65536):  # whatever it says, it ends the connection
                    pass
            except OSError:
                pass
    assert instance.get("/counter") == "1"
    assert instance.healthy()


class Dripper:
    """A client that is never done: it sends a byte at a time, or asks for more pages than the
    socket holds and takes a byte of them at a time, or just stops."""

    KINDS = [(b"GET /add HTTP/1.1\r\nHost: x\r\nX-Endless: ", b"x"),
             (b"POST /add HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n", b"x"),
             (b"POST /add HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n400\r\n", b"x"),
             (b"", b"\r\n"),  # blank lines before a request that never comes
             (100 * b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", None),
             (b"", b""), (b"G", b""), (b"GET /add HTTP/1.1\r\nHost", b""),  # silence
             (b"POST /add HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc", b"")]

    def __init__(self, instance, number):
        first, self.byte = self.KINDS[number % len(self.KINDS)]
        self.socket = socket.socket()
        if self.byte is None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(("127.0.0.1", instance.port))
        self.socket.sendall(first)

    def drip(self):
        """False: it was cut."""
        ended = select.poll()
        ended.register(self.socket, select.POLLRDHUP)  # and, unasked, POLLHUP and POLLERR
        if ended.poll(0):
            self.socket.close()
            return False
        try:
            if self.byte is None:
                self.socket.recv(1)
            else:
                self.socket.sendall(self.byte)
        except OSError:
            pass  # the next look sees it
        return True


def test_slow_clients_are_cut_and_hurt_nobody(on_sqlite):
    instance = on_sqlite.start()
    until(instance.healthy, "it is healthy")
    drippers = [Dripper(instance, i) for i in range(540)]
    assert instance.metric("counter_connections") == 541
    begin = time.monotonic()
    added = 0
    while drippers:
        began = time.monotonic()
        assert began - begin < 20 * SLOW, f"{len(drippers)} go on for ever"
        assert instance.healthy()
        added += 1
        assert instance.get("/add") == str(added)
        assert time.monotonic() - began < 2 * SLOW
        drippers = [dripper for dripper in drippers if dripper.drip()]
        time.sleep(0.5)  # the drip
    assert time.monotonic() - begin > 5  # TURN_S is 10
    assert instance.metric("counter_connections") == 1
    assert instance.metric("counter_connections_cut_total") == 480  # blank lines: 400 at once
    assert instance.get("/counter") == str(added)


def test_a_client_that_waits_for_us_is_not_cut(on_sqlite):
    instance = on_sqlite.start("--work", "11500")  # more than TURN_S
    assert instance.get("/add") == "1"
    assert instance.metric("counter_connections_cut_total") == 0


def test_full_up_the_slowest_makes_room(on_sqlite):
    """More connections than there may be: whoever asks is served all the same, and at once."""
    instance = on_sqlite.start(limit_files=128)
    until(instance.healthy, "it is healthy")
    idle = [instance.connect() for _ in range(400)]
    begin = time.monotonic()
    for i in range(1, 11):
        assert instance.get("/add") == str(i)
    assert time.monotonic() - begin < 5 * SLOW
    # 128 descriptors less 64 for other files, and this one
    until(lambda: instance.metric("counter_connections") <= 65, "the others are cut")
    for connection in idle:
        connection.close()


def test_thousands_of_idle_connections(on_sqlite):
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = min(4000, hard - 200)
    if count < 2000:
        pytest.skip(f"only {hard} descriptors are allowed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    instance = on_sqlite.start()
    until(instance.healthy, "it is healthy")
    idle = [instance.connect() for _ in range(count)]
    begin = time.monotonic()
    for i in range(1, 21):
        assert instance.get("/add") == str(i)
    assert instance.healthy()
    assert time.monotonic() - begin < 5 * SLOW
    for connection in idle:
        connection.close()
    assert instance.get("/add") == "21"


def test_out_of_descriptors_it_rests_and_recovers(on_sqlite):
    instance = on_sqlite.start(limit_files=64)
    until(instance.healthy, "it is healthy")
    many = [instance.connect() for _ in range(120)]  # the kernel's backlog takes the rest
    before = instance.cpu_seconds()
    time.sleep(1)  # the measurement: a spinning process uses all of it
    assert instance.cpu_seconds() - before < 0.5
    for connection in many:
        connection.close()
    until(instance.healthy, "it is healthy again")
    assert instance.get("/add") == "1"


def test_too_many_wait(on_sqlite):
    instance = on_sqlite.start()
    on_sqlite.hold("somebody")
    waiting = [instance.connect() for _ in range(1001)]
    for connection in waiting:
        connection.sendall(b"GET /add HTTP/1.1\r\nHost: x\r\n\r\n")
    until(lambda: instance.metric('counter_adds_total{result="turned_away"}') == 1, "one too many")
    assert instance.metric("counter_adds_waiting") == 1000
    status, text, headers = instance.ask("/add")
    assert (status, text, headers["Retry-After"]) == (503, "too many wait already", "1")
    for connection in waiting:
        connection.close()
    on_sqlite.others[0].stdin.close()
    until(lambda: instance.metric("counter_adds_waiting") == 0, "their turns are over")
    added, busy = (instance.metric(f'counter_adds_total{{result="{how}"}}') for how in ("added", "busy"))
    assert added > 0 and added + busy == 1000  # a machine that is slow enough makes some wait in vain
    assert instance.get("/add") == str(int(added) + 1)


# ---- Trouble ------------------------------------------------------------------------------------


def test_a_store_that_does_not_answer(on_redis):
    instance = on_redis.start()
    until(instance.healthy, "it is healthy")
    assert instance.get("/add") == "1"
    on_redis.redis.signal(signal.SIGSTOP)
    until(lambda: not instance.healthy(), "it says that it is not")
    status, text, _ = instance.ask("/counter")
    assert (status, text) == (503, "the counter cannot be reached")
    assert "pawl-counter: /counter: counter: " in instance.words()
    assert '"ok":false' in instance.get("/state")  # the page goes on
    on_redis.redis.signal(signal.SIGCONT)
    until(instance.healthy, "it is healthy again")
    assert instance.get("/add") == "2"


def test_what_is_unknown_is_no_number(on_redis):
    """Neither 0 nor "nobody": null in /state, no sample in /metrics."""
    instance = on_redis.start()
    of_the_lock = ["held", "owner", "remaining_ms", "fence", "waiters", "queue"]
    gauges = ["counter_value", "counter_lock_held", "counter_lock_waiters", "counter_lock_fence"]

    def state():
        return json.loads(instance.get("/state"))

    def samples():
        text = instance.get("/metrics")
        return {name for name in gauges if re.search(rf"^{name} ", text, re.M)}

    until(instance.healthy, "it is healthy")
    assert None not in state().values()
    assert samples() == set(gauges)
    assert (instance.metric("counter_up"), instance.metric("counter_lock_up")) == (1, 1)
    on_redis.redis.signal(signal.SIGSTOP)
    until(lambda: not instance.healthy(), "it has noticed")
    until(lambda: state()["held"] is None and state()["value"] is None, "neither is known")
    seen = state()
    assert [name for name in of_the_lock + ["value", "seen_fence"] if seen[name] is not None] == []
    assert seen["ok"] is False and seen["trouble"]
    assert samples() == set()
    assert (instance.metric("counter_up"), instance.metric("counter_lock_up")) == (0, 0)
    on_redis.redis.signal(signal.SIGCONT)
    until(instance.healthy, "it is healthy again")
    assert None not in state().values() and samples() == set(gauges)


def test_one_of_two_stores_is_silent(on_redis, tmp_path):
    """The counter is known although nobody knows about the lock."""
    on_redis.options += ["--counter", f"sqlite:{tmp_path}/c.db"]
    instance = on_redis.start()
    until(instance.healthy, "it is healthy")
    instance.get("/add")
    until(lambda: instance.metric("counter_value") == 1, "it has been counted")
    on_redis.redis.signal(signal.SIGSTOP)
    until(lambda: instance.metric("counter_lock_up") == 0, "it has noticed")
    assert instance.metric("counter_value") == 1
    assert json.loads(instance.get("/state"))["held"] is None
    on_redis.redis.signal(signal.SIGCONT)


def test_a_connection_that_the_server_closed_is_no_trouble(on_redis):
    """A server closes what is idle (timeout), or restarts: the next question just asks again."""
    instance = on_redis.start()
    until(instance.healthy, "it is healthy")
    for i in range(1, 6):
        assert instance.get("/add") == str(i)
        assert on_redis.redis.command("CLIENT", "KILL", "TYPE", "normal").isdigit()
        assert instance.get("/counter") == str(i)
    assert instance.metric('counter_adds_total{result="failed"}') == 0


def test_what_only_the_store_knows_is_in_the_log(on_redis, tmp_path):
    on_redis.options = ["--store", on_redis.store + "?db=99", "--counter", f"sqlite:{tmp_path}/c.db"]
    instance = on_redis.start()
    assert instance.ask("/add")[:2] == (503, "the store of the lock cannot be asked: not counted")
    until(lambda: instance.words().count("DB index is out of range") == 2, "/add and the watcher say why")
    assert on_redis.redis.socket in instance.words()
    assert instance.ask("/health")[:2] == (503, "the store of the lock cannot be asked")


PATHS = ("/", "/add", "/counter", "/health", "/metrics", "/state")


def told(instance):
    """All that a visitor can read: of each page the text and the headers."""
    answers = [instance.ask(path) for path in PATHS]
    return "\n".join(text + str(headers) for _, text, headers in answers)


@pytest.mark.parametrize("away", ["lock", "counter", "both"])
def test_a_visitor_learns_neither_address_nor_user(on_redis, away):
    """Trouble is the operator's: its reason is in the log, and visitors read a plain sentence."""
    secret = f"redis+unix://somebody:hunter2@{on_redis.redis.socket}"
    lock, counter = (secret if away in (one, "both") else on_redis.store for one in ("lock", "counter"))
    on_redis.options = ["--store", lock, "--counter", counter]
    instance = on_redis.start()
    until(lambda: instance.ask("/health")[1] not in ("ok", "not looked yet"), "it is ill")
    for text in (told(instance), told(instance)):
        for private in ("somebody", "hunter2", on_redis.redis.socket, "WRONGPASS"):
            assert private not in text
        assert json.loads(instance.get("/state"))["trouble"] == (
            "the counter cannot be reached" if away == "counter" else "the store of the lock cannot be asked")
    assert "WRONGPASS" in instance.words() and "hunter2" not in instance.words()


# What a client may choose: markup, ESC [ of eight bits, letters that turn the direction of writing.
HOSTILE = "<script>alert('\\\"&')</script>\u009b2J\u202e"


def test_a_hostile_label_is_harmless_text(fleet):
    instance = fleet.start()
    fleet.hold(HOSTILE)
    fleet.hold(b"\xff\x9b2J", ready=False)
    until(lambda: instance.metric("counter_lock_waiters") == 1, "both are there")
    status, text, headers = instance.ask("/state")
    state = json.loads(text)
    assert (state["owner"], state["queue"][0]["owner"]) == (HOSTILE, "(not UTF-8)")
    assert text.isascii() and text.isprintable()
    assert (headers["Content-Type"], headers["X-Content-Type-Options"]) == ("application/json", "nosniff")
    for path in ("/counter", "/health", "/metrics"):
        assert "script" not in instance.get(path) and "2J" not in instance.get(path)


def test_what_somebody_wrote_into_the_store_is_harmless_text(on_redis):
    """No client of pawl may have such a label; whoever writes to the server may."""
    planted = b"\x1b[2J\r\nHTTP/1.1 200 OK\r\n\r\n\"}\xc2\x9b"
    instance = on_redis.start()
    on_redis.hold("LABEL")
    command = ["redis-cli", "-s", on_redis.redis.socket]
    key = "{pawl:counter}:f"
    record = subprocess.run([*command, "GET", key], stdout=subprocess.PIPE, check=True).stdout
    assert record.rstrip().endswith(b" LABEL")
    subprocess.run([*command, "-x", "SET", key], input=record.rstrip().replace(b"LABEL", planted),
                   stdout=subprocess.DEVNULL, check=True)
    until(lambda: json.loads(instance.get("/state"))["owner"] == planted.decode(), "it is shown")
    text = instance.get("/state")
    assert text.isascii() and text.isprintable()


def test_no_terminal_obeys_what_the_log_quotes(on_sqlite):
    """SQLite names a table that it cannot read, and somebody else chose the name."""
    instance = on_sqlite.start()
    until(instance.healthy, "it is healthy")
    with sqlite3.connect(on_sqlite.directory / "counter.db") as db:
        version = db.execute("PRAGMA schema_version").fetchone()[0]
        db.execute("PRAGMA writable_schema = ON")
        db.execute("INSERT INTO sqlite_master VALUES('table', ?1, ?1, 0, 'rubbish')",
                   ("x\u009b2J\u202e\x1b[2J\nforged: line",))
        db.execute(f"PRAGMA schema_version = {version + 1}")
    db.close()
    until(lambda: "malformed" in instance.words(), "it says why")
    late = subprocess.run([PROGRAM, "--port", "0", *on_sqlite.options], timeout=PATIENCE,
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    assert late.returncode == 1
    for words in (instance.words(), late.stderr):
        assert r"(x\xc2\x9b2J\xe2\x80\xae\x1b[2J\x0aforged: line)" in words
        lines = words.splitlines()
        assert all(line.isprintable() and line.startswith("pawl-counter: ") for line in lines)


def test_the_log_does_not_repeat_itself(on_redis):
    on_redis.options = ["--store", on_redis.store + "?db=99", "--counter", on_redis.store]
    instance = on_redis.start()
    for _ in range(50):
        assert instance.ask("/add")[0] == 503
    assert instance.words().count("/add: ") == 1


@pytest.mark.parametrize("options, words", [
    (["--store", "nosuch://x"], '--store: no store has the scheme "nosuch"'),
    (["--store", "redis://h:port"], "--store: a port that is no number"),
    (["--store", "memory:", "--counter", "redis://h:port"], "--counter: expected redis://"),
    (["--store", "memory:", "--counter", "mysql://x"], "--counter: expected sqlite:PATH"),
    (["--store", "memory:", "--counter", "sqlite:/nonexistent/x.db"], "--counter: cannot open /nonexistent/x.db"),
    (["--store", "memory:", "--listen", "localhost"], "--listen: expected a numeric address"),
    (["--store", "memory:", "--listen", "192.0.2.1"], "cannot listen on 192.0.2.1"),
    (["--instance", 256 * "x"], "--instance, or pawlowner: "),
    (["--ttl", "5"], "--ttl: expected"),
    (["--port", "70000"], "--port: expected"),
    (["--work", "-1"], "--work: expected"),
    (["--config", "/nonexistent/app.conf"], "cannot read /nonexistent/app.conf"),
])
def test_one_clear_sentence(options, words, tmp_path):
    run = subprocess.run([PROGRAM, "--port", "0", *options], cwd=tmp_path, timeout=PATIENCE,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert run.returncode == 1
    assert run.stdout == ""
    assert run.stderr.startswith("pawl-counter: ") and run.stderr.count("\n") == 1
    assert words in run.stderr


# ---- app.conf -------------------------------------------------------------------------------------


def test_configured_as_a_beego_application(on_redis, tmp_path):
    (tmp_path / "conf").mkdir()
    config = tmp_path / "conf" / "app.conf"
    config.write_text("appname = counter\nhttpport = 0\nrunmode = dev\n[dev]\n"
                      "httpaddr = 127.0.0.1\n[cache]\nadapter = redis\n"
                      f"conn = ${{NOWHERE||{on_redis.redis.socket}}}\ndbnum = 2\nkey = app\n")
    instance = on_redis.start(config="conf/app.conf")
    assert instance.get("/add") == "1"
    keys = subprocess.run(["redis-cli", "-s", on_redis.redis.socket, "-n", "2", "KEYS", "*"],
                          stdout=subprocess.PIPE, text=True, check=True).stdout
    assert "app:counter" in keys and "pawl-example:counter" in keys


def test_a_malformed_configuration_names_its_line(tmp_path):
    config = tmp_path / "app.conf"
    for text, words in (("httpport = http\nadapter = memory\n", "app.conf:1: httpport: expected"),
                        ("adapter = memory\nrubbish\n", "app.conf:2: expected key = value"),
                        ("adapter = leveldb\n", "app.conf:1: adapter leveldb: "),
                        ("pawlstore = redis://h:port\n", "app.conf:1: a port that is no number"),
                        ("pawlstore = memory:\ncounterstore = x\n", "app.conf:2: expected sqlite:"),
                        ("pawlstore = memory:\ncounterstore = sqlite:/nonexistent/x.db\n",
                         "app.conf:2: cannot open /nonexistent/x.db"),
                        ("pawlstore = memory:\ncounterstore = sqlite:x.db\nhttpaddr = localhost\n",
                         "app.conf:3: expected a numeric address"),
                        ("appname = x\n", "app.conf: chooses no store")):
        config.write_text(text)
        run = subprocess.run([PROGRAM, "--config", str(config)], timeout=PATIENCE, cwd=tmp_path,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert run.returncode == 1
        assert words in run.stderr
