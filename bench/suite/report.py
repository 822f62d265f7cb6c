# SPDX-License-Identifier: MIT
"""Prints the results, and writes them into docs/performance.md between two marks."""
import datetime
import os
import platform
import re
import sqlite3
import subprocess

from . import targets
from .plan import MANY
from .results import handovers_per_second, per_second, server_cpu_each

BEGIN, END = "<!-- written by bench/compare: begin -->", "<!-- written by bench/compare: end -->"


def table(heads, rows):
    lines = ["| " + " | ".join(heads) + " |",
             "|" + "|".join("---" if i == 0 else "---:" for i in range(len(heads))) + "|"]
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

def goals(results, names):
    rows = [(row.what, row.target, row.measured, "yes" if row.reached else "**no**")
            for row in targets.rows(results, names)]
    return table(["what", "goal", "measured", "reached"], rows)


def us(results, key, field):
    has = [r[field] for r in results.rounds[key] if field in r]
    return f"{results.median(key, lambda r: r.get(field, 0)) / 1e3:,.1f}" if has else ""


def uncontended(results, label):
    rows = []
    for who in results.who("pairs", 1):
        pairs, alone = ("pairs", "1", who), ("acquire", "1", who)
        rows.append((label(who), f"{results.median(pairs, per_second):,.0f}",
                     *((us(results, alone, "acquire_p50_ns"), us(results, alone, "acquire_p99_ns"))
                       if results.has(*alone) else ("", "")),
                     f"{results.median(pairs, server_cpu_each):.1f}"))
    return table(["one caller", "pairs/s", "acquire p50 us", "p99 us", "server CPU us per pair"],
                 sorted(rows, key=lambda row: -float(row[1].replace(",", ""))))


def contended(results, label, group, n):
    rows = []
    for who in results.who(group, n):
        key = (group, str(n), who)
        if who == "ping":
            continue
        commands = [r["commands"] for r in results.rounds[key] if "commands" in r]
        rows.append((label(who), f"{results.median(key, handovers_per_second):,.0f}",
                     f"{results.median(key, per_second):,.0f}",
                     us(results, key, "gap_p50_ns"), us(results, key, "gap_p99_ns"),
                     f"{results.median(key, 'jain'):.3f}",
                     f"{results.median(key, 'longest_wait_ns') / 1e6:,.0f}",
                     f"{commands[0]:.2f}" if commands else "",
                     sum(r.get("overlaps", 0) for r in results.rounds[key])))
    rows.sort(key=lambda row: -float(row[1].replace(",", "")))
    clients = "processes" if group == "sqlite" else "clients"
    return table([f"{n} {clients}", "hand-overs/s", "acquisitions/s", "free p50 us", "p99 us",
                  "Jain", "longest wait ms", "commands", "two inside"], rows)


def others(results, label):
    rows = []
    for key in results.rounds:
        group, clients, who = key
        if group in ("server", "threads"):
            unit = f"{results.median(key, server_cpu_each):.1f} us of server CPU per pair"
            rows.append((f"{group}, {clients}", label(who),
                         f"{results.median(key, per_second):,.0f} pairs/s; {unit}"))
        if group == "cached":
            rows.append((group, label(who), f"{results.median(key, 'pair_ns'):.1f} ns per pair"))
        if group == "share":
            rows.append((f"{group}, {clients}", label(who),
                         f"{results.median(key, per_second):,.0f} acquisitions/s; least share "
                         f"{results.median(key, 'least_share'):.2f}"))
        if group == "sqlite" and clients == "1":
            rows.append((f"{group}, one process", label(who),
                         f"{results.median(key, per_second):,.0f} pairs/s"))
        if group == "leases":
            rows.append((f"{int(clients):,} leases", label(who),
                         f"{results.median(key, 'resident_each'):.0f} bytes each; renewals "
                         f"{results.median(key, 'renewal_core_share'):.1%} of a core; "
                         f"{results.median(key, 'taken_per_second'):,.0f} taken per second"))
        if group == "contend" and who == "ping":
            rows.append((f"PING, before {clients} clients", "",
                         f"p50 {us(results, key, 'ping_p50_ns')} us"))
    return table(["measurement", "who", "result"], rows)


def body(results, plan, names, skipped, about):
    def label(who):
        return "**pawl**" if who == "pawl" else who

    blocks = [[about], goals(results, names)]
    if results.who("pairs", 1):
        blocks.append(uncontended(results, label))
    contention = [(g, n) for g, n in dict.fromkeys((k[0], k[1]) for k in results.rounds)
                  if g == "contend" or (g == "sqlite" and n != "1")]
    blocks += [contended(results, label, g, n) for g, n in contention]
    blocks.append(others(results, label))
    compared = [plan.blpop, plan.hiredis, plan.begin, plan.empty, plan.flock, *plan.peers]
    blocks.append(table(["compared with", "what it is", "version"],
                        [(p.name, p.what, p.version) for p in compared]))
    notes = [f"- not measured: {name}: {why}" for name, why in skipped.items()]
    notes += [f"- failed: {' '.join(key)}: {why}" for key, why in results.failures]
    notes += [f"- two holders at once: {' '.join(key)}: {count} times"
              for key, count in results.overlaps().items()]
    if notes:
        blocks.append(notes)
    return "\n\n".join("\n".join(block) for block in blocks)


def headline(plan, rounds, load):
    date = datetime.date.today().isoformat()
    return (f"{date}. {machine()}; {software(plan.server, str(plan.build / 'pawl'))}. "
            f"{rounds} rounds of {plan.seconds:g} s each ({2 * plan.seconds:g} s with {MANY} "
            f"clients), medians; TCP on the loopback interface, no persistence; load average "
            f"before the run {load:.2f}.")


def write(path, text):
    with open(path, encoding="utf-8") as file:
        page = file.read()
    before, _, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"{path} has no place for results")
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"{before}{BEGIN}\n{text}\n{END}{after}")
