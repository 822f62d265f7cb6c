# SPDX-License-Identifier: MIT
"""What is measured: one list of measurements, run from top to bottom in each round, so that pawl
and its peers take turns on the same server."""
import contextlib
import dataclasses
import json
import os
import subprocess

from . import driver, wire
from .peers import Peer
from .server import CommandCount

CONTENDED = [8, 32, 128]
MANY = 1000        # clients; pawl and the hand-written loop only
LEASES = 100_000
LEASES_S = 20      # two renewals of a lease of 30 s
COUNT_S = 0.4      # for counting commands, apart from the timing: MONITOR slows the server
SQLITE = [8, 32]


@dataclasses.dataclass
class Measurement:
    group: str        # "pairs", "contend", ...: what --only chooses
    clients: str
    who: str
    run: object       # () -> result

    @property
    def key(self):
        return self.group, self.clients, self.who


@contextlib.contextmanager
def cpu_of(server, result):
    before = server.cpu_us()
    yield
    result["server_cpu_us"] = server.cpu_us() - before


class Plan:
    def __init__(self, build, scratch, server, peers, seconds, quick):
        self.bench, self.build = build / "bench", build
        self.scratch, self.server = scratch, server
        self.seconds, self.quick = seconds, quick
        self.pawl = self.hand("pawl", "pawl")
        self.hiredis = self.hand("hiredis", "by hand, hiredis; polls every ms")
        self.blpop = self.hand("blpop", "by hand, hiredis; BLPOP wakes waiters")
        self.begin = self.hand("begin", "SQLite: BEGIN IMMEDIATE, busy_timeout; counts a fence")
        self.empty = dataclasses.replace(
            self.begin, name="begin, empty", what="the same, but the transaction writes nothing")
        self.flock = self.hand("flock", "flock(2)")
        self.peers = peers
        self.list = []
        self._uncontended()
        self._server_cost()
        self._threads()
        self._contended()
        self._sharing()
        self._sqlite()
        self._processes()
        self._leases()

    def hand(self, name, what):
        return Peer(name, [str(self.bench / f"bench-{name}")], what, library=False)

    def _add(self, group, clients, who, run):
        self.list.append(Measurement(group, str(clients), who, run))

    # ---- One run of a driver -------------------------------------------------------------

    def _on_redis(self, peer, workload, clients, seconds=None):
        def measure():
            self.server.clear()
            cpu = {}
            result = driver.run(peer.command, self.server.url, workload, clients,
                                seconds or self.seconds, between=cpu_of(self.server, cpu))
            return dict(result, **cpu)
        return measure

    def _counted(self, peer, clients):
        """Like _on_redis; the first time it also counts what the clients send."""
        counted = {}
        seconds = self.seconds * (2 if clients == MANY else 1)

        def measure():
            if not counted:
                self.server.clear()
                count = CommandCount(self.server)
                result = driver.run(peer.command, self.server.url, "contend", clients, COUNT_S,
                                    between=count)
                counted.update(commands=count.sent / result["total"],
                               calls_in_scripts=count.in_scripts / result["total"])
            return dict(self._on_redis(peer, "contend", clients, seconds)(), **counted)
        return measure

    # ---- The groups ------------------------------------------------------------------------

    def _uncontended(self):
        for workload in ("pairs", "acquire"):
            for peer in [self.pawl, self.hiredis, *self.peers]:
                self._add(workload, 1, peer.name, self._on_redis(peer, workload, 1))
        mutex = self.hand("mutex", "pthread_mutex and CLOCK_BOOTTIME")
        for peer in (self.pawl, mutex):
            self._add("cached", 1, peer.name, self._on_redis(peer, "cached", 1, self.seconds / 2))

    def _replay(self, peer, in_flight):
        path = os.path.join(self.scratch, f"{peer.name}.wire")

        def measure():
            if not os.path.exists(path):
                wire.record(peer.command, self.server, path)
            self.server.clear()
            cpu = {}
            result = driver.run([str(self.bench / "bench-replay")], self.server.url, path,
                                in_flight, self.seconds, between=cpu_of(self.server, cpu))
            return dict(result, **cpu)
        return measure

    def _server_cost(self):
        for peer in (self.pawl, self.hiredis):
            self._add("server", "64 pairs in flight", peer.name, self._replay(peer, 128))

    def _threads(self):
        self._add("threads", 16, "pawl", self._on_redis(self.pawl, "threads", 16))
        self._add("threads", 16, "replay", self._replay(self.pawl, 32))

    def _contended(self):
        ping = self._on_redis(self.hiredis, "ping", 1, self.seconds / 2)
        for n in CONTENDED:
            self._add("contend", n, "ping", ping)
            for peer in [self.pawl, self.blpop, self.hiredis, *self.peers]:
                self._add("contend", n, peer.name, self._counted(peer, n))
        for peer in (self.pawl, self.blpop):
            self._add("contend", MANY, peer.name, self._counted(peer, MANY))

    def _sharing(self):
        self._add("share", "8x8", "pawl", self._on_redis(self.pawl, "share", "8x8"))
        self._add("share", "64x1", "pawl", self._on_redis(self.pawl, "share", "64x1"))

    def _on_files(self, peer, workload, clients):
        urls = {"pawl": f"sqlite:{self.scratch}/pawl.db", "flock": f"flock:{self.scratch}",
                "begin": f"sqlite-fence:{self.scratch}/begin.db",
                "begin, empty": f"sqlite:{self.scratch}/empty.db"}
        return lambda: driver.run(peer.command, urls[peer.name], workload, clients, self.seconds)

    def _sqlite(self):
        for peer in (self.pawl, self.begin, self.empty, self.flock):
            self._add("sqlite", 1, peer.name, self._on_files(peer, "pairs", 1))
        for n in SQLITE:
            for peer in (self.pawl, self.begin, self.empty, self.flock):
                self._add("sqlite", n, peer.name, self._on_files(peer, "contend", f"{n}x1"))

    def _processes(self):
        pawl = str(self.build / "pawl")
        commands = [["flock", f"{self.scratch}/run.lock", "true"],
                    [pawl, "run", "-S", f"sqlite:{self.scratch}/run.db", "key", "true"],
                    [pawl, "run", "-S", self.server.url, "key", "true"]]

        def measure():
            words = [str(self.bench / "bench-spawn"), "20" if self.quick else "200", *commands[0]]
            for command in commands[1:]:
                words += ["--", *command]
            done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, text=True, timeout=300)
            if done.returncode:
                raise driver.DriverFailed(done.stderr.strip() or "bench-spawn failed")
            return json.loads(done.stdout)
        self._add("run", 1, "all", measure)

    def _leases(self):
        # A tenth of each in a quick run: as many renewals per second.
        count, seconds = (LEASES // 10, LEASES_S / 10) if self.quick else (LEASES, LEASES_S)
        self._add("leases", count, "pawl", self._on_redis(self.pawl, "leases", count, seconds))
