# SPDX-License-Identifier: MIT
"""Locks for threads."""
from __future__ import annotations

import threading
import time
import warnings
from types import TracebackType
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Optional, Tuple, Type

from . import _core
from ._core import Core, Seconds, wait_ms
from ._errors import Error, make_error, text
from ._events import Event, EventKind, event_of
from ._handles import is_collection
from ._native import ffi, lib
from ._spec import Mode, Spec, mode_of, number_of
from ._turn import Turn

if TYPE_CHECKING:
    from ._client import Client

_SLICE_MS = 100  # a signal that another thread has had is seen after that
_get_ident = threading.get_ident


class Lock:
    """A lock on one name.

    As a threading.Lock it may be shared by threads, which then exclude each other whatever its mode,
    and it cannot be acquired twice; but it reaches as far as the store does. Two Locks of one name
    exclude each other, too, unless their modes allow both. It belongs to whoever has the object: another thread may release it.

    ``with`` acquires and releases, and raises when it could not: Busy, Timeout, Unavailable; and
    Lost at the end of the block, if the lock was lost meanwhile.
    """

    __slots__ = ("_client", "_spec", "_on_event", "_core", "_turn", "_handle", "_grants", "_was_held",
                 "_ident", "__weakref__")

    def __init__(self, client: "Client", spec: Spec,
                 on_event: Optional[Callable[[Event], None]]) -> None:
        self._client = client
        self._spec = spec
        self._on_event = on_event
        self._core: Optional[Core] = None
        self._turn: Turn
        self._handle: Any = ffi.NULL
        self._grants: List[bool] = []  # one entry while acquired: who pops it may release
        self._was_held = False
        self._ident = 0

    # ---- Acquire ------------------------------------------------------------------------------

    def acquire(self, blocking: bool = True, timeout: Optional[Seconds] = None, *,
                blocking_timeout: Optional[Seconds] = None) -> bool:
        """Acquires, and tells whether: False if it is busy, or stayed so for `timeout` seconds.
        Without arguments it waits as long as the Lock was made for. blocking_timeout is redis-py's
        word for timeout. What is neither yes nor no, such as a store that is away, is raised."""
        if blocking_timeout is not None:
            timeout = blocking_timeout
        wait = self._wait(blocking, timeout)
        code = self._acquire(wait)
        if code in (lib.PAWL_ERR_BUSY, lib.PAWL_ERR_TIMEOUT):
            return False
        if code:
            raise self._fail(code, "lock")
        return True

    def _wait(self, blocking: bool, timeout: Optional[Seconds]) -> int:
        if not blocking:
            return 0
        return self._spec.default_wait if timeout is None else wait_ms(timeout)

    def __enter__(self) -> "Lock":
        code = self._acquire(self._spec.default_wait)
        if code:
            raise self._fail(code, "lock")
        return self

    def _acquire(self, wait: int) -> int:
        core = self._client._present()
        if core is not self._core:
            self._begin(core)
        turn = self._turn
        has_turn = False
        try:
            has_turn = turn.take(False)
            if not has_turn:
                begun = time.monotonic()
                code: int = self._wait_for_turn(core, wait)
                if code:
                    return code
                has_turn = True
                wait = _rest(wait, begun)
            if _get_ident() == _core.main_thread:
                code = self._acquire_on_main(wait)
            else:
                code = lib.pawl_lock_acquire(self._handle, wait)
        except BaseException:
            if has_turn:
                if not self._grants:  # of a re-entrant one it would be somebody else's
                    lib.pawlpy_give_up(self._handle, ffi.NULL)
                turn.give()
            raise
        if not code:
            self._grants.append(True)
            self._was_held = True
        if code or self._spec.reentrant:
            turn.give()
        return code

    def _begin(self, core: Core) -> None:
        """The first use in this process."""
        with _core.opening:
            if self._core is core:  # another thread was first
                return
            if self._core is not None:  # of the parent
                self._grants = []
            spare = None if self._on_event else core.spare(self._spec)
            if spare:
                self._handle, self._turn = spare
            else:
                self._turn = Turn()
                self._new_handle(core)
            self._core = core

    def _new_handle(self, core: Core) -> None:
        teller = ffi.NULL
        if self._on_event:
            self._ident, teller = self._client._events_of(core).register(self)
        self._handle = core.new_with(self._spec, teller)

    def _wait_for_turn(self, core: Core, wait: int) -> int:
        """Another thread has this Lock. 0, or why the turn did not come."""
        if wait == 0:
            busy: int = lib.PAWL_ERR_BUSY
            return busy
        turn = self._turn
        core.know(turn)
        came = turn.wait(wait / 1000 if wait > 0 else -1, lambda: core.closed)
        code: int = lib.PAWL_ERR_CLOSED if core.closed else lib.PAWL_ERR_TIMEOUT
        return 0 if came else code

    def _acquire_on_main(self, wait: int) -> int:
        """Handlers of signals run on this thread: so it waits in slices, while its place at the
        store stays."""
        begun = time.monotonic()
        code: int
        if 0 < wait <= _SLICE_MS:
            code = lib.pawl_lock_acquire(self._handle, wait)
            return code
        code = lib.pawlpy_try(self._handle)
        if not code or not _may_wait(code, wait):
            return code
        waiting = ffi.new("pawlpy_wait **")
        try:
            code = lib.pawlpy_wait_acquire(self._handle, _rest(wait, begun), waiting)
            return code or self._wait_in_slices(waiting[0])
        except BaseException:
            lib.pawlpy_give_up(self._handle, waiting[0])
            raise

    @staticmethod
    def _wait_in_slices(waiting: Any) -> int:
        made = _core.generation
        code: int = lib.PAWLPY_NOT_YET
        while code == lib.PAWLPY_NOT_YET:
            code = lib.pawlpy_wait_for(waiting, _SLICE_MS)
            if made != _core.generation:  # a handler of a signal forked
                forked: int = lib.PAWL_ERR_FORKED
                return forked
        lib.pawlpy_wait_free(waiting)
        return code

    # ---- Modes --------------------------------------------------------------------------------

    @property
    def mode(self) -> Mode:
        """In which it is held; while it is not held, the one in which it will be acquired."""
        return mode_of(lib.pawl_lock_mode(self._handle)) if self._grants else self._spec.mode

    @property
    def slots(self) -> "Tuple[int, ...]":
        """The numbers of the permits that it holds, the lowest first: each is one of 0 to capacity-1,
        and nobody else has it. Empty if it holds no permits."""
        return slots_of(self._handle, self._spec) if self._grants else ()

    def upgrade(self, blocking: bool = True, timeout: Optional[Seconds] = None) -> bool:
        """From update to exclusive: waits, ahead of all who queue, until the readers have gone, and
        tells whether they have: False if they stayed for `timeout` seconds, or as long as the Lock was
        made for. Then `fence` is a new, larger one. Unless Lost, or NotHeld, is raised it is held in any
        case; Usage: it is shared, or permits. True as well if it was exclusive before."""
        code = self._upgrade(self._wait(blocking, timeout))
        if code in (lib.PAWL_ERR_BUSY, lib.PAWL_ERR_TIMEOUT):
            return False
        if code:
            raise self._fail(code, "upgrade")
        return True

    def _upgrade(self, wait: int) -> int:
        self._check_fork("upgrade")
        if not self._grants:
            not_held: int = lib.PAWL_ERR_NOT_HELD
            return not_held
        if _get_ident() != _core.main_thread:
            code: int = lib.pawl_lock_upgrade(self._handle, wait)
        else:
            code = self._upgrade_on_main(wait)
        if code == lib.PAWL_ERR_CANCELED:  # another thread has released it meanwhile
            code = lib.PAWL_ERR_NOT_HELD
        return code

    def _upgrade_on_main(self, wait: int) -> int:
        waiting = ffi.new("pawlpy_wait **")
        try:
            code: int = lib.pawlpy_wait_upgrade(self._handle, wait, waiting)
            return code or self._wait_in_slices(waiting[0])
        except BaseException:
            lib.pawlpy_give_up_upgrade(self._handle, waiting[0])
            raise

    def downgrade(self, mode: Mode = "shared") -> None:
        """From exclusive to update or shared, or from update to shared: at once; the store is told in
        the background, and lets in whoever fits now. The fence stays. Usage: any other change."""
        number = number_of(mode, "downgrade", self.name)
        self._check_fork("downgrade")
        if not self._grants:
            raise self._fail(lib.PAWL_ERR_NOT_HELD, "downgrade")
        code = lib.pawl_lock_downgrade(self._handle, number)
        if code:
            raise self._fail(code, "downgrade")

    # ---- Release ------------------------------------------------------------------------------

    def release(self, wait: Optional[Seconds] = None) -> None:
        """Releases. The release is on its way when this returns; with `wait` the store has done it,
        or Unknown is raised after so many seconds. Lost: it was not held until now; NotHeld: it was
        never acquired."""
        handle = self._take_grant("release")
        try:
            code = lib.pawl_lock_release(handle) if wait is None else self._release_wait(handle, wait)
        finally:
            self._give_turn()
        if code:
            raise self._fail(code, "release")

    def _give_turn(self) -> None:
        if not self._spec.reentrant:  # then it was given when the lock was acquired
            self._turn.give()

    def _take_grant(self, op: str) -> Any:
        self._check_fork(op)
        try:
            self._grants.pop()
        except IndexError:
            raise self._fail(lib.PAWL_ERR_NOT_HELD, op) from None
        return self._handle

    def _release_wait(self, handle: Any, wait: Seconds) -> int:
        until = time.monotonic() + max(0, wait_ms(wait)) / 1000
        waiting = ffi.new("pawlpy_wait **")
        code: int = lib.pawlpy_wait_release(handle, waiting)
        if code:
            return code
        forever = wait_ms(wait) < 0
        try:
            while True:
                code = lib.pawlpy_wait_for(waiting[0], _SLICE_MS)
                if code != lib.PAWLPY_NOT_YET:
                    return code
                if not forever and time.monotonic() >= until:
                    unknown: int = lib.PAWL_ERR_UNKNOWN
                    return unknown
        finally:
            lib.pawlpy_wait_free(waiting[0])
            if code == lib.PAWLPY_NOT_YET and self._core:  # libpawl goes on with this handle
                self._new_handle(self._core)

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        try:
            self.release()
        except Error as lost:
            # A loss matters more than what the block made of it; but Ctrl-C stays Ctrl-C.
            if error is None or isinstance(error, Exception):
                raise lost from error

    def detach(self) -> str:
        """Stops renewing and forgets the lock without releasing it; returns the token that carries
        the lease on, also in another process (Client.renew_token). For locks that are detached."""
        handle = self._take_grant("detach")
        token = self._token(handle)
        try:
            code = lib.pawl_lock_detach(handle)
        finally:
            self._give_turn()
        if code == lib.PAWL_ERR_STATE:  # a re-entrant one that was acquired more than once
            self._grants.append(True)
        if code:
            raise self._fail(code, "detach")
        return token

    # ---- What it is like now -------------------------------------------------------------------

    @property
    def name(self) -> str:
        return self._spec.name

    @property
    def held(self) -> bool:
        """Whether it is held now, by the clock: no I/O, and right even if no thread of pawl ran."""
        return bool(lib.pawl_lock_is_held(self._handle))

    def owned(self) -> bool:
        """redis-py's word for held."""
        return self.held

    def locked(self) -> bool:
        """Asks the store whether anybody holds it, or one of its names."""
        return any(self._client.inspect(name).held for name in self._spec.names or [self._spec.raw])

    def check(self) -> float:
        """Raises Lost unless it is held now; returns the seconds until the deadline. Ask before each
        step that cannot be undone."""
        remaining: int = lib.pawl_lock_remaining_ms(self._handle)
        if remaining > 0 and self._grants:
            return remaining / 1000
        self._check_fork("check")
        raise self._fail(lib.PAWL_ERR_LOST if self._grants else lib.PAWL_ERR_NOT_HELD, "check")

    def extend(self, additional_time: Optional[Seconds] = None, replace_ttl: bool = False) -> bool:
        """For who comes from redis-py. The lease is renewed by itself, until it is released; so this
        only checks."""
        self.check()
        return True

    def reacquire(self) -> bool:
        """As extend."""
        return self.extend()

    @property
    def fence(self) -> int:
        """The fencing token: larger than that of every earlier grant of the name. Pass it to what the
        lock protects, and let that refuse a smaller one than it has seen. Of the latest acquisition;
        0 before the first."""
        return int(lib.pawl_lock_fence(self._handle)) if self._was_held else 0

    @property
    def fences(self) -> "Dict[str, int]":
        """The fence of each name of client.lock_all(); `fence` is that of the first."""
        return fences_of(self._handle) if self._was_held else {}

    @property
    def remaining(self) -> float:
        """Seconds until the deadline; 0 if it is not held."""
        return float(lib.pawl_lock_remaining_ms(self._handle)) / 1000

    @property
    def deadline(self) -> float:
        """Until when it is held if no renewal succeeds, on the clock of time.monotonic(). Each
        renewal moves it: ask anew. In the past if the lock is not held."""
        left = float(lib.pawl_lock_remaining_ms(self._handle)) / 1000
        return time.monotonic() + left if left else float("-inf")

    @property
    def token(self) -> str:
        """The owner's proof at the store, a secret: who knows it can release. "" if not held."""
        return self._token(self._handle) if self._grants else ""

    @staticmethod
    def _token(handle: Any) -> str:
        token = ffi.new("pawl_token *")
        lib.pawl_lock_token(handle, token)
        return text(token.text)

    # ---- Inside ----------------------------------------------------------------------------------

    def _resign(self, wait: int) -> None:
        """As release; observers of the election are told first."""
        handle = self._take_grant("resign")
        try:
            code = on_any_thread(
                lambda: lib.pawl_election_resign(handle, wait),
                lambda waiting: lib.pawlpy_wait_resign(handle, wait, waiting),
                lambda: self._linger(handle))
        finally:
            self._give_turn()
        if code:
            raise self._fail(code, "resign")

    def _proclaim(self, value: bytes, wait: int) -> None:
        self._check_fork("proclaim")
        if not self._grants:
            raise self._fail(lib.PAWL_ERR_NOT_HELD, "proclaim")
        handle = self._handle
        code = on_any_thread(
            lambda: lib.pawl_election_proclaim(handle, value, len(value), wait),
            lambda waiting: lib.pawlpy_wait_proclaim(handle, value, len(value), wait, waiting),
            lambda: self._linger(handle))
        if code:
            raise self._fail(code, "proclaim")

    def _linger(self, handle: Any) -> None:
        if self._core is not None:
            self._core.linger(handle)

    def _told(self, news: Any) -> None:
        self._happened(event_of(news, self.name))

    def _happened(self, event: Event) -> None:
        is_old = event.kind is EventKind.LOST and self.held  # of an earlier acquisition
        if self._on_event and self._grants and not is_old:
            self._on_event(event)

    def _check_fork(self, op: str) -> None:
        if self._core is not None and self._core.generation != _core.generation:
            raise make_error(lib.PAWL_ERR_FORKED, op, self.name)

    def _fail(self, code: int, op: str) -> Error:
        core = self._core
        return core.error(code, op, self.name) if core else make_error(code, op, self.name)

    def __repr__(self) -> str:
        state = "held" if self.held else "lost" if self._grants else "not held"
        return f"<pawl.Lock {self.name!r} {state}>"

    def __del__(self) -> None:
        core = getattr(self, "_core", None)
        if not core or core.closed or core.generation != _core.generation:
            return
        if not self._grants:
            if not self._ident and not is_collection():  # nobody tells of it: its handle may serve another
                core.keep(self._spec, self._handle, self._turn)
        else:
            warnings.warn(f"{self!r} was dropped before it was released", ResourceWarning,
                          source=self)


def on_any_thread(call: "Callable[[], Any]", start: "Callable[[Any], Any]",
                  leave: "Callable[[], object]") -> int:
    """A call that waits for the store: on the main thread in slices. If an exception ends it there,
    libpawl goes on, and leave() says what becomes of that."""
    if _get_ident() != _core.main_thread:
        code: int = call()
        return code
    waiting = ffi.new("pawlpy_wait **")
    try:
        code = start(waiting)
        return code or Lock._wait_in_slices(waiting[0])
    except BaseException:
        if waiting[0]:
            leave()
            lib.pawlpy_wait_free(waiting[0])
        raise


def fences_of(handle: Any) -> "Dict[str, int]":
    parts = [lib.pawl_lock_part(handle, i) for i in range(lib.pawl_lock_count(handle))]
    return {text(lib.pawl_lock_name(part)): int(lib.pawl_lock_fence(part)) for part in parts}


def slots_of(handle: Any, spec: Spec) -> "Tuple[int, ...]":
    """Of a handle that holds."""
    numbers = ffi.new("uint16_t[]", max(1, spec.units))
    count = lib.pawl_lock_slots(handle, numbers, spec.units)
    return tuple(numbers[i] for i in range(min(count, spec.units)))


def _may_wait(code: int, wait: int) -> bool:
    """Whether what a first try said can change."""
    if code == lib.PAWL_ERR_CANCELED:  # the store did not answer at once
        return True
    again = (lib.PAWL_CLASS_BUSY, lib.PAWL_CLASS_RETRY, lib.PAWL_CLASS_UNKNOWN)
    return wait != 0 and lib.pawl_err_class_of(code) in again


def _rest(wait: int, begun: float) -> int:
    if wait <= 0:
        return wait
    return max(1, wait - int((time.monotonic() - begun) * 1000))

