# SPDX-License-Identifier: MIT
"""pawl with the face of redis-py's Lock, for who has that in a program already. One line changes:

    r.lock("nightly", timeout=10, lock_class=pawl.redislock.Lock)

The keys are the same, so both kinds exclude each other while a fleet changes over. What differs is
listed in docs/from-redis-py.md. Errors are redis-py's own, with pawl's as their __cause__. For
redis.asyncio see pawl.redislock_aio.
"""
from __future__ import annotations

import importlib
import logging
import ssl
import threading
from types import SimpleNamespace, TracebackType
from typing import Any, Callable, Dict, Optional, Tuple, Type, Union
from urllib.parse import quote, urlencode

from . import _core
from ._client import Client
from ._core import wait_ms
from ._errors import Error, Lost, NotHeld, Unavailable, Unknown
from ._lock import Lock as PawlLock

logger = logging.getLogger(__name__)

# Not every redis-py has types.
_errors: Any = importlib.import_module("redis.exceptions")
LockError, LockNotOwnedError = _errors.LockError, _errors.LockNotOwnedError

#: How long release() waits for the store's word, in seconds.
RELEASE_TIMEOUT = 5.0

_clients: Dict[str, Client] = {}
_TLS = {"ssl_ca_certs": "tls_ca", "ssl_certfile": "tls_cert", "ssl_keyfile": "tls_key"}


def url_of(redis: Any) -> str:
    """The URL of a redis-py client's server, for pawl. It may hold a password."""
    pool = getattr(redis, "connection_pool", None)
    arguments = getattr(pool, "connection_kwargs", None)
    if not isinstance(arguments, dict) or not {"host", "path"} & set(arguments) or \
            arguments.get("credential_provider") is not None:
        raise TypeError(f"pawl.redislock: the server of {redis!r} is not known; give a subclass of Lock "
                        "a `client`, a pawl.Client")
    login = ""
    if arguments.get("password"):
        login = f"{quote(arguments.get('username') or '', '')}:{quote(str(arguments['password']), '')}@"
    database, options = arguments.get("db") or 0, {"prefix": ""}
    if "path" in arguments:
        options["db"] = str(database)
        return f"redis+unix://{login}{quote(arguments['path'])}?{urlencode(options)}"
    is_tls = any(name.startswith("ssl_") for name in arguments)
    if is_tls:
        options.update({ours: arguments[theirs] for theirs, ours in _TLS.items() if arguments.get(theirs)})
        if arguments.get("ssl_cert_reqs", "required") in ("none", ssl.CERT_NONE):  # as it was asked
            options["tls_verify"] = "none"
    host = arguments["host"]
    host = f"[{host}]" if ":" in host else host
    scheme = "rediss" if is_tls else "redis"
    return f"{scheme}://{login}{host}:{arguments.get('port', 6379)}/{database}?{urlencode(options)}"


def client_of(redis: Any) -> Client:
    """The pawl.Client for a redis-py client; one for each server, for as long as the process runs."""
    url = url_of(redis)
    with _core.opening:
        client = _clients.get(url)
        if client is None or client.closed:
            client = _clients[url] = Client(url)
        return client


class Face:
    """What the locks of threads and of tasks have in common: redis-py's arguments and errors."""

    def __init__(self, redis: Any, name: Union[str, bytes], timeout: Optional[float] = None,
                 sleep: float = 0.1, blocking: bool = True, blocking_timeout: Optional[float] = None,
                 thread_local: bool = True, raise_on_release_error: bool = True) -> None:
        self.redis = redis
        self.name = name
        self.timeout = timeout
        self.sleep = sleep
        self.blocking = blocking
        self.blocking_timeout = blocking_timeout
        self.thread_local = bool(thread_local)
        self.raise_on_release_error = raise_on_release_error
        #: .token of the present acquisition, or None; as in redis-py a thread sees its own.
        self.local: Any = threading.local() if self.thread_local else SimpleNamespace()
        self.local.token = None

    @property
    def _ttl(self) -> float:
        return 30.0 if self.timeout is None else self.timeout

    def _wait(self, blocking: Optional[bool], blocking_timeout: Optional[float],
              token: Optional[str]) -> "Tuple[bool, Optional[float]]":
        """What an acquire(...) of pawl's is given."""
        if token is not None:
            raise NotImplementedError("pawl.redislock: a token cannot be chosen; Client.renew_token and "
                                      "release_token work with the one in lock.local.token")
        wait = self.blocking_timeout if blocking_timeout is None else blocking_timeout
        if wait is not None and wait_ms(wait) == 0:
            return False, wait
        return self.blocking if blocking is None else blocking, wait

    def _not_acquired(self) -> Any:
        return _named(LockError, "Unable to acquire lock within the time specified", self.name)

    def _released(self, why: Exception) -> None:
        """A release at the end of a block has failed, and is not raised."""
        logger.warning("%s", why)

    def _ttl_to_renew(self) -> float:
        if self.timeout is None:
            raise _named(LockError, "a lock with no timeout is not extended", self.name)
        return self.timeout

    def _error(self, why: Error) -> Any:
        if isinstance(why, NotHeld):
            return _named(LockError, "the lock is not held", self.name)
        if isinstance(why, Lost):
            return _named(LockNotOwnedError, "the lock is no longer owned", self.name)
        if isinstance(why, (Unavailable, Unknown)):
            return _errors.ConnectionError(str(why))
        return _named(LockError, str(why), self.name)


class Lock(Face):
    """As redis.lock.Lock. `timeout` is the ttl; None: pawl's default, 30 s. It is renewed until the
    release, so it is only how long a crashed holder blocks the others. `sleep` is not needed: waiters
    are told."""

    #: A subclass may name its own.
    client: Optional[Client] = None

    def __init__(self, redis: Any, name: Union[str, bytes], *args: Any, **options: Any) -> None:
        super().__init__(redis, name, *args, **options)
        self._client = self.client or client_of(redis)

    def _lock(self) -> PawlLock:
        lock: Optional[PawlLock] = getattr(self.local, "lock", None)
        if lock is None:
            lock = self.local.lock = self._client.lock(self.name, ttl=self._ttl)
            self.local.token = None
        return lock

    def acquire(self, sleep: Optional[float] = None, blocking: Optional[bool] = None,
                blocking_timeout: Optional[float] = None, token: Optional[str] = None) -> bool:
        """As redis-py's, but for `token`: pawl's tokens are random."""
        blocking, wait = self._wait(blocking, blocking_timeout, token)
        lock = self._lock()
        try:
            acquired = lock.acquire(blocking, wait)
        except Error as why:
            raise self._error(why) from why
        self.local.token = lock.token.encode() if acquired else None
        return acquired

    def __enter__(self) -> "Lock":
        if self.acquire():
            return self
        raise self._not_acquired()

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        try:
            self.release()
        except LockError as why:
            if self.raise_on_release_error:
                raise
            self._released(why)

    def release(self) -> None:
        """Returns when the store has done it."""
        lock = self._lock()
        self.local.token = None
        try:
            lock.release(wait=RELEASE_TIMEOUT)
        except Error as why:
            raise self._error(why) from why

    def locked(self) -> bool:
        """Asks the store whether anybody holds it."""
        try:
            return self._lock().locked()
        except Error as why:
            raise self._error(why) from why

    def owned(self) -> bool:
        """By the clock, without asking the store."""
        return self._lock().held

    def extend(self, additional_time: float, replace_ttl: bool = False) -> bool:
        """Makes the lease longer at the store; the next renewal sets it back to the ttl, so only who
        crashes before that blocks for longer. It never makes it shorter than the ttl."""
        def longer(ttl: float, token: str) -> float:
            left = 0.0 if replace_ttl else self._client.check_token(self.name, token)
            return max(ttl, left + additional_time)

        return self._renew(longer)

    def reacquire(self) -> bool:
        """Sets the lease back to the ttl at the store, as each renewal does."""
        return self._renew(lambda ttl, token: ttl)

    def _renew(self, ttl_of: Callable[[float, str], float]) -> bool:
        lock, ttl = self._lock(), self._ttl_to_renew()
        try:
            lock.check()
            self._client.renew_token(self.name, lock.token, ttl_of(ttl, lock.token))
        except Error as why:
            raise self._error(why) from why
        return True

    @property
    def fence(self) -> int:
        """What redis-py has not: a number that grows with each grant of the name."""
        return self._lock().fence


def _named(kind: Any, text: str, name: Union[str, bytes]) -> Any:
    """lock_name came with redis-py 5."""
    try:
        return kind(text, lock_name=name)
    except TypeError:
        return kind(text)
