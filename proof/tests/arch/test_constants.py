# SPDX-License-Identifier: MIT
"""
Numbers that C and Lua share: a script cannot include a header, so each is compared here.
Statements of SQLite share none: what they need of C is bound to a parameter.
"""
import ast
import re

import pytest
import tree

SCRIPTS = "src/stores/redis/scripts"
PROTO, STORE_H, TYPES = "src/stores/redis/redis_proto.h", "include/pawl/store.h", "include/pawl/types.h"
SCHEMA = "src/stores/postgres/schema.sql"
MARIADB = "src/stores/mariadb/schema.sql"
ENTER = "src/stores/sqlite/sqlite_enter.c"


def lua(name):
    return rf"local {name} = (\d+)"


def define(name):
    return rf"#define {name}\s+(\d+)"


def power(name):
    return rf"#define {name}\s+\(U?INT64_C\(1\) << (\d+)\)"


# what it is: its places, (file, a pattern whose group is the number); a file may have it more than once
SHARED = {
    "waiters of one name": [(PROTO, define("PAWL__REDIS_QUEUE_MAX")), (ENTER, define("QUEUE_MAX")),
                            (f"{SCRIPTS}/acquire.lua", lua("QUEUE_MAX")),
                            (f"{SCRIPTS}/lib_enter.lua", lua("QUEUE_MAX"))],
    "how long a record outlives its lease": [(PROTO, define("PAWL__REDIS_FENCE_KEEP_MS")),
                                             (f"{SCRIPTS}/lib_keys.lua", lua("FENCE_KEEP_MS"))],
    "dead waiters skipped in one hand-off": [(PROTO, define("PAWL__REDIS_SKIP_MAX")),
                                             (f"{SCRIPTS}/lib_queue.lua", lua("SKIP_MAX"))],
    "holders of one name": [(PROTO, define("PAWL__REDIS_HOLDERS_MAX")),
                            (f"{SCRIPTS}/lib_many.lua", lua("HOLDERS_MAX"))],
    "waiters that one script lets in": [(PROTO, define("PAWL__REDIS_GRANTS_MAX")),
                                        (f"{SCRIPTS}/lib_many.lua", lua("GRANTS_MAX")),
                                        ("src/stores/sqlite/sqlite_grant.c", define("GRANTS_MAX"))],
    "holders that one script asks to yield": [(PROTO, define("PAWL__REDIS_TOLD_MAX")),
                                              (f"{SCRIPTS}/lib_many.lua", lua("TOLD_MAX")),
                                              (ENTER, define("TOLD_MAX"))],
    "how long a note of a break is kept": [(STORE_H, define("PAWL_BROKEN_KEEP_MS")),
                                           (SCHEMA, r"now_us \+ (\d+)000\), ow\)"),
                                           (MARIADB, r"now_us \+ (\d+)000\), ow\)"),
                                           (f"{SCRIPTS}/lib_broken.lua", lua("BROKEN_KEEP_MS"))],
    "notes of breaks of one name": [(STORE_H, define("PAWL_BROKEN_MAX")),
                                    (SCHEMA, r"b\.at_us DESC LIMIT (\d+)"),
                                    (MARIADB, r"LIMIT 1 OFFSET (\d+)"),
                                    (f"{SCRIPTS}/lib_broken.lua", lua("BROKEN_MAX"))],
    "waiters that a report shows": [(TYPES, define("PAWL_WAITERS_SHOWN_MAX")),
                                    (TYPES, define("PAWL_HOLDERS_SHOWN_MAX")),
                                    (SCHEMA, r"r\.place <= (\d+)"), (MARIADB, r"r\.place <= (\d+)")],
    "names on one page of a list": [("src/stores/postgres/postgres_report.c", r"#define PAGE\s+(\d+)"),
                                    ("src/stores/postgres/postgres_report.c", r'#define PAGE_TEXT "(\d+)"')],
    "the length of a token": [(TYPES, define("PAWL_TOKEN_LEN")),
                              (f"{SCRIPTS}/acquire.lua", r"#held > (\d+)"),
                              (f"{SCRIPTS}/break.lua", r"#held > (\d+)"),
                              (f"{SCRIPTS}/lib_free.lua", r"#held > (\d+)")],
    "the longest ttl that Lua prints in full": [(f"{SCRIPTS}/acquire.lua", lua("HOLDER_MS_MAX")),
                                                (f"{SCRIPTS}/lib_many.lua", r"'PTTL', KEYS\[1\]\), (\d+)\)")],
}

PLAN, RUN_PLAN = "src/engine/plan.c", "src/cli/run_plan.c"
SHARED |= {  # the command plans its stops before there is a lease
    "renewals in a ttl": [(PLAN, r"min\(pawl__ms_to_ns\(ttl_ms\) / (\d+), pawl__plan_span_ns"), (RUN_PLAN, define("RENEWALS_PER_TTL"))],
    "the margin's part of the ttl": [(PLAN, r"tenth = term / (\d+)"), (RUN_PLAN, r"tenth = ttl_ms / (\d+);\n\s+return \(tenth > 5")],
    "the least margin, in ms": [(PLAN, r"least = (\d+) \* PAWL__NS_PER_MS"), (RUN_PLAN, r"tenth : (\d+)\) \+")],
    "what is added to the margin, in ms": [(PLAN, r"least\) \+ (\d+) \* PAWL__NS_PER_MS"), (RUN_PLAN, r"tenth : \d+\) \+ (\d+);")],
}

# The last fence: a power of two in C, a number in Lua.
LAST_FENCE = {
    power("FENCE_MAX"): "src/stores/redis/redis_proto.c",
    power("PAWL__SQLITE_FENCE_MAX"): "src/stores/sqlite/sqlite_db.h",
    power("PAWL__MEMORY_FENCE_MAX"): "src/stores/memory/memory_model.h",
}


def found(path, pattern):
    numbers = re.findall(pattern, tree.read(path))
    assert numbers, f"{path} has no longer what {pattern!r} looks for"
    return {int(number) for number in numbers}


@pytest.mark.parametrize("what", sorted(SHARED))
def test_one_number_in_all_its_places(what):
    numbers = {f"{path}: {pattern}": found(path, pattern) for path, pattern in SHARED[what]}
    assert len(set.union(*numbers.values())) == 1, numbers


def test_the_last_fence():
    for pattern, path in LAST_FENCE.items():
        assert found(path, pattern) == {53}, path
    assert found(f"{SCRIPTS}/lib_last.lua", r"tonumber\(last\) >= (\d+)") == {2 ** 53}
    by_digits = f"{SCRIPTS}/lib_many.lua"  # which compares texts
    assert found(by_digits, r"#last == \d+ and last >= '(\d+)'") == {2 ** 53}
    assert found(by_digits, r"#last [>=]+ (\d+) ") == {len(str(2 ** 53))}


def test_the_last_fence_of_the_schema():
    assert found(SCHEMA, r"f > (\d+) THEN") == {2 ** 53}


def test_a_place_lives_so_long_in_the_schema():
    """It divides first, as pawl_place_span does."""
    places = re.findall(r"now_us \+ (ttl / \d+ \* \d+)", tree.read(SCHEMA))
    assert len(places) >= 3 and set(places) == {place_span()}


def test_a_place_lives_for_the_same_part_of_the_ttl():
    """pawl_place_span in C; Lua rounds up, which is never less."""
    span = place_span()
    scripts = ("acquire.lua", "lib_enter.lua", "change.lua")
    expressions = {s: re.findall(r"math\.ceil\((ttl \* \d+ / \d+)\)", tree.read(f"{SCRIPTS}/{s}")) for s in scripts}
    assert all(expressions.values()), expressions
    assert value(span, 30000) == 20000
    for ttl in (3, 9, 30000, 86400000):
        for script, texts in expressions.items():
            assert {value(text, ttl) for text in texts} == {value(span, ttl)}, script


def place_span():
    """The expression in C."""
    return re.search(r"pawl_place_span\(int64_t ttl\)\n\{\n\s+return ([^;]+);", tree.read(STORE_H)).group(1)


def value(expression, ttl):
    """Of an arithmetic of ttl, whole numbers, * and /."""
    tokens = expression.split()
    result = ttl
    assert tokens[0] == "ttl"
    for operator, number in zip(tokens[1::2], tokens[2::2]):
        result = result * ast.literal_eval(number) if operator == "*" else result // ast.literal_eval(number)
    return result


def test_every_bound_of_a_script_is_compared():
    """A new constant in a script needs a place in the table above."""
    compared = {(path, re.search(r"local (\w+)", pattern).group(1)) for places in SHARED.values()
                for path, pattern in places if pattern.startswith("local ")}
    wrong = []
    for path in tree.files(SCRIPTS, suffixes=(".lua",)):
        for name in re.findall(r"^local ([A-Z][A-Z_]+) = \d+", tree.read(path), re.M):
            if (str(path), name) not in compared:
                wrong.append(f"{path}: {name}")
    tree.none(wrong)
