# SPDX-License-Identifier: MIT
"""The command on real nodes of a Redis Cluster: it locks where one node has all names, and says
what to do where it shares them. The store's own test is proof/tests/redis/test_cluster.c."""
import time

import pytest
from conftest import need_redis
from free_port import free_port
from harness import PATIENCE, RedisServer, Rig

SLOTS = 16384


class Node(RedisServer):
    def __init__(self, tmp, first, last):
        tmp.mkdir()
        self.port, self.bus = str(free_port()), str(free_port())
        super().__init__(tmp, "--bind", "127.0.0.1", "--port", self.port, "--cluster-port",
                         self.bus, "--cluster-enabled", "yes")
        self.cli("CLUSTER", "ADDSLOTSRANGE", str(first), str(last))

    def until_size(self, size):
        until = time.monotonic() + PATIENCE
        while True:
            info = self.cli("CLUSTER", "INFO").split()
            if "cluster_state:ok" in info and f"cluster_size:{size}" in info:
                return
            assert time.monotonic() < until, info
            time.sleep(0.02)


@pytest.fixture
def alone(tmp_path):
    need_redis()
    node = Node(tmp_path / "node", 0, SLOTS - 1)
    node.until_size(1)
    rig = Rig(node.url, tmp_path)
    yield rig, node
    rig.close()
    node.end()


@pytest.fixture
def two(tmp_path):
    need_redis()
    half = SLOTS // 2
    nodes = [Node(tmp_path / "one", 0, half - 1), Node(tmp_path / "two", half, SLOTS - 1)]
    nodes[0].cli("CLUSTER", "MEET", "127.0.0.1", nodes[1].port, nodes[1].bus)
    for node in nodes:
        node.until_size(2)
    rig = Rig(nodes[0].url, tmp_path)
    yield rig, nodes
    rig.close()
    for node in nodes:
        node.end()


def test_one_node_locks_several_names(alone):
    rig, node = alone
    keys = ["-k", "a", "-k", "b", "-k", "c"]
    holder = rig.start("run", *keys, "--", "sh", "-c", "echo held; read x || true", stdin=-1)
    holder.expect("held")
    for key in "abc":
        assert rig.run("run", "-n", key, "--", "true").code == 75
        assert rig.run("run", "-n", *keys, "--", "true").code == 75
    holder.popen.stdin.close()
    assert holder.popen.wait(PATIENCE) == 0
    assert [node.cli("EXISTS", f"pawl:{key}") for key in "abc"] == ["0", "0", "0"]
    done = rig.run("run", "-n", *keys, "--", "echo", "again")
    assert (done.code, done.out, done.err) == (0, "again\n", "")


def test_doctor_says_that_it_is_a_cluster_of_one_node(alone):
    rig, _ = alone
    assert "The server is a cluster of one node" in rig.run("doctor").out


@pytest.mark.parametrize("words", [
    ["run", "a", "--", "echo", "ran"],
    ["run", "-k", "a", "-k", "b", "-k", "c", "--", "echo", "ran"],
    ["run", "-N", "2", "a", "--", "echo", "ran"],
    ["doctor"],
    ["ls"],
])
def test_a_node_among_others_is_refused_in_one_sentence(two, words):
    rig, nodes = two
    for _ in range(4):  # whichever of its answers comes first
        done = rig.run(*words)
        assert (done.code, done.out) == (78, ""), done
        assert done.err.count("\n") == 1
        assert "a node of a cluster" in done.err
        assert "pawl needs a single Redis that has" in done.err
    assert [node.cli("DBSIZE") for node in nodes] == ["0", "0"]
