# SPDX-License-Identifier: MIT
"""Readers beside each other, permits, upgrade and downgrade: for threads and for tasks."""
import asyncio
import gc
import signal
import threading
import warnings

import pytest

import pawl
import pawl.aio
from conftest import ANSWERED, PATIENCE, RENEWED_SOON, until

MODES = ("exclusive", "shared", "update", "permit")


@pytest.fixture(params=["memory", "redis", "sqlite"])
def url(request, tmp_path):
    """A store that grants all modes."""
    if request.param == "redis":
        server = request.getfixturevalue("shared_redis")
        server.cli("flushall")
        return server.url
    store = f"memory:{tmp_path}" if request.param == "memory" else f"sqlite:{tmp_path}/locks.db"
    with pawl.Client(store) as client:
        granted = client.caps().modes
        if granted != set(MODES):  # then it says so
            for mode in set(MODES) - granted - {"permit"}:
                with pytest.raises(pawl.Usage) as refused:
                    client.lock("x", mode=mode).acquire()
                assert refused.value.code_name == "PAWL_ERR_UNSUPPORTED"
            pytest.skip(f"{store} grants {', '.join(sorted(granted))} only")
    return store


@pytest.fixture
def rw(client):
    return client.rwlock("x", timeout=PATIENCE)


@pytest.fixture
def foe(other):
    """The same name in another client."""
    return other.rwlock("x", timeout=PATIENCE)


def waits(client):
    return lambda: client.inspect("x").waiters


def begin(*calls):
    threads = [threading.Thread(target=call) for call in calls]
    for thread in threads:
        thread.start()
    return threads


def test_readers_share_and_a_writer_is_alone(rw, foe, other):
    with rw.read() as one, rw.read() as two, foe.read() as three:
        assert one.held and two.held and three.held
        assert (one.mode, one.slots, repr(one)) == ("shared", (), "<pawl.Lock 'x' held>")
        assert foe.write().acquire(False) is False
        info = other.inspect("x")
        assert info.mode == "shared" and info.holder_count >= 2 == len({h.owner for h in info.holders}) + 1
        assert all(h.mode == "shared" and h.units == 0 and h.remaining > 0 for h in info.holders)
        assert max(h.fence for h in info.holders) == info.fence and info.capacity == 0
        most = info.fence
    with foe.write() as held:
        assert held.fence > most and held.mode == "exclusive"
        for lock in (rw.read(), rw.update(), rw.write()):
            assert lock.acquire(False) is False


def test_a_writer_that_waits_stops_later_readers(rw, foe, other):
    order = []

    def enter(lock, word):
        with lock:
            order.append(word)

    with rw.read():
        threads = begin(lambda: enter(foe.write(), "writer"))
        until(waits(other))
        assert [w.mode for w in other.inspect("x").queue] == ["exclusive"]
        with pawl.Client(other.url) as late:
            assert late.lock("x", mode="shared").acquire(False) is False
    for thread in threads:
        thread.join()
    assert order == ["writer"]


def test_upgrade_and_downgrade(rw, foe, other):
    held, reader = rw.update(), foe.read()
    held.acquire()
    reader.acquire()
    before = held.fence
    assert foe.update().acquire(False) is False  # one at a time: no two upgrades wait for each other
    assert held.upgrade(False) is False and held.upgrade(timeout=ANSWERED) is False
    with pytest.raises(pawl.Usage, match="cannot change"):
        reader.upgrade()
    assert (held.mode, held.held, held.fence) == ("update", True, before)
    threads = begin(reader.release)
    assert held.upgrade() is True
    for thread in threads:
        thread.join()
    after = held.fence
    assert held.mode == "exclusive" and after > before
    assert held.upgrade() is True  # it is already
    assert foe.read().acquire(False) is False
    held.downgrade("update")
    assert held.upgrade(False) and held.fence >= after
    held.downgrade()
    assert held.mode == "shared"
    for mode in ("update", "exclusive", "permit"):
        with pytest.raises(pawl.Usage):
            held.downgrade(mode)
    with foe.read():
        held.release()
    for call in (held.upgrade, held.downgrade):
        with pytest.raises(pawl.NotHeld):
            call()
    assert held.mode == "update"  # as it will be acquired


def test_an_upgrade_in_another_thread(rw, foe):
    """Not on the main thread, which has a way of its own."""
    held, results = rw.update(), []
    held.acquire()
    with foe.read():
        thread, = begin(lambda: results.append((held.upgrade(False), held.upgrade(timeout=ANSWERED))))
        thread.join()
    thread, = begin(lambda: results.append(held.upgrade()))
    thread.join()
    assert results == [(False, False), True] and held.mode == "exclusive"
    held.release()


def test_whoever_releases_ends_an_upgrade(rw, foe, client):
    held, results, events = rw.update(), [], []

    def upgrade():
        try:
            results.append(held.upgrade())
        except pawl.Error as error:
            results.append(type(error))

    for end in (held.release, client.close):
        held.acquire()
        reader = foe.read()
        reader = type(reader)(reader._client, reader._spec, events.append)  # that is told of others
        reader.acquire()
        thread, = begin(upgrade)
        until(lambda: events)
        events.clear()
        end()
        thread.join()
        reader.release()
    assert results[0] is pawl.NotHeld and results[1] in (pawl.Closed, pawl.Lost, pawl.NotHeld)


def test_permits_and_their_slots(client, other):
    one, two = client.semaphore("x", 3), other.semaphore("x", 3, units=2)
    with one, two:
        assert sorted(one.slots + two.slots) == [0, 1, 2] and len(two.slots) == 2
        assert one.mode == "permit" and one.fence != two.fence
        assert other.semaphore("x", 3).acquire(False) is False
        info = client.inspect("x")
        assert (info.capacity, info.holder_count) == (3, 2)
        assert sorted(h.units for h in info.holders) == [1, 2]
        with pytest.raises(pawl.Usage):
            one.upgrade()
        slot, fence = one.slots[0], one.fence
    assert one.slots == ()
    until(lambda: not client.inspect("x").held)  # the releases are on their way
    with other.semaphore("x", 3, timeout=PATIENCE) as again:
        assert again.slots == (0,) and (slot != 0 or again.fence > fence)


def test_what_is_refused(client, other):
    for capacity, units in ((0, 1), (-1, 1), (1025, 1), (2**32 + 3, 1), (3, 0), (3, 4), (3, -1), (3, 2**32 + 1)):
        with pytest.raises(pawl.Usage, match="1 to 1024") as wrong:
            client.semaphore("x", capacity, units)
        assert wrong.value.code_name == "PAWL_ERR_UNITS"
    for mode in ("permit", "Shared", "", None, 1, b"shared", ["shared"]):
        with pytest.raises(ValueError):
            client.lock("x", mode=mode)
    with client.semaphore("x", 3):
        for mine in (client, other):
            with pytest.raises(pawl.Usage) as wrong:
                mine.semaphore("x", 4).acquire()
            assert wrong.value.code_name == "PAWL_ERR_CAPACITY"
            for lock in (mine.lock("x"), mine.rwlock("x").read()):
                with pytest.raises(pawl.Usage) as wrong:
                    lock.acquire()
                assert wrong.value.code_name == "PAWL_ERR_KIND"


def test_what_the_store_promises(client):
    caps = client.caps()
    assert caps.modes == set(MODES) and caps.fair is True and caps.list is True
    assert caps.fence in ("none", "best effort", "durable")


def test_two_hundred_threads_share_four_permits(client, other):
    inside, served, users = [], [], [[] for _ in range(4)]

    def work(number):
        with (client, other)[number % 2].semaphore("x", 4, 1 + number % 3) as held:
            for slot in held.slots:
                users[slot].append(number)
                assert users[slot] == [number]
            inside.append(len(held.slots))
            assert sum(inside) <= 4
            inside.pop()
            for slot in held.slots:
                users[slot].clear()
            served.append(number)

    for thread in begin(*(lambda number=number: work(number) for number in range(200))):
        thread.join()
    assert sorted(served) == list(range(200))


def test_readers_and_writers_keep_a_pair_whole(rw, foe):
    pair = [0, 0]

    def read(lock):
        with lock:
            seen.append(pair[0] - pair[1])

    def write(lock):
        with lock:
            pair[0] += 1
            pair[1] += 1

    seen, calls = [], []
    for number in range(60):
        who = (rw, foe)[number % 2]
        calls.append(lambda who=who: read(who.read()))
        if number % 6 == 0:
            calls.append(lambda who=who: write(who.write()))
    for thread in begin(*calls):
        thread.join()
    assert seen == [0] * 60 and pair == [10, 10]


def test_a_loss_is_told_to_every_reader(redis_server):
    told = []
    with pawl.Client(redis_server.url) as client:
        readers = [client.lock("x", ttl=0.5, mode="shared", on_event=told.append) for _ in range(5)]
        permit = client.semaphore("p", 2, ttl=0.5)
        for lock in (*readers, permit):
            lock.acquire()
        redis_server.process.send_signal(signal.SIGSTOP)
        until(lambda: not any(lock.held for lock in (*readers, permit)))
        until(lambda: len([e for e in told if e.kind is pawl.EventKind.LOST]) == 5)
        for lock in (*readers, permit):
            with pytest.raises(pawl.Lost):
                lock.check()
            with pytest.raises(pawl.Lost):
                lock.release()
        assert permit.slots == ()
        redis_server.process.send_signal(signal.SIGCONT)
        with client.rwlock("x", timeout=PATIENCE).write():
            pass


# ---- What is behind a Lock serves the next one -------------------------------------------------------


def test_a_handle_serves_the_next_lock_of_its_kind(client, other):
    with client.lock("x", timeout=PATIENCE) as first:
        handle, fence = first._handle, first.fence
    del first
    with client.lock("x", mode="shared"):
        assert client._core._spares  # another kind leaves it
    again = client.lock("x", timeout=PATIENCE)
    assert again.fence == 0 and again.token == "" and not again.held
    with other.lock("x", timeout=PATIENCE):
        assert again.acquire(False) is False
        assert again._handle is handle
        assert again.fence == 0  # what another Lock has held is not its own
    with again:
        assert again.fence > fence


def test_what_is_held_serves_nobody(client, other):
    """Nor what tells of events, nor what an exception has left in a bad state."""
    for spoil in (lambda lock: None, lambda lock: lock._grants.clear(), lambda lock: lock._turn.take(False)):
        lock = client.lock("x", timeout=PATIENCE)
        lock.acquire()
        if spoil(lock) is False:  # the turn was taken by the acquisition
            lock._grants.clear()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            del lock
            gc.collect()
        assert not client._core._spares
        with other.lock("x", timeout=PATIENCE):
            pass
    with client.lock("x", timeout=PATIENCE, on_event=print):
        pass
    gc.collect()
    assert not client._core._spares


def test_spares_are_few(client):
    for number in range(300):
        with client.lock(f"n{number}"):
            pass
    assert 0 < len(client._core._spares) <= 128
    assert {spec.name for spec in client._core._spares} >= {"n299", "n200"}  # the oldest have gone
    core = client._core
    client.close()
    assert not core._spares


# ---- Signals and forks -----------------------------------------------------------------------------------


def test_ctrl_c_ends_an_upgrade_and_the_lock_stays(shared_redis, program):
    shared_redis.cli("flushall")
    with pawl.Client(shared_redis.url) as client:
        events = []
        reader = client.lock("x", mode="shared", on_event=events.append)
        reader.acquire()
        child = program("""
import sys, pawl
client = pawl.Client(sys.argv[1])
with client.lock("x", mode="update") as held:
    try:
        held.upgrade()
    except KeyboardInterrupt:
        print("interrupted", held.mode, held.held, flush=True)
        print(held.upgrade(), held.mode, flush=True)
print("done", flush=True)
""", shared_redis.url)
        until(lambda: [e for e in events if e.kind is pawl.EventKind.WANTED])
        child.signal(signal.SIGINT)
        assert child.line() == "interrupted update True"
        reader.release()
        assert child.line() == "True exclusive"
        assert child.line() == "done"
        assert child.end() == (0, "", "")


def test_a_child_believes_in_no_mode(shared_redis, program):
    shared_redis.cli("flushall")
    child = program("""
import os, sys, pawl
client = pawl.Client(sys.argv[1])
def tell(call):
    try:
        print(call())
    except pawl.Error as error:
        print(type(error).__name__)
with client.lock("x", mode="update") as held, client.semaphore("p", 2) as permit:
    with client.lock("y", mode="shared"):
        pass  # its handle would serve the next
    pid = os.fork()
    if pid == 0:
        for call in (held.upgrade, held.downgrade, held.check, permit.release):
            tell(call)
        tell(lambda: permit.held or held.held)
        with client.lock("y", mode="shared"), client.semaphore("p", 2) as mine:
            print(mine.slots)
        sys.stdout.flush()
        os._exit(0)
    os.waitpid(pid, 0)
    print(held.upgrade(), permit.slots)
""", shared_redis.url)
    status, out, err = child.end()
    assert (status, err) == (0, "")
    assert out.split() == ["Forked"] * 4 + ["False", "(1,)", "True", "(0,)"]


# ---- Re-entrant --------------------------------------------------------------------------------------


def test_a_reentrant_lock_counts(client, other):
    lock, foe = client.lock("x", reentrant=True, timeout=PATIENCE), other.lock("x", timeout=PATIENCE)
    with lock as outer, lock as inner:
        assert outer is inner and lock.acquire(False)
        thread, = begin(lambda: lock.acquire() and lock.release())  # the Lock counts, not the thread
        thread.join()
        lock.release()
        with pytest.raises(pawl.Usage):
            lock.detach()
        assert lock.held and foe.acquire(False) is False
    assert not lock.held
    with pytest.raises(pawl.NotHeld):
        lock.release()
    with foe:
        assert lock.acquire(False) is False


def test_every_release_of_a_lost_reentrant_lock_says_so(client, other):
    lock = client.lock("x", ttl=RENEWED_SOON, reentrant=True, timeout=PATIENCE)
    for _ in range(3):
        lock.acquire()
    other.break_lock("x", lock.fence)
    until(lambda: not lock.held)
    with pytest.raises(pawl.Lost):
        lock.acquire()
    for _ in range(3):
        with pytest.raises(pawl.Lost):
            lock.release()
    with lock:  # as good as new
        lock.check()


def test_threads_come_into_a_reentrant_lock(client, other):
    lock, inside, served = client.lock("x", reentrant=True), [], []

    def work():
        for _ in range(10):
            with lock:
                inside.append(1)
                inside.pop()
                served.append(1)

    threads = begin(*[work] * 8)
    for _ in range(3):
        with other.lock("x"):
            assert not inside
    for thread in threads:
        thread.join()
    assert len(served) == 80
    with other.lock("x", timeout=PATIENCE):
        pass


# ---- Tasks ---------------------------------------------------------------------------------------------


def run(main):
    async def bounded():
        return await asyncio.wait_for(main, PATIENCE)
    return asyncio.run(bounded(), debug=True)


def test_tasks_read_and_write(url):
    async def main():
        async with pawl.aio.Client(url) as a, pawl.aio.Client(url) as b:
            assert (await a.caps()).modes == set(MODES)
            rw, foe = a.rwlock("x"), b.rwlock("x")
            async with rw.read() as one, rw.read() as two, foe.read() as three:
                assert one.held and two.held and three.mode == "shared"
                assert await foe.write().acquire(False) is False
            async with rw.update() as held:
                reader, before = foe.read(), held.fence
                await reader.acquire()
                assert await held.upgrade(False) is False and await held.upgrade(timeout=ANSWERED) is False
                with pytest.raises(pawl.Usage):
                    await reader.upgrade()
                upgrade = asyncio.ensure_future(held.upgrade())
                await reader.release()
                assert await upgrade is True
                assert held.mode == "exclusive" and held.fence > before
                held.downgrade()
                assert held.mode == "shared"
                with pytest.raises(pawl.Usage):
                    held.downgrade("exclusive")
            with pytest.raises(pawl.NotHeld):
                await held.upgrade()
            with pytest.raises(pawl.NotHeld):
                held.downgrade()
            assert held.mode == "update"
    run(main())


def test_a_task_that_is_cancelled_leaves_its_upgrade(url):
    async def main():
        async with pawl.aio.Client(url) as a, pawl.aio.Client(url) as b:
            wanted = asyncio.Event()
            reader = b.lock("x", mode="shared", on_event=lambda event: wanted.set())
            for after in ("upgrade", "release"):
                await reader.acquire()
                held = a.lock("x", mode="update")
                await held.acquire()
                wanted.clear()
                upgrade = asyncio.ensure_future(held.upgrade())
                await wanted.wait()
                upgrade.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await upgrade
                assert held.held and held.mode == "update"
                if after == "upgrade":  # at once, before the outcome of the first has come
                    again = asyncio.ensure_future(held.upgrade())
                    await reader.release()
                    assert await again is True
                    await held.release()
                else:
                    await held.release()
                    await reader.release()
            async with b.lock("x"):
                pass
            for _ in range(1000):
                if not a._all:
                    break
                await asyncio.sleep(0.005)  # until the last outcome has come; nothing tells
            assert not a._all
    run(main())


def test_a_release_or_a_close_ends_a_tasks_upgrade(url):
    async def main():
        async with pawl.aio.Client(url) as b:
            wanted = asyncio.Event()
            reader = b.lock("x", mode="shared", on_event=lambda event: wanted.set())
            for end in ("release", "close"):
                a = pawl.aio.Client(url)
                held = a.lock("x", mode="update")
                await held.acquire()
                await reader.acquire()
                wanted.clear()
                upgrade = asyncio.ensure_future(held.upgrade())
                await wanted.wait()
                await (held.release() if end == "release" else a.close())
                with pytest.raises(pawl.Error) as ended:
                    await upgrade
                assert isinstance(ended.value, (pawl.NotHeld, pawl.Lost, pawl.Closed))
                await reader.release()
                await a.close()
    run(main())


def test_tasks_come_into_a_reentrant_lock(url):
    async def main():
        async with pawl.aio.Client(url) as a, pawl.aio.Client(url) as b:
            lock, foe = a.lock("x", reentrant=True, timeout=PATIENCE), b.lock("x", timeout=PATIENCE)

            async def work():
                async with lock:
                    await asyncio.sleep(0)
                    async with lock as held:
                        assert held.held and held.fence == lock.fence
                        assert await foe.acquire(False) is False

            await asyncio.gather(*(work() for _ in range(20)))
            assert not lock.held
            async with foe:
                assert await lock.acquire(False) is False
            await lock.acquire()
            await lock.acquire()
            with pytest.raises(pawl.Usage):
                lock.detach()
            await b.break_lock("x", lock.fence)
            for _ in range(1000):
                if not lock.held:
                    break
                await asyncio.sleep(0.005)  # until the loss has come; nothing tells
            for call in (lock.acquire, lock.release, lock.release):
                with pytest.raises(pawl.Lost):
                    await call()
            with pytest.raises(pawl.NotHeld):
                await lock.release()
            async with lock:
                pass
    run(main())


def test_many_tasks_share_permits(url):
    count = 200 if url.startswith("sqlite:") else 1000  # a disk is slower

    async def main():
        inside = served = 0

        async def work(client, number):
            nonlocal inside, served
            async with client.semaphore("x", 8, 1 + number % 2) as held:
                inside += len(held.slots)
                assert inside <= 8 and set(held.slots) <= set(range(8))
                await asyncio.sleep(0)
                inside -= len(held.slots)
                served += 1

        async with pawl.aio.Client(url) as a, pawl.aio.Client(url) as b:
            await asyncio.gather(*(work((a, b)[number % 2], number) for number in range(count)))
        assert served == count
    run(main())


def test_a_lost_permit_cancels_its_task(redis_server):
    async def main():
        async with pawl.aio.Client(redis_server.url) as client:
            with pytest.raises(pawl.Lost):
                async with client.semaphore("x", 3, ttl=0.5):
                    redis_server.process.send_signal(signal.SIGSTOP)
                    await asyncio.sleep(PATIENCE)
            redis_server.process.send_signal(signal.SIGCONT)
    run(main())
