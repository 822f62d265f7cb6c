# SPDX-License-Identifier: MIT
"""pawl-threads: the same seed is the same run, and nothing of the library goes past the harness."""
import os
import pathlib
import re
import subprocess

import pytest

BUILD = pathlib.Path(os.environ["PAWL_BUILD"])
SOURCE = pathlib.Path(os.environ["PAWL_SOURCE"])
THREADS = BUILD / "proof/tests/threads/pawl-threads"

# Asked of libc by the library, and no business of a scheduler: they neither wait, nor order, nor
# speak to the outside, or (the names of the machine and its user, modules) only once.
HARMLESS = {
    "abort", "dladdr1", "dlerror", "explicit_bzero", "getenv", "secure_getenv", "geteuid",
    "gethostname", "getpid", "getpwuid_r", "inet_pton", "memchr", "memrchr", "program_invocation_short_name",
    "readlink", "realpath", "sigdelset", "sigfillset", "snprintf", "vsnprintf", "strcasestr", "strchr", "strcmp",
    "strcspn", "strerror", "strlen", "strncasecmp", "strncmp", "strnlen", "strrchr", "strspn", "strstr", "strtol",
    "sysconf",
}


def run(*arguments):
    done = subprocess.run([THREADS, *arguments], stdout=subprocess.PIPE, timeout=120, check=False)
    return done.stdout.decode()


def without_times(text):
    return [line for line in text.splitlines() if " schedules/s" not in line]


def test_the_same_seed_is_the_same_run():
    first, second = (run("--seed", "7000", "--seeds", "300", "--hash") for _ in range(2))
    assert without_times(first) == without_times(second)
    assert len(set(without_times(first))) >= 300


def test_the_same_seed_has_the_same_timeline():
    for seed in ("7001", "7002", "7003"):
        first, second = (run("--seed", seed, "--trace") for _ in range(2))
        assert without_times(first) == without_times(second)
        assert len(first.splitlines()) > 40


# Each was a finding once, of the library or of a judge that was mistaken. What it is about, in words.
SEEDS = (
    ("random", 900228648, """A release beside another call is not taken for the last one: the other one acquires
        the lock again before the release returns, and it lies in no cache."""),
    ("pct", 7500050875, """A free does not wait for a token that another thread writes: what the harness looks
        at by itself lets nobody go on."""),
    ("weak", 7500059306, """A release in time whose answer comes too late is no loss: the store knew nothing of
        the lock any more, but the hold had ended before."""),
    ("random", 50014227903, """Nor is it where the release had begun before the lock was granted, and found it
        held."""),
    ("random", 50000623366, """A release owes the lease that it gives back: between two looks at the handle it was
        granted anew, and the older token was detached."""),
    ("pct", 50001356284, """Who cancels another one's wait has not entered its own client: it waits in the other
        one's, and its own is not closed under it before it has come there."""),
    ("weak", 50002946441, """Who stood still at the alarm wakes no later: a call that comes after it relies on that
        alarm, which is set to an instant."""),
    ("random", 50003669422, """A fork is not held up by a signal: its handler would stand still while one client is
        frozen and the next one is waited for."""),
    ("pct", 50004986320, """What is lost as an acquisition returns may be told first: the call had seen that it is
        held, and the clock went on before it came back."""),
    ("pct", 50005518230, """Who is canceled before it has come to a barrier leaves nobody: how long it was to wait
        does not say how long it was there."""),
    ("pct", 50017189724, """Nor is anybody told while a third one, whose callbacks the program does not run,
        stands in the gate."""),
    ("weak", 50015955146, """An exit sends no release where the loop's owner is a thread of the program that stands
        still: the client has no other."""),
    ("pct", 50005528359, "A clock that jumps gives nobody time to tell a loss."),
    ("pct", 50005586926, """A release is unknown where somebody stands still in the loop: its client holds nothing
        then, and so a caller may sleep there."""),
    ("pct", 50007556351, "An upgrade that does not wait gives the store one timeout in all."),
    ("pct", 50008692559, "The same."),
    ("random", 50009087615, "The same."),
    ("pct", 50009701847, "The same."),
    ("weak", 50007335494, "A callback acquires nothing by a handle that is being freed."),
    ("weak", 50006241718, "A wait that has just begun hears its cancel."),
    ("random", 50002490510, """A lease is renewed although who was called to own the loop is stopped: the client's
        thread is woken as well where it would look later than the renewal is due."""),
    ("random", 40000247772, """A close is late by its own limit: the release before it was not answered, so it waits
        for the second one, as long as a close may."""),
    ("weak", 20000212241, """A program may open a client for each of its calls: each has a thread, and no two of
        them the same number."""),
)


@pytest.mark.parametrize("strategy, seed, about", SEEDS, ids=[seed for _, seed, _ in SEEDS])
def test_what_was_found_once_is_found_no_more(strategy, seed, about):
    assert "; 0 findings" in run("--strategy", strategy, "--seed", str(seed), "--no-shrink"), about


def test_nothing_goes_past_the_harness():
    """A new call of the library is wrapped, or known to be harmless."""
    build = (SOURCE / "proof/tests/threads/meson.build").read_text()
    names = build[build.index("foreach name"):]
    wrapped = set(re.findall(r"'(\w+)'", names[:names.index("\n]\n")]))
    listed = subprocess.run(["nm", BUILD / "proof/tests/threads/libpawl_threads_seen.a"],
                            stdout=subprocess.PIPE, check=True).stdout.decode()
    fields = [line.split() for line in listed.splitlines() if line.strip()]
    defined = {f[-1] for f in fields if len(f) == 3}
    needed = {f[-1] for f in fields if len(f) == 2 and f[0] == "U"}
    ours = {n for n in needed if n.startswith(("__", "_GLOBAL", "event_", "toy_", "floor_"))}
    assert needed - defined - wrapped - ours - HARMLESS == set()
