# SPDX-License-Identifier: MIT
"""Prints the results, and writes them into docs/performance.md between two marks."""
import datetime
import os
import platform
import re
import sqlite3
import statistics
import subprocess

from .plan import MANY, WAITERS_OF_NAME
from .results import handovers_per_second, per_second, server_cpu_each
from .targets import shape

DATABASES = ("postgres", "mariadb", "etcd", "zookeeper")
BEGIN, END = "<!-- written by proof/bench/compare: begin -->", "<!-- written by proof/bench/compare: end -->"


def table(heads, rows, words=1):
    """words: so many columns hold words, the others numbers."""
    lines = ["| " + " | ".join(heads) + " |",
             "|" + "|".join("---" if i < words else "---:" for i in range(len(heads))) + "|"]
    return lines + ["| " + " | ".join(map(str, row)) + " |" for row in rows]


# ---- The machine -------------------------------------------------------------------------------

def first_match(path, pattern):
    try:
        with open(path, encoding="utf-8") as file:
            found = re.search(pattern, file.read())
    except OSError:
        found = None
    return found.group(1).strip() if found else "?"


def output_of(*command):
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip().splitlines()[0] if done.stdout.strip() else ""


def machine():
    memory = int(first_match("/proc/meminfo", r"MemTotal:\s*(\d+)")) // 1048576
    cpu = first_match("/proc/cpuinfo", r"model name\s*:\s*(.*)")
    system = first_match("/etc/os-release", r'PRETTY_NAME="([^"]*)"')
    return (f"{cpu}, {os.cpu_count()} CPUs, {memory} GiB, {system}, "
            f"Linux {platform.release().split('-')[0]}")


def software(server, pawl):
    found = [output_of(pawl, "--version"), server.version(), f"SQLite {sqlite3.sqlite_version}",
             output_of("cc", "--version"), output_of("go", "version").replace("go version ", ""),
             "Node " + output_of("node", "--version"), output_of("java", "-version")]
    return ", ".join(f for f in found if f and not f.endswith(" "))


# ---- The tables --------------------------------------------------------------------------------

def label(who):
    return "**pawl**" if who == "pawl" else who


def goals(rows):
    return table(["what", "goal", "measured (lowest to highest round)", "reached"],
                 [(row.what, row.target, row.measured, row.verdict) for row in rows], words=4)


def us(results, key, field):
    has = [r[field] for r in results.of(key).values() if field in r]
    return f"{statistics.median(has) / 1e3:,.1f}" if has else ""


def uncontended(results):
    rows = []
    for who in results.who("pairs", 1):
        pairs, alone = ("pairs", "1", who), ("acquire", "1", who)
        rows.append((label(who), f"{results.median(pairs, per_second):,.0f}",
                     *((us(results, alone, "acquire_p50_ns"), us(results, alone, "acquire_p99_ns"))
                       if results.has(*alone) else ("", "")),
                     f"{results.median(pairs, server_cpu_each):.1f}"))
    return table(["one caller", "pairs/s", "acquire p50 us", "p99 us", "server CPU us per pair"],
                 sorted(rows, key=lambda row: -float(row[1].replace(",", ""))))


def contended(results, group, n):
    rows = []
    for who in results.who(group, n):
        key = (group, n, who)
        commands = [r["commands"] for r in results.of(key).values() if "commands" in r]
        rows.append((label(who), f"{results.median(key, handovers_per_second):,.0f}",
                     f"{results.median(key, per_second):,.0f}",
                     us(results, key, "gap_p50_ns"), us(results, key, "gap_p99_ns"),
                     f"{results.median(key, 'jain'):.3f}",
                     f"{results.median(key, 'longest_wait_ns') / 1e6:,.0f}",
                     f"{commands[0]:.2f}" if commands else "",
                     sum(r.get("overlaps", 0) for r in results.of(key).values())))
    rows.sort(key=lambda row: -float(row[1].replace(",", "")))
    where = {"sqlite": "{} processes", "contend": "{} clients", "permits": "8 permits, {} clients",
             "permits-one": "8 permits, {} threads of one client"}.get(group, f"{group}, {{}} clients")
    return table([where.format(n), "hand-overs/s", "acquisitions/s", "free p50 us", "p99 us",
                  "Jain", "longest wait ms", "commands", "two inside"], rows)


def mix(results, group, n):
    rows = []
    for who in results.who(group, n):
        key = (group, n, who)
        rows.append((label(who), f"{results.median(key, per_second):,.0f}",
                     f"{results.median(key, lambda r: r['writes'] / r['seconds']):,.0f}",
                     *(f"{results.median(key, f'jain_{kind}'):.3f}" for kind in ("reads", "writes")),
                     *(f"{results.median(key, f'longest_{kind}_ns') / 1e6:,.0f}"
                       for kind in ("read", "write")),
                     f"{results.median(key, 'passed_p99'):,.0f}",
                     f"{results.median(key, 'commands'):.2f}",
                     sum(r.get("overlaps", 0) for r in results.of(key).values())))
    rows.sort(key=lambda row: -float(row[1].replace(",", "")))
    return table([f"95 % readers, {shape(group, n)}", "acquisitions/s", "of them to write",
                  "Jain, reads", "writes", "longest wait to read ms", "to write",
                  "pass a writer, p99", "commands", "broken"], rows)


def crowds(results):
    """How the cost of a hand-over grows with the waiters on one name, and with the names."""
    rows = []
    for group, what in (("waiters", "{} waiters on one name"),
                        ("names", f"{{}} names, {WAITERS_OF_NAME} waiters each")):
        for n, who in ((n, who) for n in results.clients(group) for who in results.who(group, n)):
            key = (group, n, who)
            rows.append((what.format(f"{int(n):,}") + who.removeprefix("pawl"),
                         f"{results.median(key, handovers_per_second):,.0f}",
                         us(results, key, "gap_p50_ns"),
                         f"{results.median(key, lambda r: cost(r, 'client_cpu_us')):.1f}",
                         f"{results.median(key, lambda r: cost(r, 'server_cpu_us')):.1f}",
                         f"{results.median(key, 'resident_each'):,.0f}"))
    return table(["pawl, asynchronous calls", "hand-overs/s", "free p50 us",
                  "client CPU us per hand-over", "server CPU us per hand-over",
                  "bytes per waiter in the client"], rows) if rows else []


def cost(result, cpu):
    return result[cpu] / max(1, result["handovers"])


def held(results):
    rows = []
    for n in sorted(results.clients("leases"), key=int):
        key = ("leases", n, "pawl")
        rows.append((f"{int(n):,}", f"{results.median(key, 'resident_each'):,.0f}",
                     f"{results.median(key, 'renewal_core_share'):.2%}",
                     f"{results.median(key, 'server_cpu_us') / results.median(key, 'window_us'):.2%}",
                     f"{results.median(key, 'taken_per_second'):,.0f}"))
    return table(["leases of one client", "bytes each", "renewals, client", "renewals, server",
                  "taken per second"], rows) if rows else []


def unit_of(results, key):
    return f"{results.median(key, server_cpu_each):.1f} us of server CPU per pair"


def others(results):
    rows = []
    for key in results.rounds:
        group, clients, who = key
        if group in ("server", "threads"):
            rows.append((f"{group}, {clients}", label(who),
                         f"{results.median(key, per_second):,.0f} pairs/s; {unit_of(results, key)}"))
        if group == "cached":
            rows.append((group, label(who), f"{results.median(key, 'pair_ns'):.1f} ns per pair"))
        if group == "share":
            rows.append((f"{group}, {clients}", label(who),
                         f"{results.median(key, per_second):,.0f} acquisitions/s; least share "
                         f"{results.median(key, 'least_share'):.2f}"))
        if group in DATABASES and clients == "1":
            rows.append((f"{group}, one caller", label(who),
                         f"{results.median(key, per_second):,.0f} pairs/s; {unit_of(results, key)}"))
        if group == "sqlite" and clients == "1":
            rows.append((f"{group}, one process", label(who),
                         f"{results.median(key, per_second):,.0f} pairs/s"))
    return table(["measurement", "who", "result"], rows, words=3) if rows else []


def notes(results):
    lines = [f"- not measured: {name}: {why}" for name, why in results.skipped.items()]
    lines += [f"- failed: {' '.join(key)}: {why}" for key, why in results.failures]
    lines += [f"- two holders at once: {' '.join(key)}: {count} times"
              for key, count in results.overlaps().items()]
    lost = {key: sum(r.get("stuck", 0) for r in rounds.values())
            for key, rounds in results.rounds.items()}
    lines += [f"- clients that waited for a free lock until the end: {' '.join(key)}: {count}"
              for key, count in lost.items() if count]
    return lines


def body(results, rows):
    blocks = [[headline(results.about)], goals(rows)]
    if results.who("pairs", 1):
        blocks.append(uncontended(results))
    blocks += [contended(results, "contend", n) for n in results.clients("contend")]
    blocks += [mix(results, group, n) for group in ("mix", "mix-one") for n in results.clients(group)]
    blocks += [contended(results, group, n) for group in ("permits", "permits-one")
               for n in results.clients(group)]
    blocks += [contended(results, group, n) for group in ("sqlite", *DATABASES)
               for n in results.clients(group) if n.isdigit() and n != "1"]
    blocks += [crowds(results), held(results), others(results)]
    blocks.append(table(["compared with", "what it is", "version"],
                        results.about["compared with"], words=3))
    blocks.append(notes(results))
    return "\n\n".join("\n".join(block) for block in blocks if block)


def describe(plan, load):
    """What the page must say of a run; kept with its results."""
    return {"date": datetime.date.today().isoformat(), "machine": machine(),
            "software": software(plan.server, str(plan.build / "pawl")),
            "profile": plan.profile.name, "rounds": plan.profile.rounds,
            "seconds": plan.profile.seconds, "load": round(load, 2),
            "peers": [p.name for p in plan.peers],
            "compared with": [(p.name, p.what, p.version)
                              for p in [*plan.others.values(), *plan.peers]]}


def headline(about):
    return (f"{about['date']}. {about['machine']}; {about['software']}. "
            f"Profile {about['profile']}: {about['rounds']} rounds of {about['seconds']:g} s for "
            f"most measurements ({MANY} clients, readers and writers, and permits longer), medians; TCP on the loopback interface, "
            f"no persistence; load average before the run {about['load']:.2f}.")


def write(path, text):
    with open(path, encoding="utf-8") as file:
        page = file.read()
    before, _, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"{path} has no place for results")
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"{before}{BEGIN}\n{text}\n{END}{after}")
