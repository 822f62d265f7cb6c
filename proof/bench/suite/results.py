# SPDX-License-Identifier: MIT
"""The results of all rounds, kept in a file as they come, and what is computed from them."""
import json
import os
import statistics


class Results:
    def __init__(self, path=None):
        self.path = path
        self.about = {}     # what was run, where: for the headline
        self.rounds = {}    # key -> {number of the round: result}
        self.failures = []  # (key, why)
        self.skipped = {}   # peer -> why

    # ---- Keeping --------------------------------------------------------------------------

    def add(self, key, number, result):
        self.rounds.setdefault(key, {})[number] = result
        self.save()

    def fail(self, key, number, why):
        self.failures.append((key, f"round {number}: {why}"))
        self.save()

    def save(self):
        """After each measurement: whatever ends the run, what was measured is there."""
        if not self.path:
            return
        measured = [{"key": key, "rounds": rounds} for key, rounds in self.rounds.items()]
        with open(f"{self.path}.new", "w", encoding="utf-8") as file:
            json.dump({"about": self.about, "measured": measured, "failures": self.failures,
                       "skipped": self.skipped}, file, indent=1)
        os.replace(f"{self.path}.new", self.path)

    @classmethod
    def load(cls, path):
        with open(path, encoding="utf-8") as file:
            kept = json.load(file)
        results = cls()
        results.about, results.skipped = kept["about"], kept["skipped"]
        results.failures = [(tuple(key), why) for key, why in kept["failures"]]
        results.rounds = {tuple(m["key"]): {int(n): r for n, r in m["rounds"].items()}
                          for m in kept["measured"]}
        return results

    # ---- Asking ---------------------------------------------------------------------------

    def has(self, *key):
        return tuple(map(str, key)) in self.rounds

    def of(self, key):
        return self.rounds[tuple(map(str, key))]

    def all(self, key, what):
        """The numbers of one measurement, one for each round. what: a field, or a function."""
        get = what if callable(what) else lambda result: result[what]
        return [get(result) for result in self.of(key).values()]

    def median(self, key, what):
        return statistics.median(self.all(key, what))

    def ratios(self, over, under, what, what_under=None):
        """One for each round that has both: what slows one round slows both sides of it."""
        def get(key, what):
            return {n: what(r) if callable(what) else r[what] for n, r in self.of(key).items()}
        above, below = get(over, what), get(under, what_under or what)
        return [above[n] / below[n] if below[n] else float("inf") for n in above if n in below]

    def who(self, group, clients):
        return [key[2] for key in self.rounds if key[:2] == (group, str(clients))]

    def clients(self, group):
        return list(dict.fromkeys(key[1] for key in self.rounds if key[0] == group))

    def best(self, group, clients, names, what):
        """The name with the largest median, of those that were measured."""
        measured = [n for n in self.who(group, clients) if n in names]
        return max(measured, key=lambda n: self.median((group, clients, n), what), default=None)

    def overlaps(self):
        """{key: how often two were inside at once}, where that happened."""
        sums = {key: sum(r.get("overlaps", 0) for r in rounds.values())
                for key, rounds in self.rounds.items()}
        return {key: count for key, count in sums.items() if count}


def per_second(result):
    return result["acquired"] / result["seconds"]


def handovers_per_second(result):
    return result["handovers"] / result["seconds"]


def server_cpu_each(result):
    return result["server_cpu_us"] / result["total"]
