# SPDX-License-Identifier: MIT
"""The judge, on a name that is held in all modes, and on a semaphore of three permits."""
import pytest
from history import (CALM, ERR_LOST, ERR_TIMEOUT, EXCLUSIVE, PERMIT, SHARED, UPDATE, History)
from test_judge import forgets, guilty, held, violated


@pytest.fixture
def lock(tmp_path):
    history = History(tmp_path / "history")
    history.run["modes_lock"] = 0
    return history


@pytest.fixture
def pool(tmp_path):
    history = History(tmp_path / "history")
    history.run |= {"permits_lock": 0, "capacity": 3}
    return history


# ---- who holds beside whom -------------------------------------------------------------------

BESIDE = {(SHARED, SHARED), (SHARED, UPDATE), (UPDATE, SHARED)}


@pytest.mark.parametrize("first", [EXCLUSIVE, SHARED, UPDATE])
@pytest.mark.parametrize("second", [EXCLUSIVE, SHARED, UPDATE])
def test_the_table_of_modes(lock, first, second):
    lock.hold("0.1", 1, 100, 150, mode=first)
    lock.hold("1.1", 2, 120, 160, mode=second)
    if (first, second) in BESIDE:
        held(lock)
    else:
        lock.finish()
        guilty(lock, exclusion=1)


def test_a_reader_that_was_killed_hinders_no_writer(lock):
    lock.hold("0.1", 1, 100, None, mode=SHARED)
    lock.fault(110, "begin kill-worker 0.1 0")
    lock.hold("1.1", 2, 111, 120)
    lock.fault(112, "died - 0.1 9")
    lock.calm("0.2", 800_000, 5)
    lock.calm("1.1", 800_001, 15)
    lock.ends("0.2")
    lock.ends("1.1")
    assert violated(lock.judge()) == {}


@pytest.mark.parametrize("writer, checks", [(189, {"exclusion": 1}), (191, {})])
def test_a_reader_that_stands_still_believes_until_its_deadline(lock, writer, checks):
    lock.hold("0.1", 1, 100, None, remaining=90, mode=SHARED)
    lock.fault(101, "begin stop-worker 0.1 1")
    lock.hold("1.1", 2, writer, writer + 5)
    lock.fault(300, "end stop-worker 0.1 0")
    lock.note("0.1", 301, "gone", 1)
    lock.note("0.1", 301, "told", 1, ERR_LOST)
    lock.note("0.1", 302, "letgo", 1, -1)
    lock.note("0.1", 303, "freed", 1, ERR_LOST)
    lock.finish()
    assert violated(lock.judge()) == checks


def test_a_writer_beside_a_reader_whom_the_store_forgot_is_exempt(lock):
    lock.hold("0.1", 1, 100, 180, mode=SHARED)
    forgets(lock, 105, 110, 115)
    lock.hold("1.1", 2, 120, 130)
    held(lock)


# ---- changes of the mode ---------------------------------------------------------------------

def change(history, who, what, at, fence, number, until, new_fence=None, err=0):
    after = {"raise": "raised", "lower": "lowered"}[what]
    history.note(who, at, what, fence, number)
    history.note(who, until, after, fence if new_fence is None else new_fence, err)


def test_an_upgrade_beside_a_reader_is_found(lock):
    lock.hold("0.1", 1, 100, 160, mode=UPDATE)
    lock.hold("1.1", 2, 110, 150, mode=SHARED)
    change(lock, "0.1", "raise", 120, 1, 500, 130, new_fence=3)
    lock.note("0.1", 131, "held", 3, 20)
    lock.finish()
    lock.workers["0.1"] = [(at, line.replace("letgo 0 1 ", "letgo 0 3 ")
                            .replace("freed 0 1 ", "freed 0 3 "))
                           for at, line in lock.workers["0.1"]]
    guilty(lock, exclusion=1)


def test_an_upgrade_that_waits_is_beside_readers(lock):
    lock.hold("0.1", 1, 100, None, mode=UPDATE)
    lock.hold("1.1", 2, 110, 150, mode=SHARED)
    change(lock, "0.1", "raise", 120, 1, 500, 151, new_fence=3)
    lock.note("0.1", 152, "held", 3, 20)
    lock.note("0.1", 160, "letgo", 3, -1)
    lock.note("0.1", 161, "freed", 3)
    held(lock)


@pytest.mark.parametrize("fence", [1, 2])
def test_an_upgrade_without_a_larger_fence_is_found(lock, fence):
    lock.hold("1.1", 1, 90, 95, mode=SHARED)
    lock.hold("0.1", 2, 100, None, mode=UPDATE)
    change(lock, "0.1", "raise", 120, 2, 500, 121, new_fence=fence)
    lock.note("0.1", 160, "letgo", fence, -1)
    lock.note("0.1", 161, "freed", fence)
    lock.finish()
    assert "fence" in violated(lock.judge())


def test_who_was_refused_an_upgrade_is_no_writer(lock):
    lock.hold("0.1", 1, 100, 170, mode=UPDATE)
    lock.hold("1.1", 2, 110, 160, mode=SHARED)
    change(lock, "0.1", "raise", 120, 1, 10, 131, err=ERR_TIMEOUT)
    lock.note("0.1", 132, "held", 1, 30)
    held(lock)


def test_an_upgrade_that_gives_up_early_is_found(lock):
    lock.hold("0.1", 1, 100, 170, mode=UPDATE)
    change(lock, "0.1", "raise", 120, 1, 50, 125, err=ERR_TIMEOUT)
    lock.finish()
    guilty(lock, calls=1)


def test_who_lowers_its_mode_lets_readers_in_and_no_writer(lock):
    lock.hold("0.1", 1, 100, 150, mode=EXCLUSIVE)
    change(lock, "0.1", "lower", 110, 1, SHARED, 111)
    lock.hold("1.1", 2, 110.5, 140, mode=SHARED)
    held(lock)
    lock.hold("1.1", 3, 145, 148)
    assert violated(lock.judge()) == {"exclusion": 1}


# ---- fences ------------------------------------------------------------------------------------

def test_each_grant_of_every_mode_has_a_larger_fence(lock):
    lock.hold("0.1", 7, 100, 110, mode=SHARED)
    lock.hold("1.1", 6, 120, 130, mode=SHARED)
    lock.finish()
    guilty(lock, fence=1)


def test_a_kept_lease_of_a_reader_may_be_older_than_other_readers(lock):
    lock.hold("0.1", 5, 100, 110, mode=SHARED)
    lock.hold("1.1", 6, 120, 130, mode=SHARED)
    lock.hold("0.1", 5, 140, 150, mode=SHARED)
    held(lock)


def test_a_kept_lease_of_a_reader_that_is_older_than_a_writer_is_found(lock):
    lock.hold("0.1", 5, 100, 110, mode=SHARED)
    lock.hold("1.1", 6, 120, 130)
    lock.hold("0.1", 5, 140, 150, mode=SHARED)
    lock.finish()
    guilty(lock, fence=1)


# ---- order -------------------------------------------------------------------------------------

@pytest.mark.parametrize("times, checks", [(8, {}), (9, {"order": 1})])
def test_a_writer_that_readers_pass_again_and_again_is_found(lock, times, checks):
    for turn in range(times):
        lock.hold("0.1", 10 + turn, 200 + 10 * turn, 205 + 10 * turn, mode=SHARED)
    lock.hold("1.1", 500, 600, 605, asked=100)
    lock.finish()
    assert violated(lock.judge()) == checks


def test_who_is_raised_passes_nobody(lock):
    for turn in range(20):
        start = 200 + 10 * turn
        lock.hold("0.1", 10 + 2 * turn, start, None, asked=95, mode=UPDATE)
        change(lock, "0.1", "raise", start + 1, 10 + 2 * turn, 500, start + 2,
               new_fence=11 + 2 * turn)
        lock.note("0.1", start + 3, "letgo", 11 + 2 * turn, -1)
        lock.note("0.1", start + 4, "freed", 11 + 2 * turn)
    lock.hold("1.1", 500, 600, 605, asked=100)
    lock.run["call_slack_ms"] = 5000
    lock.finish()
    assert "order" not in violated(lock.judge())


# ---- a semaphore -----------------------------------------------------------------------------

def test_three_permits_are_three(pool):
    pool.hold("0.1", 1, 100, 150, mode=PERMIT, slots=[0, 2])
    pool.hold("1.1", 2, 120, 160, mode=PERMIT, slots=[1])
    held(pool)


def test_a_permit_that_two_have_is_found(pool):
    pool.hold("0.1", 1, 100, 150, mode=PERMIT, slots=[0])
    pool.hold("1.1", 2, 120, 160, mode=PERMIT, slots=[0])
    pool.finish()
    guilty(pool, exclusion=1)


def test_more_permits_than_there_are_is_found(pool):
    pool.hold("0.1", 1, 100, 150, mode=PERMIT, slots=[0, 1])
    pool.hold("1.1", 2, 120, 160, mode=PERMIT, slots=[2, 3])
    pool.finish()
    guilty(pool, exclusion=1)


@pytest.mark.parametrize("again, checks", [(189, {"exclusion": 1}), (191, {})])
def test_who_believes_to_have_a_permit_has_it_until_its_deadline(pool, again, checks):
    pool.hold("0.1", 1, 100, None, remaining=90, mode=PERMIT, slots=[1])
    pool.fault(101, "begin stop-worker 0.1 1")
    pool.hold("1.1", 2, again, again + 5, mode=PERMIT, slots=[1])
    pool.fault(300, "end stop-worker 0.1 0")
    pool.note("0.1", 301, "gone", 1)
    pool.note("0.1", 301, "told", 1, ERR_LOST)
    pool.note("0.1", 302, "letgo", 1, -1)
    pool.note("0.1", 303, "freed", 1, ERR_LOST)
    pool.finish()
    assert violated(pool.judge()) == checks


def test_released_although_another_had_the_permit_is_found(pool):
    pool.hold("0.1", 1, 100, 200, remaining=20, word=100, mode=PERMIT, slots=[0])
    pool.hold("1.1", 2, 130, 140, mode=PERMIT, slots=[0])
    pool.finish()
    guilty(pool, truth=1)


def test_another_permit_is_another_matter(pool):
    pool.hold("0.1", 1, 100, 200, remaining=20, word=100, mode=PERMIT, slots=[0])
    pool.hold("1.1", 2, 130, 140, mode=PERMIT, slots=[1])
    held(pool)


FREE, NEVER = 1, 2


@pytest.mark.parametrize("said, checks", [([FREE, FREE, NEVER, NEVER], {}), ([NEVER] * 3, {}),
                                          ([FREE, NEVER, NEVER, NEVER], {"slots": 1})])
def test_a_permit_that_is_not_free_again_is_found(pool, said, checks):
    pool.hold("0.1", 1, 100, 200, mode=PERMIT, slots=[0])
    for turn, number in enumerate(said):
        pool.note("0.1", 110 + turn, "again", 1, number)
    pool.finish()
    assert violated(pool.judge()) == checks


def test_losses_of_permits_without_a_cause_are_found(pool):
    for turn in range(10):
        at = 100 + 60 * turn
        pool.hold("0.1", 10 + turn, at, None, remaining=50, mode=PERMIT, slots=[0])
        pool.note("0.1", at + 50, "gone", 10 + turn)
        pool.note("0.1", at + 50, "told", 10 + turn, ERR_LOST)
        pool.note("0.1", at + 51, "letgo", 10 + turn, -1)
        pool.note("0.1", at + 52, "freed", 10 + turn, ERR_LOST)
    assert at < CALM
    pool.finish()
    guilty(pool, losses=1)
