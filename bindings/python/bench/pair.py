# SPDX-License-Identifier: MIT
"""usage: pair.py URL [--seconds S] [--rounds N] [--c COMMAND]

What one uncontended pair of acquire and release costs: pawl from Python, pawl from C (COMMAND, such
as "build/pawl-bench"), redis-py's Lock and python-redis-lock, if they are installed, in turn, round
by round, in one run. Prints microseconds, the median of the rounds, and the ratios to C.
"""
import argparse
import json
import shlex
import statistics
import subprocess
import sys
import time
from urllib.parse import urlsplit

import pawl

TTL = 30


def timed(pair, seconds):
    """Microseconds for one pair."""
    for _ in range(50):
        pair()
    count, begun = 0, time.perf_counter()
    while True:
        for _ in range(20):
            pair()
        count += 20
        took = time.perf_counter() - begun
        if took >= seconds:
            return took / count * 1e6


def of_lock(lock):
    def pair():
        lock.acquire()
        lock.release()
    return pair


def of_block(client):
    def pair():
        with client.lock("bench", ttl=TTL):
            pass
    return pair


def from_c(command, url, seconds):
    """pawl-bench's own measurement of one client alone."""
    done = subprocess.run([*shlex.split(command), "-q", "-S", url, "-d", f"{seconds}s", "--json", "--only",
                           "uncontended", "bench"], check=True, text=True, stdout=subprocess.PIPE)
    return 1e6 / json.loads(done.stdout)["phases"][0]["pairs_per_second"]


def redis_client(redis, url):
    parts = urlsplit(url)
    if parts.scheme == "redis+unix":
        return redis.Redis(unix_socket_path=parts.path)
    return redis.Redis.from_url(url)


def peers(url):
    """(name, a function of seconds) of what is installed here."""
    if not url.startswith("redis"):
        return
    try:
        import redis
    except ImportError:
        print("redis-py is not installed", file=sys.stderr)
        return
    client = redis_client(redis, url)
    yield "redis-py", of_lock(client.lock("bench-redis-py", timeout=TTL))
    try:
        import redis_lock
    except ImportError:
        print("python-redis-lock is not installed", file=sys.stderr)
        return
    yield "python-redis-lock", of_lock(redis_lock.Lock(client, "bench-redis-lock", expire=TTL))


def measure(url, seconds, rounds, command):
    """name: its microseconds, one for each round."""
    with pawl.Client(url) as client:
        runs = {"pawl, one Lock": of_lock(client.lock("bench", ttl=TTL)),
                "pawl, with client.lock()": of_block(client), **dict(peers(url))}
        results = {name: [] for name in (["pawl in C"] if command else []) + list(runs)}
        for _ in range(rounds):
            if command:
                results["pawl in C"].append(from_c(command, url, seconds))
            for name, pair in runs.items():
                results[name].append(timed(pair, seconds))
        return results


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[1])
    parser.add_argument("url")
    parser.add_argument("--seconds", type=float, default=1.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--c", metavar="COMMAND", help="pawl-bench, to compare with C")
    args = parser.parse_args()
    medians = {name: statistics.median(times) for name, times
               in measure(args.url, args.seconds, args.rounds, args.c).items()}
    base = medians.get("pawl in C")
    for name, median in medians.items():
        ratio = f"  {median / base:5.2f} x C" if base else ""
        print(f"{name:26} {median:8.1f} us{ratio}")


if __name__ == "__main__":
    main()
