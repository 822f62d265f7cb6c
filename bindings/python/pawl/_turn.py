# SPDX-License-Identifier: MIT
"""Threads that share one Lock take turns at it."""
from __future__ import annotations

import threading
from collections import deque
from typing import Callable, Deque


class _Waiter:
    __slots__ = ("wake", "has_turn")

    def __init__(self) -> None:
        self.wake = threading.Lock()
        self.wake.acquire()
        self.has_turn = False

    def call(self, has_turn: bool) -> None:
        self.has_turn = has_turn
        self.wake.release()


class Turn:
    """As threading.Lock, but who waits comes in order, and can be sent away."""

    __slots__ = ("_taken", "_waiting", "take", "__weakref__")

    def __init__(self) -> None:
        self._taken = threading.Lock()
        self._waiting: "Deque[_Waiter]" = deque()
        #: take(False) takes it at once or not at all. What everybody does first, so it is C's own.
        self.take: "Callable[[bool], bool]" = self._taken.acquire

    def is_taken(self) -> bool:
        return self._taken.locked()

    def wait(self, timeout: float, is_off: Callable[[], bool]) -> bool:
        """False: it did not come within so many seconds (-1: no limit), or is off."""
        me = _Waiter()
        self._waiting.append(me)
        if is_off():  # asked behind the append: who calls off sees us, or we see that it is off
            return self._go(me, False)
        if self._taken.acquire(False):  # given back before we stood in line
            return self._go(me, True)
        try:
            came = me.wake.acquire(timeout=min(timeout, threading.TIMEOUT_MAX))
        except BaseException:
            if self._go(me, False):
                self.give()
            raise
        return me.has_turn if came else self._go(me, False)

    def _go(self, me: _Waiter, has_turn: bool) -> bool:
        """Leaves the line; who was called out of it meanwhile is told so."""
        try:
            self._waiting.remove(me)
            return has_turn
        except ValueError:
            me.wake.acquire()
        if has_turn and not me.has_turn:  # it had taken it, and is sent away
            self.give()
        return me.has_turn

    def give(self) -> None:
        while True:
            self._taken.release()
            if not self._waiting or not self._taken.acquire(False):
                return
            try:
                first = self._waiting.popleft()
            except IndexError:  # it has gone meanwhile
                continue
            first.call(True)
            return

    def call_off(self) -> None:
        """Sends all away who wait."""
        while True:
            try:
                first = self._waiting.popleft()
            except IndexError:
                return
            first.call(False)
