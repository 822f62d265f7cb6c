# SPDX-License-Identifier: MIT
"""The judge: each property, violated by hand, is found; what is allowed, is let pass."""
import re

import pytest
from history import (CALM, ERR_BUSY, ERR_LOST, ERR_NO_MEMORY, ERR_STATE, ERR_TIMEOUT, MS, History,
                     torture)

HELD, GUILTY, THIN, NO_INPUT = 0, 1, 2, 66


@pytest.fixture
def history(tmp_path):
    return History(tmp_path / "history")


def violated(result):
    """{check: times}"""
    found = re.findall(r'^by-hand: (\w+) \(".*"\) was violated (\d+) times$', result.stdout, re.M)
    return {name: int(times) for name, times in found}


def exempt(result):
    row = re.search(r"^by-hand .*$", result.stdout, re.M).group(0).split()
    return int(row[9])  # setup, grants, faults, losses, 3 waits, recovery, two at once


def held(history):
    result = history.finish().judge()
    assert (result.returncode, violated(result)) == (HELD, {}), result.stdout + result.stderr
    return result


def guilty(history, **checks):
    result = history.judge()
    assert (result.returncode, violated(result)) == (GUILTY, checks), result.stdout + result.stderr
    return result


# ---- exclusion ------------------------------------------------------------------------------

def test_turns_are_no_overlap(history):
    history.hold("0.1", 1, 100, 120)
    history.hold("1.1", 2, 120, 140)
    held(history)


def test_two_holders_are_found(history):
    history.hold("0.1", 1, 100, 150)
    history.hold("1.1", 2, 149.9, 160)
    history.finish()
    guilty(history, exclusion=1)


def test_a_promise_counts_although_nobody_looked_again(history):
    history.hold("0.1", 1, 100, None, remaining=90)  # says nothing more, until it is told
    history.note("0.1", 300, "gone", 1)
    history.note("0.1", 300, "told", 1, ERR_LOST)
    history.note("0.1", 301, "letgo", 1, -1)
    history.note("0.1", 302, "freed", 1, ERR_LOST)
    history.hold("1.1", 2, 189, 195)
    history.finish()
    guilty(history, exclusion=1)


def test_a_promise_ends_at_its_deadline(history):
    history.hold("0.1", 1, 100, None, remaining=90)
    history.note("0.1", 300, "gone", 1)
    history.note("0.1", 300, "told", 1, ERR_LOST)
    history.note("0.1", 301, "letgo", 1, -1)
    history.note("0.1", 302, "freed", 1, ERR_LOST)
    history.hold("1.1", 2, 190, 195)
    held(history)


def test_each_look_renews_the_promise(history):
    history.hold("0.1", 1, 100, None, remaining=90)
    history.note("0.1", 150, "held", 1, 90)
    history.note("0.1", 400, "letgo", 1, -1)
    history.note("0.1", 401, "freed", 1, 0)
    history.hold("1.1", 2, 239, 245)
    history.finish()
    guilty(history, exclusion=1)


def test_the_dead_hold_nothing(history):
    history.hold("0.1", 1, 100, None, remaining=90)
    history.fault(110, "begin kill-worker 0.1 0")
    history.hold("1.1", 2, 111, 120)
    history.fault(112, "died - 0.1 9")
    history.calm("0.2", 800_000, 5)
    history.calm("1.1", 800_001, 15)
    history.ends("0.2")
    history.ends("1.1")
    result = history.judge()
    assert result.returncode == HELD, result.stdout


def test_the_dead_held_until_they_died(history):
    history.hold("0.1", 1, 100, None, remaining=90)
    history.fault(112, "begin kill-worker 0.1 0")
    history.hold("1.1", 2, 111, 120)
    history.fault(113, "died - 0.1 9")
    history.calm("0.2", 800_000, 5)
    history.calm("1.1", 800_001, 15)
    history.ends("0.2")
    history.ends("1.1")
    guilty(history, exclusion=1)


def test_who_failed_inside_has_given_up_before_it_says_so(history):
    history.hold("0.1", 1, 100, None, remaining=90)
    history.hold("1.1", 2, 120, 125)
    history.note("0.1", 130, "told", 1, ERR_NO_MEMORY)
    history.note("0.1", 131, "gone", 1)
    history.note("0.1", 132, "letgo", 1, -1)
    history.note("0.1", 133, "freed", 1, ERR_LOST)
    held(history)


def forgets(history, begin, at, end, fault="restart-server"):
    history.fault(begin, f"begin {fault} - 0")
    history.fault(at, f"forgets {fault} - 0")
    history.fault(end, f"end {fault} - 0")


def test_a_store_that_forgets_is_exempt_for_a_ttl(history):
    history.hold("0.1", 1, 100, 180)
    forgets(history, 105, 110, 115)
    history.hold("1.1", 2, 120, 130)
    assert exempt(held(history)) == 1


def test_a_late_report_of_the_older_grant_is_exempt_too(history):
    history.hold("0.1", 2, 118, 130)
    forgets(history, 105, 110, 115)
    history.hold("1.1", 1, 120, 180, asked=100, remaining=70)
    assert exempt(held(history)) == 1


@pytest.mark.parametrize("at, until", [(None, 180),  # a fault that is no excuse
                                       (90, 180),    # forgot before the first grant
                                       (125, 180),   # forgot after the second
                                       (110, 300)])  # the store has confirmed it since
def test_other_overlaps_are_not_exempt(history, at, until):
    history.hold("0.1", 1, 100, until, remaining=250)
    if at:
        forgets(history, at - 1, at, at + 1)
    else:
        history.fault(110, "begin restart-server - 0")
    history.hold("1.1", 2, 120, 130)
    history.finish()
    guilty(history, exclusion=1)


def test_a_primary_that_is_about_to_forget_may_not_yet_grant_twice(history):
    """The fault has begun, but it is the old server that grants, and it knows what it granted."""
    history.hold("0.1", 1, 112, 180)
    forgets(history, 105, 150, 155, fault="promote")
    history.hold("1.1", 2, 120, 130)
    history.finish()
    guilty(history, exclusion=1)


# ---- fence ------------------------------------------------------------------------------------

def test_a_fence_that_falls_is_found_also_after_a_restart(history):
    history.hold("0.1", 7, 100, 110)
    forgets(history, 111, 111.5, 112)
    history.hold("1.1", 6, 120, 130)
    history.finish()
    guilty(history, fence=1)


def test_a_fence_that_comes_twice_is_found(history):
    history.hold("0.1", 7, 100, 110)
    history.hold("1.1", 7, 120, 130)
    history.finish()
    guilty(history, fence=1)


def test_a_kept_lease_keeps_its_fence(history):
    history.hold("0.1", 7, 100, 110)
    history.hold("0.1", 7, 120, 130)
    held(history)


def test_a_late_report_of_an_early_grant_is_no_slip(history):
    history.hold("0.1", 8, 100, 110)
    history.hold("1.1", 7, 130, 131, asked=90, remaining=0)  # asked before the other was granted
    held(history)


def lose(history, who, fence, start, at, freed=ERR_LOST):
    """Held, lost, told, let go."""
    history.hold(who, fence, start, None, remaining=at - start)
    history.note(who, at, "gone", fence)
    history.note(who, at, "told", fence, ERR_LOST)
    history.note(who, at + 1, "letgo", fence, -1)
    history.note(who, at + 2, "freed", fence, freed)


def test_a_lost_fence_that_comes_back_is_found(history):
    lose(history, "0.1", 7, 100, 150)
    history.hold("0.1", 7, 200, 210)
    history.finish()
    guilty(history, fence=1)


def test_a_loss_may_be_told_beside_the_answer_of_the_call(history):
    history.fault(90, "begin stop-worker 0.1 1")
    history.note("0.1", 50, "ask", 0, 500)
    history.note("0.1", 100, "told", 7, ERR_LOST)
    history.note("0.1", 100.1, "not", 0, ERR_LOST)
    history.fault(110, "end stop-worker 0.1 0")
    held(history)


def test_a_loss_may_be_told_while_the_call_returns(history):
    history.fault(90, "begin stop-worker 0.1 1")
    history.fault(95, "end stop-worker 0.1 0")
    history.note("0.1", 50, "ask", 0, 500)
    history.note("0.1", 100, "told", 7, ERR_LOST)
    history.note("0.1", 100.1, "got", 7, 0)
    history.note("0.1", 100.2, "gone", 7)
    history.note("0.1", 100.3, "letgo", 7, -1)
    history.note("0.1", 100.4, "freed", 7, ERR_LOST)
    held(history)


@pytest.mark.parametrize("closes", [True, False])
def test_a_loss_that_a_close_cuts_off_need_not_be_told(history, closes):
    """Who frees the handle hears no more of it; without the close it must be told."""
    history.hold("0.1", 7, 100, None, remaining=50)
    history.note("0.1", 150, "gone", 7)
    history.note("0.1", 150.1, "letgo", 7, -1)
    history.note("0.1", 150.2, "freed", 7, ERR_LOST)
    if closes:
        history.note("0.1", 150.3, "closes")
        held(history)
    else:
        history.finish()
        guilty(history, told=1)


# ---- order, losses, pace ------------------------------------------------------------------------

def pass_by(history, times):
    """1.1 comes, and for so many times 0.1 comes later and is served before."""
    for turn in range(times):
        history.hold("0.1", 10 + turn, 200 + 10 * turn, 205 + 10 * turn)
    history.hold("1.1", 500, 600, 605, asked=100)
    history.finish()


def test_a_waiter_that_is_passed_again_and_again_is_found(history):
    pass_by(history, 9)
    guilty(history, order=1)


def test_a_waiter_may_be_passed_now_and_then(history):
    pass_by(history, 8)
    assert history.judge().returncode == HELD


def test_a_place_may_be_lost_by_a_fault(history):
    history.fault(150, "begin client-kill - 0")
    pass_by(history, 40)
    assert history.judge().returncode == HELD


def test_who_takes_a_kept_lease_again_passes_once(history):
    for turn in range(30):
        history.hold("0.1", 10, 200 + 10 * turn, 205 + 10 * turn)
    history.hold("1.1", 500, 600, 605, asked=100)
    held(history)


def lose_often(history, times):
    for turn in range(times):
        lose(history, "0.1", 10 + turn, 100 + 60 * turn, 150 + 60 * turn)


def test_losses_without_a_cause_are_found(history):
    lose_often(history, 10)
    history.finish()
    guilty(history, losses=1)


def test_a_busy_machine_may_lose_one(history):
    lose_often(history, 1)
    held(history)


@pytest.mark.parametrize("fault, hurts, checks", [("stop-server", 0, {}),
                                                  ("stop-worker", 1, {"losses": 1}),  # another's
                                                  ("script-flush", 2, {"losses": 1})])
def test_only_what_hurts_explains_a_loss(history, fault, hurts, checks):
    lose_often(history, 5)
    who = "1.1" if hurts == 1 else "-"
    for at in range(100, 500, 50):
        history.fault(at, f"begin {fault} {who} {hurts}")
        history.fault(at + 1, f"end {fault} {who} 0")
    history.finish()
    assert violated(history.judge()) == checks


def run_at(history, warm, hurt, commands=(0, 0, 0)):
    """Grants a second before the faults and while they come; commands of the server until then."""
    for fence, at in enumerate(list(range(0, 200, 200 // warm)) +
                               list(range(200, CALM, 1000 // hurt)), start=10):
        history.hold("0.1", fence, at + 0.2, at + 0.4, asked=at)
    history.run["grants_min"] = 2
    history.fault(200, f"hurt - - {commands[0]}")
    history.fault(300, "begin script-flush - 2")
    history.finish()
    history.faults = [f if " calm " not in f else f"{CALM * MS} calm - - {commands[1]}"
                      for f in history.faults]
    history.fault(CALM + 300, f"over - - {commands[2]}")


def test_going_on_as_before_is_fine(history):
    run_at(history, 20, 100, commands=(80, 400, 410))
    assert violated(history.judge()) == {}


def test_a_store_that_becomes_slow_without_a_cause_is_found(history):
    run_at(history, 20, 20)
    guilty(history, pace=1)


def test_a_store_that_is_flooded_without_a_cause_is_found(history):
    run_at(history, 20, 100, commands=(80, 86_000, 86_010))
    guilty(history, pace=1)


def test_a_store_that_is_still_flooded_in_the_calm_is_found(history):
    run_at(history, 20, 100, commands=(80, 400, 900))
    guilty(history, pace=1)


def test_too_few_grants_to_compare_with_prove_nothing(history):
    run_at(history, 2, 100)
    result = history.judge()
    assert result.returncode == THIN and "before the first fault" in result.stdout


# ---- resource ------------------------------------------------------------------------------------

def use(history, who, fence, at, value, told="added", accepted=True):
    history.hold(who, fence, at, at + 10)
    history.note(who, at + 4, "add", fence, value)
    if told:
        history.note(who, at + 5, told, fence, value)
    if accepted:
        history.write(fence, value, who)


def test_increments_that_are_all_there(history):
    use(history, "0.1", 1, 100, 1)
    use(history, "1.1", 2, 120, 2)
    held(history)


def test_a_lost_increment_is_found(history):
    use(history, "0.1", 1, 100, 1)
    use(history, "1.1", 2, 120, 1)
    history.finish()
    guilty(history, resource=1)


def test_a_small_fence_that_was_accepted_is_found(history):
    use(history, "1.1", 2, 120, 1)
    use(history, "0.1", 1, 100, 2)
    history.finish()
    guilty(history, resource=1)


def test_an_increment_that_was_told_and_is_not_there_is_found(history):
    use(history, "0.1", 1, 100, 1, accepted=False)
    history.finish()
    guilty(history, resource=1)


def test_an_increment_that_was_refused_and_is_there_is_found(history):
    use(history, "0.1", 1, 100, 1, told="refused")
    history.finish()
    guilty(history, resource=1)


@pytest.mark.parametrize("told", [None, "failed"])
@pytest.mark.parametrize("accepted", [True, False])
def test_an_unknown_outcome_stays_open(history, told, accepted):
    use(history, "0.1", 1, 100, 1, told=told, accepted=accepted)
    held(history)


def test_what_the_unfenced_number_loses_is_told_not_judged(history):
    history.write(1, 1, "0.1", kind="plain")
    history.write(2, 1, "1.1", kind="plain")
    assert re.search(r" 1/2 +held$", held(history).stdout, re.M)


# ---- what calls answer --------------------------------------------------------------------------

def test_released_although_another_had_it_is_found(history):
    history.hold("0.1", 1, 100, 200, remaining=20, word=100)
    history.hold("1.1", 2, 130, 140)
    history.finish()
    guilty(history, truth=1)


def test_lost_because_another_had_it_is_true(history):
    history.hold("0.1", 1, 100, 200, remaining=20, word=100, freed=ERR_LOST)
    history.hold("1.1", 2, 130, 140)
    held(history)


@pytest.mark.parametrize("times", [0, 2])
def test_a_loss_that_is_told_never_or_twice_is_found(history, times):
    history.hold("0.1", 1, 100, None)
    history.fault(120, "begin net-cut - 0")
    history.note("0.1", 150, "gone", 1)
    for _ in range(times):
        history.note("0.1", 151, "told", 1, ERR_LOST)
    history.note("0.1", 152, "letgo", 1, -1)
    history.note("0.1", 153, "freed", 1, ERR_LOST)
    history.finish()
    guilty(history, told=1)


@pytest.mark.parametrize("dies_at, checks", [(300, {}), (1500, {"told": 1})])
def test_who_dies_soon_after_a_loss_need_not_be_told(history, dies_at, checks):
    history.hold("0.1", 1, 100, None)
    history.note("0.1", 200, "gone", 1)
    history.note("0.1", 201, "letgo", 1, -1)
    history.note("0.1", dies_at, "freed", 1, ERR_LOST)
    history.run["call_slack_ms"] = 5000
    history.fault(dies_at + 1, "begin kill-worker 0.1 0")
    history.fault(dies_at + 2, "died - 0.1 9")
    history.calm("0.2", 900_000, 10)
    history.calm("1.1", 900_001, 20)
    history.ends("0.2")
    history.ends("1.1")
    assert violated(history.judge()) == checks


@pytest.mark.parametrize("at, checks", [(110, {}), (90, {"truth": 1})])
def test_a_kept_lease_is_released_although_the_store_forgot_it(at, checks, history):
    """It is not given back, so nobody says that another has it by now."""
    history.hold("0.1", 1, 100, 135, remaining=20, asked=95, word=100)
    forgets(history, at - 1, at, at + 1, fault="clock-step")
    history.hold("1.1", 2, 130, 140)
    history.finish()
    assert violated(history.judge()) == checks


def test_lost_and_then_released_is_found(history):
    history.hold("0.1", 1, 100, None)
    history.note("0.1", 200, "gone", 1)
    history.note("0.1", 200, "told", 1, ERR_LOST)
    history.note("0.1", 202, "letgo", 1, -1)
    history.note("0.1", 203, "freed", 1, 0)
    history.finish()
    guilty(history, truth=1)


def test_a_call_that_takes_too_long_is_found(history):
    history.note("0.1", 100, "ask", 0, 50)
    history.note("0.1", 210, "not", 0, ERR_TIMEOUT)
    history.finish()
    guilty(history, calls=1)


@pytest.mark.parametrize("wait, took, err, found", [(5000, 1, ERR_TIMEOUT, True),
                                                    (-1, 300, ERR_TIMEOUT, True),
                                                    (50, 49.5, ERR_TIMEOUT, False),
                                                    (50, 20, ERR_BUSY, True),
                                                    (0, 20, ERR_BUSY, False)])
def test_who_waits_is_not_sent_away_early(history, wait, took, err, found):
    history.note("0.1", 100, "ask", 0, wait)
    history.note("0.1", 100 + took, "not", 0, err)
    history.finish()
    assert violated(history.judge()) == ({"calls": 1} if found else {})


def call_slowly(history):
    """Two calls that take 195 ms, where 150 are allowed: one is forgiven, two are not."""
    for at in (100, 400):
        history.note("0.1", at, "ask", 0, 0)
        history.note("0.1", at + 195, "not", 0, ERR_BUSY)
    history.run |= {"call_slack_ms": 2000, "calm_slack_ms": 150}
    history.finish()
    guilty(history, calls=1)


def test_calls_that_are_slow_while_nothing_is_hurt_are_found(history):
    call_slowly(history)
    history.fault(300, "begin stop-server - 0")
    history.fault(350, "end stop-server - 0")
    assert violated(history.judge()) == {}


def test_a_call_that_never_ends_is_found(history):
    history.calm("0.1", 900_000, 10)
    history.calm("1.1", 900_001, 20)
    history.note("0.1", CALM + 50, "ask", 0, 50)
    history.fault(CALM + 400, "begin kill-worker 0.1 1")
    history.fault(CALM + 401, "died - 0.1 9")
    history.ends("1.1")
    guilty(history, calls=1)


def test_who_is_killed_in_a_call_had_time_left(history):
    history.calm("0.1", 900_000, 10)
    history.calm("1.1", 900_001, 20)
    history.note("0.1", CALM + 50, "ask", 0, 50)
    history.fault(CALM + 90, "begin kill-worker 0.1 1")
    history.fault(CALM + 91, "died - 0.1 9")
    history.ends("1.1")
    assert history.judge().returncode == HELD


def test_time_in_which_the_process_stood_still_does_not_count(history):
    history.note("0.1", 100, "ask", 0, 50)
    history.fault(110, "begin stop-worker 0.1 0")
    history.fault(150, "end stop-worker 0.1 0")
    history.note("0.1", 210, "not", 0, ERR_TIMEOUT)
    held(history)


def test_an_error_of_the_program_itself_is_found(history):
    history.note("0.1", 100, "ask", 0, 50)
    history.note("0.1", 101, "not", 0, ERR_STATE)
    history.finish()
    guilty(history, errors=1)


# ---- the end -----------------------------------------------------------------------------------------

def test_a_crash_is_found(history):
    history.calm("0.1", 900_000, 10)
    history.calm("1.1", 900_001, 20)
    history.ends("0.1", down=False, status=11)
    history.ends("1.1")
    assert "signal 11" in guilty(history, ends=1).stdout


def test_a_process_that_never_ends_is_found(history):
    history.calm("0.1", 900_000, 10)
    history.calm("1.1", 900_001, 20)
    history.ends("1.1")
    guilty(history, ends=1)


@pytest.mark.parametrize("at", [None, 600])
def test_who_gets_nothing_after_the_faults_is_found(history, at):
    history.calm("0.1", 900_000, 10)
    history.hold("1.1", 1, 100, 110)
    if at:
        history.calm("1.1", 900_001, at)
    history.ends("0.1")
    history.ends("1.1")
    guilty(history, recovery=1)


def test_what_is_left_is_found(history):
    history.after.append("torture-0 is still held by somebody")
    history.finish()
    guilty(history, leftovers=1)


# ---- what proves nothing --------------------------------------------------------------------------------

def test_a_run_with_few_grants_is_refused(history):
    history.run["grants_min"] = 3
    result = history.finish().judge()
    assert result.returncode == THIN and "2 grants, at least 3" in result.stdout


def test_a_run_in_which_a_fault_never_came_is_refused(history):
    history.run["fault"] = "net-cut"
    result = history.finish().judge()
    assert result.returncode == THIN and "net-cut never fired" in result.stdout
    history.fault(CALM - 1, "begin net-cut - 0")
    assert history.judge().returncode == HELD


# ---- files ---------------------------------------------------------------------------------------------

def test_a_line_that_was_cut_off_by_sigkill_is_not_there(history):
    history.finish().save()
    log = history.dir / "worker-0.1"
    log.write_text(log.read_text() + "1200000000 got 0 1")
    assert torture("--check", history.dir).returncode == HELD


def test_a_line_that_is_not_understood_is_an_error(history):
    history.finish().save()
    log = history.dir / "worker-0.1"
    log.write_text(log.read_text() + "1200000000 gout 0 1 1\n")
    result = torture("--check", history.dir)
    assert result.returncode == NO_INPUT and "worker-0.1" in result.stderr


def test_histories_of_several_setups_make_one_table(tmp_path):
    for name in ("a", "b"):
        history = History(tmp_path / name)
        history.run["setup"] = name
        history.finish().save()
    result = torture("--check", tmp_path)
    assert result.returncode == HELD
    assert len(re.findall(r" held$", result.stdout, re.M)) == 2


@pytest.mark.parametrize("args", [["--seconds", "x"], ["--store", "oracle"], ["--faults", "flood"],
                                  ["--algorithm", "paxos"], ["--workers", "1"], ["stray"],
                                  ["--no-such-option"]])
def test_wrong_usage(args):
    result = torture(*args)
    assert result.returncode == 64 and result.stderr


def test_nothing_to_judge(tmp_path):
    assert torture("--check", tmp_path).returncode == NO_INPUT
    assert torture("--check", tmp_path / "none").returncode == NO_INPUT
