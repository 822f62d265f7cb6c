# SPDX-License-Identifier: MIT
"""pawl for asyncio.

    async with pawl.aio.Client("redis://127.0.0.1") as client:
        async with client.lock("nightly", ttl=30, timeout=5) as held:
            await backup(fence=held.fence)  # cancelled when the lock is lost

A thousand tasks that wait need no thread: the loop looks at one descriptor of the client's.
"""
from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections import deque
from types import TracebackType
from typing import (Any, Callable, Deque, Dict, Iterable, List, Optional, Set, Type, Union, cast)

from . import _ask, _core
from ._aio_call import Acquisition, Call
from ._ask import Caps, Finding, Info
from ._core import Core, Seconds, encode, milliseconds, wait_ms
from ._election import Leader, ask_leader
from ._errors import Error, Lost, make_error
from ._events import Event, EventKind, LogFunction, Reader, event_of, guarded, log_function
from ._latch import BarrierTerms, LatchTerms
from ._lock import fences_of, slots_of
from ._native import ffi, lib
from ._rwlock import RWLock
from ._spec import Mode, Spec, mode_of, number_of, permits_of, spec_of, spec_of_all

_log = logging.getLogger("pawl")
_DISPATCH_MAX = 256


class Lock:
    """A lock on one name, for tasks. As an asyncio.Lock it may be shared by tasks, which then exclude
    each other, and it cannot be acquired twice; but it reaches as far as the store does.

    ``async with`` acquires and releases, and raises when it could not: Busy, Timeout, Unavailable. If
    the lock is lost in the block, the task is cancelled there, and the block ends with Lost.
    """

    def __init__(self, client: "Client", spec: Spec,
                 on_event: Optional[Callable[[Event], None]]) -> None:
        self._client = client
        self._spec = spec
        self.name = spec.name
        self._on_event = on_event
        self._generation = _core.generation
        self._taken = False
        self._line: "Deque[asyncio.Future[None]]" = deque()
        self._held: Optional[Acquisition] = None
        self._latest_fence = 0

    # ---- Acquire -----------------------------------------------------------------------------------

    async def acquire(self, blocking: bool = True, timeout: Optional[Seconds] = None, *,
                      blocking_timeout: Optional[Seconds] = None) -> bool:
        """Acquires, and tells whether: False if it is busy, or stayed so for `timeout` seconds.
        Without arguments it waits as long as the Lock was made for. blocking_timeout is redis-py's
        word for timeout. No task is cancelled when such a lock is lost: ask check(), or give on_event.
        A task that is cancelled while it waits leaves the queue."""
        if blocking_timeout is not None:
            timeout = blocking_timeout
        code = await self._acquire(self._wait(blocking, timeout))
        if code in (lib.PAWL_ERR_BUSY, lib.PAWL_ERR_TIMEOUT):
            return False
        if code:
            raise self._client._fail(code, "lock", self.name)
        return True

    def _wait(self, blocking: bool, timeout: Optional[Seconds]) -> int:
        if not blocking:
            return 0
        return self._spec.default_wait if timeout is None else wait_ms(timeout)

    async def __aenter__(self) -> "Lock":
        code = await self._acquire(self._spec.default_wait)
        if code:
            raise self._client._fail(code, "lock", self.name)
        held, task = self._held, asyncio.current_task()
        assert held is not None
        if held.depth > 1:  # the outermost block tells its task
            return self
        held.task = task
        held.tasks_cancels = task.cancelling() if hasattr(task, "cancelling") else 0  # type: ignore
        return self

    async def _acquire(self, wait: int) -> int:
        core = self._client._present()
        if self._generation != _core.generation:
            self._generation, self._taken, self._held = _core.generation, False, None
            self._line.clear()
        code, wait = await self._take_turn(core, wait)
        if code:
            return code
        if self._held is not None:  # re-entrant: else there were no turn
            self._give_turn()
            return self._enter(self._held)
        try:
            acquisition, code = await self._client._acquire(core, self, wait)
        except BaseException:
            self._give_turn()
            raise
        if code or self._spec.reentrant:
            self._give_turn()
        if not code:
            self._held = acquisition
            self._latest_fence = int(lib.pawl_lock_fence(acquisition.handle))
        return code

    @staticmethod
    def _enter(held: Acquisition) -> int:
        if not lib.pawl_lock_is_held(held.handle):
            return int(lib.PAWL_ERR_LOST)
        if held.depth >= lib.PAWL_REENTRY_MAX:
            return int(lib.PAWL_ERR_REENTRY)
        held.depth += 1
        return 0

    async def _take_turn(self, core: Core, wait: int) -> "tuple[int, int]":
        """Tasks that share this Lock come one after the other. (0 or why not, the rest of the wait)."""
        if not self._taken:
            self._taken = True
            return 0, wait
        if wait == 0:
            return lib.PAWL_ERR_BUSY, 0
        begun = time.monotonic()
        me = asyncio.get_running_loop().create_future()
        self._line.append(me)
        self._client._lines.add(self)
        try:
            await asyncio.wait({me}, timeout=None if wait < 0 else wait / 1000)
        except BaseException:
            if me.done() and not core.closed:
                self._give_turn()
            me.cancel()
            raise
        if core.closed or self._client.closed:  # the close frees the turn before it reaches the core
            return lib.PAWL_ERR_CLOSED, 0
        if not me.done():
            me.cancel()
            return lib.PAWL_ERR_TIMEOUT, 0
        return 0, wait if wait < 0 else max(1, wait - int((time.monotonic() - begun) * 1000))

    def _give_turn(self) -> None:
        while self._line:
            first = self._line.popleft()
            if not first.done():
                first.set_result(None)
                return
        self._taken = False

    def _call_off(self) -> None:
        """The client is closed: who waits for its turn finds it so."""
        while self._line:
            first = self._line.popleft()
            if not first.done():
                first.set_result(None)

    # ---- Modes --------------------------------------------------------------------------------------

    @property
    def mode(self) -> Mode:
        """In which it is held; while it is not held, the one in which it will be acquired."""
        return mode_of(lib.pawl_lock_mode(self._held.handle)) if self._held else self._spec.mode

    @property
    def slots(self) -> "tuple[int, ...]":
        """The numbers of the permits that it holds, the lowest first: each is one of 0 to capacity-1,
        and nobody else has it. Empty if it holds no permits."""
        return slots_of(self._held.handle, self._spec) if self._held else ()

    async def upgrade(self, blocking: bool = True, timeout: Optional[Seconds] = None) -> bool:
        """As pawl.Lock.upgrade. A task that is cancelled while it waits leaves the lock in update mode."""
        held = self._present("upgrade")
        code = await self._client._upgrade(held, self._wait(blocking, timeout))
        if code in (lib.PAWL_ERR_BUSY, lib.PAWL_ERR_TIMEOUT):
            return False
        if code:
            raise self._client._fail(code, "upgrade", self.name)
        self._latest_fence = int(lib.pawl_lock_fence(held.handle))
        return True

    def downgrade(self, mode: Mode = "shared") -> None:
        """As pawl.Lock.downgrade."""
        number = number_of(mode, "downgrade", self.name)
        code = lib.pawl_lock_downgrade(self._present("downgrade").handle, number)
        if code:
            raise self._client._fail(code, "downgrade", self.name)

    # ---- Release ------------------------------------------------------------------------------------

    async def release(self, wait: Optional[Seconds] = None) -> None:
        """Releases. The release is on its way when this returns; with `wait` the store has done it,
        or Unknown is raised after so many seconds. Lost: it was not held until now; NotHeld: it was
        never acquired."""
        inner = self._present("release")
        if inner.depth > 1:
            inner.depth -= 1
            self.check()
            return
        held = self._take("release")
        try:
            if wait is None:
                code = lib.pawl_lock_release(held.handle)
            else:
                code = await self._client._release(held, wait_ms(wait))
        finally:
            self._end(held)
        if code:
            raise self._client._fail(code, "release", self.name)

    def _present(self, op: str) -> Acquisition:
        if self._generation != _core.generation:
            raise make_error(lib.PAWL_ERR_FORKED, op, self.name)
        if self._held is None:
            raise self._client._fail(lib.PAWL_ERR_NOT_HELD, op, self.name)
        return self._held

    def _take(self, op: str) -> Acquisition:
        held = self._present(op)
        self._held = None
        held.task = None
        return held

    def _end(self, held: Acquisition) -> None:
        held.is_over = True
        self._client._forget(held)
        if not self._spec.reentrant:
            self._give_turn()

    async def __aexit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException],
                        trace: Optional[TracebackType]) -> None:
        held, task = self._held, asyncio.current_task()
        lost = held.lost if held is not None and held.task is task else None
        failure: Optional[Error] = None
        try:
            await self.release()
        except Error as why:
            failure = why
        is_ours = True  # to say how the block ended
        if held is not None and lost is not None:
            failure = lost.error or failure
            others = _take_back(task) > held.tasks_cancels  # they have cancelled it, too
            is_ours = isinstance(error, asyncio.CancelledError) and not others
        if failure is not None and (error is None or isinstance(error, Exception) or
                                    lost is not None and is_ours):
            raise failure from error

    def detach(self) -> str:
        """Stops renewing and forgets the lock without releasing it; returns the token that carries
        the lease on, also in another process (Client.renew_token). For locks that are detached."""
        if self._present("detach").depth > 1:
            raise self._client._fail(lib.PAWL_ERR_STATE, "detach", self.name)
        held = self._take("detach")
        token = _token(held.handle)
        try:
            code = lib.pawl_lock_detach(held.handle)
        finally:
            self._end(held)
        if code:
            raise self._client._fail(code, "detach", self.name)
        return token

    # ---- What it is like now ----------------------------------------------------------------------------

    @property
    def held(self) -> bool:
        """Whether it is held now, by the clock: no I/O, and right even if the loop did not run."""
        return self._held is not None and bool(lib.pawl_lock_is_held(self._held.handle))

    def owned(self) -> bool:
        """redis-py's word for held."""
        return self.held

    async def locked(self) -> bool:
        """Asks the store whether anybody holds it, or one of its names."""
        names = self._spec.names or [self._spec.raw]
        return any([(await self._client.inspect(name)).held for name in names])

    def check(self) -> float:
        """Raises Lost unless it is held now; returns the seconds until the deadline. Ask before each
        step that cannot be undone."""
        remaining: int = lib.pawl_lock_remaining_ms(self._present("check").handle)
        if remaining <= 0:
            raise self._client._fail(lib.PAWL_ERR_LOST, "check", self.name)
        return remaining / 1000

    @property
    def fence(self) -> int:
        """The fencing token: larger than that of every earlier grant of the name. Of the latest
        acquisition; 0 before the first."""
        return self._latest_fence

    @property
    def fences(self) -> "Dict[str, int]":
        """As pawl.Lock.fences; empty while it is not held."""
        return fences_of(self._held.handle) if self._held else {}

    @property
    def remaining(self) -> float:
        """Seconds until the deadline; 0 if it is not held."""
        return float(lib.pawl_lock_remaining_ms(self._held.handle)) / 1000 if self._held else 0.0

    @property
    def deadline(self) -> float:
        """Until when it is held if no renewal succeeds, on the clock of time.monotonic(). Each
        renewal moves it: ask anew. In the past if the lock is not held."""
        left = self.remaining
        return time.monotonic() + left if left else float("-inf")

    @property
    def token(self) -> str:
        """The owner's proof at the store, a secret: who knows it can release. "" if not held."""
        return _token(self._held.handle) if self._held else ""

    def __repr__(self) -> str:
        state = "held" if self.held else "lost" if self._held else "not held"
        return f"<pawl.aio.Lock {self.name!r} {state}>"


def _token(handle: Any) -> str:
    token = ffi.new("pawl_token *")
    lib.pawl_lock_token(handle, token)
    return ffi.string(token.text).decode()


def _take_back(task: "Optional[asyncio.Task[Any]]") -> int:
    """Our cancellation has served its purpose. How many others' there are."""
    return int(task.uncancel()) if hasattr(task, "uncancel") else 0  # type: ignore


class Client:
    """One store, one connection, any number of locks, for the tasks of one loop. The arguments are
    those of pawl.Client. Opened when it is first used; in a child of fork anew."""

    def __init__(self, url: Optional[str] = None, *, owner: Optional[str] = None,
                 store_timeout: Optional[Seconds] = 5.0, close_timeout: Seconds = 1.0,
                 log: Union[LogFunction, logging.Logger, None] = None) -> None:
        self._args = (url, owner, wait_ms(store_timeout), milliseconds(close_timeout))
        self._log = log_function(log)
        self._closed = False
        self._loop: Optional[asyncio.AbstractEventLoop] = None
        self._core: Optional[Core] = None
        self._reader: Optional[Reader] = None
        self._fd = -1
        self._idents = itertools.count(1)
        self._all: Dict[int, Call] = {}
        self._observers: "Dict[int, Observer]" = {}
        self._lines: Set[Lock] = set()  # in which tasks wait for their turn

    # ---- Opened and closed -----------------------------------------------------------------------------

    def _present(self) -> Core:
        loop, core = asyncio.get_running_loop(), self._core
        if core is not None and core.generation == _core.generation:
            if loop is not self._loop:
                raise RuntimeError("pawl.aio: this client belongs to another loop: one for each loop")
            return core
        if self._closed:
            raise make_error(lib.PAWL_ERR_CLOSED, "open")
        return self._open(loop)

    def _open(self, loop: asyncio.AbstractEventLoop) -> Core:
        url, owner, store_timeout, close_timeout = self._args
        with _core.opening:
            core = Core(url, owner, store_timeout, close_timeout, dispatch=True,
                        logs=self._log is not None)
        self._core, self._loop, self._all, self._lines = core, loop, {}, set()
        self._observers = {}
        self._reader = Reader(core, self._log)
        self._fd = lib.pawl_client_fd(core.ptr)
        loop.add_reader(self._fd, self._readable)
        return core

    def _readable(self) -> None:
        core = self._core
        assert core is not None
        if core.generation != _core.generation:
            return
        while lib.pawl_client_dispatch(core.ptr) == _DISPATCH_MAX:
            pass
        self._hand_out()

    def _hand_out(self) -> None:
        assert self._reader is not None
        for news in self._reader.fetch():
            if news.kind == lib.PAWLPY_LEADER and news.id in self._observers:
                self._observers[news.id]._told()
            call = self._all.get(news.id)
            if call is None:
                continue
            if news.kind == lib.PAWLPY_DONE:
                self._decided(call, news.err)
            elif news.kind == lib.PAWLPY_UPGRADED:
                self._upgraded(call, news.err)
            elif news.kind == lib.PAWLPY_SAID:
                self._said(call, news.err)
            elif news.kind == lib.PAWL_EVENT_LOST:
                call.lose(event_of(news, call.name))
            else:
                call.tell(event_of(news, call.name))

    def _decided(self, call: Call, code: int) -> None:
        if not call.decided.done():
            call.decided.set_result(code)
            return
        if code == 0:  # granted to a task that has gone; or the release that it did not wait for
            call.give_back()
        call.is_releasing, call.is_over = False, True
        self._forget(call)

    def _upgraded(self, call: Call, code: int) -> None:
        if call.upgrading is not None:
            call.upgrading.set_result(code)
        call.upgrading, call.is_left = None, False
        if call.is_over:
            self._forget(call)

    def _said(self, call: Call, code: int) -> None:
        if call.saying is not None and not call.saying.done():
            call.saying.set_result(code)
        call.saying = None
        if call.is_over:
            self._forget(call)

    def _forget(self, call: Call) -> None:
        """Unless libpawl has yet to tell of it: its teller stays until then."""
        news = (call.upgrading, call.saying)
        if not call.is_releasing and news == (None, None):
            self._all.pop(call.ident, None)

    async def close(self) -> None:
        """Releases every lock, ends every wait with Closed, and cancels the tasks that are in a block of
        a lock. Closing twice is allowed."""
        self._closed = True
        core = self._core
        if core is None or core.closed or core.generation != _core.generation:
            return
        assert self._loop is not None
        self._loop.remove_reader(self._fd)
        me = asyncio.current_task()
        why = make_error(lib.PAWL_ERR_CLOSED, "hold")
        for call in list(self._all.values()):  # before anybody else can have it
            if call.task is not None and call.task is not me:
                lost = make_error(lib.PAWL_ERR_LOST, "hold", call.name,
                                  "the client was closed")
                lost.__cause__ = why
                call.lose(Event(EventKind.LOST, lost, 0.0))
        await asyncio.shield(self._loop.run_in_executor(None, core.close))
        self._hand_out()
        for lock in list(self._lines):
            lock._call_off()
        for observer in list(self._observers.values()):
            observer.stop()

    async def __aenter__(self) -> "Client":
        self._present()
        return self

    async def __aexit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException],
                        trace: Optional[TracebackType]) -> None:
        await self.close()

    # ---- Locks --------------------------------------------------------------------------------------------

    def lock(self, name: Union[str, bytes], *, ttl: Seconds = 30.0,
             timeout: Optional[Seconds] = None, blocking: bool = True, owner: Optional[str] = None,
             retain: Seconds = 0.0, detached: bool = False, reentrant: bool = False,
             mode: Mode = "exclusive",
             on_event: Optional[Callable[[Event], None]] = None) -> Lock:
        """A lock on a name. The arguments are those of pawl.Client.lock; on_event is called by the
        loop."""
        return Lock(self, spec_of(name, ttl, timeout, blocking, owner, retain, detached, reentrant,
                                  mode), on_event)

    def rwlock(self, name: Union[str, bytes], *, ttl: Seconds = 30.0,
               timeout: Optional[Seconds] = None, blocking: bool = True,
               owner: Optional[str] = None, retain: Seconds = 0.0, detached: bool = False,
               on_event: Optional[Callable[[Event], None]] = None) -> "RWLock[Lock]":
        """Many readers or one writer; as pawl.Client.rwlock."""
        return RWLock(lambda mode: self.lock(
            name, ttl=ttl, timeout=timeout, blocking=blocking, owner=owner, retain=retain,
            detached=detached, mode=mode, on_event=on_event))

    def semaphore(self, name: Union[str, bytes], capacity: int, units: int = 1, *,
                  ttl: Seconds = 30.0, timeout: Optional[Seconds] = None, blocking: bool = True,
                  owner: Optional[str] = None, retain: Seconds = 0.0, detached: bool = False,
                  on_event: Optional[Callable[[Event], None]] = None) -> Lock:
        """Some permits of a name; as pawl.Client.semaphore."""
        return Lock(self, permits_of(name, capacity, units, ttl, timeout, blocking, owner, retain,
                                     detached), on_event)

    def lock_all(self, names: "Iterable[Union[str, bytes]]", *, ttl: Seconds = 30.0,
                 timeout: Optional[Seconds] = None, blocking: bool = True,
                 owner: Optional[str] = None, detached: bool = False, reentrant: bool = False,
                 mode: Mode = "exclusive",
                 on_event: Optional[Callable[[Event], None]] = None) -> Lock:
        """Several names, all or none; as pawl.Client.lock_all."""
        return Lock(self, spec_of_all(names, ttl, timeout, blocking, owner, detached, reentrant,
                                      mode), on_event)

    def once(self, name: Union[str, bytes], every: Seconds, *, keep_on_failure: bool = False,
             ttl: Seconds = 30.0, timeout: Optional[Seconds] = None, blocking: bool = True,
             owner: Optional[str] = None) -> "Job":
        """A job that succeeds at most once in a period; as pawl.Client.once."""
        return Job(self, spec_of(name, ttl, timeout, blocking, owner, 0.0, False, False, "exclusive"),
                   milliseconds(every), keep_on_failure)

    def election(self, name: Union[str, bytes], *, value: Union[str, bytes, None] = None,
                 ttl: Seconds = 30.0, timeout: Optional[Seconds] = None, blocking: bool = True,
                 owner: Optional[str] = None,
                 on_event: Optional[Callable[[Event], None]] = None) -> "Election":
        """A candidate for the lead of a name; as pawl.Client.election."""
        return Election(self.lock(name, ttl=ttl, timeout=timeout, blocking=blocking, owner=owner,
                                  on_event=on_event), value)

    def latch(self, name: Union[str, bytes], count: int, *, keep: Seconds = 86400.0) -> "Latch":
        """Opens when it was counted down `count` times; as pawl.Client.latch."""
        return Latch(self, LatchTerms(encode(name), count, keep))

    def barrier(self, name: Union[str, bytes], parties: int, *, ttl: Seconds = 30.0) -> "Barrier":
        """Lets `parties` tasks through together; as pawl.Client.barrier."""
        return Barrier(self, BarrierTerms(encode(name), parties, ttl))

    async def leader(self, name: Union[str, bytes], *, timeout: Seconds = 60.0) -> Leader:
        """Who leads now."""
        return cast(Leader, await self._ask(ask_leader, encode(name), wait_ms(timeout)))

    def observe(self, name: Union[str, bytes]) -> "Observer":
        """``async for leader in client.observe(name)``: what is known of the leader, now and whenever
        that changes. What changes faster than you look is left out but for the latest."""
        return Observer(self, name)

    async def _acquire(self, core: Core, lock: Lock, wait: int) -> "tuple[Acquisition, int]":
        assert self._loop is not None
        acquisition = Acquisition(next(self._idents), lock, core, self._loop)
        code: int = lib.pawlpy_tell_acquire(acquisition.handle, wait, acquisition.teller)
        return acquisition, code or await self._outcome(acquisition)

    async def _outcome(self, call: Call) -> int:
        """Of a call that has begun."""
        self._all[call.ident] = call
        try:
            code = await call.decided
        except BaseException:
            self._give_up(call)
            raise
        if code:
            self._all.pop(call.ident, None)
        return code

    def _give_up(self, call: Call) -> None:
        """The task that waited was cancelled. Its place is given up now; its outcome comes later, and
        until then libpawl may use the teller."""
        decided = call.decided
        if decided.done() and not decided.cancelled():
            self._all.pop(call.ident, None)
            call.give_back()
            return
        decided.cancel()
        call.give_up()

    async def _release(self, held: Call, wait: int,
                       start: "Optional[Callable[[], int]]" = None) -> int:
        assert self._loop is not None
        held.decided = self._loop.create_future()
        code: int = start() if start else lib.pawlpy_tell_release(held.handle, held.teller)
        if code:
            return code
        held.is_releasing = True
        try:
            await asyncio.wait({held.decided}, timeout=None if wait < 0 else wait / 1000)
        finally:
            held.is_releasing = not held.decided.done()
            held.decided.cancel()  # unless it is done
        return int(lib.PAWL_ERR_UNKNOWN) if held.is_releasing else held.decided.result()

    async def _upgrade(self, held: Acquisition, wait: int) -> int:
        assert self._loop is not None
        if held.is_left and held.upgrading is not None:
            await asyncio.wait({held.upgrading})  # it was called off, and ends now
        code: int = lib.pawlpy_tell_upgrade(held.handle, wait, held.teller)
        if code:
            return code
        outcome = held.upgrading = self._loop.create_future()
        try:
            await asyncio.wait({outcome})
        except BaseException:
            if not outcome.done():
                held.is_left = True
                lib.pawl_lock_cancel(held.handle)
            raise
        is_released = outcome.result() == lib.PAWL_ERR_CANCELED
        return int(lib.PAWL_ERR_NOT_HELD if is_released else outcome.result())

    def _fail(self, code: int, op: str, lock: str) -> Error:
        core = self._core
        return core.error(code, op, lock) if core else make_error(code, op, lock)

    # ---- Looking, and breaking --------------------------------------------------------------------------

    async def _ask(self, call: Callable[..., Any], *arguments: Any) -> Any:
        core = self._present()
        return await asyncio.get_running_loop().run_in_executor(None, call, core, *arguments)

    async def inspect(self, name: Union[str, bytes], *, timeout: Seconds = 60.0) -> Info:
        """One lock as its store sees it, also a free one."""
        return cast(Info, await self._ask(_ask.inspect, encode(name), wait_ms(timeout)))

    async def list(self, prefix: Union[str, bytes] = "", *, timeout: Seconds = 60.0) -> "List[Info]":
        """Every lock that is held or waited for and whose name begins with prefix. No snapshot."""
        return cast("List[Info]", await self._ask(_ask.list_all, encode(prefix), wait_ms(timeout)))

    async def caps(self, *, timeout: Seconds = 60.0) -> Caps:
        """What the store promises."""
        return cast(Caps, await self._ask(_ask.caps, wait_ms(timeout)))

    async def doctor(self, *, timeout: Seconds = 60.0) -> "List[Finding]":
        """What of the store endangers locks."""
        return cast("List[Finding]", await self._ask(_ask.doctor, wait_ms(timeout)))

    async def break_lock(self, name: Union[str, bytes], fence: int, *,
                         timeout: Seconds = 60.0) -> None:
        """As pawl.Client.break_lock."""
        await self._ask(_ask.break_lock, encode(name), fence, wait_ms(timeout))

    async def renew_token(self, name: Union[str, bytes], token: str, ttl: Seconds, *,
                          timeout: Seconds = 60.0) -> int:
        """As pawl.Client.renew_token."""
        return int(await self._ask(_ask.renew_token, encode(name), token, milliseconds(ttl),
                                   wait_ms(timeout)))

    async def release_token(self, name: Union[str, bytes], token: str, *,
                            timeout: Seconds = 60.0) -> None:
        """As pawl.Client.release_token."""
        await self._ask(_ask.release_token, encode(name), token, wait_ms(timeout))

    async def check_token(self, name: Union[str, bytes], token: str, *,
                          timeout: Seconds = 60.0) -> float:
        """As pawl.Client.check_token."""
        return float(await self._ask(_ask.check_token, encode(name), token, wait_ms(timeout)))

    @property
    def closed(self) -> bool:
        return self._closed

    @property
    def url(self) -> str:
        """The store's URL without its password; "" before the first use."""
        return self._core.url if self._core else ""

    @property
    def owner(self) -> str:
        """The client's label as others see it; "" before the first use."""
        return self._core.owner if self._core else ""


from ._aio_composed import Election, Job, Observer, once  # noqa: E402: made of what is above
from ._aio_latch import Barrier, Latch  # noqa: E402


__all__ = ["Barrier", "Client", "Election", "Job", "Latch", "Lock", "Lost", "Observer", "once"]
