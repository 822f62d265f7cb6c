# SPDX-License-Identifier: MIT
"""What pawl has set itself to reach, and whether it did."""
import dataclasses

from .plan import CONTENDED, LEASES, MANY, SQLITE
from .results import handovers_per_second, per_second, server_cpu_each


@dataclasses.dataclass
class Row:
    what: str
    target: str
    measured: str
    reached: bool


HANDOVERS = {8: 3.5, 32: 12, 128: 25}  # times the fastest peer library


def group(key):
    return lambda results, peers: [k for k in results.rounds if k[0] == key]


def at_least(what, ratio, bound, of, note=""):
    return Row(what, f"at least {bound:g} x {of}", f"{ratio:.2f} x{note}", ratio >= bound)


def at_most(what, ratio, bound, of, note=""):
    return Row(what, f"at most {bound:g} x {of}", f"{ratio:.2f} x{note}", ratio <= bound)


def uncontended(r, peers):
    if r.has("pairs", 1, "pawl") and r.has("pairs", 1, "hiredis"):
        what = "one caller, acquire + release, pairs/s"
        pawl = ("pairs", 1, "pawl")
        yield at_least(what, r.ratio(pawl, ("pairs", 1, "hiredis"), per_second), 1.5,
                       "the hand-written loop", f" ({r.median(pawl, per_second):,.0f}/s)")
        best = r.best("pairs", 1, peers, per_second)
        if best:
            yield at_least(what, r.ratio(pawl, ("pairs", 1, best), per_second), 1.5,
                           "the fastest peer", f" ({best})")
    if r.has("acquire", 1, "pawl") and r.has("acquire", 1, "hiredis"):
        pawl = ("acquire", 1, "pawl")
        yield at_most("acquire alone, p50",
                      r.ratio(pawl, ("acquire", 1, "hiredis"), "acquire_p50_ns"), 1.15,
                      "the hand-written loop", f" ({r.median(pawl, 'acquire_p50_ns') / 1e3:.1f} us)")


def cached(r, _):
    pawl, mutex = ("cached", 1, "pawl"), ("cached", 1, "mutex")
    if not (r.has(*pawl) and r.has(*mutex)):
        return
    rate = 1e9 / r.median(pawl, "pair_ns")
    what = "cached lease, acquire + release, one thread"
    yield Row(what, "at least 5 000 000 pairs/s", f"{rate:,.0f}/s", rate >= 5e6)
    yield at_most(what, r.ratio(pawl, mutex, "pair_ns"), 2, "mutex and CLOCK_BOOTTIME",
                  f" ({r.median(pawl, 'pair_ns'):.0f} ns)")


def server(r, _):
    pawl, hand = (("server", "64 pairs in flight", who) for who in ("pawl", "hiredis"))
    if r.has(*pawl) and r.has(*hand):
        yield at_most("server CPU of a pair, pipelined", r.ratio(pawl, hand, server_cpu_each), 0.8,
                      "the hand-written fenced pair's",
                      f" ({r.median(pawl, server_cpu_each):.1f} us)")


def threads(r, _):
    pawl, raw = ("threads", 16, "pawl"), ("threads", 16, "replay")
    if r.has(*pawl) and r.has(*raw):
        yield at_least("16 threads of one client, 16 names", r.ratio(pawl, raw, per_second), 0.8,
                       "a raw pipelined loop of the same scripts",
                       f" ({r.median(pawl, per_second):,.0f}/s)")


def handover_rate(r, peers):
    for n in CONTENDED:
        pawl = ("contend", n, "pawl")
        if not r.has(*pawl):
            continue
        rate = f" ({r.median(pawl, handovers_per_second):,.0f}/s)"
        best = r.best("contend", n, peers, handovers_per_second)
        if best:
            yield at_least(f"hand-overs per second, {n} clients",
                           r.ratio(pawl, ("contend", n, best), handovers_per_second),
                           HANDOVERS[n], "the fastest peer", f" {best}{rate}")
        if r.has("contend", n, "blpop"):
            yield at_least(f"hand-overs per second, {n} clients",
                           r.ratio(pawl, ("contend", n, "blpop"), handovers_per_second), 1.2,
                           "the hand-written BLPOP loop", rate)
    many, few = ("contend", MANY, "pawl"), ("contend", 8, "pawl")
    if r.has(*many) and r.has(*few):
        yield at_least(f"hand-overs per second, {MANY} clients",
                       r.ratio(many, few, handovers_per_second), 0.8, "those of 8 clients")


def handover_quality(r, _):
    for n in [*CONTENDED, MANY]:
        pawl, ping = ("contend", n, "pawl"), ("contend", n if n != MANY else 128, "ping")
        if not r.has(*pawl):
            continue
        if r.has(*ping):
            yield at_most(f"free between two holders, p50, {n} clients",
                          r.ratio(pawl, ping, "gap_p50_ns", "ping_p50_ns"), 1.2, "one PING",
                          f" ({r.median(pawl, 'gap_p50_ns') / 1e3:.0f} us)")
        jain, commands = r.median(pawl, "jain"), r.median(pawl, "commands")
        yield Row(f"fairness (Jain), {n} clients", "at least 0.99", f"{jain:.3f}", jain >= 0.99)
        yield Row(f"server commands per acquisition, {n} clients", "at most 2.1",
                  f"{commands:.2f}", commands <= 2.1)


def sharing(r, _):
    shared, single = ("share", "8x8", "pawl"), ("share", "64x1", "pawl")
    if r.has(*shared) and r.has(*single):
        what = "8 processes of 8 threads, one name"
        yield at_least(what, r.ratio(shared, single, per_second), 5, "64 single-threaded clients",
                       f" ({r.median(shared, per_second):,.0f}/s)")
        least = r.median(shared, "least_share")
        yield Row(what, "no process under 0.5 of its fair share", f"{least:.2f}", least >= 0.5)


def leases(r, _):
    for key in group("leases")(r, _):
        what = f"{int(key[1]):,} leases held by one client"
        size, share = r.median(key, "resident_each"), r.median(key, "renewal_core_share")
        yield Row(what, "at most 512 bytes each", f"{size:.0f} bytes", size <= 512)
        bound = 0.05
        yield Row(what, "renewals at most 5 % of a core", f"{share:.1%}", share <= bound)
        held = min(r.all(key, "held"))
        if held < int(key[1]) or int(key[1]) < LEASES:
            note = f"{held:,} of {int(key[1]):,}"
            yield Row(what, "none lost", note, held == int(key[1]))


def sqlite(r, _):
    for n in SQLITE:
        pawl, begin = ("sqlite", n, "pawl"), ("sqlite", n, "begin")
        if r.has(*pawl) and r.has(*begin):
            yield at_least(f"SQLite, {n} processes, hand-overs per second",
                           r.ratio(pawl, begin, handovers_per_second), 5,
                           "BEGIN IMMEDIATE with busy_timeout and a fence",
                           f" ({r.median(pawl, handovers_per_second):,.0f}/s)")
            least = min(r.all(pawl, "least_share"))
            yield Row(f"SQLite, {n} processes", "no starvation (none under 0.5 of its share)",
                      f"{least:.2f}", least >= 0.5)


def processes(r, _):
    key = ("run", 1, "all")
    if r.has(*key):
        flock, on_file, on_redis = (r.median(key, lambda x, i=i: x["p50_ns"][i]) / 1e6
                                    for i in range(3))
        yield at_most("pawl run KEY true, SQLite", r.ratio(
            key, key, lambda x: x["p50_ns"][1], lambda x: x["p50_ns"][0]), 2, "flock FILE true",
            f" ({on_file:.2f} ms, flock {flock:.2f} ms)")
        yield at_most("pawl run KEY true, Redis", r.ratio(
            key, key, lambda x: x["p50_ns"][2], lambda x: x["p50_ns"][1]), 1.2, "the SQLite one",
            f" ({on_redis:.2f} ms)")


def rows(results, peers):
    """peers: the names of the peer libraries."""
    for judge in (uncontended, cached, server, threads, handover_rate, handover_quality, sharing,
                  leases, sqlite, processes):
        yield from judge(results, peers)
