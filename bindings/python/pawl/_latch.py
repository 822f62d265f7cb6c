# SPDX-License-Identifier: MIT
"""Latches and barriers: going on when all have come."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Optional

from ._ask import ask
from ._core import Core, Seconds, decode, milliseconds, wait_ms
from ._errors import make_error
from ._handles import owned
from ._lock import on_any_thread
from ._native import ffi, lib

if TYPE_CHECKING:
    from ._client import Client


class LatchTerms:
    """What all who use a latch agree on."""

    def __init__(self, raw: bytes, count: int, keep: Seconds) -> None:
        self.raw = raw
        self.name = decode(raw)
        self.count = count
        self._keep_ms = milliseconds(keep)

    def handle(self, core: Core) -> Any:
        """A pawl_latch, which is freed with its last reference. Each call has one of its own."""
        opts, made = ffi.new("pawl_latch_opts *"), ffi.new("pawl_latch **")
        lib.pawl_latch_opts_init_sized(opts, ffi.sizeof("pawl_latch_opts"))
        opts.count = _within(self.count, lib.PAWL_LATCH_COUNT_MAX, "latch", self.name)
        opts.keep_ms = self._keep_ms
        code = lib.pawl_latch_new(core.ptr, self.raw, len(self.raw), opts, made)
        if code:
            raise core.error(code, "latch", self.name)
        return owned(made[0], lib.pawl_latch_free)

    def check(self, by: int) -> int:
        return _within(by, self.count, "count down", self.name)

    def left(self, core: Core, wait: int) -> int:
        handle = self.handle(core)
        ask(core, "look", self.raw, lambda: lib.pawl_latch_look(handle, wait))
        return int(lib.pawl_latch_left(handle))


class BarrierTerms:
    """What all who use a barrier agree on."""

    def __init__(self, raw: bytes, parties: int, ttl: Seconds) -> None:
        self.raw = raw
        self.name = decode(raw)
        self.parties = parties
        self._ttl_ms = milliseconds(ttl)

    def handle(self, core: Core) -> Any:
        """A pawl_barrier, as LatchTerms.handle."""
        opts, made = ffi.new("pawl_barrier_opts *"), ffi.new("pawl_barrier **")
        lib.pawl_barrier_opts_init_sized(opts, ffi.sizeof("pawl_barrier_opts"))
        opts.parties = _within(self.parties, lib.PAWL_BARRIER_PARTIES_MAX, "barrier", self.name)
        opts.ttl_ms = self._ttl_ms
        code = lib.pawl_barrier_new(core.ptr, self.raw, len(self.raw), opts, made)
        if code:
            raise core.error(code, "barrier", self.name)
        return owned(made[0], lib.pawl_barrier_free)


def _within(number: int, most: int, op: str, name: str) -> int:
    if not 1 <= number <= most:
        raise make_error(lib.PAWL_ERR_PARTIES, op, name, f"1 to {most}, not {number!r}")
    return number


def _run(core: Core, op: str, name: str, handle: Any, call: "Callable[[], Any]",
         start: "Callable[[Any], Any]") -> None:
    """If an exception ends the wait, the handle is freed, and with it the wait at the store."""
    code = on_any_thread(call, start, lambda: ffi.release(handle))
    if code:
        raise core.error(code, op, name)


class LatchBase:
    """What it is called."""

    def __init__(self, terms: LatchTerms) -> None:
        self._terms = terms

    @property
    def name(self) -> str:
        return self._terms.name

    def __repr__(self) -> str:
        return f"<pawl.Latch {self.name!r} of {self._terms.count}>"


class BarrierBase:
    """What it is called."""

    def __init__(self, terms: BarrierTerms) -> None:
        self._terms = terms

    @property
    def name(self) -> str:
        return self._terms.name

    @property
    def parties(self) -> int:
        """How many it lets through together."""
        return self._terms.parties

    def __repr__(self) -> str:
        return f"<pawl.Barrier {self.name!r} of {self.parties}>"


class Latch(LatchBase):
    """Opens when it was counted down so many times, by whomever; then who waits goes on, and who comes
    later does not wait. It opens once: take another name for the next time. Threads may share it.

        client.latch("import-42", 3).count_down()   # each of three jobs, when it is done
        client.latch("import-42", 3).wait()         # whoever needs all of them

    Who counts is not known by name: a program that counts, dies and is started again counts twice.
    """

    def __init__(self, client: "Client", terms: LatchTerms) -> None:
        super().__init__(terms)
        self._client = client

    def count_down(self, by: int = 1, *, timeout: Optional[Seconds] = None) -> int:
        """Counts, and returns how many are to come. Unknown: the store did not answer for `timeout`, or
        until the lease was over; it may or may not count. After any other error nothing was counted:
        Usage (PAWL_ERR_COUNT: the latch has another count; PAWL_ERR_KIND: the name is in use as
        something else), Busy and Timeout (others count), Lost."""
        core, wait, by = self._client._present(), wait_ms(timeout), self._terms.check(by)
        handle = self._terms.handle(core)
        _run(core, "count down", self.name, handle,
             lambda: lib.pawl_latch_count_down(handle, by, wait),
             lambda waiting: lib.pawlpy_wait_count_down(handle, by, wait, waiting))
        return int(lib.pawl_latch_left(handle))

    def wait(self, timeout: Optional[Seconds] = None) -> None:
        """Returns when the latch is open. Timeout: it was not for so many seconds (0: Busy). Broken: the
        store has forgotten it, or it has begun anew, while we waited. Usage: as count_down."""
        core, wait = self._client._present(), wait_ms(timeout)
        handle = self._terms.handle(core)
        _run(core, "wait", self.name, handle, lambda: lib.pawl_latch_wait(handle, wait),
             lambda waiting: lib.pawlpy_wait_latch(handle, wait, waiting))

    def left(self, *, timeout: Seconds = 60.0) -> int:
        """Asks how many are to come."""
        return self._terms.left(self._client._present(), wait_ms(timeout))


class Barrier(BarrierBase):
    """Lets so many through together, when all of them wait; the next ones make the next round. Each call
    of wait() is one of them, whichever object or thread makes it.

        client.barrier("phase", parties=3).wait()
    """

    def __init__(self, client: "Client", terms: BarrierTerms) -> None:
        super().__init__(terms)
        self._client = client

    def wait(self, timeout: Optional[Seconds] = None) -> int:
        """Returns when all are there, with the number of the round: 1, 2 and so on, the same for all
        that passed together. Timeout (0: Busy): they were not for so many seconds; who goes, also by
        Ctrl-C, breaks the round for the others. Broken: another one has given up or died, or the store
        has forgotten the barrier. Lost: our own lease was lost. Usage (PAWL_ERR_COUNT): it is in use
        with another number of parties."""
        core, wait = self._client._present(), wait_ms(timeout)
        handle = self._terms.handle(core)
        _run(core, "wait", self.name, handle, lambda: lib.pawl_barrier_wait(handle, wait),
             lambda waiting: lib.pawlpy_wait_barrier(handle, wait, waiting))
        return int(lib.pawl_barrier_generation(handle))
