# SPDX-License-Identifier: MIT
"""The simulator: it finds nothing in the engine, and it finds what is planted."""
import os
import re
import subprocess

import pytest

BUILD = os.environ["PAWL_BUILD"]
SIM = os.path.join(BUILD, "pawl-sim")
MUTANTS = os.path.join(BUILD, "pawl-sim-mutants")

# The weakest bugs show in one of a few thousand schedules: a few hundred prove little. The
# sanitizers look for other things and get a handful of each.
WHOLE = os.environ.get("PAWL_TEST_FLAVOUR", "plain") == "plain"
SEEDS = 20_000 if WHOLE else 3_000
CHUNKS = 4

# One for each way of finding a bug, and the check that has to find it.
HANDFUL = {
    "grant_from_reply": "deadline",
    "release_without_compare": "held-is-held",
    "renew_recreates": "revived",
    "retry_with_new_token": "orphan",
    "fence_without_clock": "fence",
    "loss_told_twice": "completion",
    "unsure_called_lost": "truth",
    "push_without_timer": "forgotten",
    "handoff_to_newest": "fifo",
    "sharing_without_budget": "budget",
    "ttl_changes_hands": "forgotten",
    "old_push_believed": "fence",
    "retry_without_pause": "storm",
    "reader_passes_writer": "fifo",
    "one_reader_woken": "woken",
    "two_updaters": "beside",
    "late_change_done": "late-change",
    "renewal_prolongs_others": "prolonged",
    "marker_ends_first": "marker",
    "slot_given_twice": "slots",
    "upgrade_stops_nobody": "overtaken",
}


def run(*args, program=SIM, **environment):
    return subprocess.run([program, *args], capture_output=True, text=True, timeout=250,
                          env=dict(os.environ, **environment))


def mutants():
    if not WHOLE:
        return list(HANDFUL)
    return [line.split()[0] for line in run("--list-mutants", program=MUTANTS).stdout.splitlines()]


def check_of(output):
    return re.search(r"^seed \d+: ([\w-]+):", output, re.M)[1]


def scenario_of(output):
    return output[output.index("algorithm = "):output.index("found after")]


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_the_engine_survives_and_every_interesting_state_is_reached(chunk):
    seeds = SEEDS // CHUNKS
    coverage = ["--coverage"] if seeds >= 3000 else []
    first = str(1 + chunk * seeds)
    result = run("--seed", first, "--seeds", str(seeds), *coverage)
    assert result.returncode == 0, result.stdout


SCENARIOS = os.path.join(os.path.dirname(__file__), "scenarios")

# What must be found in which scenario, and by which check.
IN_SCENARIOS = [
    ("crowd", "reader_passes_writer", "fifo"),
    ("crowd", "one_reader_woken", "woken"),
    ("crowd", "reader_releases_all", "held-is-held"),
    ("crowd", "cut_reader_is_gone", "held-is-held"),
    ("crowd", "handoff_to_nobody", "fifo"),
    ("permits", "permits_leak", "woken"),
    ("permits", "slot_given_twice", "slots"),
    ("permits", "no_margin", "deadline"),
    ("permits", "permits_not_told", "exclusion"),
]


@pytest.mark.parametrize("name", ["crowd", "permits"])
def test_a_scenario_is_survived(name):
    result = run("--scenario", os.path.join(SCENARIOS, name))
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("name, mutant, check", IN_SCENARIOS)
def test_a_planted_bug_is_found_in_its_scenario(name, mutant, check):
    result = run("--mutant", mutant, "--no-shrink", "--scenario", os.path.join(SCENARIOS, name),
                 program=MUTANTS)
    assert result.returncode != 0 and check_of(result.stdout) == check, result.stdout


@pytest.mark.parametrize("seed", [
    7012222,  # a failover brought back an older place, which was handed the lock: "prolonged"
    2774,     # a clock was set back behind the end of an upgrade that had run out: "overtaken"
    18111,    # a detached lease that was lost before the close is released when the link is back
    5260,     # `pawl break` is a client, too, and finds the restart guard active: "guarded"
    29105,    # a server whose clock is slow is younger than the true time says: "guarded"
    38596,    # a late ACQUIRE made a lease with numbers of its own: "late-value"
    45830,    # an updater was renewed, became a writer, and nobody watched its key yet: "broken"
    50167,    # a lease is passed on while its client greets another run: "unannounced"
])
def test_what_a_check_once_took_for_a_mistake_is_none(seed):
    result = run("--seed", str(seed), "--seeds", "1")
    assert result.returncode == 0, result.stdout


# The second run finds other rubbish in fresh memory, and everything at other addresses.
@pytest.mark.parametrize("algorithm", ["pawl", "tutorial"])
def test_same_seed_same_run_byte_for_byte(algorithm):
    failed = algorithm == "tutorial"  # a failure is shrunk alike, too
    seeds = ["--algorithm", algorithm, "--seed", "77", "--seeds", "40", "--trace", "--hash"]
    once = run(*seeds, MALLOC_PERTURB_="0")
    again = run(*seeds, MALLOC_PERTURB_="165", ELSEWHERE="x" * 5000)
    assert once.returncode == again.returncode == failed
    strip = re.compile(r"^no violation.*|^\d+ operations.*|^found after.*", re.M)  # of the time
    assert strip.sub("", once.stdout) == strip.sub("", again.stdout)
    hashes = re.findall(r"^(\d+ [0-9a-f]{16})$", once.stdout, re.M)
    assert len(hashes) == len({h.split()[1] for h in hashes})
    assert failed or len(hashes) == 40


def test_the_timeline_shows_the_leases_and_changes_no_run():
    seeds = ["--seed", "77", "--seeds", "5", "--hash"]
    shown, quiet = run(*seeds, "--trace"), run(*seeds)
    for move in ("absent, is requesting", "requesting, is held", "releasing, is absent"):
        assert re.search(rf"client \d .*: the lease was {move}$", shown.stdout, re.M), move
    hashes = re.compile(r"^\d+ [0-9a-f]{16}$", re.M)
    assert hashes.findall(shown.stdout) == hashes.findall(quiet.stdout) != []


if WHOLE:  # that a run is the same again is no question for a sanitizer
    def test_many_seeds_give_the_same_runs_again():
        for first in range(1000, SEEDS + 1, SEEDS // 10):
            seeds = ["--seed", str(first), "--seeds", "20", "--hash"]
            once, again = run(*seeds, MALLOC_PERTURB_="0"), run(*seeds, MALLOC_PERTURB_="90")
            assert once.stdout.splitlines()[:20] == again.stdout.splitlines()[:20]

    def test_planted_bugs_do_not_disturb_the_mutation_build():
        plain = run("--seed", "1", "--seeds", "200", "--hash").stdout.splitlines()[:200]
        mutants = run("--seed", "1", "--seeds", "200", "--hash", program=MUTANTS)
        assert plain == mutants.stdout.splitlines()[:200]


@pytest.mark.parametrize("mutant", mutants())
def test_a_planted_bug_is_found(mutant):
    result = run("--mutant", mutant, "--seconds", "60", "--no-shrink", program=MUTANTS)
    assert result.returncode == 1, result.stdout
    # One bug is the use of what is gone; no other may be found only by its wreckage.
    assert check_of(result.stdout) != "crash" or mutant == "word_after_close"
    if mutant in HANDFUL:
        assert check_of(result.stdout) == HANDFUL[mutant]


@pytest.mark.parametrize("algorithm", ["tutorial"])
def test_the_tutorials_lock_is_found_out(algorithm):
    result = run("--algorithm", algorithm, "--seconds", "60", "--no-shrink")
    assert result.returncode == 1
    assert check_of(result.stdout) in ("exclusion", "foreign-unlock")


def test_the_textbooks_lock_excludes_while_its_store_remembers():
    assert run("--algorithm", "setnx", "--seeds", "1000").returncode == 0


def test_a_failure_is_shrunk_to_a_short_scenario_that_fails_alike(tmp_path):
    found = run("--mutant", "ttl_changes_hands", "--seconds", "60", "--no-shrink")
    shrunk = run("--mutant", "ttl_changes_hands", "--seconds", "60")
    assert shrunk.returncode == 1
    assert len(shrunk.stdout) < len(found.stdout)
    check = check_of(found.stdout)
    assert f"VIOLATION ({check})" in shrunk.stdout
    assert shrunk.stdout.count("\nfault = ") == 0  # it needs none
    scenario = tmp_path / "scenario"
    scenario.write_text(scenario_of(shrunk.stdout))
    again = run("--mutant", "ttl_changes_hands", "--scenario", str(scenario), "--no-shrink")
    assert again.returncode == 1
    assert check_of(again.stdout) == check
    assert run("--scenario", str(scenario)).returncode == 0  # without the bug


def test_the_table_of_planted_bugs_is_complete():
    text = open(os.path.join(os.environ["PAWL_SOURCE"], "docs/testing.md"), encoding="utf-8").read()
    table = text[text.index("| planted bug |"):].partition("\n\n")[0].splitlines()[2:]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table]
    listed = run("--list-mutants", program=MUTANTS).stdout.splitlines()
    assert [row[:2] for row in rows[1:]] == [line.split(None, 1) for line in listed]
    assert all(row[2] and row[3].isdigit() for row in rows)


def test_every_listed_mutant_can_be_chosen():
    names = [line.split()[0] for line in run("--list-mutants").stdout.splitlines()]
    assert len(names) > 40 and len(set(names)) == len(names)
    for name in names[:3]:
        assert run("--mutant", name, "--seeds", "0").returncode == 0


@pytest.mark.parametrize("args", [
    ["--mutant", "no-such"], ["--algorithm", "no-such"], ["--seed", "x"], ["--seeds", "-1"],
    ["--scenario", "/no/such/file"], ["stray"], ["--no-such-option"]])
def test_wrong_usage(args):
    result = run(*args)
    assert result.returncode == 64
    assert result.stderr


def test_a_scenario_with_a_mistake_names_the_line(tmp_path):
    scenario = tmp_path / "scenario"
    scenario.write_text("seed = 3\nclients = 2\nfault = flood 1 2 3 4\n")
    result = run("--scenario", str(scenario))
    assert result.returncode == 64
    assert "line 3" in result.stderr
