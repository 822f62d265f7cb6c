# SPDX-License-Identifier: MIT
import os
import shutil
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))
import browser as chromium  # noqa: E402
from fleet import Fleet, RedisServer  # noqa: E402


@pytest.fixture
def redis_server(tmp_path):
    if not shutil.which("redis-server"):
        pytest.skip("there is no redis-server")
    server = RedisServer(tmp_path)
    yield server
    server.end()


@pytest.fixture
def on_redis(redis_server, tmp_path):
    fleet = Fleet(tmp_path, redis_server)
    yield fleet
    fleet.close()


@pytest.fixture
def on_sqlite(tmp_path):
    fleet = Fleet(tmp_path)
    yield fleet
    fleet.close()


@pytest.fixture(params=["on_sqlite", "on_redis"])
def fleet(request):
    """The same test on both stores."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def browser(tmp_path):
    if not chromium.find():
        pytest.skip("there is no chromium")
    window = chromium.Browser(tmp_path)
    yield window
    window.close()
