# SPDX-License-Identifier: MIT
"""Latches and barriers, for asyncio."""
from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Callable, Optional, Union, cast

from . import _core
from ._aio_call import Call
from ._core import Core, Seconds, wait_ms
from ._handles import TELLERS, owned
from ._latch import BarrierBase, BarrierTerms, LatchBase, LatchTerms
from ._native import ffi, lib

if TYPE_CHECKING:
    from .aio import Client


def _free_teller(made: int, inbox: Any, teller: Any) -> None:
    if made == _core.generation:
        lib.pawlpy_teller_free(teller)


class _Wait(Call):
    """One call of a latch or a barrier, with a handle of its own."""

    __slots__ = ()

    def __init__(self, client: "Client", core: Core, terms: Union[LatchTerms, BarrierTerms]) -> None:
        assert client._loop is not None
        super().__init__(next(client._idents), terms.name, core, client._loop)
        # It stays until the outcome is told, which is later than the end of the handle.
        self.teller = owned(self.teller, functools.partial(_free_teller, core.generation, core.inbox),
                            TELLERS)
        self.handle = terms.handle(core)

    def give_up(self) -> None:
        ffi.release(self.handle)

    def give_back(self) -> None:  # what has been counted counts, and who has passed has passed
        pass


async def _run(client: "Client", op: str, terms: Union[LatchTerms, BarrierTerms],
               start: "Callable[[Any, Any], int]") -> Any:
    """The handle, which tells more of the outcome."""
    call = _Wait(client, client._present(), terms)
    code = start(call.handle, call.teller) or await client._outcome(call)
    client._forget(call)
    if code:
        raise client._fail(code, op, terms.name)
    return call.handle


class Latch(LatchBase):
    """As pawl.Latch, for tasks."""

    def __init__(self, client: "Client", terms: LatchTerms) -> None:
        super().__init__(terms)
        self._client = client

    async def count_down(self, by: int = 1, *, timeout: Optional[Seconds] = None) -> int:
        """As pawl.Latch.count_down. What a cancelled task has begun to count may still count."""
        wait, by = wait_ms(timeout), self._terms.check(by)
        handle = await _run(self._client, "count down", self._terms, lambda handle, teller: int(
            lib.pawlpy_tell_count_down(handle, by, wait, teller)))
        return int(lib.pawl_latch_left(handle))

    async def wait(self, timeout: Optional[Seconds] = None) -> None:
        """As pawl.Latch.wait."""
        wait = wait_ms(timeout)
        await _run(self._client, "wait", self._terms,
                   lambda handle, teller: int(lib.pawlpy_tell_latch(handle, wait, teller)))

    async def left(self, *, timeout: Seconds = 60.0) -> int:
        """As pawl.Latch.left."""
        return cast(int, await self._client._ask(self._terms.left, wait_ms(timeout)))


class Barrier(BarrierBase):
    """As pawl.Barrier, for tasks. A task that is cancelled while it waits breaks the round for the
    others."""

    def __init__(self, client: "Client", terms: BarrierTerms) -> None:
        super().__init__(terms)
        self._client = client

    async def wait(self, timeout: Optional[Seconds] = None) -> int:
        """As pawl.Barrier.wait."""
        wait = wait_ms(timeout)
        handle = await _run(self._client, "wait", self._terms,
                            lambda handle, teller: int(lib.pawlpy_tell_barrier(handle, wait, teller)))
        return int(lib.pawl_barrier_generation(handle))
