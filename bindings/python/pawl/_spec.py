# SPDX-License-Identifier: MIT
"""What a lock asks for."""
from __future__ import annotations

import functools
from typing import Any, Iterable, Literal, Optional, Tuple, Union

from ._core import Seconds, c_string, decode, encode, milliseconds, wait_ms
from ._errors import make_error
from ._native import ffi, lib


#: exclusive: alone. shared: beside others who share, and one in update mode. update: one beside those
#: who share, who may write later. permit: some of the permits of a semaphore.
Mode = Literal["exclusive", "shared", "update", "permit"]

_NUMBERS: "dict[str, int]" = {"exclusive": lib.PAWL_MODE_EXCLUSIVE, "shared": lib.PAWL_MODE_SHARED,
                              "update": lib.PAWL_MODE_UPDATE, "permit": lib.PAWL_MODE_PERMIT}
_WORDS: "dict[int, Mode]" = {lib.PAWL_MODE_EXCLUSIVE: "exclusive", lib.PAWL_MODE_SHARED: "shared",
                             lib.PAWL_MODE_UPDATE: "update", lib.PAWL_MODE_PERMIT: "permit"}
MODES: "Tuple[Mode, ...]" = ("exclusive", "shared", "update", "permit")


def mode_of(number: int) -> Mode:
    return _WORDS[number]


def number_of(mode: str, op: str, name: str) -> int:
    try:
        return _NUMBERS[mode]
    except (KeyError, TypeError):
        raise make_error(lib.PAWL_ERR_ARGUMENT, op, name,
                         f"a mode is one of {', '.join(MODES)}, not {mode!r}") from None


def modes_in(bits: int) -> "frozenset[Mode]":
    return frozenset(mode for number, mode in _WORDS.items() if bits & 1 << number)


class Spec:
    """What a lock asks for: names, mode, times. Locks that ask for the same share one."""

    __slots__ = ("name", "raw", "names", "mode", "units", "reentrant", "opts", "_owner", "default_wait")

    def __init__(self, raw: "Union[bytes, Tuple[bytes, ...]]", ttl: Seconds, timeout: Optional[Seconds], blocking: bool,
                 owner: Optional[str], retain: Seconds, detached: bool, reentrant: bool, mode: Mode,
                 capacity: int, units: int) -> None:
        #: Of several names of which all are locked or none.
        self.names: "Tuple[bytes, ...]" = raw if isinstance(raw, tuple) else ()
        self.raw: bytes = raw[0] if isinstance(raw, tuple) else raw
        self.name = ", ".join(map(decode, self.names)) if self.names else decode(self.raw)
        self.mode = mode
        self.units = units
        self.reentrant = bool(reentrant)
        self.default_wait = wait_ms(timeout) if blocking else 0
        self._owner = c_string(owner, lib.PAWL_ERR_OWNER)  # lives as long as the options
        #: C only reads them.
        self.opts: Any = ffi.new("pawlpy_lock_opts *", [
            milliseconds(ttl), milliseconds(retain), self._owner, detached, self.reentrant,
            number_of(mode, "lock", self.name), capacity, units])


_cached = functools.lru_cache(maxsize=256)(Spec)


def spec_of(name: Union[str, bytes], ttl: Seconds, timeout: Optional[Seconds], blocking: bool,
            owner: Optional[str], retain: Seconds, detached: bool, reentrant: bool,
            mode: Mode) -> Spec:
    """Of a lock on one name."""
    if mode == "permit":
        raise make_error(lib.PAWL_ERR_ARGUMENT, "lock", decode(name),
                         "permits are a semaphore's: client.semaphore(name, capacity)")
    try:
        return _cached(encode(name), ttl, timeout, blocking, owner, retain, detached, reentrant,
                       mode, 0, 0)
    except TypeError:
        number_of(mode, "lock", decode(name))  # what cannot be hashed is no mode either
        raise


def spec_of_all(names: "Iterable[Union[str, bytes]]", ttl: Seconds, timeout: Optional[Seconds],
                blocking: bool, owner: Optional[str], detached: bool, reentrant: bool,
                mode: Mode) -> Spec:
    """Of a lock on several names."""
    if isinstance(names, (str, bytes)):
        raise TypeError("names are a list of names, not one name: client.lock(name)")
    raw = tuple(map(encode, names))
    if not raw:
        raise make_error(lib.PAWL_ERR_NAMES, "lock")
    if any(b"\0" in name for name in raw):
        raise make_error(lib.PAWL_ERR_NAME, "lock")
    return Spec(raw, ttl, timeout, blocking, owner, 0.0, detached, reentrant, mode, 0, 0)


def permits_of(name: Union[str, bytes], capacity: int, units: int, ttl: Seconds,
               timeout: Optional[Seconds], blocking: bool, owner: Optional[str], retain: Seconds,
               detached: bool) -> Spec:
    """Of some permits of a semaphore."""
    if not 1 <= units <= capacity <= lib.PAWL_CAPACITY_MAX:
        raise make_error(lib.PAWL_ERR_UNITS, "lock", decode(name))
    return _cached(encode(name), ttl, timeout, blocking, owner, retain, detached, False, "permit",
                   capacity, units)
