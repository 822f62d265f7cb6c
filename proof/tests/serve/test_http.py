# SPDX-License-Identifier: MIT
"""pawl serve over HTTP: what it tells, whom it refuses, and that bad clients do not hurt it."""
import contextlib
import json
import os
import select
import socket
import subprocess
import time

import pytest

from harness import PATIENCE, PAWL
from serving import holds, keys, lets_go, waits

TOKEN = "0123456789abcdef-secret"


# ---- What it tells ---------------------------------------------------------------------------


def test_locks_holders_and_queues(rig, serve):
    holds(rig, "app:a")
    holds(rig, "app:b", "-s")
    holds(rig, "app:b", "-s")
    holds(rig, "other", "--owner", "somebody else")
    waits(rig, "app:a")
    served = serve(rig)
    seen = served.until(lambda seen: seen["store"]["known"], "known")
    assert keys(seen) == ["app:a", "app:b", "other"]
    a, b, other = seen["rows"]
    assert (a["mode"], a["waiting"], a["foreign"], a["endless"]) == ("exclusive", 1, False, False)
    assert a["pid"] and a["host"] == os.uname().nodename and 0 < a["remaining_ms"] <= 30000 and a["wait_ms"] >= 0
    assert (b["mode"], b["holders"], b["waiting"], b["wait_ms"]) == ("shared", 2, 0, None)
    assert other["owner"] == "somebody else" and "host" not in other
    assert seen["sums"] == {"held": 3, "holders": 4, "waiting": 1, "queues": 1, "changed": seen["sums"]["changed"],
                            "oldest_wait_ms": seen["sums"]["oldest_wait_ms"]}
    assert [(g["prefix"], g["locks"], g["held"], g["waiting"]) for g in seen["groups"]] == [("app:", 2, 2, 1)]
    one = served.lock("app:a")
    assert one["held"] and one["fence"] == a["fence"] and len(one["holders"]) == 1 and len(one["waiters"]) == 1
    assert one["waiters"][0]["pid"] != one["holders"][0]["pid"] and one["waiters"][0]["age_ms"] >= 0
    assert len(served.lock("app:b")["holders"]) == 2
    free = served.lock("nobody has it")
    assert (free["held"], free["remaining_ms"], free["holders"], free["waiters"]) == (False, None, [], [])


def test_a_stream_tells_of_each_look(rig, serve):
    stream = serve(rig).stream()
    assert stream.answer.getheader("Content-Type") == "text/event-stream"
    stream.until(lambda seen: seen["store"]["known"] and seen["rows"] == [], "known and empty")
    holder = holds(rig, "k")
    first = stream.until(lambda seen: keys(seen) == ["k"], "k")["rows"][0]
    waiter = waits(rig, "k")
    stream.until(lambda seen: seen["rows"] and seen["rows"][0]["waiting"] == 1, "a waiter")
    lets_go(holder)
    waiter.expect("held")
    stream.until(lambda seen: int(seen["rows"][0]["fence"]) > int(first["fence"]), "a new fence")
    lets_go(waiter)
    stream.until(lambda seen: seen["rows"] == [], "nobody")
    stream.close()


def test_views(sqlite, serve):
    for key in ("b:2:x", "a:1", "b:1", "b:2:y"):
        holds(sqlite, key, "--owner", "Upper " + key)
    waits(sqlite, "b:1")
    served = serve(sqlite)
    seen = served.until(lambda seen: seen["store"]["known"], "known", "sort=name")
    assert keys(seen) == ["a:1", "b:1", "b:2:x", "b:2:y"]
    assert keys(served.get("/locks?sort=waiting"))[0] == "b:1"
    assert keys(served.get("/locks?sort=age"))[0] == "b:1"
    by_left = served.get("/locks?sort=left")["rows"]
    assert [row["remaining_ms"] for row in by_left] == sorted(row["remaining_ms"] for row in by_left)
    by_held = served.get("/locks?sort=held")["rows"]
    assert [row["since_s"] for row in by_held] == sorted(row["since_s"] for row in by_held)
    inside = served.get("/locks?sort=name&prefix=b%3A")
    assert keys(inside) == ["b:1", "b:2:x", "b:2:y"]
    assert [(g["prefix"], g["locks"]) for g in inside["groups"]] == [("b:2:", 2)]
    assert keys(served.get("/locks?search=UPPER%20B:2")) == ["b:2:x", "b:2:y"]
    page = served.get("/locks?sort=name&offset=1&limit=2")
    assert (keys(page), page["total"], page["offset"]) == (["b:1", "b:2:x"], 4, 1)
    for nonsense in ("limit=x&offset=-1&sort=%00", "limit=99999999999&%%%", "&&==&"):
        assert served.get("/locks?" + nonsense)["total"] == 4


def test_only_what_the_prefix_says(sqlite, serve):
    holds(sqlite, "mine:a")
    holds(sqlite, "yours:b")
    seen = serve(sqlite, "mine:").until(lambda seen: seen["store"]["known"], "known")
    assert keys(seen) == ["mine:a"] and seen["store"]["prefix"] == "mine:"


def test_what_others_wrote_comes_as_it_is(redis, serve):
    evil = "<script>alert(1)</script>\u202e\n"
    holds(redis, evil, "--owner", "<b>\u202eowner")
    raw = b"\xff\x9b2J"
    process = subprocess.Popen([PAWL.encode(), b"run", raw, b"cat"], env=redis.env(), stdin=subprocess.PIPE)
    try:
        served = serve(redis)
        seen = served.until(lambda seen: len(seen["rows"]) >= 2, "both")
        rows = {row["key"]: row for row in seen["rows"]}
        assert rows[evil]["owner"] == "<b>\u202eowner"
        assert rows["\\xff\\x9b2J"]["key_hex"] == raw.hex()
        assert served.get("/lock?key_hex=" + raw.hex())["held"]
        status, text, headers = served.ask("/locks")
        assert text.isascii() and headers["Content-Type"] == "application/json"
    finally:
        process.communicate()


def test_a_foreign_key_is_flagged(redis, serve):
    redis.server.cli("SET", "pawl:endless", "somebody")
    redis.server.cli("SET", "pawl:foreign", "somebody", "PX", "60000")
    rows = serve(redis).until(lambda seen: len(seen["rows"]) == 2, "both", "sort=name")["rows"]
    assert [(row["key"], row["foreign"], row["endless"], row["remaining_ms"] is None) for row in rows] == [
        ("endless", True, True, True), ("foreign", True, False, False)]


def test_the_store_goes_and_comes_back(redis, serve):
    holds(redis, "k", "-t", "60s")
    served = serve(redis, "--store-timeout", "300ms")
    stream = served.stream()
    stream.until(lambda seen: keys(seen) == ["k"], "k")
    redis.server.stop()
    away = stream.until(lambda seen: not seen["store"]["known"], "away")
    assert away["sums"] is None and away["store"]["reason"] and keys(away) == ["k"]
    older = stream.until(lambda seen: seen["store"]["as_of_ms"] > away["store"]["as_of_ms"], "older")
    assert not older["store"]["known"]
    status, text, _ = served.ask("/lock?key=k")
    assert status == 503 and json.loads(text)["reason"]
    redis.server.cont()
    back = stream.until(lambda seen: seen["store"]["known"], "back")
    assert keys(back) == ["k"] and "reason" not in back["store"]
    stream.close()


# ---- Whom it refuses -------------------------------------------------------------------------


def test_paths_and_methods(sqlite, serve):
    served = serve(sqlite)
    for path, method, status in (("/", "GET", 200), ("/", "HEAD", 200), ("/page.js", "GET", 200), ("/health", "GET", 200),
                                 ("/x", "GET", 404), ("/../etc/passwd", "GET", 404), ("/page.js/", "GET", 404),
                                 ("//", "GET", 404), ("/locks", "POST", 405), ("/", "POST", 405), ("/login", "GET", 405),
                                 ("/lock", "GET", 400), ("/lock?key=", "GET", 400), ("/lock?key=" + 600 * "x", "GET", 400),
                                 ("/lock?key_hex=0", "GET", 400), ("/lock?key_hex=00", "GET", 400), ("/break", "GET", 404),
                                 ("/locks", "DELETE", 405), ("/locks", "OPTIONS", 405)):
        got, _, headers = served.ask(path, method)
        assert got == status, (path, method, got)
        assert headers["X-Content-Type-Options"] == "nosniff" and headers["Referrer-Policy"] == "no-referrer"
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy


def test_the_token(sqlite, serve, tmp_path):
    secret = tmp_path / "token"
    secret.write_text(TOKEN + "\n")
    secret.chmod(0o600)
    holds(sqlite, "k")
    served = serve(sqlite, "--token-file", secret)
    for path in ("/locks", "/lock?key=k", "/events"):
        for headers in ({}, {"Authorization": "Bearer " + TOKEN[:-1]}, {"Authorization": "Bearer " + TOKEN + "x"},
                        {"Authorization": "Bearer "}, {"Authorization": TOKEN}, {"Authorization": "Bearer " + 5000 * "x"},
                        {"Cookie": f"pawl_{served.port}="}, {"Cookie": f"pawl_{served.port}={64 * '0'}"}):
            assert served.ask(path, headers=headers)[0] == 401
    assert served.get("/locks", headers={"Authorization": "Bearer " + TOKEN})["token"] is True
    assert served.ask("/")[0] == 200 and served.ask("/health")[0] == 200
    assert served.post("/login", "token=wrong")[0] == 401
    status, text, headers = served.post("/login", "token=" + TOKEN)
    cookie = headers["Set-Cookie"]
    assert status == 200 and "HttpOnly" in cookie and "SameSite=Strict" in cookie and TOKEN not in cookie + text
    session = {"Cookie": "other=1; " + cookie.split(";")[0] + "; more=2"}
    stream = served.stream(headers=session)
    assert keys(stream.until(lambda seen: seen["rows"], "k")) == ["k"]
    stream.close()
    assert served.post("/logout", "", session)[0] == 200
    assert served.ask("/locks", headers=session)[0] == 401
    assert "a wrong token from 127.0.0.1" in served.words() and TOKEN not in served.words()


@pytest.mark.parametrize("options, code, words", [
    (["--listen", "0.0.0.0"], 64, "others reach this address, so --token-file is needed"),
    (["--listen", "localhost"], 64, "expected a numeric address"),
    (["--listen", "127.0.0.1:80"], 64, "--port has the port"),
    (["--listen", "::"], 64, "others reach this address, so --token-file is needed"),
    (["--token-file", "/nonexistent"], 66, "--token-file /nonexistent: No such file"),
    (["--token-file", "short"], 78, "has to be a token of 16 to 255 printable characters"),
    (["--base-path", "locks"], 64, "--base-path: expected a path such as /locks"),
    (["--base-path", "/a/../b"], 64, "--base-path: expected a path such as /locks"),
    (["--base-path", "/a//b"], 64, "--base-path: expected a path such as /locks"),
    (["--base-path", "/."], 64, "--base-path: expected a path such as /locks"),
    (["--base-path", "/a b"], 64, "--base-path: expected a path such as /locks"),
    (["--interval", "1ms"], 64, "--interval: expected at least 250ms"),
    (["-S", "memory:"], 78, "memory"),
    (["a", "b"], 64, "at most one PREFIX is wanted"),
])
def test_one_clear_sentence(options, code, words, sqlite, tmp_path):
    (tmp_path / "short").write_text("short\n")
    done = sqlite.run("serve", "-p", "0", *options, cwd=tmp_path)
    assert (done.code, done.out) == (code, "")
    assert words in done.err and "short\n" not in done.err, done.err


def test_who_may_read_the_token_is_told(sqlite, serve, tmp_path):
    (tmp_path / "token").write_text(TOKEN)
    (tmp_path / "token").chmod(0o644)
    served = serve(sqlite, "--token-file", tmp_path / "token")
    assert "others may read" in served.words()


def test_a_page_from_elsewhere_is_refused(sqlite, serve):
    served = serve(sqlite, "--allow-host", "locks.example")
    for host, status in ((f"127.0.0.1:{served.port}", 200), ("localhost", 200), ("LOCALHOST:1", 200), ("[::1]:80", 200),
                         ("locks.example", 200), ("Locks.Example:443", 200), ("evil.example", 421), ("locks.example.evil", 421),
                         ("127.0.0.1.evil", 421), ("", 421), ("[::1", 421), ("localhost:x", 421), (":80", 421),
                         ("192.0.2.1", 421)):
        assert served.ask("/locks", headers={"Host": host})[0] == status, host
    for origin in ("http://evil.example", "null", f"http://127.0.0.1:{served.port}.evil"):
        assert served.ask("/logout", "POST", "", {"Origin": origin})[0] == 403
    assert served.ask("/logout", "POST", "")[0] == 403
    assert served.post("/logout", "")[0] == 200


def test_below_a_base_path(sqlite, serve):
    served = serve(sqlite, base="/tools/locks")
    assert served.url.endswith(f":{served.port}/tools/locks/")
    assert served.ask("/")[0] == 200 and served.get("/locks")["total"] == 0
    status, _, headers = served.ask("")
    assert status == 308 and headers["Location"] == "/tools/locks/"
    served.base = ""
    for path in ("/", "/locks", "/tools/locksmith", "/tools", "/tools/locks/../x"):
        assert served.ask(path)[0] == 404


# ---- Bad clients -----------------------------------------------------------------------------


def is_closed(connection):
    """Reads until its end; False: it goes on."""
    try:
        while select.select([connection], [], [], 0)[0]:
            if not connection.recv(65536):
                return True
    except ConnectionError:
        return True
    return False


def test_what_is_too_large_is_refused(sqlite, serve):
    served = serve(sqlite)
    assert served.ask("/locks", headers={"X": 9000 * "x"})[0] == 400
    assert served.post("/login", 20000 * "x")[0] == 413
    with served.connect() as raw:
        raw.sendall(b"GET /" + 20000 * b"x")
        with contextlib.suppress(ConnectionError):
            assert b"200" not in raw.recv(65536)
    with served.connect() as raw:
        raw.sendall(b"\x00\xff\n\n\n")
        with contextlib.suppress(ConnectionError):
            assert b"200" not in raw.recv(65536)
    assert served.get("/locks")["total"] == 0


def test_who_drips_is_cut(sqlite, serve):
    served = serve(sqlite)
    with served.connect() as slow:
        slow.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n")
        end = time.monotonic() + PATIENCE
        while not is_closed(slow):
            assert time.monotonic() < end, "it drips still"
            with contextlib.suppress(ConnectionError):
                slow.sendall(b"X: x\r\n")
            select.select([slow], [], [], 0.3)
    assert served.get("/locks")["total"] == 0


def test_many_connections_keep_nobody_out(sqlite, serve):
    served = serve(sqlite)
    with contextlib.ExitStack() as stack:
        for _ in range(300):
            stack.enter_context(served.connect()).sendall(b"GET")
        assert served.get("/locks")["total"] == 0


def test_streams_are_counted(sqlite, serve):
    served = serve(sqlite)
    streams = [served.stream("limit=0") for _ in range(64)]
    status, text, headers = served.ask("/events")
    assert status == 503 and headers["Retry-After"] == "10"
    streams[0].close()
    end = time.monotonic() + PATIENCE
    while (answer := served.stream("limit=0")).answer.status != 200:
        assert time.monotonic() < end, "no place became free"
        answer.close()
    answer.next()
    for stream in [*streams[1:], answer]:
        stream.close()


def test_who_does_not_read_keeps_nobody_waiting(sqlite, serve):
    served = serve(sqlite)
    with served.connect() as unread:
        unread.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        unread.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        stream = served.stream()
        holds(sqlite, "k")
        stream.until(lambda seen: keys(seen) == ["k"], "k")
        stream.close()
