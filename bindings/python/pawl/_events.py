# SPDX-License-Identifier: MIT
"""What happens to locks that are held, told on a thread of Python's."""
from __future__ import annotations

import enum
import itertools
import logging
import sys
import threading
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Callable, Iterator, Optional, Tuple, Union

from ._core import Core
from ._errors import Error, make_error, text
from ._native import ffi, lib

if TYPE_CHECKING:
    from ._election import Observer
    from ._lock import Lock

_log = logging.getLogger("pawl")
_AT_ONCE = 64

#: (severity, line): what pawl notices by itself; the severity is one of logging's levels.
LogFunction = Callable[[int, str], None]
_LEVELS = (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR)


class EventKind(enum.Enum):
    """What may happen to a lock that is held."""

    DOUBT = lib.PAWL_EVENT_DOUBT  # a renewal is overdue: still held, until the deadline
    HELD = lib.PAWL_EVENT_HELD  # a renewal was confirmed after doubt
    LOST = lib.PAWL_EVENT_LOST  # lost; comes once
    WANTED = lib.PAWL_EVENT_YIELD  # somebody else waits for it: release soon if you can


@dataclass(frozen=True)
class Event:
    """What happened to a lock, and why."""

    kind: EventKind
    error: Optional[Error]  # of doubt and loss: why
    remaining: float  # seconds until the deadline; 0 when lost


def log_function(log: Union[LogFunction, logging.Logger, None]) -> Optional[LogFunction]:
    return log.log if isinstance(log, logging.Logger) else log


class Reader:
    """Fetches news from an inbox."""

    def __init__(self, core: Core, log: Optional[LogFunction]) -> None:
        self.core = core
        self._log = log
        self._news = ffi.new(f"pawlpy_news[{_AT_ONCE}]")

    def fetch(self) -> "Iterator[Any]":
        """All but lines of the log, which are passed on. An item is valid until the next one."""
        while True:
            count = lib.pawlpy_inbox_take(self.core.inbox, self._news, _AT_ONCE)
            for i in range(count):
                news = self._news[i]
                if news.kind != lib.PAWLPY_LOG:
                    yield news
                elif self._log:
                    severity = min(max(news.err, 0), len(_LEVELS) - 1)
                    guarded(self._log, _LEVELS[severity], text(news.message))
            if count < _AT_ONCE:
                return


def event_of(news: Any, name: str) -> Event:
    error = None
    if news.kind == lib.PAWL_EVENT_LOST:
        error = make_error(lib.PAWL_ERR_LOST, "hold", name, text(news.message))
        error.__cause__ = make_error(news.err, "hold", name) if news.err else None
    elif news.kind == lib.PAWL_EVENT_DOUBT:
        error = make_error(news.err, "hold", name, text(news.message))
    return Event(EventKind(news.kind), error, news.remaining_ms / 1000)


def guarded(call: "Callable[..., object]", *arguments: object) -> None:
    """The user's function. What it raises is nobody's but the log's."""
    try:
        call(*arguments)
    except Exception:
        _log.exception("pawl: a callback failed")


class Events:
    """The thread that tells; one for a client, made when the first lock or log wants it."""

    def __init__(self, core: Core, log: Optional[LogFunction]) -> None:
        if sys.is_finalizing():  # a thread does not begin any more, and who starts one waits for ever
            raise make_error(lib.PAWL_ERR_CLOSED, "open", reason="the interpreter ends")
        self._core = core
        self._reader = Reader(core, log)
        self._locks: "weakref.WeakValueDictionary[int, Union[Lock, Observer]]" = weakref.WeakValueDictionary()
        self._idents = itertools.count(1)
        self._thread = threading.Thread(target=self._run, daemon=True, name="pawl events")
        self._thread.start()

    def register(self, lock: "Union[Lock, Observer]") -> "Tuple[int, Any]":
        """(the number, the teller) of what has news."""
        ident = next(self._idents)
        self._locks[ident] = lock
        return ident, self._core.new_teller(ident)

    def _run(self) -> None:
        while lib.pawlpy_inbox_wait(self._core.inbox) == 0:
            for news in self._reader.fetch():
                lock = self._locks.get(news.id)
                if lock is not None and news.kind != lib.PAWLPY_DONE:
                    guarded(lock._told, news)
                lock = None

    def join(self) -> None:
        """After the client was closed. An event's function may close the client itself."""
        is_own = threading.current_thread() is self._thread
        if not is_own and not sys.is_finalizing():  # then it may have stopped without an end
            self._thread.join()
