# SPDX-License-Identifier: MIT
"""What is measured: one list of measurements, run from top to bottom in each round, so that pawl
and its peers take turns on the same server."""
import contextlib
import dataclasses
import json
import os
import subprocess

from . import databases, driver, wire
from .peers import Peer
from .server import CONNECTIONS_MAX, CommandCount

CONTENDED = [8, 32, 128]
MANY = 1000        # clients; pawl and the hand-written loop only
LEASES = 100_000
LEASES_S = 10      # one renewal of each lease of 30 s
COUNT_S = 0.4      # for counting commands, apart from the timing: MONITOR slows the server
PING_S = 0.25      # before and after each contention
SQLITE = [8, 32]
DATABASES = [8, 32]
ONE_WAITS = "one waiter"
# What the server has by itself that wakes who waits.
WAKE_UP = {"postgres": ("advisory", "advisory-fence"), "mariadb": ("getlock", "getlock, fence"),
           "etcd": (), "zookeeper": ()}
ALONE = "acquisition alone"
BESIDE = "8x8"     # readers of one name: processes x threads
READERS = 100      # who wait behind one writer
MIX, PERMITS = 32, 64   # clients of the workloads of those names
SEVERAL = {"mix": MIX, "mix-one": MIX, "permits": PERMITS, "permits-one": PERMITS}
WAITERS = [10, 100, 1000, min(10_000, (CONNECTIONS_MAX - 100) // 2)]  # two connections each
NAMES = [100, 1000, 10_000]
WAITERS_OF_NAME = 10
IN_LOOPS = "pawl, no thread of its own"


@dataclasses.dataclass
class Profile:
    name: str
    rounds: int = 5
    seconds: float = 2       # of most measurements
    scale_rounds: int = 2    # of how a cost grows: no goal depends on it
    processes: int = 200     # runs of each command of the group "run"
    small: bool = False      # a tenth of each large number

    def scaled(self, number):
        return max(2, number // 10) if self.small else number


PROFILES = {p.name: p for p in (
    Profile("full"),
    Profile("fast-full", seconds=0.6, scale_rounds=1, processes=100),
    Profile("quick", rounds=1, seconds=0.3, scale_rounds=1, processes=20, small=True))}


@dataclasses.dataclass
class Measurement:
    group: str        # "pairs", "contend", ...: what --only chooses
    clients: str
    who: str
    run: object       # () -> result
    rounds: int       # in the first so many

    @property
    def key(self):
        return self.group, self.clients, self.who


@contextlib.contextmanager
def cpu_of(server, result):
    before = server.cpu_us()
    yield
    result["server_cpu_us"] = server.cpu_us() - before


def hand(build, name, what):
    return Peer(name, [str(build / "proof/bench" / f"bench-{name}")], what, library=False)


def compared_with(build):
    """What is not a library: {name: Peer}."""
    begin = hand(build, "begin", "SQLite: BEGIN IMMEDIATE, busy_timeout; counts a fence")
    peers = [hand(build, "blpop", "by hand, hiredis; BLPOP wakes waiters"),
             hand(build, "hiredis", "by hand, hiredis; polls every ms"),
             hand(build, "baton", "no lock: what is possible if holders meet at a server"),
             hand(build, "publish", "no lock: one script that tells everybody, and nothing else"), begin,
             dataclasses.replace(begin, name="begin, empty",
                                 what="the same, but the transaction writes nothing"),
             hand(build, "flock", "flock(2)")]
    getlock = hand(build, "getlock", "MariaDB: GET_LOCK; nothing is written")
    advisory = hand(build, "advisory", "PostgreSQL: pg_advisory_lock of the session")
    peers += [getlock, advisory,
              hand(build, "gateway", "etcd: a put and a delete by its JSON gateway, no lock"),
              dataclasses.replace(getlock, name="getlock, fence",
                                  what="the same, and one UPDATE counts a fence"),
              dataclasses.replace(advisory, name="advisory-fence",
                                  what="the same, and one UPDATE counts a fence"),
              dataclasses.replace(advisory, name="skip-locked",
                                  what="PostgreSQL: SELECT ... FOR UPDATE SKIP LOCKED every ms"),
              dataclasses.replace(advisory, name="skip-lease",
                                  what="the same as a lease: token, fence and end are written"),
              dataclasses.replace(advisory, name="bare",
                                  what="PostgreSQL: two statements that write the same rows")]
    return {peer.name: peer for peer in peers}


class Plan:
    def __init__(self, build, scratch, server, peers, profile):
        self.bench, self.build = build / "proof/bench", build
        self.scratch, self.server = scratch, server
        self.profile, self.seconds = profile, profile.seconds
        self.pawl = hand(build, "pawl", "pawl")
        self.others = compared_with(build)
        self.hiredis, self.blpop = self.others["hiredis"], self.others["blpop"]
        self.baton = self.others["baton"]
        self.peers = peers
        self.list = []
        self._uncontended()
        self._server_cost()
        self._threads()
        self._kinds()
        self._contended()
        self._several()
        self._sharing()
        self._sqlite()
        self._databases()
        self._processes()
        self._leases()
        self._scale()

    def _add(self, group, clients, who, run, rounds=None):
        self.list.append(Measurement(group, str(clients), who, run, rounds or self.profile.rounds))

    # ---- One run of a driver -------------------------------------------------------------

    def _on_redis(self, peer, workload, clients, seconds=None, url=None):
        def measure():
            self.server.clear()
            cpu = {}
            result = driver.run(peer.command, url or self.server.url, workload, clients,
                                seconds or self.seconds, between=cpu_of(self.server, cpu))
            return dict(result, **cpu)
        return measure

    def _can(self, workload):
        return [peer for peer in self.peers if workload in peer.workloads]

    def _counted(self, peer, clients, workload="contend"):
        """Like _on_redis; the first time it also counts what the clients send."""
        counted = {}
        # A thousand clients need the time, and so do writers, who come seldom: a turn more or less
        # must not look unfair.
        is_long = clients == MANY or workload in SEVERAL
        seconds = max(2.0, 2 * self.seconds) if is_long else self.seconds

        def measure():
            if not counted:
                self.server.clear()
                count = CommandCount(self.server)
                result = driver.run(peer.command, self.server.url, workload, clients, COUNT_S,
                                    between=count)
                counted.update(commands=count.sent / result["total"],
                               calls_in_scripts=count.in_scripts / result["total"])
            return dict(self._on_redis(peer, workload, clients, seconds)(), **counted)
        return measure

    def _between_pings(self, measure):
        ping = self._on_redis(self.hiredis, "ping", 1, PING_S)

        def run():
            before, result, after = ping(), measure(), ping()
            return dict(result, ping_p50_ns=(before["ping_p50_ns"] + after["ping_p50_ns"]) / 2)
        return run

    # ---- The groups ------------------------------------------------------------------------

    def _uncontended(self):
        for workload in ("pairs", "acquire"):
            for peer in [self.pawl, self.hiredis, *self._can(workload)]:
                self._add(workload, 1, peer.name, self._on_redis(peer, workload, 1))
            if self.server.tls_url:
                self._add(workload, 1, "pawl, TLS",
                          self._on_redis(self.pawl, workload, 1, url=self.server.tls_url))
        mutex = hand(self.build, "mutex", "pthread_mutex and CLOCK_BOOTTIME")
        for peer in (self.pawl, mutex):
            self._add("cached", 1, peer.name, self._on_redis(peer, "cached", 1, self.seconds / 2))

    def _kinds(self):
        self._add("kinds", 1, "pawl", self._on_redis(self.pawl, "kinds", 1))
        self._add("readers", BESIDE, "pawl", self._on_redis(self.pawl, "readers", BESIDE))
        for peer in (self.pawl, self.others["publish"]):
            self._add("wake", READERS, peer.name, self._on_redis(peer, "wake", READERS))

    def _replay(self, peer, pairs):
        path = os.path.join(self.scratch, f"{peer.name}.wire")

        def measure():
            if not os.path.exists(path):
                wire.record(peer.command, self.server, path)
            self.server.clear()
            cpu = {}
            result = driver.run([str(self.bench / "bench-replay")], self.server.url, path,
                                pairs, self.seconds, between=cpu_of(self.server, cpu))
            return dict(result, **cpu)
        return measure

    def _server_cost(self):
        for peer in (self.pawl, self.hiredis):
            self._add("server", "64 pairs in flight", peer.name, self._replay(peer, 64))

    def _threads(self):
        self._add("threads", 16, "pawl", self._on_redis(self.pawl, "threads", 16))
        self._add("threads", 16, "replay", self._replay(self.pawl, 16))

    def _contended(self):
        for n in [*CONTENDED, MANY]:
            self._add("contend", n, "pawl", self._between_pings(self._counted(self.pawl, n)))
            others = [self.blpop, self.baton]
            if n != MANY:
                others += [self.hiredis, *self._can("contend")]
            for peer in others:
                self._add("contend", n, peer.name, self._counted(peer, n))

    def _several(self):
        """Names that several hold at once."""
        for workload, n in SEVERAL.items():
            for peer in [self.pawl, *self._can(workload)]:
                self._add(workload, n, peer.name, self._counted(peer, n, workload))

    def _sharing(self):
        self._add("share", "8x8", "pawl", self._on_redis(self.pawl, "share", "8x8"))
        self._add("share", "64x1", "pawl", self._on_redis(self.pawl, "share", "64x1"))

    def _on_files(self, peer, workload, clients):
        urls = {"pawl": f"sqlite:{self.scratch}/pawl.db", "flock": f"flock:{self.scratch}",
                "begin": f"sqlite-fence:{self.scratch}/begin.db",
                "begin, empty": f"sqlite:{self.scratch}/empty.db"}
        return lambda: driver.run(peer.command, urls[peer.name], workload, clients, self.seconds)

    def _sqlite(self):
        peers = [self.pawl, *(self.others[n] for n in ("begin", "begin, empty", "flock"))]
        for peer in peers:
            self._add("sqlite", 1, peer.name, self._on_files(peer, "pairs", 1))
        for n in SQLITE:
            for peer in peers:
                self._add("sqlite", n, peer.name, self._on_files(peer, "contend", f"{n}x1"))

    def _on_database(self, database, peer, workload, clients):
        def measure():
            database.start()
            cpu = {}
            url = {**database.urls, **database.peers}.get(peer.name, database.url)
            result = driver.run(peer.command, url, workload, clients, self.seconds,
                                between=cpu_of(database, cpu))
            return dict(result, **cpu)
        return measure

    def _on_database_counted(self, database, peer, clients):
        """The first time it also counts what the clients ask."""
        counted = {}

        def measure():
            database.start()
            if not counted:
                found = {}
                result = driver.run(peer.command, database.url, "contend", clients, self.seconds,
                                    between=database.counts(found))
                counted["commands"] = found["requests"] / result["total"]
            return dict(self._on_database(database, peer, "contend", clients)(), **counted)
        return measure

    def _databases(self):
        """pawl beside what the server has by itself."""
        kinds = (databases.PostgreSQL, databases.MariaDB, databases.Etcd, databases.ZooKeeper)
        every = [kind(self.scratch) for kind in kinds]
        self.databases = [database for database in every if database.installed]
        for database in self.databases:
            peers = [self.pawl, *(self.others[name] for name in database.urls),
                     *self._can(database.name)]
            for peer in peers:
                self._add(database.name, 1, peer.name,
                          self._on_database(database, peer, "pairs", 1))
            self._add(database.name, ALONE, "pawl",
                      self._on_database(database, self.pawl, "acquire", 1))
            for peer in [self.pawl, *(self.others[name] for name in WAKE_UP[database.name])]:
                self._add(database.name, ONE_WAITS, peer.name,
                          self._on_database(database, peer, "wakeup", 1))
            for n in DATABASES:
                self._add(database.name, n, "pawl",
                          self._on_database_counted(database, self.pawl, n))
                for peer in peers[1:]:
                    if peer.name not in ("bare", "gateway", "etcd-bare"):  # they do not wait
                        self._add(database.name, n, peer.name,
                                  self._on_database(database, peer, "contend", n))

    def stop(self):
        for database in self.databases:
            database.stop()

    def _processes(self):
        pawl = str(self.build / "pawl")
        commands = [["flock", f"{self.scratch}/run.lock", "true"],
                    [pawl, "run", "-S", f"sqlite:{self.scratch}/run.db", "key", "true"],
                    [pawl, "run", "-S", self.server.url, "key", "true"]]

        def measure():
            words = [str(self.bench / "bench-spawn"), str(self.profile.processes), *commands[0]]
            for command in commands[1:]:
                words += ["--", *command]
            done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, text=True, timeout=300)
            if done.returncode:
                raise driver.DriverFailed(done.stderr.strip() or "bench-spawn failed")
            return json.loads(done.stdout)
        self._add("run", 1, "all", measure)

    def _held(self, count):
        """A quick run has a tenth of the leases for a tenth of the time: as many renewals/s."""
        return self._on_redis(self.pawl, "leases", self.profile.scaled(count),
                              LEASES_S / 10 if self.profile.small else LEASES_S)

    def _leases(self):
        self._add("leases", self.profile.scaled(LEASES), "pawl", self._held(LEASES))

    def _scale(self):
        """How costs grow. A process has a thousand clients at most, and they share its limits."""
        rounds = self.profile.scale_rounds
        for count in (LEASES // 100, LEASES // 10):
            self._add("leases", self.profile.scaled(count), "pawl", self._held(count), rounds)
        for n in map(self.profile.scaled, WAITERS):
            processes = -(-n // 1000)
            for who, workload in (("pawl", "crowd-1"), (IN_LOOPS, "loops-1")):
                self._add("waiters", n, who,
                          self._on_redis(self.pawl, workload, f"{processes}x{n // processes}"), rounds)
        for n in map(self.profile.scaled, NAMES):
            self._add("names", n, "pawl",
                      self._on_redis(self.pawl, f"crowd-{n}", f"{WAITERS_OF_NAME + 1}x1"), rounds)
