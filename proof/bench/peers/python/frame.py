# SPDX-License-Identifier: MIT
"""proof/bench/driver/run.c once more for Python. See proof/bench/driver/driver.h for what a driver is."""
import json
import os
import sys
import threading
import time

TTL_S = 30
PATIENCE_S = 5  # with clients that wait for a free lock until the end
TURNS, STAGGER = 20, 7  # of the workload mix: as proof/bench/pawl/several.c
READ, WRITE = 0, 1


class Run:
    def __init__(self, clients):
        self.stop = False
        self.until = 0
        self.inside = 0
        self.guard = threading.Lock()  # of inside only
        self.overlaps = 0
        self.last = self.released = None  # written by the holder only, as the gaps
        self.gaps = []
        self.times = []
        self.acquired = [0] * clients
        self.total = [0] * clients
        self.longest = [0] * clients
        self.asked = self.granted = 0
        self.waiting, self.passed = set(), []
        self.within, self.longest_of = [0, 0], [0, 0]
        self.by_kind = [[0] * clients, [0] * clients]

    def enter(self, by):
        with self.guard:
            self.inside += by
            return self.inside

    def contend(self, lock, me):
        while not self.stop:
            asked = time.monotonic_ns()
            lock.acquire()
            now = time.monotonic_ns()
            if self.enter(1) != 1:
                self.overlaps += 1
            self.total[me] += 1
            if now <= self.until:
                self.acquired[me] += 1
                self.longest[me] = max(self.longest[me], now - asked)
                if self.last not in (None, me):
                    self.gaps.append(now - self.released)
            self.last = me
            self.enter(-1)
            self.released = time.monotonic_ns()
            lock.release()

    def mix(self, locks, me):
        """locks: one to read and one to write. The rest as proof/bench/pawl/several.c has it."""
        turn = me * STAGGER
        while not self.stop:
            kind = READ if turn % TURNS else WRITE
            turn += 1
            asked = time.monotonic_ns()
            with self.guard:
                mine, self.asked = self.asked, self.asked + 1
                self.waiting.add(mine)
            locks[kind].acquire()
            now = time.monotonic_ns()
            with self.guard:
                self.waiting.remove(mine)
                # Of those who asked earlier, all who wait no longer were told earlier.
                earlier = mine - sum(question < mine for question in self.waiting)
                passed, self.granted = max(0, self.granted - earlier), self.granted + 1
                self.within[kind] += 1
                readers, writers = self.within
                self.overlaps += writers > 1 or writers == 1 and readers > 0
                self.total[me] += 1
                if now <= self.until:
                    self.by_kind[kind][me] += 1
                    self.longest_of[kind] = max(self.longest_of[kind], now - asked)
                    if kind == WRITE:
                        self.passed.append(passed)
            with self.guard:
                self.within[kind] -= 1
            locks[kind].release()

    def alone(self, lock, me, timed):
        while not self.stop:
            before = time.monotonic_ns()
            lock.acquire()
            if timed:
                self.times.append(time.monotonic_ns() - before)
            lock.release()
            self.acquired[me] += 1
        self.total = self.acquired


def quantile(times, share):
    return sorted(times)[int((len(times) - 1) * share)]


def jain(acquired):
    squares = sum(n * n for n in acquired)
    return sum(acquired) ** 2 / max(1, len(acquired) * squares)


def report_mix(run):
    reads, writes = run.by_kind
    return {"acquired": sum(reads) + sum(writes), "overlaps": run.overlaps,
            "reads": sum(reads), "writes": sum(writes),
            "jain_reads": jain(reads), "jain_writes": jain(writes),
            "longest_read_ns": run.longest_of[READ], "longest_write_ns": run.longest_of[WRITE],
            "passed_p99": quantile(run.passed, 0.99) if run.passed else 0,
            "passed_max": max(run.passed, default=0)}


def report(run, name, workload, clients, seconds):
    acquired = run.acquired
    out = {"driver": name, "workload": workload, "clients": clients, "seconds": seconds,
           "acquired": sum(acquired), "total": sum(run.total)}
    if run.times:
        out["acquire_p50_ns"] = quantile(run.times, 0.5)
        out["acquire_p99_ns"] = quantile(run.times, 0.99)
    if workload == "contend":
        out.update(handovers=len(run.gaps), overlaps=run.overlaps, jain=jain(acquired),
                   longest_wait_ns=max(run.longest))
        if run.gaps:
            out["gap_p50_ns"] = quantile(run.gaps, 0.5)
            out["gap_p99_ns"] = quantile(run.gaps, 0.99)
    if workload == "mix":
        out.update(report_mix(run), stuck=run.stuck)
    return out


def main(name, connect, workloads=("pairs", "acquire", "contend")):
    """connect(url) makes a client with a connection of its own; called with a name it makes a
    lock, which has acquire() and release(), or for the workload mix two of them."""
    url, workload, clients, seconds = sys.argv[1:]
    clients, seconds = int(clients), float(seconds)
    if workload not in workloads:
        sys.exit(f"{name} does not know the workload {workload}")
    run = Run(clients)
    warm, start = threading.Barrier(clients + 1), threading.Barrier(clients + 1)

    def client(me):
        new_lock = connect(url)
        own = new_lock(f"warm-{me}")
        for one in own if workload == "mix" else [own, own]:
            one.acquire()
            one.release()
        lock = new_lock("bench-0")
        warm.wait()
        start.wait()
        if workload == "contend":
            run.contend(lock, me)
        elif workload == "mix":
            run.mix(lock, me)
        else:
            run.alone(lock, me, workload == "acquire")

    threads = [threading.Thread(target=client, args=[i], daemon=True) for i in range(clients)]
    for thread in threads:
        thread.start()
    warm.wait()
    print("ready", flush=True)
    sys.stdin.readline()
    run.until = time.monotonic_ns() + int(seconds * 1e9)
    start.wait()
    time.sleep(max(0, run.until - time.monotonic_ns()) / 1e9)
    run.stop = True
    patience = time.monotonic() + PATIENCE_S
    for thread in threads:
        thread.join(max(0, patience - time.monotonic()) if workload == "mix" else None)
    run.stuck = sum(thread.is_alive() for thread in threads)
    print(json.dumps(report(run, name, workload, clients, seconds)), flush=True)
    sys.stdin.read()
    sys.stdout.flush()
    os._exit(0)
