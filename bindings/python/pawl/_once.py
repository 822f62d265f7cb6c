# SPDX-License-Identifier: MIT
"""A function that runs in one place at a time."""
from __future__ import annotations

import asyncio
import functools
import logging
import threading
import time
from typing import Any, Callable, Optional, TypeVar, Union, cast

from ._client import Client
from ._core import Seconds, milliseconds
from ._errors import Busy, Error
from ._lock import Lock

Function = TypeVar("Function", bound=Callable[..., Any])
#: A name, or what makes one of the call's arguments.
Name = Union[str, Callable[..., str]]
_log = logging.getLogger("pawl")


def once(client: Union[Client, Callable[[], Client]], name: Name, *, ttl: Seconds = 30.0,
         timeout: Seconds = 0.0, min_hold: Seconds = 0.0, busy: Any = None,
         held_as: Optional[str] = None) -> Callable[[Function], Function]:
    """Makes a function that runs in one place only: whoever has the lock runs it, the others return
    `busy` at once (or after `timeout`). For a task of Celery, a job of Django, a line of cron.

    name: of the lock; or a function of the call's arguments that says it.
    min_hold: keep the lock at least so long after its acquisition. Schedulers of several machines
    are a little apart, and a short job would run once on each.
    held_as: pass the Lock to the function under that keyword, for its fence and its check().

    Lost is raised if the lock was lost while the function ran. A store that is away is an error, too:
    nobody knows whether another place does it. `client` may be a function that returns the client.
    """
    def decorate(function: Function) -> Function:
        if asyncio.iscoroutinefunction(function):
            raise TypeError("pawl.once: use pawl.aio.once for a coroutine function")

        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            where = client if isinstance(client, Client) else client()
            lock = where.lock(name_of(name, args, kwargs), ttl=ttl, timeout=timeout)
            try:
                lock.__enter__()
            except Busy:
                return busy
            since = time.monotonic()
            if held_as is not None:
                kwargs[held_as] = lock
            return _run(lock, since + milliseconds(min_hold) / 1000,
                        lambda: function(*args, **kwargs))

        return cast(Function, wrapper)

    return decorate


def name_of(name: Name, args: Any, kwargs: Any) -> str:
    return name if isinstance(name, str) else name(*args, **kwargs)


def _run(lock: Lock, hold_until: float, call: Callable[[], Any]) -> Any:
    try:
        result = call()
    except BaseException as error:
        _end(lock, hold_until, error)
        raise
    _end(lock, hold_until, None)
    return result


def _end(lock: Lock, hold_until: float, error: Optional[BaseException]) -> None:
    left = hold_until - time.monotonic()
    if left <= 0 or not lock.held:
        lock.__exit__(type(error) if error else None, error, None)
        return
    timer = threading.Timer(left, _release_later, [lock])
    timer.daemon = True
    timer.start()


def _release_later(lock: Lock) -> None:
    try:
        lock.release()
    except Error as why:
        _log.warning("%s", why)
