# SPDX-License-Identifier: MIT
"""Many readers or one writer."""
from __future__ import annotations

from typing import Callable, Generic, TypeVar

from ._spec import Mode

Kind = TypeVar("Kind")  # pawl.Lock, or pawl.aio.Lock


class RWLock(Generic[Kind]):
    """A name that many may read at once, or one may write. Threads, or tasks, may share it: read(),
    update() and write() make a Lock each time, with which one reader or writer acquires and releases.
    Who waits gets its turn in order of arrival, so a writer that waits stops later readers."""

    __slots__ = ("_make",)

    def __init__(self, make: Callable[[Mode], Kind]) -> None:
        self._make = make

    def read(self) -> Kind:
        """A Lock to read, beside others who do."""
        return self._make("shared")

    def update(self) -> Kind:
        """A Lock to read beside readers and to write later: see Lock.upgrade. One at a time."""
        return self._make("update")

    def write(self) -> Kind:
        """A Lock to write, alone."""
        return self._make("exclusive")
