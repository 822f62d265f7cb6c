# SPDX-License-Identifier: MIT
"""Questions to the store, and leases by their token."""
from __future__ import annotations

import logging
import sys
import threading
from dataclasses import dataclass
from typing import Any, Callable, FrozenSet, List, Optional, Tuple

from . import _core
from ._core import Core, decode
from ._errors import make_error, text
from ._native import ffi, lib
from ._spec import Mode, mode_of, modes_in

_LEVELS = (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR)


@dataclass(frozen=True)
class Waiter:
    """One that waits for a lock. Its label is text that others have chosen."""

    owner: str
    waited: float  # seconds
    place: float  # seconds after which its place expires unless it is refreshed
    mode: Mode = "exclusive"  # what it waits for
    units: int = 0  # the permits that it waits for


@dataclass(frozen=True)
class Holder:
    """One that holds a lock. Its label is text that others have chosen."""

    owner: str
    remaining: Optional[float]  # seconds until its lease expires; None: never
    fence: int
    mode: Mode
    units: int  # the permits that it has


@dataclass(frozen=True)
class Broken:
    """Who took a lock from its holder. The label is text that others have chosen."""

    by: str  # the label of who did
    ago: float  # seconds
    fence: int  # of the lease that was broken


@dataclass(frozen=True)
class Info:
    """A lock as its store sees it. Names and labels are text that others have chosen: escape them
    before you show them on a terminal or a page."""

    name: str
    held: bool
    foreign: bool  # held by a client that is not pawl
    owner: str  # the holder's label
    remaining: Optional[float]  # seconds until the lease expires; None: never
    fence: int  # of the present or the last holder
    waiters: int  # all that wait
    queue: Tuple[Waiter, ...]  # in order of arrival; at most 1000 of them
    broken: Optional[Broken] = None  # who broke it last, for at least a minute
    # Several may hold a name together. What stands above is of the one whose fence is the largest,
    # but `remaining` is the longest of all.
    mode: Mode = "exclusive"  # of that holder; meaningless while it is free
    capacity: int = 0  # of the semaphore; 0: it is none
    holder_count: int = 0  # all that hold it
    holders: Tuple[Holder, ...] = ()  # in order of their fences; at most 1000 of them


@dataclass(frozen=True)
class Caps:
    """What a store promises."""

    fence: str  # "none"; "best effort": grows unless the store loses memory and its clock goes back; "durable"
    fair: bool  # waiters are served in order of arrival
    push: bool  # the store tells a waiter of its turn; it need not poll
    list: bool  # Client.list works
    instant_release: bool  # the death of a holder's process frees its locks at once
    modes: "FrozenSet[Mode]"  # those that it grants


@dataclass(frozen=True)
class Finding:
    """One thing that doctor() found."""

    level: int  # of logging's levels: DEBUG is in order, ERROR must be changed
    topic: str  # one word
    text: str  # what was found
    advice: str  # what to do; "" if nothing


@ffi.def_extern()
def pawlpy_info(info: Any, userdata: Any) -> bool:
    queue = tuple(Waiter(text(w.owner), w.age_ms / 1000, w.place_ms / 1000, mode_of(w.mode), w.units)
                  for w in (info.waiters[i] for i in range(info.waiters_shown)))
    broken = None
    if info.broken_by:
        broken = Broken(text(info.broken_by), info.broken_ms / 1000, info.broken_fence)
    holders = tuple(Holder(text(h.owner), _left(h.remaining_ms), h.fence, mode_of(h.mode), h.units)
                    for h in (info.holders[i] for i in range(info.holders_shown)))
    ffi.from_handle(userdata).append(Info(
        decode(ffi.unpack(info.name, info.name_len)), bool(info.held), bool(info.foreign),
        text(info.owner), _left(info.remaining_ms), info.fence, info.waiter_count, queue, broken,
        mode_of(info.mode), info.capacity, info.holder_count, holders))
    return True


def _left(remaining_ms: int) -> Optional[float]:
    return None if remaining_ms < 0 else remaining_ms / 1000


@ffi.def_extern()
def pawlpy_finding(finding: Any, userdata: Any) -> None:
    level = _LEVELS[min(max(finding.severity, 0), len(_LEVELS) - 1)]
    ffi.from_handle(userdata).append(
        Finding(level, text(finding.topic), text(finding.text), text(finding.advice)))


def _in_a_thread(call: Callable[[], Any]) -> Any:
    """What the call returns or raises: an argument that does not fit into C's type, for instance."""
    answers: List[Any] = []
    errors: List[BaseException] = []

    def run() -> None:
        try:
            answers.append(call())
        except BaseException as error:  # it is raised on the other thread
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True, name="pawl question")
    thread.start()
    thread.join()
    if errors:
        raise errors.pop()
    return answers[0]


def ask(core: Core, op: str, name: bytes, call: Callable[[], Any]) -> None:
    """A call that may wait for the store. On the main thread a signal would wait with it, so it has
    a thread of its own there; who is interrupted leaves it behind. At the very end of the interpreter
    a thread does not begin any more, and who starts one waits for ever."""
    if threading.get_ident() != _core.main_thread or sys.is_finalizing():
        code = call()
    else:
        code = _in_a_thread(call)
    if code:
        raise core.error(code, op, decode(name))


def inspect(core: Core, name: bytes, wait: int) -> Info:
    infos: List[Info] = []
    handle = ffi.new_handle(infos)
    ask(core, "inspect", name, lambda: lib.pawl_inspect(
        core.ptr, name, len(name), wait, lib.pawlpy_info, handle))
    if len(infos) != 1:
        raise make_error(lib.PAWL_ERR_UNKNOWN, "inspect", decode(name))
    return infos[0]


def list_all(core: Core, prefix: bytes, wait: int) -> List[Info]:
    infos: List[Info] = []
    handle = ffi.new_handle(infos)
    ask(core, "list", prefix, lambda: lib.pawl_list(
        core.ptr, prefix, len(prefix), wait, lib.pawlpy_info, handle))
    return infos


_FENCES = {lib.PAWL_FENCE_NONE: "none", lib.PAWL_FENCE_BEST_EFFORT: "best effort",
           lib.PAWL_FENCE_DURABLE: "durable"}


def caps(core: Core, wait: int) -> Caps:
    told = ffi.new("pawl_caps *")
    ask(core, "caps", b"", lambda: lib.pawlpy_caps(core.ptr, wait, told))
    return Caps(_FENCES[told.fence], told.fair, told.push, told.list, told.instant_release,
                modes_in(told.modes))


def doctor(core: Core, wait: int) -> List[Finding]:
    findings: List[Finding] = []
    handle = ffi.new_handle(findings)
    ask(core, "doctor", b"", lambda: lib.pawl_doctor(core.ptr, wait, lib.pawlpy_finding, handle))
    return findings


def break_lock(core: Core, name: bytes, fence: int, wait: int) -> None:
    ask(core, "break", name, lambda: lib.pawl_break(core.ptr, name, len(name), fence, wait))


def _token(token: str, op: str, name: bytes) -> bytes:
    raw = token.encode("utf-8", "surrogateescape")
    if b"\0" in raw:
        raise make_error(lib.PAWL_ERR_ARGUMENT, op, decode(name))
    return raw


def renew_token(core: Core, name: bytes, token: str, ttl: int, wait: int) -> int:
    fence, raw = ffi.new("uint64_t *"), _token(token, "renew", name)
    ask(core, "renew", name, lambda: lib.pawl_token_renew(
        core.ptr, name, len(name), raw, ttl, wait, fence))
    return int(fence[0])


def release_token(core: Core, name: bytes, token: str, wait: int) -> None:
    raw = _token(token, "release", name)
    ask(core, "release", name, lambda: lib.pawl_token_release(
        core.ptr, name, len(name), raw, wait))


def check_token(core: Core, name: bytes, token: str, wait: int) -> float:
    remaining, raw = ffi.new("int64_t *"), _token(token, "check", name)
    ask(core, "check", name, lambda: lib.pawl_token_check(
        core.ptr, name, len(name), raw, wait, remaining))
    return float(remaining[0]) / 1000
