# SPDX-License-Identifier: MIT
"""The results of all rounds, and what is computed from them."""
import statistics


class Results:
    def __init__(self):
        self.rounds = {}  # key -> [one result for each round]
        self.failures = []  # (key, why)

    def add(self, key, result):
        self.rounds.setdefault(key, []).append(result)

    def has(self, *key):
        return tuple(map(str, key)) in self.rounds

    def all(self, key, what):
        """The numbers of one measurement, one for each round. what: a field, or a function."""
        get = what if callable(what) else lambda result: result[what]
        return [get(result) for result in self.rounds[tuple(map(str, key))]]

    def median(self, key, what):
        return statistics.median(self.all(key, what))

    def ratio(self, over, under, what, what_under=None):
        """The median of the rounds' own ratios: what slows one round slows both sides of it."""
        pairs = zip(self.all(over, what), self.all(under, what_under or what))
        ratios = [a / b for a, b in pairs if b]
        return statistics.median(ratios) if ratios else float("inf")

    def who(self, group, clients):
        return [key[2] for key in self.rounds if key[:2] == (group, str(clients))]

    def best(self, group, clients, names, what):
        """The name with the largest median, of those that were measured."""
        measured = [n for n in self.who(group, clients) if n in names]
        return max(measured, key=lambda n: self.median((group, clients, n), what), default=None)

    def overlaps(self):
        """{key: how often two were inside at once}, where that happened."""
        sums = {key: sum(r.get("overlaps", 0) for r in rounds)
                for key, rounds in self.rounds.items()}
        return {key: count for key, count in sums.items() if count}


def per_second(result):
    return result["acquired"] / result["seconds"]


def handovers_per_second(result):
    return result["handovers"] / result["seconds"]


def server_cpu_each(result):
    return result["server_cpu_us"] / result["total"]
