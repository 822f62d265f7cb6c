# SPDX-License-Identifier: MIT
"""Latches and barriers: for threads, tasks and processes."""
import asyncio
import gc
import os
import signal
import threading

import pytest

import pawl
import pawl.aio
from conftest import ANSWERED, PATIENCE, until
from test_aio import run, until as soon


class Calls:
    """Calls on threads, and what became of each: its result, or its error."""

    def __init__(self, *calls):
        self.outcomes = [None] * len(calls)
        self._threads = [threading.Thread(target=self._run, args=(i, call)) for i, call in enumerate(calls)]
        for thread in self._threads:
            thread.start()

    def _run(self, i, call):
        try:
            self.outcomes[i] = call()
        except Exception as error:
            self.outcomes[i] = error

    def ended(self):
        for thread in self._threads:
            thread.join(3 * PATIENCE)
            assert not thread.is_alive()
        return self.outcomes


def are_there(client, name, count):
    return lambda: client.inspect(name).holder_count == count


def through(barrier):
    """The round that it passes in the end, although others give up or die."""
    while True:
        try:
            return barrier.wait(3 * PATIENCE)
        except pawl.Broken:
            pass


# ---- Threads ------------------------------------------------------------------------------------


def test_a_latch_opens_when_all_have_come(client, other):
    mine, theirs = client.latch("l", 3), other.latch("l", 3)
    waiting = Calls(*[mine.wait] * 10, theirs.wait)  # threads share it
    assert theirs.count_down() == 2 and mine.left() == 2
    with pytest.raises(pawl.Timeout) as late:
        theirs.wait(ANSWERED)
    assert isinstance(late.value, TimeoutError) and late.value.lock == "l"
    with pytest.raises(pawl.Busy) as busy:
        mine.wait(0)
    assert busy.value.code_name == "PAWL_ERR_BUSY"
    assert waiting.outcomes == [None] * 11
    assert mine.count_down(2, timeout=PATIENCE) == 0
    assert waiting.ended() == [None] * 11
    mine.wait()
    theirs.wait(0)
    assert mine.count_down() == 0 and repr(mine) == "<pawl.Latch 'l' of 3>"


def test_many_count_at_once_and_each_counts(client, other):
    latches = [client.latch("l", 24), other.latch("l", 24)]
    left = Calls(*[latches[i % 2].count_down for i in range(24)]).ended()
    assert sorted(left) == list(range(24))
    latches[0].wait(PATIENCE)


def test_another_count_is_refused(client, other):
    client.latch("l", 3).count_down()
    for call in (other.latch("l", 4).count_down, other.latch("l", 4).wait, other.latch("l", 4).left):
        with pytest.raises(pawl.Usage) as wrong:
            call()
        assert wrong.value.code_name == "PAWL_ERR_COUNT"
    with client.election("e", value="x"):
        with pytest.raises(pawl.Usage) as wrong:
            other.latch("e", 1).wait()
        assert wrong.value.code_name == "PAWL_ERR_KIND"
    with client.semaphore("b", 3), pytest.raises(pawl.Usage) as wrong:
        other.barrier("b", 2).wait(PATIENCE)
    assert wrong.value.code_name == "PAWL_ERR_COUNT"
    assert client.latch("l", 3).left() == 2  # nobody was disturbed


def test_wrong_arguments(client):
    for call in (lambda: client.latch("x", 0).wait(), lambda: client.latch("x", 1000001).wait(),
                 lambda: client.latch("x", 2).count_down(3), lambda: client.latch("x", 2).count_down(0),
                 lambda: client.barrier("x", 0).wait(), lambda: client.barrier("x", 1001).wait()):
        with pytest.raises(pawl.Usage) as wrong:
            call()
        assert wrong.value.code_name == "PAWL_ERR_PARTIES"
    with pytest.raises(pawl.Usage) as wrong:
        client.latch("x", 1, keep=-1).wait()
    assert wrong.value.code_name == "PAWL_ERR_ARGUMENT"
    with pytest.raises(pawl.Usage):
        client.latch("", 1).wait()
    with pytest.raises(pawl.Usage):
        client.barrier("x" * 508, 1).wait()
    with pytest.raises(pawl.Usage):
        client.barrier("x", 1, ttl=0.001).wait()
    with pytest.raises(TypeError):
        client.latch("x", 1.5).wait()
    with pytest.raises(ValueError):
        client.barrier("x", 1).wait(-2)
    assert issubclass(pawl.Broken, pawl.Lost) and issubclass(pawl.Broken, threading.BrokenBarrierError)


def test_a_barrier_lets_all_through_round_after_round(client, other):
    mine, theirs = client.barrier("b", 3), other.barrier("b", 3)
    for number in (1, 2):
        waiting = Calls(mine.wait, mine.wait)
        until(are_there(other, "b", 2))
        assert waiting.outcomes == [None, None]
        assert theirs.wait(PATIENCE) == number and waiting.ended() == [number, number]
        until(are_there(other, "b", 0))
    assert client.barrier("alone", 1).wait() == 1
    assert mine.parties == 3 and repr(theirs) == "<pawl.Barrier 'b' of 3>"


def test_who_loses_its_lease_is_told_and_stops_nobody(url, client, other):
    with pytest.raises(pawl.Timeout):
        client.barrier("early", 2).wait(ANSWERED)
    with pytest.raises(pawl.Busy):
        client.barrier("early", 2).wait(0)
    leaving = pawl.Client(url)
    first = Calls(leaving.barrier("b", 3).wait)
    until(are_there(other, "b", 1))
    second = Calls(lambda: through(client.barrier("b", 3)))
    until(are_there(other, "b", 2))
    fence = other.inspect("b").holders[0].fence
    other.break_lock("b", fence)  # the first one loses its lease, and the second one may miss it
    lost, = first.ended()
    assert type(lost) is pawl.Lost
    until(are_there(other, "b", 1))  # its permit has gone
    third = Calls(lambda: through(other.barrier("b", 3)), lambda: through(other.barrier("b", 3)))
    assert second.ended() + third.ended() == [1, 1, 1]
    leaving.close()


def test_a_close_ends_who_waits_inside(url, other):
    client = pawl.Client(url)
    calls = [client.latch("l", 1).wait] * 5 + [client.barrier("b", 9).wait] * 5
    waiting = Calls(*calls)
    until(are_there(other, "b", 5))
    client.close()
    assert [type(one) for one in waiting.ended()] == [pawl.Closed] * 10
    until(are_there(other, "b", 0))
    for call in (client.latch("l", 1).count_down, client.latch("l", 1).left, client.barrier("b", 9).wait):
        with pytest.raises(pawl.Closed):
            call()


# ---- Processes ----------------------------------------------------------------------------------

WAITER = """
import pawl, sys
client = pawl.Client(sys.argv[1])
try:
    print("waits", flush=True)
    if sys.argv[2] == "latch":
        client.latch("l", 2).wait()
    else:
        client.barrier("b", 3, ttl=float(sys.argv[3])).wait()
except KeyboardInterrupt:
    print("interrupted", flush=True)
    sys.stdin.readline()
"""


def test_ctrl_c_ends_a_wait_for_a_latch(url, client, program):
    waiter = program(WAITER, url, "latch", "30")
    assert waiter.line() == "waits"
    until(waiter.sleeps)
    waiter.signal(signal.SIGINT)
    assert waiter.line() == "interrupted"
    waiter.go_on()
    assert waiter.end() == (0, "", "")
    assert client.latch("l", 2).count_down() == 1


def test_ctrl_c_breaks_a_barrier_for_the_others(url, client, program):
    waiter = program(WAITER, url, "barrier", "30")
    until(are_there(client, "b", 1))
    waiting = Calls(lambda: client.barrier("b", 3).wait(3 * PATIENCE))
    until(are_there(client, "b", 2))
    waiter.signal(signal.SIGINT)
    assert waiter.line() == "waits" and waiter.line() == "interrupted"
    broken, = waiting.ended()
    assert isinstance(broken, pawl.Broken) and broken.code_name == "PAWL_ERR_BROKEN"
    waiter.go_on()
    assert waiter.end() == (0, "", "")
    until(are_there(client, "b", 0))


def test_one_that_is_killed_does_not_stop_the_others(url, client, other, program):
    killed = program(WAITER, url, "barrier", "1")
    until(are_there(client, "b", 1))
    waiting = Calls(lambda: through(client.barrier("b", 3)))
    until(are_there(client, "b", 2))
    killed.signal(signal.SIGKILL)
    until(are_there(client, "b", 1))  # it is counted as long as its lease lasts
    rest = Calls(lambda: through(other.barrier("b", 3)), lambda: through(other.barrier("b", 3)))
    assert waiting.ended() + rest.ended() == [1, 1, 1]


FORK = """
import os, pawl, sys, threading
client = pawl.Client(sys.argv[1])
latch, barrier, rounds = client.latch("l", 1), client.barrier("b", 2), []
waits = [threading.Thread(target=latch.wait), threading.Thread(target=lambda: rounds.append(barrier.wait()))]
for thread in waits:
    thread.start()
while client.inspect("b").holder_count < 1:
    pass
child = os.fork()
if not child:
    assert latch.count_down() == 0      # a client of its own, opened by itself
    assert barrier.wait() == 1          # it is one more
    os._exit(7)
for thread in waits:
    thread.join()
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7 and rounds == [1]
print("together", flush=True)
"""


def test_a_child_of_fork_is_one_of_its_own(url, program):
    forker = program(FORK, url, options=["-W", "ignore::DeprecationWarning"])
    assert forker.line() == "together"
    assert forker.end() == (0, "", "")


END = """
import pawl, sys, threading
client = pawl.Client(sys.argv[1])
for call in (client.latch("l", 1).wait, client.barrier("b", 2).wait, client.election("e").campaign,
             lambda: client.once("o", 60).run(print)):
    threading.Thread(target=call, daemon=True).start()
print("ready", flush=True)
sys.stdin.readline()
"""


def test_an_interpreter_ends_while_threads_wait_inside(url, client, program):
    with client.lock("o"), client.lock("e"):
        ending = program(END, url)
        assert ending.line() == "ready"
        until(lambda: client.inspect("o").waiters and client.inspect("e").waiters)
        until(are_there(client, "b", 1))
        ending.go_on()
        assert ending.end() == (0, "", "")
        until(are_there(client, "b", 0))


# ---- Tasks --------------------------------------------------------------------------------------


@run
async def test_tasks_wait_for_a_latch(url):
    async with pawl.aio.Client(url) as client, pawl.aio.Client(url) as other:
        latch = client.latch("l", 2)
        waiting = [asyncio.create_task(latch.wait()) for _ in range(3)]
        assert await other.latch("l", 2).count_down() == 1 and await latch.left() == 1
        with pytest.raises(pawl.Timeout):
            await latch.wait(ANSWERED)
        with pytest.raises(pawl.Busy):
            await latch.wait(0)
        with pytest.raises(pawl.Usage) as wrong:
            await other.latch("l", 3).count_down()
        assert wrong.value.code_name == "PAWL_ERR_COUNT"
        with pytest.raises(pawl.Usage):
            await latch.count_down(3)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(latch.wait(), 0.05)
        waiting[0].cancel()
        await asyncio.wait({waiting[0]})
        assert waiting[0].cancelled() and not waiting[1].done()
        assert await latch.count_down() == 0
        assert await asyncio.gather(*waiting[1:]) == [None, None]
        await soon(lambda: not client._all)


@run
async def test_a_thousand_tasks_wait_for_a_latch(url):
    async with pawl.aio.Client(url) as client, pawl.aio.Client(url) as other:
        latch = client.latch("l", 1)
        with pytest.raises(pawl.Timeout):
            await latch.wait(ANSWERED)  # the store has what it needs for a wait
        await client.inspect("l")
        before = len(os.listdir("/proc/self/task"))
        waiting = [asyncio.create_task(latch.wait()) for _ in range(1000)]
        await soon(lambda: len(client._all) == 1000)
        assert len(os.listdir("/proc/self/task")) == before
        await other.latch("l", 1).count_down()
        await asyncio.gather(*waiting)
        assert not client._all


@run
async def test_tasks_pass_a_barrier_and_a_cancel_breaks_it(url):
    async with pawl.aio.Client(url) as client, pawl.aio.Client(url) as other:
        async def are_in(count):
            return (await other.inspect("b")).holder_count == count

        barrier = client.barrier("b", 3)
        for number in (1, 2):
            waiting = [asyncio.create_task(barrier.wait()) for _ in range(2)]
            await soon(lambda: are_in(2))
            assert not waiting[0].done() and not waiting[1].done()
            assert await other.barrier("b", 3).wait() == number
            assert await asyncio.gather(*waiting) == [number, number]
            await soon(lambda: are_in(0))
        leaving = asyncio.create_task(other.barrier("b", 3).wait())
        await soon(lambda: are_in(1))
        staying = asyncio.create_task(barrier.wait(3 * PATIENCE))
        await soon(lambda: are_in(2))
        leaving.cancel()
        with pytest.raises(pawl.Broken):
            await staying
        assert leaving.cancelled()
        await soon(lambda: are_in(0))
        losing = asyncio.create_task(barrier.wait())
        await soon(lambda: are_in(1))
        await other.break_lock("b", (await other.inspect("b")).fence)
        with pytest.raises(pawl.Lost) as lost:
            await losing
        assert type(lost.value) is pawl.Lost
        with pytest.raises(pawl.Timeout):
            await barrier.wait(ANSWERED)
        await soon(lambda: not client._all and not other._all)


@run
async def test_a_close_ends_tasks_that_wait_inside(url):
    async with pawl.aio.Client(url) as other:
        client = pawl.aio.Client(url)
        calls = [client.latch("l", 1).wait] * 50 + [client.barrier("b", 9).wait] * 5
        waiting = [asyncio.create_task(call()) for call in calls]

        async def are_in(count):
            return (await other.inspect("b")).holder_count == count
        await soon(lambda: are_in(5))
        await client.close()
        ends = await asyncio.gather(*waiting, return_exceptions=True)
        assert {type(one) for one in ends} == {pawl.Closed} and len(ends) == 55 and not client._all
        with pytest.raises(pawl.Closed):
            await client.barrier("b", 9).wait()
        await soon(lambda: are_in(0))


def test_a_client_that_is_dropped_with_tasks_inside(url, other):
    """Nobody closes it, and the loop has gone: nothing is left at the store, and nothing crashes."""
    async def wait():
        client = pawl.aio.Client(url)
        tasks = [asyncio.ensure_future(client.latch("l", 1).wait()),
                 asyncio.ensure_future(client.barrier("b", 2).wait()),
                 asyncio.ensure_future(client.once("o", 60).run(asyncio.sleep, 0))]
        await soon(lambda: not other.inspect("b").holder_count == 0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(wait())
    gc.collect()
    until(are_there(other, "b", 0))
