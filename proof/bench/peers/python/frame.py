# SPDX-License-Identifier: MIT
"""proof/bench/driver/run.c once more for Python. See proof/bench/driver/driver.h for what a driver is."""
import json
import sys
import threading
import time

TTL_S = 30


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


def report(run, name, workload, clients, seconds):
    acquired = run.acquired
    out = {"driver": name, "workload": workload, "clients": clients, "seconds": seconds,
           "acquired": sum(acquired), "total": sum(run.total)}
    if run.times:
        out["acquire_p50_ns"] = quantile(run.times, 0.5)
        out["acquire_p99_ns"] = quantile(run.times, 0.99)
    if workload == "contend":
        squares = sum(n * n for n in acquired)
        out.update(handovers=len(run.gaps), overlaps=run.overlaps,
                   jain=sum(acquired) ** 2 / max(1, clients * squares),
                   longest_wait_ns=max(run.longest))
        if run.gaps:
            out["gap_p50_ns"] = quantile(run.gaps, 0.5)
            out["gap_p99_ns"] = quantile(run.gaps, 0.99)
    return out


def main(name, connect):
    """connect(url) makes a client with a connection of its own; called with a name it makes a
    lock, which has acquire() and release()."""
    url, workload, clients, seconds = sys.argv[1:]
    clients, seconds = int(clients), float(seconds)
    if workload not in ("pairs", "acquire", "contend"):
        sys.exit(f"{name} does not know the workload {workload}")
    run = Run(clients)
    warm, start = threading.Barrier(clients + 1), threading.Barrier(clients + 1)

    def client(me):
        new_lock = connect(url)
        own = new_lock(f"warm-{me}")
        for _ in range(2):
            own.acquire()
            own.release()
        lock = new_lock("bench-0")
        warm.wait()
        start.wait()
        if workload == "contend":
            run.contend(lock, me)
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
    for thread in threads:
        thread.join()
    print(json.dumps(report(run, name, workload, clients, seconds)), flush=True)
    sys.stdin.read()
