# SPDX-License-Identifier: MIT
"""The judge of leases that were detached or broken, of children of fork, of a process's two clients."""
import pytest
from history import ERR_BUSY, ERR_LOST, ERR_NOT_HELD, ERR_STATE, ERR_UNKNOWN
from test_judge import forgets, guilty, held, lose, violated, world  # pylint: disable=unused-import


def part(world, who, fence, start, at, remaining=90):
    """Got it, and left it to its token at that instant."""
    world.hold(who, fence, start, None, remaining=1)
    world.note(who, at, "parted", fence, remaining)


def test_a_detached_lease_excludes_until_its_deadline(world):
    part(world, "0.1", 1, 100, 110)
    world.hold("1.1", 2, 190, 195)
    world.finish()
    guilty(world, exclusion=1)


def test_a_detached_lease_ends_with_its_deadline(world):
    part(world, "0.1", 1, 100, 110)
    world.hold("1.1", 2, 201, 205)
    held(world)


def test_a_detached_lease_ends_with_its_release(world):
    part(world, "0.1", 1, 100, 110)
    world.note("0.1", 120, "letgo", 1, 100)
    world.note("0.1", 121, "freed", 1, 0)
    world.hold("1.1", 2, 120.5, 130)
    held(world)


def test_a_detached_lease_outlives_its_process(world):
    part(world, "0.1", 1, 100, 110)
    world.fault(111, "begin kill-worker 0.1 1")
    world.fault(112, "died - 0.1 9")
    world.hold("1.1", 2, 150, 155)
    world.calm("0.2", 800_000, 5)
    world.calm("1.1", 800_001, 15)
    world.ends("0.2")
    world.ends("1.1")
    guilty(world, exclusion=1)


def test_a_lease_that_was_lost_is_not_detached(world):
    world.hold("0.1", 1, 100, None, remaining=10)
    world.note("0.1", 140, "gone", 1)
    world.note("0.1", 141, "parted", 1, 0)
    world.note("0.1", 141, "told", 1, ERR_LOST)
    world.note("0.1", 142, "letgo", 1, -1)
    world.note("0.1", 143, "freed", 1, ERR_LOST)
    world.hold("1.1", 2, 120, 130)
    held(world)


def break_it(world, who, fence, at, err=0):
    world.note(who, at, "break", fence)
    if err is not None:
        world.note(who, at + 1, "broke", fence, err)


@pytest.mark.parametrize("err, found", [(0, False), (ERR_UNKNOWN, False), (None, False),
                                        (ERR_NOT_HELD, True)])
def test_a_hold_ends_when_it_is_broken(world, err, found):
    world.hold("0.1", 1, 100, 180)
    break_it(world, "1.1", 1, 110, err)
    world.hold("1.1", 2, 120, 130)
    world.finish()
    assert violated(world.judge()) == ({"exclusion": 1} if found else {})


def test_a_break_ends_the_hold_with_its_fence_only(world):
    world.hold("0.1", 2, 100, 180)
    break_it(world, "1.1", 1, 110)
    world.hold("1.1", 3, 120, 130)
    world.finish()
    guilty(world, exclusion=1)


@pytest.mark.parametrize("is_broken", [True, False])
def test_who_was_broken_loses_without_a_fault(world, is_broken):
    for i in range(4):
        lose(world, "0.1", i + 1, 100 + 20 * i, 110 + 20 * i)
        if is_broken:
            break_it(world, "1.1", i + 1, 105 + 20 * i)
    world.finish()
    assert violated(world.judge()) == ({} if is_broken else {"losses": 1})


def believe(world, until):
    world.hold("0.1", 1, 100, None, remaining=50)
    break_it(world, "1.1", 1, 110)
    world.note("0.1", until - 20, "held", 1, 20)
    world.note("0.1", until, "letgo", 1, -1)
    world.note("0.1", until + 1, "freed", 1, ERR_LOST)


@pytest.mark.parametrize("until, checks", [(210, {}), (213, {"broken": 1})])
def test_who_was_broken_believes_for_one_ttl_at_most(world, until, checks):
    believe(world, until)
    world.finish()
    assert violated(world.judge()) == checks


def test_a_store_that_forgot_the_break_is_excused(world):
    believe(world, 300)
    forgets(world, 150, 151, 152)
    held(world)


@pytest.mark.parametrize("status, checks", [(0, {}), (256, {"forks": 1})])
def test_a_child_that_was_not_refused_is_found(world, status, checks):
    world.hold("0.1", 1, 100, 110)
    world.note("0.1", 105, "child", 1, status)
    world.finish()
    assert violated(world.judge()) == checks


@pytest.mark.parametrize("at, err, checks", [(105, ERR_BUSY, {}), (105, 0, {"exclusion": 1}),
                                             (115, 0, {}), (105, ERR_STATE, {"errors": 1})])
def test_another_client_of_the_holders_process_is_a_stranger(world, at, err, checks):
    world.hold("0.1", 1, 100, 110)
    world.note("0.1", at, "rival", 1, err)
    world.finish()
    assert violated(world.judge()) == checks
