# SPDX-License-Identifier: MIT
"""Leases by token, looking, breaking, measuring."""
import contextlib
import datetime
import json
import os
import signal
import socket
import sqlite3
import subprocess
import time

import pytest

from harness import PAWL

HEX = "0123456789abcdef"


def acquire(rig, key, *flags):
    done = rig.run("acquire", "--json", *flags, key)
    assert done.code == 0, done.err
    lease = json.loads(done.out)
    assert lease["key"] == key and len(lease["token"]) == 40 and lease["fence"] > 0
    return lease


def test_a_lease_outlives_the_process_that_took_it(rig):
    lease = acquire(rig, "k", "-t", "60s")
    seen = rig.show("k")
    assert seen["held"] and seen["fence"] == lease["fence"]
    assert 50000 < seen["remaining_ms"] <= 60000
    assert rig.run("run", "-n", "k", "true").code == 75
    assert rig.run("release", "k", "--token", lease["token"]).code == 0
    assert not rig.show("k")["held"]


def test_what_acquire_prints(rig):
    plain = rig.run("acquire", "k").out.split()
    assert plain[0] == "token" and plain[2] == "fence"
    rig.run("release", "k", "--token", plain[1])
    done = rig.run("acquire", "it's $HOME", "--sh")
    assert done.out.count("\n") == 1
    script = done.out + 'printf "%s|%s|%s" "$PAWL_KEY" "$PAWL_TOKEN" "$PAWL_FENCE"; '
    out = subprocess.run(["/bin/sh", "-c", f'{script} {PAWL} release'], env=rig.env(),
                         stdout=subprocess.PIPE, timeout=30, check=True).stdout.decode()
    key, token, fence = out.split("|")
    assert key == "it's $HOME" and set(token) <= set(HEX) and int(fence) > int(plain[3])
    assert not rig.show("it's $HOME")["held"]


def test_an_unrenewed_lease_runs_out_and_a_renewed_one_does_not(rig):
    lease = acquire(rig, "k", "-t", "300ms")
    assert rig.run("wait", "-w", "10", "k").code == 0
    for verb in ("renew", "release", "check"):
        done = rig.run(verb, "k", "--token", lease["token"])
        assert done.code == 76 and done.out == "" and done.err.count("\n") == 1
    second = acquire(rig, "k", "-t", "300ms")
    assert second["fence"] > lease["fence"]
    done = rig.run("renew", "k", "--token", second["token"], "-t", "60s", "--json")
    assert done.code == 0 and json.loads(done.out)["fence"] == second["fence"]
    assert rig.show("k")["remaining_ms"] > 50000
    assert rig.run("renew", "k", "-t", "60s", env={"PAWL_TOKEN": second["token"]}).out == ""


def test_only_the_owner(rig):
    lease = acquire(rig, "k")
    other = "0" * 40
    for verb in ("renew", "release", "check"):
        assert rig.run(verb, "k", "--token", other).code == 76
    assert rig.run("check", "k", "--token", lease["token"]).code == 0


def test_check(rig):
    lease = acquire(rig, "k", "-t", "60s")
    by_token = rig.run("check", "k", "--token", lease["token"])
    assert by_token.code == 0 and 50000 < int(by_token.out) <= 60000
    by_fence = rig.run("check", "k", "--fence", lease["fence"], "--json")
    assert by_fence.code == 0 and json.loads(by_fence.out)["remaining_ms"] > 50000
    assert rig.run("check", "k", "--fence", lease["fence"] + 1).code == 76
    assert rig.run("check", "other", "--token", lease["token"]).code == 76
    # inside a run nothing need be given, with and without a token
    for flags in ([], ["--no-token"]):
        done = rig.run("run", *flags, "r", PAWL, "check")
        assert done.code == 0 and int(done.out) > 0, done.err


def test_a_fence_is_checked_beside_others(rig):
    first = rig.start("run", "-s", "--no-token", "k", "sh", "-c", 'echo in; read -r _; "$0" check', PAWL,
                      stdin=subprocess.PIPE)
    assert first.line() == "in"
    second = rig.start("run", "-s", "k", "sh", "-c", "echo in; cat", stdin=subprocess.PIPE)
    assert second.line() == "in"
    first.say(b"\n")
    assert int(first.line()) > 0 and first.wait() == 0, first.errors()


def test_hold_until_stdin_is_closed(rig):
    proc = rig.start("hold", "--json", "k", stdin=subprocess.PIPE)
    line = json.loads(proc.line())
    assert line["event"] == "held" and line["fence"] == rig.show("k")["fence"]
    proc.popen.stdin.write(b"this does not matter\n")
    proc.popen.stdin.flush()
    assert rig.run("check", "k", "--token", line["token"]).code == 0
    proc.popen.stdin.close()
    assert proc.wait() == 0
    assert not rig.show("k")["held"]


@pytest.mark.parametrize("stdin", ["devnull", "file", "closed"])
def test_hold_without_a_lifeline_ends_by_signal(sqlite, stdin):
    options = {"stdin": subprocess.DEVNULL}
    if stdin == "file":
        options = {"stdin": open(__file__, "rb")}
    if stdin == "closed":
        options = {"stdin": None, "preexec": lambda: os.close(0)}
    proc = sqlite.start("hold", "k", **options)
    proc.expect("held")
    assert sqlite.show("k")["held"]
    proc.kill(signal.SIGTERM)
    assert proc.wait() == 0
    assert not sqlite.show("k")["held"]


def test_hold_replaces_flocks_descriptor(sqlite):
    script = f"""
        coproc {PAWL} hold --fence-file fence k
        read -r word fence key <&"${{COPROC[0]}}"
        [ "$word" = held ] && [ "$fence" = "$(cat fence)" ] && [ "$key" = k ] || exit 3
        {PAWL} run -n k true; [ $? = 75 ] || exit 4
        pid=$COPROC_PID
        eval "exec ${{COPROC[1]}}>&-"
        wait $pid || exit 5
        {PAWL} run -n k echo free again"""
    done = sqlite.run("-c", script, program="/bin/bash", cwd=sqlite.tmp)
    assert done.code == 0 and done.out == "free again\n", (done.code, done.err)


def test_wait(rig):
    assert rig.run("wait", "k").code == 0
    assert rig.run("wait", "-n", "--held", "k").code == 75
    holder = rig.start("hold", "k", stdin=subprocess.PIPE)
    assert rig.run("wait", "--held", "k").code == 0
    holder.expect("held")
    assert rig.run("wait", "-w", "300ms", "-E", "9", "k").code == 9
    waiting = rig.start("wait", "k")
    fence = rig.show("k")["fence"]
    holder.popen.stdin.close()
    assert waiting.wait() == 0 and waiting.errors() == ""
    assert rig.show("k")["fence"] == fence, "nobody took it to find out"


def test_ls_and_show(rig):
    assert rig.run("ls").out == ""
    lease = acquire(rig, "a/1", "-t", "60s", "--owner", "ann@db1")
    acquire(rig, "a/2", "-t", "60s")
    acquire(rig, "b", "-t", "60s")
    waiter = rig.start("run", "--owner", "bob@db2", "a/1", "true")
    rig.until_waiting("a/1")

    table = rig.run("ls", "a/").out.splitlines()
    assert table[0].split() == ["KEY", "MODE", "HOLDER", "LEFT", "FENCE", "WAITING"]
    assert [line.split()[0] for line in table[1:]] == ["a/1", "a/2"]
    assert "ann@db1" in table[1] and str(lease["fence"]) in table[1] and table[1].endswith(" 1")

    rows = [json.loads(line) for line in rig.run("ls", "--json").out.splitlines()]
    assert sorted(row["key"] for row in rows) == ["a/1", "a/2", "b"]

    seen = rig.show("a/1")
    assert seen["owner"] == "ann@db1" and seen["fence"] == lease["fence"]
    assert seen["held"] and not seen["foreign"] and 50000 < seen["remaining_ms"] <= 60000
    assert [w["owner"] for w in seen["waiters"]] == ["bob@db2"]
    assert seen["waiters"][0]["age_ms"] >= 0 and seen["waiters"][0]["place_ms"] > 0

    page = rig.run("show", "a/1").out
    for part in ("ann@db1", "bob@db2", str(lease["fence"]), "held", "waiting   1"):
        assert part in page, page
    assert "free" in rig.run("show", "nobody has it").out
    assert rig.run("release", "a/1", "--token", lease["token"]).code == 0
    assert waiter.wait() == 0


def test_the_label_of_a_run_names_its_command(sqlite):
    proc = sqlite.start("run", "k", "sh", "-c", "echo go; read x", stdin=subprocess.PIPE)
    proc.expect("go")
    owner = sqlite.show("k")["owner"]
    assert owner.endswith(f" {proc.pid} sh") and "@" in owner
    proc.popen.stdin.close()
    proc.wait()


def test_a_foreign_lock_on_redis(redis):
    """A plain SET NX PX holds the lock against us, and is shown for what it is."""
    assert redis.server.cli("SET", "pawl:k", "somebody", "NX", "PX", "60000") == "OK"
    assert redis.run("run", "-n", "k", "echo", "ran").code == 75
    seen = redis.show("k")
    assert seen["held"] and seen["foreign"] and 50000 < seen["remaining_ms"] <= 60000
    assert "not by pawl" in redis.run("show", "k").out
    redis.server.cli("DEL", "pawl:k")
    redis.server.cli("SET", "pawl:forever", "somebody")
    assert redis.show("forever")["remaining_ms"] is None
    holder = redis.start("hold", "k", stdin=subprocess.PIPE)
    holder.expect("held")
    assert redis.server.cli("SET", "pawl:k", "somebody", "NX", "PX", "60000") == ""


def test_show_tells_who_where_and_since_when(rig):
    before = time.time()
    proc = rig.start("hold", "k", stdin=subprocess.PIPE)
    proc.expect("held")
    seen = rig.show("k")
    assert seen["host"] == socket.gethostname() and seen["pid"] == proc.pid
    assert seen["program"] == "pawl" and seen["user"]
    since = datetime.datetime.fromisoformat(seen["since"].replace("Z", "+00:00")).timestamp()
    assert before - 1 <= since <= time.time() + 1
    page = rig.run("show", "k").out
    assert f"\nhost      {seen['host']}\npid       {proc.pid}\nsince     {seen['since']}\n" in page
    proc.popen.stdin.close()
    assert proc.wait() == 0
    free = rig.show("k")
    assert "since" not in free and "pid" not in free


@pytest.mark.parametrize("label", ["me", "a@b", "a@b 12", "a@b x y", "x y@z 12 p", "@h 1 p", "a@ 1 p"])
def test_a_label_of_ones_own_has_no_parts(sqlite, label):
    sqlite.start("hold", "--owner", label, "k", stdin=subprocess.PIPE).expect("held")
    seen = sqlite.show("k")
    assert seen["owner"] == label and seen["host"] is None and seen["pid"] is None


def test_a_holder_that_is_no_pawl_has_no_since(redis):
    assert redis.run("run", "k", "true").code == 0
    redis.server.cli("SET", "pawl:k", "foreign", "PX", "60000")
    seen = redis.show("k")
    assert seen["foreign"] and seen["since"] is None and seen["pid"] is None
    assert "since" not in redis.run("show", "k").out


def test_json_of_wait_release_and_break(rig):
    lease = acquire(rig, "k", "-t", "60s")
    done = rig.run("wait", "-n", "--json", "k")
    assert done.code == 75 and json.loads(done.out) == {"key": "k", "held": True}
    done = rig.run("wait", "--held", "--json", "k")
    assert done.code == 0 and json.loads(done.out) == {"key": "k", "held": True}
    done = rig.run("release", "k", "--json", "--token", lease["token"])
    assert done.code == 0 and json.loads(done.out) == {"key": "k", "released": True}
    done = rig.run("wait", "--json", "k")
    assert done.code == 0 and json.loads(done.out) == {"key": "k", "held": False}
    lease = acquire(rig, "k", "-t", "60s")
    fence = lease["fence"]
    done = rig.run("break", "k", "--json", "--fence", fence)
    assert done.code == 0 and json.loads(done.out) == {"key": "k", "broken": True, "fence": fence}
    done = rig.run("break", "k", "--json", "--fence", fence)
    assert done.code == 76 and done.out == "" and done.err.count("\n") == 1


def test_break(rig):
    lease = acquire(rig, "k", "-t", "60s")
    wrong = rig.run("break", "k", "--fence", lease["fence"] - 1)
    assert wrong.code == 76 and rig.show("k")["held"]
    assert rig.run("break", "k", "--fence", lease["fence"]).code == 0
    assert not rig.show("k")["held"]
    again = rig.run("break", "k", "--fence", lease["fence"])
    assert again.code == 76 and "look again" in again.err
    assert acquire(rig, "k")["fence"] > lease["fence"]


def test_show_tells_who_broke_it(rig):
    """What others have chosen as a label is escaped."""
    lease = acquire(rig, "k", "-t", "60s")
    assert "broken" not in rig.run("show", "k").out and "broken_by" not in rig.show("k")
    done = rig.run("--owner", "eve@host 42 \u202eforged", "break", "k", "--fence", lease["fence"])
    assert done.code == 0, done.err
    told = rig.show("k")
    assert told["broken_fence"] == lease["fence"] and 0 <= told["broken_ms"] < 60_000
    assert told["broken_by"] == "eve@host 42 \u202eforged"
    line = next(line for line in rig.run("show", "k").out.splitlines() if "broken" in line)
    assert f"fence {lease['fence']}, by eve@host 42 \\xe2\\x80\\xaeforged, " in line
    acquire(rig, "k", "-t", "60s")    # also beside the next holder
    assert rig.show("k")["held"] and rig.show("k")["broken_fence"] == lease["fence"]


def test_break_hands_on_to_who_waits(rig):
    lease = acquire(rig, "k", "-t", "60s")
    waiter = rig.start("run", "k", "echo", "mine")
    rig.until_waiting("k")
    assert rig.run("break", "k", "--fence", lease["fence"]).code == 0
    waiter.expect("mine")
    assert waiter.wait() == 0


def test_doctor(rig):
    done = rig.run("doctor")
    assert done.code == 0, done.err
    assert all(line.split()[0] in ("ok", "note", "warning", "error", "->")
               for line in done.out.splitlines())
    findings = [json.loads(line) for line in rig.run("doctor", "--json").out.splitlines()]
    assert findings and all(f["text"] and f["topic"] for f in findings)


@pytest.mark.parametrize("harm", ["UPDATE lock SET fence = -1", "DROP TABLE hold"])
def test_doctor_finds_what_only_sqlite_takes_for_sound(harm, sqlite):
    assert sqlite.run("run", "k", "true").code == 0
    assert sqlite.run("doctor").code == 0
    with contextlib.closing(sqlite3.connect(sqlite.tmp / "locks.db")) as db:
        db.execute(harm)
        db.commit()
    assert sqlite.run("run", "-s", "k", "true").code == 65
    done = sqlite.run("doctor", "--json")
    findings = {f["topic"]: f for f in map(json.loads, done.out.splitlines()) if f["severity"] == "error"}
    assert done.code == 78 and list(findings) == ["rows"], done.out
    assert "locks.db is damaged" in findings["rows"]["text"] and findings["rows"]["advice"]


def test_doctor_finds_an_eviction_policy_that_drops_locks(redis):
    redis.server.cli("CONFIG", "SET", "maxmemory", "100mb")
    redis.server.cli("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    findings = [json.loads(line) for line in redis.run("doctor", "--json").out.splitlines()]
    bad = [f for f in findings if f["topic"] == "eviction"]
    assert bad and bad[0]["severity"] in ("warning", "error") and bad[0]["advice"]


# ---- What messages say -------------------------------------------------------------------

@pytest.mark.parametrize("verb", ["renew", "release", "check"])
def test_a_token_that_never_held_is_not_said_to_have_lost(rig, verb):
    done = rig.run(verb, "k", "--token", "0" * 40)
    assert done.code == 76 and "does not hold the lock" in done.err and "never was" in done.err
    assert "the lock was lost" not in done.err and "PAWL_ERR_LOST" in done.err


def test_a_ttl_is_quoted_as_people_write_it(sqlite):
    for given, shown in (("30h", "30h"), ("5ms", "5ms"), ("90000", "25h")):
        done = sqlite.run("run", "-t", given, "k", "true")
        assert done.code == 64 and f"--ttl {shown}: a ttl lies between" in done.err


def test_a_foreign_holder_without_an_end(redis):
    redis.server.cli("SET", "pawl:k", "foreign")
    done = redis.run("run", "-n", "k", "true")
    assert done.code == 75
    assert "held by a client that is not pawl, without an end, 0 waiting" in done.err
