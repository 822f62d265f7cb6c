# SPDX-License-Identifier: MIT
"""What pawl has set itself to reach, and whether it did. Every goal has its row in every run; one
that was not measured says so."""
import dataclasses
import statistics

from .plan import (ALONE, BESIDE, CONTENDED, DATABASES, LEASES, MANY, MIX, ONE_WAITS, PERMITS,
                   READERS, SQLITE)
from .results import handovers_per_second, per_second, server_cpu_each

HANDOVERS = {8: 3.5, 32: 12, 128: 25}  # times the fastest peer library


@dataclasses.dataclass
class Row:
    what: str
    target: str
    measured: str = "not measured"
    reached: bool = None      # None: not measured
    values: list = dataclasses.field(default_factory=list)  # one for each round

    @property
    def verdict(self):
        return "?" if self.reached is None else "yes" if self.reached else "**no**"


def row(what, bound, least, target, values, form="{:.2f} x", note=""):
    """values: of each round; empty or None: not measured. form: of one of them."""
    if not values:
        return Row(what, target)
    middle = statistics.median(values)
    text = form.format(middle)
    if len(values) > 1:
        text += f" ({form.format(min(values)).split()[0]} to {form.format(max(values))})"
    reached = middle >= bound if least else middle <= bound
    return Row(what, target, text + (f"; {note}" if note else ""), reached, values)


def compare(r, what, over, under, bound, least, of, fields, note=None):
    """The ratio of two measurements. fields: (what, what of the other). note: a function."""
    target = f"{'at least' if least else 'at most'} {bound:g} x {of}"
    if under is None or not (r.has(*over) and r.has(*under)):
        return Row(what, target)
    return row(what, bound, least, target, r.ratios(over, under, *fields),
               note=note() if note else "")


def rate(r, key, per=per_second):
    return lambda: f"{r.median(key, per):,.0f}/s"


# ---- The goals ---------------------------------------------------------------------------------

def uncontended(r, peers):
    what, pawl = "one caller, acquire + release, pairs/s", ("pairs", 1, "pawl")
    yield compare(r, what, pawl, ("pairs", 1, "hiredis"), 1.5, True, "the hand-written loop",
                  [per_second], rate(r, pawl))
    best = r.best("pairs", 1, peers, per_second)
    yield compare(r, what, pawl, ("pairs", 1, best), 1.5, True, "the fastest peer", [per_second],
                  lambda: f"{best}")
    alone = ("acquire", 1, "pawl")
    yield compare(r, "acquire alone, p50", alone, ("acquire", 1, "hiredis"), 1.15, False,
                  "the hand-written loop", ["acquire_p50_ns"],
                  lambda: f"{r.median(alone, 'acquire_p50_ns') / 1e3:.1f} us")


def cached(r, _):
    what, pawl = "cached lease, acquire + release, one thread", ("cached", 1, "pawl")
    yield row(what, 5, True, "at least 5 million pairs/s",
              r.has(*pawl) and r.all(pawl, lambda x: 1e3 / x["pair_ns"]), "{:.1f} million/s")
    yield compare(r, what, pawl, ("cached", 1, "mutex"), 2, False, "mutex and CLOCK_BOOTTIME",
                  ["pair_ns"], lambda: f"{r.median(pawl, 'pair_ns'):.0f} ns")


def server(r, _):
    """By pipelined pairs per second; the CPU time of the server must say about the same."""
    pawl, hand = (("server", "64 pairs in flight", who) for who in ("pawl", "hiredis"))
    yield compare(r, "server CPU of a pair, by pipelined pairs/s", hand, pawl, 0.8, False,
                  "the hand-written fenced pair's", [per_second],
                  lambda: f"{r.median(pawl, per_second):,.0f} and {r.median(hand, per_second):,.0f}"
                          f" pairs/s; by CPU time {r.median(pawl, server_cpu_each):.1f} and "
                          f"{r.median(hand, server_cpu_each):.1f} us")


def threads(r, _):
    pawl = ("threads", 16, "pawl")
    yield compare(r, "16 threads of one client, 16 names", pawl, ("threads", 16, "replay"), 0.8,
                  True, "a raw pipelined loop of the same requests", [per_second], rate(r, pawl))


def kinds(r, _):
    """Each beside the exclusive lock, in one process that takes them in turn."""
    key, pairs = ("kinds", 1, "pawl"), "of the exclusive lock's pairs/s"
    for what, field in ("one reader, shared", "shared_ns"), ("one permit", "permit_ns"):
        yield compare(r, what + ", pairs/s", key, key, 0.9, True, pairs, ["exclusive_ns", field],
                      lambda field=field: f"{r.median(key, field) / 1e3:.0f} us")
    yield compare(r, "three names at once, acquire + release", key, key, 1.3, False, "one name",
                  ["several_ns", "exclusive_ns"],
                  lambda: f"{r.median(key, 'several_ns') / 1e3:.0f} us")
    yield row("a second reader of one client, one thread", 5, True, "at least 5 million pairs/s",
              r.has(*key) and r.all(key, lambda x: 1e3 / x["local_ns"]), "{:.1f} million/s")
    readers = ("readers", BESIDE, "pawl")
    yield compare(r, "64 readers of 8 processes on one name, acquisitions/s", readers, readers, 0.9,
                  True, "64 exclusive names", ["shared_per_s", "exclusive_per_s"],
                  lambda: f"{r.median(readers, 'shared_per_s') / 1e6:.2f} million/s")
    wake = ("wake", READERS, "pawl")
    yield compare(r, f"a writer's release until the last of {READERS} readers is told", wake, wake,
                  3, False, "until one is", ["wake_all_ns", "wake_one_ns"],
                  lambda: f"{r.median(wake, 'wake_all_ns') / 1e6:.1f} ms")
    bare = ("wake", READERS, "publish")
    yield compare(r, f"the same of a script that only publishes to {READERS}", bare, bare,
                  3, False, "until one is", ["wake_all_ns", "wake_one_ns"],
                  lambda: f"{r.median(bare, 'wake_all_ns') / 1e6:.1f} ms")


def handover_rate(r, peers):
    per = handovers_per_second
    for n in CONTENDED:
        what, pawl = f"hand-overs/s, {n} clients", ("contend", n, "pawl")
        best = r.best("contend", n, peers, per)
        yield compare(r, what, pawl, ("contend", n, best), HANDOVERS[n], True, "the fastest peer",
                      [per], lambda best=best: f"{best}")
        yield compare(r, what, pawl, ("contend", n, "blpop"), 1.2, True,
                      "the hand-written BLPOP loop", [per], rate(r, pawl, per))
    yield compare(r, f"hand-overs/s, {MANY} clients", ("contend", MANY, "pawl"),
                  ("contend", 8, "pawl"), 0.8, True, "those of 8 clients", [per])


def handover_quality(r, _):
    for n in [*CONTENDED, MANY]:
        pawl = ("contend", n, "pawl")
        measured = r.has(*pawl)
        yield compare(r, f"free between two holders, p50, {n} clients", pawl, pawl, 1.2, False,
                      "a PING right before and after", ["gap_p50_ns", "ping_p50_ns"],
                      lambda pawl=pawl: f"{r.median(pawl, 'gap_p50_ns') / 1e3:.0f} us")
        yield row(f"fairness (Jain), {n} clients", 0.99, True, "at least 0.99",
                  measured and r.all(pawl, "jain"), "{:.3f}")
        yield row(f"server commands per acquisition, {n} clients", 2.1, False, "at most 2.1",
                  measured and r.all(pawl, "commands"), "{:.2f}")


def shape(workload, n):
    return f"{n} threads of one client" if workload.endswith("-one") else f"{n} clients"


def mixes(r, peers):
    """Where all threads are one client's, Redisson's are, too."""
    for group in ("mix", "mix-one"):
        what, pawl = f"95 % readers, {shape(group, MIX)}", (group, MIX, "pawl")
        yield compare(r, f"{what}, acquisitions/s", pawl, (group, MIX, "redisson"), 10, True,
                      "Redisson's RReadWriteLock", [per_second], rate(r, pawl))
        if group == "mix":
            best = r.best(group, MIX, set(peers) - {"redisson"}, per_second)
            yield compare(r, f"{what}, acquisitions/s", pawl, (group, MIX, best), 3, True,
                          "the best other peer", [per_second], lambda best=best: f"{best}")
        for kind in ("reads", "writes"):
            yield row(f"{what}, fairness (Jain) of {kind}", 0.95, True, "at least 0.95",
                      r.has(*pawl) and r.all(pawl, f"jain_{kind}"), "{:.3f}")
        yield row(f"{what}, how many pass a writer that waits, p99", MIX - 1, False,
                  f"at most {MIX - 1}: each other, once", r.has(*pawl) and r.all(pawl, "passed_p99"),
                  "{:.0f}")


def permits(r, _):
    for group in ("permits", "permits-one"):
        what, pawl = f"8 permits, {shape(group, PERMITS)}", (group, PERMITS, "pawl")
        others = [("redisson", "Redisson's RPermitExpirableSemaphore"),
                  ("redis-semaphore", "redis-semaphore")]
        for name, of in others if group == "permits" else others[:1]:
            yield compare(r, f"{what}, hand-overs/s", pawl, (group, PERMITS, name), 5, True, of,
                          [handovers_per_second], rate(r, pawl, handovers_per_second))
        yield row(f"{what}, server commands per acquisition", 2.2, False, "at most 2.2",
                  r.has(*pawl) and r.all(pawl, "commands"), "{:.2f}")


def sharing(r, _):
    what, shared = "8 processes of 8 threads, one name", ("share", "8x8", "pawl")
    yield compare(r, what, shared, ("share", "64x1", "pawl"), 5, True,
                  "64 single-threaded clients", [per_second], rate(r, shared))
    yield row(what, 0.5, True, "each process at least 0.5 of its fair share",
              r.has(*shared) and r.all(shared, "least_share"), "{:.2f}")


def leases(r, _):
    count = max(map(int, r.clients("leases")), default=LEASES)
    what, key = f"{count:,} leases held by one client", ("leases", count, "pawl")
    measured = r.has(*key)
    yield row(what, 512, False, "at most 512 bytes each",
              measured and r.all(key, "resident_each"), "{:.0f} bytes")
    yield row(what, 0.05, False, "renewals at most 5 % of a core",
              measured and r.all(key, "renewal_core_share"), "{:.1%}")
    yield row(what, count, True, "all still held at the end",
              measured and [min(r.all(key, "held"))], "{:,}")


def sqlite(r, _):
    per = handovers_per_second
    for n in SQLITE:
        what, pawl = f"SQLite, {n} processes", ("sqlite", n, "pawl")
        for other, of in (("begin", "BEGIN IMMEDIATE with a fence"),
                          ("begin, empty", "BEGIN IMMEDIATE that writes nothing")):
            yield compare(r, f"{what}, hand-overs/s", pawl, ("sqlite", n, other), 5, True, of,
                          [per], rate(r, pawl, per))
        yield row(what, 0.5, True, "no starvation: each at least 0.5 of its share",
                  r.has(*pawl) and [min(r.all(pawl, "least_share"))], "{:.2f}")


def databases(r, _):
    pair = ("postgres", 1, "pawl")
    yield compare(r, "PostgreSQL, one caller, pairs/s", pair, ("postgres", 1, "bare"), 0.8, True,
                  "two bare statements", [per_second], rate(r, pair))
    per = handovers_per_second
    for n in DATABASES:
        for name, group, other, bound, of in (
                ("PostgreSQL", "postgres", "skip-locked", 5, "polling FOR UPDATE SKIP LOCKED"),
                ("PostgreSQL", "postgres", "skip-lease", 5, "polling a lease by SKIP LOCKED"),
                ("PostgreSQL", "postgres", "advisory", 1, "pg_advisory_lock"),
                ("PostgreSQL", "postgres", "advisory-fence", 1, "pg_advisory_lock, fence counted"),
                ("MariaDB", "mariadb", "getlock", 1, "GET_LOCK"),
                ("MariaDB", "mariadb", "getlock, fence", 1, "GET_LOCK that counts a fence")):
            pawl = (group, n, "pawl")
            yield compare(r, f"{name}, {n} clients, hand-overs/s", pawl, (group, n, other), bound,
                          True, of, [per], rate(r, pawl, per))


def clusters(r, _):
    """What others do with the same server. The gateway is a bound: who speaks JSON gets no more."""
    per = handovers_per_second
    for name, group, other, of, alone, contended in (
            ("ZooKeeper", "zookeeper", "curator", "Curator's InterProcessMutex", 0.91, 1.2),
            ("etcd", "etcd", "etcd-concurrency", "etcd's own Go package", 1.2, 1.2)):
        pawl = (group, 1, "pawl")
        yield compare(r, f"{name}, one caller, pairs/s", pawl, (group, 1, other), alone, True, of,
                      [per_second], rate(r, pawl))
        for n in DATABASES:
            pawl = (group, n, "pawl")
            yield compare(r, f"{name}, {n} clients, hand-overs/s", pawl, (group, n, other),
                          contended, True, of, [per], rate(r, pawl, per))
    pawl = ("etcd", 1, "pawl")
    yield compare(r, "etcd, one caller, pairs/s", pawl, ("etcd", 1, "gateway"), 0.8, True,
                  "a put and a delete by the gateway", [per_second], rate(r, pawl))


def stores_with_push(r, _):
    """A wake-up is two trips of writing: the release, and the news of it or a question. Where many
    hand it round, who released asks for the next turn meanwhile, in the way of the news."""
    for name, group in (("PostgreSQL", "postgres"), ("MariaDB", "mariadb"), ("etcd", "etcd"),
                        ("ZooKeeper", "zookeeper")):
        alone, one = (group, ALONE, "pawl"), (group, ONE_WAITS, "pawl")
        yield compare(r, f"{name}, release until the only waiter has it, p50", one, one, 2, False,
                      "an acquisition alone", ["wakeup_p50_ns", "alone_p50_ns"],
                      lambda one=one: f"{r.median(one, 'wakeup_p50_ns') / 1e3:.0f} us")
        for n in DATABASES:
            pawl = (group, n, "pawl")
            yield compare(r, f"{name}, free between two holders, p50, {n} clients", pawl,
                          alone, 2, False, "an acquisition alone",
                          ["gap_p50_ns", "acquire_p50_ns"],
                          lambda pawl=pawl: f"{r.median(pawl, 'gap_p50_ns') / 1e3:.0f} us")
        few, many = ((group, n, "pawl") for n in (DATABASES[0], DATABASES[-1]))
        yield compare(r, f"{name}, requests per acquisition, {many[1]} clients", many, few, 1.1,
                      False, f"with {few[1]}", ["commands"],
                      lambda many=many: f"{r.median(many, 'commands'):.2f}")


def processes(r, _):
    key = ("run", 1, "all")

    def nth(i):
        return lambda result: result["p50_ns"][i]

    def ms(i):
        return f"{r.median(key, nth(i)) / 1e6:.2f} ms"

    yield compare(r, "pawl run KEY true, SQLite", key, key, 2, False, "flock FILE true",
                  [nth(1), nth(0)], lambda: f"{ms(1)}, flock {ms(0)}")
    yield compare(r, "pawl run KEY true, Redis", key, key, 1.2, False, "the SQLite one",
                  [nth(2), nth(1)], lambda: ms(2))


def rows(results, peers):
    """peers: the names of the peer libraries."""
    for judge in (uncontended, cached, server, threads, kinds, handover_rate, handover_quality, mixes,
                  permits, sharing, leases, sqlite, databases, clusters,
                  stores_with_push, processes):
        yield from judge(results, peers)
