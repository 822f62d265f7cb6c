# SPDX-License-Identifier: MIT
"""pawl.aio: locks of tasks."""
import asyncio
import functools
import gc
import math
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import pawl
import pawl.aio
from conftest import ANSWERED, PATIENCE, RENEWED_SOON


def run(test):
    """The test is a coroutine function."""
    @functools.wraps(test)
    def wrapper(**fixtures):
        asyncio.run(asyncio.wait_for(test(**fixtures), 3 * PATIENCE), debug=True)
    return wrapper


async def until(what):
    end = time.monotonic() + PATIENCE
    while True:
        value = what()
        value = await value if asyncio.iscoroutine(value) else value
        if value:
            return value
        assert time.monotonic() < end, "it did not come"
        await asyncio.sleep(0.005)


async def waiters(client, name):
    return (await client.inspect(name)).waiters


@run
async def test_a_block_holds_the_lock(url):
    async with pawl.aio.Client(url) as client, pawl.aio.Client(url) as other:
        async with client.lock("x", ttl=30, timeout=5) as held:
            assert held.held and held.owned() and await held.locked()
            assert 0 < held.check() <= 30 and held.remaining > 0
            assert 0 < held.deadline - time.monotonic() <= 30
            assert held.fence > 0 and len(held.token) == 40
            assert repr(held) == "<pawl.aio.Lock 'x' held>"
            with pytest.raises(pawl.Busy):
                async with other.lock("x", blocking=False):
                    pass
            with pytest.raises(pawl.Timeout):
                async with other.lock("x", timeout=ANSWERED):
                    pass
        assert not held.held and held.deadline == -math.inf and held.token == ""
        with pytest.raises(pawl.NotHeld):
            held.check()
        with pytest.raises(pawl.NotHeld):
            await held.release()


@run
async def test_the_habits_of_asyncio_and_redis_py(url):
    async with pawl.aio.Client(url) as client, pawl.aio.Client(url) as other:
        lock, foe = client.lock("x"), other.lock("x", timeout=0.05)
        assert await lock.acquire() is True
        assert await foe.acquire() is False
        assert await foe.acquire(blocking=False) is False
        assert await foe.acquire(blocking_timeout=ANSWERED) is False
        assert await lock.acquire(False) is False  # no lock is acquired twice
        assert await lock.acquire(timeout=ANSWERED) is False
        await lock.release(wait=PATIENCE)
        assert not (await other.inspect("x")).held
        assert await foe.acquire(timeout=-1) is True
        await foe.release()
        with pytest.raises(pawl.Usage):
            await client.lock("").acquire()


@run
async def test_a_thousand_tasks_wait(url):
    """No further thread, and each gets its turn in its order."""
    async with pawl.aio.Client(url) as client, pawl.aio.Client(url) as other:
        served, inside = [], []

        async def work(number):
            async with client.lock("x") as held:
                inside.append(number)
                assert inside == [number] and held.held
                served.append(number)
                inside.pop()

        holder = other.lock("x")
        await holder.acquire()
        await client.inspect("x")  # the loop's executor has its thread now,
        await client.lock("x").acquire(timeout=0.05)  # and the store what it needs for a wait
        before = len(os.listdir("/proc/self/task")), len(os.listdir("/proc/self/fd"))
        tasks = [asyncio.create_task(work(i)) for i in range(1000)]
        await until(lambda: len(client._all) == 1000)
        after = len(os.listdir("/proc/self/task")), len(os.listdir("/proc/self/fd"))
        assert after[0] == before[0] and after[1] <= before[1] + 5  # the store's, not the tasks'
        assert not served
        await holder.release()
        await asyncio.gather(*tasks)
        assert served == list(range(1000)) and not client._all


@run
async def test_a_cancelled_task_leaves_the_queue(url):
    async with pawl.aio.Client(url) as client, pawl.aio.Client(url) as other:
        async with client.lock("x"):
            tasks = [asyncio.create_task(other.lock("x").acquire()) for _ in range(100)]
            await until(lambda: waiters(client, "x"))
            for task in tasks:
                task.cancel()
            assert all(isinstance(r, asyncio.CancelledError)
                       for r in await asyncio.gather(*tasks, return_exceptions=True))
            await until(lambda: not other._all)

            async def nobody_waits():
                return await waiters(client, "x") == 0

            await until(nobody_waits)  # the store is told behind the cancel
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(other.lock("x").acquire(), 0.05)
        async with other.lock("x", timeout=PATIENCE):
            pass


@run
async def test_who_is_cancelled_at_the_grant_holds_nothing(url):
    """The grant and the cancel cross in any order; the lock is free afterwards."""
    async with pawl.aio.Client(url) as client, pawl.aio.Client(url) as other:
        for turns in range(30):
            holder, foe = client.lock("x"), other.lock("x")
            await holder.acquire()
            task = asyncio.create_task(foe.acquire())
            await until(lambda: waiters(client, "x"))
            await holder.release()
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            got = (await asyncio.gather(task, return_exceptions=True))[0]
            if got is True:
                await foe.release()
            async with client.lock("x", timeout=PATIENCE):
                pass


@run
async def test_a_loss_cancels_the_task(url):
    async with pawl.aio.Client(url) as client, pawl.aio.Client(url) as other:
        events, cancelled = [], []
        with pytest.raises(pawl.Lost) as lost:
            async with client.lock("x", ttl=RENEWED_SOON, on_event=events.append) as held:
                try:
                    await other.break_lock("x", held.fence)
                    await asyncio.sleep(3600)
                except asyncio.CancelledError:
                    cancelled.append(True)
                    raise
        assert cancelled and type(lost.value) is pawl.Lost
        assert [e.kind for e in events if e.kind is not pawl.EventKind.DOUBT] == [pawl.EventKind.LOST]
        await asyncio.sleep(0)  # nothing of the cancellation is left
        async with held:
            held.check()

        with pytest.raises(pawl.Lost) as lost:  # a task that turns it into something else
            async with client.lock("x", ttl=RENEWED_SOON) as held:
                try:
                    await other.break_lock("x", held.fence)
                    await asyncio.sleep(3600)
                except asyncio.CancelledError:
                    raise RuntimeError from None
        assert isinstance(lost.value.__cause__, RuntimeError)
        await asyncio.sleep(0)


@run
async def test_a_task_that_others_cancel_stays_cancelled(url):
    async with pawl.aio.Client(url) as client, pawl.aio.Client(url) as other:
        inside = asyncio.Event()

        async def work():
            async with client.lock("x", ttl=RENEWED_SOON):
                inside.set()
                await asyncio.sleep(3600)

        task = asyncio.create_task(work())
        await inside.wait()
        task.cancel()
        assert isinstance((await asyncio.gather(task, return_exceptions=True))[0],
                          asyncio.CancelledError)
        async with other.lock("x", timeout=PATIENCE):
            pass


@run
async def test_tasks_share_a_lock(url):
    async with pawl.aio.Client(url) as client:
        shared, inside, most = client.lock("x"), [], []

        async def work():
            async with shared:
                inside.append(1)
                await asyncio.sleep(0)
                most.append(len(inside))
                inside.pop()

        tasks = [asyncio.create_task(work()) for _ in range(20)]
        await asyncio.sleep(0)
        tasks[5].cancel()
        tasks[19].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert most == [1] * 18


@run
async def test_a_close_ends_every_wait(url):
    async with pawl.aio.Client(url) as other:
        client = pawl.aio.Client(url)
        shared, inside = client.lock("mine"), asyncio.Event()

        async def hold():
            async with shared:
                inside.set()
                await asyncio.sleep(3600)

        holder = asyncio.create_task(hold())
        await inside.wait()
        async with other.lock("x"):
            tasks = [asyncio.create_task(lock.acquire())
                     for lock in (client.lock("x"), client.lock("x"), shared, shared)]
            await until(lambda: waiters(other, "x"))
            await client.close()
            await client.close()
            results = await asyncio.gather(holder, *tasks, return_exceptions=True)
        assert [type(r) for r in results] == [pawl.Lost] + [pawl.Closed] * 4
        assert not client._all
        async with other.lock("mine", timeout=PATIENCE):
            pass
        with pytest.raises(pawl.Closed):
            await client.lock("x").acquire()
        with pytest.raises(pawl.Closed):
            await client.list()


@run
async def test_a_close_that_is_slow_grants_nothing_more(url):
    """Its thread has yet to begin, and the holder has given its turn away."""
    loop, begins = asyncio.get_running_loop(), threading.Event()
    loop.set_default_executor(ThreadPoolExecutor(1))
    client = pawl.aio.Client(url)
    shared, inside = client.lock("mine"), asyncio.Event()

    async def hold():
        async with shared:
            inside.set()
            await asyncio.sleep(3600)

    holder = asyncio.create_task(hold())
    await inside.wait()
    waiting = asyncio.create_task(shared.acquire())
    await asyncio.sleep(0)
    loop.run_in_executor(None, begins.wait, PATIENCE)
    closing = asyncio.create_task(client.close())
    with pytest.raises(pawl.Closed):
        await waiting
    with pytest.raises(pawl.Lost):
        await holder
    begins.set()
    await closing


@run
async def test_tokens_and_questions(url):
    async with pawl.aio.Client(url) as client, pawl.aio.Client(url) as other:
        lock = client.lock("a/1", detached=True, ttl=10)
        await lock.acquire()
        assert [info.name for info in await other.list("a/")] == ["a/1"]
        token = lock.detach()
        assert 0 < await other.check_token("a/1", token) <= 10
        assert await other.renew_token("a/1", token, 20) == lock.fence
        await other.release_token("a/1", token)
        assert await client.doctor()
        assert client.owner and client.url


@run
async def test_a_store_that_is_away(redis_server):
    lines = []
    client = pawl.aio.Client(redis_server.url, store_timeout=0.2,
                             log=lambda level, line: lines.append(line))
    with pytest.raises(pawl.Lost):
        async with client.lock("x", ttl=0.4):
            redis_server.process.kill()
            redis_server.process.wait()
            await asyncio.sleep(3600)
    assert lines
    with pytest.raises(pawl.Unavailable):
        await client.lock("x").acquire(timeout=0.1)
    held = client.lock("y")
    with pytest.raises(pawl.Unavailable):
        await held.acquire(False)
    await client.close()


def test_one_client_for_each_loop(url):
    client = pawl.aio.Client(url)

    async def use():
        async with client.lock("x"):
            pass

    asyncio.run(use())
    with pytest.raises(RuntimeError, match="another loop"):
        asyncio.run(use())


def test_a_child_of_fork_opens_its_own(url, program):
    forker = program("""
import asyncio, os, pawl, pawl.aio, sys
client = pawl.aio.Client(sys.argv[1])
lock = client.lock("x")

async def child():
    assert not lock.held
    for call in (lock.check, lock.detach):
        try:
            call()
            print("believed")
        except pawl.Forked:
            pass
    assert await lock.acquire(False) is False
    async with client.lock("y"):
        pass
    await client.close()

loop = asyncio.new_event_loop()
loop.set_debug(False)
loop.run_until_complete(lock.acquire())
forked = os.fork()
if not forked:
    asyncio.run(child(), debug=False)  # or it complains of a slow machine
    os._exit(0)  # the parent's loop is not for it to close
assert os.waitstatus_to_exitcode(os.waitpid(forked, 0)[1]) == 0
lock.check()
loop.run_until_complete(lock.release())
loop.run_until_complete(client.close())
loop.close()
print("parent", flush=True)
""", url, options=["-W", "ignore"])
    assert forker.line() == "parent"
    assert forker.end() == (0, "", "")


@run
async def test_once(url):
    async with pawl.aio.Client(url) as client, pawl.aio.Client(url) as other:
        @pawl.aio.once(client, lambda day: f"report-{day}", held_as="held", busy="elsewhere")
        async def report(day, held):
            held.check()
            return day

        async with other.lock("report-1"):
            assert await report(1) == "elsewhere"
        assert await report(2) == 2

        @pawl.aio.once(client, "broken", ttl=0.5, held_as="held")
        async def broken(held):
            await other.break_lock("broken", held.fence)
            await asyncio.sleep(3600)

        with pytest.raises(pawl.Lost):
            await broken()


def threads():
    """Without those that asyncio's executor keeps for the next call, one or two by chance."""
    return [thread.name for thread in threading.enumerate() if not thread.name.startswith("asyncio_")]


@run
async def test_nothing_is_left(url):
    async def one_round():
        async with pawl.aio.Client(url) as client:
            async with client.lock("x", timeout=PATIENCE):
                await client.lock("x").acquire(False)

    await one_round()
    gc.collect()
    before = len(os.listdir("/proc/self/fd")), threads()
    for _ in range(20):
        await one_round()
    gc.collect()
    assert (len(os.listdir("/proc/self/fd")), threads()) == before
