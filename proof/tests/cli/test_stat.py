# SPDX-License-Identifier: MIT
"""pawl stat: what its lines say of a known store, and that what is not known is shown as unknown."""
import json
import subprocess

import watch_cost


def lines(done):
    assert done.err == "", done.err
    return [json.loads(line) for line in done.out.splitlines()]


def holds(rig, *words):
    proc = rig.start("run", *words, "sh", "-c", "echo held; cat", stdin=subprocess.PIPE)
    proc.expect("held")
    return proc


def test_what_is_held_and_waited_for(rig):
    holds(rig, "-s", "a:1")
    holds(rig, "-s", "a:1")
    holds(rig, "b:1")
    rig.start("run", "b:1", "true")
    rig.until_waiting("b:1")
    [seen] = lines(rig.run("stat", "--json", "-c", "1"))
    told = {k: seen[k] for k in ("held", "holders", "waiting", "queues", "changed")}
    assert told == {"held": 2, "holders": 3, "waiting": 1, "queues": 1, "changed": None}
    assert seen["oldest_wait_ms"] >= 0 and seen["took_ms"] >= 0 and "error" not in seen
    [seen] = lines(rig.run("stat", "--json", "-c", "1", "a:"))
    assert (seen["held"], seen["waiting"], seen["oldest_wait_ms"]) == (1, 0, None)


def test_the_table(sqlite):
    holds(sqlite, "k")
    done = sqlite.run("stat", "-c", "2", "-i", "100ms")
    title, first, second = [line.split() for line in done.out.splitlines()]
    assert title == ["TIME", "HELD", "HOLDERS", "WAITING", "QUEUES", "CHANGED", "OLDEST_MS", "TOOK_MS"]
    assert first[1:7] == ["1", "1", "0", "0", "?", "-"] and len(first) == len(title)
    assert second[1:7] == ["1", "1", "0", "0", "0", "-"]


def test_another_holder_is_a_change(sqlite):
    first = holds(sqlite, "k")
    stat = sqlite.start("stat", "--json", "-i", "100ms")
    assert json.loads(stat.line())["changed"] is None
    assert json.loads(stat.line())["changed"] == 0
    first.popen.stdin.close()
    assert first.wait() == 0
    holds(sqlite, "k")
    while json.loads(stat.line())["changed"] != 1:
        pass
    assert json.loads(stat.line())["changed"] == 0


def test_a_store_that_goes_and_comes_back(redis):
    holds(redis, "k")
    stat = redis.start("stat", "--json", "-i", "100ms")
    assert json.loads(stat.line())["held"] == 1
    redis.server.end()
    while (seen := json.loads(stat.line()))["held"] is not None:
        pass
    assert seen["waiting"] is None and redis.server.socket in seen["error"]
    redis.server.start()
    while (seen := json.loads(stat.line()))["held"] is None:
        pass
    assert seen["changed"] is None  # the line before knew nothing


def test_unknown_is_no_zero_and_no_success(redis):
    redis.server.end()
    done = redis.run("stat", "-c", "1")
    assert done.code == 69 and done.err == ""
    assert done.out.splitlines()[1].split()[1:7] == ["?"] * 6


def test_bad_words(sqlite):
    for words in (["-i", "1ms"], ["-c", "0"], ["a", "b"]):
        done = sqlite.run("stat", *words)
        assert done.code == 64 and done.out == "" and done.err.count("\n") == 1


def test_what_a_look_costs_the_server(redis):
    """One script for each lock, and SCAN twice over pages of 500 keys; nothing for who waits."""
    for locks, waiters in ((30, 0), (30, 30), (120, 10)):
        redis.server.cli("flushall")
        with watch_cost.crowd(redis, locks, waiters):
            keys = int(redis.server.cli("dbsize"))
            asked, lines = watch_cost.of_one_look(redis)
        assert lines[-1]["held"] == locks and lines[-1]["waiting"] == waiters
        assert asked["evalsha"] == locks
        assert asked["scan"] <= 2 * (4 * keys // 500 + 2)  # 500 places of a table that may be larger than its keys
        assert sum(asked.values()) <= 20 * locks + 10, asked
