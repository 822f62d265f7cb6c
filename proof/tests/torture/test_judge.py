# SPDX-License-Identifier: MIT
"""The judge: each property, violated by hand, is found; what is allowed, is let pass."""
import re

import pytest
from history import (CALM, ERR_BUSY, ERR_LOST, ERR_NO_MEMORY, ERR_STATE, ERR_TIMEOUT, MS, History,
                     torture)

HELD, GUILTY, THIN, NO_INPUT = 0, 1, 2, 66


@pytest.fixture
def world(tmp_path):
    return History(tmp_path / "history")


def violated(result):
    """{check: times}"""
    found = re.findall(r'^by-hand: (\w+) \(".*"\) was violated (\d+) times$', result.stdout, re.M)
    return {name: int(times) for name, times in found}


def exempt(result):
    row = re.search(r"^by-hand .*$", result.stdout, re.M).group(0).split()
    return int(row[9])  # setup, grants, faults, losses, 3 waits, recovery, two at once


def held(world):
    result = world.finish().judge()
    assert (result.returncode, violated(result)) == (HELD, {}), result.stdout + result.stderr
    return result


def guilty(world, **checks):
    result = world.judge()
    assert (result.returncode, violated(result)) == (GUILTY, checks), result.stdout + result.stderr
    return result


# ---- exclusion ------------------------------------------------------------------------------

def test_turns_are_no_overlap(world):
    world.hold("0.1", 1, 100, 120)
    world.hold("1.1", 2, 120, 140)
    held(world)


def test_two_holders_are_found(world):
    world.hold("0.1", 1, 100, 150)
    world.hold("1.1", 2, 149.9, 160)
    world.finish()
    guilty(world, exclusion=1)


def test_a_promise_counts_although_nobody_looked_again(world):
    world.hold("0.1", 1, 100, None, remaining=90)  # says nothing more, until it is told
    world.note("0.1", 300, "gone", 1)
    world.note("0.1", 300, "told", 1, ERR_LOST)
    world.note("0.1", 301, "letgo", 1, -1)
    world.note("0.1", 302, "freed", 1, ERR_LOST)
    world.hold("1.1", 2, 189, 195)
    world.finish()
    guilty(world, exclusion=1)


def test_a_promise_ends_at_its_deadline(world):
    world.hold("0.1", 1, 100, None, remaining=90)
    world.note("0.1", 300, "gone", 1)
    world.note("0.1", 300, "told", 1, ERR_LOST)
    world.note("0.1", 301, "letgo", 1, -1)
    world.note("0.1", 302, "freed", 1, ERR_LOST)
    world.hold("1.1", 2, 190, 195)
    held(world)


def test_each_look_renews_the_promise(world):
    world.hold("0.1", 1, 100, None, remaining=90)
    world.note("0.1", 150, "held", 1, 90)
    world.note("0.1", 400, "letgo", 1, -1)
    world.note("0.1", 401, "freed", 1, 0)
    world.hold("1.1", 2, 239, 245)
    world.finish()
    guilty(world, exclusion=1)


def test_the_dead_hold_nothing(world):
    world.hold("0.1", 1, 100, None, remaining=90)
    world.fault(110, "begin kill-worker 0.1 0")
    world.hold("1.1", 2, 111, 120)
    world.fault(112, "died - 0.1 9")
    world.calm("0.2", 800_000, 5)
    world.calm("1.1", 800_001, 15)
    world.ends("0.2")
    world.ends("1.1")
    result = world.judge()
    assert result.returncode == HELD, result.stdout


def test_the_dead_held_until_they_died(world):
    world.hold("0.1", 1, 100, None, remaining=90)
    world.fault(112, "begin kill-worker 0.1 0")
    world.hold("1.1", 2, 111, 120)
    world.fault(113, "died - 0.1 9")
    world.calm("0.2", 800_000, 5)
    world.calm("1.1", 800_001, 15)
    world.ends("0.2")
    world.ends("1.1")
    guilty(world, exclusion=1)


def test_who_failed_inside_has_given_up_before_it_says_so(world):
    world.hold("0.1", 1, 100, None, remaining=90)
    world.hold("1.1", 2, 120, 125)
    world.note("0.1", 130, "told", 1, ERR_NO_MEMORY)
    world.note("0.1", 131, "gone", 1)
    world.note("0.1", 132, "letgo", 1, -1)
    world.note("0.1", 133, "freed", 1, ERR_LOST)
    held(world)


def forgets(world, begin, at, end, fault="restart-server"):
    world.fault(begin, f"begin {fault} - 0")
    world.fault(at, f"forgets {fault} - 0")
    world.fault(end, f"end {fault} - 0")


def test_a_store_that_forgets_is_exempt_for_a_ttl(world):
    world.hold("0.1", 1, 100, 180)
    forgets(world, 105, 110, 115)
    world.hold("1.1", 2, 120, 130)
    assert exempt(held(world)) == 1


def test_a_late_report_of_the_older_grant_is_exempt_too(world):
    world.hold("0.1", 2, 118, 130)
    forgets(world, 105, 110, 115)
    world.hold("1.1", 1, 120, 180, asked=100, remaining=70)
    assert exempt(held(world)) == 1


@pytest.mark.parametrize("at, until", [(None, 180),  # a fault that is no excuse
                                       (90, 180),    # forgot before the first grant
                                       (125, 180),   # forgot after the second
                                       (110, 300)])  # the store has confirmed it since
def test_other_overlaps_are_not_exempt(world, at, until):
    world.hold("0.1", 1, 100, until, remaining=250)
    if at:
        forgets(world, at - 1, at, at + 1)
    else:
        world.fault(110, "begin restart-server - 0")
    world.hold("1.1", 2, 120, 130)
    world.finish()
    guilty(world, exclusion=1)


def test_a_primary_that_is_about_to_forget_may_not_yet_grant_twice(world):
    """The fault has begun, but it is the old server that grants, and it knows what it granted."""
    world.hold("0.1", 1, 112, 180)
    forgets(world, 105, 150, 155, fault="promote")
    world.hold("1.1", 2, 120, 130)
    world.finish()
    guilty(world, exclusion=1)


# ---- fence ------------------------------------------------------------------------------------

def test_a_fence_that_falls_is_found_also_after_a_restart(world):
    world.hold("0.1", 7, 100, 110)
    forgets(world, 111, 111.5, 112)
    world.hold("1.1", 6, 120, 130)
    world.finish()
    guilty(world, fence=1)


def test_a_fence_that_comes_twice_is_found(world):
    world.hold("0.1", 7, 100, 110)
    world.hold("1.1", 7, 120, 130)
    world.finish()
    guilty(world, fence=1)


def test_a_kept_lease_keeps_its_fence(world):
    world.hold("0.1", 7, 100, 110)
    world.hold("0.1", 7, 120, 130)
    held(world)


def test_a_late_report_of_an_early_grant_is_no_slip(world):
    world.hold("0.1", 8, 100, 110)
    world.hold("1.1", 7, 130, 131, asked=90, remaining=0)  # asked before the other was granted
    held(world)


def lose(world, who, fence, start, at, freed=ERR_LOST):
    """Held, lost, told, let go."""
    world.hold(who, fence, start, None, remaining=at - start)
    world.note(who, at, "gone", fence)
    world.note(who, at, "told", fence, ERR_LOST)
    world.note(who, at + 1, "letgo", fence, -1)
    world.note(who, at + 2, "freed", fence, freed)


def test_a_lost_fence_that_comes_back_is_found(world):
    lose(world, "0.1", 7, 100, 150)
    world.hold("0.1", 7, 200, 210)
    world.finish()
    guilty(world, fence=1)


def test_a_loss_may_be_told_beside_the_answer_of_the_call(world):
    world.fault(90, "begin stop-worker 0.1 1")
    world.note("0.1", 50, "ask", 0, 500)
    world.note("0.1", 100, "told", 7, ERR_LOST)
    world.note("0.1", 100.1, "not", 0, ERR_LOST)
    world.fault(110, "end stop-worker 0.1 0")
    held(world)


def test_a_loss_may_be_told_while_the_call_returns(world):
    world.fault(90, "begin stop-worker 0.1 1")
    world.fault(95, "end stop-worker 0.1 0")
    world.note("0.1", 50, "ask", 0, 500)
    world.note("0.1", 100, "told", 7, ERR_LOST)
    world.note("0.1", 100.1, "got", 7, 0)
    world.note("0.1", 100.2, "gone", 7)
    world.note("0.1", 100.3, "letgo", 7, -1)
    world.note("0.1", 100.4, "freed", 7, ERR_LOST)
    held(world)


# ---- order, losses, pace ------------------------------------------------------------------------

def pass_by(world, times):
    """1.1 comes, and for so many times 0.1 comes later and is served before."""
    for turn in range(times):
        world.hold("0.1", 10 + turn, 200 + 10 * turn, 205 + 10 * turn)
    world.hold("1.1", 500, 600, 605, asked=100)
    world.finish()


def test_a_waiter_that_is_passed_again_and_again_is_found(world):
    pass_by(world, 9)
    guilty(world, order=1)


def test_a_waiter_may_be_passed_now_and_then(world):
    pass_by(world, 8)
    assert world.judge().returncode == HELD


def test_a_place_may_be_lost_by_a_fault(world):
    world.fault(150, "begin client-kill - 0")
    pass_by(world, 40)
    assert world.judge().returncode == HELD


def test_who_takes_a_kept_lease_again_passes_once(world):
    for turn in range(30):
        world.hold("0.1", 10, 200 + 10 * turn, 205 + 10 * turn)
    world.hold("1.1", 500, 600, 605, asked=100)
    held(world)


def lose_often(world, times):
    for turn in range(times):
        lose(world, "0.1", 10 + turn, 100 + 60 * turn, 150 + 60 * turn)


def test_losses_without_a_cause_are_found(world):
    lose_often(world, 10)
    world.finish()
    guilty(world, losses=1)


def test_a_busy_machine_may_lose_one(world):
    lose_often(world, 1)
    held(world)


@pytest.mark.parametrize("fault, hurts, checks", [("stop-server", 0, {}),
                                                  ("stop-worker", 1, {"losses": 1}),  # another's
                                                  ("script-flush", 2, {"losses": 1})])
def test_only_what_hurts_explains_a_loss(world, fault, hurts, checks):
    lose_often(world, 5)
    who = "1.1" if hurts == 1 else "-"
    for at in range(100, 500, 50):
        world.fault(at, f"begin {fault} {who} {hurts}")
        world.fault(at + 1, f"end {fault} {who} 0")
    world.finish()
    assert violated(world.judge()) == checks


def run_at(world, warm, hurt, commands=(0, 0, 0)):
    """Grants a second before the faults and while they come; commands of the server until then."""
    for fence, at in enumerate(list(range(0, 200, 200 // warm)) +
                               list(range(200, CALM, 1000 // hurt)), start=10):
        world.hold("0.1", fence, at + 0.2, at + 0.4, asked=at)
    world.run["grants_min"] = 2
    world.fault(200, f"hurt - - {commands[0]}")
    world.fault(300, "begin script-flush - 2")
    world.finish()
    world.faults = [f if " calm " not in f else f"{CALM * MS} calm - - {commands[1]}"
                    for f in world.faults]
    world.fault(CALM + 300, f"over - - {commands[2]}")


def test_going_on_as_before_is_fine(world):
    run_at(world, 20, 100, commands=(80, 400, 410))
    assert violated(world.judge()) == {}


def test_a_store_that_becomes_slow_without_a_cause_is_found(world):
    run_at(world, 20, 20)
    guilty(world, pace=1)


def test_a_store_that_is_flooded_without_a_cause_is_found(world):
    run_at(world, 20, 100, commands=(80, 86_000, 86_010))
    guilty(world, pace=1)


def test_a_store_that_is_still_flooded_in_the_calm_is_found(world):
    run_at(world, 20, 100, commands=(80, 400, 900))
    guilty(world, pace=1)


def test_too_few_grants_to_compare_with_prove_nothing(world):
    run_at(world, 2, 100)
    result = world.judge()
    assert result.returncode == THIN and "before the first fault" in result.stdout


# ---- resource ------------------------------------------------------------------------------------

def use(world, who, fence, at, value, told="added", accepted=True):
    world.hold(who, fence, at, at + 10)
    world.note(who, at + 4, "add", fence, value)
    if told:
        world.note(who, at + 5, told, fence, value)
    if accepted:
        world.write(fence, value, who)


def test_increments_that_are_all_there(world):
    use(world, "0.1", 1, 100, 1)
    use(world, "1.1", 2, 120, 2)
    held(world)


def test_a_lost_increment_is_found(world):
    use(world, "0.1", 1, 100, 1)
    use(world, "1.1", 2, 120, 1)
    world.finish()
    guilty(world, resource=1)


def test_a_small_fence_that_was_accepted_is_found(world):
    use(world, "1.1", 2, 120, 1)
    use(world, "0.1", 1, 100, 2)
    world.finish()
    guilty(world, resource=1)


def test_an_increment_that_was_told_and_is_not_there_is_found(world):
    use(world, "0.1", 1, 100, 1, accepted=False)
    world.finish()
    guilty(world, resource=1)


def test_an_increment_that_was_refused_and_is_there_is_found(world):
    use(world, "0.1", 1, 100, 1, told="refused")
    world.finish()
    guilty(world, resource=1)


@pytest.mark.parametrize("told", [None, "failed"])
@pytest.mark.parametrize("accepted", [True, False])
def test_an_unknown_outcome_stays_open(world, told, accepted):
    use(world, "0.1", 1, 100, 1, told=told, accepted=accepted)
    held(world)


def test_what_the_unfenced_number_loses_is_told_not_judged(world):
    world.write(1, 1, "0.1", kind="plain")
    world.write(2, 1, "1.1", kind="plain")
    assert re.search(r" 1/2 +held$", held(world).stdout, re.M)


# ---- what calls answer --------------------------------------------------------------------------

def test_released_although_another_had_it_is_found(world):
    world.hold("0.1", 1, 100, 200, remaining=20, word=100)
    world.hold("1.1", 2, 130, 140)
    world.finish()
    guilty(world, truth=1)


def test_lost_because_another_had_it_is_true(world):
    world.hold("0.1", 1, 100, 200, remaining=20, word=100, freed=ERR_LOST)
    world.hold("1.1", 2, 130, 140)
    held(world)


@pytest.mark.parametrize("times", [0, 2])
def test_a_loss_that_is_told_never_or_twice_is_found(world, times):
    world.hold("0.1", 1, 100, None)
    world.fault(150, "begin net-cut - 0")
    world.note("0.1", 200, "gone", 1)
    for _ in range(times):
        world.note("0.1", 201, "told", 1, ERR_LOST)
    world.note("0.1", 202, "letgo", 1, -1)
    world.note("0.1", 203, "freed", 1, ERR_LOST)
    world.finish()
    guilty(world, told=1)


@pytest.mark.parametrize("dies_at, checks", [(300, {}), (1500, {"told": 1})])
def test_who_dies_soon_after_a_loss_need_not_be_told(world, dies_at, checks):
    world.hold("0.1", 1, 100, None)
    world.note("0.1", 200, "gone", 1)
    world.note("0.1", 201, "letgo", 1, -1)
    world.note("0.1", dies_at, "freed", 1, ERR_LOST)
    world.run["call_slack_ms"] = 5000
    world.fault(dies_at + 1, "begin kill-worker 0.1 0")
    world.fault(dies_at + 2, "died - 0.1 9")
    world.calm("0.2", 900_000, 10)
    world.calm("1.1", 900_001, 20)
    world.ends("0.2")
    world.ends("1.1")
    assert violated(world.judge()) == checks


def test_lost_and_then_released_is_found(world):
    world.hold("0.1", 1, 100, None)
    world.note("0.1", 200, "gone", 1)
    world.note("0.1", 200, "told", 1, ERR_LOST)
    world.note("0.1", 202, "letgo", 1, -1)
    world.note("0.1", 203, "freed", 1, 0)
    world.finish()
    guilty(world, truth=1)


def test_a_call_that_takes_too_long_is_found(world):
    world.note("0.1", 100, "ask", 0, 50)
    world.note("0.1", 210, "not", 0, ERR_TIMEOUT)
    world.finish()
    guilty(world, calls=1)


@pytest.mark.parametrize("wait, took, err, found", [(5000, 1, ERR_TIMEOUT, True),
                                                    (-1, 300, ERR_TIMEOUT, True),
                                                    (50, 49.5, ERR_TIMEOUT, False),
                                                    (50, 20, ERR_BUSY, True),
                                                    (0, 20, ERR_BUSY, False)])
def test_who_waits_is_not_sent_away_early(world, wait, took, err, found):
    world.note("0.1", 100, "ask", 0, wait)
    world.note("0.1", 100 + took, "not", 0, err)
    world.finish()
    assert violated(world.judge()) == ({"calls": 1} if found else {})


def test_calls_that_are_slow_while_nothing_is_hurt_are_found(world):
    for at in (100, 400):
        world.note("0.1", at, "ask", 0, 0)
        world.note("0.1", at + 195, "not", 0, ERR_BUSY)
    world.run |= {"call_slack_ms": 2000, "calm_slack_ms": 150}
    world.finish()
    guilty(world, calls=1)
    world.fault(300, "begin stop-server - 0")
    world.fault(350, "end stop-server - 0")
    assert violated(world.judge()) == {}


def test_a_call_that_never_ends_is_found(world):
    world.calm("0.1", 900_000, 10)
    world.calm("1.1", 900_001, 20)
    world.note("0.1", CALM + 50, "ask", 0, 50)
    world.fault(CALM + 400, "begin kill-worker 0.1 1")
    world.fault(CALM + 401, "died - 0.1 9")
    world.ends("1.1")
    guilty(world, calls=1)


def test_who_is_killed_in_a_call_had_time_left(world):
    world.calm("0.1", 900_000, 10)
    world.calm("1.1", 900_001, 20)
    world.note("0.1", CALM + 50, "ask", 0, 50)
    world.fault(CALM + 90, "begin kill-worker 0.1 1")
    world.fault(CALM + 91, "died - 0.1 9")
    world.ends("1.1")
    assert world.judge().returncode == HELD


def test_time_in_which_the_process_stood_still_does_not_count(world):
    world.note("0.1", 100, "ask", 0, 50)
    world.fault(110, "begin stop-worker 0.1 0")
    world.fault(150, "end stop-worker 0.1 0")
    world.note("0.1", 210, "not", 0, ERR_TIMEOUT)
    held(world)


def test_an_error_that_blames_the_program_is_found(world):
    world.note("0.1", 100, "ask", 0, 50)
    world.note("0.1", 101, "not", 0, ERR_STATE)
    world.finish()
    guilty(world, errors=1)


# ---- the end -----------------------------------------------------------------------------------------

def test_a_crash_is_found(world):
    world.calm("0.1", 900_000, 10)
    world.calm("1.1", 900_001, 20)
    world.ends("0.1", down=False, status=11)
    world.ends("1.1")
    assert "signal 11" in guilty(world, ends=1).stdout


def test_a_process_that_never_ends_is_found(world):
    world.calm("0.1", 900_000, 10)
    world.calm("1.1", 900_001, 20)
    world.ends("1.1")
    guilty(world, ends=1)


@pytest.mark.parametrize("at", [None, 600])
def test_who_gets_nothing_after_the_faults_is_found(world, at):
    world.calm("0.1", 900_000, 10)
    world.hold("1.1", 1, 100, 110)
    if at:
        world.calm("1.1", 900_001, at)
    world.ends("0.1")
    world.ends("1.1")
    guilty(world, recovery=1)


def test_what_is_left_is_found(world):
    world.after.append("torture-0 is still held by somebody")
    world.finish()
    guilty(world, leftovers=1)


# ---- what proves nothing --------------------------------------------------------------------------------

def test_a_run_with_few_grants_is_refused(world):
    world.run["grants_min"] = 3
    result = world.finish().judge()
    assert result.returncode == THIN and "2 grants, at least 3" in result.stdout


def test_a_run_in_which_a_fault_never_came_is_refused(world):
    world.run["fault"] = "net-cut"
    result = world.finish().judge()
    assert result.returncode == THIN and "net-cut never fired" in result.stdout
    world.fault(CALM - 1, "begin net-cut - 0")
    assert world.judge().returncode == HELD


# ---- files ---------------------------------------------------------------------------------------------

def test_a_line_that_was_cut_off_by_sigkill_is_not_there(world):
    world.finish().save()
    log = world.dir / "worker-0.1"
    log.write_text(log.read_text() + "1200000000 got 0 1")
    assert torture("--check", world.dir).returncode == HELD


def test_a_line_that_is_not_understood_is_an_error(world):
    world.finish().save()
    log = world.dir / "worker-0.1"
    log.write_text(log.read_text() + "1200000000 gout 0 1 1\n")
    result = torture("--check", world.dir)
    assert result.returncode == NO_INPUT and "worker-0.1" in result.stderr


def test_histories_of_several_setups_make_one_table(tmp_path):
    for name in ("a", "b"):
        world = History(tmp_path / name)
        world.run["setup"] = name
        world.finish().save()
    result = torture("--check", tmp_path)
    assert result.returncode == HELD
    assert len(re.findall(r" held$", result.stdout, re.M)) == 2


@pytest.mark.parametrize("args", [["--seconds", "x"], ["--store", "etcd"], ["--faults", "flood"],
                                  ["--algorithm", "paxos"], ["--workers", "1"], ["stray"],
                                  ["--no-such-option"]])
def test_wrong_usage(args):
    result = torture(*args)
    assert result.returncode == 64 and result.stderr


def test_nothing_to_judge(tmp_path):
    assert torture("--check", tmp_path).returncode == NO_INPUT
    assert torture("--check", tmp_path / "none").returncode == NO_INPUT
