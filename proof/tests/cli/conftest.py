# SPDX-License-Identifier: MIT
import os
import shutil
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))
from harness import RedisServer, World  # noqa: E402


def need_redis():
    if not shutil.which("redis-server") or not shutil.which("redis-cli"):
        print("SKIP: redis-server is not installed", file=sys.stderr)
        pytest.skip("redis-server is not installed")


@pytest.fixture
def sqlite(tmp_path):
    world = World(f"sqlite:{tmp_path}/locks.db", tmp_path)
    yield world
    world.close()


@pytest.fixture
def server(tmp_path):
    need_redis()
    redis = RedisServer(tmp_path)
    yield redis
    redis.end()


@pytest.fixture
def redis(server, tmp_path):
    world = World(server.url, tmp_path)
    world.server = server
    yield world
    world.close()


@pytest.fixture(params=["sqlite", "redis"])
def world(request):
    """The same test on both stores."""
    return request.getfixturevalue(request.param)
