# SPDX-License-Identifier: MIT
"""One client of libpawl in one process, and what belongs to it."""
from __future__ import annotations

import atexit
import functools
import math
import os
import sys
import threading
import weakref
from datetime import timedelta
from typing import Any, Dict, List, Optional, Tuple, Type, TypeVar, Union

from ._errors import Error, make_error, text
from ._handles import INBOXES, LOCKS, owned
from ._native import ffi, lib
from ._turn import Turn

Seconds = Union[int, float, timedelta]
_Text = TypeVar("_Text", str, bytes)

FOREVER: int = lib.PAWL_WAIT_FOREVER
DEFAULT: int = lib.PAWLPY_DEFAULT
_MAX_MS = 2**62
_SPARES_MAX = 128  # names that a program takes again and again

#: (handle, turn) of a Lock that has gone.
Spare = Tuple[Any, Turn]


def milliseconds(duration: Seconds) -> int:
    """Rounds away from 0: a wait of 1 µs is a wait, and a negative ttl an error. But 20.998 s are 20998 ms,
    though 20.998 * 1000 is a little more."""
    seconds = duration.total_seconds() if isinstance(duration, timedelta) else duration
    if seconds != seconds:
        raise ValueError("a duration is a number, not NaN")
    try:
        ms = seconds * 1000.0
    except TypeError:
        raise TypeError(f"a duration is a number of seconds or a timedelta, not {type(duration).__name__}") from None
    if abs(ms) > _MAX_MS:
        return FOREVER if ms > 0 else -_MAX_MS
    nearest = round(ms)
    if nearest and math.isclose(ms, nearest, rel_tol=1e-12):
        return nearest
    return math.ceil(ms) if ms > 0 else math.floor(ms)


def _is_positive(duration: Seconds) -> bool:
    return (duration.total_seconds() if isinstance(duration, timedelta) else duration) > 0


def wait_ms(timeout: Optional[Seconds]) -> int:
    """None and -1, as threading.Lock has it: without limit."""
    if timeout is None or timeout == -1:
        return FOREVER
    ms = milliseconds(timeout)
    if ms == FOREVER and _is_positive(timeout):
        return FOREVER  # infinity, and what is as good as that
    if ms < 0:
        raise ValueError("a timeout is not negative (-1 and None: without limit)")
    return ms


def encode(name: Union[str, bytes]) -> bytes:
    return name if isinstance(name, bytes) else _text(name, str).encode("utf-8", "surrogateescape")


def decode(name: Union[str, bytes]) -> str:
    return name if isinstance(name, str) else _text(name, bytes).decode("utf-8", "surrogateescape")


def _text(name: Any, kind: "Type[_Text]") -> "_Text":
    if isinstance(name, kind):
        return name
    raise TypeError(f"a name, a label or a value is str or bytes, not {type(name).__name__}")


# ---- Processes ------------------------------------------------------------------------------

#: Grows with each fork that this process descends from: what was made before is the parent's.
generation = 0
#: The thread on which Python runs handlers of signals.
main_thread = threading.main_thread().ident

#: The interpreter is about to end.
exiting = False
#: Clients are opened one at a time.
opening = threading.RLock()

_cores: "weakref.WeakSet[Core]" = weakref.WeakSet()


def _after_fork_in_child() -> None:
    global generation, main_thread, opening, _cores
    generation += 1
    main_thread = threading.get_ident()
    opening = threading.RLock()  # another thread of the parent may have had it
    old, _cores = list(_cores), weakref.WeakSet()
    for core in old:
        core.forget()


def _close_all() -> None:
    """Before the interpreter goes: what is held is released, and who waits in a thread goes, too."""
    global exiting
    exiting = True
    with opening:
        cores = list(_cores)
    for core in cores:
        core.close()


os.register_at_fork(after_in_child=_after_fork_in_child)
atexit.register(_close_all)


_closes_with_process = -1  # the generation for which that is arranged


def _close_with_process() -> None:
    """A process of multiprocessing ends by _exit(), which runs nothing of atexit's."""
    global _closes_with_process
    util = sys.modules.get("multiprocessing.util")
    parent = getattr(sys.modules.get("multiprocessing.process"), "parent_process", None)
    if util is None or parent is None or parent() is None or _closes_with_process == generation:
        return
    _closes_with_process = generation
    util.Finalize(None, _close_all, exitpriority=0)


# ---- A client in this process ------------------------------------------------------------------


class Core:
    """A pawl_client. Its locks, and whoever uses it, keep a reference, so its memory stays."""

    def __init__(self, url: Optional[str], owner: Optional[str], store_timeout_ms: int,
                 close_timeout_ms: int, dispatch: bool, logs: bool) -> None:
        self.generation = generation
        self.closed = True  # until it is open
        self._closing = threading.Lock()
        self._turns: "weakref.WeakSet[Turn]" = weakref.WeakSet()
        self.inbox = _new_inbox()
        opts = ffi.new("pawlpy_open_opts *")
        c_owner = c_string(owner, lib.PAWL_ERR_OWNER)
        opts.owner = c_owner
        opts.store_timeout_ms = store_timeout_ms
        opts.close_timeout_ms = close_timeout_ms
        opts.dispatch, opts.logs = dispatch, logs
        c_url = c_string(url, lib.PAWL_ERR_URL)
        client, why = ffi.new("pawl_client **"), ffi.new("char[]", lib.PAWL_MESSAGE_MAX)
        code = lib.pawlpy_open(c_url, opts, self.inbox, client, why)
        if code:
            raise make_error(code, "open", reason=text(why))
        self.ptr = client[0]
        self.closed = False
        self.owner = text(lib.pawl_client_owner(self.ptr))
        self.url = text(lib.pawl_client_url(self.ptr))
        # A handle that is never acquired: the client stays valid as long as it has one.
        self.keeper = self.new_lock(b"-", ffi.new("pawlpy_lock_opts *", [DEFAULT, 0, ffi.NULL, 0, 0,
                                                                         lib.PAWL_MODE_EXCLUSIVE, 0, 0]))
        self._spares: "Dict[Any, Spare]" = {}
        #: They stay until the close.
        self.lingering: "List[Any]" = []
        _cores.add(self)
        _close_with_process()

    def new_lock(self, name: bytes, opts: Any, teller: Any = ffi.NULL) -> Any:
        """A pawl_lock that is freed with its last reference, and its teller with it."""
        lock = ffi.new("pawl_lock **")
        code = lib.pawlpy_lock_new(self.ptr, name, len(name), opts, teller, lock)
        return self._owned(code, decode(name), lock, teller)

    def _owned(self, code: int, name: str, lock: Any, teller: Any) -> Any:
        if code:
            raise self.error(code, "lock", name)
        if not teller:
            return owned(lock[0], lib.pawl_lock_free, LOCKS)
        return owned(lock[0], functools.partial(_free_telling, generation, teller, self.inbox), LOCKS)

    def new_with(self, spec: Any, teller: Any = ffi.NULL) -> Any:
        """What new_lock makes, for a Spec."""
        if not spec.names:
            return self.new_lock(spec.raw, spec.opts, teller)
        lock, words = ffi.new("pawl_lock **"), [ffi.new("char[]", name) for name in spec.names]
        code = lib.pawlpy_lock_new_all(self.ptr, ffi.new("const char *[]", words), len(words),
                                       spec.opts, teller, lock)
        return self._owned(code, spec.name, lock, teller)

    # A program that locks by `with client.lock(…)` makes a Lock each time; what is behind one that
    # has gone serves the next one that asks for the same. Each step is one of the interpreter's, so
    # threads need no mutex.

    def spare(self, spec: Any) -> "Optional[Spare]":
        return self._spares.pop(spec, None)

    def keep(self, spec: Any, handle: Any, turn: Turn) -> None:
        if turn.is_taken() or lib.pawl_lock_is_held(handle):  # an exception came at a bad moment
            return
        if len(self._spares) >= _SPARES_MAX:
            try:
                self._spares.pop(next(iter(self._spares)), None)  # the oldest
            except (RuntimeError, StopIteration):  # another thread was there
                return
        self._spares[spec] = (handle, turn)

    def linger(self, handle: Any) -> None:
        """libpawl goes on with it although nobody waits for that."""
        self.lingering.append(handle)

    def know(self, turn: Turn) -> None:
        """Somebody waits for that turn: the close calls it off."""
        with self._closing:
            self._turns.add(turn)

    def new_teller(self, ident: int) -> Any:
        teller = lib.pawlpy_teller_new(self.inbox, ident)
        if not teller:
            raise MemoryError
        return teller

    def error(self, code: int, op: str, lock: str = "") -> Error:
        """With the store's words, if the store is to blame."""
        if exiting and code == lib.PAWL_ERR_CLOSED and threading.get_ident() != main_thread:
            raise SystemExit  # ends a thread of daemons, which the end of the interpreter finds waiting
        if self.generation != generation:
            return make_error(code, op, lock)
        why = ffi.new("char[]", lib.PAWL_MESSAGE_MAX)
        lib.pawl_client_reason(self.ptr, code, why)
        return make_error(code, op, lock, text(why))

    def close(self) -> None:
        with self._closing:
            if self.closed or self.generation != generation:
                return
            self.closed = True
            turns = list(self._turns)
        for turn in turns:
            turn.call_off()
        self._spares.clear()
        lib.pawl_client_close(self.ptr)  # waits for the calls under way; the keeper keeps the memory
        lib.pawlpy_inbox_end(self.inbox)
        self.lingering.clear()

    def forget(self) -> None:
        """In a child of fork: what was inherited is freed, and its descriptors are closed. Others'
        threads may have been in the inbox, so that stays as it is."""
        if not self.closed:
            self.closed = True
            lib.pawl_client_close(self.ptr)

    def __del__(self) -> None:
        if not getattr(self, "closed", True):  # a copy that could not be made has nothing
            self.close()


def _new_inbox() -> Any:
    inbox = lib.pawlpy_inbox_new()
    if not inbox:
        raise MemoryError
    return owned(inbox, functools.partial(_free_inbox, generation), INBOXES)


# In a child of fork another thread's hand may be on an inbox for ever: what is in it stays.


def _free_inbox(made: int, inbox: Any) -> None:
    if made == generation:
        lib.pawlpy_inbox_free(inbox)


def _free_telling(made: int, teller: Any, inbox: Any, lock: Any) -> None:
    lib.pawl_lock_free(lock)
    if made == generation:
        lib.pawlpy_teller_free(teller)


def c_string(value: Optional[str], code: int) -> Any:
    """NULL for None: libpawl takes its default then."""
    if value is None:
        return ffi.NULL
    raw = encode(value)
    if b"\0" in raw:
        raise make_error(code, "open")
    return ffi.new("char[]", raw)
