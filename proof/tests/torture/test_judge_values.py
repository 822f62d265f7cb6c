# SPDX-License-Identifier: MIT
"""The judge of values: what a leader says by its lease, and what others hear."""
import pytest
from history import ERR_LOST, ERR_UNKNOWN
from test_judge import forgets, guilty, held, history  # pylint: disable=unused-import


def say(history, who, fence, at, value, until=None, err=0):
    """until None: it never had an answer."""
    history.note(who, at, "say", fence, value)
    if until is not None:
        history.note(who, until, "said", fence, err)


def hear(history, who, fence, at, value, until):
    history.note(who, at, "listen")
    history.note(who, until, "heard", fence, value)


def test_what_was_said_is_heard(history):
    history.hold("0.1", 7, 100, 180)
    say(history, "0.1", 7, 110, 1, 115)
    hear(history, "1.1", 7, 112, 1, 113)
    hear(history, "1.1", 7, 120, 1, 121)
    hear(history, "1.1", 0, 122, 0, 123)
    say(history, "0.1", 7, 130, 2, 140)
    hear(history, "1.1", 7, 132, 1, 139)
    hear(history, "1.1", 7, 139, 1, 141)  # it asked before the second one was confirmed
    hear(history, "1.1", 7, 142, 2, 143)
    held(history)


@pytest.mark.parametrize("err", [None, ERR_UNKNOWN, 0])
def test_an_older_word_of_the_same_lease_does_not_come_back(history, err):
    history.hold("0.1", 7, 100, 180)
    say(history, "0.1", 7, 110, 1, None if err is None else 115, err)
    say(history, "0.1", 7, 130, 2, 140)
    hear(history, "1.1", 7, 150, 1, 151)
    history.finish()
    guilty(history, values=1)


def test_a_word_without_an_answer_may_be_heard_until_a_later_one(history):
    history.hold("0.1", 7, 100, 180)
    say(history, "0.1", 7, 110, 1, 115, ERR_UNKNOWN)
    hear(history, "1.1", 7, 120, 1, 121)
    say(history, "0.1", 7, 130, 2, 135, ERR_UNKNOWN)
    hear(history, "1.1", 7, 150, 1, 151)
    hear(history, "1.1", 7, 152, 2, 153)
    held(history)


def test_a_store_that_forgets_may_bring_back_an_older_word(history):
    history.hold("0.1", 7, 100, 180)
    say(history, "0.1", 7, 110, 1, 115)
    say(history, "0.1", 7, 130, 2, 140)
    forgets(history, 141, 142, 143)
    hear(history, "1.1", 7, 150, 1, 151)
    held(history)


@pytest.mark.parametrize("fence, value", [(7, 9), (8, 1)])
def test_what_nobody_said_is_not_heard(history, fence, value):
    history.hold("0.1", 7, 100, 180)
    say(history, "0.1", 7, 110, 1, 115)
    hear(history, "1.1", fence, 120, value, 121)
    history.finish()
    guilty(history, values=1)


def test_what_is_said_later_is_not_heard(history):
    history.hold("0.1", 7, 100, 180)
    hear(history, "1.1", 7, 101, 1, 109)
    say(history, "0.1", 7, 110, 1, 115)
    history.finish()
    guilty(history, values=1)


def test_what_was_refused_is_not_heard(history):
    history.hold("0.1", 7, 100, 180)
    say(history, "0.1", 7, 110, 1, 115, ERR_LOST)
    hear(history, "1.1", 7, 120, 1, 121)
    history.finish()
    guilty(history, values=1)


def test_a_predecessor_is_not_heard_as_the_leader(history):
    history.hold("0.1", 7, 100, 120)
    say(history, "0.1", 7, 110, 1, 115)
    history.hold("1.1", 8, 130, 140)
    hear(history, "1.1", 7, 135, 1, 136)
    history.finish()
    guilty(history, values=1)
