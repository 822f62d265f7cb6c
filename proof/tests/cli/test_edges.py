# SPDX-License-Identifier: MIT
"""Limits from both sides, and what is handed on from one process to the next."""
import os
import resource
import shutil
import signal
import subprocess
import sys

import pytest

from harness import PATIENCE, PAWL, PAWL_FLOCK, wait_dead

YEAR = "8760h"


@pytest.mark.parametrize("words", [
    ["run", "-t", "1d", "k", "true"], ["acquire", "-t", "24h", "k"],
    ["run", "-w", YEAR, "k", "true"], ["run", "-E", "255", "k", "true"],
    ["run", "-N", "1024", "--units", "1024", "k", "true"], ["run", "-N", "1", "k", "true"],
    ["run", "--lost-exit-code", "255", "k", "true"], ["run", "--lost-exit-code", "0", "k", "true"],
    ["run", "--owner", "x" * 255, "k", "true"], ["run", "k" * 512, "true"],
    ["lead", "--restart", "never", "--value", "x" * 4096, "k", "true"],
    ["stat", "-i", "100ms", "-c", "1"], ["once", "--every", "100ms", "k", "true"],
    ["once", "--every", YEAR, "k", "true"], ["latch", "k", "--count", "1000000", "--left"],
    ["latch", "k", "--count", "1", "--down"], ["latch", "k", "--count", "2", "--down", "--by", "2"],
    ["latch", "k", "--count", "2", "--down", "--keep", "1ms"],
    ["barrier", "k" * 507, "--parties", "1"], ["barrier", "k", "--parties", "1", "-t", "24h"],
], ids=lambda words: " ".join(words)[:40])
def test_the_last_that_is_allowed(sqlite, words):
    done = sqlite.run(*words)
    assert (done.code, done.err) == (0, "")


@pytest.mark.parametrize("verb", ["acquire", "hold"])
def test_the_smallest_ttl(sqlite, verb):
    """Of a lock that is busy: one of 10 ms is over before it can be looked at."""
    sqlite.start("hold", "k", stdin=subprocess.PIPE).expect("held")
    assert sqlite.run(verb, "-n", "-t", "10ms", "k").code == 75


@pytest.mark.parametrize("words, said", [
    (["acquire", "-t", "86400001ms", "k"], "lies between"), (["run", "-E", "-1", "k", "true"], "from 0 to 255"),
    (["run", "--lost-exit-code", "256", "k", "true"], "from 0 to 255"),
    (["run", "-w", "8761h", "k", "true"], "at most a year"), (["run", "-N", "-1", "k", "true"], "from 1 to 1024"),
    (["run", "-N", "2", "--units", "1025", "k", "true"], "from 1 to 1024"),
    (["once", "--every", "8761h", "k", "true"], "at most a year"),
    (["once", "--every", "99ms", "k", "true"], "100ms at least"), (["stat", "-i", "99ms"], "at least 100ms"),
    (["stat", "-c", "2147483648"], "from 1 to 2147483647"),
    (["latch", "k", "--count", "1000001", "--left"], "from 1 to 1000000"),
    (["latch", "k", "--count", "3", "--down", "--by", "4"], "--by 4: the latch counts from 3"),
    (["latch", "k", "--count", "3", "--by", "1"], "--by needs --down"),
    (["latch", "k", "--count", "3", "--keep", "1h"], "--keep needs --down"),
    (["latch", "k", "--count", "3", "--keep", "0", "--down"], "--keep: 1ms at least"),
    (["latch", "k"], "--count N is wanted"), (["latch", "k", "--count", "3", "--down", "--left"], "exclude each other"),
    (["barrier", "k" * 508, "--parties", "1"], "a barrier's key has 1 to 507 bytes"),
    (["barrier", "", "--parties", "1"], "a barrier's key has 1 to 507 bytes"),
    (["barrier", "k"], "--parties N is wanted"), (["barrier", "k", "--parties", "1001"], "from 1 to 1000"),
    (["wait", "k", "l"], "one KEY is wanted"), (["show"], "one KEY is wanted"), (["show", ""], "1 to 512 bytes"),
    (["hold", ""], "1 to 512 bytes"), (["wait", "k" * 513], "this one has 513"),
    (["break", "", "--fence", "1"], "1 to 512 bytes"), (["latch", "", "--count", "1"], "1 to 512 bytes"),
    (["once", "", "--every", "1h", "true"], "1 to 512 bytes"), (["lead", "", "true"], "1 to 512 bytes"),
    (["renew", "k", "-t", "9ms", "--token", "0" * 40], "lies between"), (["hold", "-t", "9ms", "k"], "lies between"),
    (["acquire", ""], "1 to 512 bytes"), (["check", "", "--fence", "1"], "1 to 512 bytes"),
], ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "")
def test_the_first_that_is_not(sqlite, words, said):
    done = sqlite.run(*words)
    assert done.code == 64 and said in done.err and done.out == "", done.err
    assert done.err.startswith("pawl: ") and done.err.count("\n") == 1
    assert not (sqlite.tmp / "locks.db").exists(), "a usage error asks no store"


@pytest.mark.parametrize("key", ["a b", "a@b", "a%20b", "%", "@", " ", "\x7f", "\xff", "a\nb", "ä"])
def test_a_nested_run_of_the_same_key_is_seen_whatever_its_bytes(sqlite, key):
    """And no other one: each byte that divides the list of what is held is written otherwise."""
    key = key.encode("latin-1")
    done = sqlite.run("run", "-k", "first", "-k", key.decode("utf-8", "surrogateescape"), "--", PAWL, "run",
                      "-n", key.decode("utf-8", "surrogateescape"), "echo", "ran")
    assert (done.code, done.out) == (75, "") and "already held by an ancestor" in done.err
    for other in ("a", "b", "20b", "a%20b@", "x"):
        done = sqlite.run("run", key.decode("utf-8", "surrogateescape"), PAWL, "run", other, "echo", "ran")
        assert (done.code, done.out) == (0, "ran\n"), done.err


@pytest.fixture
def beside(tmp_path):
    """A copy of pawl, and beside it what this test puts there."""
    folder = tmp_path / "beside"
    folder.mkdir()
    shutil.copy(PAWL, folder / "pawl")
    return folder


def program(path):
    path.write_text('#!/bin/sh\nprintf "%s|" "${0##*/}" "$@"\n')
    path.chmod(0o755)


@pytest.mark.parametrize("before, after", [
    ([], []), (["-q"], ["-q"]), (["-v"], ["-v"]), (["--owner", "a b"], ["--owner", "a b"]),
    (["-S", "x:"], ["--store", "x:"]), (["--config", "/c"], ["--config", "/c"]),
    (["--store-timeout", "3s"], ["--store-timeout", "3000ms"]),
    (["--store-timeout", "0"], ["--store-timeout", "0ms"]),
    (["--store-timeout", "forever"], ["--store-timeout", "forever"]), (["--store-timeout", "5s"], []),
    (["-qv", "--owner", "o", "-S", "x:", "--config", "c", "--store-timeout", "1h"],
     ["--store", "x:", "--config", "c", "--owner", "o", "--store-timeout", "3600000ms", "-q", "-v"]),
], ids=lambda words: " ".join(words))
def test_a_program_of_its_own_gets_the_options_before_the_verb(sqlite, beside, before, after):
    for verb in ("bench", "top", "serve"):
        program(beside / f"pawl-{verb}")
        done = sqlite.run(*before, verb, "--its", "own words", program=str(beside / "pawl"))
        assert done.out == "|".join([f"pawl-{verb}", *after, "--its", "own words", ""]), done.err


def test_a_program_of_its_own_that_cannot_be_executed(sqlite, beside):
    """One in PATH is taken if there is none beside pawl."""
    program(beside / "pawl-torture")
    done = sqlite.run("torture", "-x", program=str(beside / "pawl"))
    assert done.out == "pawl-torture|-x|"
    done = sqlite.run("-S", "redis", "torture", program=str(beside / "pawl"))
    assert done.code == 64 and "it starts servers of its own" in done.err
    os.mkdir(beside / "path")
    program(beside / "path/pawl-top")
    env = {"PATH": f"{beside}/path:{os.environ['PATH']}"}
    assert sqlite.run("top", "-y", program=str(beside / "pawl"), env=env).out == "pawl-top|-y|"
    (beside / "path/pawl-top").write_text("#!/no/such/interpreter\n")
    (beside / "path/pawl-top").chmod(0o644)
    done = sqlite.run("top", program=str(beside / "pawl"), env={"PATH": f"{beside}/path"})
    assert (done.code, done.err) == (126, "pawl: top: pawl-top: Permission denied\n")


@pytest.mark.parametrize("way", ["-S", "--config", "PAWL_STORE", "PAWL_CONFIG"])
def test_flock_takes_the_store_s_lock_if_one_is_named_in_any_way(sqlite, tmp_path, way):
    conf = tmp_path / "app.conf"
    conf.write_text(f"pawlstore = {sqlite.url}\n")
    value = str(conf) if "config" in way.lower() else sqlite.url
    words, env = ([way, value], {}) if way[0] == "-" else ([], {way: value})
    script = 'echo "${PAWL_FENCE:-none}"'
    done = sqlite.run(*words, tmp_path / "lock", "-c", script, program=PAWL_FLOCK, env={"PAWL_STORE": "", **env})
    assert done.code == 0 and done.out.strip().isdigit(), (done.out, done.err)


@pytest.mark.parametrize("text", ["{}", "{}\n", "{} \t \r\n", "{}\t\nredis://elsewhere\n"], ids=repr)
def test_a_store_s_file_ends_behind_the_url(sqlite, tmp_path, text):
    where = tmp_path / "store"
    where.write_bytes(text.format(sqlite.url).encode())
    assert sqlite.run("run", "k", "true").code == 0
    assert sqlite.run("-S", f"@{where}", "show", "--json", "k").out == sqlite.run("show", "--json", "k").out


CROWD = """
import os, sys
for i in range(int(sys.argv[1])):
    if os.fork() == 0:
        os.setsid()
        os.write(1, f"pid {os.getpid()}\\n".encode())
        os.execvp("sleep", ["sleep", "1000"])
os.execvp("sleep", ["sleep", "1000"])
"""


@pytest.mark.parametrize("how", ["broken", "killed"])
def test_more_processes_than_descriptors_are_stopped(sqlite, how):
    """Each is looked at through a descriptor, one after the other."""
    proc = sqlite.start("run", "k", "sh", "-c",
                        'exec "$0" -c "$1" 60', sys.executable, CROWD,
                        preexec=lambda: limit_descriptors(40))
    pids = []
    while len(pids) < 60:
        pids.append(int(proc.expect("pid").split()[1]))
    if how == "broken":
        assert sqlite.run("break", "k", "--fence", sqlite.show("k")["fence"]).code == 0
        assert proc.wait() == 76
    else:
        proc.kill(signal.SIGKILL)
    for pid in pids:
        wait_dead(pid)


def limit_descriptors(count):
    resource.setrlimit(resource.RLIMIT_NOFILE, (count, count))


def test_messages_of_the_guardian_reach_a_file(sqlite, tmp_path):
    """It closes what it was born with, and keeps what it speaks to."""
    path = tmp_path / "errors"
    with open(path, "wb") as errors:
        proc = sqlite.start("run", "-t", "10s", "-g", "300ms", "k", "sh", "-c", "trap '' TERM; echo on $$; exec cat",
                            stdin=subprocess.PIPE, stderr=errors)
    pid = int(proc.expect("on").split()[1])
    proc.kill(signal.SIGKILL)
    wait_dead(pid)
    taker = sqlite.start("hold", "k", stdin=subprocess.PIPE)
    taker.expect("held")
    lines = path.read_text("utf-8").splitlines()
    assert [line.split(": ")[:2] for line in lines] == [["pawl", "k"]] * len(lines) and lines
    assert lines[-1] == "pawl: k: pawl was killed: SIGKILL to the command"


def test_the_hosts_boot_id_in_a_container_is_the_hosts(sqlite):
    """As the refusal of another boot id advises: the kernel's own file is mounted over that one."""
    over = 'f=/proc/sys/kernel/random/boot_id; mount --bind "$f" "$f" && exec "$@"'
    inside = ["unshare", "--mount", "sh", "-c", over, "sh"]
    if subprocess.run([*inside, "true"], check=False, capture_output=True).returncode != 0:
        pytest.skip("mount namespaces need privileges that this process lacks")
    holder = sqlite.start("hold", "k", stdin=subprocess.PIPE)
    holder.expect("held ")
    done = subprocess.run([*inside, PAWL, "run", "-n", "k", "true"], env=sqlite.env(), check=False,
                          capture_output=True, timeout=PATIENCE)
    assert done.returncode == 75, done.stderr
    assert sqlite.show("k")["held"]
