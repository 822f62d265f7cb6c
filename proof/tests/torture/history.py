# SPDX-License-Identifier: MIT
"""Histories written by hand, for the judge of pawl-torture."""
import os
import subprocess

TORTURE = os.path.join(os.environ["PAWL_BUILD"], "pawl-torture")
MS = 1_000_000
CALM = 1000  # ms; the histories below are over by then

ERR_BUSY, ERR_LOST, ERR_TIMEOUT, ERR_STATE, ERR_NO_MEMORY = -1, -3, -2, -24, -29
ERR_NOT_HELD, ERR_UNKNOWN = -4, -5
EXCLUSIVE, SHARED, UPDATE, PERMIT = 0, 1, 2, 3


def torture(*args, timeout=300):
    return subprocess.run([TORTURE, *map(str, args)], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=timeout, check=False)


class History:
    """One setup with two slots and one lock, in which nothing is wrong until a test says so.

    Instants are ms. Both get the lock once after the calm, as they have to.
    """

    def __init__(self, directory):
        self.dir = directory
        self.run = {"setup": "by-hand", "workers": 2, "locks": 1, "ttl_max_ms": 100,
                    "grants_min": 2, "recover_ms": 500, "call_slack_ms": 50,
                    "calm_slack_ms": 50, "aftermath_ms": 100}
        self.faults, self.resource, self.after = [], [], []
        self.workers = {}
        self.fault(CALM, "calm - - 0")

    def note(self, who, at, what, fence=0, number=0, lock=0):
        self.workers.setdefault(who, []).append((at, f"{int(at * MS)} {what} {lock} {fence} {number}"))

    def hold(self, who, fence, start, end, remaining=90, asked=None, word=-1, freed=0, mode=0,
             slots=()):
        """Asked, got, let go; remaining: what was promised at the start."""
        asked = start - 1 if asked is None else asked
        if mode:
            self.note(who, asked, "as", len(slots), mode)
        self.note(who, asked, "ask", 0, 500)
        if slots:
            self.note(who, start, "slots", fence, sum(1 << slot for slot in slots))
        self.note(who, start, "got", fence, remaining)
        if end is not None:
            self.note(who, end, "letgo", fence, word)
            self.note(who, end + 0.1, "freed", fence, freed)

    def fault(self, at, text):
        self.faults.append(f"{int(at * MS)} {text}")

    def write(self, fence, value, who, kind="fenced"):
        """An increment that the resource accepted, and of which its worker was told."""
        self.resource.append(f"0 {kind} {fence} {value} {who}")

    def ends(self, who, down=True, status=0):
        """The life comes to its end, after its share of the calm."""
        if down:
            self.note(who, CALM + 200, "closes")
            self.note(who, CALM + 200, "down")
        self.fault(CALM + 201, f"died - {who} {status}")

    def calm(self, who, fence, at):
        self.hold(who, fence, CALM + at, CALM + at + 5)

    def finish(self):
        self.calm("0.1", 900_000, 10)
        self.calm("1.1", 900_001, 20)
        self.ends("0.1")
        self.ends("1.1")
        return self

    def save(self):
        self.dir.mkdir(exist_ok=True)
        files = {"run": [f"{k} {v}" for k, v in self.run.items()], "faults": self.faults,
                 "resource": self.resource, "after": self.after}
        for name, lines in files.items():
            (self.dir / name).write_text("".join(line + "\n" for line in lines))
        for who, notes in self.workers.items():
            lines = [line for _, line in sorted(notes, key=lambda n: n[0])]
            (self.dir / f"worker-{who}").write_text("".join(line + "\n" for line in lines))

    def judge(self):
        self.save()
        return torture("--check", self.dir)
