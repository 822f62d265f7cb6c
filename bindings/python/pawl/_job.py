# SPDX-License-Identifier: MIT
"""A job that runs once in a period, in the whole fleet."""
from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from types import TracebackType
from typing import TYPE_CHECKING, Any, Callable, Optional, Type

from . import _core
from ._ask import ask
from ._core import Core, Seconds, wait_ms
from ._errors import Done, Error, make_error, text
from ._handles import owned
from ._lock import on_any_thread
from ._native import ffi, lib
from ._spec import Spec

if TYPE_CHECKING:
    from ._client import Client

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


class Outcome(enum.Enum):
    """How a run went."""

    NEVER = lib.PAWL_ONCE_NEVER  # nothing is known: it never ran, or so long ago that it was forgotten
    SUCCEEDED = lib.PAWL_ONCE_SUCCEEDED
    FAILED = lib.PAWL_ONCE_FAILED  # it gave its period back
    FAILED_KEPT = lib.PAWL_ONCE_FAILED_KEPT  # it counts: keep_on_failure


@dataclass(frozen=True)
class JobInfo:
    """The latest run of a job that has ended. Times are the store's."""

    outcome: Outcome
    due: bool  # no run of this period counts: one may run
    began: Optional[datetime]  # None if NEVER
    ended: Optional[datetime]
    now: datetime
    next: datetime  # when the next period begins
    fence: int  # of its lease; 0 if NEVER
    owner: str  # its label; others have chosen it


def _time(us: int) -> Optional[datetime]:
    return _EPOCH + timedelta(microseconds=us) if us else None


def info_of(once: Any) -> JobInfo:
    """What the latest begin or look of a handle found."""
    found = ffi.new("pawl_once_info *")
    lib.pawl_once_last_sized(once, found, ffi.sizeof("pawl_once_info"))
    return JobInfo(Outcome(found.outcome), bool(found.due), _time(found.began_us),
                   _time(found.ended_us), _EPOCH + timedelta(microseconds=found.now_us),
                   _EPOCH + timedelta(microseconds=found.next_us), int(found.fence),
                   text(found.owner))


def new_once(core: Core, spec: Spec, every_ms: int, keep: bool, teller: Any = ffi.NULL) -> Any:
    """A pawl_once; who gets it frees it."""
    made = ffi.new("pawl_once **")
    code = lib.pawlpy_once_new(core.ptr, spec.raw, len(spec.raw), every_ms, keep, spec.opts, teller,
                               made)
    if code:
        raise core.error(code, "once", spec.name)
    return made[0]


class Job:
    """At most one successful run in each period, among all who name it. One thread at a time.

        job = client.once("nightly", every=timedelta(days=1))
        if not job.run(backup):
            print("somebody has done it")

    ``with job as run:`` is the same without a function: Done is raised if a run of this period counts.
    A block that raises has failed, and gives the period back.
    """

    def __init__(self, client: "Client", spec: Spec, every_ms: int, keep_on_failure: bool) -> None:
        self._client = client
        self._spec = spec
        self._every_ms = every_ms
        self._keep = keep_on_failure
        self._core: Optional[Core] = None
        self._handle: Any = None
        self._runs = False

    @property
    def name(self) -> str:
        return self._spec.name

    def run(self, function: "Callable[..., Any]", *args: Any, **kwargs: Any) -> bool:
        """Runs it, and tells whether: False, if it has been done in this period. What the function
        raises comes out of here; then the run has failed. Lost: it has run, but the lock was lost
        meanwhile, so that another one may have run as well. Busy, Timeout: somebody runs it now."""
        try:
            self.__enter__()
        except Done:
            return False
        try:
            function(*args, **kwargs)
        except BaseException as error:
            self.__exit__(type(error), error, error.__traceback__)
            raise
        self.__exit__(None, None, None)
        return True

    def __enter__(self) -> "Job":
        handle, wait = self._present(), self._spec.default_wait
        try:
            code = on_any_thread(lambda: lib.pawl_once_begin(handle, wait),
                                 lambda waiting: lib.pawlpy_wait_begin(handle, wait, waiting),
                                 self._abandon)
        except BaseException:
            self._abandon()
            raise
        if code:
            raise self._fail(code, "once")
        self._runs = True
        return self

    def _present(self) -> Any:
        core = self._client._present()
        if self._core is not core or self._handle is None:
            made = new_once(core, self._spec, self._every_ms, self._keep)
            self._core, self._handle, self._runs = core, owned(made, lib.pawl_once_free), False
        return self._handle

    def _abandon(self) -> None:
        """The caller goes: what waits ends, and what comes of it is given back."""
        handle, self._handle = self._handle, None
        if handle is not None:
            ffi.release(handle)

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        try:
            self._end(error is None)
        except Error as why:
            # A loss matters more than what the block made of it; but Ctrl-C stays Ctrl-C.
            if error is None or isinstance(error, Exception) and why.code == lib.PAWL_ERR_LOST:
                raise why from error

    def _end(self, success: bool) -> None:
        if self._core is not None and self._core.generation != _core.generation:
            raise make_error(lib.PAWL_ERR_FORKED, "once", self.name)
        handle, self._runs = self._handle, False
        code = on_any_thread(lambda: lib.pawl_once_end(handle, success, _core.FOREVER),
                             lambda waiting: lib.pawlpy_wait_end(handle, success, _core.FOREVER,
                                                                 waiting),
                             self._leave)
        if code:
            raise self._fail(code, "once")

    def _leave(self) -> None:
        """The caller goes before the store has answered."""
        if self._core is not None:
            self._core.linger(self._handle)

    # ---- The run -----------------------------------------------------------------------------------

    @property
    def held(self) -> bool:
        """Whether its lock is held now, by the clock."""
        return self._runs and bool(lib.pawl_lock_is_held(lib.pawl_once_lock(self._handle)))

    def check(self) -> float:
        """Raises Lost unless the run still has its lock; returns the seconds until the deadline. Ask
        before each step that cannot be undone."""
        if not self._runs:
            raise self._fail(lib.PAWL_ERR_NOT_HELD, "check")
        remaining: int = lib.pawl_lock_remaining_ms(lib.pawl_once_lock(self._handle))
        if remaining <= 0:
            raise self._fail(lib.PAWL_ERR_LOST, "check")
        return remaining / 1000

    @property
    def fence(self) -> int:
        """Of the lock of the latest run of this object; 0 before the first."""
        return int(lib.pawl_lock_fence(lib.pawl_once_lock(self._handle))) if self._handle else 0

    # ---- Looking -----------------------------------------------------------------------------------

    def look(self, *, timeout: Seconds = 60.0) -> JobInfo:
        """Asks the store how the latest run went, without the lock."""
        handle, core, wait = self._present(), self._client._present(), wait_ms(timeout)
        try:
            ask(core, "look", self._spec.raw, lambda: lib.pawl_once_look(handle, wait))
        except Error:
            raise
        except BaseException:
            self._handle = None  # who was interrupted leaves the question behind, and its handle with it
            raise
        return info_of(handle)

    def last(self) -> JobInfo:
        """What the latest run, try or look of this object found; no I/O."""
        return info_of(self._present())

    def _fail(self, code: int, op: str) -> Error:
        core = self._core
        return core.error(code, op, self.name) if core else make_error(code, op, self.name)

    def __repr__(self) -> str:
        return f"<pawl.Job {self.name!r}{' running' if self._runs else ''}>"
