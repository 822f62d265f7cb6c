# SPDX-License-Identifier: MIT
"""Jobs, elections and functions that run in one place, for asyncio."""
from __future__ import annotations

import asyncio
import functools
from types import TracebackType
from typing import TYPE_CHECKING, Any, Awaitable, Callable, Optional, Type, TypeVar, Union, cast

from . import _core, aio
from ._aio_call import Acquisition
from ._core import Core, Seconds, decode, encode, wait_ms
from ._election import Leader, new_observer, take_leader
from ._errors import Busy, Done, Error
from ._handles import owned
from ._job import JobInfo, info_of, new_once
from ._native import ffi, lib
from ._once import Name, name_of
from ._spec import Spec
from .aio import Lock, _take_back

if TYPE_CHECKING:
    from .aio import Client

_RETRY = 0.02  # seconds until what could not be called off yet is called off again


Function = TypeVar("Function", bound=Callable[..., Any])


def once(client: "Union[Client, Callable[[], Client]]", name: Name, *, ttl: Seconds = 30.0,
         timeout: Seconds = 0.0, busy: Any = None,
         held_as: Optional[str] = None) -> Callable[[Function], Function]:
    """Makes a coroutine function that runs in one place only; see pawl.once."""
    def decorate(function: Function) -> Function:
        @functools.wraps(function)
        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            where = client if isinstance(client, aio.Client) else client()
            lock = where.lock(name_of(name, args, kwargs), ttl=ttl, timeout=timeout)
            try:
                await lock.__aenter__()
            except Busy:
                return busy
            if held_as is not None:
                kwargs[held_as] = lock
            try:
                result = await function(*args, **kwargs)
            except BaseException as error:
                await lock.__aexit__(type(error), error, error.__traceback__)
                raise
            await lock.__aexit__(None, None, None)
            return result

        return cast(Function, wrapper)

    return decorate


def _free_once(handle: Any, once: Any) -> None:
    lib.pawl_once_free(once)


class _Run(Acquisition):
    """A run of a job, from the wish to its end."""

    __slots__ = ("once", "loop")

    def __init__(self, ident: int, job: "Job", core: Core, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(ident, job._lock, core, loop)
        self.loop = loop
        made = new_once(core, job._lock._spec, job._every_ms, job._keep, self.teller)
        # The handle that super() made owns the teller, so it goes after this one.
        self.once = owned(made, functools.partial(_free_once, self.handle))
        self.handle = lib.pawl_once_lock(made)

    def give_up(self) -> None:
        if not self.is_over and lib.pawl_lock_cancel(self.handle) == lib.PAWL_ERR_STATE:
            self.loop.call_later(_RETRY, self.give_up)  # it asks the store something first

    def give_back(self) -> None:
        ffi.release(self.once)


class Job:
    """As pawl.Job, for tasks: ``await job.run(coroutine_function)``, or ``async with job as run:``, whose
    task is cancelled if the lock is lost; the block ends with Lost then."""

    def __init__(self, client: "Client", spec: Spec, every_ms: int, keep_on_failure: bool) -> None:
        self._client = client
        self._lock = Lock(client, spec, None)
        self._every_ms = every_ms
        self._keep = keep_on_failure
        self._run: Optional[_Run] = None
        self._latest_fence = 0

    @property
    def name(self) -> str:
        return self._lock.name

    async def run(self, function: "Callable[..., Awaitable[Any]]", *args: Any, **kwargs: Any) -> bool:
        """As pawl.Job.run."""
        try:
            await self.__aenter__()
        except Done:
            return False
        try:
            await function(*args, **kwargs)
        except BaseException as error:
            await self.__aexit__(type(error), error, error.__traceback__)
            raise
        await self.__aexit__(None, None, None)
        return True

    async def __aenter__(self) -> "Job":
        core = self._client._present()
        if self._run is not None:
            raise self._fail(lib.PAWL_ERR_STATE, "once")
        assert self._client._loop is not None
        run = _Run(next(self._client._idents), self, core, self._client._loop)
        code: int = lib.pawlpy_tell_begin(run.once, self._lock._spec.default_wait, run.teller)
        code = code or await self._client._outcome(run)
        if code:
            raise self._fail(code, "once")
        task = asyncio.current_task()
        run.task = task
        run.tasks_cancels = task.cancelling() if hasattr(task, "cancelling") else 0  # type: ignore
        self._run, self._latest_fence = run, int(lib.pawl_lock_fence(run.handle))
        return self

    async def __aexit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException],
                        trace: Optional[TracebackType]) -> None:
        run, self._run = self._run, None
        assert run is not None
        task, run.task = run.task, None
        is_ours = False
        if run.lost is not None:  # our cancellation has served its purpose, unless there are others
            is_ours = _take_back(task) <= run.tasks_cancels and isinstance(error, asyncio.CancelledError)
        try:
            await self._end(run, error is None)
        except Error as why:
            failure = run.lost.error if run.lost is not None and run.lost.error else why
            is_loss = run.lost is not None or why.code == lib.PAWL_ERR_LOST
            if error is None or is_ours or isinstance(error, Exception) and is_loss:
                raise failure from error

    async def _end(self, run: _Run, success: bool) -> None:
        try:
            code = await self._client._release(
                run, _core.FOREVER, lambda: int(lib.pawlpy_tell_end(run.once, success, _core.FOREVER,
                                                                    run.teller)))
        finally:
            run.is_over = True
            self._client._forget(run)
        if code:
            raise self._fail(code, "once")

    @property
    def held(self) -> bool:
        """Whether its lock is held now, by the clock."""
        return self._run is not None and bool(lib.pawl_lock_is_held(self._run.handle))

    def check(self) -> float:
        """Raises Lost unless the run still has its lock; returns the seconds until the deadline."""
        if self._run is None:
            raise self._fail(lib.PAWL_ERR_NOT_HELD, "check")
        remaining: int = lib.pawl_lock_remaining_ms(self._run.handle)
        if remaining <= 0:
            raise self._fail(lib.PAWL_ERR_LOST, "check")
        return remaining / 1000

    @property
    def fence(self) -> int:
        """Of the lock of the latest run of this object; 0 before the first."""
        return self._latest_fence

    async def look(self, *, timeout: Seconds = 60.0) -> JobInfo:
        """Asks the store how the latest run went, without the lock."""
        return cast(JobInfo, await self._client._ask(self._look, wait_ms(timeout)))

    def _look(self, core: Core, wait: int) -> JobInfo:
        once = owned(new_once(core, self._lock._spec, self._every_ms, self._keep),
                     lib.pawl_once_free)
        code = lib.pawl_once_look(once, wait)
        if code:
            raise core.error(code, "look", self.name)
        return info_of(once)

    def _fail(self, code: int, op: str) -> Error:
        return self._client._fail(code, op, self.name)

    def __repr__(self) -> str:
        return f"<pawl.aio.Job {self.name!r}{' running' if self._run else ''}>"


class Election:
    """As pawl.Election, for tasks. The task in the block of ``async with`` is cancelled when the lead is
    lost, and the block ends with Lost."""

    def __init__(self, lock: Lock, value: Union[str, bytes, None]) -> None:
        self._lock = lock
        self._client = lock._client
        self._value = None if value is None else encode(value)

    @property
    def name(self) -> str:
        return self._lock.name

    async def campaign(self, blocking: bool = True, timeout: Optional[Seconds] = None) -> bool:
        """As pawl.Election.campaign. A task that is cancelled while it waits leaves the queue."""
        if not await self._lock.acquire(blocking, timeout):
            return False
        await self._proclaim_first()
        return True

    async def _proclaim_first(self) -> None:
        if self._value is None:
            return
        try:
            await self.proclaim(self._value)
        except BaseException:
            try:
                await self._lock.release()
            except Error:  # what failed first says more
                pass
            raise

    async def proclaim(self, value: Union[str, bytes], *, timeout: Optional[Seconds] = None) -> None:
        """As pawl.Election.proclaim. One after the other: what a cancelled task has begun to say may
        still be said."""
        held, raw = self._lock._present("proclaim"), encode(value)
        while held.saying is not None:
            await asyncio.wait({held.saying})
        code: int = lib.pawlpy_tell_proclaim(held.handle, raw, len(raw), wait_ms(timeout), held.teller)
        if not code:
            assert self._client._loop is not None
            said = held.saying = self._client._loop.create_future()
            await asyncio.wait({said})
            code = said.result()
        if code:
            raise self._client._fail(code, "proclaim", self.name)

    async def resign(self, *, timeout: Optional[Seconds] = None) -> None:
        """As pawl.Election.resign."""
        held, wait = self._lock._take("resign"), wait_ms(timeout)
        try:
            code = await self._client._release(
                held, _core.FOREVER,
                lambda: int(lib.pawlpy_tell_resign(held.handle, wait, held.teller)))
        finally:
            self._lock._end(held)
        if code:
            raise self._client._fail(code, "resign", self.name)

    async def __aenter__(self) -> "Election":
        await self._lock.__aenter__()
        await self._proclaim_first()
        return self

    async def __aexit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException],
                        trace: Optional[TracebackType]) -> None:
        if self._lock._held is None or self._lock._held.lost is not None or not self.leads:
            await self._lock.__aexit__(kind, error, trace)
            return
        try:
            await self.resign()
        except Error as why:
            if error is None or isinstance(error, Exception):
                raise why from error

    @property
    def leads(self) -> bool:
        """Whether it leads now, by the clock: no I/O."""
        return self._lock.held

    def check(self) -> float:
        """Raises Lost unless it leads now; returns the seconds until the deadline."""
        return self._lock.check()

    @property
    def fence(self) -> int:
        """The fencing token of the lead."""
        return self._lock.fence

    @property
    def lock(self) -> Lock:
        """The lock of the lead."""
        return self._lock

    def __repr__(self) -> str:
        return f"<pawl.aio.Election {self.name!r}{' leads' if self.leads else ''}>"


class Observer:
    """Follows the leader: an asynchronous iterator, until stop() or the close of the client. Begins with
    its first step."""

    def __init__(self, client: "Client", name: Union[str, bytes]) -> None:
        self._client = client
        self.name = decode(encode(name))
        self._ident = 0
        self._handle: Any = None
        self._news = asyncio.Event()
        self._is_over = False

    def __aiter__(self) -> "Observer":
        return self

    async def __anext__(self) -> Leader:
        if not self._is_over and self._handle is None:
            self._begin()
        await self._news.wait()
        if self._is_over:
            raise StopAsyncIteration
        self._news.clear()
        return take_leader(self._handle, self.name)

    def _begin(self) -> None:
        core = self._client._present()
        self._ident = next(self._client._idents)
        self._handle = new_observer(core, encode(self.name), core.new_teller(self._ident))
        self._client._observers[self._ident] = self

    def _told(self) -> None:
        self._news.set()

    def stop(self) -> None:
        """Ends the iteration."""
        self._is_over, self._handle = True, None
        self._client._observers.pop(self._ident, None)
        self._news.set()

    async def __aenter__(self) -> "Observer":
        return self

    async def __aexit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException],
                        trace: Optional[TracebackType]) -> None:
        self.stop()
