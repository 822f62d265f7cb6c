# SPDX-License-Identifier: MIT
"""Inside a part, too, knowledge points one way: no circle of includes, none of calls."""
import functools
import os
import re
import subprocess

import pytest
import tree

# part: the objects of the build that it becomes
PARTS = {
    "src/base": "libpawl_base.a.p",
    "src/engine": "libpawl_engine.a.p",
    "src/stores/common": "libpawl_common.a.p",
    "src/stores/memory": "libpawl_memory.a.p",
    "src/stores/redis": "libpawl_redis.a.p",
    "src/stores/sqlite": "libpawl_sqlite.a.p",
    "src/stores/postgres": "libpawl_postgres.a.p",
    "src/stores/mariadb": "libpawl_mariadb.a.p",
    "src/stores/memcached": "libpawl_memcached.a.p",
    "src/stores/etcd": "libpawl_etcd.a.p",
    "src/stores/zookeeper": "libpawl_zookeeper.a.p",
    "src/runtime": "libpawl_runtime.a.p",
    "src/cli": "libpawl_cli.a.p",
    "src/cli/top": "pawl-top.p",
    "src/cli/serve": "pawl-serve.p",
    "contrib/beego/config": "libpawl_config.a.p",
    "proof/bench/own": "pawl-bench.p",
    "proof/sim": "pawl-sim.p",
    "proof/torture": "pawl-torture.p",
    "examples/demo": "pawl-demo.p",
}


def circles(graph):
    """The strongly connected sets of more than one node (Tarjan)."""
    found, index, low, stack = [], {}, {}, []

    def visit(node):
        index[node] = low[node] = len(index)
        stack.append(node)
        for neighbour in graph.get(node, ()):
            if neighbour not in index:
                visit(neighbour)
            if neighbour in stack:
                low[node] = min(low[node], low[neighbour])
        if low[node] == index[node]:
            at = stack.index(node)
            if len(stack) - at > 1:
                found.append(set(stack[at:]))
            del stack[at:]

    for node in list(graph):
        if node not in index:
            visit(node)
    return found


def includes(part):
    """file -> the files of ours that it includes"""
    graph = {}
    for path in tree.files(part):
        names = re.findall(r'^\s*#\s*include\s*"([^"]+)"', tree.code(path), re.M)
        inside = {os.path.normpath(path.parent / name) for name in names}
        graph[str(path)] = {name for name in inside if (tree.SOURCE / name).exists()}
    return graph


@functools.cache
def sources():
    """src_engine_on_time -> on_time, as the build spells objects"""
    return {str(path)[:-2].replace("/", "_"): path.stem
            for path in tree.files("src", "contrib", "proof", "examples", suffixes=(".c",))}


def stem(path):
    name = os.path.basename(path)[:-len(".c.o")]
    return sources().get(name, name)


def calls(objects):
    """object -> {object that has what it needs: the symbols}"""
    home, needs = {}, {}
    told = subprocess.run(["nm", "-A", "-P", *objects], capture_output=True, text=True, check=True)
    for line in told.stdout.splitlines():
        path, name, kind = line.split()[:3]
        user = stem(path.rstrip(":"))
        if kind == "U":
            needs.setdefault(user, set()).add(name)
        elif kind.isupper():
            home[name] = user
    graph = {}
    for user, names in needs.items():
        for name in names:
            if home.get(name, user) != user:
                graph.setdefault(user, {}).setdefault(home[name], set()).add(name)
    return graph


def objects_of(part):
    places = [tree.BUILD, tree.BUILD / part]
    directories = [place / PARTS[part] for place in places if (place / PARTS[part]).is_dir()]
    assert directories, f"{PARTS[part]} is not in this build"
    return [path for directory in directories for path in sorted(directory.glob("*.c.o"))]


def test_every_part_of_the_library_is_looked_at():
    parts = {str(path.parent) for path in tree.files("src", suffixes=(".c",))}
    assert parts <= set(PARTS)


@pytest.mark.parametrize("part", sorted(PARTS) + ["proof/tests", "proof/bench"])
def test_no_circle_of_includes(part):
    tree.none(circles(includes(part)))


@pytest.mark.parametrize("part", sorted(PARTS))
def test_no_circle_of_calls(part):
    graph = calls(objects_of(part))
    wrong = []
    for circle in circles(graph):
        wrong += [f"{user} needs of {home}: {', '.join(sorted(names))}"
                  for user in sorted(circle) for home, names in graph[user].items() if home in circle]
    tree.none(wrong)


def test_a_circle_is_found():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [{"a", "b", "c"}]
    assert circles({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []
