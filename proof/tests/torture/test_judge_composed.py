# SPDX-License-Identifier: MIT
"""The judge of what is built on locks: a job that is done once in a period, a latch of three, a barrier of two."""
import pytest
from history import ERR_BUSY, ERR_LOST, ERR_TIMEOUT, ERR_UNKNOWN
from test_judge import forgets, guilty, held, history  # pylint: disable=unused-import

JOB, LATCH, BARRIER = 10, 11, 12  # the numbers that a history has for them
ERR_DONE, ERR_BROKEN = -50, -52
GIVEN_BACK, COUNTS = 0, 1


def loses(history, at):
    """A restart after which a guard keeps the leases."""
    history.fault(at - 1, "begin restart-server - 0")
    history.fault(at, "loses restart-server - 0")
    history.fault(at + 1, "end restart-server - 0")


def begin_run(history, who, at, until, period, err=0):
    history.note(who, at, "job", 0, 500, lock=JOB)
    history.note(who, until, "run", period, err, lock=JOB)


def end_run(history, who, at, until, outcome=COUNTS, err=0):
    """until None: it had no answer."""
    history.note(who, at, "ending", outcome, 500, lock=JOB)
    if until is not None:
        history.note(who, until, "ended", 0, err, lock=JOB)


def count(history, who, at, until, left=None, err=0, latch=0):
    history.note(who, at, "count", latch, 500, lock=LATCH)
    if left is not None:
        history.note(who, until, "left", latch, left, lock=LATCH)
    if until is not None:
        history.note(who, until + 0.001, "counted", latch, err, lock=LATCH)


def wait_for_latch(history, who, at, until, left=None, err=0, latch=0):
    history.note(who, at, "await", latch, 0 if err == ERR_BUSY else 500, lock=LATCH)
    if left is not None:
        history.note(who, until, "left", latch, left, lock=LATCH)
    history.note(who, until + 0.001, "awaited", latch, err, lock=LATCH)


def meet(history, who, at, until, generation=0, err=0):
    history.note(who, at, "meet", 0, 0 if err == ERR_BUSY else 20, lock=BARRIER)
    if until is not None:
        history.note(who, until, "met", generation, err, lock=BARRIER)


# ---- once -----------------------------------------------------------------------------------

def test_each_period_has_its_run(history):
    begin_run(history, "0.1", 100, 101, 7)
    begin_run(history, "1.1", 102, 110, 7, ERR_DONE)
    end_run(history, "0.1", 105, 109)
    begin_run(history, "1.1", 120, 121, 8)
    end_run(history, "1.1", 122, 123, GIVEN_BACK)
    begin_run(history, "0.1", 124, 125, 8)
    end_run(history, "0.1", 126, 127)
    begin_run(history, "1.1", 130, 131, 8, ERR_DONE)
    held(history)


def test_a_period_that_had_its_run_gets_no_other(history):
    begin_run(history, "0.1", 100, 101, 7)
    end_run(history, "0.1", 102, 103)
    begin_run(history, "1.1", 104, 105, 7)
    end_run(history, "1.1", 106, 107, GIVEN_BACK)
    history.finish()
    guilty(history, once=1)


def test_two_that_asked_before_do_not_both_succeed(history):
    begin_run(history, "0.1", 100, 101, 7)
    begin_run(history, "1.1", 100, 104, 7)
    end_run(history, "0.1", 102, 103)
    end_run(history, "1.1", 105, 106)
    history.finish()
    guilty(history, once=1)


@pytest.mark.parametrize("err", [ERR_UNKNOWN, ERR_LOST])
def test_a_run_whose_success_is_not_confirmed_may_be_done_again(history, err):
    begin_run(history, "0.1", 100, 101, 7)
    end_run(history, "0.1", 102, 103, COUNTS, err)
    begin_run(history, "1.1", 104, 105, 7)
    end_run(history, "1.1", 106, 107)
    held(history)


@pytest.mark.parametrize("tells", [(), (ERR_DONE,)])
def test_a_run_that_died_while_it_said_so_may_be_done_or_not(history, tells):
    begin_run(history, "0.1", 100, 101, 7)
    end_run(history, "0.1", 102, None)
    history.fault(103, "begin kill-worker 0.1 0")
    history.fault(104, "died - 0.1 9")
    begin_run(history, "1.1", 105, 106, 7, *tells)
    if not tells:
        end_run(history, "1.1", 106, 107)
    history.calm("0.2", 800_000, 5)
    history.calm("1.1", 800_001, 15)
    history.ends("0.2")
    history.ends("1.1")
    result = history.judge()
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("fault", [loses, lambda h, at: forgets(h, at - 1, at, at + 1)])
def test_a_store_that_forgets_lets_it_be_done_again(history, fault):
    begin_run(history, "0.1", 100, 101, 7)
    end_run(history, "0.1", 102, 103)
    fault(history, 110)
    begin_run(history, "1.1", 114, 115, 7)
    end_run(history, "1.1", 116, 117)
    held(history)


@pytest.mark.parametrize("outcome, err", [(GIVEN_BACK, 0), (COUNTS, ERR_LOST)])
def test_what_nobody_has_done_is_not_done(history, outcome, err):
    begin_run(history, "0.1", 100, 101, 7)
    end_run(history, "0.1", 102, 103, outcome, err)
    begin_run(history, "1.1", 104, 105, 7, ERR_DONE)
    history.finish()
    guilty(history, once=1)


# ---- latch ----------------------------------------------------------------------------------

def test_a_latch_opens_when_it_was_counted_down(history):
    count(history, "0.1", 100, 101, 2)
    wait_for_latch(history, "1.1", 102, 103, 2, ERR_BUSY)
    count(history, "0.1", 104, 110, 1)
    wait_for_latch(history, "1.1", 105, 106, 1, ERR_BUSY)  # it was counted, and was told later
    count(history, "1.1", 111, 112, 0)
    wait_for_latch(history, "0.1", 113, 114, 0)
    count(history, "1.1", 115, 116, 0)
    count(history, "0.1", 120, 121, 2, latch=1)
    held(history)


def test_a_latch_does_not_open_early(history):
    count(history, "0.1", 100, 101, 2)
    count(history, "0.1", 102, 103, 1)
    wait_for_latch(history, "1.1", 105, 106, 0)
    history.finish()
    guilty(history, latch=1)


@pytest.mark.parametrize("err", [ERR_TIMEOUT, ERR_LOST])
def test_what_was_refused_does_not_count(history, err):
    count(history, "0.1", 100, 700, err=err)
    wait_for_latch(history, "1.1", 705, 706, 2, ERR_BUSY)
    history.finish()
    guilty(history, latch=1)


@pytest.mark.parametrize("err, left", [(ERR_UNKNOWN, 2), (ERR_UNKNOWN, 3)])
def test_what_had_no_answer_may_count(history, err, left):
    count(history, "0.1", 100, 101, err=err)
    wait_for_latch(history, "1.1", 105, 106, left, ERR_BUSY)
    held(history)


def test_no_count_is_lost(history):
    count(history, "0.1", 100, 101, 2)
    count(history, "1.1", 100, 101, 2)
    wait_for_latch(history, "1.1", 105, 106, 2, ERR_BUSY)
    history.finish()
    guilty(history, latch=1)


def test_who_goes_on_was_told_that_none_is_to_come(history):
    count(history, "0.1", 100, 101, 2)
    wait_for_latch(history, "1.1", 105, 106, 2)
    history.finish()
    guilty(history, latch=1)


@pytest.mark.parametrize("fault", [loses, lambda h, at: forgets(h, at - 1, at, at + 1)])
def test_a_store_that_forgets_loses_counts(history, fault):
    count(history, "0.1", 100, 101, 2)
    fault(history, 103)
    wait_for_latch(history, "0.1", 105, 106, None, ERR_BROKEN)
    wait_for_latch(history, "1.1", 107, 108, 3, ERR_BUSY)
    held(history)


def test_a_latch_that_is_not_forgotten_is_not_broken(history):
    count(history, "0.1", 100, 101, 2)
    wait_for_latch(history, "0.1", 105, 106, None, ERR_BROKEN)
    history.finish()
    guilty(history, latch=1)


# ---- barrier --------------------------------------------------------------------------------

def test_two_pass_together(history):
    meet(history, "0.1", 100, 110, 1)
    meet(history, "1.1", 105, 111, 1)
    meet(history, "0.1", 112, 116, 2)
    meet(history, "1.1", 113, 117, 2)
    held(history)


def test_nobody_passes_alone(history):
    meet(history, "0.1", 100, 110, 1)
    history.finish()
    guilty(history, barrier=1)


@pytest.mark.parametrize("err", [ERR_TIMEOUT, ERR_BUSY])
def test_one_that_gives_up_may_have_been_counted(history, err):
    meet(history, "1.1", 99, 120, err=err)
    meet(history, "0.1", 100, 110, 1)
    held(history)


def test_who_passes_was_there_with_the_others(history):
    meet(history, "0.1", 100, 110, 1)
    meet(history, "1.1", 111, 120, 1)
    history.finish()
    guilty(history, barrier=3)  # each passed with one that was not there; and 1 does not follow 1


def test_a_round_has_no_more_parties_than_it_may(history):
    meet(history, "0.1", 100, 110, 1)
    meet(history, "1.1", 101, 111, 1)
    meet(history, "2.1", 102, 112, 1)
    history.finish()
    history.ends("2.1")
    guilty(history, barrier=3)


def test_one_of_the_last_round_is_not_counted_in_the_next(history):
    meet(history, "0.1", 100, 120, 1)
    meet(history, "1.1", 100, 110, 1)
    meet(history, "1.1", 111, 119, 2)
    history.finish()
    guilty(history, barrier=1)


def test_the_number_of_the_round_grows(history):
    meet(history, "0.1", 100, 110, 2)
    meet(history, "1.1", 100, 110, 2)
    meet(history, "0.1", 112, 120, 1)
    meet(history, "1.1", 112, 120, 1)
    history.finish()
    guilty(history, barrier=4)


@pytest.mark.parametrize("fault", [loses, lambda h, at: forgets(h, at - 1, at, at + 1)])
def test_a_store_that_forgets_begins_the_rounds_anew(history, fault):
    meet(history, "0.1", 100, 110, 1)
    meet(history, "1.1", 100, 110, 1)
    fault(history, 112)
    meet(history, "0.1", 115, 120, 1)
    meet(history, "1.1", 115, 120, 1)
    meet(history, "0.1", 121, 130, 2)
    meet(history, "1.1", 121, 130, 2)
    held(history)


def test_a_round_is_broken_by_one_that_left(history):
    meet(history, "0.1", 100, 120, err=ERR_TIMEOUT)
    meet(history, "1.1", 101, 121, err=ERR_BROKEN)
    held(history)


def test_a_round_that_nobody_left_is_not_broken(history):
    meet(history, "0.1", 100, 110, 1)
    meet(history, "1.1", 101, 111, 1)
    meet(history, "1.1", 112, 121, err=ERR_BROKEN)
    history.finish()
    guilty(history, barrier=1)


def test_a_wait_at_a_barrier_ends_within_its_limit(history):
    history.run["call_slack_ms"] = 100
    meet(history, "0.1", 100, 500, err=ERR_TIMEOUT)
    history.finish()
    guilty(history, calls=1)
