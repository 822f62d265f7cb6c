# SPDX-License-Identifier: MIT
"""pawl-flock beside flock(1): the same words, the same codes."""
import os
import shutil
import subprocess

import pytest

from harness import PAWL_FLOCK, clean_env

FLOCK = shutil.which("flock")
pytestmark = pytest.mark.skipif(not FLOCK, reason="flock(1) is not installed")


def both(world, *argv, **options):
    """Runs the same words by either program, each on a path of its own world."""
    ours = world.run(*argv, program=PAWL_FLOCK, **options)
    theirs = world.run(*argv, program=FLOCK, **options)
    return ours, theirs


@pytest.fixture
def busy(sqlite):
    """A path that both programs find busy."""
    path = sqlite.tmp / "lock"
    for program in (FLOCK, PAWL_FLOCK):
        proc = sqlite.start(path, "-c", "echo held; cat", program=program, stdin=subprocess.PIPE)
        proc.expect("held")
    return path


@pytest.mark.parametrize("words", [
    ["{}", "true"],
    ["{}", "false"],
    ["{}", "sh", "-c", "exit 7"],
    ["{}", "-c", "exit 9"],
    ["{}", "--command", "echo x"],
    ["{}", "echo", "-n", "--", "-x"],
    ["-x", "{}", "echo", "x"],
    ["-e", "{}", "echo", "x"],
    ["--exclusive", "{}", "echo", "x"],
    ["-n", "{}", "echo", "x"],
    ["--nb", "{}", "echo", "x"],
    ["--nonblock", "{}", "echo", "x"],
    ["-o", "{}", "echo", "x"],
    ["--close", "{}", "echo", "x"],
    ["-w", "1", "{}", "echo", "x"],
    ["-w1.5", "{}", "echo", "x"],
    ["--wait=0.5", "{}", "echo", "x"],
    ["--timeout", "2", "{}", "echo", "x"],
    ["-E", "5", "{}", "false"],
    ["-xn", "-E5", "{}", "echo", "x"],
    ["{}", "sh", "-c", "kill -TERM $$"],
    ["{}/sub/none", "true"],
    ["{}", "-c"],
    ["{}", "-c", "a", "b"],
    [],
    ["--no-such-option", "{}", "true"],
    ["-E", "256", "{}", "true"],
], ids=" ".join)
def test_free(sqlite, words):
    path = sqlite.tmp / "lock"
    ours, theirs = both(sqlite, *[w.format(path) for w in words])
    assert (ours.code, ours.out) == (theirs.code, theirs.out), (ours.err, theirs.err)


@pytest.mark.parametrize("words", [
    ["-n", "{}", "echo", "ran"],
    ["-w", "0", "{}", "echo", "ran"],
    ["-w", "0.3", "{}", "echo", "ran"],
    ["--timeout", "0.3", "{}", "echo", "ran"],
    ["-n", "-E", "0", "{}", "echo", "ran"],
    ["-n", "-E", "42", "{}", "echo", "ran"],
    ["-w", "0.3", "--conflict-exit-code", "42", "{}", "echo", "ran"],
    ["-n", "{}", "-c", "echo ran"],
], ids=" ".join)
def test_busy(sqlite, busy, words):
    ours, theirs = both(sqlite, *[w.format(busy) for w in words])
    assert (ours.code, ours.out, ours.err) == (theirs.code, theirs.out, theirs.err)


def test_waits_without_an_option(sqlite, busy):
    waiters = [sqlite.start(busy, "echo", "mine", program=p) for p in (PAWL_FLOCK, FLOCK)]
    sqlite.until_waiting(str(busy))
    for holder in sqlite.procs[:2]:
        holder.popen.stdin.close()
        assert holder.wait() == 0
    for waiter in waiters:
        waiter.expect("mine")
        assert waiter.wait() == 0


def test_one_file_by_many_names_is_one_lock(sqlite, busy):
    (sqlite.tmp / "link").symlink_to(busy)
    os.mkdir(sqlite.tmp / "dir")
    for name in ("link", "dir/../lock", "./lock"):
        ours, theirs = both(sqlite, "-n", name, "echo", "ran", cwd=sqlite.tmp)
        assert (ours.code, ours.out) == (theirs.code, theirs.out) == (1, "")


def test_a_directory_and_a_file_that_is_not_there_yet(sqlite):
    for name in (sqlite.tmp, sqlite.tmp / "new"):
        ours, theirs = both(sqlite, "-n", name, "echo", "x")
        assert (ours.code, ours.out) == (theirs.code, theirs.out) == (0, "x\n")


def test_the_descriptor_form_names_what_replaces_it(sqlite):
    done = sqlite.run("9", program=PAWL_FLOCK)
    assert done.code == 64 and "pawl hold" in done.err and done.err.count("\n") == 1
    done = sqlite.run("-u", "9", program=PAWL_FLOCK)
    assert done.code == 64 and "pawl hold" in done.err


def test_what_is_not_there_yet_says_so(sqlite):
    for flag in ("-s", "--shared", "-F", "--no-fork"):
        done = sqlite.run(flag, sqlite.tmp / "lock", "echo", "ran", program=PAWL_FLOCK)
        assert done.code == 64 and "not there yet" in done.err and done.out == ""


def test_help_and_version(sqlite):
    assert "usage: pawl-flock" in sqlite.run("--help", program=PAWL_FLOCK).out
    assert sqlite.run("-V", program=PAWL_FLOCK).out.startswith("pawl-flock 0.")
    done = subprocess.run([PAWL_FLOCK], env=clean_env(), stderr=subprocess.PIPE, timeout=30)
    assert done.stderr.startswith(b"pawl-flock: ")


def test_unlike_flock_a_command_that_is_not_there_is_127(sqlite):
    """flock says 69, which no shell does: a difference on purpose."""
    ours, theirs = both(sqlite, sqlite.tmp / "lock", "/no/such")
    assert (ours.code, theirs.code) == (127, 69)
