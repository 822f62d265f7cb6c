# SPDX-License-Identifier: MIT
"""What libpawl was asked to do for a task, until it has told the outcome."""
from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Callable, Optional

from ._core import Core
from ._events import Event, guarded
from ._native import lib

if TYPE_CHECKING:
    from .aio import Lock


class Call:
    """The time from one wish to its end."""

    __slots__ = ("ident", "name", "handle", "teller", "decided", "task", "tasks_cancels", "lost",
                 "on_event", "depth", "is_releasing", "upgrading", "saying", "is_left", "is_over")

    def __init__(self, ident: int, name: str, core: Core, loop: asyncio.AbstractEventLoop) -> None:
        self.ident = ident
        self.name = name
        self.on_event: "Optional[Callable[[Event], None]]" = None
        self.teller = core.new_teller(ident)
        self.handle: Any = None
        #: Of the wish, then of a release that is waited for.
        self.decided: "asyncio.Future[int]" = loop.create_future()
        self.task: "Optional[asyncio.Task[Any]]" = None  # that is cancelled on loss
        self.tasks_cancels = 0  # that it had before ours
        self.lost: Optional[Event] = None
        self.depth = 1  # how often a re-entrant one was acquired
        self.is_releasing = False  # libpawl has yet to tell the outcome: the teller is in use
        self.upgrading: "Optional[asyncio.Future[int]]" = None  # likewise
        self.saying: "Optional[asyncio.Future[int]]" = None  # likewise
        self.is_left = False  # the task that upgraded has gone
        self.is_over = False  # it was released

    def give_up(self) -> None:
        """Nobody waits for the outcome any more, which comes later."""
        raise NotImplementedError

    def give_back(self) -> None:
        """It was granted to a task that has gone."""
        raise NotImplementedError

    def lose(self, event: Event) -> None:
        if self.lost is None:
            self.lost = event
            if self.task is not None:
                self.task.cancel()
            self.tell(event)

    def tell(self, event: Event) -> None:
        if self.on_event:
            guarded(self.on_event, event)


class Acquisition(Call):
    """Of a lock."""

    __slots__ = ()

    def __init__(self, ident: int, lock: "Lock", core: Core, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(ident, lock.name, core, loop)
        self.on_event = lock._on_event
        self.handle = core.new_with(lock._spec, self.teller)

    def give_up(self) -> None:
        lib.pawl_lock_cancel(self.handle)

    def give_back(self) -> None:
        lib.pawl_lock_release(self.handle)
