# SPDX-License-Identifier: MIT
"""What pawl serve costs, and how quick its page is, beside many locks: printed, for docs/operations.md.

    PAWL_BUILD=build python3 proof/tests/serve/serve_cost.py --locks 10000 --waiters 10000
"""
import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

HERE = os.path.dirname(os.path.abspath(__file__))
for folder in (HERE, os.path.join(HERE, "..", "cli"), os.path.join(HERE, "..", "counter")):
    sys.path.insert(0, folder)
import browser as chromium  # noqa: E402
import watch_cost  # noqa: E402
from harness import RedisServer, Rig  # noqa: E402
from serving import Served  # noqa: E402

PAINTED = ("performance.getEntriesByName('first-contentful-paint').length > 0"
           " && document.querySelectorAll('.row').length > 0")


def first_paint(window, served):
    """Milliseconds from the address to the first paint, and to the first rows."""
    began = time.monotonic()
    window.open(served.url)
    window.until(PAINTED, "rows")
    rows = 1000 * (time.monotonic() - began)
    paint = window.run("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    print(f"the page: first paint after {paint:.0f} ms, rows after {rows:.0f} ms")


def answers(served, seconds):
    """How long HTTP takes while looks go on: a page of the list, and one lock, which is asked of the store."""
    times = {"/locks?limit=200": [], "/lock?key=" + served.get("/locks")["rows"][0]["key"]: []}
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for path, list_ in times.items():
            began = time.monotonic()
            served.get(path)
            list_.append(1000 * (time.monotonic() - began))
    for path, list_ in times.items():
        list_.sort()
        print(f"{path.split('?')[0]}: p50 {statistics.median(list_):.1f} ms, p99 {list_[int(0.99 * len(list_))]:.1f} ms, "
              f"the worst of {len(list_)}: {list_[-1]:.0f} ms")


def updates(rig, served, seconds):
    """Pictures a second that a page is sent, and what the server is asked meanwhile."""
    stream = served.stream()
    stream.until(lambda seen: seen["store"]["known"], "known")
    stream.next()
    began, before, pictures = time.monotonic(), watch_cost.counts(rig.server), 0
    while time.monotonic() - began < seconds:
        seen = stream.next()
        pictures += 1
    took = time.monotonic() - began
    asked = sum(watch_cost.between(before, watch_cost.counts(rig.server)).values())
    stream.close()
    print(f"held {seen['sums']['held']}, waiting {seen['sums']['waiting']}: a look takes {seen['store']['took_ms']} ms; "
          f"{pictures / took:.2f} pictures a second; {asked / took:.0f} commands a second, those in scripts counted")


def beside_others(rig, start, rounds):
    """A lock alone and watched, in turn."""
    alone, watched = [], []
    for _ in range(rounds):
        alone.append(watch_cost.lock(rig))
        served = start()
        served.until(lambda seen: seen["store"]["known"], "known")
        watched.append(watch_cost.lock(rig))
        served.end()
    for i, what in enumerate(("p50 in us", "pairs a second")):
        before, after = (statistics.median(one[i] for one in all_) for all_ in (alone, watched))
        print(f"a lock beside it, {what}: alone {before:.1f}, watched {after:.1f}, {100 * (after / before - 1):+.1f} %")


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--locks", type=int, default=10000)
    options.add_argument("--waiters", type=int, default=10000)
    options.add_argument("--seconds", type=float, default=10)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--interval", default="2s", help="of pawl serve; it rests nine times as long as a look takes")
    options = options.parse_args()
    with tempfile.TemporaryDirectory() as tmp:
        server = RedisServer(Path(tmp))
        rig = Rig(server.url, Path(tmp))
        rig.server = server
        start = lambda: Served(rig, "-i", options.interval)  # noqa: E731
        try:
            with watch_cost.crowd(rig, options.locks, options.waiters):
                served = start()
                updates(rig, served, options.seconds)
                answers(served, options.seconds)
                if chromium.find():
                    window = chromium.Browser(tmp)
                    first_paint(window, served)
                    window.close()
                served.end()
                beside_others(rig, start, options.rounds)
        finally:
            rig.close()
            server.end()
    print(json.dumps({"cores": os.cpu_count(), "load": os.getloadavg()[0]}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
