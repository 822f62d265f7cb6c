# SPDX-License-Identifier: MIT
"""A plugin for redis-py's own tests of asyncio, beside in_place_of_redis_py."""
import pytest_asyncio

import pawl.redislock_aio


@pytest_asyncio.fixture(autouse=True)
async def a_client_for_each_loop():
    """Each test has a loop of its own."""
    yield
    await pawl.redislock_aio.close()
