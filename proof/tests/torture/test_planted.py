# SPDX-License-Identifier: MIT
"""Mistakes that are planted into the real stores: torture has to find each.

A store's module is copied, and in the copy a few bytes of its scripts are replaced by as many
others. By default a few mistakes are tried; PAWL_PLANTED=all tries every one.
"""
import os
import pathlib
import re
import shutil
import sys
import tempfile

import pytest
from history import torture

BUILD = os.environ["PAWL_BUILD"]
GUILTY, THIN = 1, 2
ALL = os.environ.get("PAWL_PLANTED") == "all"

# name: store, which kind of name shows it, what must find it, what is replaced, by what. Where a
# script has one way for what is usual and one for all else, the mistake is in both.
REDIS, SQLITE = "pawl-store-redis.so", "pawl-store-sqlite.so"
HOSTILE = "pawl-store-hostile.so"  # stands in front of SQLite in one of its setups
PLANTED = {
    "writer-beside-readers": ("redis-always", "modes", {"exclusion"}, REDIS,
                              "or many == 0 then return many == 0 end",
                              "or many == 0 then return many >= 0 end"),
    "two-in-update": ("redis-always", "modes", {"exclusion"}, REDIS,
                      "capacity == 0 and updater == '-' end",
                      "capacity == 0 and updater ~= nil end"),
    "upgrade-beside-readers": ("redis-always", "modes", {"exclusion"}, REDIS,
                               "local is_alone = many == 1", "local is_alone = many >= 1"),
    "upgrade-keeps-its-fence": ("redis-always", "modes", {"fence"}, REDIS,
                                "write_exclusive(token, till - now_ms, next_fence(), holder.who,",
                                "write_exclusive(token, till - now_ms, last,         holder.who,"),
    "all-readers-end-with-the-first": ("redis-always", "modes", {"exclusion", "losses"}, REDIS,
                                       "part(some_holders(many - 1, -now_ms))",
                                       "part(some_holders(many - 1, -2^9999))"),
    "readers-pass-a-writer": ("redis-always", "modes", {"order", "recovery"}, REDIS,
                              "elseif not position and not blocked and",
                              "elseif not position and true        and",
                              "if waiting == 0 then\nlocal fits",
                              "if waiting >= 0 then\nlocal fits"),
    "a-permit-twice": ("redis-always", "permits", {"exclusion"}, REDIS,
                       "return '1'\nend, units)", "return '0'\nend, units)"),
    "permits-leak": ("redis-always", "permits", {"slots"}, REDIS,
                     "return mine[at] and '0' or nil", "return mine[at] and '1' or nil",
                     "slot) .. '0' .. string.sub(slots, slot + 2)",
                     "slot) .. '1' .. string.sub(slots, slot + 2)"),
    "a-writer-comes-when-one-reader-goes": ("redis-always", "modes", {"exclusion"}, REDIS,
                                            "elseif many == 1 then\nif not head",
                                            "elseif many >= 1 then\nif not head"),
    "two-in-update-in-a-file": ("sqlite", "modes", {"exclusion"}, SQLITE,
                                "WHERE name = ?1 AND mode <> 1 ORDER BY",
                                "WHERE name = ?1 AND mode =  1 ORDER BY"),
    "a-permit-twice-in-a-file": ("sqlite", "permits", {"exclusion"}, SQLITE,
                                 "SELECT slots, capacity FROM hold WHERE name = ?1",
                                 "SELECT slots, capacity FROM hold WHERE name = ?2"),
}
# With few workers the queue is empty now and then, and it shows which permits are free.
WORKERS = {"permits-leak": 3}
ALWAYS = {"upgrade-beside-readers", "a-permit-twice", "two-in-update-in-a-file"}


@pytest.fixture
def modules():
    """A directory that another user can read, too: one setup has workers of two."""
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        yield pathlib.Path(directory)


def plant(directory, module, changes):
    """A copy of the module with the mistake in it."""
    with open(os.path.join(BUILD, module), "rb") as file:
        content = file.read()
    for old, new in zip(changes[::2], changes[1::2], strict=True):
        assert len(old) == len(new) and old != new
        assert old.encode() in content, f"{module} has no {old!r} any more: plant it anew"
        content = content.replace(old.encode(), new.encode())
    (directory / module).write_bytes(content)
    if os.path.exists(os.path.join(BUILD, HOSTILE)):  # it takes the store that lies beside it
        shutil.copy(os.path.join(BUILD, HOSTILE), directory)
    return directory


def has_server(module):
    return module != REDIS or shutil.which("redis-server")


def found(result):
    return set(re.findall(r'^[\w-]+: (\w+) \(".*"\) was violated', result.stdout, re.M))


@pytest.mark.parametrize("name", sorted(PLANTED if ALL else ALWAYS))
def test_a_planted_mistake_is_found(name, tmp_path, modules, monkeypatch):
    setup, kind, checks, module, *changes = PLANTED[name]
    if not os.path.exists(os.path.join(BUILD, module)) or not has_server(module):
        pytest.skip("there is no such store here")
    monkeypatch.setenv("PAWL_MODULES", str(plant(modules, module, changes)))
    for seconds in (2, 8, 30):
        result = torture("--seconds", seconds, "--store", setup, "--kinds", kind, "--workers",
                         WORKERS.get(name, 8), "--faults", "stop-worker,kill-worker", "--dir",
                         tmp_path / str(seconds))
        if result.returncode == GUILTY and found(result) & checks:
            print(f"{name}: {', '.join(sorted(found(result)))} in a run of {seconds} s",
                  file=sys.stderr)
            return
    pytest.fail(result.stdout + result.stderr)
