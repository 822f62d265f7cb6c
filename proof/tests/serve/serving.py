# SPDX-License-Identifier: MIT
"""A pawl serve, and what asks it."""
import http.client
import json
import re
import signal
import socket
import subprocess
import time
from urllib.parse import quote

from harness import PATIENCE, check_sanitizers

INTERVAL = "250ms"


class Stream:
    """Server-sent events: each is a JSON object."""

    def __init__(self, served, query="", headers=None):
        self.connection = http.client.HTTPConnection(served.address, served.port, timeout=PATIENCE)
        self.connection.request("GET", f"{served.base}/events?{query}", headers=headers or {})
        self.answer = self.connection.getresponse()

    def next(self):
        while True:
            line = self.answer.readline()
            assert line, "the stream has ended"
            if line.startswith(b"data: "):
                return json.loads(line[len("data: "):])

    def until(self, accept, what):
        end = time.monotonic() + PATIENCE
        while not accept(seen := self.next()):
            assert time.monotonic() < end, f"never {what}: {seen}"
        return seen

    def close(self):
        self.connection.close()


class Served:
    def __init__(self, rig, *options, address="127.0.0.1", base=""):
        self.address, self.base = address, base
        more = ["--base-path", base] if base else []
        self.log = rig.tmp / f"serve{len(rig.procs)}.log"
        self.errors = open(self.log, "w", encoding="utf-8")
        self.proc = rig.start("serve", "-p", "0", "-i", INTERVAL, *more, *options, stderr=self.errors)
        self.url = self.proc.expect("http://")
        self.port = int(re.search(r":(\d+)[^:]*$", self.url).group(1))
        # Its loop runs: TSan's library has kept back a SIGTERM that came before, until another signal followed.
        assert self.ask("/health")[0] == 200

    def ask(self, path, method="GET", body=None, headers=None):
        """(status, text, headers)"""
        connection = http.client.HTTPConnection(self.address, self.port, timeout=PATIENCE)
        try:
            connection.request(method, self.base + path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read().decode(), answer.headers
        finally:
            connection.close()

    def get(self, path, **options):
        status, text, _ = self.ask(path, **options)
        assert status == 200, (path, status, text)
        return json.loads(text)

    def post(self, path, body, headers=None):
        origin = {"Origin": f"http://{self.address}:{self.port}"}
        return self.ask(path, "POST", body, {**origin, **(headers or {})})

    def lock(self, key):
        return self.get("/lock?key=" + quote(key, safe=""))

    def stream(self, query="", **options):
        return Stream(self, query, **options)

    def until(self, accept, what, query="", **options):
        stream = self.stream(query, **options)
        try:
            return stream.until(accept, what)
        finally:
            stream.close()

    def connect(self):
        return socket.create_connection((self.address, self.port), timeout=PATIENCE)

    def words(self):
        return self.log.read_text("utf-8")

    def end(self):
        if self.proc.popen.poll() is None:
            self.proc.kill(signal.SIGTERM)
        code = self.proc.wait()
        self.errors.close()
        check_sanitizers(self.words())
        assert code == 0, self.words()


def holds(rig, key, *words):
    proc = rig.start("run", *words, key, "sh", "-c", "echo held; cat", stdin=subprocess.PIPE)
    proc.expect("held")
    return proc


def waits(rig, key, *words, count=1):
    proc = rig.start("run", *words, key, "sh", "-c", "echo held; cat", stdin=subprocess.PIPE)
    rig.until_waiting(key, count)
    return proc


def lets_go(proc):
    proc.popen.stdin.close()
    assert proc.wait() == 0


def keys(seen):
    return [row["key"] for row in seen["rows"]]
