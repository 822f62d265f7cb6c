# SPDX-License-Identifier: MIT
"""What is printed, whole: every line and every field, and not only the words that a test is about.

What differs from run to run is masked: <when> an instant, <span> a length of time, <F1> the oldest
fence, <F2> the next one."""
import json
import os
import re
import resource
import signal
import subprocess

import pytest

LONG = "8000h"  # its end is not seen by a test


def masked(rig, text):
    text = text.replace(rig.url, "<store>")
    text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "<when>", text)
    fences = sorted(set(re.findall(r"\b\d{16}\b", text)))
    for number, fence in enumerate(fences, 1):
        text = text.replace(fence, f"<F{number}>")
    return re.sub(r"(?<![\w.])(\d+(\.\d+)?(ms|h|m|s))+\b", "<span>", text)


UNSEEN = "somebody else holds the lock"  # its holder is asked for 300 ms only, which a busy machine may need


def run(rig, *words, **options):
    """Until the holder was seen, if it is asked for."""
    for _ in range(100):
        done = rig.run(*words, **options)
        if UNSEEN not in done.err:
            break
    return done


def said(rig, done, code=0):
    """What it printed, and what it complained about."""
    assert done.code == code, done.err
    return masked(rig, done.out), masked(rig, done.err)


def prints(rig, *words, code=0):
    out, err = said(rig, run(rig, *words), code)
    assert err == ""
    return out


def warns(rig, *words, code=0):
    out, err = said(rig, run(rig, *words), code)
    assert out == ""
    return err


def shape(value):
    """JSON with each number of time or fence as its kind."""
    if isinstance(value, list):
        return [shape(one) for one in value]
    if isinstance(value, dict):
        return {key: "ms" if key.endswith("_ms") and one is not None else
                "fence" if key.endswith("fence") else
                "when" if key in ("since", "time") else shape(one) for key, one in value.items()}
    return value


def objects(rig, *words):
    return [shape(json.loads(line)) for line in rig.run(*words).out.splitlines()]


def holds(rig, *words):
    proc = rig.start("run", *words, "sh", "-c", "echo held; cat", stdin=subprocess.PIPE)
    proc.expect("held")
    return proc


@pytest.fixture
def crowd(sqlite):
    """Two readers, a semaphore with two holders and a waiter, one who holds alone and waiters."""
    for number in ("1", "2"):
        holds(sqlite, "-s", "--owner", f"reader {number}", "a:read")
    holds(sqlite, "-N", "8", "--units", "3", "--owner", "three", "a:slots")
    holds(sqlite, "-N", "8", "--owner", "one", "a:slots")
    sqlite.start("run", "-N", "8", "--units", "6", "--owner", "six", "a:slots", "true")
    sqlite.until_waiting("a:slots")
    holds(sqlite, "--owner", "alone", "b")
    for number, mode in enumerate(["-x", "-s", "-U"], 1):
        sqlite.start("run", mode, "--owner", f"waiter {number}", "b", "true")
        sqlite.until_waiting("b", number)
    return sqlite


# ---- Looking ------------------------------------------------------------------------------


def test_show_of_a_crowd(crowd):
    assert prints(crowd, "show", "a:read") == """\
key       a:read
state     held
holder    reader 2
since     <when>
left      <span>
mode      shared
holders   2
      reader 1, shared, <span> left, fence <F1>
      reader 2, shared, <span> left, fence <F2>
fence     <F2>
waiting   0
"""
    assert prints(crowd, "show", "a:slots") == """\
key       a:slots
state     held
holder    one
since     <when>
left      <span>
mode      permit
slots     8, of which 4 are taken
holders   2
      three, 3 units, <span> left, fence <F1>
      one, 1 unit, <span> left, fence <F2>
fence     <F2>
waiting   1
   1  six, 6 units, for <span> (its place lasts <span>)
"""
    assert prints(crowd, "show", "b") == """\
key       b
state     held
holder    alone
since     <when>
left      <span>
fence     <F1>
waiting   3
   1  waiter 1, exclusive, for <span> (its place lasts <span>)
   2  waiter 2, shared, for <span> (its place lasts <span>)
   3  waiter 3, update, for <span> (its place lasts <span>)
"""
    assert prints(crowd, "show", "nobody's") == "key       nobody's\nstate     free\nfence     0\nwaiting   0\n"


def test_show_of_a_crowd_in_json(crowd):
    holder = {"remaining_ms": "ms", "fence": "fence"}
    common = {"held": True, "since": "when", "host": None, "pid": None, "foreign": False,
              "remaining_ms": "ms", "fence": "fence"}
    assert objects(crowd, "ls", "--json", "a:") == objects(crowd, "show", "--json", "a:read") + \
        objects(crowd, "show", "--json", "a:slots")
    assert objects(crowd, "show", "--json", "a:read") == [
        {**common, "key": "a:read", "owner": "reader 2", "mode": "shared", "holder_count": 2,
         "holders": [{"owner": f"reader {n}", "mode": "shared", **holder} for n in (1, 2)],
         "waiting": 0, "waiters": []}]
    assert objects(crowd, "show", "--json", "a:slots") == [
        {**common, "key": "a:slots", "owner": "one", "mode": "permit", "slots": 8, "holder_count": 2,
         "holders": [{"owner": "three", "mode": "permit", "units": 3, **holder},
                     {"owner": "one", "mode": "permit", "units": 1, **holder}],
         "waiting": 1,
         "waiters": [{"owner": "six", "mode": "permit", "units": 6, "age_ms": "ms", "place_ms": "ms"}]}]


def test_ls_of_a_crowd(crowd):
    out = crowd.run("ls").out
    assert masked(crowd, re.sub("  +", "|", out)) == """\
KEY|MODE|HOLDER|LEFT|FENCE|WAITING
a:read|shared x 2|reader 2|<span>|<F1>|0
a:slots|permit 4/8|one|<span>|<F2>|1
b|exclusive|alone|<span>|<F3>|3
"""
    lines = out.splitlines()
    begins = {tuple(match.start() for match in re.finditer(r"(?<=  )\S", line)) for line in lines}
    assert len(begins) == 1, "the columns begin below their titles"


def test_stat_of_a_crowd(crowd):
    title, row = crowd.run("stat", "-c", "1").out.splitlines()
    assert title == ("TIME                     HELD HOLDERS WAITING  QUEUES CHANGED "
                     "OLDEST_MS TOOK_MS")
    assert row.split()[1:6] == ["3", "5", "4", "2", "?"] and len(row) == len(title)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", row.split()[0])


def test_show_of_a_process_and_of_what_was_broken(sqlite):
    proc = holds(sqlite, "k")
    page = masked(sqlite, sqlite.run("show", "k").out.replace(os.uname().nodename, "<host>"))
    assert re.sub(r"\S+@", "<user>@", page) == f"""\
key       k
state     held
holder    <user>@<host> {proc.pid} sh
host      <host>
pid       {proc.pid}
since     <when>
left      <span>
fence     <F1>
waiting   0
"""
    fence = sqlite.show("k")["fence"]
    assert prints(sqlite, "break", "--owner", "eve", "k", "--fence", fence) == ""
    assert prints(sqlite, "show", "k") == """\
key       k
state     free
fence     <F1>
broken    fence <F1>, by eve, <span> ago
waiting   0
"""


def test_once_of_each_outcome(sqlite):
    assert prints(sqlite, "once", "job", "--last") == \
        "key       job\nlast      never, as far as is known\n"
    assert prints(sqlite, "once", "job", "--every", LONG, "--last") == """\
key       job
last      never, as far as is known
due       yes
next      <when>, in <span>
"""
    ran = "by        ann\nbegan     <when>, <span> ago\nended     <when>, <span> ago\nfence     <F1>\n"
    by_ann = ["--every", LONG, "--owner", "ann"]
    assert prints(sqlite, "once", "job", *by_ann, "true") == ""
    assert prints(sqlite, "once", "job", "--every", LONG, "--last") == \
        f"key       job\nlast      succeeded\n{ran}due       no\nnext      <when>, in <span>\n"
    assert prints(sqlite, "once", "other\n", *by_ann, "false", code=1) == ""
    assert prints(sqlite, "once", "other\n", "--last") == f"key       other\\x0a\nlast      failed\n{ran}"
    assert prints(sqlite, "once", "kept", "--keep-on-failure", *by_ann, "false", code=1) == ""
    assert prints(sqlite, "once", "kept", "--last") == \
        f"key       kept\nlast      failed, and counts\n{ran}"
    assert warns(sqlite, "once", "-v", "job", "--every", LONG, "true").splitlines()[-1] == \
        "pawl: job: done in this period already, <span> ago by ann; the next one begins in <span>"


TOPICS = {
    "sqlite": ["file", "integrity", "write", "liveness", "inbox", "rows"],
    "redis": ["guard", "version", "eviction", "persistence", "replication", "output-limit", "timeout", "keepalive",
              "patterns", "clock", "clock-rate", "latency", "slow", "endless", "watch", "write", "permission"],
}
FOUND = {  # where it does not depend on the machine
    "sqlite": ["ok integrity The database is sound.", "ok rows N names on file, N of them held, N waiting; log: N pages."],
    "redis": ["ok guard After a restart nothing is granted for N ms, where somebody knows of the run before (guard=auto)",
              "ok eviction Nothing is evicted (maxmemory-policy noeviction)",
              "ok replication A primary without replicas", "ok timeout Idle connections stay (timeout N)",
              "ok patterns Nobody listens to patterns of channels", "ok endless All N keys of locks have a ttl",
              "ok write A key was written and deleted",
              "ok permission The user may run everything that pawl's scripts run"],
}


@pytest.mark.parametrize("store", ["sqlite", "redis"])
def test_what_the_doctor_finds(request, store):
    """Each topic once and in order, in words and in JSON alike. What is told of a bug of a server's version
    depends on the server."""
    rig = request.getfixturevalue(store)
    holds(rig, "k")

    def without_numbers(text):
        return re.sub(r"\d+", "N", text)
    findings = [json.loads(line) for line in rig.run("doctor", "--json").out.splitlines()]
    findings = [finding for finding in findings if finding["topic"] != "bugs"]
    assert all(list(finding) == ["severity", "topic", "text", "advice"] for finding in findings)
    assert [finding["topic"] for finding in findings] == TOPICS[store]
    found = [without_numbers(f"{one['severity']} {one['topic']} {one['text']}") for one in findings]
    assert not set(FOUND[store]) - set(found), found
    assert all((one["severity"] == "ok") == (one["advice"] == "") for one in findings), findings
    lines = set()
    for one in findings:
        if one["topic"] not in ("clock", "clock-rate", "latency", "slow"):  # of this moment
            lines.add(f"{one['severity']:8} {one['topic']:14} {one['text']}")
            lines.add(" " * 24 + "-> " + one["advice"] if one["advice"] else "")
    told = {without_numbers(line) for line in ["", *rig.run("doctor").out.splitlines()]}
    assert not {without_numbers(line) for line in lines} - told, (lines, told)


# ---- Leases --------------------------------------------------------------------------------


def test_what_leases_by_token_print(sqlite):
    lease = json.loads(sqlite.run("acquire", "--json", "-t", "77s", "k").out)
    token, fence = lease.pop("token"), lease.pop("fence")
    assert lease == {"key": "k", "ttl_ms": 77000}
    by_token = ["k", "--token", token]
    assert prints(sqlite, "renew", *by_token) == ""
    assert json.loads(sqlite.run("renew", "--json", "-t", "50s", *by_token).out) == \
        {"key": "k", "fence": fence, "ttl_ms": 50000}
    check = json.loads(sqlite.run("check", "--json", *by_token).out)
    assert 30000 < check.pop("remaining_ms") <= 50000 and check == {"key": "k"}
    assert re.fullmatch(r"\d{5}\n", sqlite.run("check", *by_token).out)
    assert prints(sqlite, "release", *by_token) == ""
    gone = "k: this token or fence does not hold the lock: its lease was released, ran out or was " \
           "broken, or never was [PAWL_ERR_LOST]\n"
    for verb in ("renew", "check", "release"):
        assert warns(sqlite, verb, *by_token, code=76) == f"pawl: {verb} {gone}"
    assert warns(sqlite, "check", "k", "--fence", fence, code=76) == f"pawl: check {gone}"
    assert warns(sqlite, "break", "k\n", "--fence", "7", code=76) == \
        "pawl: break k\\x0a: it is free, or its fence is not 7 (any more): look again " \
        "[PAWL_ERR_NOT_HELD]\n"


def test_what_hold_and_wait_print(sqlite):
    proc = sqlite.start("hold", "k\n", stdin=subprocess.PIPE)
    assert masked(sqlite, proc.line()) == "held <F1> k\\x0a"
    assert warns(sqlite, "wait", "-n", "k\n", code=75) == "pawl: k\\x0a: still held\n"
    proc.popen.stdin.close()
    assert (proc.wait(), proc.errors()) == (0, "")
    assert warns(sqlite, "wait", "-w", "0", "--held", "-E", "9", "k\n", code=9) == \
        "pawl: k\\x0a: still free\n"


# ---- What is said of a run ------------------------------------------------------------------


def test_what_is_said_of_a_busy_lock(sqlite):
    holds(sqlite, "--owner", "eve", "k")
    busy = "k: busy: held by eve, lease for <span>, 0 waiting\n"
    for verb in (["run", "-n", "k", "true"], ["acquire", "-n", "k"], ["hold", "-w", "0", "k"]):
        assert warns(sqlite, *verb, code=75) == f"pawl: {busy}"
    asked = "k: asking <store>\npawl: connected to the store\npawl: "
    assert warns(sqlite, "run", "-nv", "-E", "0", "k", "true") == f"pawl: {asked}{busy}"
    assert warns(sqlite, "run", "-n", "-k", "free", "-k", "k", "true", code=75) == \
        f"pawl: free, {busy}"
    waits = sqlite.start("run", "-v", "k", "true")
    sqlite.until_waiting("k")
    waits.kill(signal.SIGHUP)
    assert waits.wait() == 128 + signal.SIGHUP
    assert masked(sqlite, waits.errors()) == f"pawl: {asked}k: SIGHUP ended the wait\n"


def test_what_is_said_of_a_run_that_goes_well(sqlite):
    proc = sqlite.start("run", "-v", "k", "sh", "-c", "trap 'exit 5' TERM; echo on; read x; read x",
                        stdin=subprocess.PIPE)
    proc.expect("on")
    other = sqlite.start("run", "k", "true")
    sqlite.until_waiting("k")
    while b"somebody waits" not in (line := proc.popen.stderr.readline()):
        assert line
    proc.kill(signal.SIGTERM)
    assert proc.wait() == 5 and other.wait() == 0
    assert proc.errors().splitlines()[-1] == "pawl: k: SIGTERM passed on"


def events_of(pipe):
    """One object for each event, without what each of them has."""
    with os.fdopen(pipe) as lines:
        events = [json.loads(line) for line in lines]
    times = [event.pop("time_ms") for event in events]
    assert times == sorted(times) and 0 <= times[-1] - times[0] < 1e6
    return [shape(event) for event in events]


def test_what_is_said_of_a_lock_that_was_broken(sqlite):
    read, write = os.pipe()
    proc = sqlite.start("run", "--json-events", write, "k", "sh", "-c", "echo on; exec cat",
                        stdin=subprocess.PIPE, pass_fds=[write])
    os.close(write)
    proc.expect("on")
    assert sqlite.run("break", "--owner", "eve", "k", "--fence", sqlite.show("k")["fence"]).code == 0
    assert (proc.wait(), proc.errors()) == (76, "pawl: k: lost: broken by eve\n")
    reason = {"key": "k", "reason": "broken by eve"}
    assert events_of(read)[3:] == [{"event": "lost", **reason}, {"event": "term", **reason},
                                   {"event": "exited", "key": "k", "code": 128 + signal.SIGTERM}]


@pytest.mark.parametrize("words, code, ends", [
    (["k", "true"], 0, [{"event": "exited", "code": 0}, {"event": "released"}]),
    (["k", "sh", "-c", "exit 9"], 9, [{"event": "exited", "code": 9}, {"event": "released"}]),
    (["k", "sh", "-c", "kill -9 $$"], 137, [{"event": "exited", "code": 137}, {"event": "released"}]),
    (["k", "/no/such/command"], 127, [{"event": "released"}]),
    (["k", "/"], 126, [{"event": "released"}]),
    (["k\n", "true"], 0, [{"event": "exited", "code": 0}, {"event": "released"}]),
    (["-n", "busy", "true"], 75,
     [{"event": "busy", "reason": "held by eve, lease for <span>, 2 waiting"}]),
    (["-n", "-E", "3", "busy", "true"], 3,
     [{"event": "busy", "reason": "held by eve, lease for <span>, 2 waiting"}]),
], ids=lambda value: " ".join(value) if isinstance(value, list) and value and isinstance(value[0], str) else "")
def test_the_events_of_a_run(sqlite, words, code, ends):
    if "busy" in words:
        holds(sqlite, "--owner", "eve", "busy")
        for count in (1, 2):
            sqlite.start("run", "busy", "true")
            sqlite.until_waiting("busy", count)
    done = UNSEEN
    while done == UNSEEN or UNSEEN in done.err:
        read, write = os.pipe()
        done = sqlite.run("run", "--json-events", write, "-t", "20s", *words, pass_fds=[write])
        os.close(write)
        if UNSEEN in done.err:
            os.close(read)
    assert done.code == code, done.err
    key = {"key": next(word for word in words if word[0] in "kb")}
    begins = [{"event": "waiting"}]
    if "busy" not in words:
        begins.append({"event": "acquired", "fence": "fence", "ttl_ms": "ms"})
    if any(one["event"] == "exited" for one in ends):
        begins.append({"event": "started"})
    events = events_of(read)
    for event in events:
        if event["event"] == "started":
            assert event.pop("pid") > 1
        if "reason" in event:
            event["reason"] = masked(sqlite, event["reason"])
    assert events == [{**event, **key} for event in begins + ends]


def test_what_a_leader_says_between_two_terms(sqlite):
    proc = sqlite.start("lead", "k\n", "--", "sh", "-c", "exit 7")
    said = [masked(sqlite, proc.popen.stderr.readline().decode()) for _ in range(3)]
    assert said == ["pawl: k\\x0a: the command has ended (7); in at most <span> it is led again\n"] * 3
    proc.kill(signal.SIGTERM)
    proc.wait()


@pytest.mark.parametrize("words", [["run"], ["run", "-F"], ["run", "--hold-descendants"],
                                   ["lead", "--restart", "never"]], ids=" ".join)
def test_without_descriptors_it_says_why(sqlite, words):
    """However few there are: a line that has the reason, and never another outcome."""
    few = 12
    while True:
        limit = (few, few)
        done = sqlite.run(*words, "k", "sh", "-c", "echo ran", preexec_fn=lambda limit=limit:
                          resource.setrlimit(resource.RLIMIT_NOFILE, limit))
        if done.code == 0:
            break
        assert done.code in (70, 71, 126) and done.out == "" and done.err, (few, done.err)
        assert "Success" not in done.err and "guardian" not in done.err, (few, done.err)
        few += 1
        assert few < 80
    assert done.out == "ran\n" and done.err == ""
