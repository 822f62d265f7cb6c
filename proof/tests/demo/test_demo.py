# SPDX-License-Identifier: MIT
"""The demo, in a short version: does its table say what happened, does it leave nothing
behind, does it end well when something is wrong."""
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import time

import pytest

sys.path.insert(0, os.path.join(os.environ["PAWL_SOURCE"], "proof/ports"))
from free_port import free_port  # noqa: E402

DEMO = os.path.join(os.environ["PAWL_BUILD"], "examples", "demo", "pawl-demo")
SHORT = ["--rounds", "30", "--seconds", "1", "--plain"]
BOUND = 100  # seconds; far beyond what any of these runs takes


def environment(tmp_path, url=None):
    env = {k: v for k, v in os.environ.items() if k != "PAWL_STORE"}
    env["TMPDIR"] = str(tmp_path)
    if url:
        env["PAWL_STORE"] = url
    return env


def run(tmp_path, url=None, options=SHORT):
    return subprocess.run([DEMO] + list(options), env=environment(tmp_path, url), timeout=BOUND,
                          text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def table_of(output):
    """{row: [(tutorial, pawl) of the first stage, of the second]}"""
    table = {}
    for label, left, right in re.findall(r"^  (\S.*?) {2,}(\S+(?: m?s)?) {2,}(\S+(?: m?s)?)$",
                                         output, re.M):
        table.setdefault(label, []).append((left, right))
    return table


def check_report(output):
    table = table_of(output)
    asked, survived = table["increments asked"], table["increments that survived"]
    together = table["times that two were inside at once"]
    assert [len(rows) for rows in (asked, survived, together)] == [2, 2, 2]

    # pawl: everything survived, nobody met anybody
    assert asked[0][1] == survived[0][1] == "30"
    assert asked[1][1] == survived[1][1] and int(asked[1][1]) > 0
    assert together[0][1] == together[1][1] == "0"
    # the tutorial: holders that overstay meet others, and increments get lost
    assert asked[0][0] == "30" and int(survived[0][0]) < 30
    assert int(together[0][0]) > 0

    for rate in table["locks per second"]:
        assert float(rate[0]) > 0 and float(rate[1]) > 0
    assert len(table["longest wait"]) == 2

    total = int(asked[0][1]) + int(asked[1][1])
    assert f"pawl: 0 of {total} increments lost, two inside at once 0 times." in output
    lost = sum(int(a[0]) - int(s[0]) for a, s in zip(asked, survived))
    assert f"tutorial: {lost} of " in output


def wait_for(fd, pattern):
    """Reads until the pattern has come; returns all that was read."""
    seen, until = b"", time.monotonic() + BOUND
    while not re.search(pattern, seen):
        left = until - time.monotonic()
        assert left > 0 and select.select([fd], [], [], left)[0], f"only this came: {seen!r}"
        data = os.read(fd, 65536)
        assert data, f"ended after: {seen!r}"
        seen += data
    return seen


@pytest.fixture
def redis(tmp_path):
    if not shutil.which("redis-server"):
        pytest.skip("redis-server is not installed")
    home = tmp_path / "redis"
    home.mkdir()
    port = free_port()
    path = str(home / "sock")
    server = subprocess.Popen(
        ["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--unixsocket", path,
         "--requirepass", "open sesame", "--save", "", "--dir", str(home), "--daemonize", "no"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        wait_for(server.stdout.fileno(), rb"(?s)[Rr]eady to accept connections")
        import redis as client
        yield path, port, client.Redis(unix_socket_path=path, password="open sesame")
    finally:
        server.kill()
        server.wait()


def test_on_the_embedded_default(tmp_path):
    odd = tmp_path / "a place? 100% \u00f6dd"  # characters that a URL has to escape
    odd.mkdir()
    result = run(odd)
    assert result.returncode == 0, result.stderr
    check_report(result.stdout)
    assert "Store: sqlite:" in result.stdout
    assert result.stderr == ""
    assert os.listdir(odd) == [], "something was left in $TMPDIR"


@pytest.mark.parametrize("form", ["unix", "tcp"])
def test_on_redis(tmp_path, redis, form):
    path, port, client = redis
    urls = {"unix": f"redis+unix://:open%20sesame@{path}?prefix=mine:",
            "tcp": f"redis://:open%20sesame@127.0.0.1:{port}/3?prefix=mine:"}
    result = run(tmp_path, urls[form])
    assert result.returncode == 0, result.stdout + result.stderr
    check_report(result.stdout)
    assert "sesame" not in result.stdout

    # Both really ran there: the tutorial's own commands, and pawl's scripts.
    calls = {name: stat["calls"] for name, stat in client.info("commandstats").items()}
    assert calls["cmdstat_del"] >= 30 and calls["cmdstat_set"] >= 30
    assert calls["cmdstat_evalsha"] >= 60
    client.select(3 if form == "tcp" else 0)
    for key in client.scan_iter():
        if key != b"mine:\0g":  # the record of the restart guard: one for all names
            assert client.ttl(key) >= 0, f"{key} would stay for ever"
        assert b"mine:" in key


def test_a_terminal_gets_a_live_line(tmp_path):
    main, side = pty.openpty()
    demo = subprocess.Popen([DEMO, "--rounds", "10", "--seconds", "1"], stdout=side,
                            env=environment(tmp_path))
    os.close(side)
    try:
        seen = wait_for(main, rb"(?s)pawl: 0 of \d+ increments lost")
        assert demo.wait(BOUND) == 0
    finally:
        demo.kill()
        demo.wait()
        os.close(main)
    assert seen.count(b"\r  tutorial") > 3, "the line did not move"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_leaves_nothing(tmp_path, number):
    demo = subprocess.Popen([DEMO, "--rounds", "1000000", "--plain"], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, env=environment(tmp_path),
                            start_new_session=True)
    wait_for(demo.stdout.fileno(), rb"tutorial .* increments")
    demo.send_signal(number)
    _, errors = demo.communicate(timeout=BOUND)
    assert demo.returncode == 128 + number
    assert errors == b"demo: interrupted\n"
    with pytest.raises(ProcessLookupError):  # its process group is empty
        os.killpg(demo.pid, 0)
    assert os.listdir(tmp_path) == []


def test_a_worker_that_dies_ends_it(tmp_path):
    demo = subprocess.Popen([DEMO, "--rounds", "1000000", "--plain"], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, env=environment(tmp_path))
    wait_for(demo.stdout.fileno(), rb"tutorial .* increments")
    with open(f"/proc/{demo.pid}/task/{demo.pid}/children", encoding="ascii") as children:
        os.kill(int(children.read().split()[0]), signal.SIGKILL)
    _, errors = demo.communicate(timeout=BOUND)
    assert demo.returncode == 128 + signal.SIGKILL
    assert b"demo: a process died of signal 9" in errors
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("contender", ["tutorial", "pawl"])
def test_a_server_that_dies(tmp_path, redis, contender):
    path, _, client = redis
    demo = subprocess.Popen([DEMO, "--rounds", "30", "--seconds", "3000", "--plain"],
                            env=environment(tmp_path, f"redis+unix://:open%20sesame@{path}"),
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if contender == "tutorial":
        wait_for(demo.stdout.fileno(), rb"Nobody works")
    else:
        wait_for(demo.stdout.fileno(), rb"tutorial +30 increments.*\n.*  pawl ")
    client.shutdown(nosave=True)
    _, errors = demo.communicate(timeout=BOUND)
    assert demo.returncode == 69
    assert errors.startswith(b"demo: ") and errors.count(b"\n") == 1, errors
    assert os.listdir(tmp_path) == ["redis"]


@pytest.mark.parametrize("url, code, words", [
    ("memory:", 78, "several"),
    ("nonsense:", 78, "sqlite:, redis: and redis+unix:"),
    ("redis+unix:///nowhere/at/all", 69, "/nowhere/at/all"),
    ("redis://127.0.0.1:1", 69, "127.0.0.1"),
    ("sqlite:/nowhere/at/all.db", 69, "/nowhere/at"),
    ("redis://127.0.0.1:port", 78, "port"),
    ("sqlite:/tmp/x.db?nonsense=1", 78, "nonsense"),
])
def test_a_store_that_does_not_serve(tmp_path, url, code, words):
    result = run(tmp_path, url)
    assert result.returncode == code, result.stderr
    assert result.stdout == ""
    assert result.stderr.startswith("demo: ") and result.stderr.count("\n") == 1, result.stderr
    assert words in result.stderr
    assert os.listdir(tmp_path) == []


def test_a_wrong_password(tmp_path, redis):
    path, _, _ = redis
    result = run(tmp_path, f"redis+unix://:mistaken@{path}")
    assert result.returncode == 78
    assert "PAWL_ERR_AUTH" in result.stderr
    assert "mistaken" not in result.stderr


@pytest.mark.parametrize("options", [["--rounds", "0"], ["--rounds", "many"], ["--processes", "1"],
                                     ["--seconds", ""], ["--nonsense"], ["operand"]])
def test_wrong_options(tmp_path, options):
    result = run(tmp_path, options=options)
    assert result.returncode == 64
    assert result.stderr.count("\n") == 1
