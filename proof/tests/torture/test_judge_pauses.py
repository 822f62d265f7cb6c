# SPDX-License-Identifier: MIT
"""The judge: a machine that stood still makes nobody guilty; what is wrong beside that is found."""
import pytest
from history import CALM, ERR_LOST, ERR_TIMEOUT, MS, History
from test_judge import HELD, THIN, call_slowly, guilty, held, lose, violated


@pytest.fixture
def history(tmp_path):
    return History(tmp_path / "history")


def stand_still(history, at, ms):
    """The whole machine, until `at`."""
    history.fault(at, f"stood - - {ms * MS}")


def test_what_is_lost_in_a_pause_is_explained(history):
    for turn in range(10):
        lose(history, "0.1", 10 + turn, 100 + 60 * turn, 150 + 60 * turn)
    stand_still(history, 700, 600)
    held(history)


def test_what_is_lost_long_after_a_pause_is_found(history):
    for turn in range(10):
        lose(history, "0.1", 10 + turn, 400 + 60 * turn, 450 + 60 * turn)
    stand_still(history, 200, 100)
    history.finish()
    guilty(history, losses=1)


@pytest.mark.parametrize("first, until, span, checks", [(100, 700, 600, {}), (400, 200, 100, {"losses": 1})])
def test_what_is_lost_when_somebody_had_no_processor_is_explained(first, until, span, checks, history):
    for turn in range(10):
        lose(history, "0.1", 10 + turn, first + 60 * turn, first + 50 + 60 * turn)
    history.fault(until, f"starved - - {span * MS}")
    history.finish()
    assert violated(history.judge()) == checks


def test_two_at_once_are_found_although_nobody_had_a_processor(history):
    history.hold("0.1", 1, 100, 150)
    history.hold("1.1", 2, 149.9, 160)
    history.fault(350, f"starved - - {300 * MS}")
    history.finish()
    guilty(history, exclusion=1)


@pytest.mark.parametrize("who, checks", [("0.1", {}), ("1.1", {"losses": 1})])
def test_the_pause_of_one_process_explains_its_own_losses(history, who, checks):
    for turn in range(5):
        lose(history, "0.1", 10 + turn, 100 + 60 * turn, 150 + 60 * turn)
    for at in range(100, 500, 50):
        history.note(who, at, "stood", 0, 20 * MS)
    history.finish()
    assert violated(history.judge()) == checks


def test_no_instant_of_a_call_counts_as_a_pause_twice(history):
    history.note("0.1", 100, "ask", 0, 50)
    history.fault(110, "begin stop-worker 0.1 1")
    history.fault(160, "end stop-worker 0.1 0")
    history.note("0.1", 160, "stood", 0, 50 * MS)
    stand_still(history, 150, 30)
    history.note("0.1", 245, "not", 0, ERR_TIMEOUT)  # 95 ms of its own, of 50 + 50
    held(history)
    history.workers["0.1"] = [note for note in history.workers["0.1"] if "not" not in note[1]]
    history.note("0.1", 255, "not", 0, ERR_TIMEOUT)
    guilty(history, calls=1)


def test_calls_are_slow_where_the_machine_stood_still(history):
    call_slowly(history)
    stand_still(history, 350, 60)
    assert violated(history.judge()) == {}


@pytest.mark.parametrize("pause, checks", [(0, {"recovery": 1}), (95, {"recovery": 1}), (105, {})])
def test_patience_after_the_faults_does_not_pass_in_a_pause(history, pause, checks):
    history.calm("0.1", 900_000, 10)
    history.calm("1.1", 900_001, 610)
    stand_still(history, CALM + 400, pause)
    history.fault(CALM + 700, "died - 0.1 0")
    history.fault(CALM + 700, "died - 1.1 0")
    for who in ("0.1", "1.1"):
        history.note(who, CALM + 650, "down")
    assert violated(history.judge()) == checks


@pytest.mark.parametrize("at, checks", [((400, 800), {}), ((200, 800), {"recovery": 1})])
def test_who_is_slow_after_the_faults_goes_on(history, at, checks):
    """What counts is how long nobody came to anything new."""
    for fence, (who, when) in enumerate(zip(("0.1", "1.1"), at)):
        history.calm(who, 900_000 + fence, when)
        history.note(who, CALM + 900, "down")
        history.fault(CALM + 901, f"died - {who} 0")
    assert violated(history.judge()) == checks


def test_no_share_of_a_few_is_judged(history):
    """A run with so few grants is refused, and is repeated: there is no verdict about it yet."""
    history.run["grants_min"] = 50
    for turn in range(10):
        lose(history, "0.1", 10 + turn, 100 + 60 * turn, 150 + 60 * turn)
    result = history.finish().judge()
    assert (result.returncode, violated(result)) == (THIN, {})
    history.hold("1.1", 5, 110, 120)
    guilty(history, exclusion=1, fence=1)


def test_who_was_slow_before_the_faults_may_be_slow_after_them(history):
    """One grant before anything was hurt: the run is refused, whatever else was late in it."""
    history.hold("0.1", 1, 100, 110)
    history.fault(200, "hurt - - 0")
    history.fault(CALM + 300, "over - - 0")
    history.calm("0.1", 900_000, 10)  # and the other one gets nothing
    history.ends("0.1")
    history.ends("1.1")
    result = history.judge()
    assert (result.returncode, violated(result)) == (THIN, {}) and "before the first fault" in result.stdout
    for fence in range(2, 6):
        history.hold("0.1", fence, 100 + 10 * fence, 105 + 10 * fence)
    guilty(history, recovery=1, pace=1)


def test_two_holders_are_found_whoever_stood_still(history):
    history.hold("0.1", 1, 100, 150)
    history.hold("1.1", 2, 149.9, 160)
    stand_still(history, 155, 100)
    history.finish()
    guilty(history, exclusion=1)


def test_an_older_history_has_no_pauses(history):
    assert history.finish().judge().returncode == HELD
