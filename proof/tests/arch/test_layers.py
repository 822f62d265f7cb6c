# SPDX-License-Identifier: MIT
"""Who may know whom (docs: architecture), by what each file includes."""
import os
import re

import tree

# layer: (its own includes may come from these layers, these public headers)
RULES = {
    "base": (["base"], ["types.h"]),
    "engine": (["engine", "base"], ["types.h", "store.h", "trace.h"]),
    "stores/memory": (["stores/memory", "base"], ["types.h", "store.h"]),
    "stores/redis": (["stores/redis", "stores/common", "base"], ["types.h", "store.h"]),
    "stores/sqlite": (["stores/sqlite", "base"], ["types.h", "store.h"]),
    "stores/postgres": (["stores/postgres", "stores/common", "base"], ["types.h", "store.h"]),
    "stores/common": (["stores/common", "base"], ["types.h", "store.h"]),
    "stores/mariadb": (["stores/mariadb", "stores/common", "base"], ["types.h", "store.h"]),
    "stores/memcached": (["stores/memcached", "stores/common", "base"], ["types.h", "store.h"]),
    "stores/etcd": (["stores/etcd", "stores/common", "base"], ["types.h", "store.h"]),
    "stores/zookeeper": (["stores/zookeeper", "stores/common", "base"], ["types.h", "store.h"]),
    "runtime": (["runtime", "engine", "base"],
                ["types.h", "store.h", "pawl.h", "trace.h", "metrics.h", "composed.h"]),
    "cli": (["cli"], ["types.h", "pawl.h", "trace.h", "config.h", "metrics.h", "composed.h"]),
    "contrib/beego/config": (["contrib/beego/config"], ["types.h", "pawl.h", "config.h"]),
    "proof/sim": (["proof/sim", "engine", "base"], ["types.h", "store.h", "trace.h"]),
    "cli/top": (["cli/top", "cli"], ["types.h", "pawl.h"]),
    "cli/serve": (["cli/serve", "cli"], ["types.h", "pawl.h"]),
    "proof/bench/own": (["proof/bench/own", "cli"], ["types.h", "pawl.h"]),
    "proof/torture/checks": (["proof/torture/checks", "proof/torture"], ["types.h"]),  # they judge, they know nobody
    "proof/torture/hostile": (["proof/torture/hostile"], ["types.h", "store.h"]),  # a store, for tests
    "proof/ports": (["proof/ports"], []),  # for tests, torture and bench
    "proof/torture": (["proof/torture", "proof/torture/checks", "proof/ports"], ["types.h", "pawl.h", "composed.h"]),
}

# Doors that are open on purpose: (who, what)
DOORS = {
    ("runtime", "stores/memory/memory_store.h"),  # the store that is built in
    ("proof/torture/hostile", "stores/memory/memory_store.h"),  # which has no module of its own
    ("proof/sim", "stores/memory/memory_model.h"),      # what the stores are compared with
    ("proof/sim", "stores/redis/redis_proto.h"),        # the protocol without its sockets
    ("proof/sim", "stores/redis/redis_link.h"),         # the link without its sockets
    ("proof/sim", "stores/redis/redis_scripts.h"),      # by whose hash the model knows them
}

# The floors of src/runtime, the lowest first. A file knows its own floor and those below it.
FLOORS = [
    [
        "clock",
        "held",
        "messages",
        "modules",
        "options",
        "owner",
        "process",
        "redact",
        "thread",
        "token",
        "token_shown",
        "url",
    ],
    [
        "gate",
        "gate_calls",
        "gate_flush",
        "gate_inside",
        "gate_thread",
        "spin",
        "waiter",
    ],
    ["calls"],
    ["metrics", "metrics_text", "trace", "trace_text"],
    ["pump", "pump_host", "pump_open"],
    ["query"],
    [
        "acquisition",
        "begin",
        "ends",
        "reentry",
        "several",
        "actions",
        "ask",
        "deliver",
        "holds",
        "readers",
        "retention",
    ],
    [
        "client",
        "client_memory",
        "floors",
        "fork",
        "lock",
        "lock_new",
        "mode",
        "query_api",
        "visit",
        "wait",
        "with_lock",
    ],
    [
        "barrier",
        "election",
        "flow",
        "job",
        "latch",
        "once",
    ],
]

# Neither the engine nor base may know a clock, a thread or the system.
PURE = {"stdbool.h", "stddef.h", "stdint.h", "stdlib.h", "string.h", "limits.h", "inttypes.h"}

# Libraries belong to one place each.
LIBRARIES = {
    "event2/": ["runtime", "stores/common", "stores/memory", "stores/redis", "stores/sqlite",
                "stores/postgres", "stores/mariadb", "stores/memcached", "stores/etcd", "stores/zookeeper",
                "cli/serve",
                "proof/torture",
                "proof/torture/hostile", "proof/bench/own"],  # what counts requests is a server of its own
    "hiredis/": ["proof/torture"],
    "openssl/": ["stores/redis/redis_tls.c", "stores/redis/redis_tls_words.c",
                 "stores/redis/redis_tls_inside.h"],  # a module of its own
    "sqlite3.h": ["stores/sqlite", "proof/torture"],
    "libpq-fe.h": ["stores/postgres"],
    "mysql.h": ["stores/mariadb"],
    "jansson.h": ["cli", "cli/serve", "contrib/beego/config", "stores/etcd"],
    "curl/": ["stores/etcd"],
    "zookeeper/": ["stores/zookeeper"],
    "curses.h": ["cli/top"],
}


def layer_of(path):
    """The layer of a path relative to src/, or of one elsewhere in the tree; or None."""
    for layer in sorted(RULES, key=len, reverse=True):
        if str(path).startswith(layer + "/"):
            return layer
    return None


def sources():
    for path in tree.files("src", "contrib", "proof/bench/own", "proof/ports", "proof/sim", "proof/torture"):
        inside = str(path)[len("src/"):] if str(path).startswith("src/") else str(path)
        yield path, inside, layer_of(inside)


def includes():
    """(file, layer, spelled name, resolved name, quoted?)"""
    for path, inside, layer in sources():
        for quote, name in re.findall(r'^\s*#\s*include\s*(["<])([^">]+)[">]', tree.code(path), re.M):
            resolved = os.path.normpath(os.path.join(os.path.dirname(inside), name))
            resolved = re.sub(r"^(\.\./)*src/", "", resolved)
            yield path, layer, name, resolved, quote == '"'


def public(name):
    match = re.fullmatch(r"(?:.*/)?pawl/(\w+\.h)", name)
    return match.group(1) if match else None


def test_every_source_belongs_to_a_layer():
    tree.none([path for path, _, layer in sources() if layer is None])
    assert len(list(sources())) > 20


def test_layers_know_only_those_below():
    wrong = []
    for path, layer, name, resolved, quoted in includes():
        layers, headers = RULES.get(layer, ([], []))
        if public(name):
            if public(name) not in headers:
                wrong.append(f"{path}: {name}")
        elif quoted and (layer, resolved) not in DOORS and layer_of(resolved) not in layers:
            wrong.append(f"{path}: {name}")
    tree.none(wrong)


def floor_of(path):
    """The floor of a path relative to src/, if it is in src/runtime; or None."""
    match = re.fullmatch(r"runtime/(\w+)\.[ch]", str(path))
    return next((n for n, names in enumerate(FLOORS) if match and match.group(1) in names), None)


def test_every_file_of_the_runtime_has_a_floor():
    tree.none([path for path, inside, layer in sources() if layer == "runtime" and floor_of(inside) is None])
    assert len({name for names in FLOORS for name in names}) == sum(len(names) for names in FLOORS)


def test_floors_know_only_those_below():
    wrong = []
    for path, _, name, resolved, quoted in includes():
        mine, others = floor_of(str(path)[len("src/"):]), floor_of(resolved)
        if quoted and mine is not None and others is not None and others > mine:
            wrong.append(f"{path}: {name}")
    tree.none(wrong)


def test_the_engine_is_pure():
    wrong = [f"{path}: <{name}>" for path, layer, name, _, quoted in includes()
             if layer in ("engine", "base") and not quoted and name not in PURE]
    tree.none(wrong)


def test_libraries_stay_in_their_places():
    wrong = []
    for path, layer, name, _, quoted in includes():
        for library, places in LIBRARIES.items():
            inside = str(path)[len("src/"):] if str(path).startswith("src/") else str(path)
            if not quoted and name.startswith(library) and not {layer, inside} & set(places):
                wrong.append(f"{path}: <{name}>")
    tree.none(wrong)


def test_nobody_includes_tests():
    tree.none([f"{path}: {name}" for path, _, name, resolved, _ in includes()
               if "proof/tests/" in resolved])
