# SPDX-License-Identifier: MIT
"""Real stores for the tests, and ways to wait for what must come."""
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

import pytest

import pawl

PATIENCE = 30  # seconds for what comes at once
ANSWERED = 1  # a limit that runs out; a store that a busy machine delays has answered before
RENEWED_SOON = 1.5  # a ttl: what is broken is noticed soon, and a busy machine loses nothing by itself


def until(what, patience=PATIENCE):
    """Asks again and again until it is true, and returns it."""
    end = time.monotonic() + patience
    while True:
        value = what()
        if value:
            return value
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.005)  # nothing tells when it is time to ask again


class RedisServer:
    """A redis-server on a socket of its own."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="pawl-py")
        self.socket = os.path.join(self.dir, "s")
        self.url = f"redis+unix://{self.socket}"
        self.process = subprocess.Popen(
            ["redis-server", "--port", "0", "--unixsocket", self.socket, "--save", "",
             "--appendonly", "no", "--dir", self.dir], stdout=subprocess.DEVNULL)
        until(lambda: self.cli("ping") == "PONG")

    def cli(self, *words):
        return subprocess.run(["redis-cli", "-s", self.socket, *words], text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout.strip()

    def stop(self):
        self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.dir)


def need_redis():
    if shutil.which("redis-server") is None:
        print("SKIP: there is no redis-server")
        pytest.skip("there is no redis-server")


@pytest.fixture(scope="session")
def shared_redis():
    need_redis()
    server = RedisServer()
    yield server
    server.stop()


@pytest.fixture
def redis_server():
    """One that the test may hurt."""
    need_redis()
    server = RedisServer()
    yield server
    server.stop()


@pytest.fixture(params=["redis", "sqlite"])
def url(request, tmp_path):
    """A store without locks, reached by any number of clients and processes."""
    if request.param == "sqlite":
        return f"sqlite:{tmp_path}/locks.db"
    server = request.getfixturevalue("shared_redis")
    server.cli("flushall")
    return server.url


@pytest.fixture
def client(url):
    with pawl.Client(url) as opened:
        yield opened


@pytest.fixture
def other(url):
    """Another client of the same store."""
    with pawl.Client(url) as opened:
        yield opened


class Program:
    """A Python program of ours, which prints lines."""

    def __init__(self, text, *arguments, options=()):
        self.process = subprocess.Popen(
            [sys.executable, "-X", "dev", "-W", "error", *options, "-c", text, *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def line(self, within=PATIENCE):
        """Nothing if none comes: then the program is killed."""
        watch = threading.Timer(within, self.process.kill)
        watch.start()
        try:
            return self.process.stdout.readline().strip()
        finally:
            watch.cancel()

    def sleeps(self):
        """Whether its main thread does."""
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii", errors="replace") as stat:
            return stat.read().rpartition(")")[2].split()[0] == "S"

    def go_on(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def signal(self, number):
        self.process.send_signal(number)

    def end(self):
        """(status, what else it printed, what it complained of)."""
        out, err = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, out.strip(), err.strip()


@pytest.fixture
def program():
    """Starts programs; none outlives the test."""
    started = []

    def start(text, *arguments, options=()):
        started.append(Program(text, *arguments, options=options))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
        one.process.communicate()
