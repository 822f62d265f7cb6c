# SPDX-License-Identifier: MIT
"""One tree of exceptions. What to do is in the class, what happened in the code and the message."""
from __future__ import annotations

import threading
from typing import Any, Optional, Type

from ._native import ffi, lib


class Error(Exception):
    """Something that pawl reports. The message is one line: what happened, where, what to do."""

    def __init__(self, message: str, code: int, lock: str = "") -> None:
        super().__init__(message, code, lock)
        self.message = message
        #: The number in pawl/types.h.
        self.code = code
        #: The name of the lock; "" if none is concerned.
        self.lock = lock

    def __str__(self) -> str:
        return self.message

    @property
    def code_name(self) -> str:
        """The code's name in C, "PAWL_ERR_BUSY"."""
        return text(lib.pawl_err_name(self.code))


class Busy(Error):
    """Somebody else holds the lock."""


class Done(Busy):
    """The job has been done in this period."""


class Timeout(Busy, TimeoutError):
    """The lock stayed busy for the whole wait."""


class Lost(Error):
    """You do not hold the lock, or not any more: stop using what it protects."""


class NotHeld(Lost):
    """The lock was not held: there was nothing to release."""


class Forked(Lost):
    """This process is a fork of the one that acquired: it holds nothing."""


class Broken(Lost, threading.BrokenBarrierError):
    """A latch or a barrier that one waits for will not open: another one has given up or died, or the
    store has forgotten it."""


class Unavailable(Error):
    """The store cannot serve now: try again later."""


class Unknown(Error):
    """The store did not answer: it may or may not have been done."""


class Usage(Error, ValueError):
    """The call is wrong: change the program."""


class Denied(Error):
    """The store refuses: its set-up must be changed."""


class Canceled(Error):
    """The caller gave up."""


class Closed(Canceled):
    """The client was closed."""


class Internal(Error):
    """pawl or the system failed."""


_BY_CODE: "dict[int, Type[Error]]" = {
    lib.PAWL_ERR_TIMEOUT: Timeout,
    lib.PAWL_ERR_DONE: Done,
    lib.PAWL_ERR_NOT_HELD: NotHeld,
    lib.PAWL_ERR_FORKED: Forked,
    lib.PAWL_ERR_BROKEN: Broken,
    lib.PAWL_ERR_CLOSED: Closed,
}
_BY_CLASS: "dict[int, Type[Error]]" = {
    lib.PAWL_CLASS_BUSY: Busy,
    lib.PAWL_CLASS_RETRY: Unavailable,
    lib.PAWL_CLASS_LOST: Lost,
    lib.PAWL_CLASS_UNKNOWN: Unknown,
    lib.PAWL_CLASS_USAGE: Usage,
    lib.PAWL_CLASS_DENIED: Denied,
    lib.PAWL_CLASS_CANCELED: Canceled,
}


def text(chars: Any) -> str:
    """What C says. Bytes that are no UTF-8 stay, so that they can be written back."""
    return ffi.string(chars).decode("utf-8", "surrogateescape")


def make_error(code: int, op: str, lock: str = "", reason: str = "") -> Error:
    kind: Optional[Type[Error]] = _BY_CODE.get(code)
    if kind is None:
        kind = _BY_CLASS.get(lib.pawl_err_class_of(code), Internal)
    about = f"{op} {ascii(lock) if not lock.isprintable() else repr(lock)}" if lock else op
    return kind(f"pawl: {about}: {reason or text(lib.pawl_err_text(code))}", code, lock)
