# SPDX-License-Identifier: MIT
"""The judge of leases that were detached or broken, of children of fork, of a process's two clients."""
import pytest
from history import ERR_BUSY, ERR_LOST, ERR_NOT_HELD, ERR_STATE, ERR_UNKNOWN
from test_judge import forgets, guilty, held, history, lose, violated  # pylint: disable=unused-import


def part(history, who, fence, start, at, remaining=90):
    """Got it, and left it to its token at that instant."""
    history.hold(who, fence, start, None, remaining=1)
    history.note(who, at, "parted", fence, remaining)


def test_a_detached_lease_excludes_until_its_deadline(history):
    part(history, "0.1", 1, 100, 110)
    history.hold("1.1", 2, 190, 195)
    history.finish()
    guilty(history, exclusion=1)


def test_a_detached_lease_ends_with_its_deadline(history):
    part(history, "0.1", 1, 100, 110)
    history.hold("1.1", 2, 201, 205)
    held(history)


def test_a_detached_lease_ends_with_its_release(history):
    part(history, "0.1", 1, 100, 110)
    history.note("0.1", 120, "letgo", 1, 100)
    history.note("0.1", 121, "freed", 1, 0)
    history.hold("1.1", 2, 120.5, 130)
    held(history)


def test_a_detached_lease_outlives_its_process(history):
    part(history, "0.1", 1, 100, 110)
    history.fault(111, "begin kill-worker 0.1 1")
    history.fault(112, "died - 0.1 9")
    history.hold("1.1", 2, 150, 155)
    history.calm("0.2", 800_000, 5)
    history.calm("1.1", 800_001, 15)
    history.ends("0.2")
    history.ends("1.1")
    guilty(history, exclusion=1)


def test_a_lease_that_was_lost_is_not_detached(history):
    history.hold("0.1", 1, 100, None, remaining=10)
    history.note("0.1", 140, "gone", 1)
    history.note("0.1", 141, "parted", 1, 0)
    history.note("0.1", 141, "told", 1, ERR_LOST)
    history.note("0.1", 142, "letgo", 1, -1)
    history.note("0.1", 143, "freed", 1, ERR_LOST)
    history.hold("1.1", 2, 120, 130)
    held(history)


def break_it(history, who, fence, at, err=0):
    history.note(who, at, "break", fence)
    if err is not None:
        history.note(who, at + 1, "broke", fence, err)


@pytest.mark.parametrize("err, found", [(0, False), (ERR_UNKNOWN, False), (None, False),
                                        (ERR_NOT_HELD, True)])
def test_a_hold_ends_when_it_is_broken(history, err, found):
    history.hold("0.1", 1, 100, 180)
    break_it(history, "1.1", 1, 110, err)
    history.hold("1.1", 2, 120, 130)
    history.finish()
    assert violated(history.judge()) == ({"exclusion": 1} if found else {})


def test_a_break_ends_the_hold_with_its_fence_only(history):
    history.hold("0.1", 2, 100, 180)
    break_it(history, "1.1", 1, 110)
    history.hold("1.1", 3, 120, 130)
    history.finish()
    guilty(history, exclusion=1)


@pytest.mark.parametrize("is_broken", [True, False])
def test_a_kept_lease_is_taken_again_until_its_break_is_known(history, is_broken):
    history.hold("0.1", 1, 100, 110, word=50)
    if is_broken:
        break_it(history, "1.1", 1, 112)
    history.hold("1.1", 2, 120, 130)
    history.hold("0.1", 1, 140, 150, remaining=50, word=50)
    history.finish()
    assert violated(history.judge()) == ({} if is_broken else {"fence": 1, "truth": 1})


@pytest.mark.parametrize("is_broken", [True, False])
def test_who_was_broken_loses_without_a_fault(history, is_broken):
    for i in range(4):
        lose(history, "0.1", i + 1, 100 + 20 * i, 110 + 20 * i)
        if is_broken:
            break_it(history, "1.1", i + 1, 105 + 20 * i)
    history.finish()
    assert violated(history.judge()) == ({} if is_broken else {"losses": 1})


def believe(history, until):
    history.hold("0.1", 1, 100, None, remaining=50)
    break_it(history, "1.1", 1, 110)
    history.note("0.1", until - 20, "held", 1, 20)
    history.note("0.1", until, "letgo", 1, -1)
    history.note("0.1", until + 1, "freed", 1, ERR_LOST)


@pytest.mark.parametrize("until, checks", [(210, {}), (213, {"broken": 1})])
def test_who_was_broken_believes_for_one_ttl_at_most(history, until, checks):
    believe(history, until)
    history.finish()
    assert violated(history.judge()) == checks


def test_a_store_that_forgot_the_break_is_excused(history):
    believe(history, 300)
    forgets(history, 150, 151, 152)
    held(history)


@pytest.mark.parametrize("status, checks", [(0, {}), (256, {"forks": 1})])
def test_a_child_that_was_not_refused_is_found(history, status, checks):
    history.hold("0.1", 1, 100, 110)
    history.note("0.1", 105, "child", 1, status)
    history.finish()
    assert violated(history.judge()) == checks


@pytest.mark.parametrize("at, err, checks", [(105, ERR_BUSY, {}), (105, 0, {"exclusion": 1}),
                                             (115, 0, {}), (105, ERR_STATE, {"errors": 1})])
def test_another_client_of_the_holders_process_is_a_stranger(history, at, err, checks):
    history.hold("0.1", 1, 100, 110)
    history.note("0.1", at, "rival", 1, err)
    history.finish()
    assert violated(history.judge()) == checks
