# SPDX-License-Identifier: MIT
"""What C has made goes with the last reference to it, but not before.

Of a cycle of garbage (an error, its traceback, the frames in it) the collector runs all finalizers before
it frees anything, in any order: that of a handle may be the first, and then a generator's or a
coroutine's, whose ``with`` block releases by that handle. So what a collection finalizes is freed when
the collection is over; and at the very end of the interpreter, where nobody is told of that, not at all.
"""
from __future__ import annotations

import functools
import gc
import os
import sys
from typing import Any, Callable, Dict, List, Tuple

from ._native import ffi

Free = Callable[[Any], object]

#: Of what refers to each other, the lower rank is freed first.
CALLS, LOCKS, TELLERS, INBOXES = range(4)

_collects = False
_garbage: "List[Tuple[int, Free, Any]]" = []


def owned(cdata: Any, free: Free, rank: int = CALLS) -> Any:
    """`cdata`, and free(cdata) when nobody has it any more."""
    return ffi.gc(cdata, functools.partial(_let_go, free, rank))


def is_collection() -> bool:
    """What is finalized now may have been freed already, or is about to be: nothing may keep it."""
    return _collects


def _let_go(free: Free, rank: int, cdata: Any, ends: Callable[[], bool] = sys.is_finalizing) -> None:
    """The globals of this module may be gone when the interpreter ends."""
    if ends():
        return
    if _collects:
        _garbage.append((rank, free, cdata))
    else:
        free(cdata)


def _on_collection(phase: str, info: Dict[str, int]) -> None:
    global _collects, _garbage
    _collects = phase == "start"
    if _collects or not _garbage:
        return
    garbage, _garbage = _garbage, []
    for _, free, cdata in sorted(garbage, key=lambda one: one[0]):
        free(cdata)


def _after_fork_in_child() -> None:
    global _collects
    _collects = False  # a thread of the parent may have collected


gc.callbacks.append(_on_collection)
os.register_at_fork(after_in_child=_after_fork_in_child)
