# SPDX-License-Identifier: MIT
"""What a lock on Redis costs, in numbers that no machine changes: round trips and commands.

A wire between the command and the server counts turns: as long as the client has not answered
what it was told, all that it sends is one round trip, in however many pieces it comes.
"""
import contextlib
import re
import select
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from harness import PATIENCE, Rig

SOURCE = Path(__file__).resolve().parents[3]
SCRIPTS = SOURCE / "src/stores/redis"
LONG = "600s"  # nothing is renewed, no place refreshed, before the test is over


class Plain:
    """Bytes as they are."""

    def __init__(self, end):
        self.end = end

    def read(self):
        """What the client has said, and whether it goes on."""
        data = self.end.recv(1 << 16)
        return data, bool(data)

    def write(self, data):
        self.end.sendall(data)


class Tls:
    """The server's side of TLS 1.3."""

    def __init__(self, end, context):
        self.end = end
        self.inside, self.outside = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.inside, self.outside, server_side=True)
        self.is_open = False

    def flush(self):
        if data := self.outside.read():
            self.end.sendall(data)

    def take(self):
        if not self.is_open:
            self.tls.do_handshake()
            self.is_open = True
        return self.tls.read(1 << 16)

    def read(self):
        came = self.end.recv(1 << 16)
        self.inside.write(came)
        said = b""
        try:
            while data := self.take():
                said += data
            came = b""  # its farewell
        except ssl.SSLWantReadError:
            pass
        self.flush()
        return said, bool(came)

    def write(self, data):
        self.tls.write(data)
        self.flush()


class Wire:
    """Between one client and the server; counts the client's turns on each connection."""

    def __init__(self, server, listener, context=None):
        self.server, self.listener, self.context = server, listener, context
        self.trips, self.trouble = [], None
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        try:
            end, _ = self.listener.accept()
            with end, socket.socket(socket.AF_UNIX) as far:
                far.connect(self.server.socket)
                self.carry(end, Tls(end, self.context) if self.context else Plain(end), far)
        except OSError as error:
            self.trouble = error

    def carry(self, end, near, far):
        """In one thread, so that turns are counted in the order in which they happen."""
        self.trips.append(0)
        last, goes_on = None, True
        while goes_on:
            for ready in select.select([end, far], [], [])[0]:
                if ready is far:
                    told = far.recv(1 << 16)
                    with contextlib.suppress(ConnectionError):  # it has gone: its end is read next
                        near.write(told)
                    last = far
                    continue
                try:
                    said, goes_on = near.read()
                except ConnectionError:
                    said, goes_on = b"", False
                if goes_on and last is not end:
                    self.trips[-1] += 1
                # The handshake is answered here; everything else by the server.
                last = far if self.context and not said else end
                far.sendall(said)

    def ended(self):
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive() and self.trouble is None, self.trouble
        return self.trips


@pytest.fixture
def warm(redis):
    """A server that knows the scripts: whoever locked on it before has said them."""
    assert redis.run("run", "warm", "--", "true").code == 0
    return redis


def test_the_first_lock_of_a_process_is_three_round_trips(warm, tmp_path):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "wire"))
    listener.listen()
    wire = Wire(warm.server, listener)
    rig = Rig(f"redis+unix://{tmp_path}/wire", tmp_path)
    done = rig.run("run", "--ttl", LONG, "x", "--", "true")
    assert done.code == 0, done.err
    # To connect is one; then the greeting, the acquisition. The third turn is the release.
    assert wire.ended() == [3]
    listener.close()


def certificate(tmp_path):
    if not shutil.which("openssl"):
        print("SKIP: the program openssl is not installed", file=sys.stderr)
        pytest.skip("the program openssl is not installed")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=wire",
                    "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", tmp_path / "key.pem",
                    "-out", tmp_path / "cert.pem"], check=True, stderr=subprocess.DEVNULL)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    return context


def test_with_tls_it_is_five(warm, tmp_path):
    context = certificate(tmp_path)
    listener = socket.create_server(("127.0.0.1", 0))
    wire = Wire(warm.server, listener, context)
    port = listener.getsockname()[1]
    rig = Rig(f"rediss://127.0.0.1:{port}?tls_ca={tmp_path}/cert.pem", tmp_path)
    done = rig.run("run", "--ttl", LONG, "x", "--", "true")
    assert done.code == 0, done.err
    # To connect is one. Then hello; the end of the handshake, and with it the greeting, or the
    # greeting behind it: the kernel decides, and nobody waits in between. The acquisition is the
    # fifth at most; behind it is the release.
    trips, = wire.ended()
    assert trips in (4, 5), trips
    listener.close()


# ---- Commands -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shas(tmp_path_factory):
    """By which name the server knows each script."""
    out = tmp_path_factory.mktemp("scripts") / "scripts.c"
    subprocess.run([sys.executable, SCRIPTS / "embed_scripts.py", out,
                    *sorted((SCRIPTS / "scripts").glob("*.lua"))], check=True)
    return {name: sha for name, sha in
            re.findall(r'pawl__redis_sha1_(\w+)\[41\] = "(\w{40})"', out.read_text())}


def calls(server, sha):
    """Times that it was called by that name; it is known from before."""
    return server.cli("SLOWLOG", "GET", "-1").count(sha)


@pytest.mark.parametrize("waiters", [1, 12])
def test_an_acquisition_is_two_commands_however_many_wait(warm, shas, waiters):
    server = warm.server
    # A release that hands on is another script than warm has used: nothing of it is unknown.
    holder = warm.start("run", "--ttl", LONG, "x", "--", "cat", stdin=subprocess.PIPE)
    warm.until("x", lambda seen: seen["held"])
    server.cli("CONFIG", "SET", "slowlog-max-len", "100000")
    server.cli("CONFIG", "SET", "slowlog-log-slower-than", "0")
    queue = [warm.start("run", "--ttl", LONG, "x", "--", "true") for _ in range(waiters)]
    until = time.monotonic() + PATIENCE
    while calls(server, shas["acquire"]) < waiters:
        assert time.monotonic() < until
    holder.popen.stdin.close()
    for process in [holder, *queue]:
        assert process.popen.wait(PATIENCE) == 0
    assert calls(server, shas["acquire"]) == waiters
    assert calls(server, shas["release"]) == waiters + 1
