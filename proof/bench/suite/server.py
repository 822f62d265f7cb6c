# SPDX-License-Identifier: MIT
"""A private redis-server, and what it says about its own work."""
import contextlib
import os
import resource
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "ports"))
from free_port import free_port  # noqa: E402

STARTS_WITHIN_S = 10
# The server inherits this limit; it keeps some descriptors for itself.
CONNECTIONS_MAX = min(30_000, resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 100)


class Status(bytes):
    """+OK"""


class Push(list):
    """What a server says unasked (RESP3)."""


def read_reply(stream):
    """The next value of RESP2, or of what RESP3 adds for locks; an error is raised."""
    line = stream.readline().rstrip(b"\r\n")
    kind, rest = line[:1], line[1:]
    if kind == b"-":
        raise RuntimeError(rest.decode())
    if kind == b"+":
        return Status(rest)
    if kind == b":":
        return int(rest)
    if kind == b"_" or rest == b"-1":
        return None
    if kind == b"$":
        return stream.read(int(rest) + 2)[:-2]
    if kind in (b"*", b">"):
        return (Push if kind == b">" else list)(read_reply(stream) for _ in range(int(rest)))
    raise RuntimeError(f"not a reply: {line!r}")


class Connection:
    """One blocking connection; requests are lists of words, replies are plain values."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.input = self.socket.makefile("rb")

    def call(self, *words):
        words = [w if isinstance(w, bytes) else str(w).encode() for w in words]
        self.send_raw(b"".join([b"*%d\r\n" % len(words)]
                               + [b"$%d\r\n%s\r\n" % (len(w), w) for w in words]))
        return self.reply()

    def send_raw(self, data):
        self.socket.sendall(data)

    def reply(self):
        reply = read_reply(self.input)
        if isinstance(reply, Push):
            return self.reply()
        return reply

    def close(self):
        self.socket.close()


class Server:
    def __init__(self, directory):
        self.program = shutil.which("valkey-server") or shutil.which("redis-server")
        if not self.program:
            raise FileNotFoundError("there is no redis-server or valkey-server")
        self.port = free_port()
        self.process = subprocess.Popen(
            [self.program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "",
             "--appendonly", "no", "--dir", directory, "--maxclients", str(CONNECTIONS_MAX),
             "--logfile", os.path.join(directory, "redis.log")])
        if not self._answers():
            self.stop()
            raise RuntimeError(f"{self.program} does not start; see redis.log")
        self.url = f"redis://127.0.0.1:{self.port}"
        self.tls_url = self._with_tls(directory)

    def _with_tls(self, directory):
        """Where the same server listens with TLS; None if it, or this machine, has none."""
        cert, key, port = f"{directory}/tls.pem", f"{directory}/tls.key", free_port()
        try:
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                            "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=bench",
                            "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert],
                           check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            self.control.call("CONFIG", "SET", "tls-auth-clients", "no")
            self.control.call("CONFIG", "SET", "tls-cert-file", cert, "tls-key-file", key,
                              "tls-port", port)
        except (OSError, RuntimeError, subprocess.CalledProcessError):
            return None
        return f"rediss://127.0.0.1:{port}?tls_ca={cert}"

    def _answers(self):
        until = time.monotonic() + STARTS_WITHIN_S
        while time.monotonic() < until and self.process.poll() is None:
            with contextlib.suppress(OSError):
                self.control = Connection(self.port)
                return self.control.call("PING") == b"PONG"
            time.sleep(0.02)
        return False

    def info(self, section):
        lines = self.control.call("INFO", section).decode().split("\r\n")
        return dict(line.split(":", 1) for line in lines if ":" in line)

    def version(self):
        info = self.info("server")
        return f"{os.path.basename(self.program)} {info.get('redis_version', '?')}"

    def cpu_us(self):
        """Of the thread that runs commands."""
        info = self.info("cpu")
        return 1e6 * sum(float(info.get(f"used_cpu_{kind}_main_thread",
                                        info[f"used_cpu_{kind}"])) for kind in ("user", "sys"))

    def clear(self):
        self.control.call("FLUSHALL")

    def stop(self):
        self.process.terminate()
        self.process.wait()


class CommandCount:
    """Counts what clients send, by MONITOR: INFO commandstats would also count what scripts call.

    with CommandCount(server) as count: ...
    count.sent, count.in_scripts
    """
    END = b"that-was-all"

    def __init__(self, server):
        self.server = server
        self.sent = self.in_scripts = 0

    def __enter__(self):
        self.monitor = Connection(self.server.port)
        self.monitor.call("MONITOR")
        self.thread = threading.Thread(target=self._read)
        self.thread.start()
        return self

    def _read(self):
        rest = b""
        while self.END not in rest:
            data = self.monitor.socket.recv(1 << 20)
            if not data:
                return
            *lines, rest = (rest + data).split(b"\r\n")
            for line in lines:
                if self.END in line:
                    return
                if b" lua] " in line[:60]:
                    self.in_scripts += 1
                else:
                    self.sent += 1

    def __exit__(self, *_):
        self.server.control.call("ECHO", self.END)
        self.thread.join()
        self.monitor.close()
