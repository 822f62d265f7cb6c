# SPDX-License-Identifier: MIT
"""pawl: a distributed lock over the store that you already run: Redis, or an embedded SQLite file.

    import pawl

    client = pawl.Client("redis://127.0.0.1")
    with client.lock("nightly", ttl=30, timeout=5) as held:
        backup(fence=held.fence)

A lock can be lost while your code runs: the process was stopped for longer than the ttl, the store
was away. ``held.check()`` tells, and the end of the block raises Lost; nothing can stop your code
but itself. So a lock alone protects efficiency. For correctness give the fence to the resource, and
let the resource refuse a smaller one than it has seen.

pawl.aio is the same for asyncio; pawl.once makes a function that runs in one place at a time,
and client.once a job that runs once in a period.
"""
from ._ask import Caps, Finding, Holder, Info, Waiter
from ._client import Client
from ._election import Election, Leader, Observer
from ._errors import (Broken, Busy, Canceled, Closed, Denied, Done, Error, Forked, Internal, Lost,
                      NotHeld, Timeout, Unavailable, Unknown, Usage, text as _text)
from ._events import Event, EventKind
from ._latch import Barrier, Latch
from ._lock import Lock
from ._native import lib as _lib
from ._job import Job, JobInfo, Outcome
from ._once import once
from ._rwlock import RWLock

#: Of libpawl in use.
__version__: str = _text(_lib.pawl_version())

__all__ = ["Barrier", "Broken", "Busy", "Canceled", "Caps", "Client", "Closed", "Denied", "Done",
           "Election", "Error", "Event", "EventKind", "Finding", "Forked", "Holder", "Info", "Internal",
           "Job", "JobInfo", "Latch", "Leader", "Lock", "Lost", "NotHeld", "Observer", "Outcome",
           "RWLock", "Timeout", "Unavailable", "Unknown", "Usage", "Waiter", "once"]
