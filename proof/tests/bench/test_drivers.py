# SPDX-License-Identifier: MIT
"""Each workload of each driver that is written in C, for a moment: are its figures of a piece? With
PAWL_INTEROP=all also what the peers have beside the exclusive lock; one that the registries do not bring
here is skipped, and the reason said."""
import os
import sys
from pathlib import Path

import pytest
from suite import driver, peers
from suite.server import CommandCount

CACHE = Path(os.environ["PAWL_BUILD"]).absolute() / "bench/cache"
MIXES, PERMITS = ("mix", "mix-one"), ("permits", "permits-one")
OF_PEERS = [(who, workload) for who, workloads in peers.WORKLOADS.items() for workload in workloads
            if workload in MIXES + PERMITS] if os.environ.get("PAWL_INTEROP") == "all" else []
SHORT = 0.3  # long enough that nobody who is ready comes to nothing on a busy machine


def run(command, url, workload, clients):
    return driver.run([command], url, workload, clients, SHORT)


def url_for(who, redis, tmp_path):
    return {"flock": f"flock:{tmp_path}", "begin": f"sqlite-fence:{tmp_path}/begin.db"}.get(
        who, redis.url)


@pytest.mark.parametrize("who", ["pawl", "hiredis", "blpop", "flock", "begin"])
def test_one_caller(bench, redis, tmp_path, who):
    url = url_for(who, redis, tmp_path)
    pairs = run(bench(who), url, "pairs", 1)
    assert pairs["acquired"] == pairs["total"] > 0
    alone = run(bench(who), url, "acquire", 1)
    assert 0 < alone["acquire_p50_ns"] <= alone["acquire_p99_ns"] <= alone["acquire_max_ns"] * 1.01


@pytest.mark.parametrize("who, clients", [
    ("pawl", "4"), ("pawl", "2x2"), ("hiredis", "4"), ("blpop", "4"), ("baton", "4"),
    ("flock", "4x1"), ("begin", "4x1")])
def test_contention(bench, redis, tmp_path, who, clients):
    result = run(bench(who), url_for(who, redis, tmp_path), "contend", clients)
    assert result["clients"] == 4 and result["overlaps"] == 0
    assert 0 <= result["handovers"] <= result["acquired"] <= result["total"] > 0
    assert 0.2499 < result["jain"] <= 1 and 0 <= result["least_share"] <= 1
    if who in ("pawl", "baton"):  # the others may leave it to one client for all of a moment
        assert result["handovers"] > 0


def check_mix(result):
    assert result["overlaps"] == 0 and 0 < result["acquired"] <= result["total"]
    assert result["reads"] + result["writes"] == result["acquired"]
    assert result["reads"] > result["writes"]
    assert 0 < result["jain_reads"] <= 1 and 0 <= result["jain_writes"] <= 1
    assert 0 <= result["passed_p99"] <= result["passed_max"] * 1.01


def check_permits(result):
    assert result["overlaps"] == 0 and 0 < result["acquired"] <= result["total"]
    assert 0 <= result["handovers"] <= result["acquired"] and 0 < result["jain"] <= 1


@pytest.mark.parametrize("workload", MIXES)
def test_readers_and_writers(bench, redis, workload):
    check_mix(run(bench("pawl"), redis.url, workload, 4))


@pytest.mark.parametrize("workload", PERMITS)
def test_permits(bench, redis, workload):
    result = run(bench("pawl"), redis.url, workload, 20)
    check_permits(result)
    assert result["handovers"] > 0


def test_nobody_hands_over_to_himself(bench, redis):
    """As long as there are permits for all."""
    assert run(bench("pawl"), redis.url, "permits", 1)["handovers"] == 0


@pytest.mark.parametrize("who, workload", OF_PEERS)
def test_what_several_hold_by_a_peer(redis, who, workload):
    try:
        peer = peers.MAKERS[who](CACHE)
    except peers.Skipped as why:
        print(f"SKIP: {who}: {why}", file=sys.stderr)
        pytest.skip(f"{who}: {why}")
    redis.clear()
    result = driver.run(peer.command, redis.url, workload, 4, SHORT)
    (check_mix if workload in MIXES else check_permits)(result)


@pytest.mark.parametrize("workload, clients, count", [("crowd-1", "2x3", 6), ("crowd-20", "3x1", 3)])
def test_crowds(bench, tmp_path, workload, clients, count):
    result = run(bench("pawl"), f"sqlite:{tmp_path}/pawl.db", workload, clients)
    assert result["clients"] == count and result["overlaps"] == 0
    assert 0 < result["handovers"] <= result["acquired"]
    assert ("gap_p50_ns" in result) == (workload == "crowd-1")


def test_leases(bench, redis):
    result = run(bench("pawl"), redis.url, "leases", 50)
    assert result["held"] == 50 and result["allocated_each"] > 0


@pytest.mark.parametrize("who", ["pawl", "mutex"])
def test_cached(bench, redis, who):
    result = run(bench(who), redis.url, "cached", 1)
    assert result["pairs"] > 0 and result["pair_ns"] > 0


def test_commands_are_counted_without_those_of_scripts(redis):
    with CommandCount(redis) as count:
        redis.control.call("SET", "a", 1)
        redis.control.call("EVAL", "redis.call('GET', 'a') return redis.call('GET', 'a')", 0)
    assert (count.sent, count.in_scripts) == (2, 2)


@pytest.mark.parametrize("words", [["contend", "0", "1"], ["contend", "2", "-1"], ["no", "1", "1"],
                                   ["crowd-0", "1", "1"], ["mix-two", "2", "1"], ["contend", "9999", "1"]])
def test_bad_input_is_refused(bench, redis, words):
    with pytest.raises(driver.DriverFailed, match="bench: "):
        driver.run([bench("pawl")], redis.url, words[0], words[1], float(words[2]))


def test_a_store_that_is_not_there(bench):
    with pytest.raises(driver.DriverFailed, match="hiredis: |redis://"):
        run(bench("hiredis"), "redis://127.0.0.1:1", "pairs", 1)
