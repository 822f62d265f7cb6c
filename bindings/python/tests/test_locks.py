# SPDX-License-Identifier: MIT
"""Locks of threads: what a caller is told."""
import copy
import datetime
import gc
import math
import pickle
import sys
import threading
import time
import warnings

import pytest

import pawl
from conftest import ANSWERED, PATIENCE, RENEWED_SOON, until
from pawl._core import milliseconds


def waiters(client, name):
    return client.inspect(name).waiters


def test_a_block_holds_the_lock(client, other):
    with client.lock("x", ttl=30, timeout=5) as held:
        assert held.held and held.owned() and held.locked()
        assert 0 < held.check() <= 30
        assert 0 < held.deadline - time.monotonic() <= 30
        assert held.remaining > 0 and held.fence > 0 and len(held.token) == 40
        assert repr(held) == "<pawl.Lock 'x' held>"
        info = other.inspect("x")
        assert info.held and not info.foreign and info.fence == held.fence
        first = held.fence
    assert not held.held and held.remaining == 0
    until(lambda: not held.locked())  # the release is on its way
    assert held.deadline == -math.inf and held.token == ""
    with other.lock("x") as held:
        assert held.fence > first


def test_seconds_become_milliseconds():
    """20.998 * 1000 is more than 20998: a lease that was made longer came out a millisecond too long."""
    assert [n for n in range(-50000, 50000) if milliseconds(n / 1000) != n] == []
    assert [n for n in range(20000) if milliseconds(n / 1000 + 10.5) != n + 10500] == []
    assert [milliseconds(s) for s in (0, 1e-9, 0.0101, -1e-9, -0.0101)] == [0, 1, 11, -1, -11]


def test_busy_and_timeout(client, other):
    with other.lock("x"):
        with pytest.raises(pawl.Busy) as busy:
            with client.lock("x", blocking=False):
                pass
        assert type(busy.value) is pawl.Busy and busy.value.code_name == "PAWL_ERR_BUSY"
        assert str(busy.value) == "pawl: lock 'x': somebody else holds the lock"
        with pytest.raises(pawl.Timeout) as timeout:
            with client.lock("x", timeout=datetime.timedelta(seconds=ANSWERED)):
                pass
        assert isinstance(timeout.value, pawl.Busy) and isinstance(timeout.value, TimeoutError)
        assert timeout.value.code == -2 and timeout.value.lock == "x"
    assert waiters(client, "x") == 0


def test_the_errors_are_one_tree():
    kinds = [getattr(pawl, name) for name in pawl.__all__]
    errors = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Exception)]
    assert len(errors) == 15 and all(issubclass(kind, pawl.Error) for kind in errors)
    error = pickle.loads(pickle.dumps(pawl.Lost("why", -3, "x")))  # Celery does that
    assert (type(error), str(error), error.code, error.lock) == (pawl.Lost, "why", -3, "x")


def test_the_habits_of_threading_and_redis_py(client, other):
    lock, foe = client.lock("x", timeout=ANSWERED), other.lock("x")
    assert lock.acquire() is True
    assert foe.acquire(False) is False
    assert foe.acquire(blocking=False) is False
    assert foe.acquire(timeout=ANSWERED) is False
    assert foe.acquire(True, ANSWERED) is False
    assert foe.acquire(blocking=True, blocking_timeout=ANSWERED) is False
    assert lock.locked() and foe.locked() and lock.owned() and not foe.owned()
    assert lock.extend(10) and lock.extend(10, replace_ttl=True) and lock.reacquire()
    lock.release()
    assert foe.acquire(timeout=-1) is True
    assert lock.acquire() is False  # waits for as long as it was made for
    foe.release()
    with pytest.raises(pawl.NotHeld):
        foe.release()
    with pytest.raises(pawl.NotHeld):
        lock.check()


def test_wrong_arguments(client):
    for wrong in ("", "n" * 513, "a\0b"):
        with pytest.raises(pawl.Usage):
            client.lock(wrong).acquire()
    for ttl in (0, -1, 0.001, 86401, math.inf):
        with pytest.raises(pawl.Usage, match="10 ms"):
            client.lock("x", ttl=ttl).acquire()
    with pytest.raises(ValueError):
        client.lock("x", timeout=-2)
    with pytest.raises(ValueError):
        client.lock("x", ttl=math.nan)
    for wrong in (5, None, ["x"]):
        with pytest.raises(TypeError, match="is str or bytes, not"):
            client.lock(wrong)
    with pytest.raises(TypeError, match="number of seconds"):
        client.lock("x", ttl="30")
    with pytest.raises(TypeError, match="number of seconds"):
        client.lock("x").acquire(timeout="30")
    with pytest.raises(pawl.Usage):
        client.lock("x", owner="a\0b")
    with pytest.raises(pawl.Usage, match="scheme"):
        pawl.Client("nowhere://")
    with pytest.raises(pawl.Usage):
        pawl.Client("memory:\0")
    for fence, error in (-5, OverflowError), (2 ** 64, OverflowError), ("5", TypeError):
        with pytest.raises(error):
            client.break_lock("x", fence)
    assert client.lock("x", timeout=0.0000001)._spec.default_wait == 1  # a wait is a wait
    for forever in (None, -1, math.inf, 1e18):
        assert client.lock("x", timeout=forever)._spec.default_wait == -1
    for negative in (-0.001, -2, -math.inf, datetime.timedelta(seconds=-1)):
        with pytest.raises(ValueError, match="not negative"):
            client.lock("x", timeout=negative)


def test_what_cannot_be_copied_goes_without_a_word(client, monkeypatch):
    said = []
    monkeypatch.setattr(sys, "unraisablehook", said.append)
    with pytest.raises(TypeError):
        copy.deepcopy(client.lock("x"))
    gc.collect()
    assert not said, said


def test_any_name_and_label(client, other):
    for name in ("späße", "a b\n", b"\xff\xfe", "n" * 512):
        with client.lock(name, owner="wer: ich") as held:
            info = other.inspect(name)
            assert info.held and info.name == held.name and info.owner == "wer: ich"
        assert len(other.list()) <= 1


def test_a_loss_is_told(client, other):
    with pytest.raises(pawl.Lost) as lost:
        with client.lock("x", ttl=RENEWED_SOON) as held:
            other.break_lock("x", held.fence)
            until(lambda: not held.held)
            with pytest.raises(pawl.Lost):
                held.check()
            assert repr(held) == "<pawl.Lock 'x' lost>"
            raise RuntimeError("what the block made of it")
    assert type(lost.value) is pawl.Lost and isinstance(lost.value.__cause__, RuntimeError)
    with held:  # it can be had again
        held.check()


def test_a_loss_does_not_hide_ctrl_c(client, other):
    with pytest.raises(KeyboardInterrupt):
        with client.lock("x", ttl=RENEWED_SOON) as held:
            other.break_lock("x", held.fence)
            until(lambda: not held.held)
            raise KeyboardInterrupt


def test_events(client, other):
    events = []
    lock = client.lock("x", ttl=RENEWED_SOON, on_event=events.append)
    lock.acquire()
    wanted = other.lock("x", timeout=PATIENCE)
    waiter = threading.Thread(target=wanted.acquire)
    waiter.start()
    until(lambda: [e for e in events if e.kind is pawl.EventKind.WANTED])
    other.break_lock("x", lock.fence)
    lost = until(lambda: [e for e in events if e.kind is pawl.EventKind.LOST])
    assert len(lost) == 1 and type(lost[0].error) is pawl.Lost and lost[0].remaining == 0
    with pytest.raises(pawl.Lost):
        lock.release()
    waiter.join()
    wanted.release()


def test_a_callback_that_fails_harms_nobody(client, other, caplog):
    def fail(event):
        raise RuntimeError("in a callback")

    told = []
    for callback in (fail, told.append):
        lock = client.lock("x", ttl=RENEWED_SOON, on_event=callback)
        lock.acquire()
        other.break_lock("x", lock.fence)
        until(lambda: not lock.held)
        if callback is fail:
            until(lambda: "in a callback" in caplog.text)
        else:
            until(lambda: told)
        with pytest.raises(pawl.Lost):
            lock.release()


def test_threads_exclude_each_other(client, other):
    inside, most, shared = [], [], client.lock("x")

    def work(lock):
        for _ in range(5):
            with lock:
                inside.append(1)
                most.append(len(inside))
                inside.pop()

    locks = [shared] * 4 + [client.lock("x") for _ in range(4)] + [other.lock("x") for _ in range(4)]
    threads = [threading.Thread(target=work, args=[lock]) for lock in locks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 60


def test_two_hundred_threads_wait(client, other):
    served = []

    def wait():
        with client.lock("x"):
            served.append(1)

    with other.lock("x"):
        threads = [threading.Thread(target=wait) for _ in range(200)]
        for thread in threads:
            thread.start()
        until(lambda: waiters(other, "x") == 1)  # threads of one client share a place at the store
        assert not served
    for thread in threads:
        thread.join()
    assert len(served) == 200


def test_another_thread_may_release(client, other):
    lock = client.lock("x")
    lock.acquire()
    thread = threading.Thread(target=lock.release)
    thread.start()
    thread.join()
    with other.lock("x", timeout=PATIENCE):
        pass


def test_a_close_ends_every_wait(url, other):
    client = pawl.Client(url)
    shared = client.lock("mine")
    shared.acquire()
    results = []

    def wait(lock):
        try:
            lock.acquire()
        except pawl.Error as error:
            results.append(type(error))

    with other.lock("x"):
        threads = [threading.Thread(target=wait, args=[lock])
                   for lock in [client.lock("x"), client.lock("x"), shared, shared]]
        for thread in threads:
            thread.start()
        until(lambda: waiters(other, "x") == 1 and len(shared._turn._waiting) == 2)
        client.close()
        client.close()
        for thread in threads:
            thread.join()
    assert results == [pawl.Closed] * 4
    assert client.closed and repr(client).endswith("closed>")
    with other.lock("mine", timeout=PATIENCE):  # it was released
        pass
    for call in (client.lock("x").acquire, client.list, shared.release):
        with pytest.raises(pawl.Closed):
            call()
    with pytest.raises(pawl.Lost):
        shared.check()


def test_a_wait_for_its_own_thread_ends(client):
    lock = client.lock("x")
    with lock:
        assert lock.acquire(False) is False
        assert lock.acquire(timeout=ANSWERED) is False


def test_release_with_the_stores_word(client, other):
    lock = client.lock("x")
    for _ in range(20):
        lock.acquire()
        lock.release(wait=PATIENCE)
        assert not other.inspect("x").held
    with pytest.raises(pawl.NotHeld):
        lock.release(wait=PATIENCE)


def test_retained_and_detached(client, other):
    with client.lock("kept", retain=PATIENCE):
        pass
    assert other.inspect("kept").held
    lock = client.lock("passed on", detached=True, ttl=10)
    lock.acquire()
    token = lock.detach()
    assert not lock.held
    assert 0 < other.check_token("passed on", token) <= 10
    assert other.renew_token("passed on", token, 20) == lock.fence
    other.release_token("passed on", token)
    with pytest.raises(pawl.Lost):
        other.check_token("passed on", token)
    for wrong in ("?", "a\0b"):
        with pytest.raises(pawl.Usage):
            other.release_token("passed on", wrong)


def test_questions(client, other):
    wanted = other.lock("b", owner="the other")
    with client.lock("a/1"), client.lock("a/2"), client.lock("b"):
        thread = threading.Thread(target=wanted.acquire)
        thread.start()
        info = until(lambda: client.inspect("b") if client.inspect("b").waiters else None)
        assert info.queue[0].owner == "the other" and info.queue[0].waited >= 0
        assert sorted(info.name for info in other.list("a/")) == ["a/1", "a/2"]
        with pytest.raises(pawl.NotHeld):
            client.break_lock("b", info.fence - 1)
        assert client.inspect("b").broken is None
    thread.join()
    wanted.release()
    assert client.inspect("nobody").held is False
    assert all(finding.topic and finding.text for finding in client.doctor())
    assert client.url.split(":")[0] in ("sqlite", "redis+unix") and client.owner


def test_a_lock_that_is_dropped_is_released(client, other):
    lock = client.lock("x")
    lock.acquire()
    with pytest.warns(ResourceWarning, match="dropped before it was released"):
        del lock
        gc.collect()
    with other.lock("x", timeout=PATIENCE):
        pass


def test_a_client_that_is_dropped_is_closed(url, other):
    client = pawl.Client(url)
    lock = client.lock("x")
    lock.acquire()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        del lock, client
        gc.collect()
    with other.lock("x", timeout=PATIENCE):
        pass


def test_a_store_that_is_away(redis_server):
    client = pawl.Client(redis_server.url, store_timeout=0.2)
    lock = client.lock("x", ttl=0.4)
    lock.acquire()
    redis_server.process.kill()
    redis_server.process.wait()
    until(lambda: not lock.held)  # by the clock alone
    with pytest.raises(pawl.Lost):
        lock.release()
    for wait in ({"blocking": False}, {"timeout": 0.1}, {}):
        with pytest.raises(pawl.Unavailable) as away:
            lock.acquire(**wait)
        assert redis_server.socket in str(away.value) and "\n" not in str(away.value)
    client.close()


def test_the_log(redis_server):
    lines = []
    client = pawl.Client(redis_server.url, log=lambda level, line: lines.append((level, line)))
    with client.lock("x"):
        redis_server.process.kill()
        redis_server.process.wait()
        until(lambda: lines)
    assert lines[0][0] >= 10 and isinstance(lines[0][1], str)
    client.close()


@pytest.mark.parametrize("min_hold", [0, PATIENCE])
def test_once(client, other, min_hold):
    ran = []

    @pawl.once(client, "report", min_hold=min_hold, held_as="held", busy="elsewhere")
    def report(day, held):
        ran.append((day, held.fence))
        return "done"

    elsewhere = other.lock("report")
    elsewhere.acquire()
    assert report("monday") == "elsewhere"
    elsewhere.release(wait=PATIENCE)
    assert report("tuesday") == "done"
    assert [day for day, _ in ran] == ["tuesday"] and ran[0][1] > 0
    assert report.__name__ == "report"
    if min_hold:
        assert report("wednesday") == "elsewhere"
    else:
        until(lambda: report("wednesday") == "done")


def test_once_by_the_arguments(client, other):
    @pawl.once(lambda: client, lambda user: f"mail-{user}")
    def mail(user):
        return user

    with other.lock("mail-1"):
        assert mail(1) is None and mail(2) == 2

    @pawl.once(client, "broken", ttl=0.5, held_as="held")
    def broken(held):
        other.break_lock("broken", held.fence)
        until(lambda: not held.held)

    with pytest.raises(pawl.Lost):
        broken()
    told = client.inspect("broken").broken
    assert told.by == other.owner and told.ago >= 0 and told.fence > 0
    with pytest.raises(TypeError):
        @pawl.once(client, "x")
        async def wrong():
            pass
