# SPDX-License-Identifier: MIT
import os
import shutil
import sys

import pytest

HERE = os.path.dirname(__file__)
for folder in (HERE, os.path.join(HERE, "..", "cli"), os.path.join(HERE, "..", "counter"),
               os.path.join(HERE, "../../ports")):
    sys.path.insert(0, folder)
import browser as chromium  # noqa: E402
from harness import RedisServer, Rig  # noqa: E402
from serving import Served  # noqa: E402


@pytest.fixture
def sqlite(tmp_path):
    rig = Rig(f"sqlite:{tmp_path}/locks.db", tmp_path)
    yield rig
    rig.close()


@pytest.fixture
def redis(tmp_path):
    if not shutil.which("redis-server"):
        pytest.skip("there is no redis-server")
    server = RedisServer(tmp_path)
    rig = Rig(server.url, tmp_path)
    rig.server = server
    yield rig
    rig.close()
    server.end()


@pytest.fixture(params=["sqlite", "redis"])
def rig(request):
    """The same test on both stores."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def serve():
    """pawl serve on a rig, with these options; it has to end well."""
    started = []

    def start(rig, *options, **how):
        started.append(Served(rig, *options, **how))
        return started[-1]
    yield start
    for served in started:
        served.end()


@pytest.fixture(scope="module")
def window(tmp_path_factory):
    """One browser for all tests of a file: it takes long to start."""
    if not chromium.find():
        pytest.skip("there is no chromium")
    one = chromium.Browser(tmp_path_factory.mktemp("browser"))
    yield one
    one.close()
