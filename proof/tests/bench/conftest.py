# SPDX-License-Identifier: MIT
import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(os.environ["PAWL_SOURCE"]) / "proof/bench"))

from suite import server  # noqa: E402  (its folder has just been named)


@pytest.fixture(scope="session")
def bench():
    """The path of a driver."""
    return lambda name: str(Path(os.environ["PAWL_BUILD"]) / "proof/bench" / f"bench-{name}")


@pytest.fixture(scope="session")
def redis(tmp_path_factory):
    private = server.Server(str(tmp_path_factory.mktemp("redis")))
    yield private
    private.stop()
