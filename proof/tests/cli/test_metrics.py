# SPDX-License-Identifier: MIT
"""pawl run --metrics: one file in one piece, while the lock is held and at the end; or an address."""
import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from harness import PATIENCE, Rig, is_alive


def values(text):
    """{series: value}"""
    return {series: float(value) for series, value in re.findall(r"^(\w+(?:\{.*\})?) (\S+)$", text, re.M)}


def acquired(kind):
    return f'pawl_acquisitions_total{{class="{kind}",result="acquired"}}'


def test_the_file_while_the_lock_is_held_and_at_the_end(sqlite):
    path = sqlite.tmp / "pawl.prom"
    done = sqlite.run("run", "--metrics", path, "k", "cat", path)
    assert done.code == 0 and done.err == ""
    held, over = values(done.out), values(path.read_text())
    assert held[acquired("other")] == over[acquired("other")] == 1
    assert held['pawl_held{class="other"}'] == 1 and over['pawl_held{class="other"}'] == 0
    assert held['pawl_clients{link="up"}'] == 1 and over['pawl_clients{link="up"}'] == 0
    assert over['pawl_releases_total{class="other",lease="released"}'] == 1
    assert over['pawl_hold_seconds_count{class="other"}'] == 1
    assert [p for p in os.listdir(sqlite.tmp) if "draft" in p] == []


def test_a_class_that_fits_and_one_that_does_not(sqlite):
    path = sqlite.tmp / "pawl.prom"
    for key, kind in ("nightly-7", "nightly*"), ("daily", "other"):
        done = sqlite.run("run", "--metrics", path, "--metrics-class", "nightly*", key, "true")
        assert done.code == 0
        assert values(path.read_text())[acquired(kind)] == 1
        assert key not in path.read_text()


def test_a_busy_lock_is_counted(sqlite):
    path = sqlite.tmp / "pawl.prom"
    holder = sqlite.start("run", "k", "sh", "-c", "echo ready; cat", stdin=subprocess.PIPE)
    holder.expect("ready")
    assert sqlite.run("run", "-n", "--metrics", path, "k", "true").code == 75
    found = values(path.read_text())
    assert found['pawl_acquisitions_total{class="other",result="busy"}'] == 1
    assert found[acquired("other")] == 0 and found['pawl_waiting{class="other"}'] == 0


def test_metrics_that_cannot_be_written_stop_nobody(sqlite):
    done = sqlite.run("run", "--metrics", "/no/such/dir/f", "k", "echo", "ran")
    assert done.code == 0 and done.out == "ran\n"
    assert "cannot write the metrics file /no/such/dir/f" in done.err


def test_a_class_that_is_none(sqlite):
    done = sqlite.run("run", "--metrics", sqlite.tmp / "m", "--metrics-class", "", "k", "echo", "ran")
    assert done.code == 64 and done.out == "" and "--metrics-class" in done.err


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed: the format was not checked")
def test_prometheus_has_nothing_to_say(sqlite):
    path = sqlite.tmp / "pawl.prom"
    assert sqlite.run("run", "--metrics", path, "--metrics-class", "k", "k", "true").code == 0
    done = subprocess.run(["promtool", "check", "metrics"], stdin=path.open(), text=True, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=30)
    assert done.returncode == 0 and done.stdout == "", done.stdout


# ---- Served at an address -------------------------------------------------------------------

class Endpoint:
    """A run that serves its metrics, and whoever asks it."""

    def __init__(self, rig, *words, address="127.0.0.1:0", command=("sh", "-c", "echo held; cat")):
        self.proc = rig.start("run", "-v", "--metrics", address, *words, *command, stdin=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
        self.said = self.proc.expect("pawl: metrics at http://")
        self.port = int(re.search(r":(\d+)/metrics$", self.said).group(1))

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)

    def ask(self, text):
        """The whole answer to these bytes."""
        with self.connect() as guest:
            guest.sendall(text)
            return read_all(guest)

    def values(self):
        head, _, body = self.ask(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").decode().partition("\r\n\r\n")
        assert head.startswith("HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4")
        assert f"Content-Length: {len(body)}\r\n" in head
        return values(body)

    def until(self, series, accept):
        end = time.monotonic() + PATIENCE
        while not accept(seen := self.values()[series]):
            assert time.monotonic() < end, f"{series} stays {seen}"


def read_all(guest):
    pieces = []
    while piece := guest.recv(65536):
        pieces.append(piece)
    return b"".join(pieces)


def test_who_asks_sees_the_wait_and_the_hold(sqlite):
    holder = sqlite.start("run", "k", "sh", "-c", "echo ready; cat", stdin=subprocess.PIPE)
    holder.expect("ready")
    run = Endpoint(sqlite, "--metrics-class", "k*", "k")
    run.until('pawl_waiting{class="k*"}', lambda count: count == 1)
    assert run.values()['pawl_held{class="k*"}'] == 0
    holder.popen.stdin.close()
    run.proc.expect("held")
    seen = run.values()
    assert seen['pawl_waiting{class="k*"}'] == 0 and seen['pawl_held{class="k*"}'] == 1
    run.proc.popen.stdin.close()
    assert run.proc.wait() == 0
    with pytest.raises(ConnectionRefusedError):
        run.connect()


def test_whoever_asks_again_and_again_keeps_no_renewal_away(sqlite):
    run = Endpoint(sqlite, "-t", "6s", "k")
    run.proc.expect("held")
    run.until('pawl_renewal_margin_ratio_count{class="other"}', lambda count: count >= 1)
    assert run.values()['pawl_held{class="other"}'] == 1
    run.proc.popen.stdin.close()
    assert run.proc.wait() == 0


@pytest.mark.parametrize("request_, status", [
    (b"GET /metrics?x=1 HTTP/1.0\n\n", b"200 OK"),
    (b"GET / HTTP/1.1\r\n\r\n", b"404 Not Found"),
    (b"GET /metricsx HTTP/1.1\r\n\r\n", b"404 Not Found"),
    (b"POST /metrics HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", b"405 Method Not Allowed"),
    (b"HEAD /metrics HTTP/1.1\r\n\r\n", b"405 Method Not Allowed"),
    (b"\r\n\r\n", b"400 Bad Request"),
    (b" /metrics HTTP/1.1\r\n\r\n", b"400 Bad Request"),
    (b"GET /metrics\r\n\r\n", b"400 Bad Request"),
    (b"\x16\x03\x01\x02\x00\n\n", b"400 Bad Request"),
    (b"GET /metrics HTTP/1.1\r\nX: " + b"x" * 5000, b"431 Request Header Fields Too Large"),
])
def test_only_the_metrics_are_there(endpoint, request_, status):
    answer = endpoint.ask(request_)
    assert answer.startswith(b"HTTP/1.1 " + status + b"\r\n")
    if not status.startswith(b"200"):
        body = answer.partition(b"\r\n\r\n")[2]
        assert body == (b"" if request_.startswith(b"HEAD") else b"only GET /metrics is answered here\n")
    assert endpoint.values()['pawl_held{class="other"}'] == 1  # it goes on


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory):
    tmp = tmp_path_factory.mktemp("endpoint")
    rig = Rig(f"sqlite:{tmp}/locks.db", tmp)
    run = Endpoint(rig, "k")
    run.proc.expect("held")
    yield run
    run.proc.popen.stdin.close()
    assert run.proc.wait() == 0
    rig.close()


def test_who_says_nothing_makes_room(endpoint):
    """Places are few; whoever came first goes when all are taken."""
    silent = [endpoint.connect() for _ in range(20)]
    silent[19].sendall(b"GET /metr")
    assert endpoint.values()['pawl_held{class="other"}'] == 1
    assert silent[0].recv(1) == b""
    silent[19].sendall(b"ics HTTP/1.1\r\n\r\n")
    assert read_all(silent[19]).startswith(b"HTTP/1.1 200 OK")
    for guest in silent:
        guest.close()


def connections_of(pid):
    """Its descriptors of TCP; a process opens other sockets when it likes."""
    lines = Path(f"/proc/{pid}/net/tcp").read_text("ascii").splitlines()[1:]
    of_tcp = {f"socket:[{line.split()[9]}]" for line in lines}
    found = set()
    for name in os.listdir(folder := f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):  # it has just been closed
            found.add(os.readlink(f"{folder}/{name}"))
    return found & of_tcp


def test_a_guest_that_has_gone_leaves_nothing(sqlite):
    """Whether it has its answer, part of it, or had not even asked to the end."""
    run = Endpoint(sqlite, "k")
    run.proc.expect("held")
    before = connections_of(run.proc.pid)
    for text in (b"GET /metrics HTTP/1.1\r\n\r\n", b"GET /metr", b"", b"nonsense\n\n"):
        with run.connect() as guest:
            guest.sendall(text)
    run.values()
    end = time.monotonic() + PATIENCE
    while (now := connections_of(run.proc.pid)) > before:
        assert time.monotonic() < end, f"{now - before} stays"
    run.proc.popen.stdin.close()
    assert run.proc.wait() == 0


def test_the_command_has_no_part_in_it(endpoint, sqlite):
    run = Endpoint(sqlite, "-o", "k", command=("ls", "-l", "/proc/self/fd"))
    listing = "".join(iter(lambda: run.proc.line() + "\n", "\n"))
    assert run.proc.wait() == 0 and "->" in listing and "socket:" not in listing


def test_an_address_that_is_taken_stops_nobody(endpoint, sqlite):
    done = sqlite.run("run", "--metrics", f":{endpoint.port}", "k", "echo", "ran")
    assert done.code == 0 and done.out == "ran\n"
    assert f"cannot serve metrics at :{endpoint.port}: Address already in use" in done.err
    assert done.err.count("\n") == 1


def test_without_a_host_it_is_there_for_this_machine_alone(sqlite):
    for address, host in ((":0", "127.0.0.1"), ("localhost:0", "127.0.0.1"), ("0.0.0.0:0", "0.0.0.0")):
        run = Endpoint(sqlite, "k", address=address, command=("true",))
        assert run.said.startswith(f"pawl: metrics at http://{host}:") and run.proc.wait() == 0


def test_what_looks_like_an_address_and_is_none(sqlite):
    for word in ("nightly:9110", "1.2.3:9110", ":65536", ":0000000080", "::1:9110", "[:9110", "[]:1"):
        done = sqlite.run("run", "--metrics", word, "k", "echo", "ran")
        assert done.code == 64 and done.out == "" and f"--metrics {word}: an address is" in done.err
        assert done.err.count("\n") == 1
    path = sqlite.tmp / "nightly:9110"
    assert sqlite.run("run", "--metrics", "./nightly:9110", "k", "true", cwd=sqlite.tmp).code == 0
    assert values(path.read_text())[acquired("other")] == 1


def test_a_killed_pawl_leaves_no_endpoint(sqlite):
    """Though the guardian lives on for the command's grace; it closes what it was born with as soon as it can."""
    run = Endpoint(sqlite, "-t", "60s", "-g", "15s", "k", command=("sh", "-c", "trap '' TERM; echo held $$; exec cat"))
    command = int(run.proc.expect("held").split()[1])
    run.proc.kill(signal.SIGKILL)
    assert run.proc.wait() == -signal.SIGKILL
    end = time.monotonic() + PATIENCE
    with pytest.raises(ConnectionRefusedError):
        while time.monotonic() < end:
            run.connect().close()
    assert is_alive(command), "the guardian has ended, too: nothing was seen"
    os.kill(command, signal.SIGKILL)


def test_the_restart_guard_is_seen(redis):
    """The server is new, and guard=on takes it for one that has lost everything."""
    redis.url += "?guard=on&guard_ms=30000"
    run = Endpoint(redis, "k")
    run.until("pawl_guard_active", lambda active: active == 1)
    seen = run.values()
    assert 0 < seen["pawl_guard_left_seconds"] <= 30 and seen["pawl_guards_total"] == 1
    assert seen['pawl_held{class="other"}'] == 0
