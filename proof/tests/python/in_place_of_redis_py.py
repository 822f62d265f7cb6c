# SPDX-License-Identifier: MIT
"""A plugin for redis-py's own tests: they find pawl's lock in the place of redis-py's."""
import pytest
import redis.client
import redis.lock

import pawl.redislock

redis.lock.Lock = redis.client.Lock = pawl.redislock.Lock


@pytest.fixture(autouse=True)
def a_client_for_each_test():
    """A test that fails keeps its lock, and would hold up the next one."""
    yield
    for client in pawl.redislock._clients.values():
        client.close()
