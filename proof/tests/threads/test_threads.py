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


def test_a_release_beside_another_call_is_not_taken_for_the_last():
    """The other one acquires the lock again before the release returns: it lies in no cache."""
    assert "; 0 findings" in run("--seed", "900228648", "--no-shrink")


def test_a_free_does_not_wait_for_a_token_that_another_thread_writes():
    """What the harness looks at by itself lets nobody go on."""
    assert "; 0 findings" in run("--seed", "7500050875", "--no-shrink")


def test_a_release_in_time_whose_answer_comes_too_late_is_no_loss():
    """The call tells that the store knew nothing of the lock any more; the hold had ended before."""
    assert "; 0 findings" in run("--seed", "7500059306", "--no-shrink")


def test_a_release_owes_the_lease_that_it_gives_back():
    """Between two looks at the handle it was granted anew: the older token was detached."""
    assert "; 0 findings" in run("--strategy", "random", "--seed", "50000623366", "--no-shrink")


def test_who_cancels_another_ones_wait_has_not_entered_its_own_client():
    """It waits in the other one's client: its own is not closed under it before it has come there."""
    assert "; 0 findings" in run("--strategy", "pct", "--seed", "50001356284", "--no-shrink")


def test_who_stood_still_at_the_alarm_wakes_no_later():
    """A call that comes after it relies on that alarm, which is set to an instant."""
    assert "; 0 findings" in run("--strategy", "weak", "--seed", "50002946441", "--no-shrink")


def test_a_fork_is_not_held_up_by_a_signal():
    """Its handler would stand still while one client is frozen and the next one is waited for."""
    assert "; 0 findings" in run("--strategy", "random", "--seed", "50003669422", "--no-shrink")


def test_what_is_lost_as_an_acquisition_returns_may_be_told_first():
    """The call had seen that it is held, and the clock went on before it came back."""
    assert "; 0 findings" in run("--strategy", "pct", "--seed", "50004986320", "--no-shrink")


def test_who_is_canceled_before_it_has_come_to_a_barrier_leaves_nobody():
    """How long it was to wait does not say how long it was there."""
    assert "; 0 findings" in run("--strategy", "pct", "--seed", "50005518230", "--no-shrink")


def test_a_clock_that_jumps_gives_nobody_time_to_tell_a_loss():
    assert "; 0 findings" in run("--strategy", "pct", "--seed", "50005528359", "--no-shrink")


def test_a_release_is_unknown_where_somebody_stands_still_in_the_loop():
    """Its client holds nothing then, and so a caller may sleep there."""
    assert "; 0 findings" in run("--strategy", "pct", "--seed", "50005586926", "--no-shrink")


@pytest.mark.parametrize("strategy, seed", [("pct", 50007556351), ("pct", 50008692559), ("random", 50009087615)])
def test_an_upgrade_that_does_not_wait_gives_the_store_one_timeout_in_all(strategy, seed):
    assert "; 0 findings" in run("--strategy", strategy, "--seed", str(seed), "--no-shrink")


def test_a_callback_acquires_nothing_by_a_handle_that_is_being_freed():
    assert "; 0 findings" in run("--strategy", "weak", "--seed", "50007335494", "--no-shrink")


def test_a_wait_that_has_just_begun_hears_its_cancel():
    assert "; 0 findings" in run("--strategy", "weak", "--seed", "50006241718", "--no-shrink")


def test_a_lease_is_renewed_although_who_was_called_to_own_the_loop_is_stopped():
    """The client's thread is woken as well where it would look later than the renewal is due."""
    assert "; 0 findings" in run("--strategy", "random", "--seed", "50002490510", "--no-shrink")


def test_a_close_is_late_by_its_own_limit():
    """The release before it was not answered, so it waits for the second one: as long as a close may."""
    assert "; 0 findings" in run("--strategy", "random", "--seed", "40000247772", "--no-shrink")


def test_a_program_may_open_a_client_for_each_of_its_calls():
    """Each has a thread, and no two of them the same number."""
    assert "; 0 findings" in run("--seed", "20000212241", "--no-shrink")


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
