# SPDX-License-Identifier: MIT
"""Clients for threads."""
from __future__ import annotations

import logging
from types import TracebackType
from typing import Callable, Iterable, List, Optional, Type, Union

from . import _ask, _core
from ._ask import Caps, Finding, Info
from ._core import Core, Seconds, encode, milliseconds, wait_ms
from ._election import Election, Leader, Observer, ask_leader
from ._errors import make_error
from ._events import Event, Events, LogFunction, log_function
from ._job import Job
from ._latch import Barrier, BarrierTerms, Latch, LatchTerms
from ._lock import Lock
from ._native import lib
from ._rwlock import RWLock
from ._spec import Mode, permits_of, spec_of, spec_of_all


class Client:
    """One store, one connection, any number of locks. Threads may share it.

    url: "redis://127.0.0.1", "sqlite:/var/lib/app/locks.db", "memory:" ...; None: $PAWL_STORE, or
    the default SQLite file. It does not wait for the store: the first acquisition does.
    owner: a label that people see beside the locks; default "user@host pid program".
    store_timeout: how many seconds a call waits for a store that is away; None: only its own timeout
    ends it.
    close_timeout: how long close() waits for its releases to be confirmed.
    log: a Logger, or a function of (level, line), that receives what pawl notices by itself.

    In a child of fork it opens itself anew when it is used, and its locks are not held there.
    """

    def __init__(self, url: Optional[str] = None, *, owner: Optional[str] = None,
                 store_timeout: Optional[Seconds] = 5.0, close_timeout: Seconds = 1.0,
                 log: Union[LogFunction, logging.Logger, None] = None) -> None:
        self._args = (url, owner, wait_ms(store_timeout), milliseconds(close_timeout))
        self._log = log_function(log)
        self._closed = False
        self._events: Optional[Events] = None
        with _core.opening:
            self._core = self._open()

    def _open(self) -> Core:
        url, owner, store_timeout, close_timeout = self._args
        core = Core(url, owner, store_timeout, close_timeout, dispatch=False,
                    logs=self._log is not None)
        self._events = Events(core, self._log) if self._log else None
        return core

    def _present(self) -> Core:
        """The client in this process."""
        core = self._core
        if core.generation == _core.generation:
            return core
        return self._open_anew()

    def _open_anew(self) -> Core:
        if self._closed:
            raise make_error(lib.PAWL_ERR_CLOSED, "open")
        with _core.opening:
            if self._core.generation != _core.generation:
                self._core = self._open()
            return self._core

    def _events_of(self, core: Core) -> Events:
        with _core.opening:
            if self._events is None:
                self._events = Events(core, None)
            return self._events

    def lock(self, name: Union[str, bytes], *, ttl: Seconds = 30.0,
             timeout: Optional[Seconds] = None, blocking: bool = True, owner: Optional[str] = None,
             retain: Seconds = 0.0, detached: bool = False, reentrant: bool = False,
             mode: Mode = "exclusive",
             on_event: Optional[Callable[[Event], None]] = None) -> Lock:
        """A lock on a name of 1 to 512 bytes. No I/O, nothing is acquired yet.

        mode: "exclusive": alone; "shared": beside others who share; "update": one beside those who
        share, which Lock.upgrade makes exclusive. caps() tells which of them the store grants.
        ttl: the length of the lease in seconds, renewed at a third of it until the release.
        timeout: how long ``with`` and acquire() wait; None: without limit; blocking=False: not at all.
        owner: a label for this lock alone.
        retain: keep the lease that long after a release for this client's next acquisition, unless
        another client wants it.
        detached: the lease outlives this process; see Lock.detach.
        reentrant: whoever has the Lock may acquire it again while it is held, at once; the last release
        gives it back. The Lock counts, not the thread: those that share it do not exclude each other.
        on_event: told of doubt, of loss, and of others who wait, on a thread of its own.
        """
        return Lock(self, spec_of(name, ttl, timeout, blocking, owner, retain, detached, reentrant,
                                  mode), on_event)

    def rwlock(self, name: Union[str, bytes], *, ttl: Seconds = 30.0,
               timeout: Optional[Seconds] = None, blocking: bool = True,
               owner: Optional[str] = None, retain: Seconds = 0.0, detached: bool = False,
               on_event: Optional[Callable[[Event], None]] = None) -> "RWLock[Lock]":
        """Many readers or one writer: ``with client.rwlock("x").read() as held:``. The arguments are
        those of lock()."""
        return RWLock(lambda mode: self.lock(
            name, ttl=ttl, timeout=timeout, blocking=blocking, owner=owner, retain=retain,
            detached=detached, mode=mode, on_event=on_event))

    def semaphore(self, name: Union[str, bytes], capacity: int, units: int = 1, *,
                  ttl: Seconds = 30.0, timeout: Optional[Seconds] = None, blocking: bool = True,
                  owner: Optional[str] = None, retain: Seconds = 0.0, detached: bool = False,
                  on_event: Optional[Callable[[Event], None]] = None) -> Lock:
        """`units` of the `capacity` permits of a name: a Lock in the mode "permit", whose
        `slots` are their numbers. All users of the name give the same capacity, 1 to 1024. One such
        object is held once at a time: threads make one each. The other arguments are those of lock()."""
        return Lock(self, permits_of(name, capacity, units, ttl, timeout, blocking, owner, retain,
                                     detached), on_event)

    def lock_all(self, names: "Iterable[Union[str, bytes]]", *, ttl: Seconds = 30.0,
                 timeout: Optional[Seconds] = None, blocking: bool = True,
                 owner: Optional[str] = None, detached: bool = False, reentrant: bool = False,
                 mode: Mode = "exclusive",
                 on_event: Optional[Callable[[Event], None]] = None) -> Lock:
        """A lock on 1 to 64 different names: all of them or none. The loss of one is the loss of all.
        `fences` has the fence of each. Handles on several names never wait for each other in a circle,
        whatever their order. The other arguments are those of lock()."""
        return Lock(self, spec_of_all(names, ttl, timeout, blocking, owner, detached, reentrant,
                                      mode), on_event)

    # ---- What is built on locks: docs/composed.md -----------------------------------------------

    def once(self, name: Union[str, bytes], every: Seconds, *, keep_on_failure: bool = False,
             ttl: Seconds = 30.0, timeout: Optional[Seconds] = None, blocking: bool = True,
             owner: Optional[str] = None) -> Job:
        """A job that succeeds at most once in each period of `every` seconds, by the store's clock: one
        of a day begins at midnight UTC. Let nothing else use that name.

        keep_on_failure: a run that failed counts as well.
        timeout: how long a run waits for another that is under way; see lock()."""
        return Job(self, spec_of(name, ttl, timeout, blocking, owner, 0.0, False, False, "exclusive"),
                   milliseconds(every), keep_on_failure)

    def election(self, name: Union[str, bytes], *, value: Union[str, bytes, None] = None,
                 ttl: Seconds = 30.0, timeout: Optional[Seconds] = None, blocking: bool = True,
                 owner: Optional[str] = None,
                 on_event: Optional[Callable[[Event], None]] = None) -> Election:
        """A candidate for the lead of a name. value: what it proclaims when it leads, an address, say.
        The other arguments are those of lock()."""
        return Election(self.lock(name, ttl=ttl, timeout=timeout, blocking=blocking, owner=owner,
                                  on_event=on_event), value)

    def leader(self, name: Union[str, bytes], *, timeout: Seconds = 60.0) -> Leader:
        """Who leads now."""
        return ask_leader(self._present(), encode(name), wait_ms(timeout))

    def observe(self, name: Union[str, bytes], call: Callable[[Leader], None]) -> Observer:
        """Calls with what is known of the leader, now and whenever that changes, on the thread of
        events. What changes faster than you look is left out but for the latest."""
        return Observer(self, encode(name), call)

    def latch(self, name: Union[str, bytes], count: int, *, keep: Seconds = 86400.0) -> Latch:
        """Opens when it was counted down `count` times, 1 to 1000000; all who use it give the same. Let
        nothing else use that name.

        keep: how long the store keeps it after the latest count."""
        return Latch(self, LatchTerms(encode(name), count, keep))

    def barrier(self, name: Union[str, bytes], parties: int, *, ttl: Seconds = 30.0) -> Barrier:
        """Lets `parties` callers, 1 to 1000, through together; all give the same. The name has 507 bytes
        at most; let nothing else use it, nor NAME.gate.

        ttl: the lease of one that waits. If it dies, the others learn of it when that is over."""
        return Barrier(self, BarrierTerms(encode(name), parties, ttl))

    # ---- Looking, and breaking -----------------------------------------------------------------

    def inspect(self, name: Union[str, bytes], *, timeout: Seconds = 60.0) -> Info:
        """One lock as its store sees it, also a free one."""
        return _ask.inspect(self._present(), encode(name), wait_ms(timeout))

    def list(self, prefix: Union[str, bytes] = "", *, timeout: Seconds = 60.0) -> "List[Info]":
        """Every lock that is held or waited for and whose name begins with prefix. No snapshot."""
        return _ask.list_all(self._present(), encode(prefix), wait_ms(timeout))

    def caps(self, *, timeout: Seconds = 60.0) -> Caps:
        """What the store promises."""
        return _ask.caps(self._present(), wait_ms(timeout))

    def doctor(self, *, timeout: Seconds = 60.0) -> "List[Finding]":
        """What of the store endangers locks."""
        return _ask.doctor(self._present(), wait_ms(timeout))

    def break_lock(self, name: Union[str, bytes], fence: int, *, timeout: Seconds = 60.0) -> None:
        """Takes a lock from its holder, if its present fence is `fence`: inspect first, then break what
        you saw. NotHeld: it is free, or has another fence by now."""
        _ask.break_lock(self._present(), encode(name), fence, wait_ms(timeout))

    def renew_token(self, name: Union[str, bytes], token: str, ttl: Seconds, *,
                    timeout: Seconds = 60.0) -> int:
        """Extends the lease that token holds by ttl from now, and returns the fence. Lost: the token
        does not hold the lock."""
        return _ask.renew_token(self._present(), encode(name), token, milliseconds(ttl),
                                wait_ms(timeout))

    def release_token(self, name: Union[str, bytes], token: str, *, timeout: Seconds = 60.0) -> None:
        """Releases the lock if token still holds it. Lost: it does not."""
        _ask.release_token(self._present(), encode(name), token, wait_ms(timeout))

    def check_token(self, name: Union[str, bytes], token: str, *, timeout: Seconds = 60.0) -> float:
        """For how many seconds token holds the lock, without extending it. Lost: it does not."""
        return _ask.check_token(self._present(), encode(name), token, wait_ms(timeout))

    # ---- The client itself --------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """The store's URL without its password."""
        return self._core.url

    @property
    def owner(self) -> str:
        """The client's label as others see it."""
        return self._present().owner

    @property
    def closed(self) -> bool:
        return self._closed

    def close(self) -> None:
        """Releases every lock, and ends every wait with Closed. Closing twice is allowed."""
        self._closed = True
        core = self._core
        if core.generation != _core.generation:
            return
        core.close()
        if self._events:
            self._events.join()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<pawl.Client {self.url!r}{' closed' if self._closed else ''}>"

