# SPDX-License-Identifier: MIT
import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

HERE = os.path.dirname(__file__)
for folder in (HERE, os.path.join(HERE, "../../ports")):
    sys.path.insert(0, folder)
from harness import RedisServer, Rig  # noqa: E402


def need_redis():
    if not shutil.which("redis-server") or not shutil.which("redis-cli"):
        print("SKIP: redis-server is not installed", file=sys.stderr)
        pytest.skip("redis-server is not installed")


@pytest.fixture
def sqlite(tmp_path):
    rig = Rig(f"sqlite:{tmp_path}/locks.db", tmp_path)
    yield rig
    rig.close()


@pytest.fixture
def common_ground():
    """A directory that every user may enter. Not below pytest's own one: each start of a pytest
    closes that to others again."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        os.chmod(name, 0o755)
        yield Path(name)


@pytest.fixture
def open_sqlite(common_ground):
    """A store in a directory that every user may enter."""
    rig = Rig(f"sqlite:{common_ground}/locks.db", common_ground)
    yield rig
    rig.close()


@pytest.fixture
def server(tmp_path):
    need_redis()
    redis = RedisServer(tmp_path)
    yield redis
    redis.end()


@pytest.fixture
def redis(server, tmp_path):
    rig = Rig(server.url, tmp_path)
    rig.server = server
    yield rig
    rig.close()


@pytest.fixture(params=["sqlite", "redis"])
def rig(request):
    """The same test on both stores."""
    return request.getfixturevalue(request.param)
