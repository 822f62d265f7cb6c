# SPDX-License-Identifier: MIT
"""What is computed from results: no clock and no server plays a part."""
import pytest
from suite import report, targets
from suite.results import Results, handovers_per_second, per_second


def pairs(acquired):
    return {"acquired": acquired, "seconds": 2.0, "total": acquired, "server_cpu_us": acquired}


def contended(handovers, **more):
    return dict({"handovers": handovers, "acquired": handovers, "seconds": 1.0, "jain": 1.0,
                 "commands": 2.0, "gap_p50_ns": 60, "ping_p50_ns": 50, "longest_wait_ns": 1}, **more)


@pytest.fixture
def results():
    kept = Results()
    for number, (pawl, hand, peer) in enumerate([(300, 100, 200), (90, 60, 30), (400, 200, 100)]):
        kept.add(("pairs", "1", "pawl"), number, pairs(pawl))
        kept.add(("pairs", "1", "hiredis"), number, pairs(hand))
        kept.add(("pairs", "1", "slow"), number, pairs(peer / 10))
        kept.add(("pairs", "1", "fast"), number, pairs(peer))
    return kept


def test_a_ratio_is_taken_within_each_round(results):
    keys = ("pairs", 1, "pawl"), ("pairs", 1, "hiredis")
    assert results.ratios(*keys, per_second) == [3, 1.5, 2]
    assert results.median(keys[0], per_second) == 150


def test_a_round_that_failed_on_one_side_does_not_shift_the_others(results):
    del results.rounds["pairs", "1", "hiredis"][0]
    assert results.ratios(("pairs", 1, "pawl"), ("pairs", 1, "hiredis"), per_second) == [1.5, 2]


def test_the_fastest_peer_is_chosen_by_its_median(results):
    assert results.best("pairs", 1, ["slow", "fast"], per_second) == "fast"
    assert results.best("pairs", 1, ["absent"], per_second) is None
    assert results.best("contend", 8, ["fast"], handovers_per_second) is None


def test_what_was_measured_comes_back_from_its_file(results, tmp_path):
    results.path = str(tmp_path / "kept.json")
    results.about = {"date": "today"}
    results.fail(("contend", "8", "fast"), 1, "it ended")
    back = Results.load(results.path)
    assert (back.rounds, back.failures, back.about) == \
        (results.rounds, results.failures, results.about)


def test_every_goal_has_a_row_also_unmeasured():
    rows = list(targets.rows(Results(), []))
    assert all(row.reached is None and row.measured == "not measured" for row in rows)
    said = " / ".join(f"{row.what}: {row.target}" for row in rows)
    for goal in ("one caller, acquire + release, pairs/s: at least 1.5 x the hand-written loop",
                 "one caller, acquire + release, pairs/s: at least 1.5 x the fastest peer",
                 "acquire alone, p50: at most 1.15 x the hand-written loop",
                 "cached lease, acquire + release, one thread: at least 5 million pairs/s",
                 "cached lease, acquire + release, one thread: at most 2 x mutex and CLOCK_BOOTTIME",
                 "server CPU of a pair, by pipelined pairs/s: at most 0.8 x",
                 "16 threads of one client, 16 names: at least 0.8 x",
                 "hand-overs/s, 8 clients: at least 3.5 x the fastest peer",
                 "hand-overs/s, 32 clients: at least 12 x the fastest peer",
                 "hand-overs/s, 128 clients: at least 25 x the fastest peer",
                 "hand-overs/s, 1000 clients: at least 0.8 x those of 8 clients",
                 *(f"95 % readers, {shape}, {goal}" for shape in ("32 clients", "32 threads of one client")
                   for goal in ("acquisitions/s: at least 10 x Redisson's RReadWriteLock",
                                "fairness (Jain) of reads: at least 0.95",
                                "fairness (Jain) of writes: at least 0.95",
                                "how many pass a writer that waits, p99: at most 31")),
                 "95 % readers, 32 clients, acquisitions/s: at least 3 x the best other peer",
                 "8 permits, 64 clients, hand-overs/s: at least 5 x Redisson's",
                 "8 permits, 64 clients, hand-overs/s: at least 5 x redis-semaphore",
                 "8 permits, 64 threads of one client, hand-overs/s: at least 5 x Redisson's",
                 "8 permits, 64 clients, server commands per acquisition: at most 2.2",
                 "8 processes of 8 threads, one name: at least 5 x 64 single-threaded clients",
                 "8 processes of 8 threads, one name: each process at least 0.5",
                 "100,000 leases held by one client: at most 512 bytes each",
                 "100,000 leases held by one client: renewals at most 5 % of a core",
                 "SQLite, 8 processes, hand-overs/s: at least 5 x BEGIN IMMEDIATE with a fence",
                 "SQLite, 32 processes, hand-overs/s: at least 5 x BEGIN IMMEDIATE with a fence",
                 "SQLite, 32 processes: no starvation",
                 "pawl run KEY true, SQLite: at most 2 x flock FILE true",
                 "pawl run KEY true, Redis: at most 1.2 x the SQLite one",
                 *(f"hand-overs/s, {n} clients: at least 1.2 x the hand-written BLPOP loop"
                   for n in (8, 32, 128)),
                 *(f"{what}, {n} clients: {bound}" for n in (8, 32, 128, 1000) for what, bound in (
                     ("free between two holders, p50", "at most 1.2 x a PING"),
                     ("fairness (Jain)", "at least 0.99"),
                     ("server commands per acquisition", "at most 2.1")))):
        assert goal in said, goal


def test_verdicts(results):
    rows = {(row.what, row.target): row for row in targets.rows(results, ["slow", "fast"])}
    hand = rows["one caller, acquire + release, pairs/s", "at least 1.5 x the hand-written loop"]
    assert hand.reached and hand.measured == "2.00 x (1.50 to 3.00 x); 150/s"
    peer = rows["one caller, acquire + release, pairs/s", "at least 1.5 x the fastest peer"]
    assert peer.reached and peer.values == [1.5, 3, 4] and peer.measured.endswith("fast")


@pytest.mark.parametrize("ours, reached", [(35, True), (34, False)])
def test_the_bounds_of_hand_overs(ours, reached):
    kept = Results()
    kept.add(("contend", "8", "pawl"), 0, contended(ours))
    kept.add(("contend", "8", "peer"), 0, contended(10))
    rows = {(row.what, row.target): row for row in targets.rows(kept, ["peer"])}
    assert rows["hand-overs/s, 8 clients", "at least 3.5 x the fastest peer"].reached is reached
    free = rows["free between two holders, p50, 8 clients",
                "at most 1.2 x a PING right before and after"]
    assert free.reached and free.values == [1.2]


def mixed(acquired, passed):
    return {"acquired": acquired, "seconds": 1.0, "writes": acquired / 20, "jain_reads": 0.96,
            "jain_writes": 0.94, "longest_read_ns": 1e6, "longest_write_ns": 2e6,
            "passed_p99": passed, "commands": 2.0}


def test_readers_and_writers_beside_redisson_and_the_best_other_peer():
    kept = Results()
    for who, acquired, passed in (("pawl", 1000, 31), ("redisson", 100, 900), ("slow", 100, 0),
                                  ("fast", 400, 0)):
        kept.add(("mix", "32", who), 0, mixed(acquired, passed))
    rows = {(row.what, row.target): row
            for row in targets.rows(kept, ["redisson", "slow", "fast"])}
    beside = {target: rows[f"95 % readers, 32 clients, {what}", target] for what, target in (
        ("acquisitions/s", "at least 10 x Redisson's RReadWriteLock"),
        ("acquisitions/s", "at least 3 x the best other peer"),
        ("how many pass a writer that waits, p99", "at most 31: each other, once"))}
    assert [(row.values, row.reached) for row in beside.values()] == \
        [([10], True), ([2.5], False), ([31], True)]
    assert beside["at least 3 x the best other peer"].measured.endswith("fast")
    fair = [rows[f"95 % readers, 32 clients, fairness (Jain) of {kind}", "at least 0.95"].reached
            for kind in ("reads", "writes")]
    assert fair == [True, False]
    table = report.mix(kept, "mix", "32")
    assert table[2].startswith("| **pawl** | 1,000 | 50 | 0.960 | 0.940 | 1 | 2 | 31 | 2.00 |")


def test_permits_beside_both_peers():
    kept = Results()
    for who, handovers in (("pawl", 50), ("redisson", 10), ("redis-semaphore", 11)):
        kept.add(("permits", "64", who), 0, contended(handovers))
    rows = {(row.what, row.target): row for row in targets.rows(kept, ["redisson"])}
    what = "8 permits, 64 clients, hand-overs/s"
    assert rows[what, "at least 5 x Redisson's RPermitExpirableSemaphore"].reached
    assert rows[what, "at least 5 x redis-semaphore"].reached is False
    assert report.contended(kept, "permits", "64")[0].startswith("| 8 permits, 64 clients |")


def test_the_page_takes_the_tables_between_its_marks(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"above\n{report.BEGIN}\nold\n{report.END}\nbelow\n")
    report.write(page, "new")
    assert page.read_text() == f"above\n{report.BEGIN}\nnew\n{report.END}\nbelow\n"
    page.write_text("no marks")
    with pytest.raises(ValueError):
        report.write(page, "new")
    assert page.read_text() == "no marks"


def test_trouble_is_told(results):
    results.add(("contend", "8", "peer"), 0, contended(10, overlaps=3, stuck=2))
    results.skipped = {"absent": "there is no go on this machine"}
    results.fail(("contend", "8", "pawl"), 2, "it ended with status 1")
    text = "\n".join(report.notes(results))
    assert "not measured: absent: there is no go on this machine" in text
    assert "failed: contend 8 pawl: round 2: it ended with status 1" in text
    assert "two holders at once: contend 8 peer: 3 times" in text
    assert "waited for a free lock until the end: contend 8 peer: 2" in text
