# SPDX-License-Identifier: MIT
"""Several names, jobs that run once, and elections: for threads and for tasks."""
import asyncio
import threading
from datetime import timedelta

import pytest

import pawl
import pawl.aio
from conftest import ANSWERED, PATIENCE, until

LONG = timedelta(days=366)  # a period that no test sees the end of


@pytest.fixture(params=["memory", "redis", "sqlite"])
def url(request, tmp_path):
    if request.param == "redis":
        server = request.getfixturevalue("shared_redis")
        server.cli("flushall")
        return server.url
    return f"memory:{tmp_path}" if request.param == "memory" else f"sqlite:{tmp_path}/locks.db"


def free(client, name):
    return lambda: not client.inspect(name).held


def waits(client, name):
    return lambda: client.inspect(name).waiters


def break_it(client, name):
    client.break_lock(name, client.inspect(name).fence)


def tasks(url, body):
    """Runs a coroutine function with a client for tasks."""
    async def main():
        async with pawl.aio.Client(url) as client:
            await asyncio.wait_for(body(client), PATIENCE)
    asyncio.run(main())


async def soon(what):
    """until(), while the loop goes on."""
    while not what():
        await asyncio.sleep(0.005)


# ---- Several names ------------------------------------------------------------------------------


def test_several_names_are_held_all_or_none(client, other):
    with other.lock("b"):
        assert not client.lock_all(["c", "b", "a"]).acquire(blocking=False)
        assert not client.lock_all(["c", "b", "a"]).acquire(timeout=ANSWERED)
        until(free(other, "a"))
    with client.lock_all(["c", "b", "a"], timeout=PATIENCE) as held:
        assert held.held and held.name == "c, b, a" and held.locked()
        assert held.fences == {name: other.inspect(name).fence for name in ("c", "b", "a")}
        assert held.fence == held.fences["c"]
    until(free(other, "a"))
    assert client.lock("x").fences == {}


def test_the_loss_of_one_name_is_the_loss_of_all(client, other):
    lost = threading.Event()
    lock = client.lock_all(["a", "b"], on_event=lambda event: event.error and lost.set())
    with pytest.raises(pawl.Lost):
        with lock:
            break_it(other, "b")
            assert lost.wait(PATIENCE) and not lock.held
    until(free(other, "a"))


def test_several_names_are_different_and_some(client):
    for names in ([], ["a", "a"], [str(i) for i in range(65)]):
        with pytest.raises(pawl.Usage) as wrong:
            client.lock_all(names).acquire()
        assert wrong.value.code_name == "PAWL_ERR_NAMES"
    with pytest.raises(pawl.Usage):
        client.lock_all(["a\0b"]).acquire()
    with pytest.raises(TypeError):
        client.lock_all("ab")


def test_several_names_for_tasks(url, other):
    async def body(client):
        async with client.lock_all(["b", "a"]) as held:
            assert sorted(held.fences) == ["a", "b"] and await held.locked()
            assert not other.lock("a").acquire(blocking=False)
        with pytest.raises(pawl.Lost):
            async with client.lock_all(["b", "a"]):
                break_it(other, "a")
                await asyncio.sleep(PATIENCE)
        with other.lock("b", timeout=PATIENCE):
            waiting = asyncio.ensure_future(client.lock_all(["a", "b"]).acquire())
            await soon(waits(other, "b"))
            waiting.cancel()
            await asyncio.wait({waiting})
        await soon(free(other, "a"))
    tasks(url, body)


# ---- Once ----------------------------------------------------------------------------------------


def test_a_job_runs_once_in_a_period(client, other):
    mine, theirs = client.once("job", LONG), other.once("job", LONG, blocking=False)
    assert mine.look().outcome is pawl.Outcome.NEVER and mine.look().began is None and mine.look().due
    with pytest.raises(KeyError):
        mine.run({}.__getitem__, "it fails")
    assert theirs.look().outcome is pawl.Outcome.FAILED and theirs.last().due

    def work(number):
        assert mine.held and mine.check() > 0 and mine.fence > 0 and number == 7
        with pytest.raises(pawl.Busy) as busy:
            theirs.run(print)
        assert not isinstance(busy.value, pawl.Done)

    assert mine.run(work, 7) and not mine.held
    assert not theirs.run(print) and not mine.run(print)
    found = theirs.last()
    assert found.outcome is pawl.Outcome.SUCCEEDED and not found.due and found.owner == client.owner
    assert found.began <= found.ended <= found.now < found.next and found.fence == mine.fence
    with pytest.raises(pawl.Done) as done:
        with theirs:
            raise AssertionError
    assert done.value.code_name == "PAWL_ERR_DONE"
    with pytest.raises(pawl.NotHeld):
        mine.check()


def test_a_failure_may_count(client, other):
    with pytest.raises(ValueError):
        with client.once("job", LONG, keep_on_failure=True):
            raise ValueError
    assert not other.once("job", LONG).run(print)
    assert client.once("job", LONG).look().outcome is pawl.Outcome.FAILED_KEPT


def test_a_run_that_loses_its_lock_does_not_count(client, other):
    job = client.once("job", LONG)
    with pytest.raises(pawl.Lost):
        job.run(break_it, other, "job")
    assert job.look().due and job.run(lambda: None)


def test_a_job_waits_for_another_run_and_may_give_up(client, other, program, url):
    with pytest.raises(pawl.Usage):
        client.once("job", 0).run(print)
    with other.lock("job"):
        with pytest.raises(pawl.Timeout):
            client.once("job", LONG, timeout=ANSWERED).run(print)
    if url.startswith("memory:"):
        return
    with other.lock("job", timeout=PATIENCE):
        waiting = program("import pawl, sys\n"
                          "with pawl.Client(sys.argv[1]) as client:\n"
                          "    try: client.once('job', 60).run(print)\n"
                          "    except KeyboardInterrupt: print('given up')", url)
        until(waits(other, "job"))
        waiting.signal(2)
        assert waiting.end()[:2] == (0, "given up")
        until(lambda: not other.inspect("job").waiters)


def test_a_job_for_tasks(url, other):
    async def body(client):
        job = client.once("job", LONG)

        async def fail():
            raise KeyError
        with pytest.raises(KeyError):
            await job.run(fail)
        assert (await job.look()).outcome is pawl.Outcome.FAILED
        with pytest.raises(pawl.Lost):
            async with job as run:
                assert run.held and run.check() > 0 and run.fence
                break_it(other, "job")
                await asyncio.sleep(PATIENCE)  # cancelled
        with other.lock("job", timeout=PATIENCE):
            waiting = asyncio.ensure_future(job.run(fail))
            await soon(waits(other, "job"))
            waiting.cancel()
            await asyncio.wait({waiting})
            await soon(lambda: not other.inspect("job").waiters)
        hasty = asyncio.ensure_future(job.run(fail))  # before it has asked for the lock
        await asyncio.sleep(0)
        hasty.cancel()
        await asyncio.wait({hasty})
        await soon(free(other, "job"))

        async def work():
            assert not other.lock("job").acquire(blocking=False)
        assert await job.run(work) and not await job.run(fail)
        assert other.once("job", LONG).look().outcome is pawl.Outcome.SUCCEEDED
        with pytest.raises(pawl.NotHeld):
            job.check()
    tasks(url, body)


# ---- Election ------------------------------------------------------------------------------------


def test_a_leader_is_known_by_its_value(client, other):
    told, news = [], threading.Condition()

    def hear(leader):
        with news:
            told.append(leader)
            news.notify()

    def heard(what):
        with news:
            assert news.wait_for(lambda: told and what(told[-1]), PATIENCE)

    mine, theirs = client.election("e", value=b"10.0.0.7\0"), other.election("e")
    assert other.leader("e") == pawl.Leader(False, "", 0, 0.0, None)
    with other.observe("e", hear) as observer:
        heard(lambda leader: not leader.leads and leader.error is None)
        with mine as leading:
            assert leading.leads and leading.check() > 0 and leading.lock.held
            assert not theirs.campaign(blocking=False)
            heard(lambda leader: leader.value == b"10.0.0.7\0")
            found = other.leader("e")
            assert found.leads and found.owner == client.owner and found.fence == leading.fence
            leading.proclaim("elsewhere")
            heard(lambda leader: leader.value == b"elsewhere")
            with pytest.raises(pawl.Usage) as long:
                leading.proclaim("x" * 4097)
            assert long.value.code_name == "PAWL_ERR_VALUE"
        heard(lambda leader: not leader.leads)
        observer.stop()
    for call in (lambda: mine.proclaim("x"), mine.resign):
        with pytest.raises(pawl.NotHeld):
            call()


def test_who_has_lost_the_lead_says_nothing_more(client, other):
    with pytest.raises(pawl.Lost):
        with client.election("e", value="one") as leading:
            break_it(other, "e")
            until(lambda: not leading.leads)
            with pytest.raises(pawl.Lost):
                leading.proclaim("late")
    assert not other.leader("e").leads
    with other.election("e", value="two", timeout=PATIENCE):
        assert client.leader("e").value == b"two"


def test_an_election_for_tasks(url, other):
    async def body(client):
        seen = []

        async def follow(observer):
            async for leader in observer:
                seen.append(leader)
        observer = client.observe("e")
        following = asyncio.ensure_future(follow(observer))
        await soon(lambda: seen)
        async with client.election("e", value="one") as leading:
            assert leading.leads and leading.check() > 0 and leading.fence
            await soon(lambda: seen[-1].value == b"one")
            await leading.proclaim("two")
            await soon(lambda: seen[-1].value == b"two")
            assert (await client.leader("e")).value == b"two"
            waiting = asyncio.ensure_future(client.election("e").campaign())
            await asyncio.sleep(0)
            assert not waiting.done()
            waiting.cancel()
            await asyncio.wait({waiting})
        await soon(lambda: not seen[-1].leads)
        with pytest.raises(pawl.Lost):
            async with client.election("e", value="three"):
                break_it(other, "e")
                await asyncio.sleep(PATIENCE)
        candidate = client.election("e")
        with pytest.raises(pawl.NotHeld):
            await candidate.proclaim("x")
        assert await candidate.campaign(timeout=PATIENCE)
        await candidate.resign()
        observer.stop()
        await following
        last = asyncio.ensure_future(follow(client.observe("e")))
        await asyncio.sleep(0)
        return last
    tasks(url, body)
