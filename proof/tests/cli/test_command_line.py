# SPDX-License-Identifier: MIT
"""The grammar: help, options, bad input. Each error is one line that says what is wrong."""
import contextlib
import json
import os
import re
import sqlite3
import subprocess

import pytest

from harness import PAWL, PAWL_FLOCK, clean_env

VERBS = "run acquire renew release check hold wait ls show stat break doctor schema".split()


def one_line(done, code):
    assert done.code == code, (done.code, done.err)
    assert done.out == ""
    assert done.err.startswith("pawl: ") and done.err.count("\n") == 1, done.err
    return done.err


def test_help_lists_every_command(sqlite):
    done = sqlite.run("help")
    assert done.code == 0 and done.err == ""
    for verb in VERBS:
        assert f"\n  {verb} " in done.out
    assert sqlite.run("--help").out == done.out


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_a_command_comes_by_three_ways(sqlite, verb):
    page = sqlite.run("help", verb)
    assert page.code == 0 and f"usage: pawl {verb}" in page.out and page.err == ""
    assert sqlite.run(verb, "--help").out == page.out
    assert sqlite.run(verb, "-h").out == page.out
    assert max(len(line) for line in page.out.splitlines()) <= 100


def test_help_after_the_key_is_the_commands(sqlite):
    assert sqlite.run("run", "k", "sh", "-c", 'echo "$1"', "x", "--help").out == "--help\n"


def test_version(sqlite):
    for words in (["version"], ["--version"], ["-V"]):
        done = sqlite.run(*words)
        assert done.code == 0 and done.out.startswith("pawl 0.")


@pytest.mark.parametrize("words, said", [
    ([], "a command is wanted"),
    (["rum"], "did you mean run"),
    (["relase"], "did you mean release"),
    (["zzzzzz"], "see pawl help"),
    (["a" * 300], "see pawl help"),
    ([""], 'no command ""'),
    (["help", "shwo"], "did you mean show"),
    (["run"], "a KEY is wanted"),
    (["run", "k"], "a command is wanted after KEY"),
    (["run", "k", "--"], "a command is wanted after KEY"),
    (["run", "--nonblok", "k", "true"], "there is no option --nonblok; did you mean --nonblock"),
    (["run", "-Z", "k", "true"], "there is no option -Z"),
    (["run", "-w", "-1", "k", "true"], "cannot be negative"),
    (["run", "-w", "soon", "k", "true"], "-w soon: a duration is a number"),
    (["run", "-w", "1y", "k", "true"], "a duration is a number"),
    (["run", "-w", "0x10", "k", "true"], "a duration is a number"),
    (["run", "-w", "1e3", "k", "true"], "a duration is a number"),
    (["run", "-w", ".", "k", "true"], "a duration is a number"),
    (["run", "-w", "99999999999999999999", "k", "true"], "at most a year"),
    (["run", "--wait"], "--wait needs an argument: D"),
    (["run", "--nonblock=1", "k", "true"], "--nonblock takes no argument"),
    (["run", "-E", "256", "k", "true"], "a number from 0 to 255"),
    (["run", "-E", "1x", "k", "true"], "a number from 0 to 255"),
    (["run", "--on-lost", "panic", "k", "true"], "one of term|kill|notify|ignore"),
    (["run", "--yield", "NOSUCH", "k", "true"], "a signal is wanted"),
    (["run", "-s", "-N", "3", "k", "true"], "exclude each other"),
    (["run", "-N", "3", "-U", "k", "true"], "exclude each other"),
    (["run", "-N", "0", "k", "true"], "a number from 1 to 1024"),
    (["run", "-N", "1025", "k", "true"], "a number from 1 to 1024"),
    (["run", "-N", "3", "--units", "4", "k", "true"], "--units 4: there are only 3 slots"),
    (["run", "-N", "3", "--units", "0", "k", "true"], "a number from 1 to 1024"),
    (["run", "--units", "2", "k", "true"], "--units needs -N"),
    (["run", "-F", "--hold-descendants", "k", "true"], "exclude each other"),
    (["run", "--lock-delay", "1h", "k", "true"], "--lock-delay 1h is too long for --ttl 30s"),
    (["run", "-u", "k"], "pawl release"),
    (["run", "k", "-n", "true"], "options stand before KEY"),
    (["run", "-c", "true", "k", "false"], "exclude each other"),
    (["run", "k", "-c"], "exactly one argument"),
    (["run", "--json-events", "77", "k", "true"], "no such open file"),
    (["run", "--require", "magic", "k", "true"], "no such promise: magic"),
    (["run", "-t", "0", "k", "true"], "a ttl lies between 10ms and 1d"),
    (["run", "-t", "-1", "k", "true"], "cannot be negative"),
    (["run", "-t", "9ms", "k", "true"], "a ttl lies between 10ms and 1d"),
    (["run", "-t", "24h1", "k", "true"], "a duration is a number"),
    (["run", "-t", "25h", "k", "true"], "--ttl 25h: a ttl lies between 10ms and 1d"),
    (["acquire", "-t", "30h", "k"], "--ttl 30h: a ttl lies between 10ms and 1d"),
    (["hold", "-t", "24.5h", "k"], "--ttl 1470m: a ttl lies between 10ms and 1d"),
    (["run", "-t", "10ms", "k", "true"], "no time to stop a command"),
    (["run", "-t", "6s", "-g", "5s", "k", "true"], "does not fit into --ttl 6s"),
    (["run", "", "true"], "1 to 512 bytes"),
    (["run", "k" * 513, "true"], "this one has 513"),
    (["acquire"], "one KEY is wanted"),
    (["acquire", "a", "b"], "one KEY is wanted"),
    (["renew", "k"], "a token is wanted"),
    (["release", "k", "--token", "short"], "40 lowercase hexadecimal digits"),
    (["check"], "a KEY is wanted"),
    (["check", "k"], "a token or a fence is wanted"),
    (["break", "k"], "--fence N is wanted"),
    (["break", "k", "--fence", "-3"], "a fence is a number"),
    (["break", "k", "--fence", str(2**63)], "a fence is a number"),
    (["break", "k", "--fence", str(2**64 - 1)], "a fence is a number"),
    (["ls", "a", "b"], "at most one PREFIX"),
    (["doctor", "x"], "no operand"),
    (["bench", "-j", "1"], "a number from 2 to 1000"),
])
def test_usage_errors_are_one_specific_line(sqlite, words, said):
    assert said in one_line(sqlite.run(*words), 64)
    assert not (sqlite.tmp / "locks.db").exists(), "a usage error asks no store"


def rows_about_the_command(sqlite, verb):
    rows = sqlite.run(verb, "--help").out.split("  -c, --command STR")[1]
    return rows.split("  -S, --store URL")[0]


def test_run_once_and_lead_share_the_options_about_their_command(sqlite):
    rows = rows_about_the_command(sqlite, "run")
    assert "--yield SIG" in rows and "--metrics FILE|ADDR" in rows and "--require LIST" in rows
    for verb in "once", "lead":
        assert rows_about_the_command(sqlite, verb) == rows
        own = ["--every", "1h"] if verb == "once" else []
        done = sqlite.run(verb, *own, "--require", "magic", "k", "true")
        assert "no such promise: magic" in one_line(done, 64)


def test_a_grace_that_does_not_fit_says_the_numbers(sqlite):
    line = one_line(sqlite.run("run", "-t", "30s", "-g", "29s", "k", "true"), 64)
    assert ("--grace 29s does not fit into --ttl 30s: renewal after 10s + grace 29s + "
            "answers 2 x 500ms + margin 3002ms = 43002ms; take --grace 15998ms or --ttl ") in line
    # and what it advises is accepted
    advised = line.split("take --grace ")[1].split()[0], line.split("or --ttl ")[1].strip()
    assert sqlite.run("run", "-t", "30s", "-g", advised[0], "k", "true").code == 0
    assert sqlite.run("run", "-t", advised[1], "-g", "29s", "k", "true").code == 0


@pytest.mark.parametrize("ttl", ["50ms", "200ms", "1s", "30s", "24h"])
def test_the_default_grace_fits_every_ttl(sqlite, ttl):
    """Busy, since on a starved machine a lease of 50 ms may be lost: no usage error comes first."""
    holder = sqlite.start("hold", "k", stdin=subprocess.PIPE)
    holder.expect("held")
    assert sqlite.run("run", "-n", "-t", ttl, "k", "true").code == 75


def test_options_end_at_the_key(sqlite):
    assert sqlite.run("run", "k", "echo", "-n", "-q", "--", "x").out == "-q -- x"
    assert sqlite.run("run", "k", "--", "echo", "--", "x").out == "-- x\n"
    assert sqlite.run("run", "--", "k", "echo", "x").out == "x\n"
    assert sqlite.run("run", "-qn", "-w5", "--wait=1.5", "-E9", "k", "echo", "x").out == "x\n"


def test_the_store_may_stand_before_the_verb(sqlite):
    other = f"sqlite:{sqlite.tmp}/other.db"
    assert sqlite.run("-S", other, "run", "k", "true").code == 0
    assert (sqlite.tmp / "other.db").exists() and not (sqlite.tmp / "locks.db").exists()


def test_the_store_may_stand_in_a_file(sqlite):
    where = sqlite.tmp / "store"
    where.write_text(f"sqlite:{sqlite.tmp}/filed.db  \n# the rest does not matter\n")
    done = sqlite.run("-S", f"@{where}", "run", "k", "sh", "-c", "echo $PAWL_STORE")
    assert done.code == 0 and done.out == f"@{where}\n"
    assert (sqlite.tmp / "filed.db").exists()
    assert "No such file" in one_line(sqlite.run("-S", "@/no/such", "ls"), 66)
    where.write_text("\n")
    assert "first line" in one_line(sqlite.run("-S", f"@{where}", "ls"), 78)


@pytest.mark.parametrize("url, code", [
    ("nosuch:", 78), ("redis://h:99999", 78), ("redis://h:x", 78),
    ("redis://h?colour=red", 78), ("sqlite:/tmp/x.db?nope=1", 78), ("no url at all", 78),
    ("://", 78), ("redis://%zz", 78),
])
def test_bad_urls(sqlite, url, code):
    one_line(sqlite.run("-S", url, "--store-timeout", "1", "ls"), code)


def test_a_full_stdout_is_an_error(sqlite):
    with open("/dev/full", "wb") as full:
        for words in (["help"], ["version"]):
            done = subprocess.run([PAWL, *words], env=clean_env(), stdout=full,
                                  stderr=subprocess.PIPE, timeout=30)
            assert done.returncode == 73 and b"No space left" in done.stderr


def test_a_lease_whose_token_cannot_be_told_is_not_left_behind(sqlite):
    with open("/dev/full", "wb") as full:
        done = subprocess.run([PAWL, "acquire", "k"], env=sqlite.env(), stdout=full,
                              stderr=subprocess.PIPE, timeout=30)
    assert done.returncode == 73
    assert not sqlite.show("k")["held"]


ODD = [b"a b", b"tab\there", b"new\nline", b"esc\x1b[31m", b"\xff\xfe raw", "grün ✓".encode(),
       b"back\\slash", "\u202edlrow".encode(), b"%41@x", b"'quo\"te$", b"k" * 512]


@pytest.mark.parametrize("name", ODD, ids=lambda n: repr(n[:12]))
def test_names_of_odd_bytes(rig, name):
    inside = subprocess.run(
        [PAWL, "run", name, "sh", "-c", 'printf %s "$PAWL_KEY" >&2; exec "$0" ls --json', PAWL],
        env=rig.env(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        timeout=30)
    assert inside.returncode == 0, inside.stderr
    assert inside.stderr == name, "the command sees the very bytes"
    row = json.loads(inside.stdout)
    if "key_hex" in row:
        assert bytes.fromhex(row["key_hex"]) == name
    else:
        assert row["key"].encode() == name


@pytest.mark.parametrize("name", ODD, ids=lambda n: repr(n[:12]))
def test_odd_names_and_labels_never_reach_the_terminal_raw(sqlite, name):
    held = subprocess.Popen([PAWL, "hold", "--owner", "me\u202efake", name], env=sqlite.env(),
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert held.stdout.readline().startswith(b"held ")
        for words in (["ls"], ["show", name], ["run", "-n", name, "true"]):
            done = subprocess.run([PAWL, *words], env=sqlite.env(), stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=30)
            text = done.stdout + done.stderr
            assert b"\x1b" not in text and b"\t" not in text and b"\xe2\x80\xae" not in text
            text.decode("utf-8")
    finally:
        held.stdin.close()
        held.wait(30)
        held.stdout.close()


# What a terminal obeys or shows otherwise than it is: ESC, the ESC [ of eight bits, other
# directions of writing, text that is not seen, what is no UTF-8, and a line of its own.
FORGED = "x\x1b[2J\u009b2J\u202e\u2066\u200b\u061c\U000e0041\x7f\nok  forged"
HARMFUL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e"
                     "\u2060-\u206f\ufeff\U000e0000-\U000e007f]")


def check_harmless(done):
    for text in (done.out, done.err):
        assert not HARMFUL.search(text), repr(text)
        assert not any(line.startswith("ok  forged") for line in text.splitlines()), text


def test_doctor_quotes_a_planted_table_harmlessly(sqlite):
    assert sqlite.run("run", "k", "true").code == 0
    with contextlib.closing(sqlite3.connect(sqlite.tmp / "locks.db")) as db:
        db.execute(f'CREATE TABLE "{FORGED}"(a INTEGER)')
        db.execute(f'INSERT INTO "{FORGED}" VALUES(1)')
        db.execute("PRAGMA writable_schema=ON")
        db.execute("UPDATE sqlite_schema SET sql=replace(sql, 'a INTEGER', 'a CHECK(a > 5)') "
                   "WHERE name = ?", (FORGED,))
        db.commit()
    for words in (["doctor"], ["doctor", "--json"], ["-v", "doctor"]):
        done = sqlite.run(*words)
        assert "CHECK constraint failed" in done.out and "forged" in done.out
        check_harmless(done)


def test_what_a_server_says_is_quoted_harmlessly(redis):
    """A value that is no lock, whose owner has chosen the name; and a server's own words."""
    redis.server.cli("SET", "pawl:" + FORGED, "foreign\x1b[2J\u009b2J", "PX", "60000")
    redis.server.cli("HSET", "pawl:h" + FORGED, "a", "b")
    for words in (["ls"], ["ls", "--json"], ["show", FORGED], ["show", "--json", FORGED],
                  ["run", "-n", FORGED, "true"], ["run", "h" + FORGED, "true"],
                  ["-v", "run", "-n", FORGED, "true"]):
        done = redis.run(*words)
        assert "forged" in done.out + done.err, words
        check_harmless(done)


def test_json_keeps_what_it_hides(redis):
    """Escaped as JSON does it, so that a program gets the very name."""
    redis.server.cli("SET", "pawl:" + FORGED, "foreign", "PX", "60000")
    done = redis.run("show", "--json", FORGED)
    check_harmless(done)
    assert json.loads(done.out)["key"] == FORGED


def test_a_file_that_names_the_store_is_quoted_harmlessly(sqlite, tmp_path):
    for text in (f"redis://h/{FORGED}", f"{FORGED}://h", f"sqlite:{tmp_path}/{FORGED}/x.db"):
        path = tmp_path / "url"
        path.write_text(text.replace("\n", " "), encoding="utf-8")
        done = sqlite.run("-S", f"@{path}", "ls")
        assert done.code and done.err.count("\n") == 1
        check_harmless(done)
    odd = tmp_path / "\u009b2J\u202e.conf"
    for words in (["--config", odd, "ls"], ["-S", f"@{odd}", "ls"]):
        done = sqlite.run(*words)
        assert done.code == 66
        check_harmless(done)


@pytest.mark.parametrize("label", ["a\nb", "\x1b[2J", "x" * 256])
def test_a_label_is_one_line(sqlite, label):
    assert "--owner: an owner label has at most 255 bytes" in one_line(sqlite.run("run", "--owner", label, "k", "true"), 64)


def test_quiet_and_verbose(sqlite):
    assert sqlite.run("run", "k", "true").err == ""
    loud = sqlite.run("run", "-v", "k", "true").err
    assert "held after" in loud and all(l.startswith("pawl: ") for l in loud.splitlines())
    with open(os.devnull, "rb") as null:
        hold = sqlite.start("hold", "k", stdin=null)
        hold.expect("held")
        assert sqlite.run("run", "-qn", "k", "true").err == ""
        assert sqlite.run("run", "-n", "k", "true").err.count("\n") == 1


# ---- A store that locks nobody out -----------------------------------------------------

TOKEN = "0" * 40


@pytest.mark.parametrize("words", [
    ["run", "k", "echo", "ran"], ["acquire", "k"], ["hold", "k"], ["wait", "k"],
    ["renew", "k", "--token", TOKEN], ["release", "k", "--token", TOKEN],
    ["check", "k", "--token", TOKEN], ["break", "k", "--fence", "1"], ["ls"], ["show", "k"],
], ids=lambda words: words[0])
@pytest.mark.parametrize("url", ["memory:", "Memory:name"])
def test_memory_is_refused(sqlite, words, url):
    """It is the memory of this one process: the lock would keep nobody out, in silence."""
    done = sqlite.run(*words, env={"PAWL_STORE": url})
    assert done.code == 78 and done.out == "" and done.err.count("\n") == 1
    assert "memory of this process alone" in done.err and "PAWL_ERR_SCHEME" in done.err
    assert sqlite.run("-S", url, *words).code == 78


def test_flock_refuses_memory(sqlite):
    done = sqlite.run(sqlite.tmp / "lock", "echo", "ran", env={"PAWL_STORE": "memory:"},
                      program=PAWL_FLOCK)
    assert done.code == 78 and done.out == "" and "memory of this process" in done.err


def test_memory_can_be_examined_and_measured(sqlite):
    done = sqlite.run("-S", "memory:", "doctor")
    assert done.code == 0 and "only clients of this process" in done.out
    assert sqlite.run("-S", "memory:", "bench", "-d", "10ms", "--only", "uncontended").code == 0


# ---- Passwords -------------------------------------------------------------------------

@pytest.mark.parametrize("words", [
    ["-S", "redis:/:hunter2@h", "ls"], ["-S", "redis://hunter2@h:x", "ls"],
    ["-S", "redis://:hunter2", "ls"], ["-S", "redis:hunter2@h", "run", "k", "true"],
    ["-S", "user:hunter2@h", "show", "k"], ["-S", "hunter2@h", "doctor"],
    ["-S", "redis://h?auth=hunter2", "ls"], ["-S", "@redis://:hunter2@h", "ls"],
    ["redis://:hunter2@h", "ls"], ["-v", "-S", "redis://u:hunter2@h:1", "ls"],
    ["bench", "-S", "redis:/:hunter2@h"], ["hold", "-S", "redis:/:hunter2@h", "k"],
], ids=" ".join)
def test_no_message_shows_a_password(sqlite, words):
    done = sqlite.run("--store-timeout", "50ms", *words)
    assert done.code in (64, 69, 78) and done.err
    assert "hunter2" not in done.out + done.err
