# SPDX-License-Identifier: MIT
"""pawl with the face of redis-py's asyncio Lock, for who has that in a program already. One line changes:

    r.lock("nightly", timeout=10, lock_class=pawl.redislock_aio.Lock)

The rest is as in pawl.redislock.
"""
from __future__ import annotations

import asyncio
import weakref
from types import TracebackType
from typing import Any, Dict, Optional, Type, Union

from . import _core
from ._errors import Error
from .aio import Client
from .aio import Lock as PawlLock
from .redislock import RELEASE_TIMEOUT, Face, LockError, url_of

_clients: "weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Dict[str, Client]]" = weakref.WeakKeyDictionary()


def client_of(redis: Any) -> Client:
    """The pawl.aio.Client for a client of redis.asyncio; one for each server and each loop. Called in a
    task."""
    url = url_of(redis)
    with _core.opening:
        clients = _clients.setdefault(asyncio.get_running_loop(), {})
        client = clients.get(url)
        if client is None or client.closed:
            client = clients[url] = Client(url)
        return client


async def close() -> None:
    """Closes the clients of this loop, before it ends: what they hold is released."""
    for client in _clients.pop(asyncio.get_running_loop(), {}).values():
        await client.close()


class Lock(Face):
    """As redis.asyncio.lock.Lock. `timeout` is the ttl; None: pawl's default, 30 s. It is renewed until
    the release, so it is only how long a crashed holder blocks the others. `sleep` is not needed: waiters
    are told. No task is cancelled when the lock is lost: pawl.aio.Lock does that."""

    #: A subclass may name its own.
    client: Optional[Client] = None
    _held_by: Optional[PawlLock] = None

    def _lock(self) -> PawlLock:
        if self._held_by is None:
            self._held_by = (self.client or client_of(self.redis)).lock(self.name, ttl=self._ttl)
        return self._held_by

    async def acquire(self, blocking: Optional[bool] = None, blocking_timeout: Optional[float] = None,
                      token: Optional[str] = None) -> bool:
        """As redis-py's, but for `token`: pawl's tokens are random."""
        blocking, wait = self._wait(blocking, blocking_timeout, token)
        lock = self._lock()
        try:
            acquired = await lock.acquire(blocking, wait)
        except Error as why:
            raise self._error(why) from why
        if acquired:
            self.local.token = lock.token.encode()
        return acquired

    async def __aenter__(self) -> "Lock":
        if await self.acquire():
            return self
        raise self._not_acquired()

    async def __aexit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException],
                        trace: Optional[TracebackType]) -> None:
        try:
            await self.release()
        except LockError as why:
            if self.raise_on_release_error:
                raise
            self._released(why)

    async def release(self) -> None:
        """Returns when the store has done it. A task that is cancelled meanwhile has released all the
        same."""
        lock = self._lock()
        self.local.token = None
        try:
            await lock.release(wait=RELEASE_TIMEOUT)
        except Error as why:
            raise self._error(why) from why

    async def locked(self) -> bool:
        """Asks the store whether anybody holds it."""
        try:
            return await self._lock().locked()
        except Error as why:
            raise self._error(why) from why

    async def owned(self) -> bool:
        """By the clock, without asking the store."""
        return self._lock().held

    async def extend(self, additional_time: float, replace_ttl: bool = False) -> bool:
        """As pawl.redislock.Lock.extend."""
        lock, ttl = self._lock(), self._ttl_to_renew()
        try:
            lock.check()
            client = lock._client
            left = 0.0 if replace_ttl else await client.check_token(self.name, lock.token)
            await client.renew_token(self.name, lock.token, max(ttl, left + additional_time))
        except Error as why:
            raise self._error(why) from why
        return True

    async def reacquire(self) -> bool:
        """Sets the lease back to the ttl at the store, as each renewal does."""
        return await self.extend(0, replace_ttl=True)

    @property
    def fence(self) -> int:
        """What redis-py has not: a number that grows with each grant of the name."""
        return self._lock().fence
