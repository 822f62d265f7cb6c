# SPDX-License-Identifier: MIT
"""Who leads."""
from __future__ import annotations

import functools
import threading
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Callable, Optional, Type, Union

from . import _core
from ._ask import ask
from ._core import Core, Seconds, decode, encode, wait_ms
from ._errors import Error, make_error, text
from ._handles import owned
from ._lock import Lock
from ._native import ffi, lib

if TYPE_CHECKING:
    from ._client import Client


@dataclass(frozen=True)
class Leader:
    """What is known of the leader. Its label and its value are what others have chosen."""

    leads: bool  # somebody does
    owner: str  # its label; "" if nobody leads
    fence: int  # of its lease
    remaining: Optional[float]  # seconds until its lease ends, unless it is renewed; None: never
    value: Optional[bytes]  # what it has proclaimed; None: nothing yet
    error: Optional[Error] = None  # why nothing is known now


def leader_of(report: Any, name: str) -> Leader:
    value = ffi.unpack(report.value, report.value_len) if report.has_value else None
    error = make_error(report.err, "observe", name) if report.err else None
    remaining = report.remaining_ms / 1000 if report.remaining_ms >= 0 else None
    return Leader(bool(report.leads), text(report.owner), int(report.fence), remaining, value, error)


def ask_leader(core: Core, name: bytes, wait: int) -> Leader:
    report = ffi.new("pawlpy_leader *")
    ask(core, "leader", name,
        lambda: lib.pawlpy_leader_now(core.ptr, name, len(name), wait, report))
    return leader_of(report, decode(name))


def _free_observer(made: int, teller: Any, inbox: Any, observer: Any) -> None:
    """The inbox goes after its tellers."""
    if made == _core.generation:
        lib.pawlpy_observer_free(observer)
        lib.pawlpy_teller_free(teller)


def new_observer(core: Core, name: bytes, teller: Any) -> Any:
    made = ffi.new("pawlpy_observer **")
    code = lib.pawlpy_observer_new(core.ptr, name, len(name), teller, made)
    if code:
        lib.pawlpy_teller_free(teller)
        raise core.error(code, "observe", decode(name))
    return owned(made[0], functools.partial(_free_observer, core.generation, teller, core.inbox))


def take_leader(observer: Any, name: str) -> Leader:
    report = ffi.new("pawlpy_leader *")
    lib.pawlpy_observer_take(observer, report)
    return leader_of(report, name)


class Observer:
    """Follows the leader until stop(), the end of its ``with`` block, or as long as you keep it."""

    def __init__(self, client: "Client", name: bytes, call: Callable[[Leader], None]) -> None:
        core = client._present()
        self.name = decode(name)
        self._call = call
        self._handle: Any = None
        self._making = threading.Lock()  # news may come before there is a handle to ask
        with self._making:
            _, teller = client._events_of(core).register(self)
            self._handle = new_observer(core, name, teller)

    def _told(self, news: Any) -> None:
        with self._making:
            handle = self._handle
        if handle is not None:
            self._call(take_leader(handle, self.name))

    def stop(self) -> None:
        """Nothing more is told, but for what is being told just now."""
        self._handle = None

    def __enter__(self) -> "Observer":
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        self.stop()


class Election:
    """One candidate for the lead of a name. The leader holds the exclusive lock of that name, so
    everything that Lock says of a loss holds for the lead.

        with client.election("scheduler", value="10.0.0.7:80") as leading:
            while leading.check():
                work(fence=leading.fence)

    ``with`` waits for the lead, proclaims the value, and resigns at the end; Lost is raised there if the
    lead was lost meanwhile.
    """

    def __init__(self, lock: Lock, value: Union[str, bytes, None]) -> None:
        self._lock = lock
        self._value = None if value is None else encode(value)

    @property
    def name(self) -> str:
        return self._lock.name

    def campaign(self, blocking: bool = True, timeout: Optional[Seconds] = None) -> bool:
        """Waits for the lead, as Lock.acquire, and proclaims the value if there is one. False: somebody
        else leads."""
        if not self._lock.acquire(blocking, timeout):
            return False
        self._proclaim_first()
        return True

    def _proclaim_first(self) -> None:
        if self._value is None:
            return
        try:
            self._lock._proclaim(self._value, _core.FOREVER)
        except BaseException:
            try:
                self._lock.release()
            except Error:  # what failed first says more
                pass
            raise

    def proclaim(self, value: Union[str, bytes], *, timeout: Optional[Seconds] = None) -> None:
        """The leader makes its value known, 4096 bytes at most; it replaces the one before. Lost,
        NotHeld: it does not lead. Unknown: the store did not answer for `timeout`, or until the lease
        was over."""
        self._lock._proclaim(encode(value), wait_ms(timeout))

    def resign(self, *, timeout: Optional[Seconds] = None) -> None:
        """Leads no more: observers are told, and the lock is released. Errors as Lock.release."""
        self._lock._resign(wait_ms(timeout))

    def __enter__(self) -> "Election":
        self._lock.__enter__()
        self._proclaim_first()
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        try:
            self.resign()
        except Error as lost:
            if error is None or isinstance(error, Exception):
                raise lost from error

    @property
    def leads(self) -> bool:
        """Whether it leads now, by the clock: no I/O."""
        return self._lock.held

    def check(self) -> float:
        """Raises Lost unless it leads now; returns the seconds until the deadline."""
        return self._lock.check()

    @property
    def fence(self) -> int:
        """The fencing token of the lead; see Lock.fence."""
        return self._lock.fence

    @property
    def lock(self) -> Lock:
        """The lock of the lead."""
        return self._lock

    def __repr__(self) -> str:
        return f"<pawl.Election {self.name!r}{' leads' if self.leads else ''}>"
